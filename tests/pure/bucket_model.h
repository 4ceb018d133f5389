/*
 * bucket_model.h: a heap of blocks, and beside it the plainest record of what it must be
 *
 * The model knows which bytes (in units of 16) lie in live blocks, which block size each allocator
 * page is cut into, and a list of the live blocks. From these it tells, by looking at everything,
 * whether a request can be served, so it shares no structure and no shortcut with the allocator.
 * Each call here makes one call of the allocator, demands that the answer is the right one, and
 * follows it. A demand that fails ends the program with a line that says which (pure.h: must).
 */
#ifndef HEAPD_TESTS_BUCKET_MODEL_H
#define HEAPD_TESTS_BUCKET_MODEL_H

#include "client/bucket.h"

#define NO_BLOCK UINT64_MAX

struct block {
	uint64_t offset;
	uint64_t bytes;
};

/* An allocator page. */
struct cut {
	bool present;
	bool large;    /* part of a large block */
	uint64_t size; /* of its blocks while it has live ones */
	uint32_t live; /* live blocks; pages of a large block: 1 */
};

struct bucket_model {
	struct bucket_heap h;
	struct wire_stats *stats;
	void *storage;
	size_t storage_size;

	bool shelves; /* more than one is used: a page may come while others have blocks */
	uint32_t n_hw;
	uint32_t n_pages;
	uint32_t hw_pages; /* allocator pages of a hardware page */
	uint64_t page;     /* bytes of an allocator page */

	struct cut *cut;
	uint8_t *taken; /* for each 16 bytes: whether a live block holds them */
	struct block *blocks;
	uint32_t n_blocks;
	uint32_t room;

	uint64_t used, large, high;
	uint64_t calls[BUCKET_COUNT];
	uint32_t bad_frees;
};

/* A heap with all pages absent. */
struct bucket_model *model_new(uint32_t n_hw, uint32_t page_shift);
void model_free(struct bucket_model *m);

/* A heap with all pages present, and pages of the size that a heap of this size has. */
struct bucket_model *model_new_full(uint32_t n_hw);

/* Compares, then frees the model; the heap may still have blocks. */
void model_done(struct bucket_model *m);

/* Whether all of it is right and absent, the pages come; else it must be refused. */
void model_insert(struct bucket_model *m, uint32_t first_hw, uint32_t n_hw);

/* Blocks are this CPU's from now on. */
void model_shelf(struct bucket_model *m, uint32_t cpu);

/* The block's offset; NO_BLOCK if the heap is dry, which it must be when the model says so. */
uint64_t model_alloc(struct bucket_model *m, uint64_t size);
uint64_t model_alloc_aligned(struct bucket_model *m, uint64_t size, uint64_t align);

/* Frees blocks[i]; the last block takes its place. */
void model_free_block(struct bucket_model *m, uint32_t i);

/* Frees every block, the youngest first. */
void model_free_all(struct bucket_model *m);

/* Takes blocks of size until the heap is dry. How many. */
uint32_t model_fill(struct bucket_model *m, uint64_t size);

/* Frees whatever is at offset: a live block, or it must be refused and change nothing at all. */
void model_free_at(struct bucket_model *m, uint64_t offset);

/* Returns the hardware pages that were given back. */
uint32_t model_reclaim(struct bucket_model *m, uint32_t want, uint32_t max_pages, size_t max_runs);

/* Compares everything that can be seen, and audits. O(pages). */
void model_same(const struct bucket_model *m);

/* Hardware pages that are present and hold no live block. */
uint32_t model_free_hw(const struct bucket_model *m);

#endif
