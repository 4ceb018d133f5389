/*
 * inbox.h: steps on their way from one thread to another, without a lock
 *
 * Model: a stack that anybody pushes onto and one reader takes whole; taking turns it around, so
 * steps come out in the order they went in.
 * Why no mutex: the loop may run at a real-time priority and the other thread does not. One that is
 * preempted while it holds a lock would keep the loop waiting for as long as there is other work.
 * Bound: a push repeats once for each push or take that came between.
 */
#ifndef HEAPD_DAEMON_INBOX_H
#define HEAPD_DAEMON_INBOX_H

#include <stdatomic.h>
#include "daemon/step.h"

struct inbox {
	_Atomic(struct step *) last;
};

static inline void inbox_push(struct inbox *in, struct step *s)
{
	s->next = atomic_load_explicit(&in->last, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&in->last, &s->next, s, memory_order_release,
						      memory_order_relaxed))
		;
}

/* All there is, the oldest first, chained by next; NULL: nothing. */
static inline struct step *inbox_take(struct inbox *in)
{
	struct step *s = atomic_exchange_explicit(&in->last, NULL, memory_order_acquire), *first = NULL;

	while (s) {
		struct step *next = s->next;

		s->next = first;
		first = s;
		s = next;
	}
	return first;
}

#endif
