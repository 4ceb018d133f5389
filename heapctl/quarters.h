/*
 * quarters.h: the blocks of a heap memory pool, as its quarters tell them
 *
 * A pool is one block; a block that is split is four quarters, down to 64 bytes (proto/wire.h
 * numbers them). What is not split is a block, free or in use: those are listed here in the order
 * of their offsets, and drawn. Bounded by the 256 blocks that a pool can have. The states come
 * from the process that has the pool, by way of the daemon: what they leave open is a block of
 * QUARTER_NONE, whatever they say.
 */
#ifndef HEAPD_HEAPCTL_QUARTERS_H
#define HEAPD_HEAPCTL_QUARTERS_H

#include <stdio.h>
#include "heapctl/options.h"
#include "proto/wire.h"

#define QUARTERS_CELL 64u   /* bytes of the smallest block */
#define QUARTERS_BLOCKS 256 /* 16384 / 64 */
#define QUARTERS_LEVELS 5   /* 16384, 4096, 1024, 256, 64 */

struct quarters_block {
	uint32_t offset; /* bytes */
	uint32_t size;   /* bytes */
	uint32_t state;  /* QUARTER_FREE, QUARTER_USED; QUARTER_NONE: not told */
};

/* How many blocks, which lie in order and without a gap. The pool's size is one of the four. */
size_t quarters_list(const struct wire_pool *pool, struct quarters_block out[QUARTERS_BLOCKS]);

/* One character for each cell of 64 bytes, 64 in a line, each block with its ends; then a legend.
 */
void quarters_draw(const struct wire_pool *pool, const struct style *style, FILE *out);

#endif
