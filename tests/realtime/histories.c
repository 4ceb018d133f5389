/*
 * histories.c: histories of partitions, regions and the pool; see histories.h
 */
#include "tests/realtime/histories.h"

#include <errno.h>
#include <heapclient/k_malloc.h>
#include <heapclient/pt.h>
#include <heapclient/shared_multi_heap.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/realtime/measure.h"

enum marking marking;
unsigned history_thin = 1;

static uint64_t seed;
static int wrong;  /* the first answer that was; 0: none */
static char apart; /* in no object */

void history_note(enum call call, const char *history)
{
	char text[MARK_TEXT_SIZE];

	if (marking != MARKING_CALLGRIND)
		return;
	(void)snprintf(text, sizeof(text), "%d %s", (int)call, history);
	mark_write(text);
}

void history_begin(uint64_t new_seed)
{
	seed = new_seed;
	wrong = 0;
}

void history_expect(bool right)
{
	if (!right && !wrong)
		wrong = -EIO;
}

int history_end(void)
{
	return wrong;
}

uint64_t history_random(void)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return seed >> 20;
}

/* ---- partitions ---- */

static void *pt_get(int ptno, const char *history)
{
	void *block;

	MEASURE(CALL_PT_GET, history, block = pt_getblock(ptno));
	return block;
}

static void pt_free(int ptno, const char *history, void *block)
{
	MEASURE(CALL_PT_FREE, history, pt_freeblock(ptno, block));
}

int history_of_partition(int blocks)
{
	int ptno = pt_create(64, blocks);
	void **block = calloc((size_t)blocks, sizeof(*block));

	if (ptno < 0 || !block)
		return -ENOMEM;
	history_begin(11);
	for (int i = 0; i < blocks; i++) {
		bool seen = i < BURST || i > blocks - BURST;

		block[i] = seen ? pt_get(ptno, "each for the first time") : pt_getblock(ptno);
		history_expect(block[i] != NULL);
	}
	for (int i = 0; i < 2; i++) {
		void *none;

		MEASURE(CALL_PT_EMPTY, "empty", none = pt_getblock(ptno));
		history_expect(!none);
	}
	pt_free(ptno, "bad", (char *)block[0] + 1);
	pt_free(ptno, "bad", &apart);
	for (int i = 0; i < blocks; i++)
		if (i < BURST)
			pt_free(ptno, "many in a row", block[i]);
		else
			pt_freeblock(ptno, block[i]);
	pt_free(ptno, "twice", block[0]);
	for (int i = 0; i < RANDOM / (int)history_thin; i++) {
		int k = (int)(history_random() % (uint64_t)min_u64((uint64_t)blocks, 40));

		if (i == 0)
			memset(block, 0, (size_t)blocks * sizeof(*block));
		if (block[k])
			pt_free(ptno, "random", block[k]);
		block[k] = block[k] ? NULL : pt_get(ptno, "random");
	}
	for (int k = 0; k < blocks; k++)
		if (block[k])
			pt_freeblock(ptno, block[k]);
	free(block);
	history_expect(pt_destroy(ptno) == 0);
	return history_end();
}

/* ---- regions ---- */

#define REGIONS 8           /* of each attribute */
#define REGION_BYTES ((size_t)1 << 20)

static const enum shared_multi_heap_attr attributes[] = { SMH_REG_ATTR_CACHEABLE,
							   SMH_REG_ATTR_NON_CACHEABLE };

static void *region_alloc(const char *history, unsigned attribute, size_t align, size_t size)
{
	enum shared_multi_heap_attr attr = attributes[attribute];
	void *block;

	if (!align)
		MEASURE(CALL_REGION_ALLOC, history, block = shared_multi_heap_alloc(attr, size));
	else
		MEASURE(CALL_REGION_ALIGNED, history,
			block = shared_multi_heap_aligned_alloc(attr, align, size));
	return block;
}

static void region_free(const char *history, void *block)
{
	MEASURE(CALL_REGION_FREE, history, shared_multi_heap_free(block));
}

/* Of each attribute: seven that have been filled with pages, of which each size has dropped one, and
 * then the one that has room. */
static int regions_made(void)
{
	int r = shared_multi_heap_pool_init();

	for (unsigned a = 0; a < ARRAY_SIZE(attributes); a++)
		for (int i = 0; r == 0 && i < REGIONS; i++) {
			struct shared_multi_heap_region region = { attributes[a], 0, REGION_BYTES };

			r = shared_multi_heap_add(&region, NULL);
			while (r == 0 && i < REGIONS - 1 &&
			       shared_multi_heap_alloc(attributes[a], PAGE))
				;
		}
	return r;
}

