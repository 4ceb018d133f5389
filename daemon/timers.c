/*
 * timers.c: see timers.h
 */
#include "daemon/timers.h"

#define TIMERS_SPACE_MIN 16

int timers_reserve(struct timers *ts)
{
	if (ts->n_reserved == ts->n_space) {
		size_t space = ts->n_space ? 2 * ts->n_space : TIMERS_SPACE_MIN;
		struct timer **heap = reallocarray(ts->heap, space, sizeof(struct timer *));

		if (!heap)
			return -ENOMEM;
		ts->heap = heap;
		ts->n_space = space;
	}
	ts->n_reserved++;
	return 0;
}

void timers_unreserve(struct timers *ts)
{
	assert(ts->n_reserved > ts->n && "every armed timer has its space");
	ts->n_reserved--;
}

void timers_deinit(struct timers *ts)
{
	free(ts->heap);
	*ts = (struct timers)TIMERS_NULL;
}

static void put(struct timers *ts, struct timer *t, size_t place)
{
	ts->heap[place] = t;
	t->place = place;
}

static void sift_up(struct timers *ts, struct timer *t)
{
	while (t->place > 0) {
		struct timer *parent = ts->heap[(t->place - 1) / 2];
		size_t place = parent->place;

		if (parent->at_ns <= t->at_ns)
			break;
		put(ts, parent, t->place);
		put(ts, t, place);
	}
}

static void sift_down(struct timers *ts, struct timer *t)
{
	for (;;) {
		size_t i = 2 * t->place + 1, place;
		struct timer *child;

		if (i >= ts->n)
			break;
		if (i + 1 < ts->n && ts->heap[i + 1]->at_ns < ts->heap[i]->at_ns)
			i++;
		child = ts->heap[i];
		if (t->at_ns <= child->at_ns)
			break;
		place = child->place;
		put(ts, child, t->place);
		put(ts, t, place);
	}
}

void timers_unset(struct timers *ts, struct timer *t)
{
	size_t place = t->place;
	struct timer *last;

	if (place == TIMER_UNSET)
		return;
	last = ts->heap[--ts->n];
	t->place = TIMER_UNSET;
	if (last == t)
		return;
	put(ts, last, place);
	sift_up(ts, last);
	sift_down(ts, last);
}

void timers_set(struct timers *ts, struct timer *t, uint64_t at_ns)
{
	timers_unset(ts, t);
	assert(ts->n < ts->n_reserved && "timers_reserve() made space");
	t->at_ns = at_ns;
	put(ts, t, ts->n++);
	sift_up(ts, t);
}

struct timer *timers_first(const struct timers *ts)
{
	return ts->n ? ts->heap[0] : NULL;
}

int timers_check(const struct timers *ts)
{
	if (ts->n > ts->n_reserved || ts->n_reserved > ts->n_space)
		return -EUCLEAN;
	for (size_t i = 0; i < ts->n; i++) {
		if (ts->heap[i]->place != i)
			return -EUCLEAN;
		if (i && ts->heap[(i - 1) / 2]->at_ns > ts->heap[i]->at_ns)
			return -EUCLEAN;
	}
	return 0;
}
