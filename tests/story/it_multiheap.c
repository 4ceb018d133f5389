/*
 * Story: the shared multi-heap of a process, sentence by sentence
 *
 * Lives, deaths and threads are it_multiheap_life.c, regions of heapd.conf it_multiheap_regions.c,
 * the hot paths tests/realtime.
 */
#include "tests/story/multiheap.h"

#define BYTES 65536

static void nothing_before_init(void)
{
	struct lane *l = lane_new();

	heapd_start("");
	own_memory(l, 0, BYTES, false);
	EXPECT(-EINVAL, do_add_own(l, CACHED, 0, 0, BYTES));
	EXPECT(-EINVAL, do_add(l, CACHED, 1, BYTES));
	EXPECT(-EINVAL, do_take(l, 2, CACHED, 64));
	EXPECT(-EINVAL, do_take_aligned(l, 2, CACHED, 64, 64));
	EXPECT(0, do_give(l, 0));
	assert_int_equal(0, watch_stat().heaps_total);

	EXPECT(0, do_pool_init(l));
	EXPECT(-EALREADY, do_pool_init(l));
	EXPECT(-ENOMEM, do_take(l, 2, CACHED, 64)); /* there is no region yet */
	EXPECT(0, do_add_own(l, CACHED, 0, 0, BYTES));
	EXPECT(0, do_take(l, 2, CACHED, 64));
	EXPECT(-EALREADY, do_pool_init(l));
	EXPECT(0, do_take(l, 3, CACHED, 64)); /* and nothing was lost */
}

static void no_daemon(void)
{
	struct lane *l = lane_new();

	EXPECT(-ECONNREFUSED, do_pool_init(l));
	assert_non_null(strstr(last_problem(l).text, story_socket()));
	EXPECT(-EINVAL, do_add(l, CACHED, 1, BYTES));
	heapd_start("");
	EXPECT(0, do_pool_init(l));
	assert_string_equal("", last_problem(l).text);
}

static void what_add_refuses(void)
{
	struct lane *l;
	struct wire_entry seen[REGIONS_SEEN];

	heapd_start("[heaps]\nmax_size = 1M\n");
	l = lane_with_pool();
	own_memory(l, 0, BYTES, false);
	EXPECT(-EINVAL, do_add_null(l));
	EXPECT(-EINVAL, do_add_own(l, MAX_SHARED_MULTI_HEAP_ATTR, 0, 0, BYTES));
	EXPECT(-EINVAL, do_add(l, MAX_SHARED_MULTI_HEAP_ATTR, 1, BYTES));
	EXPECT(-EINVAL, do_add_own(l, UINT32_MAX, 0, 0, BYTES));
	EXPECT(-EINVAL, do_add_own(l, CACHED, 0, 0, 0));
	EXPECT(-EINVAL, do_add(l, CACHED, 1, 0));
	EXPECT(-EINVAL, do_add_own(l, CACHED, 0, 0, 500));   /* too small to hold anything */
	EXPECT(-EINVAL, do_add_own(l, CACHED, 0, 8, 1000));
	EXPECT(-EINVAL, do_add_own(l, CACHED, 0, 0, SIZE_MAX));
	EXPECT(-EINVAL, do_add(l, CACHED, 1, 2 << 20));      /* above the daemon's limit */
	assert_int_equal(0, watch_regions(seen));

	EXPECT(0, do_add_own(l, CACHED, 0, 4096, 8192));
	EXPECT(-EINVAL, do_add_own(l, CACHED, 0, 4096, 8192)); /* overlaps */
	EXPECT(-EINVAL, do_add_own(l, UNCACHED, 0, 0, 4097));
	EXPECT(-EINVAL, do_add_own(l, UNCACHED, 0, 12287, 4096));
	EXPECT(-EINVAL, do_add_own(l, UNCACHED, 0, 0, BYTES));
	EXPECT(0, do_add_own(l, UNCACHED, 0, 0, 4096));
	EXPECT(0, do_add_own(l, UNCACHED, 0, 12288, 4096));
	EXPECT(0, do_add(l, CACHED, 1, 1));
	EXPECT(-EINVAL, do_add_own(l, CACHED, 1, 0, 4096)); /* all of the page is in it */
	assert_int_equal(4, watch_regions(seen));
}

static void a_ninth_of_an_attribute(void)
{
	struct lane *l;
	struct wire_entry seen[REGIONS_SEEN];

	heapd_start("");
	l = lane_with_pool();
	own_memory(l, 0, 16 * 4096, false);
	for (unsigned i = 0; i < 16; i++) {
		unsigned attr = i < 8 ? UNCACHED : CACHED;

		if (i % 2)
			EXPECT(0, do_add(l, attr, 1, 4096));
		else
			EXPECT(0, do_add_own(l, attr, 0, i * 4096, 4096));
		if (i == 7)
			EXPECT(-ENOMEM, do_add(l, UNCACHED, 1, 4096));
	}
	EXPECT(-ENOMEM, do_add_own(l, UNCACHED, 0, 4096, 4096));
	EXPECT(-ENOMEM, do_add_own(l, CACHED, 0, 4096, 4096));
	assert_int_equal(16, watch_regions(seen));
	for (int i = 0; i < 8; i++) {
		EXPECT(0, do_take(l, 20 + i, UNCACHED, 4096));
		EXPECT(0, do_take(l, 30 + i, CACHED, 4096));
	}
	EXPECT(-ENOMEM, do_take(l, 40, UNCACHED, 16));
	EXPECT(-ENOMEM, do_take(l, 40, CACHED, 16));
}

