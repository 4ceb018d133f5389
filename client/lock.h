/*
 * lock.h: the library's mutex: inherits priority, never shared between processes
 *
 * A thread that holds it while a more urgent one waits runs at that one's priority, so no holder can be
 * preempted against its waiters. Uncontended it is one compare-and-swap each way. Not for signal handlers.
 */
#ifndef HEAPD_CLIENT_LOCK_H
#define HEAPD_CLIENT_LOCK_H

#include <pthread.h>
#include "common/base.h"

struct lock {
	pthread_mutex_t mutex;
};

static inline void lock_init(struct lock *l)
{
	pthread_mutexattr_t attr;

	(void)pthread_mutexattr_init(&attr);
	(void)pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	(void)pthread_mutex_init(&l->mutex, &attr);
	(void)pthread_mutexattr_destroy(&attr);
}

static inline void lock_take(struct lock *l)
{
	int r = pthread_mutex_lock(&l->mutex);

	assert(r == 0 && "a plain mutex fails only by misuse");
	(void)r;
}

static inline void lock_give(struct lock *l)
{
	int r = pthread_mutex_unlock(&l->mutex);

	assert(r == 0 && "given by its holder");
	(void)r;
}

#endif
