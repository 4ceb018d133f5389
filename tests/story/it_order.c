/*
 * Story: memory comes to waiters in their order, in one process and across processes
 *
 * A heap of four hardware pages is taken whole. Waiters queue up one after the other (each is seen
 * waiting before the next begins), then the pages are freed one by one, and each must go to
 * exactly the one whose turn it is.
 */
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define PAGES 4
#define BYTES (PAGES * 4096)

/* Frees the holder's blocks one by one; the lanes must finish in the given order. */
static void expect_order(struct lane *holder, struct lane *const l[], const int order[], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct lane *first;

		EXPECT(0, do_free(holder, 0, (int)i));
		first = lane_first(l, n);
		EXPECT(0, lane_result(first));
		for (size_t k = 0; k < n; k++)
			if (l[k] == first)
				assert_int_equal(order[i], k);
	}
}

static void take_whole(struct lane *holder)
{
	EXPECT(PAGES, take_all(holder, 0, 0, 4096, PAGES).result);
}

/* Lanes 1 .. 4 of one actor, with these priorities, wait in this order. */
static void within(const char *name, int mode, const int priority[4], const int order[4])
{
	struct actor *a = actor_new(5);
	struct lane *l[4];

	heapd_start(PATIENT);
	EXPECT(0, do_create(&a->lane[0], 0, name, BYTES, mode));
	take_whole(&a->lane[0]);
	for (int i = 0; i < 4; i++) {
		l[i] = &a->lane[i + 1];
		if (set_priority(l[i], priority[i]) == -EPERM)
			story_skip("SCHED_FIFO is not permitted here");
		lane_start(l[i], step_alloc(0, 10 + i, 4096, TM_INFINITE));
		until_inquired(&a->lane[0], 0, i + 1);
	}
	expect_order(&a->lane[0], l, order, 4);
	for (int i = 0; i < 4; i++)
		EXPECT(0, check_block(&a->lane[0], 10 + i, 10 + i, 4096));
}

static const int in_turn[4] = { 0, 1, 2, 3 }, no_priority[4] = { 0, 0, 0, 0 };
static const int rising[4] = { 1, 2, 3, 4 };
static const int mixed[4] = { 5, 20, 10, 20 }, by_priority[4] = { 1, 3, 2, 0 };

static void fifo_in_a_local_heap(void)
{
	within(NULL, H_FIFO, no_priority, in_turn);
}

static void fifo_in_a_named_heap(void)
{
	within("pool", H_FIFO, no_priority, in_turn);
}

static void fifo_knows_no_priority(void)
{
	within("pool", H_FIFO, rising, in_turn);
}

static void priority_in_a_local_heap(void)
{
	within(NULL, H_PRIO, mixed, by_priority);
}

static void priority_in_a_named_heap(void)
{
	within("pool", H_PRIO, mixed, by_priority);
}

static void equals_in_turn(void)
{
	within("pool", H_PRIO, no_priority, in_turn);
}

/* One actor for each waiter, and one that holds everything. */
static void across(int mode, const int priority[4], const int order[4])
{
	struct lane *holder = lane_new(), *l[4];

	heapd_start(PATIENT);
	EXPECT(0, do_create(holder, 0, "pool", BYTES, mode));
	take_whole(holder);
	for (int i = 0; i < 4; i++) {
		l[i] = lane_new();
		EXPECT(0, do_bind(l[i], 0, "pool"));
		if (set_priority(l[i], priority[i]) == -EPERM)
			story_skip("SCHED_FIFO is not permitted here");
		lane_start(l[i], step_alloc(0, 0, 4096, TM_INFINITE));
		UNTIL(watch_parked("pool") == (uint32_t)i + 1);
	}
	expect_order(holder, l, order, 4);
}

static void fifo_across_processes(void)
{
	across(H_FIFO, no_priority, in_turn);
}

static void fifo_across_processes_knows_no_priority(void)
{
	across(H_FIFO, rising, in_turn);
}

