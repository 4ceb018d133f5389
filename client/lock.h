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

/*
 * The same, for who finds it held but seldom and then for a moment: looks LOCK_LOOKS times before it enters the kernel. It is
 * no spin lock: a holder that does not run is waited for in the kernel, with our priority.
 */
#define LOCK_LOOKS 40
static inline void lock_take_soon(struct lock *l)
{
	for (int i = 0; i < LOCK_LOOKS; i++) {
		if (pthread_mutex_trylock(&l->mutex) == 0)
			return;
#if defined(__x86_64__)
		__builtin_ia32_pause();
#endif
	}
	lock_take(l);
}

static inline void lock_give(struct lock *l)
{
	int r = pthread_mutex_unlock(&l->mutex);

	assert(r == 0 && "given by its holder");
	(void)r;
}

#endif
