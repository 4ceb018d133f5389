/*
 * Story: waits that end by themselves
 */
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define BYTES 16384

static void expect_timeouts(struct lane *l, int heap)
{
	struct step s = lane_run(l, step_alloc(heap, 5, 64, MS(20)));
	uint64_t at;

	EXPECT(-ETIMEDOUT, s.result);
	assert_true(s.took_ns >= MS(20));

	at = now_ns() + MS(20);
	EXPECT(-ETIMEDOUT, do_alloc_until(l, heap, 5, 64, at));
	assert_true(now_ns() >= at);

	EXPECT(-ETIMEDOUT, do_alloc(l, heap, 5, 64, 1));
	EXPECT(-ETIMEDOUT, do_alloc_until(l, heap, 5, 64, 0));
	EXPECT(-ETIMEDOUT, do_alloc_until(l, heap, 5, 64, now_ns() - 1));
	EXPECT(-EWOULDBLOCK, do_alloc(l, heap, 5, 64, TM_NONBLOCK));
	until_inquired(l, heap, 0);
}

static void a_full_local_heap(void)
{
	struct lane *l = lane_new();

	heapd_start(PATIENT);
	EXPECT(0, do_create(l, 0, NULL, BYTES, H_FIFO));
	EXPECT(0, do_alloc(l, 0, 0, BYTES, MS(1)));
	expect_timeouts(l, 0);
	EXPECT(0, do_free(l, 0, 0));
	EXPECT(0, do_alloc(l, 0, 0, BYTES, TM_NONBLOCK));
}

static void a_heap_that_another_fills(void)
{
	struct lane *holder = lane_new(), *l = lane_new();

	heapd_start(PATIENT);
	EXPECT(0, do_create(holder, 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_bind(l, 1, "pool"));
	EXPECT(0, do_alloc(holder, 0, 0, BYTES, TM_NONBLOCK));
	expect_timeouts(l, 1);
	assert_int_equal(0, watch_parked("pool"));
	assert_int_equal(0, watch_waiters("pool"));
	EXPECT(0, do_free(holder, 0, 0));
	EXPECT(0, do_alloc(l, 1, 0, BYTES, TM_NONBLOCK));
}

static void a_time_that_has_passed_takes_what_is_there(void)
{
	struct lane *l = lane_new();

	heapd_start("");
	EXPECT(0, do_create(l, 0, NULL, BYTES, H_FIFO));
	EXPECT(0, do_alloc_until(l, 0, 0, 64, 0));
	EXPECT(0, do_alloc_until(l, 0, 1, 64, now_ns() - 1));
	EXPECT(0, do_alloc(l, 0, 2, 64, 1));
}

/* The longest time there is must not wrap round into the past. */
static void the_longest_timeout_waits(void)
{
	struct actor *a = actor_new(3);

	heapd_start("");
	EXPECT(0, do_create(&a->lane[0], 0, NULL, BYTES, H_FIFO));
	EXPECT(0, do_alloc(&a->lane[0], 0, 0, BYTES, TM_NONBLOCK));
	lane_start(&a->lane[1], step_alloc(0, 1, 64, TM_NONBLOCK - 1));
	lane_start(&a->lane[2], step_alloc_until(0, 2, 64, UINT64_MAX));
	until_inquired(&a->lane[0], 0, 2);
	assert_false(lane_done(&a->lane[1]) || lane_done(&a->lane[2]));
	EXPECT(0, do_free(&a->lane[0], 0, 0));
	EXPECT(0, lane_result(&a->lane[1]));
	EXPECT(0, lane_result(&a->lane[2]));
}

static void memory_in_time(void)
{
	struct actor *a = actor_new(2);

	heapd_start("");
	EXPECT(0, do_create(&a->lane[0], 0, "pool", BYTES, H_FIFO));
	for (int i = 0; i < 20; i++) {
		EXPECT(0, do_alloc(&a->lane[0], 0, 0, BYTES, TM_NONBLOCK));
		lane_start(&a->lane[1],
			   i % 2 ? step_alloc(0, 1, 64, SECONDS(1000))
				 : step_alloc_until(0, 1, 64, now_ns() + SECONDS(1000)));
		until_inquired(&a->lane[0], 0, 1);
		EXPECT(0, do_free(&a->lane[0], 0, 0));
		EXPECT(0, lane_result(&a->lane[1]));
		EXPECT(0, do_free(&a->lane[1], 0, 1));
	}
}

static int run_until(struct step *s)
{
	struct timespec at = { 0, (long)s->n };
	void *block = &self;
	int r = rt_heap_alloc_until(&self.heap[0], 64, s->mode ? &at : NULL, &block);

	self.block[0] = block;
	return r;
}

static void bad_and_missing_times(void)
{
	struct actor *a = actor_new(2);

	heapd_start("");
	EXPECT(0, do_create(&a->lane[0], 0, NULL, BYTES, H_FIFO));
	EXPECT(-EINVAL, lane_run(&a->lane[0],
				 (struct step){ .run = run_until, .mode = 1, .n = NSEC_PER_SEC })
				.result);
	EXPECT(-EINVAL, lane_run(&a->lane[0],
				 (struct step){ .run = run_until, .mode = 1, .n = (uint64_t)-1 })
				.result);
	assert_int_equal(0, block_address(&a->lane[0], 0));

	/* NULL waits for ever */
	EXPECT(0, do_alloc(&a->lane[0], 0, 1, BYTES, TM_NONBLOCK));
	lane_start(&a->lane[1], (struct step){ .run = run_until });
	until_inquired(&a->lane[0], 0, 1);
	EXPECT(0, do_free(&a->lane[0], 0, 1));
	EXPECT(0, lane_result(&a->lane[1]));
}

/* Timeouts race with frees: whoever wins, no block is lost and none is given twice. */
static void timeouts_race_with_frees(void)
{
	struct lane *holder = lane_new(), *waiter = lane_new();
	int served = 0;

	heapd_start(PATIENT);
	EXPECT(0, do_create(holder, 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_bind(waiter, 0, "pool"));
	for (int i = 0; i < 200 / STORY_FACTOR; i++) {
		int r;

		EXPECT(0, do_alloc(holder, 0, 0, BYTES, TM_NONBLOCK));
		lane_start(waiter, step_alloc(0, 0, BYTES, 20000 + 7000 * (RTIME)(i % 50)));
		EXPECT(0, do_free(holder, 0, 0));
		r = lane_result(waiter);
		assert_true(r == 0 || r == -ETIMEDOUT);
		if (r == 0)
			EXPECT(0, do_free(waiter, 0, 0));
		served += r == 0;
	}
	print_message("  %d served in time\n", served);
	assert_int_equal(0, watch_parked("pool"));
	until_inquired(holder, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_full_local_heap),
		STORY(a_heap_that_another_fills),
		STORY(a_time_that_has_passed_takes_what_is_there),
		STORY(the_longest_timeout_waits),
		STORY(memory_in_time),
		STORY(bad_and_missing_times),
		STORY(timeouts_race_with_frees),
	};

	return cmocka_run_group_tests_name("timeout", tests, NULL, NULL);
}
