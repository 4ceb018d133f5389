/*
 * native/heap.h: the header that sources for Xenomai 2's native skin include for heaps
 *
 * As <rtai/heap.h>, from which that skin comes, but for rt_heap_bind, which takes a third
 * argument: how long to wait for the heap to be created. It is rt_heap_bind_timed of
 * <heapclient/rt_heap.h>: TM_INFINITE, TM_NONBLOCK (-EWOULDBLOCK), or nanoseconds (-ETIMEDOUT).
 *
 * Timeouts are nanoseconds, as in Xenomai's aperiodic timing, which is its default. Besides
 * Xenomai's names of the two special ones, RT_TIME_INFINITE and RT_TIME_NONBLOCK are known.
 */
#ifndef HEAPCLIENT_COMPAT_NATIVE_HEAP_H
#define HEAPCLIENT_COMPAT_NATIVE_HEAP_H

#include <rtai/heap.h>

#define rt_heap_bind rt_heap_bind_timed

#ifndef RT_TIME_INFINITE
#define RT_TIME_INFINITE TM_INFINITE
#define RT_TIME_NONBLOCK TM_NONBLOCK
#endif

/* What fits in RT_HEAP_INFO's name, the final 0 included. Here it is 64; there it was 32. */
#ifndef XNOBJECT_NAME_LEN
#define XNOBJECT_NAME_LEN 64
#endif

#endif
