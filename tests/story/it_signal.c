/*
 * Story: signals that reach a waiting thread
 *
 * Without SA_RESTART the wait ends with -EINTR, with it the wait goes on, whatever it waits for and
 * however long it may. A thread that is seen waiting may still be on its way into the kernel, so a
 * signal is sent again until it has its effect.
 */
#include <pthread.h>
#include <signal.h>
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define BYTES 16384

static uint64_t signals(void)
{
	return atomic_load(&board->count[BOARD_SIGNALS]);
}

/* The started lane ends with -EINTR. */
static void expect_interrupted(struct lane *l)
{
	while (!lane_done(l)) {
		lane_signal(l, SIGUSR1);
		story_pause("the wait is interrupted", __FILE__, __LINE__);
	}
	EXPECT(-EINTR, lane_result(l));
	assert_true(signals() > 0);
}

/* Handlers run in the lane's thread and it waits on. */
static void expect_undisturbed(struct lane *l)
{
	for (uint64_t i = 1; i <= 5; i++) {
		uint64_t before = signals();

		lane_signal(l, SIGUSR1);
		UNTIL(signals() > before);
		for (int k = 0; k < 5; k++)
			story_pause("time to end the wait, wrongly", __FILE__, __LINE__);
		assert_false(lane_done(l));
	}
}

static void start_wait(struct lane *l, int way)
{
	switch (way) {
	case 0:
		lane_start(l, step_alloc(0, 1, 4096, TM_INFINITE));
		break;
	case 1:
		lane_start(l, step_alloc(0, 1, 4096, SECONDS(1000)));
		break;
	default:
		lane_start(l, step_alloc_until(0, 1, 4096, now_ns() + SECONDS(1000)));
	}
}

static void in_a_local_heap(bool restart)
{
	struct actor *a = actor_new(2);

	heapd_start("");
	EXPECT(0, do_create(&a->lane[0], 0, NULL, BYTES, H_FIFO));
	EXPECT(0, catch_signal(&a->lane[0], restart));
	for (int way = 0; way < 3; way++) {
		EXPECT(0, do_alloc(&a->lane[0], 0, 0, BYTES, TM_NONBLOCK));
		start_wait(&a->lane[1], way);
		until_inquired(&a->lane[0], 0, 1);
		if (restart)
			expect_undisturbed(&a->lane[1]);
		else
			expect_interrupted(&a->lane[1]);
		EXPECT(0, do_free(&a->lane[0], 0, 0));
		if (restart) {
			EXPECT(0, lane_result(&a->lane[1]));
			EXPECT(0, do_free(&a->lane[1], 0, 1));
		}
		until_inquired(&a->lane[0], 0, 0);
	}
}