int history_of_regions(void)
{
	static void *block[BURST];
	int r = regions_made();

	if (r < 0)
		return r;
	history_begin(5);
	for (unsigned a = 0; a < ARRAY_SIZE(attributes); a++) {
		for (int i = 0; i < SIZES; i++) {
			block[i] = region_alloc("the first of its size", a, 0, (size_t)16 << i);
			history_expect(block[i] != NULL);
		}
		for (int i = 0; i < SIZES; i++)
			region_free("the only one of its size", block[i]);
		history_expect(!region_alloc("too much for any", a, 0, REGION_BYTES + PAGE));
		block[0] = region_alloc("a run", a, 0, 5 * PAGE);
		block[1] = region_alloc("a run, aligned", a, 16 * PAGE, 5 * PAGE);
		block[2] = region_alloc("a run, aligned", a, 2 * PAGE, 5 * PAGE);
		for (int i = 0; i < 3; i++)
			region_free("a run", block[i]);
		(void)region_alloc("no such alignment", a, 3, 16);
		region_free("twice", block[0]);
		region_free("in no region", &apart);
		memset(block, 0, sizeof(block));
		for (int i = 0; i < 2 * RANDOM / (int)(history_thin * history_thin); i++) {
			uint64_t n = history_random(), k = n % 64;

			if (block[k]) {
				region_free("random", block[k]);
				block[k] = NULL;
			} else {
				block[k] = region_alloc("random", a,
							n >> 8 & 1 ? (size_t)1 << (n >> 9) % 14 : 0,
							(size_t)16 << (n >> 16) % 11);
			}
		}
		for (int k = 0; k < 64; k++)
			shared_multi_heap_free(block[k]);
	}
	return history_end();
}

/* ---- the pool ---- */

#define POOL_BLOCKS 256 /* of the smallest size in the largest pool */

static void *pool_alloc(const char *history, size_t size)
{
	void *block;

	MEASURE(CALL_POOL_MALLOC, history, block = k_malloc(size));
	return block;
}

static void pool_free(const char *history, void *block)
{
	MEASURE(CALL_POOL_FREE, history, k_free(block));
}

int history_of_pool(void)
{
	static const size_t sizes[] = { 48, 240, 1008, 4080, 16368 };
	void *block[POOL_BLOCKS] = { NULL };
	size_t n = 0;
	int r = k_heap_mem_pool_init();

	if (r < 0)
		return r;
	history_begin(7);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) { /* split from one, merged to one */
		block[0] = pool_alloc("alone", sizes[i]);
		history_expect(block[0] != NULL);
		pool_free("alone", block[0]);
		MEASURE(CALL_POOL_ALIGNED, "alone", block[0] = k_aligned_alloc(sizes[i] + 16, 1));
		pool_free("alone", block[0]);
	}
	MEASURE(CALL_POOL_CALLOC, "alone", block[0] = k_calloc(1, 48));
	pool_free("alone", block[0]);
	for (; n < POOL_BLOCKS; n++) {
		block[n] = n % history_thin ? k_malloc(48) : pool_alloc("all of the smallest", 48);
		if (!block[n])
			break;
	}
	history_expect(n == POOL_BLOCKS && !pool_alloc("full", 16368) && !pool_alloc("full", 48));
	for (size_t i = 0; i < n; i++) /* of each four the first three; quarters alternately */
		if (i % 4 != 3 && i / 4 % history_thin)
			k_free(block[i]);
		else if (i % 4 != 3)
			pool_free("merging", block[i]);
	history_expect(!pool_alloc("in pieces", 240));
	for (size_t i = 3; i < n; i += 4)
		if ((i + 1) / 4 % history_thin)
			k_free(block[i]);
		else
			pool_free("merging", block[i]);
	pool_free("twice", block[0]);
	pool_free("bad", &apart);
	memset(block, 0, sizeof(block));
	for (int i = 0; i < 2 * RANDOM / (int)history_thin; i++) {
		uint64_t any = history_random(), k = any % 32;

		if (block[k])
			pool_free("random", block[k]);
		block[k] = block[k] ? NULL : pool_alloc("random", sizes[any / 32 % 4]);
	}
	for (size_t k = 0; k < 32; k++)
		pool_free("random", block[k]);
	history_expect(pool_alloc("one again", 16368) != NULL);
	return history_end();
}
