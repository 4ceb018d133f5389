/*
 * registry.h: descriptors: from an RT_HEAP to its heap, safely
 *
 * Model: a table of entries that never moves. An RT_HEAP has a serial, whose low bits are its entry's index; the others count descriptors,
 * so a serial is never used twice in a process, nor in its descendants for what they inherit. An entry is valid for a descriptor if the serials
 * agree and the entry was made in this epoch (client/epoch.h). What a descriptor says before it is for the short way, which does not look
 * here (client/views.h), and must agree as well. Reading an entry takes no lock: its heap's memory is type-stable, so the heap's lock can be
 * taken, and then the serial is looked at again.
 *
 * Invariant: an entry's serial changes to 0 under its heap's lock, so a descriptor that was seen valid under
 * that lock stays valid until it is given. A heap's n_descriptors is the number of entries that name it.
 */
#ifndef HEAPD_CLIENT_REGISTRY_H
#define HEAPD_CLIENT_REGISTRY_H

#include <stdatomic.h>
#include "client/epoch.h"
#include "client/views.h"
#include "config-heapd.h"
#include "heapclient/rt_heap.h"

#define RT_HEAP_MAGIC 0x6801u /* odd: see client/views.h */
_Static_assert((RT_HEAP_MAGIC & 0xff) == RSEQ_OPEN_LIVES && RT_HEAP_MAGIC & VIEWS_WORD, "what a descriptor's view is asked with");

#define REGISTRY_INDEX_BITS 20
_Static_assert(MAX_DESCRIPTORS <= 1u << REGISTRY_INDEX_BITS, "an index fits its bits");

struct descriptor {
	_Atomic uint64_t serial; /* 0: unused */
	_Atomic(struct heap *) heap;
	_Atomic uint64_t epoch;
	_Atomic uint64_t word;   /* what the descriptor says before its serial */
	uint32_t next_free;      /* + 1 */
};

extern struct descriptor registry_table_[MAX_DESCRIPTORS] __attribute__((visibility("hidden"))); /* only for the inline below */

/* Once in a process; registry_forget in the child of a fork, where inherited entries stay taken. */
void registry_init(void);
void registry_forget(void);

/* Which entry a serial says; it may be none. */
static inline uint32_t registry_index(uint64_t serial)
{
	return (uint32_t)serial & ((1u << REGISTRY_INDEX_BITS) - 1);
}

/* 0 and a valid descriptor of a heap, as seen without its lock; -EINVAL (not a descriptor), -EPERM (inherited). */
static inline int registry_peek(const RT_HEAP *d, struct descriptor **out)
{
	struct descriptor *e;

	if (unlikely(!d || d->magic_ != RT_HEAP_MAGIC || registry_index(d->serial_) >= MAX_DESCRIPTORS || d->serial_ == 0))
		return -EINVAL;
	e = &registry_table_[registry_index(d->serial_)];
	if (unlikely(atomic_load_explicit(&e->serial, memory_order_acquire) != d->serial_ ||
		     atomic_load_explicit(&e->word, memory_order_relaxed) != views_word(d)))
		return -EINVAL;
	if (unlikely(atomic_load_explicit(&e->epoch, memory_order_relaxed) != epoch_now()))
		return -EPERM;
	*out = e;
	return 0;
}

/* 0, -EINVAL or -EPERM, before any lock is touched: a lock that was inherited may be in any state. */
static inline int registry_check(const RT_HEAP *d)
{
	struct descriptor *e;

	return registry_peek(d, &e);
}

/* The same, and the heap comes locked. */
static inline int registry_lock(const RT_HEAP *d, struct heap **out)
{
	struct descriptor *e;
	struct heap *h;
	int r = registry_peek(d, &e);

	if (unlikely(r < 0))
		return r;
	h = atomic_load_explicit(&e->heap, memory_order_relaxed);
	lock_take_soon(&h->lock);
	if (unlikely(atomic_load_explicit(&e->serial, memory_order_relaxed) != d->serial_)) {
		lock_give(&h->lock);
		return -EINVAL;
	}
	*out = h;
	return 0;
}

/* One more descriptor of a heap; the table (heap_table_lock) is locked. 0 or -ENOMEM (MAX_DESCRIPTORS are in use). */
int registry_add(struct heap *h, RT_HEAP *d);

/*
 * Ends a descriptor. 1 and *last: it was the heap's last one; the heap is out of the table and must be detached.
 * 0; -EINVAL; -EPERM; -EBUSY (threads of this process wait in the heap).
 */
int registry_remove(const RT_HEAP *d, struct heap **last);

#endif
