/*
 * quarters_model.h: a pool of quarters, and beside it the plainest record of what it must be
 *
 * The model is a list of live blocks. Whatever else there is to know it finds by looking at all of
 * them: a node of the tree is used if it is a live block; free if nothing live is in it but
 * something is in its parent; split if something live is in it that is smaller; else it is part
 * of a larger one. A request gets, of all places of its size where nothing lives, the one whose
 * largest empty surroundings are the smallest, then the lowest. So it shares no structure and no
 * shortcut with the allocator. Each call here makes one call of the allocator, demands that the
 * answer is the right one, and follows it (pure.h: must).
 */
#ifndef HEAPD_TESTS_QUARTERS_MODEL_H
#define HEAPD_TESTS_QUARTERS_MODEL_H

#include "client/quarters.h"

#define NO_BLOCK UINT32_MAX

struct block {
	uint32_t offset;
	uint32_t size;
};

struct quarters_model {
	struct quarters q;
	struct wire_stats stats;
	uint32_t size;
	struct block blocks[QUARTERS_MAX / QUARTERS_MIN];
	uint32_t n_blocks;
	uint32_t used, high, bad_frees;
};

struct quarters_model *quarters_model_new(uint32_t size);
void quarters_model_free(struct quarters_model *m);

/* The block's offset; NO_BLOCK if there is none, which must be so when the model says so. */
uint32_t quarters_model_alloc(struct quarters_model *m, uint64_t bytes);

/* Frees blocks[i]; the last block takes its place. */
void quarters_model_free_block(struct quarters_model *m, uint32_t i);

/* Frees the live block at offset; if there is none it must be refused. Whether there was one. */
bool quarters_model_free_at(struct quarters_model *m, uint64_t offset);

/* Takes blocks for so many bytes until there are none. How many. */
uint32_t quarters_model_fill(struct quarters_model *m, uint64_t bytes);

/* The other way round: frees everything. */
void quarters_model_empty(struct quarters_model *m);

/* Compares all that can be seen, and audits. */
void quarters_model_same(const struct quarters_model *m);

#endif