static void in_a_named_heap(bool restart)
{
	struct lane *holder = lane_new(), *l = lane_new();

	heapd_start(PATIENT);
	EXPECT(0, do_create(holder, 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_bind(l, 0, "pool"));
	EXPECT(0, catch_signal(l, restart));
	for (int way = 0; way < 3; way++) {
		EXPECT(0, do_alloc(holder, 0, 0, BYTES, TM_NONBLOCK));
		start_wait(l, way);
		UNTIL(watch_parked("pool") == 1);
		if (restart)
			expect_undisturbed(l);
		else
			expect_interrupted(l);
		if (!restart)
			assert_int_equal(0, watch_parked("pool"));
		EXPECT(0, do_free(holder, 0, 0));
		if (restart) {
			EXPECT(0, lane_result(l));
			EXPECT(0, do_free(l, 0, 1));
		}
		until_inquired(holder, 0, 0);
	}
}

static void in_a_bind(bool restart)
{
	struct lane *maker = lane_new(), *l = lane_new();

	heapd_start("");
	EXPECT(0, catch_signal(l, restart));
	for (int timed = 0; timed < 2; timed++) {
		lane_start(l, timed ? step_bind_timed(1, "late", SECONDS(1000))
				    : step_bind(1, "late"));
		UNTIL(watch_stat().parked_binds == 1);
		if (restart)
			expect_undisturbed(l);
		else
			expect_interrupted(l);
		if (!restart)
			assert_int_equal(0, watch_stat().parked_binds);
		EXPECT(0, do_create(maker, 0, "late", BYTES, H_FIFO));
		if (restart) {
			EXPECT(0, lane_result(l));
			EXPECT(0, do_unbind(l, 1));
		}
		EXPECT(0, do_delete(maker, 0));
		EXPECT(0, do_unbind(maker, 0));
	}
}

static void interrupts_a_wait_in_a_local_heap(void)
{
	in_a_local_heap(false);
}

static void restarts_a_wait_in_a_local_heap(void)
{
	in_a_local_heap(true);
}

static void interrupts_a_wait_in_a_named_heap(void)
{
	in_a_named_heap(false);
}

static void restarts_a_wait_in_a_named_heap(void)
{
	in_a_named_heap(true);
}

static void interrupts_a_bind(void)
{
	in_a_bind(false);
}

static void restarts_a_bind(void)
{
	in_a_bind(true);
}

static void interrupts_a_bind_without_a_daemon(void)
{
	struct lane *l = lane_new();

	EXPECT(0, catch_signal(l, false));
	lane_start(l, step_bind(0, "never"));
	expect_interrupted(l);
	lane_start(l, step_bind_timed(0, "never", SECONDS(1000)));
	expect_interrupted(l);
	EXPECT(0, catch_signal(l, true));
	lane_start(l, step_bind(0, "late"));
	for (int i = 0; i < 10; i++)
		story_pause("the binder is inside its wait", __FILE__, __LINE__);
	expect_undisturbed(l);
	heapd_start("");
	EXPECT(0, do_create(lane_new(), 0, "late", BYTES, H_FIFO));
	EXPECT(0, lane_result(l));
}

/* Only the thread that got the signal comes back. */
static void one_of_several(void)
{
	struct actor *a = actor_new(4);

	heapd_start("");
	EXPECT(0, do_create(&a->lane[0], 0, "pool", BYTES, H_FIFO));
	EXPECT(0, catch_signal(&a->lane[0], false));
	EXPECT(0, do_alloc(&a->lane[0], 0, 0, BYTES, TM_NONBLOCK));
	for (int i = 1; i <= 3; i++)
		lane_start(&a->lane[i], step_alloc(0, i, 4096, TM_INFINITE));
	until_inquired(&a->lane[0], 0, 3);
	expect_interrupted(&a->lane[2]);
	until_inquired(&a->lane[0], 0, 2);
	EXPECT(0, do_free(&a->lane[0], 0, 0));
	EXPECT(0, lane_result(&a->lane[1]));
	EXPECT(0, lane_result(&a->lane[3]));
}

/* A storm of signals over calls that do not wait, and over round trips, breaks none of them. */
static int run_busy(struct step *s)
{
	for (uint64_t i = 0; i < s->n || signals() <= 10; i++) {
		RT_HEAP_INFO info;
		RT_HEAP again;
		void *block;
		int r = rt_heap_alloc(&self.heap[0], 4096, TM_NONBLOCK, &block);

		if (r == 0)
			r = rt_heap_inquire(&self.heap[0], &info);
		if (r == 0)
			r = rt_heap_bind_timed(&again, "pool", TM_NONBLOCK);
		if (r == 0)
			r = rt_heap_unbind(&again);
		if (r == 0)
			r = rt_heap_free(&self.heap[0], block);
		if (r)
			return r;
	}
	return 0;
}

static void calls_that_do_not_wait_are_not_interrupted(void)
{
	struct lane *l = lane_new();

	heapd_start(PATIENT);
	EXPECT(0, do_create(l, 0, "pool", BYTES, H_FIFO));
	EXPECT(0, catch_signal(l, false));
	lane_start(l, (struct step){ .run = run_busy, .n = 5000 / STORY_FACTOR });
	while (!lane_done(l))
		lane_signal(l, SIGUSR1);
	EXPECT(0, lane_result(l));
	assert_true(signals() > 10);
}

/* ---- cancellation: no call is a cancellation point ---- */

static void *wait_and_end(void *arg)
{
	struct step *s = arg;
	void *block = NULL;
	RT_HEAP heap;

	(void)pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, NULL);
	s->result = s->mode ? rt_heap_bind(&heap, "late") :
			      rt_heap_alloc(&self.heap[0], 4096, TM_INFINITE, &block);
	atomic_fetch_add(&board->count[1], 1); /* it came back, cancelled or not */
	pthread_testcancel();
	return NULL;
}

/* A thread that waits is cancelled; it is still served, and ends afterwards. */
static int run_cancelled(struct step *s)
{
	pthread_t thread;
	void *value;

	if (pthread_create(&thread, NULL, wait_and_end, s))
		return -EAGAIN;
	while (!atomic_load(&board->count[0])) /* until the test sees it wait */
		(void)usleep(1000);
	(void)pthread_cancel(thread);
	atomic_store(&board->count[2], 1);
	(void)pthread_join(thread, &value);
	return value == PTHREAD_CANCELED ? s->result : -ECHILD;
}

