/*
 * test_waitq.c: the order of waiting threads, and that a waiter is finished exactly once
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>

#include "client/waitq.h"

static struct waiter make(int32_t priority, uint64_t since, uint32_t park_id)
{
	return (struct waiter){ .size = since, .since_ns = since, .priority = priority, .park_id = park_id };
}

static void assert_order(const struct waitq *q, const uint64_t *since, size_t n)
{
	const struct waiter *w;
	size_t i = 0;

	TAILQ_FOREACH(w, &q->list, link) {
		assert_true(i < n);
		assert_int_equal(w->since_ns, since[i++]);
	}
	assert_int_equal(i, n);
	assert_int_equal(waitq_check(q), 0);
}

static void test_fifo_ignores_priority(void **state)
{
	struct waiter a = make(1, 10, 0), b = make(99, 20, 0), c = make(50, 15, 0);
	struct waitq q;

	(void)state;
	waitq_init(&q, false);
	waitq_add(&q, &a);
	waitq_add(&q, &b);
	waitq_add(&q, &c); /* it began earlier than b, but came to the queue later */
	assert_order(&q, (uint64_t[]){ 10, 15, 20 }, 3);
}

static void test_priority_then_time(void **state)
{
	struct waiter a = make(1, 10, 0), b = make(99, 20, 0), c = make(50, 15, 0), d = make(50, 12, 0);
	struct waitq q;

	(void)state;
	waitq_init(&q, true);
	waitq_add(&q, &a);
	waitq_add(&q, &b);
	waitq_add(&q, &c);
	waitq_add(&q, &d);
	assert_order(&q, (uint64_t[]){ 20, 12, 15, 10 }, 4);
}

static void test_equals_go_behind(void **state)
{
	struct waiter w[3] = { make(5, 10, 1), make(5, 10, 2), make(5, 10, 3) };
	const struct waiter *at;
	uint32_t expect = 1;
	struct waitq q;

	(void)state;
	waitq_init(&q, true);
	for (size_t i = 0; i < 3; i++)
		waitq_add(&q, &w[i]);
	TAILQ_FOREACH(at, &q.list, link)
		assert_int_equal(at->park_id, expect++);
}

static void test_finish_hands_over(void **state)
{
	struct waiter a = make(0, 1, 7), b = make(0, 2, 8);
	struct wakes wakes = { .n = 0 };
	struct waitq q;

	(void)state;
	waitq_init(&q, false);
	waitq_add(&q, &a);
	waitq_add(&q, &b);
	assert_ptr_equal(waitq_find(&q, 8), &b);
	waitq_finish(&q, &b, 0, 4096, &wakes);
	assert_true(waiter_is_done(&b));
	assert_int_equal(b.offset, 4096);
	assert_int_equal(b.result, 0);
	assert_null(waitq_find(&q, 8));
	assert_false(waiter_is_done(&a));
	assert_int_equal(wakes.n, 1);
	waitq_finish_all(&q, -EIDRM, &wakes);
	assert_int_equal(a.result, -EIDRM);
	assert_int_equal(q.n, 0);
	assert_true(TAILQ_EMPTY(&q.list));
	wakes_flush(&wakes);
	assert_int_equal(wakes.n, 0);
}

static void test_more_wakes_than_room(void **state)
{
	struct waiter w[WAKES_MAX * 2 + 3];
	struct wakes wakes = { .n = 0 };
	struct waitq q;

	(void)state;
	waitq_init(&q, false);
	for (size_t i = 0; i < ARRAY_SIZE(w); i++) {
		w[i] = make(0, i, 0);
		waitq_add(&q, &w[i]);
	}
	waitq_finish_all(&q, -EIDRM, &wakes);
	for (size_t i = 0; i < ARRAY_SIZE(w); i++)
		assert_true(waiter_is_done(&w[i]));
	assert_true(wakes.n <= WAKES_MAX);
	wakes_flush(&wakes);
}

static void test_unparked(void **state)
{
	struct waiter a = make(0, 1, 7), b = make(0, 2, 0);
	struct waitq q;

	(void)state;
	waitq_init(&q, false);
	assert_null(waitq_unparked(&q));
	waitq_add(&q, &a);
	assert_null(waitq_unparked(&q));
	waitq_add(&q, &b);
	assert_ptr_equal(waitq_unparked(&q), &b);
}

static void test_brief_is_not_counted(void **state)
{
	struct waiter a = make(0, 1, 0), b = make(0, 2, 0);
	struct wire_stats stats = { 0 };
	struct waitq q;

	(void)state;
	a.brief = true;
	waitq_init(&q, false);
	waitq_add(&q, &a);
	waitq_add(&q, &b);
	waitq_publish(&q, &stats);
	assert_int_equal(stats.n_waiters, 1);
	assert_int_equal(stats.waiter[0].since_ns, 2);
	waitq_remove(&q, &a);
	assert_int_equal(q.n, 1);
	waitq_remove(&q, &b);
	waitq_publish(&q, &stats);
	assert_int_equal(stats.n_waiters, 0);
	assert_int_equal(stats.waiter[0].since_ns, 0);
}

