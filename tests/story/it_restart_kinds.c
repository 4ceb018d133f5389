/*
 * Story: heapd dies or is replaced, and what is inside one process goes on: partitions, the regions of the
 * multi-heap (the program's, those of heapd.conf, a device, memory of its own) and the heap memory pool
 *
 * One process has some of each and works them without pause, while heapd is killed and started
 * again. What heapd shows of it is compared to the byte, before and after.
 */
#include "tests/story/it_pt.h"
#include "tests/story/keeper.h"
#include "tests/story/multiheap.h"
#include "tests/story/pool_steps.h"

#define STORE 256u
#define BLOCKS 16
#define OWN_BYTES 65536

enum { COUNT_STOP, COUNT_OPS };

/* Slots of blocks: what is held all the time, and what heapd must not touch. */
enum { SMALL = 0, LARGE = 8, CACHED_BLOCK = 16, DEVICE_BLOCK, FRAMES_BLOCK, ADDED, OWN_MEMORY, OWN_BLOCK,
       POOL_BLOCK, POOL_OTHER, LOCAL_BLOCK, NEW_BLOCK };

/* ---- the process ---- */

/* Writes into a block and reads it again: 0; -EIO, -ENOMEM. */
static int use(uint8_t *p, size_t size, uint8_t value)
{
	if (!p)
		return -ENOMEM;
	memset(p, value, size);
	for (size_t i = 0; i < size; i++)
		if (p[i] != value)
			return -EIO;
	return 0;
}

static int use_partition(int ptno, size_t size, uint8_t value)
{
	void *p = pt_getblock(ptno);
	int r = use(p, size, value);

	if (p)
		pt_freeblock(ptno, p);
	return r;
}

static int use_region(enum shared_multi_heap_attr attr, uint8_t value)
{
	void *p = shared_multi_heap_alloc(attr, 200);
	int r = use(p, 200, value);

	shared_multi_heap_free(p);
	return r;
}

static int use_pool(uint8_t value)
{
	void *p = k_malloc(48);
	int r = use(p, 48, value);

	k_free(p);
	return r;
}

static int use_local(uint8_t value)
{
	void *p;
	int r = rt_heap_alloc(&self.heap[0], 512, TM_NONBLOCK, &p);

	if (r == 0)
		r = use(p, 512, value);
	return r == 0 ? rt_heap_free(&self.heap[0], p) : r;
}

/* All of the hot paths, once. */
static int use_all(uint8_t value)
{
	int r = use_partition(0, 64, value);

	if (r == 0)
		r = use_partition(1, 4096, value);
	if (r == 0)
		r = use_region(CACHED, value);
	if (r == 0)
		r = use_region(UNCACHED, value);
	if (r == 0)
		r = use_pool(value);
	return r == 0 ? use_local(value) : r;
}

static int run_busy(struct step *s)
{
	int r = 0;

	(void)s;
	for (uint8_t value = 0; r == 0 && !atomic_load(&board->count[COUNT_STOP]); value++) {
		r = use_all(value);
		atomic_fetch_add(&board->count[COUNT_OPS], 1);
		(void)usleep(200);
	}
	return r;
}

static struct lane *busy_begin(struct actor *a)
{
	atomic_store(&board->count[COUNT_STOP], 0);
	lane_start(&a->lane[1], (struct step){ .run = run_busy });
	return &a->lane[1];
}

static void busy_goes_on(void)
{
	uint64_t n = atomic_load(&board->count[COUNT_OPS]);

	UNTIL(atomic_load(&board->count[COUNT_OPS]) > n + 20);
}

static void busy_end(struct lane *l)
{
	atomic_store(&board->count[COUNT_STOP], 1);
	EXPECT(0, lane_result(l));
}

static const char *config_new(void)
{
	static char config[600];

	log_allow("huge page");
	(void)snprintf(config, sizeof(config),
		       "[daemon]\nrecall = 10s\n"
		       "[region \"ram\"]\nsize = 8K\n"
		       "[region \"dev\"]\nsize = %d\nattribute = noncacheable\nbacking = %s\n"
		       "[region \"frames\"]\nsize = 2M\nbacking = huge\n",
		       DEVICE_MAX, device_new("dev", DEVICE_MAX));
	return config;
}

/* A process with some of everything; lane 1 is for being busy. */
static struct actor *owner_new(void)
{
	struct actor *a;
	struct lane *l;