static void cancellation_waits(void)
{
	struct actor *a = actor_new(2);

	if (STORY_ASAN)
		story_skip("the address sanitizer takes the unwound stack of a cancelled thread "
			   "for a bad one");
	heapd_start("");
	EXPECT(0, do_create(&a->lane[0], 0, "pool", BYTES, H_FIFO));
	for (int bind = 0; bind < 2; bind++) {
		for (int i = 0; i < 3; i++)
			atomic_store(&board->count[i], 0);
		EXPECT(0, do_alloc(&a->lane[0], 0, 0, BYTES, TM_NONBLOCK));
		lane_start(&a->lane[1], (struct step){ .run = run_cancelled, .mode = bind });
		if (bind)
			UNTIL(watch_stat().parked_binds == 1);
		else
			until_inquired(&a->lane[0], 0, 1);
		atomic_store(&board->count[0], 1);
		UNTIL(atomic_load(&board->count[2]) == 1);
		for (int i = 0; i < 10; i++)
			story_pause("time to be cancelled, wrongly", __FILE__, __LINE__);
		assert_int_equal(0, atomic_load(&board->count[1]));
		if (bind)
			EXPECT(0, do_create(&a->lane[0], 1, "late", BYTES, H_FIFO));
		EXPECT(0, do_free(&a->lane[0], 0, 0));
		EXPECT(0, lane_result(&a->lane[1]));
		assert_int_equal(1, atomic_load(&board->count[1]));
		if (!bind) { /* its block is taken, though nobody has the pointer */
			RT_HEAP_INFO info;

			EXPECT(0, do_inquire(&a->lane[0], 0, &info));
			assert_int_equal(4096, info.usedmem);
			EXPECT(0, do_pointer(&a->lane[0], 0, 1, 0));
			EXPECT(0, do_free(&a->lane[0], 0, 1));
		}
	}
}

static void *free_and_end(void *arg)
{
	struct step *s = arg;

	(void)pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, NULL);
	(void)pthread_cancel(pthread_self());
	s->result = rt_heap_free(&self.heap[0], self.block[0]);
	atomic_fetch_add(&board->count[1], 1);
	pthread_testcancel();
	return NULL;
}

static int run_cancelled_free(struct step *s)
{
	pthread_t thread;
	void *value;

	if (pthread_create(&thread, NULL, free_and_end, s) || pthread_join(thread, &value))
		return -EAGAIN;
	return value == PTHREAD_CANCELED ? s->result : -ECHILD;
}

/* A free that gives pages to heapd, for another process waits: it is done, and the heap's lock is given. */
static void cancellation_waits_for_a_free(void)
{
	struct lane *l = lane_new(), *other = lane_new();

	if (STORY_ASAN)
		story_skip("as cancellation_waits");
	heapd_start(PATIENT);
	EXPECT(0, do_create(l, 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_bind(other, 0, "pool"));
	EXPECT(0, do_alloc(l, 0, 0, BYTES, TM_NONBLOCK));
	lane_start(other, step_alloc(0, 0, 4096, TM_INFINITE));
	UNTIL(watch_stat().parked_refills == 1);
	lane_start(l, (struct step){ .run = run_cancelled_free });
	EXPECT(0, lane_result(other));
	EXPECT(0, lane_result(l));
	assert_int_equal(1, atomic_load(&board->count[1]));
	for (int i = 1; i <= 3; i++) /* not in one: which page the other has is not said */
		EXPECT(0, do_alloc(l, 0, i, 4096, TM_NONBLOCK));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(interrupts_a_wait_in_a_local_heap),
		STORY(restarts_a_wait_in_a_local_heap),
		STORY(interrupts_a_wait_in_a_named_heap),
		STORY(restarts_a_wait_in_a_named_heap),
		STORY(interrupts_a_bind),
		STORY(restarts_a_bind),
		STORY(interrupts_a_bind_without_a_daemon),
		STORY(one_of_several),
		STORY(cancellation_waits),
		STORY(cancellation_waits_for_a_free),
		STORY(calls_that_do_not_wait_are_not_interrupted),
	};

	return cmocka_run_group_tests_name("signal", tests, NULL, NULL);
}
