/*
 * Story: the regions of heapd.conf, as a process's shared multi-heap gets them
 *
 * A plain file stands in for a device: it is mapped as one is, and what is written through a block
 * can be read in it.
 */
#include "tests/story/multiheap.h"

#define NOBODY 65534
#define DEVICE_BYTES DEVICE_MAX

static struct wire_entry seen[REGIONS_SEEN];

static void memory_in_the_files_order(void)
{
	struct lane *l = lane_new();

	heapd_start("[region \"second\"]\nsize = 8K\n"
		   "[region \"first\"]\nsize = 4K\nattribute = noncacheable\n"
		   "[region \"third\"]\nsize = 1M\nattribute = cacheable\nbacking = memory\n");
	EXPECT(0, do_pool_init(l));
	assert_string_equal("", last_problem(l).text);
	EXPECT(-EALREADY, do_pool_init(l));
	EXPECT(0, do_add(l, CACHED, 0, 65536));
	assert_int_equal(4, watch_regions(seen));
	assert_string_equal("second", seen[0].name);
	assert_string_equal("first", seen[1].name);
	assert_string_equal("third", seen[2].name);
	assert_string_equal("", seen[3].name);
	assert_int_equal(l->actor->pid, seen[2].pid);
	assert_int_equal(8192, watch_place(0).size);
	assert_int_equal(UNCACHED, watch_place(1).attribute);
	assert_int_equal(0, watch_place(1).order);
	assert_int_equal(1, watch_place(2).order);
	assert_int_equal(2, watch_place(3).order); /* the program's come last */

	EXPECT(0, do_take(l, 1, CACHED, 8192));
	assert_int_equal(watch_place(0).addr, block_address(l, 1));
	EXPECT(0, do_take(l, 2, CACHED, 512 << 10));
	EXPECT(0, do_take(l, 3, UNCACHED, 4096));
	assert_int_equal(watch_place(1).addr, block_address(l, 3));
	EXPECT(0, fill_block(l, 2, 512 << 10));
	EXPECT(0, fill_block(l, 3, 4096));
	EXPECT(0, check_block(l, 2, 2, 512 << 10));
	EXPECT(-ENOMEM, do_take(l, 4, UNCACHED, 16));
	actor_quit(l->actor);
	UNTIL(watch_regions(seen) == 0);
}

/* Each process has its own memory under the one name. */
static void two_processes(void)
{
	struct lane *a = lane_new(), *b = lane_new();

	heapd_start("[region \"ram\"]\nsize = 4K\n");
	EXPECT(0, do_pool_init(a));
	EXPECT(0, do_pool_init(b));
	assert_int_equal(2, watch_regions(seen));
	assert_string_equal("ram", seen[1].name);
	EXPECT(0, do_take(a, 0, CACHED, 4096));
	EXPECT(0, do_take(b, 1, CACHED, 4096));
	EXPECT(0, fill_block(a, 0, 4096));
	EXPECT(0, fill_block(b, 1, 4096));
	EXPECT(0, check_block(a, 0, 0, 4096));
	EXPECT(0, check_block(b, 1, 1, 4096));
}

/* ---- huge pages ---- */

/* A region of 3 MiB of huge pages is 4 MiB of them, or of ordinary ones. What it is backed by. */
static uint32_t frames(void)
{
	struct lane *l = lane_new();
	struct wire_entry e;

	log_allow("huge page");
	heapd_start("[region \"frames\"]\nsize = 3M\nbacking = huge\n");
	EXPECT(0, do_pool_init(l));
	e = watch_region(0);
	assert_int_equal(4 << 20, watch_place(0).size); /* whole huge pages either way */
	EXPECT(0, do_take(l, 0, CACHED, 4 << 20));
	EXPECT(0, fill_block(l, 0, 4 << 20));
	EXPECT(0, check_block(l, 0, 0, 4 << 20));
	EXPECT(0, do_give(l, 0));
	EXPECT(0, do_take_aligned(l, 0, CACHED, 1 << 20, 4096));
	assert_int_equal(0, block_address(l, 0) % (1 << 20));
	return e.backing;
}

static void huge_pages(void)
{
	long before = huge_pages_now();
	uint32_t backing;

	if (before == 0)
		huge_pages_set(2); /* the machine lends us some */
	if (huge_pages_now() < 2) {
		huge_pages_set(before);
		story_skip("no huge pages here, and none to be had");
	}
	backing = frames();
	if (before == 0)
		huge_pages_set(0); /* those in use go when they are given back */
	assert_int_equal(BACKING_HUGE, backing);
}