/* Zephyr's own example: a 4 KiB region, 0x40 and 0x80 bytes of it. */
static void a_small_region_serves_two_sizes(void)
{
	struct lane *l;

	heapd_start("");
	l = lane_with_pool();
	own_memory(l, 0, 4096, false);
	EXPECT(0, do_add_own(l, CACHED, 0, 0, 4096));
	EXPECT(0, do_add(l, UNCACHED, 1, 4096));
	for (unsigned attr = CACHED; attr <= UNCACHED; attr++) {
		EXPECT(0, do_take(l, 2, attr, 0x40));
		EXPECT(0, do_take(l, 3, attr, 0x80));
		assert_true(lies_in(l, 2, (int)attr, 4096));
		assert_true(lies_in(l, 3, (int)attr, 4096));
		EXPECT(0, fill_block(l, 2, 0x40));
		EXPECT(0, fill_block(l, 3, 0x80));
		EXPECT(0, check_block(l, 2, 2, 0x40));
		EXPECT(0, do_give(l, 2));
		EXPECT(0, do_give(l, 3));
	}
	/* every byte of it can be had */
	EXPECT(0, do_take(l, 4, CACHED, 4096));
	EXPECT(0, do_take(l, 5, UNCACHED, 4096));
}

/* The pool's bookkeeping is elsewhere: memory that nobody can touch is as good. */
static void the_memory_is_never_touched(void)
{
	struct lane *l;

	heapd_start("");
	l = lane_with_pool();
	own_memory(l, 0, BYTES, false);
	own_memory(l, 1, BYTES, true);
	EXPECT(0, do_add_own(l, CACHED, 0, 24, BYTES - 100));
	EXPECT(0, do_add_own(l, UNCACHED, 1, 0, BYTES));
	for (unsigned attr = CACHED; attr <= UNCACHED; attr++) {
		for (int i = 0; i < 200; i++)
			EXPECT(0, do_take_aligned(l, 10 + i, attr, 1u << (i % 8),
						  1 + 3 * (size_t)i % 400));
		for (int i = 0; i < 200; i++) {
			assert_true(lies_in(l, 10 + i, (int)attr, BYTES));
			EXPECT(0, do_give(l, 10 + i));
			EXPECT(0, do_give(l, 10 + i));
		}
	}
	EXPECT(0, check_own_memory(l, 0, BYTES));
}

static void tried_in_order_and_by_kind(void)
{
	struct lane *l;
	struct wire_place place;

	heapd_start("");
	l = lane_with_pool();
	own_memory(l, 0, 3 * 4096, false);
	own_memory(l, 1, BYTES, false);
	EXPECT(0, do_add_own(l, CACHED, 0, 8192, 4096));
	EXPECT(0, do_add_own(l, UNCACHED, 1, 0, BYTES));
	EXPECT(0, do_add(l, CACHED, 2, 8192));
	EXPECT(0, do_add_own(l, CACHED, 0, 0, 4096));
	EXPECT(0, do_take(l, 3, CACHED, 4096));
	assert_int_equal(block_address(l, 0) + 8192, block_address(l, 3));
	EXPECT(0, do_take(l, 4, CACHED, 8192));
	assert_int_equal(block_address(l, 2), block_address(l, 4));
	EXPECT(0, do_take(l, 5, CACHED, 100));
	assert_true(lies_in(l, 5, 0, 4096));
	EXPECT(-ENOMEM, do_take(l, 6, CACHED, 4096)); /* though the other kind has 64 KiB */
	EXPECT(0, do_take(l, 6, UNCACHED, 4096));
	assert_true(lies_in(l, 6, 1, BYTES));
	EXPECT(0, do_give(l, 4));
	EXPECT(0, do_take(l, 7, CACHED, 4096)); /* the first that has room, not the last one used */
	assert_true(lies_in(l, 7, 2, 8192));

	/* as heapd has it */
	place = watch_place(0);
	assert_int_equal(block_address(l, 0) + 8192, place.addr);
	assert_int_equal(4096, place.size);
	assert_int_equal(CACHED, place.attribute);
	assert_int_equal(0, place.order);
	place = watch_place(1);
	assert_int_equal(UNCACHED, place.attribute);
	assert_int_equal(0, place.order);
	assert_int_equal(1, watch_place(2).order);
	assert_int_equal(2, watch_place(3).order);
	assert_int_equal(BACKING_OWN, watch_region(0).backing);
	assert_int_equal(BACKING_MEMORY, watch_region(2).backing);
	assert_int_equal(4096, watch_region(0).used);
	assert_int_equal(4096, watch_region(2).used);
	assert_int_equal(8192, watch_region(2).high);
}

