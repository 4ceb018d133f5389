/*
 * multi_heap.h: the pool of regions of this process: where their memory and records come from
 *
 * Model: one table of regions (client/regions.h), and for each an arena at heapd: its memory, or
 * for memory that the program has already, only the record of it. The pool belongs to the epoch in
 * which it was made (client/epoch.h): in the child of a fork there is none until the child makes
 * its own, however the fork was done.
 *
 * Invariant: the pool is seen by others when it has all configured regions, or not at all. Region i
 * of the table stands on arena i.
 * Locks: one for making and adding, held while the daemon works; never on a hot path.
 * Not here: the interface's rules (client/shared_multi_heap.c), carving (client/regions.h).
 */
#ifndef HEAPD_CLIENT_MULTI_HEAP_H
#define HEAPD_CLIENT_MULTI_HEAP_H

#include "client/epoch.h"
#include "client/private.h"
#include "client/regions.h"

struct multi_heap {
	_Atomic uint64_t epoch; /* in which it was made; 0: it is not */
	struct lock lock;
	struct regions regions;
	struct private_arena arena[REGIONS_MAX];
	char name[REGIONS_MAX][WIRE_NAME_SIZE]; /* of the configured ones */
	void *user_data[REGIONS_MAX];           /* the program's; nobody looks */
};

extern struct multi_heap multi_heap_; /* only for the inline below */

/* The table of this process, or NULL: there is no pool. Two loads. */
static inline struct regions *multi_heap_regions(void)
{
	uint64_t epoch = atomic_load_explicit(&multi_heap_.epoch, memory_order_acquire);

	if (unlikely(!epoch || epoch != epoch_now()))
		return NULL;
	return &multi_heap_.regions;
}

/* Makes the pool and attaches the configured regions. What shared_multi_heap_pool_init() says. */
int multi_heap_make(void);

/* Adds a region; *addr 0: of heapd's memory, and *addr is set. As shared_multi_heap_add() says. */
int multi_heap_add(uint32_t attribute, uintptr_t *addr, uint64_t size, void *user_data);

/* No pool. Once in a process; and again, in a state that may be anything, in the child of a fork,
 * where what the parent had stays mapped. */
void multi_heap_forget(void);

/* In the parent after a fork: its own copy of what the fork shares, before an alloc needs it. */
void multi_heap_unshare(void);

#endif
