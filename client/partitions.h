/*
 * partitions.h: the partitions of this process, by number
 *
 * Model: a table of MAX_PARTITIONS places that never moves and never goes. A partition is a place
 * whose blocks (client/blocks.h) are open over a private arena of heapd (client/private.h); its
 * number is that of the place. The link words lie in memory of our own, which a place keeps for
 * its next partition: when that needs more, the place gets twice as much or more, and the old
 * stays mapped for threads that still look at it. So a place reserves at most twice the address
 * space of the largest partition it ever had, with memory behind what was needed. So does it keep the
 * magazines, which hold what each CPU has at hand. A child of a fork finds both wiped (client/mapping.h):
 * no page is left behind that its parent would have to copy at the next take, and there is nothing at hand
 * and no block out, so the short ways need not ask whose child they are in.
 *
 * Invariant: a place is free, or somebody creates or destroys in it, or its blocks are open. Tags of
 * a statistics slot and serials only rise: blocks_open() gets what no earlier opening had.
 * In a child of a fork a place still names its parent's epoch: it is unknown there, and free.
 *
 * partition_find, blocks_take and blocks_give take no lock, and make no system call but for the last
 * blocks that other CPUs have at hand: for signal handlers too. Creating and destroying take a lock for a moment, not while they talk to the daemon.
 * Not here: errno, argument rules of the interface (client/pt.c).
 */
#ifndef HEAPD_CLIENT_PARTITIONS_H
#define HEAPD_CLIENT_PARTITIONS_H

#include "client/blocks.h"
#include "client/epoch.h"
#include "config-heapd.h"

struct partition {
	struct blocks blocks;
	_Atomic uint64_t epoch; /* it was made in; 0: none was */
} __attribute__((__aligned__(64)));
_Static_assert(sizeof(struct partition) == 128, "two cache lines");

extern struct partition partition_table_[MAX_PARTITIONS]; /* only for the inline below */

/* 0 and the blocks of that partition, for as long as they are open; -EBADF (no partition), -EPERM (inherited through a
 * fork). Async-signal-safe. */
static inline int partition_find(int ptno, struct blocks **blocks)
{
	struct partition *p;
	uint64_t epoch;

	if (unlikely((unsigned int)ptno >= MAX_PARTITIONS))
		return -EBADF;
	p = &partition_table_[ptno];
	epoch = atomic_load_explicit(&p->epoch, memory_order_relaxed);
	if (unlikely(epoch != epoch_now()))
		return epoch ? -EPERM : -EBADF;
	*blocks = &p->blocks;
	return 0;
}

/*
 * A new partition under the lowest free number, which is returned. Slow, many system calls.
 * -EINVAL: more bytes than can be counted; -EAGAIN: all numbers are in use; -ENOSPC: not enough memory, or
 * more than the daemon gives (its limit, a quota); or as private_create.
 */
int partition_create(size_t block_size, uint32_t n);

/* Ends it, if all its blocks are there. 0; -EBADF, -EPERM: as partition_find; -EBUSY: blocks are out. */
int partition_destroy(int ptno);

/* Once in a process, and in the child of a fork, which has no partitions. Single-threaded. */
void partitions_reset(void);

#endif
