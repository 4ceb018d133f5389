/*
 * heap_fast.h: alloc and free without the heap's lock
 *
 * Model: what they read of a heap is constant while it is attached, but nothing keeps it attached. So all that
 * counts happens in sequences that do nothing unless the gate is open with the number that the descriptor's serial
 * begins with (client/hand.h): then the heap is the one that the descriptor names, attached, and all that was read
 * of it since the call began is its own. In the child of a fork structures of heaps read as zeros, and so are
 * shut, before anybody has looked at the epoch.
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

#include "client/registry.h"

/* Where a descriptor's entry should be: whatever its index says, it is inside of the table. */
static inline struct descriptor *heap_fast_entry(const RT_HEAP *d)
{
	uint32_t n = MAX_DESCRIPTORS, i = d->index_;

	return &registry_table_[n & (n - 1) ? i < n ? i : 0 : i & (n - 1)];
}

/*
 * A descriptor's heap and what its serial begins with. False: no descriptor. A serial is of one entry only and never comes
 * back, so it is enough to look at that.
 */
static inline __attribute__((always_inline)) bool heap_fast_find(const RT_HEAP *d, struct heap **h, uint64_t *open)
{
	struct descriptor *e;

	if (unlikely(!d))
		return false;
	e = heap_fast_entry(d);
	if (unlikely(atomic_load_explicit(&e->serial, memory_order_acquire) != d->serial_))
		return false;
	*open = d->serial_ >> HAND_SERIAL_BITS;
	if (unlikely(!*open)) /* an entry that nobody has used has that serial */
		return false;
	*h = atomic_load_explicit(&e->heap, memory_order_relaxed);
	return true;
}

/* A block in *blockp. RSEQ_HELD: *held is its number, and it is not marked yet: heap_keep() it. */
static inline __attribute__((always_inline)) enum rseq_result heap_fast_alloc(const RT_HEAP *d, size_t size, void **blockp,
									      struct heap **h, uint64_t *held)
{
	uint64_t open;

	if (unlikely(size - 1 >= HW_PAGE_SIZE)) /* 0, too */
		return RSEQ_NOT;
	if (unlikely(!heap_fast_find(d, h, &open)))
		return RSEQ_NOT;
	return rseq_alloc(&(*h)->hand.arrays, open, HAND_MARK(bucket_for(size)), blockp, held);
}

/* RSEQ_HELD: not marked any more: heap_put() it. */
static inline __attribute__((always_inline)) enum rseq_result heap_fast_free(const RT_HEAP *d, const void *block,
									     struct heap **h)
{
	uint64_t open;

	if (unlikely(!heap_fast_find(d, h, &open)))
		return RSEQ_NOT;
	return rseq_free(&(*h)->hand.arrays, open, block);
}

#endif
