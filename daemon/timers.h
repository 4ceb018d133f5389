/*
 * timers.h: deadlines in a binary heap; pure
 *
 * Model: an array of pointers, the soonest deadline first; each timer knows its own place, so one
 * can be taken out from the middle.
 * Invariant: a parent's deadline is never later than its children's; heap[t->place] == t.
 * Bound: set and unset take at most log2(n) swaps.
 * Not here: clocks and wake-ups (loop.c).
 */
#ifndef HEAPD_DAEMON_TIMERS_H
#define HEAPD_DAEMON_TIMERS_H

#include "common/base.h"

#define TIMER_UNSET SIZE_MAX

struct timer {
	uint64_t at_ns; /* CLOCK_MONOTONIC */
	size_t place;   /* in timers.heap; TIMER_UNSET: not armed */
};

#define TIMER_NULL { .place = TIMER_UNSET }

struct timers {
	struct timer **heap;
	size_t n, n_reserved, n_space;
};

#define TIMERS_NULL { .heap = NULL }

/* Space for one more timer, so that timers_set cannot fail. 0 or -ENOMEM. */
int timers_reserve(struct timers *ts);
/* Gives that space back. */
void timers_unreserve(struct timers *ts);
void timers_deinit(struct timers *ts); /* safe twice; the timers stay their owners' */

void timers_set(struct timers *ts, struct timer *t, uint64_t at_ns); /* armed anew if it was */
void timers_unset(struct timers *ts, struct timer *t);               /* nothing if not armed */

/* The soonest; NULL if none is armed. */
struct timer *timers_first(const struct timers *ts);

int timers_check(const struct timers *ts); /* 0 or -EUCLEAN: for tests */

#endif
