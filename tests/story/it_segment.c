/*
 * Story: several processes share one segment
 */
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define MIB ((size_t)1 << 20)

static void a_megabyte_is_shared(void)
{
	struct lane *a = lane_new(), *b = lane_new();
	size_t offset = 1;

	heapd_start("");
	EXPECT(0, do_create(b, 1, "other", MIB, H_SHARED)); /* lies where the segment lies in a */
	EXPECT(0, do_create(a, 0, "segment", MIB, H_SHARED));
	EXPECT(0, do_bind(b, 0, "segment"));
	EXPECT(0, do_alloc(a, 0, 7, MIB, TM_NONBLOCK)); /* and fills it */
	EXPECT(0, do_alloc(b, 0, 1, 0, TM_NONBLOCK));
	assert_true(block_address(a, 7) != block_address(b, 1));
	EXPECT(0, check_block(b, 1, 7, MIB));

	/* the other way, at the last bytes */
	EXPECT(0, put_text(b, 1, MIB - 4, "end"));
	assert_string_equal("end", get_text(a, 7, MIB - 4).text);

	/* one offset, two addresses */
	EXPECT(0, shift_block(a, 8, 7, 12345));
	EXPECT(0, do_offset(a, 0, 8, &offset));
	assert_int_equal(12345, offset);
	EXPECT(0, do_pointer(b, 0, 2, offset));
	assert_int_equal(block_address(b, 1) + 12345, block_address(b, 2));
	EXPECT(0, put_text(a, 8, 0, "here"));
	assert_string_equal("here", get_text(b, 2, 0).text);
}

static void the_address_is_always_the_same(void)
{
	struct lane *a = lane_new();

	heapd_start("");
	EXPECT(0, do_create(a, 0, "segment", 5000, H_SHARED));
	EXPECT(0, do_alloc(a, 0, 0, 0, TM_NONBLOCK));
	EXPECT(0, do_alloc(a, 0, 1, 5000, TM_INFINITE));
	EXPECT(0, do_alloc(a, 0, 2, 0, MS(1)));
	assert_int_equal(block_address(a, 0), block_address(a, 1));
	assert_int_equal(block_address(a, 0), block_address(a, 2));
	assert_int_equal(0, block_address(a, 0) % 4096);

	EXPECT(-EINVAL, do_alloc(a, 0, 3, 4999, TM_NONBLOCK));
	EXPECT(-EINVAL, do_alloc(a, 0, 3, 5001, TM_NONBLOCK));
	EXPECT(-EINVAL, do_alloc(a, 0, 3, 8192, TM_NONBLOCK));
	EXPECT(-EINVAL, do_alloc(a, 0, 3, 1, TM_INFINITE));

	/* free has no effect */
	EXPECT(0, do_free(a, 0, 0));
	EXPECT(0, do_free(a, 0, 0));
	EXPECT(0, check_block(a, 0, 1, 5000));
	EXPECT(0, do_alloc(a, 0, 2, 0, TM_NONBLOCK));
	assert_int_equal(block_address(a, 1), block_address(a, 2));
}

static void inquire_tells_of_a_segment(void)
{
	struct lane *a = lane_new(), *b = lane_new();
	RT_HEAP_INFO info;

	heapd_start("");
	EXPECT(0, do_create(a, 0, "segment", 5000, H_SHARED | H_PRIO));
	EXPECT(0, do_bind(b, 3, "segment"));
	EXPECT(0, do_inquire(b, 3, &info));
	assert_int_equal(5000, info.heapsize);
	assert_int_equal(8192, info.usablemem);
	assert_int_equal(H_SHARED | H_PRIO, info.mode);
	assert_int_equal(0, info.nwaiters);
	assert_string_equal("segment", info.name);
}

