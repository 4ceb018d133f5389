/*
 * quarters.h: one block that is cut in quarters, those in quarters, down to 64 bytes
 *
 * Model: the pool is one block of 256, 1024, 4096 or 16384 bytes. It is the root of a tree in which
 * a node is free, used, or split in four of a quarter of its size; nodes are numbered by levels as
 * proto/wire.h says. A request costs the smallest block that holds it. When none of that size is
 * free, the smallest larger free one is split, and its first quarter again, until the size is
 * right; of several free blocks of one size the one with the lowest offset is taken. When all four
 * quarters of one node are free they become that node again, and so upwards: four free blocks of
 * different parents never do.
 *
 * They merge when the last of them is freed, not when a request needs them. What can be had at any
 * moment is the same: a block is there if, and only if, some node of its size has nothing used in
 * it. Only this way the work of a request does not depend on what was freed before it.
 *
 * Metadata: the state of each node in a byte, and for each level a bitmap of its free nodes, in
 * all 64 bytes, so the free node that a request wants is found by looking at words. Everything is
 * in offsets: the memory itself is never touched, and nothing that is written into it can do
 * harm here.
 *
 * Invariant: the root is never NONE; what is below a node that is not split is NONE; a split node
 * has at least one quarter that is not free; a bit is set exactly for each free node; the figures
 * published are the figures counted. quarters_check() proves it.
 *
 * Bound: QUARTERS_LEVELS levels, each looked at once, in alloc as in free: at most 4 splits or 4
 * merges. (The last level has 4 words of bitmap.) quarters_init and quarters_check are linear.
 * Not here: memory, locking, the 16 bytes that a request costs on top (client/pool.h).
 */
#ifndef HEAPD_CLIENT_QUARTERS_H
#define HEAPD_CLIENT_QUARTERS_H

#include "common/base.h"
#include "proto/wire.h"

#define QUARTERS_MIN_SHIFT 6 /* the smallest block: 64 bytes */
#define QUARTERS_MIN (UINT32_C(1) << QUARTERS_MIN_SHIFT)
#define QUARTERS_LEVELS 5 /* 16384, 4096, 1024, 256, 64 */
#define QUARTERS_MAX (QUARTERS_MIN << 2 * (QUARTERS_LEVELS - 1))
_Static_assert(WIRE_QUARTERS == ((1u << 2 * QUARTERS_LEVELS) - 1) / 3, "a state for each node");

/* An answer, not a failure: no such block is free. */
#define QUARTERS_NONE_FREE 1

/* Words of bitmap: one for each level but the last, 4^4 bits for that. */
#define QUARTERS_WORDS (QUARTERS_LEVELS - 1 + (1u << 2 * (QUARTERS_LEVELS - 1)) / 64)

struct quarters {
	uint64_t free[QUARTERS_WORDS]; /* level l < 4: word l; level 4: words 4 … 7 */
	uint8_t state[WIRE_QUARTERS];  /* enum wire_quarter */
	uint32_t shift;  /* the pool is 1 << shift bytes */
	uint32_t levels; /* 2 … 5; level l has 4^l nodes of 1 << (shift - 2 * l) bytes */
	uint32_t n_used; /* blocks */
	uint32_t used;   /* bytes of them */
	uint32_t high;   /* the most there ever were */
	struct wire_stats *stats; /* written, never believed */
};

/* Whether a pool can have so many bytes: 256, 1024, 4096, 16384. */
bool quarters_size_ok(uint64_t size);

/*
 * All of it free. size: one that quarters_size_ok(). stats: zeroed, the caller's, as long as q is
 * used; .pool, .used, .high and .bad_frees are kept there. Writes all of *q, so that no later call
 * is the first to touch a part of it.
 */
void quarters_init(struct quarters *q, uint32_t size, struct wire_stats *stats);

/* A block of at least bytes (0 is as 1). 0 and *offset, a multiple of the block's size;
 * QUARTERS_NONE_FREE, also for more than the pool. */
int quarters_alloc(struct quarters *q, uint64_t bytes, uint32_t *offset);

/* Frees the block that starts at offset. 0; -EINVAL: there is none, it is not its start, it is free
 * already: nothing changes but stats->bad_frees. */
int quarters_free(struct quarters *q, uint64_t offset);

/* Counts a free of something that is no offset at all. */
void quarters_bad_free(struct quarters *q);

/* 0, or -EUCLEAN. Walks everything: for tests and audits. Changes nothing. */
int quarters_check(const struct quarters *q);

#endif
