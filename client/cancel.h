/*
 * cancel.h: no call of this library is a cancellation point
 *
 * A thread cancelled in the middle of a request would leave a lock taken and a reply unread. Scopes that make system calls
 * which are cancellation points switch cancellation off; it acts at the thread's next own point.
 */
#ifndef HEAPD_CLIENT_CANCEL_H
#define HEAPD_CLIENT_CANCEL_H

#include <pthread.h>
#include "common/base.h"

static inline int cancel_disable(void)
{
	int old = PTHREAD_CANCEL_ENABLE;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	return old;
}

static inline void cancel_restore(const int *old)
{
	(void)pthread_setcancelstate(*old, NULL);
}

/* _no_cancel_ int cancel = cancel_disable(); lasts for the scope. */
#define _no_cancel_ _cleanup_(cancel_restore) _unused_

#endif
