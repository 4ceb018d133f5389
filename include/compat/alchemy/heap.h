/*
 * alchemy/heap.h: the header that sources for Xenomai 3's Alchemy interface include for heaps
 *
 * The calls are those of <heapclient/rt_heap.h>, but for three that differ there:
 *
 *   rt_heap_bind         takes a third argument: how long to wait for the heap to be created. It is
 *                        rt_heap_bind_timed: TM_INFINITE, TM_NONBLOCK (-EWOULDBLOCK), or nanoseconds
 *                        (-ETIMEDOUT)
 *   rt_heap_alloc_timed  takes an absolute time: NULL waits for ever, {0, 0} does not wait
 *                        (-EWOULDBLOCK)
 *   rt_heap_alloc_until  takes an absolute RTIME: TM_INFINITE waits for ever, TM_NONBLOCK does not
 *                        wait
 *
 * Absolute times are of CLOCK_MONOTONIC, the clock of Alchemy without a Cobalt core, in
 * nanoseconds: its default resolution. Besides Xenomai's names of the special timeouts,
 * RT_TIME_INFINITE and RT_TIME_NONBLOCK are known.
 *
 * Everything here is a name or an inline function; nothing is added to the library.
 * Semantics: Xenomai 3, "Alchemy API, Heap management services".
 */
#ifndef HEAPCLIENT_COMPAT_ALCHEMY_HEAP_H
#define HEAPCLIENT_COMPAT_ALCHEMY_HEAP_H

#include <xenomai/heap_timed.h>

#ifdef __cplusplus
extern "C" {
#endif

/* rt_heap_alloc_timed with nanoseconds. Errors are those of rt_heap_alloc_until in rt_heap.h, and
 * -EWOULDBLOCK for TM_NONBLOCK. */
static __inline__ int heapclient_alchemy_alloc_until_(RT_HEAP *heap, size_t size, RTIME timeout,
						      void **blockp)
{
	struct timespec ts;

	if (timeout == TM_INFINITE || timeout == TM_NONBLOCK)
		return rt_heap_alloc(heap, size, timeout, blockp);
	ts.tv_sec = (time_t)(timeout / 1000000000u);
	ts.tv_nsec = (long)(timeout % 1000000000u);
	return rt_heap_alloc_until(heap, size, &ts, blockp);
}
#define rt_heap_alloc_until heapclient_alchemy_alloc_until_

#ifdef __cplusplus
}
#endif

#endif