static void requests_that_get_nothing(void)
{
	struct lane *l;

	heapd_start("");
	l = lane_with_pool();
	EXPECT(0, do_add(l, CACHED, 0, BYTES));
	EXPECT(-EINVAL, do_take(l, 1, CACHED, 0));
	EXPECT(-EINVAL, do_take_aligned(l, 1, CACHED, 64, 0));
	EXPECT(-EINVAL, do_take(l, 1, SMH_REG_ATTR_NUM, 64));
	EXPECT(-EINVAL, do_take(l, 1, UINT32_MAX, 64));
	EXPECT(-ENOMEM, do_take(l, 1, CACHED, BYTES + 1));
	EXPECT(-ENOMEM, do_take(l, 1, CACHED, SIZE_MAX));
	EXPECT(-ENOMEM, do_take_aligned(l, 1, CACHED, 4096, SIZE_MAX));
	EXPECT(-ENOMEM, do_take(l, 1, UNCACHED, 64));
	EXPECT(-EINVAL, do_take_aligned(l, 1, CACHED, 0, 64));
	EXPECT(-EINVAL, do_take_aligned(l, 1, CACHED, 24, 64));
	EXPECT(-EINVAL, do_take_aligned(l, 1, CACHED, SIZE_MAX, 64));
	EXPECT(-ENOMEM, do_take_aligned(l, 1, CACHED, (size_t)1 << 63, 64));
	EXPECT(0, do_take(l, 1, CACHED, BYTES));
	EXPECT(-ENOMEM, do_take(l, 2, CACHED, 1));
}

static void aligned_requests(void)
{
	struct lane *l;

	heapd_start("");
	l = lane_with_pool();
	own_memory(l, 0, 4 * BYTES, false);
	EXPECT(0, do_add_own(l, CACHED, 0, 40, 4096 + 2048)); /* holds a multiple of 4096 */
	EXPECT(0, do_add(l, UNCACHED, 1, 4 << 20));
	for (size_t align = 1; align <= 4096; align *= 2) {
		EXPECT(0, do_take_aligned(l, 2, CACHED, align, 20));
		EXPECT(0, do_take_aligned(l, 3, UNCACHED, align, 5000));
		assert_int_equal(0, block_address(l, 2) % align);
		assert_int_equal(0, block_address(l, 3) % align);
		EXPECT(0, do_give(l, 2));
	}
	/* larger, where the region holds it: 4 MiB hold a multiple of 2 MiB, wherever they are */
	EXPECT(0, do_take_aligned(l, 4, UNCACHED, 2 << 20, 64));
	assert_int_equal(0, block_address(l, 4) % (2 << 20));
	assert_true(lies_in(l, 4, 1, 4 << 20));
}

static void frees_that_are_none(void)
{
	struct lane *l;

	heapd_start("");
	l = lane_with_pool();
	EXPECT(0, do_add(l, CACHED, 0, BYTES));
	own_memory(l, 1, BYTES, false);
	EXPECT(0, do_add_own(l, UNCACHED, 1, 0, BYTES));
	EXPECT(0, do_take(l, 2, CACHED, 64));
	EXPECT(0, do_take(l, 3, UNCACHED, 64));
	EXPECT(0, fill_block(l, 2, 64));
	EXPECT(0, forget_block(l, 9));
	EXPECT(0, do_give(l, 9)); /* NULL */
	assert_int_equal(0, watch_region(0).bad_frees);

	EXPECT(0, shift_block(l, 4, 2, 16)); /* inside a block */
	EXPECT(0, do_give(l, 4));
	EXPECT(0, shift_block(l, 4, 2, 64)); /* a block that is free */
	EXPECT(0, do_give(l, 4));
	assert_int_equal(2, watch_region(0).bad_frees);
	EXPECT(0, do_give(l, 3));
	EXPECT(0, do_give(l, 3)); /* twice */
	assert_int_equal(1, watch_region(1).bad_frees);
	own_memory(l, 5, 4096, false);
	EXPECT(0, do_give(l, 5)); /* in no region: the first has the count */
	assert_int_equal(3, watch_region(0).bad_frees);
	assert_int_equal(64, watch_region(0).used);
	assert_int_equal(0, watch_region(1).used);
	EXPECT(0, check_block(l, 2, 2, 64));
	EXPECT(0, do_give(l, 2));
	assert_int_equal(0, watch_region(0).used);
	EXPECT(0, do_take(l, 2, CACHED, BYTES));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(nothing_before_init),
		STORY(no_daemon),
		STORY(what_add_refuses),
		STORY(a_ninth_of_an_attribute),
		STORY(a_small_region_serves_two_sizes),
		STORY(the_memory_is_never_touched),
		STORY(tried_in_order_and_by_kind),
		STORY(requests_that_get_nothing),
		STORY(aligned_requests),
		STORY(frees_that_are_none),
	};

	return cmocka_run_group_tests_name("multiheap", tests, NULL, NULL);
}
