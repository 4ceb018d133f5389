/*
 * heap_fast.h: alloc and free without the heap's lock
 *
 * Model: what they read of a heap is constant while it is attached, but nothing keeps it attached. So all that
 * counts happens in sequences over the descriptor's view (client/views.h) that do nothing unless its gate is open with the
 * descriptor's first word: then the heap is attached, the descriptor valid, and all that is read after it is the heap's own. In the child of a
 * fork views read as zeros, and so are shut, before anybody has looked at the epoch.
 *
 * They answer for the usual case alone: a block from or to the array of this CPU. For everything else, errors too, they do
 * nothing, and the caller takes the way through the lock, which tells what is the matter.
 *
 * Bound: a sequence each (client/rseq_arrays.h), some 50 instructions in all. No system call, no lock, no
 * loop, no atomic instruction.
 * Not here: the way through the lock (client/heap_alloc.c, client/rt_heap.c).
 */
#ifndef HEAPD_CLIENT_HEAP_FAST_H
#define HEAPD_CLIENT_HEAP_FAST_H

#include "client/views.h"
#include "heapclient/rt_heap.h"

/* A block in *blockp. RSEQ_HELD: that is its number, and it is not marked yet: heap_keep() it. */
static inline __attribute__((always_inline)) enum rseq_result heap_fast_alloc(const RT_HEAP *d, size_t size, void **blockp)
{
	if (unlikely(size - 1 >= HW_PAGE_SIZE || !d)) /* 0, too */
		return RSEQ_NOT;
	return rseq_alloc(views_at(d->view_), views_word(d), HAND_MARK(bucket_for(size)), blockp);
}

/* RSEQ_HELD: not marked any more: heap_put() it. */
static inline __attribute__((always_inline)) enum rseq_result heap_fast_free(const RT_HEAP *d, const void *block)
{
	return likely(d) ? rseq_free(views_at(d->view_), views_word(d), block) : RSEQ_NOT;
}

#endif
