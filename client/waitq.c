/*
 * waitq.c: see waitq.h
 */
#include "client/waitq.h"

#include <sched.h>
#include <sys/syscall.h>

/* What a deadline thread counts as: above every SCHED_FIFO priority (1 .. 99). */
#define PRIORITY_DEADLINE 100

void waitq_init(struct waitq *q, bool by_priority)
{
	TAILQ_INIT(&q->list);
	q->n = 0;
	q->by_priority = by_priority;
}

int32_t thread_priority(void)
{
	struct sched_param param = { 0 };
	int policy = sched_getscheduler(0);

	if (policy == SCHED_DEADLINE)
		return PRIORITY_DEADLINE;
	if (policy < 0 || sched_getparam(0, &param) < 0)
		return 0;
	return param.sched_priority;
}

void waiter_init(struct waiter *w, uint64_t size, bool brief)
{
	*w = (struct waiter){
		.size = size,
		.since_ns = now_ns(),
		.priority = thread_priority(),
		.tid = (uint32_t)syscall(SYS_gettid),
		.brief = brief,
	};
}

/* Whether a must be served before b. */
static bool goes_before(const struct waitq *q, const struct waiter *a, const struct waiter *b)
{
	if (q->by_priority && a->priority != b->priority)
		return a->priority > b->priority;
	return a->since_ns < b->since_ns;
}

void waitq_add(struct waitq *q, struct waiter *w)
{
	struct waiter *at;

	/* from the back: in the usual case, FIFO, the first look is the last */
	TAILQ_FOREACH_REVERSE(at, &q->list, waiter_list, link) {
		if (!goes_before(q, w, at))
			break;
	}
	if (at)
		TAILQ_INSERT_AFTER(&q->list, at, w, link);
	else
		TAILQ_INSERT_HEAD(&q->list, w, link);
	q->n += !w->brief;
}

void waitq_remove(struct waitq *q, struct waiter *w)
{
	assert(!waiter_is_done(w) && "a finished waiter is on no list");
	TAILQ_REMOVE(&q->list, w, link);
	q->n -= !w->brief;
}

void waitq_finish(struct waitq *q, struct waiter *w, int result, uint64_t offset, struct wakes *wakes)
{
	const _Atomic uint32_t *word = &w->done;

	waitq_remove(q, w);
	w->result = result;
	w->offset = offset;
	atomic_store_explicit(&w->done, 1, memory_order_release);
	/* w is its thread's again from here */
	if (wakes->n == WAKES_MAX)
		wakes_flush(wakes);
	wakes->word[wakes->n++] = word;
}

void waitq_finish_all(struct waitq *q, int result, struct wakes *wakes)
{
	struct waiter *w;

	while ((w = TAILQ_FIRST(&q->list)))
		waitq_finish(q, w, result, 0, wakes);
}

struct waiter *waitq_find(struct waitq *q, uint32_t park_id)
{
	struct waiter *w;

	TAILQ_FOREACH(w, &q->list, link) {
		if (w->park_id == park_id)
			return w;
	}
	return NULL;
}

bool waitq_has(const struct waitq *q, const struct waiter *w)
{
	const struct waiter *at;

	TAILQ_FOREACH(at, &q->list, link) {
		if (at == w)
			return true;
	}
	return false;
}

struct waiter *waitq_unparked(struct waitq *q)
{
	return waitq_find(q, 0);
}

bool waiter_is_done(const struct waiter *w)
{
	return atomic_load_explicit(&w->done, memory_order_acquire);
}

void wakes_flush(struct wakes *wakes)
{
	for (uint32_t i = 0; i < wakes->n; i++)
		futex_wake(wakes->word[i], 1);
	wakes->n = 0;
}

void waitq_publish(const struct waitq *q, struct wire_stats *stats)
{
	const struct waiter *w;
	uint32_t i = 0;

	__atomic_store_n(&stats->n_waiters, q->n, __ATOMIC_RELAXED);
	TAILQ_FOREACH(w, &q->list, link) {
		if (i == WIRE_STATS_WAITERS)
			return;
		if (!w->brief)
			stats->waiter[i++] = (struct wire_waiter){
				.size = w->size,
				.since_ns = w->since_ns,
				.tid = w->tid,
				.priority = w->priority,
			};
	}
	if (i < WIRE_STATS_WAITERS)
		stats->waiter[i] = (struct wire_waiter){ 0 };
}

int waitq_check(const struct waitq *q)
{
	const struct waiter *w, *last = NULL;
	uint32_t n = 0;

	TAILQ_FOREACH(w, &q->list, link) {
		if (waiter_is_done(w) || (last && goes_before(q, w, last)))
			return -EUCLEAN;
		n += !w->brief;
		last = w;
	}
	return n == q->n ? 0 : -EUCLEAN;
}