static void ordinary_pages_where_there_are_no_huge_ones(void)
{
	if (huge_pages_now() > 0)
		story_skip("this machine has huge pages");
	assert_int_equal(BACKING_MEMORY, frames());
}

/* Without the fallback it fails, and what was attached before goes back. */
static void huge_pages_or_nothing(void)
{
	struct lane *l = lane_new();
	int r;

	log_allow("huge page");
	heapd_start("[region \"ram\"]\nsize = 4K\n"
		   "[region \"frames\"]\nsize = 64G\nbacking = huge\nfallback = no\n");
	r = do_pool_init(l);
	if (r == 0)
		story_skip("this machine has 64 GiB in huge pages");
	EXPECT(-ENOMEM, r);
	assert_non_null(strstr(last_problem(l).text, "frames"));
	assert_int_equal(0, watch_regions(seen));
	EXPECT(-EINVAL, do_add(l, CACHED, 0, 4096));
	EXPECT(-EINVAL, do_take(l, 0, CACHED, 16));
	EXPECT(-ENOMEM, do_pool_init(l)); /* not -EALREADY */
	heapd_stop();
	heapd_start("");
	EXPECT(0, do_pool_init(l));
}

static void a_device(void)
{
	struct lane *l = lane_new();
	const char *path = device_new("device", DEVICE_BYTES);
	char config[400];

	(void)snprintf(config, sizeof(config), "[region \"dma\"]\nsize = %d\nattribute = "
		       "noncacheable\nbacking = %s\n", DEVICE_BYTES, path);
	heapd_start(config);
	EXPECT(0, do_pool_init(l));
	assert_int_equal(BACKING_DEVICE, watch_region(0).backing);
	assert_int_equal(UNCACHED, watch_place(0).attribute);
	for (int i = 0; i < 100; i++)
		EXPECT(0, do_take(l, 10 + i, UNCACHED, 1 + (size_t)i));
	for (int i = 0; i < 100; i++)
		EXPECT(0, do_give(l, 10 + i));
	assert_int_equal(0, device_changed(path)); /* only the program writes */
	EXPECT(0, do_take(l, 0, UNCACHED, 4096));
	EXPECT(0, fill_block(l, 0, 4096));
	assert_int_equal(4096 - 4096 / 256, device_changed(path)); /* one in 256 is 0x5a */
	EXPECT(0, do_take(l, 1, UNCACHED, 8192));
	EXPECT(0, do_take(l, 2, UNCACHED, 4096));
	EXPECT(-ENOMEM, do_take(l, 3, UNCACHED, 16));
}

static void a_device_that_another_has(void)
{
	struct lane *a = lane_new(), *b = lane_new(), *c = lane_new();
	char config[400];

	(void)snprintf(config, sizeof(config),
		       "[region \"uio\"]\nsize = 8K\nattribute = noncacheable\nbacking = %s\n"
		       "[region \"ram\"]\nsize = 8K\n", device_new("uio", 8192));
	heapd_start(config);
	EXPECT(0, do_pool_init(a));
	assert_string_equal("", last_problem(a).text);
	EXPECT(0, do_pool_init(b)); /* it works without that one … */
	assert_non_null(strstr(last_problem(b).text, "uio")); /* … and says so */
	assert_null(strstr(last_problem(b).text, "ram"));
	EXPECT(-ENOMEM, do_take(b, 0, UNCACHED, 16));
	EXPECT(0, do_take(b, 0, CACHED, 8192));
	EXPECT(0, do_take(a, 0, UNCACHED, 8192));
	assert_int_equal(3, watch_regions(seen));

	actor_kill(a->actor);
	UNTIL(watch_regions(seen) == 1);
	EXPECT(0, do_pool_init(c)); /* it is free again */
	assert_string_equal("", last_problem(c).text);
	EXPECT(0, do_take(c, 0, UNCACHED, 8192));
}

static void a_device_that_is_not_there(void)
{
	struct lane *l = lane_new();
	char config[400];

	log_allow("late");
	(void)snprintf(config, sizeof(config),
		       "[region \"ram\"]\nsize = 8K\n"
		       "[region \"late-one\"]\nsize = 8K\nbacking = %s/late\n", story_dir());
	heapd_start(config);
	EXPECT(-EOPNOTSUPP, do_pool_init(l));
	assert_non_null(strstr(last_problem(l).text, "late-one"));
	assert_int_equal(0, watch_regions(seen)); /* the memory before it went back */
	EXPECT(-EINVAL, do_take(l, 0, CACHED, 16));
	(void)device_new("late", 4096); /* too small */
	EXPECT(-EOPNOTSUPP, do_pool_init(l));
	assert_int_equal(0, watch_regions(seen));
	(void)device_new("late", 8192);
	EXPECT(0, do_pool_init(l));
	assert_string_equal("", last_problem(l).text);
	assert_int_equal(2, watch_regions(seen));
	EXPECT(0, do_take(l, 0, CACHED, 8192));
	EXPECT(0, do_take(l, 1, CACHED, 8192));
}