	pool_environment("1024");
	a = actor_new(2);
	l = &a->lane[0];
	EXPECT(0, do_pt_create(l, 64, BLOCKS));
	EXPECT(1, do_pt_create(l, 4096, BLOCKS));
	EXPECT(0, do_pool_init(l));
	EXPECT(0, do_create(l, 0, NULL, 65536, H_FIFO));
	EXPECT(0, do_alloc(l, 0, LOCAL_BLOCK, 8192, TM_NONBLOCK));
	for (int i = 0; i < 4; i++) {
		EXPECT(GOT, do_get(l, 0, SMALL + i));
		EXPECT(0, fill_block(l, SMALL + i, 64));
		EXPECT(GOT, do_get(l, 1, LARGE + i));
		EXPECT(0, fill_block(l, LARGE + i, 4096));
	}
	EXPECT(0, do_take(l, CACHED_BLOCK, CACHED, 4096)); /* of "ram", */
	EXPECT(0, do_take(l, DEVICE_BLOCK, UNCACHED, 4096));
	EXPECT(0, do_take(l, FRAMES_BLOCK, CACHED, 1 << 20));
	EXPECT(0, do_add(l, CACHED, ADDED, 65536));
	own_memory(l, OWN_MEMORY, OWN_BYTES, false);
	EXPECT(0, do_add_own(l, UNCACHED, OWN_MEMORY, 0, OWN_BYTES));
	EXPECT(0, do_take(l, OWN_BLOCK, UNCACHED, 32768)); /* too much for the device */
	EXPECT(0, fill_block(l, CACHED_BLOCK, 4096));
	EXPECT(0, fill_block(l, DEVICE_BLOCK, 4096));
	EXPECT(0, fill_block(l, FRAMES_BLOCK, 1 << 20));
	EXPECT(0, fill_block(l, OWN_BLOCK, 32768));
	EXPECT(0, do_k_malloc(l, POOL_BLOCK, 240));
	EXPECT(0, do_k_malloc(l, POOL_OTHER, 40));
	EXPECT(0, do_give(l, OWN_MEMORY)); /* a bad free of each, so that there is one to see */
	EXPECT(0, do_put(l, 0, LARGE));
	do_k_free_beside(l, POOL_BLOCK, 4);
	return a;
}

static void contents_are_there(struct lane *l)
{
	for (int i = 0; i < 4; i++) {
		EXPECT(0, check_block(l, SMALL + i, SMALL + i, 64));
		EXPECT(0, check_block(l, LARGE + i, LARGE + i, 4096));
	}
	EXPECT(0, check_block(l, CACHED_BLOCK, CACHED_BLOCK, 4096));
	EXPECT(0, check_block(l, DEVICE_BLOCK, DEVICE_BLOCK, 4096));
	EXPECT(0, check_block(l, FRAMES_BLOCK, FRAMES_BLOCK, 1 << 20));
	EXPECT(0, check_block(l, OWN_BLOCK, OWN_BLOCK, 32768));
	EXPECT(0, check_block(l, LOCAL_BLOCK, LOCAL_BLOCK, 8192));
	EXPECT(0, pool_check(l, POOL_BLOCK, 240));
	EXPECT(0, pool_check(l, POOL_OTHER, 40));
}

/* ---- what heapd shows ---- */

#define OBJECTS 9 /* two partitions, three regions of heapd.conf, two of the program, the pool, the heap */

struct picture {
	uint32_t n;
	struct wire_entry entry[OBJECTS];
	struct wire_detail detail[OBJECTS]; /* of the parts */
};

static void look_at(struct raw *r, const struct wire_entry *e, struct picture *p)
{
	struct frame f;
	struct wire_target *t = frame_init(&f, OP_DETAIL, 0, 0, sizeof(*t));
	uint32_t i = p->n++;

	assert_true(i < OBJECTS);
	p->entry[i] = *e;
	if (e->kind == KIND_HEAP)
		return;
	t->heap = e->heap;
	EXPECT(STATUS_OK, raw_call(r, &f));
	p->detail[i] = *FRAME_BODY(&f, struct wire_detail);
}