static void a_segment_outlives_its_creator(void)
{
	struct actor *a = actor_new(1);
	struct lane *b = lane_new();

	heapd_start("");
	EXPECT(0, do_create(&a->lane[0], 0, "will", 3 * 4096, H_SHARED));
	EXPECT(0, do_alloc(&a->lane[0], 0, 5, 3 * 4096, TM_NONBLOCK));
	actor_quit(a);
	UNTIL(watch_bound("will") == 0);
	EXPECT(0, do_bind_timed(b, 0, "will", TM_NONBLOCK));
	EXPECT(0, do_alloc(b, 0, 0, 0, TM_NONBLOCK));
	EXPECT(0, check_block(b, 0, 5, 3 * 4096));
	EXPECT(0, do_delete(b, 0));
}

static void a_segment_starts_zeroed(void)
{
	struct lane *a = lane_new();

	heapd_start("");
	EXPECT(0, do_create(a, 0, "segment", 8192, H_SHARED));
	EXPECT(0, do_alloc(a, 0, 0, 0, TM_NONBLOCK));
	assert_string_equal("", get_text(a, 0, 0).text);
	EXPECT(0, put_text(a, 0, 0, "secret"));
	EXPECT(0, do_delete(a, 0));
	EXPECT(0, do_unbind(a, 0));
	EXPECT(0, do_create(a, 0, "segment", 8192, H_SHARED));
	EXPECT(0, do_alloc(a, 0, 0, 0, TM_NONBLOCK));
	assert_string_equal("", get_text(a, 0, 0).text);
}

static void a_single_block_may_have_no_name(void)
{
	struct lane *a = lane_new(), *b = lane_new();
	RT_HEAP_INFO info;

	heapd_start("");
	EXPECT(-EINVAL, do_create(a, 0, NULL, 8192, H_SHARED));
	EXPECT(-EINVAL, do_create(a, 0, "", 8192, H_SHARED));
	EXPECT(0, do_create(a, 0, NULL, 8192, H_SINGLE));
	EXPECT(0, do_alloc(a, 0, 0, 0, TM_NONBLOCK));
	EXPECT(0, do_alloc(a, 0, 1, 8192, TM_NONBLOCK));
	assert_int_equal(block_address(a, 0), block_address(a, 1));
	EXPECT(-EINVAL, do_alloc(a, 0, 1, 4096, TM_NONBLOCK));
	EXPECT(0, do_inquire(a, 0, &info));
	assert_string_equal("", info.name);
	assert_int_equal(H_SINGLE, info.mode);

	EXPECT(0, do_create(a, 1, "single", 8192, H_SINGLE));
	EXPECT(0, do_bind(b, 0, "single"));
	EXPECT(0, do_alloc(a, 1, 2, 8192, TM_NONBLOCK));
	EXPECT(0, do_alloc(b, 0, 0, 0, TM_NONBLOCK));
	EXPECT(0, check_block(b, 0, 2, 8192));
}

static void one_creator_wins(void)
{
	enum { N = 4 };
	struct lane *l[N];
	int won = 0;

	heapd_start("");
	for (int i = 0; i < N; i++)
		l[i] = lane_new();
	for (int round = 0; round < 20; round++) {
		int winner = 0;

		for (int i = 0; i < N; i++)
			lane_start(l[i], step_create(0, "race", 4096, H_SHARED));
		won = 0;
		for (int i = 0; i < N; i++) {
			int r = lane_result(l[i]);

			assert_true(r == 0 || r == -EEXIST);
			if (r == 0) {
				won++;
				winner = i;
			}
		}
		assert_int_equal(1, won);
		EXPECT(0, do_delete(l[winner], 0));
		EXPECT(0, do_unbind(l[winner], 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_megabyte_is_shared),
		STORY(the_address_is_always_the_same),
		STORY(inquire_tells_of_a_segment),
		STORY(a_segment_outlives_its_creator),
		STORY(a_segment_starts_zeroed),
		STORY(a_single_block_may_have_no_name),
		STORY(one_creator_wins),
	};

	return cmocka_run_group_tests_name("segment", tests, NULL, NULL);
}
