/*
 * Story: memory that one process holds free is found by another that needs it
 */
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define MIB ((size_t)1 << 20)
#define BOUND "[daemon]\nrecall = 30ms\n"

static void nonblock_finds_what_others_hold_free(void)
{
	struct lane *a = lane_new(), *b = lane_new();

	heapd_start(PATIENT);
	EXPECT(0, do_create(a, 0, "pool", MIB, H_FIFO));
	assert_int_equal(MIB, watch_granted("pool"));
	EXPECT(0, do_bind(b, 0, "pool"));
	EXPECT(0, do_alloc(b, 0, 0, 64, TM_NONBLOCK));
	EXPECT(0, do_alloc(b, 0, 1, MIB / 2, TM_NONBLOCK));
	EXPECT(0, do_alloc(a, 0, 0, MIB / 4, TM_NONBLOCK));
	EXPECT(-EWOULDBLOCK, do_alloc(a, 0, 1, MIB / 2, TM_NONBLOCK));
	EXPECT(0, check_block(b, 0, 0, 64));
	EXPECT(0, check_block(b, 1, 1, MIB / 2));
	EXPECT(0, check_block(a, 0, 0, MIB / 4));
}

static void everything_goes_to_and_fro(void)
{
	struct lane *l[2] = { lane_new(), lane_new() };

	heapd_start(PATIENT);
	EXPECT(0, do_create(l[0], 0, "pool", MIB, H_FIFO));
	EXPECT(0, do_bind(l[1], 0, "pool"));
	for (int i = 0; i < 100 / STORY_FACTOR; i++) {
		struct step s = take_all(l[i % 2], 0, 0, 4096, 300);

		assert_int_equal(256, s.result);
		assert_int_equal(EWOULDBLOCK, s.value);
		EXPECT(-EWOULDBLOCK, do_alloc(l[1 - i % 2], 0, 0, 16, TM_NONBLOCK));
		EXPECT(0, free_range(l[i % 2], 0, 0, 256));
	}
}

/* Pages of both must come together for one run: the asker's own are part of it. */
static void runs_are_put_together(void)
{
	struct lane *a = lane_new(), *b = lane_new();

	heapd_start(PATIENT);
	EXPECT(0, do_create(a, 0, "pool", 8 * 4096, H_FIFO));
	EXPECT(0, do_bind(b, 0, "pool"));
	for (int i = 0; i < 20; i++) {
		for (int k = 0; k < 8; k++)
			EXPECT(0, do_alloc(k % 2 ? a : b, 0, k, 4096, TM_NONBLOCK));
		for (int k = 0; k < 8; k++)
			EXPECT(0, do_free(k % 2 ? a : b, 0, k));
		EXPECT(0, do_alloc(i % 2 ? a : b, 0, 9, 8 * 4096, TM_NONBLOCK));
		EXPECT(0, do_free(i % 2 ? a : b, 0, 9));
	}
}

/* Small blocks leave pages partly used; only wholly free ones can move. */
static void used_pages_stay(void)
{
	struct lane *a = lane_new(), *b = lane_new();
	struct step s;

	heapd_start(PATIENT);
	EXPECT(0, do_create(a, 0, "pool", MIB, H_FIFO));
	EXPECT(0, do_bind(b, 0, "pool"));
	EXPECT(4096, take_all(a, 0, 0, 256, 4096).result);
	for (int i = 0; i < 4096; i++)
		if (i % 1024 != 5)
			EXPECT(0, do_free(a, 0, i));
	s = take_all(b, 0, 0, 4096, 300);
	assert_int_equal(252, s.result);
	for (int i = 5; i < 4096; i += 1024)
		EXPECT(0, check_block(a, i, i, 256));
}

