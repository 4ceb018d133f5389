/*
 * inspect.h: figures over all processes, from what they publish
 *
 * Clients write their statistics as they allocate; we read them with a pread or some for each binding and
 * believe none: sums are bounded by what the binding holds, counts by what is possible. A torn read
 * of a slot that is being written is one figure that is a moment older than its neighbour, no more.
 */
#ifndef HEAPD_DAEMON_INSPECT_H
#define HEAPD_DAEMON_INSPECT_H

#include "daemon/heap.h"

struct usage {
	uint64_t used;      /* bytes in blocks */
	uint64_t high;      /* of a partition, region or pool: the most there ever were */
	uint32_t n_waiters; /* threads */
	uint32_t bad_frees;
};

/* Bytes that a binding can have in blocks at most. */
uint64_t bytes_held(const struct binding *b);

/*
 * A binding's statistics as its process publishes them, but that blocks at hand (WIRE_HEAD_COUNT) are free: .used and
 * the buckets of a heap, .vacant.n_free of a partition. Not made plausible.
 */
void slot_read(const struct binding *b, struct wire_stats *stats);

/*
 * A binding's statistics, made plausible: every figure within what it holds; .used is right for a
 * partition too. What partitions and pools have where others have buckets and waiters is gone:
 * there are none.
 */
void stats_read(const struct binding *b, struct wire_stats *stats);

/* Blocks in use, of a partition that is as it says. */
uint32_t partition_used(const struct wire_stats *stats);

/* Over all bindings of a heap. A system call for each. */
void usage_of(const struct heap *h, struct usage *usage);

/* What INSPECT and LIST say of a heap. */
void entry_describe(const struct heap *h, struct wire_entry *e);

#endif