static void look(struct picture *p)
{
	struct raw r = RAW_NULL;
	uint64_t cursor = 0;

	*p = (struct picture){ .n = 0 };
	raw_open(&r);
	do {
		struct frame f;
		struct wire_target *t = frame_init(&f, OP_LIST, 0, 0, sizeof(*t));
		const struct wire_list *list = FRAME_BODY(&f, const struct wire_list);

		t->cursor = cursor;
		EXPECT(STATUS_OK, raw_call(&r, &f));
		for (uint32_t i = 0; i < list->n; i++)
			look_at(&r, &list->entry[i], p);
		cursor = list->cursor;
	} while (cursor);
	raw_close(&r);
}

/* The same objects with the same figures: of blocks in use, of bad frees, of quarters. */
static void nothing_has_changed(const struct picture *before)
{
	static struct picture now;

	look(&now);
	assert_int_equal(before->n, now.n);
	for (uint32_t i = 0; i < now.n; i++) {
		assert_memory_equal(&before->entry[i], &now.entry[i], sizeof(now.entry[i]));
		assert_memory_equal(&before->detail[i], &now.detail[i], sizeof(now.detail[i]));
	}
}

/* ---- with a store ---- */

/* Killed, or as systemctl restart does, while all is in use. */
static void restart(struct actor *a, const char *config, bool terminate)
{
	struct lane *busy = busy_begin(a);

	busy_goes_on();
	if (terminate)
		heapd_stop();
	else
		heapd_kill();
	busy_goes_on(); /* without any heapd */
	heapd_start(config);
	busy_goes_on();
	busy_end(busy);
}

static void gone_with_its_process(struct actor *a, size_t stored)
{
	actor_quit(a);
	UNTIL(watch_stat().heaps == 0 && watch_stat().bytes == 0);
	UNTIL(keeper_count() == stored);
}

static void everything_goes_on(void)
{
	static struct picture before;
	const char *config = config_new();
	struct actor *a;
	struct lane *l, *other;
	size_t stored;

	heapd_keep(STORE);
	heapd_start(config);
	stored = keeper_count();
	a = owner_new();
	l = &a->lane[0];
	restart(a, config, false); /* the marks are as high as they get */
	look(&before);
	assert_int_equal(OBJECTS, before.n);
	for (int i = 0; i < 6; i++) {
		restart(a, config, i % 2);
		nothing_has_changed(&before);
		contents_are_there(l);
	}
	/* what has an owner stays his */
	other = lane_new();
	EXPECT(0, do_pool_init(other));
	assert_non_null(strstr(last_problem(other).text, "dev"));
	EXPECT(-ENOMEM, do_take(other, 0, UNCACHED, 16));
	actor_quit(other->actor);
	UNTIL(watch_stat().heaps == OBJECTS);
	nothing_has_changed(&before);
	gone_with_its_process(a, stored);
	/* and is another's then */
	other = lane_new();
	EXPECT(0, do_pool_init(other));
	EXPECT(0, do_take(other, 0, UNCACHED, DEVICE_MAX));
	gone_with_its_process(other->actor, stored);
}

/* Every block that was held goes back, and all there is can be had: not one is lost or doubled. */
static void all_can_be_had(struct lane *l)
{
	for (int i = 0; i < 4; i++) {
		EXPECT(0, do_put(l, 0, SMALL + i));
		EXPECT(0, do_put(l, 1, LARGE + i));
	}
	EXPECT(BLOCKS, do_take_all(l, 0, 100));
	EXPECT(BLOCKS, do_take_all(l, 1, 200));
	EXPECT(0, do_free_range(l, 0, 100, BLOCKS));
	EXPECT(0, do_free_range(l, 1, 200, BLOCKS));
	for (int i = CACHED_BLOCK; i <= FRAMES_BLOCK; i++)
		EXPECT(0, do_give(l, i));
	EXPECT(0, do_give(l, OWN_BLOCK));
	EXPECT(0, do_take(l, CACHED_BLOCK, CACHED, 8192));
	EXPECT(0, do_take(l, DEVICE_BLOCK, UNCACHED, DEVICE_MAX));
	EXPECT(0, do_take(l, FRAMES_BLOCK, CACHED, 2 << 20));
	EXPECT(0, do_take(l, NEW_BLOCK, CACHED, 65536));
	EXPECT(0, do_take(l, OWN_BLOCK, UNCACHED, OWN_BYTES));
	do_k_free(l, POOL_BLOCK);
	do_k_free(l, POOL_OTHER);
	EXPECT(0, do_k_malloc(l, POOL_BLOCK, 1008));
	EXPECT(0, do_free(l, 0, LOCAL_BLOCK));
	EXPECT(0, do_alloc(l, 0, LOCAL_BLOCK, 65536, TM_NONBLOCK));
}