static void a_ninth_is_too_many(void)
{
	struct lane *l = lane_new();
	char config[2000];
	int n = 0;

	for (int i = 0; i < 9; i++)
		n += snprintf(config + n, sizeof(config) - (size_t)n,
			      "[region \"r%d\"]\nsize = 4K\nattribute = %s\n", i,
			      i == 3 ? "noncacheable" : "cacheable");
	heapd_start(config); /* eight and one */
	EXPECT(0, do_pool_init(l));
	assert_int_equal(9, watch_regions(seen));
	EXPECT(-ENOMEM, do_add(l, CACHED, 0, 4096));
	EXPECT(0, do_add(l, UNCACHED, 0, 4096));
	heapd_stop();

	(void)snprintf(config + n, sizeof(config) - (size_t)n, "[region \"r9\"]\nsize = 4K\n");
	heapd_start(config);
	l = lane_new();
	EXPECT(-ENOMEM, do_pool_init(l));
	assert_non_null(strstr(last_problem(l).text, "r9"));
	assert_int_equal(0, watch_regions(seen));
}

/* ---- rights ---- */

static void only_for_a_group(void)
{
	struct lane *other;

	story_needs_root();
	heapd_start("[region \"secret\"]\nsize = 4K\ngroup = 12345\n"
		   "[region \"ram\"]\nsize = 8K\n");
	other = lane_new_as(NOBODY, NOBODY);
	EXPECT(0, do_pool_init(other)); /* does not even see it */
	assert_int_equal(1, watch_regions(seen));
	assert_string_equal("ram", seen[0].name);
	other = lane_new_as(NOBODY, 12345);
	EXPECT(0, do_pool_init(other));
	assert_int_equal(3, watch_regions(seen));
	assert_string_equal("secret", seen[1].name);
	EXPECT(0, do_take(other, 0, CACHED, 4096));
}

/* Who may create nothing has a pool, and in it what a section gives them. */
static void who_may_not_create(void)
{
	struct lane *other;

	story_needs_root();
	heapd_start("[heaps]\ncreate = 0\n[region \"theirs\"]\nsize = 4K\ngroup = 65534\n"
		   "[region \"ram\"]\nsize = 8K\n");
	other = lane_new_as(NOBODY, NOBODY);
	EXPECT(0, do_pool_init(other));
	assert_int_equal(1, watch_regions(seen));
	EXPECT(0, do_take(other, 0, CACHED, 4096));
	EXPECT(-EACCES, do_add(other, CACHED, 1, 4096));
	own_memory(other, 1, 8192, false);
	EXPECT(-EACCES, do_add_own(other, CACHED, 1, 0, 8192));
	EXPECT(-ENOMEM, do_take(other, 2, CACHED, 16));
}

static void a_quota(void)
{
	struct lane *other;

	story_needs_root();
	heapd_start("[limits]\nheaps = 2\n[region \"a\"]\nsize = 4K\n[region \"b\"]\nsize = 4K\n");
	other = lane_new_as(NOBODY, NOBODY);
	EXPECT(0, do_pool_init(other));
	EXPECT(-EDQUOT, do_add(other, CACHED, 0, 4096));
	own_memory(other, 0, 8192, false);
	EXPECT(-EDQUOT, do_add_own(other, CACHED, 0, 0, 8192));
	other = lane_new_as(NOBODY, NOBODY);
	EXPECT(-EDQUOT, do_pool_init(other));
	assert_non_null(strstr(last_problem(other).text, "region a"));
	assert_int_equal(2, watch_regions(seen));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(memory_in_the_files_order),
		STORY(two_processes),
		STORY(huge_pages),
		STORY(ordinary_pages_where_there_are_no_huge_ones),
		STORY(huge_pages_or_nothing),
		STORY(a_device),
		STORY(a_device_that_another_has),
		STORY(a_device_that_is_not_there),
		STORY(a_ninth_is_too_many),
		STORY(only_for_a_group),
		STORY(who_may_not_create),
		STORY(a_quota),
	};

	return cmocka_run_group_tests_name("multiheap-regions", tests, NULL, NULL);
}