/* A page goes to another's waiter the moment the last of its blocks is freed, not before. */
static void the_last_block_of_a_page(void)
{
	struct lane *a = lane_new(), *b = lane_new();

	heapd_start(PATIENT);
	EXPECT(0, do_create(a, 0, "pool", 4 * 4096, H_FIFO));
	EXPECT(0, do_bind(b, 0, "pool"));
	EXPECT(1024, take_all(a, 0, 0, 16, 1024).result);
	lane_start(b, step_alloc(0, 0, 16, TM_INFINITE));
	UNTIL(watch_parked("pool") == 1);
	/* three blocks of every four, in each page; all but one in the last */
	for (int i = 0; i < 1023; i++)
		if (i % 4 || i >= 768)
			EXPECT(0, do_free(a, 0, i));
	assert_int_equal(1, watch_parked("pool"));
	assert_false(lane_done(b));
	EXPECT(0, do_free(a, 0, 1023));
	EXPECT(0, lane_result(b));
	EXPECT(192, take_all(b, 0, 1, 16, 192).result);
	for (int i = 0; i < 768; i += 4)
		EXPECT(0, check_block(a, i, i, 16));
}

static void a_stopped_process_delays_no_more_than_the_bound(void)
{
	struct actor *a = actor_new(1);
	struct lane *b = lane_new();
	struct step s;

	heapd_start(BOUND);
	EXPECT(0, do_create(&a->lane[0], 0, "pool", MIB, H_FIFO));
	actor_stop(a);
	EXPECT(0, do_bind(b, 0, "pool"));
	for (int i = 0; i < 3; i++) {
		s = lane_run(b, step_alloc(0, 0, 4096, TM_NONBLOCK));
		EXPECT(-EWOULDBLOCK, s.result);
		assert_true(s.took_ns < SECONDS(10));
	}
	EXPECT(-ETIMEDOUT, do_alloc(b, 0, 0, 4096, MS(50)));
	assert_int_equal(0, watch_parked("pool"));

	/* once it runs again its memory is found */
	actor_continue(a);
	UNTIL(do_alloc(b, 0, 0, 4096, TM_NONBLOCK) == 0);
	UNTIL(do_alloc(b, 0, 1, MIB / 2, TM_NONBLOCK) == 0);
	EXPECT(0, do_alloc(&a->lane[0], 0, 0, 4096, TM_NONBLOCK));
}

static void a_waiter_outwaits_a_stopped_process(void)
{
	struct actor *a = actor_new(1);
	struct lane *b = lane_new();

	heapd_start(BOUND);
	EXPECT(0, do_create(&a->lane[0], 0, "pool", MIB, H_FIFO));
	EXPECT(0, do_bind(b, 0, "pool"));
	actor_stop(a);
	/* more than may have been moved ahead of need, so it must wait for a */
	lane_start(b, step_alloc(0, 0, MIB, TM_INFINITE));
	UNTIL(watch_parked("pool") == 1);
	assert_false(lane_done(b));
	actor_continue(a);
	EXPECT(0, lane_result(b));
	assert_int_equal(0, watch_parked("pool"));
}

static void a_stopped_process_loses_nothing(void)
{
	struct actor *a = actor_new(1);
	struct lane *b = lane_new();

	heapd_start(BOUND);
	EXPECT(0, do_create(&a->lane[0], 0, "pool", 4 * 4096, H_FIFO));
	EXPECT(0, do_alloc(&a->lane[0], 0, 0, 4096, TM_NONBLOCK));
	EXPECT(0, do_bind(b, 0, "pool"));
	actor_stop(a);
	EXPECT(-EWOULDBLOCK, do_alloc(b, 0, 0, 4 * 4096, TM_NONBLOCK));
	actor_continue(a);
	EXPECT(0, check_block(&a->lane[0], 0, 0, 4096));
	UNTIL(do_alloc(b, 0, 0, 2 * 4096, TM_NONBLOCK) == 0);
	EXPECT(-EWOULDBLOCK, do_alloc(b, 0, 1, 2 * 4096, TM_NONBLOCK));
	EXPECT(0, do_free(&a->lane[0], 0, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(nonblock_finds_what_others_hold_free),
		STORY(everything_goes_to_and_fro),
		STORY(runs_are_put_together),
		STORY(used_pages_stay),
		STORY(the_last_block_of_a_page),
		STORY(a_stopped_process_delays_no_more_than_the_bound),
		STORY(a_waiter_outwaits_a_stopped_process),
		STORY(a_stopped_process_loses_nothing),
	};

	return cmocka_run_group_tests_name("recall", tests, NULL, NULL);
}
