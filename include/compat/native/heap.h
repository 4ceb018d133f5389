/*
 * native/heap.h: the header that sources for Xenomai 2's native skin include for heaps
 *
 * As <rtai/heap.h>, from which that skin comes, but for rt_heap_bind, which takes a third
 * argument, a timeout; and rt_heap_alloc_timed is there as in Xenomai 3: <xenomai/heap_timed.h>.
 *
 * Timeouts are nanoseconds, as in Xenomai's aperiodic timing, which is its default. Besides
 * Xenomai's names of the two special ones, RT_TIME_INFINITE and RT_TIME_NONBLOCK are known.
 */
#ifndef HEAPCLIENT_COMPAT_NATIVE_HEAP_H
#define HEAPCLIENT_COMPAT_NATIVE_HEAP_H

#include <rtai/heap.h>
#include <xenomai/heap_timed.h>

#endif