/* Partitions and heaps go, others come: the new heapd knows what is whose. */
static void made_and_destroyed_afterwards(void)
{
	const char *config = config_new();
	struct actor *a;
	struct lane *l;
	size_t stored;

	heapd_keep(STORE);
	heapd_start(config);
	stored = keeper_count();
	a = owner_new();
	l = &a->lane[0];
	restart(a, config, false);
	EXPECT(-EBUSY, do_pt_destroy(l, 0));
	all_can_be_had(l);
	EXPECT(0, do_pt_destroy(l, 0));
	EXPECT(0, do_unbind(l, 0));
	assert_int_equal(OBJECTS - 2, watch_stat().heaps);
	EXPECT(0, do_pt_create(l, 128, 3));
	EXPECT(0, do_add(l, CACHED, ADDED, 8192));
	EXPECT(0, do_create(l, 0, NULL, 65536, H_FIFO));
	assert_int_equal(OBJECTS + 1, watch_stat().heaps);
	heapd_kill();
	heapd_start(config);
	assert_int_equal(OBJECTS + 1, watch_stat().heaps);
	EXPECT(3, do_take_all(l, 0, 100));
	expect_seen(0, 3, 0);
	EXPECT(0, do_pt_destroy(l, 1));
	gone_with_its_process(a, stored);
}

/* Nobody tells heapd of an end that comes while there is none. */
static void the_process_ends_meanwhile(void)
{
	const char *config = config_new();
	struct actor *a;
	struct lane *other;
	size_t stored;

	heapd_keep(STORE);
	heapd_start(config);
	stored = keeper_count();
	a = owner_new();
	heapd_kill();
	actor_kill(a);
	heapd_start(config);
	UNTIL(watch_stat().heaps == 0 && watch_stat().bytes == 0);
	UNTIL(keeper_count() == stored);
	other = lane_new();
	EXPECT(0, do_pool_init(other)); /* the device too */
	assert_string_equal("", last_problem(other).text);
}

/* As restart(), while the machine has huge pages for it. */
static void huge_pages_stay(void)
{
	const char *config = config_new();
	long before = huge_pages_now();
	struct wire_entry e = { .backing = BACKING_LAST };
	struct actor *a;

	if (before == 0)
		huge_pages_set(1); /* the machine lends us one */
	if (huge_pages_now() >= 1) {
		heapd_keep(STORE);
		heapd_start(config);
		a = owner_new();
		e = watch_region(2);
		restart(a, config, false);
		contents_are_there(&a->lane[0]);
		assert_int_equal(e.backing, watch_region(2).backing);
		all_can_be_had(&a->lane[0]);
	}
	if (before == 0)
		huge_pages_set(0); /* those in use go when they are given back */
	if (e.backing == BACKING_LAST)
		story_skip("no huge pages here, and none to be had");
	assert_int_equal(BACKING_HUGE, e.backing);
}

/* ---- without one ---- */

/* A heapd that knows nothing of it: all goes on with what it has, and is shown no more. */
static void local_things_go_on(void)
{
	const char *config = config_new();
	struct actor *a;
	struct lane *l;

	heapd_start(config);
	a = owner_new();
	l = &a->lane[0];
	for (int i = 0; i < 2; i++) {
		restart(a, config, i);
		contents_are_there(l);
		assert_int_equal(0, watch_stat().heaps);
	}
	all_can_be_had(l);
	EXPECT(0, do_pt_destroy(l, 0));
	EXPECT(0, do_unbind(l, 0));
	/* what is new is the new one's */
	EXPECT(0, do_pt_create(l, 128, 3));
	EXPECT(0, do_create(l, 0, NULL, 8192, H_FIFO));
	EXPECT(0, do_add(l, UNCACHED, ADDED, 8192));
	EXPECT(3, do_take_all(l, 0, 100));
	assert_int_equal(3, watch_stat().heaps);
	expect_seen(0, 3, 0);
	actor_quit(a);
	UNTIL(watch_stat().heaps == 0 && watch_stat().bytes == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(everything_goes_on),
		STORY(made_and_destroyed_afterwards),
		STORY(the_process_ends_meanwhile),
		STORY(huge_pages_stay),
		STORY(local_things_go_on),
	};

	return cmocka_run_group_tests_name("restart-kinds", tests, NULL, NULL);
}
