/*
 * rtai/heap.h: the header that RTAI sources include for heaps
 *
 * The calls are those of <heapclient/rt_heap.h>, with RTAI's rt_heap_bind of two arguments, which
 * waits for ever. One call is adapted: H_MAPPABLE alone, which let user space map a heap of
 * blocks, is taken and means nothing, because every process that binds a named heap maps it.
 * docs/porting.md says what else a port meets.
 *
 * Everything here is a name or an inline function; nothing is added to the library.
 */
#ifndef HEAPCLIENT_COMPAT_RTAI_HEAP_H
#define HEAPCLIENT_COMPAT_RTAI_HEAP_H

#include <heapclient/rt_heap.h>

#ifdef __cplusplus
extern "C" {
#endif

/* rt_heap_create without H_MAPPABLE alone; everything else as in rt_heap.h. */
static __inline__ int heapclient_rtai_create_(RT_HEAP *heap, const char *name, size_t heapsize,
					      int mode)
{
	if ((mode & H_SHARED) == H_MAPPABLE)
		mode &= ~H_MAPPABLE;
	return rt_heap_create(heap, name, heapsize, mode);
}
#define rt_heap_create heapclient_rtai_create_

#ifdef __cplusplus
}
#endif

#endif