static void test_publish_first_only(void **state)
{
	struct waiter w[WIRE_STATS_WAITERS + 5];
	struct wire_stats stats = { 0 };
	struct waitq q;

	(void)state;
	waitq_init(&q, false);
	for (size_t i = 0; i < ARRAY_SIZE(w); i++) {
		w[i] = make(3, i + 1, 0);
		waitq_add(&q, &w[i]);
	}
	waitq_publish(&q, &stats);
	assert_int_equal(stats.n_waiters, ARRAY_SIZE(w));
	for (size_t i = 0; i < WIRE_STATS_WAITERS; i++)
		assert_int_equal(stats.waiter[i].since_ns, i + 1);
}

/* The auditor sees a list that is out of order, and a finished waiter on it. */
static void test_check_can_fail(void **state)
{
	struct waiter a = make(0, 1, 0), b = make(0, 2, 0);
	struct waitq q;

	(void)state;
	waitq_init(&q, false);
	waitq_add(&q, &a);
	waitq_add(&q, &b);
	a.since_ns = 3;
	assert_int_equal(waitq_check(&q), -EUCLEAN);
	a.since_ns = 1;
	assert_int_equal(waitq_check(&q), 0);
	atomic_store(&b.done, 1);
	assert_int_equal(waitq_check(&q), -EUCLEAN);
	atomic_store(&b.done, 0);
	q.n++;
	assert_int_equal(waitq_check(&q), -EUCLEAN);
}

/* Random adds, removes and finishes against a sorted copy. */
static void test_random(void **state)
{
	enum { N = 24 };
	struct waiter w[N];
	bool queued[N] = { false };
	unsigned seed = 1;
	struct waitq q;

	(void)state;
	waitq_init(&q, true);
	for (int step = 0; step < 200000; step++) {
		struct wakes wakes = { .n = 0 };
		size_t i;

		seed = seed * 1664525u + 1013904223u;
		i = (seed >> 16) % N;
		if (!queued[i]) {
			w[i] = make((int32_t)(seed >> 8) % 4, (seed >> 12) % 1000, (uint32_t)i + 1);
			waitq_add(&q, &w[i]);
		} else if (seed & 1) {
			waitq_remove(&q, &w[i]);
		} else {
			waitq_finish(&q, &w[i], 0, 1, &wakes);
			wakes_flush(&wakes);
		}
		queued[i] = !queued[i];
		assert_int_equal(waitq_check(&q), 0);
		for (i = 0; i < N; i++)
			assert_int_equal(waitq_find(&q, (uint32_t)i + 1) != NULL, queued[i]);
	}
}

static void *sleeper(void *arg)
{
	struct waiter *w = arg;

	while (!waiter_is_done(w))
		assert_int_equal(futex_wait(&w->done, 0, FOREVER), 0);
	return NULL;
}

static void test_wake_reaches_the_sleeper(void **state)
{
	pthread_t thread;

	(void)state;
	for (int i = 0; i < 200; i++) {
		struct waiter w;
		struct wakes wakes = { .n = 0 };
		struct waitq q;

		waiter_init(&w, 16, false);
		assert_true(w.tid > 0 && w.since_ns > 0);
		waitq_init(&q, false);
		waitq_add(&q, &w);
		assert_int_equal(pthread_create(&thread, NULL, sleeper, &w), 0);
		if (i % 2)
			(void)usleep(200);
		waitq_finish(&q, &w, 0, 0, &wakes);
		wakes_flush(&wakes);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
}

static void test_futex_times_out(void **state)
{
	_Atomic uint32_t word = 0;
	uint64_t t = now_ns();

	(void)state;
	assert_int_equal(futex_wait(&word, 0, t + 20 * NSEC_PER_MSEC), -ETIMEDOUT);
	assert_true(now_ns() - t >= 20 * NSEC_PER_MSEC);
	assert_int_equal(futex_wait(&word, 1, FOREVER), 0); /* the value had changed */
	assert_int_equal(futex_wait(&word, 0, 1), -ETIMEDOUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fifo_ignores_priority),
		cmocka_unit_test(test_priority_then_time),
		cmocka_unit_test(test_equals_go_behind),
		cmocka_unit_test(test_finish_hands_over),
		cmocka_unit_test(test_more_wakes_than_room),
		cmocka_unit_test(test_unparked),
		cmocka_unit_test(test_brief_is_not_counted),
		cmocka_unit_test(test_publish_first_only),
		cmocka_unit_test(test_check_can_fail),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_wake_reaches_the_sleeper),
		cmocka_unit_test(test_futex_times_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
