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
 * Bound: two sequences each (client/rseq_mark.h), some 60 instructions in all. No system call, no lock, no loop, no atomic instruction.
 * Not here: the way through the lock (client/heap_alloc.c, client/rt_heap.c).
 */
#ifndef HEAPD_CLIENT_HEAP_FAST_H
#define HEAPD_CLIENT_HEAP_FAST_H

#include "client/registry.h"

enum fast {
	FAST_NO,   /* nothing has happened */
	FAST_DONE,
	FAST_HELD, /* a block is in the caller's hands that is not marked yet: heap_keep() it; or no more: heap_put() it */
};

/* A descriptor's heap and what its serial begins with. False: no descriptor. */
static inline __attribute__((always_inline)) bool heap_fast_find(const RT_HEAP *d, struct heap **h, uint64_t *open)
{
	struct descriptor *e;

	if (unlikely(!d || d->magic_ != RT_HEAP_MAGIC || d->index_ >= MAX_DESCRIPTORS))
		return false;
	e = &registry_table_[d->index_];
	if (unlikely(atomic_load_explicit(&e->serial, memory_order_acquire) != d->serial_))
		return false;
	*open = d->serial_ >> HAND_SERIAL_BITS;
	if (unlikely(!*open)) /* an entry that nobody has used has that serial */
		return false;
	*h = atomic_load_explicit(&e->heap, memory_order_relaxed);
	return true;
}

/* The mark of a number: maybe no address at all, if the gate is shut. */
static inline uint8_t *heap_fast_mark(const struct heap *h, uint64_t number)
{
	return (uint8_t *)((uintptr_t)atomic_load_explicit(&h->hand.marks, memory_order_relaxed) + number);
}

/* A block in *blockp; or *held. */
static inline __attribute__((always_inline)) enum fast heap_fast_alloc(const RT_HEAP *d, size_t size, void **blockp,
								       struct heap **h, uint64_t *held)
{
	uint64_t mark, open;
	int64_t self;
	uint8_t *base;

	if (unlikely(size - 1 >= HW_PAGE_SIZE)) /* 0, too */
		return FAST_NO;
	if (unlikely(!heap_fast_find(d, h, &open)))
		return FAST_NO;
	mark = HAND_MARK(bucket_for(size));
	self = rseq_where();
	if (unlikely(!rseq_pop(&(*h)->hand.arrays, self, mark, open, held)))
		return FAST_NO;
	base = __atomic_load_n(&(*h)->base, __ATOMIC_RELAXED);
	if (unlikely(!rseq_mark(&(*h)->hand.arrays, &(*h)->control, self, open, heap_fast_mark(*h, *held), mark)))
		return FAST_HELD;
	*blockp = base + (*held << HAND_UNIT_SHIFT);
	return FAST_DONE;
}

/* Frees it; or *held. */
static inline __attribute__((always_inline)) enum fast heap_fast_free(const RT_HEAP *d, const void *block, struct heap **h,
								      uint64_t *held)
{
	uint64_t offset, mark, open;
	int64_t self;

	if (unlikely(!heap_fast_find(d, h, &open)))
		return FAST_NO;
	offset = (uint64_t)((uintptr_t)block - (uintptr_t)__atomic_load_n(&(*h)->base, __ATOMIC_RELAXED));
	/* turned by four bits: what is no multiple of 16 becomes a number far above all */
	*held = offset >> HAND_UNIT_SHIFT | offset << (64 - HAND_UNIT_SHIFT);
	if (unlikely(*held >= atomic_load_explicit(&(*h)->hand.n_marks, memory_order_relaxed)))
		return FAST_NO;
	self = rseq_where();
	if (unlikely(!rseq_claim(&(*h)->hand.arrays, &(*h)->control, self, open, heap_fast_mark(*h, *held), &mark)))
		return FAST_NO;
	if (unlikely(!rseq_push(&(*h)->hand.arrays, self, mark, open, (*h)->hand.max, *held)))
		return FAST_HELD;
	return FAST_DONE;
}

#endif