static void priority_across_processes(void)
{
	across(H_PRIO, mixed, by_priority);
}

/* Waiters of the freeing process and of another stand in one queue. */
static void the_holders_own_waiters_have_no_privilege(void)
{
	struct actor *a = actor_new(3), *b = actor_new(2);
	struct lane *l[4] = { &b->lane[0], &a->lane[1], &b->lane[1], &a->lane[2] };

	heapd_start(PATIENT);
	EXPECT(0, do_create(&a->lane[0], 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_bind(&b->lane[0], 0, "pool"));
	take_whole(&a->lane[0]);
	for (int i = 0; i < 4; i++) {
		lane_start(l[i], step_alloc(0, 10 + i, 4096, TM_INFINITE));
		until_inquired(&a->lane[0], 0, i + 1);
		UNTIL(watch_parked("pool") == (uint32_t)i + 1);
	}
	expect_order(&a->lane[0], l, in_turn, 4);
}

/* It waited while its process was alone with the heap. */
static void a_waiter_from_before_the_second_process(void)
{
	struct actor *a = actor_new(2);
	struct lane *b = lane_new(), *l[2] = { &a->lane[1], b };

	heapd_start(PATIENT);
	EXPECT(0, do_create(&a->lane[0], 0, "pool", BYTES, H_FIFO));
	take_whole(&a->lane[0]);
	lane_start(l[0], step_alloc(0, 10, 4096, TM_INFINITE));
	until_inquired(&a->lane[0], 0, 1);
	EXPECT(0, do_bind(b, 0, "pool"));
	lane_start(b, step_alloc(0, 0, 4096, TM_INFINITE));
	UNTIL(watch_parked("pool") == 2);
	expect_order(&a->lane[0], l, in_turn, 2);
}

static void priority_counts_over_both(void)
{
	static const int order[4] = { 3, 2, 1, 0 };
	struct actor *a = actor_new(3), *b = actor_new(2);
	struct lane *l[4] = { &a->lane[1], &b->lane[0], &a->lane[2], &b->lane[1] };

	heapd_start(PATIENT);
	EXPECT(0, do_create(&a->lane[0], 0, "pool", BYTES, H_PRIO));
	EXPECT(0, do_bind(&b->lane[0], 0, "pool"));
	take_whole(&a->lane[0]);
	for (int i = 0; i < 4; i++) {
		if (set_priority(l[i], i + 1) == -EPERM)
			story_skip("SCHED_FIFO is not permitted here");
		lane_start(l[i], step_alloc(0, 10 + i, 4096, TM_INFINITE));
		until_inquired(&a->lane[0], 0, i + 1);
		UNTIL(watch_parked("pool") == (uint32_t)i + 1);
	}
	expect_order(&a->lane[0], l, order, 4);
}

static void small_passes_large(void)
{
	struct actor *a = actor_new(3);
	struct lane *large = &a->lane[1], *small = &a->lane[2];

	heapd_start(PATIENT);
	EXPECT(0, do_create(&a->lane[0], 0, NULL, BYTES, H_FIFO));
	take_whole(&a->lane[0]);
	lane_start(large, step_alloc(0, 10, 2 * 4096, TM_INFINITE));
	until_inquired(&a->lane[0], 0, 1);
	lane_start(small, step_alloc(0, 11, 4096, TM_INFINITE));
	until_inquired(&a->lane[0], 0, 2);
	EXPECT(0, do_free(&a->lane[0], 0, 0));
	EXPECT(0, lane_result(small));
	assert_false(lane_done(large));
	until_inquired(&a->lane[0], 0, 1);
	EXPECT(0, free_range(&a->lane[0], 0, 1, 3));
	EXPECT(0, lane_result(large));
}

static void small_passes_large_across_processes(void)
{
	struct lane *holder = lane_new(), *large = lane_new(), *small = lane_new();

	heapd_start(PATIENT);
	EXPECT(0, do_create(holder, 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_bind(large, 0, "pool"));
	EXPECT(0, do_bind(small, 0, "pool"));
	take_whole(holder);
	lane_start(large, step_alloc(0, 0, 2 * 4096, TM_INFINITE));
	UNTIL(watch_parked("pool") == 1);
	lane_start(small, step_alloc(0, 0, 4096, TM_INFINITE));
	UNTIL(watch_parked("pool") == 2);
	EXPECT(0, do_free(holder, 0, 0));
	EXPECT(0, lane_result(small));
	assert_false(lane_done(large));
	EXPECT(0, free_range(holder, 0, 1, 3));
	EXPECT(0, lane_result(large));
}

/* One free can serve several. */
static void a_large_block_serves_many(void)
{
	struct actor *a = actor_new(5);

	heapd_start(PATIENT);
	EXPECT(0, do_create(&a->lane[0], 0, NULL, BYTES, H_FIFO));
	EXPECT(0, do_alloc(&a->lane[0], 0, 0, BYTES, TM_NONBLOCK));
	for (int i = 1; i <= 4; i++) {
		lane_start(&a->lane[i], step_alloc(0, i, 64, TM_INFINITE));
		until_inquired(&a->lane[0], 0, i);
	}
	EXPECT(0, do_free(&a->lane[0], 0, 0));
	for (int i = 1; i <= 4; i++)
		EXPECT(0, lane_result(&a->lane[i]));
	until_inquired(&a->lane[0], 0, 0);
}

/* Frees block .slot and at once asks for as much itself: -EWOULDBLOCK if the waiter has it. */
static int run_free_and_grab(struct step *s)
{
	void *block;
	int r = rt_heap_free(&self.heap[s->heap], self.block[s->slot]);

	if (r)
		return r;
	return rt_heap_alloc(&self.heap[s->heap], 4096, TM_NONBLOCK, &block);
}

static void nobody_steals(const char *name, bool other_process)
{
	struct actor *a = actor_new(2);
	struct lane *holder = &a->lane[0], *waiter = other_process ? lane_new() : &a->lane[1];

	heapd_start(PATIENT);
	EXPECT(0, do_create(holder, 0, name, BYTES, H_FIFO));
	if (other_process)
		EXPECT(0, do_bind(waiter, 0, name));
	take_whole(holder);
	for (int i = 0; i < 50; i++) {
		lane_start(waiter, step_alloc(0, 8, 4096, TM_INFINITE));
		until_inquired(holder, 0, 1);
		if (other_process)
			UNTIL(watch_parked(name) == 1);
		EXPECT(-EWOULDBLOCK,
		       lane_run(holder, (struct step){ .run = run_free_and_grab }).result);
		EXPECT(0, lane_result(waiter));
		EXPECT(0, do_free(waiter, 0, 8));
		EXPECT(0, do_alloc(holder, 0, 0, 4096, TM_NONBLOCK));
	}
}

static void nobody_steals_within_a_process(void)
{
	nobody_steals(NULL, false);
}

static void nobody_steals_across_processes(void)
{
	nobody_steals("pool", true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(fifo_in_a_local_heap),
		STORY(fifo_in_a_named_heap),
		STORY(fifo_knows_no_priority),
		STORY(priority_in_a_local_heap),
		STORY(priority_in_a_named_heap),
		STORY(equals_in_turn),
		STORY(fifo_across_processes),
		STORY(fifo_across_processes_knows_no_priority),
		STORY(priority_across_processes),
		STORY(the_holders_own_waiters_have_no_privilege),
		STORY(a_waiter_from_before_the_second_process),
		STORY(priority_counts_over_both),
		STORY(small_passes_large),
		STORY(small_passes_large_across_processes),
		STORY(a_large_block_serves_many),
		STORY(nobody_steals_within_a_process),
		STORY(nobody_steals_across_processes),
	};

	return cmocka_run_group_tests_name("order", tests, NULL, NULL);
}
