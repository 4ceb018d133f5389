/*
 * registry.h: descriptors: from an RT_HEAP to its heap, safely
 *
 * Model: a table of entries that never moves. An RT_HEAP holds an index and a serial; serials (client/hand.h makes them) are
 * never used twice in a process and its descendants, and tell which binding to a heap they are of. An entry is valid for a descriptor if the serials agree and the entry was
 * made in this epoch (client/epoch.h). It also says which view it has, for the short way (client/views.h); that does not look here. Reading an entry takes no lock: its heap's memory is type-stable, so the heap's
 * lock can be taken, and then the serial is looked at again.
 *
 * Invariant: an entry's serial changes to 0 under its heap's lock, so a descriptor that was seen valid under
 * that lock stays valid until it is given. A heap's n_descriptors is the number of entries that name it.
 */
#ifndef HEAPD_CLIENT_REGISTRY_H
#define HEAPD_CLIENT_REGISTRY_H

#include <stdatomic.h>
#include "client/epoch.h"
#include "client/heap.h"
#include "config-heapd.h"
#include "heapclient/rt_heap.h"

#define RT_HEAP_MAGIC 0x6870u /* "hp" */

struct descriptor {
	_Atomic uint64_t serial; /* 0: unused */
	_Atomic(struct heap *) heap;
	_Atomic uint64_t epoch;
	uint32_t next_free;      /* + 1 */
	_Atomic uint16_t view;   /* what the descriptor says of it */
};

extern struct descriptor registry_table_[MAX_DESCRIPTORS] __attribute__((visibility("hidden"))); /* only for the inline below */

/* Once in a process; registry_forget in the child of a fork, where inherited entries stay taken. */
void registry_init(void);
void registry_forget(void);

/* 0 and a valid descriptor of a heap, as seen without its lock; -EINVAL (not a descriptor), -EPERM (inherited). */
static inline int registry_peek(const RT_HEAP *d, struct descriptor **out)
{
	struct descriptor *e;

	if (unlikely(!d || d->magic_ != RT_HEAP_MAGIC || d->index_ >= MAX_DESCRIPTORS || d->serial_ == 0))
		return -EINVAL;
	e = &registry_table_[d->index_];
	if (unlikely(atomic_load_explicit(&e->serial, memory_order_acquire) != d->serial_ ||
		     atomic_load_explicit(&e->view, memory_order_relaxed) != d->view_))
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
