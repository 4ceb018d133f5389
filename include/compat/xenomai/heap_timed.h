/*
 * xenomai/heap_timed.h: what <native/heap.h> and <alchemy/heap.h> share; not to be included by itself
 *
 * rt_heap_bind takes a third argument there: how long to wait for the heap to be created. It is
 * rt_heap_bind_timed of <heapclient/rt_heap.h>: TM_INFINITE, TM_NONBLOCK (-EWOULDBLOCK), or
 * nanoseconds (-ETIMEDOUT). rt_heap_alloc_timed waits until an absolute time of CLOCK_MONOTONIC: it
 * came with Alchemy, and the native header has it too, for sources on their way from one to the
 * other.
 */
#ifndef HEAPCLIENT_COMPAT_XENOMAI_HEAP_TIMED_H
#define HEAPCLIENT_COMPAT_XENOMAI_HEAP_TIMED_H

#include <heapclient/rt_heap.h>

#if defined(__STRICT_ANSI__) && !defined(_POSIX_C_SOURCE) && !defined(__cplusplus) && \
	!(defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L)
#error "Xenomai's heaps need struct timespec: -D_GNU_SOURCE, as Xenomai has it, or -std=gnu.."
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define RT_TIME_INFINITE TM_INFINITE
#define RT_TIME_NONBLOCK TM_NONBLOCK

/* What fits in RT_HEAP_INFO's name, the final 0 included. Here it is 64; there it was 32. */
#ifndef XNOBJECT_NAME_LEN
#define XNOBJECT_NAME_LEN 64
#endif

/* NULL waits for ever, {0, 0} does not wait. Errors are those of rt_heap_alloc_until in rt_heap.h, and
 * -EWOULDBLOCK for {0, 0}. */
static __inline__ int rt_heap_alloc_timed(RT_HEAP *heap, size_t size,
					  const struct timespec *abs_timeout, void **blockp)
{
	if (abs_timeout && abs_timeout->tv_sec == 0 && abs_timeout->tv_nsec == 0)
		return rt_heap_alloc(heap, size, TM_NONBLOCK, blockp);
	return rt_heap_alloc_until(heap, size, abs_timeout, blockp);
}

#define rt_heap_bind rt_heap_bind_timed

#ifdef __cplusplus
}
#endif

#endif
