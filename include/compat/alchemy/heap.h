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

#include <heapclient/rt_heap.h>

#if defined(__STRICT_ANSI__) && !defined(_POSIX_C_SOURCE) && !defined(__cplusplus) && \
	!(defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L)
#error "<alchemy/heap.h> needs struct timespec: -D_GNU_SOURCE, as Xenomai has it, or -std=gnu.."
#endif

#ifdef __cplusplus
extern "C" {
#endif

#ifndef RT_TIME_INFINITE
#define RT_TIME_INFINITE TM_INFINITE
#define RT_TIME_NONBLOCK TM_NONBLOCK
#endif

/* What fits in RT_HEAP_INFO's name, the final 0 included. Here it is 64; there it was 32. */
#ifndef XNOBJECT_NAME_LEN
#define XNOBJECT_NAME_LEN 64
#endif

/* Errors are those of rt_heap_alloc_until in rt_heap.h, and -EWOULDBLOCK for {0, 0}. */
static __inline__ int rt_heap_alloc_timed(RT_HEAP *heap, size_t size,
					  const struct timespec *abs_timeout, void **blockp)
{
	if (abs_timeout && abs_timeout->tv_sec == 0 && abs_timeout->tv_nsec == 0)
		return rt_heap_alloc(heap, size, TM_NONBLOCK, blockp);
	return rt_heap_alloc_until(heap, size, abs_timeout, blockp);
}

/* The same with nanoseconds. Errors are those of rt_heap_alloc_until in rt_heap.h, and -EWOULDBLOCK
 * for TM_NONBLOCK. */
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

#define rt_heap_bind rt_heap_bind_timed

#ifdef __cplusplus
}
#endif

#endif
