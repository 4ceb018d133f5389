/*
 * histories.c: see histories.h
 *
 * What is known of the library, so that the worst can be sought: a heap keeps a wholly free page of
 * each size (warm), and gives them all up before a request fails and with every request for a run.
 * A page that is given up joins the free runs on both sides. Free blocks of a page are bits in up to
 * four words. Of small blocks a CPU has some at hand, in batches.
 */
#include "tests/realtime/histories.h"

#include <errno.h>
#include <heapclient/k_malloc.h>
#include <heapclient/pt.h>
#include <heapclient/rt_heap.h>
#include <heapclient/shared_multi_heap.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "tests/realtime/marks.h"

#define PAGE ((size_t)4096)
#define SIZES 9       /* blocks of 16 bytes to a page */
#define SMALL_HEAP ((size_t)64 << 10)
#define SMALL_PAGE ((size_t)512)
#define RANDOM 200    /* calls of a random time */
#define BURST 300     /* calls of one kind in a row: more than a CPU has at hand */

#define MEASURE(call, history, ...) \
	do { \
		mark_begin(MARK_VALUE(call, history)); \
		__VA_ARGS__; \
		mark_end(); \
		note(call, history); \
	} while (0)

enum marking marking;
unsigned history_thin = 1;

static RT_HEAP heap;
static size_t page;      /* of its allocator: 512 bytes in small heaps */
static int n_sizes;      /* of blocks: 16 bytes to a page */
static void **kept;      /* blocks that are out */
static uint32_t n_kept;
static uint64_t seed;
static int wrong;        /* the first answer that was; 0: none */

static void note(enum call call, const char *history)
{
	char text[MARK_TEXT_SIZE];

	if (marking != MARKING_CALLGRIND)
		return;
	(void)snprintf(text, sizeof(text), "%d %s", (int)call, history);
	mark_write(text);
}

static uint64_t random_number(void)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return seed >> 20;
}

static void expect(bool right)
{
	if (!right && !wrong)
		wrong = -EIO;
}

/* ---- one call ---- */

static void *alloc(const char *history, size_t size)
{
	enum call call = size > page ? CALL_HEAP_ALLOC_RUN : CALL_HEAP_ALLOC;
	void *block = NULL;

	MEASURE(call, history, (void)rt_heap_alloc(&heap, size, TM_NONBLOCK, &block));
	return block;
}

static void free_block(const char *history, void *block, size_t size)
{
	enum call call = size > page ? CALL_HEAP_FREE_RUN : CALL_HEAP_FREE;
	int r;

	MEASURE(call, history, r = rt_heap_free(&heap, block));
	expect(r == 0);
}

static void *alloc_unseen(size_t size)
{
	void *block = NULL;

	(void)rt_heap_alloc(&heap, size, TM_NONBLOCK, &block);
	return block;
}

static void free_unseen(void *block)
{
	expect(rt_heap_free(&heap, block) == 0);
}

static void bad_free(void *block)
{
	int r;

	MEASURE(CALL_HEAP_BAD_FREE, "bad", r = rt_heap_free(&heap, block));
	expect(r == -EINVAL);
}

/* ---- heaps ---- */

static void first_of_each_size(void)
{
	void *block[SIZES];

	for (int i = 0; i < n_sizes; i++) {
		block[i] = alloc("the first of its size", (size_t)16 << i);
		expect(block[i] != NULL);
	}
	for (int i = 0; i < n_sizes; i++)
		if (block[i])
			free_block("the only one of its size", block[i], (size_t)16 << i);
}

/*
 * A hole of one page becomes the page of each size in turn, then both pages beside it are freed: to
 * give up those pages is to join them on both sides, one after the other. Needs some 40 pages.
 */
static bool warm_pages(void)
{
	void *of[4 * SIZES + 2], *block[SIZES];
	bool all = true;

	for (size_t i = 0; i < ARRAY_SIZE(of); i++) {
		of[i] = alloc_unseen(page);
		all = all && of[i];
	}
	for (int i = 0; all && i < n_sizes; i++) {
		free_unseen(of[4 * i + 2]);
		of[4 * i + 2] = NULL;
		block[i] = alloc_unseen((size_t)16 << i);
	}
	for (int i = 0; all && i < n_sizes; i++) {
		free_unseen(of[4 * i + 1]);
		free_unseen(of[4 * i + 3]);
		of[4 * i + 1] = of[4 * i + 3] = NULL;
		if (block[i])
			free_unseen(block[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(of); i++)
		if (all && of[i] && i % 4 == 0)
			kept[n_kept++] = of[i];
		else if (of[i])
			free_unseen(of[i]);
	return all;
}

static void drop_kept(void)
{
	while (n_kept)
		free_unseen(kept[--n_kept]);
}

/* All of the heap but so many pages, as one run. */
static void *most_of_it(size_t pages)
{
	RT_HEAP_INFO info;
	size_t n;

	if (rt_heap_inquire(&heap, &info) < 0)
		return NULL;
	n = (info.usablemem - info.usedmem) / page;
	return n > pages ? alloc_unseen((n - pages) * page) : NULL;
}

static void all_warm_pages_dropped(void)
{
	void *run, *most;

	(void)warm_pages();
	run = alloc("all warm pages dropped", 4 * page);
	if (run)
		free_block("a run beside free ones", run, 4 * page);
	drop_kept();

	/* when the last page is taken, a block that needs one drops the warm ones before it has it */
	most = most_of_it(60);
	(void)warm_pages();
	for (int i = 0; i < 60 && (run = alloc("no page but warm ones", page)); i++)
		kept[n_kept++] = run;
	drop_kept();
	if (most)
		free_block("most of the heap", most, page + 1);
}

/* Three runs side by side: the middle one is freed last, and joins both. */
static void worst_merge(void)
{
	for (size_t pages = 2; pages <= 8; pages *= 2) {
		void *run[5];
		bool all = true;

		for (size_t i = 0; i < ARRAY_SIZE(run); i++) {
			run[i] = alloc("cut from the rest", pages * page);
			all = all && run[i];
		}
		if (all) {
			free_block("a run", run[1], pages * page);
			free_block("a run", run[3], pages * page);
			free_block("a run between free ones", run[2], pages * page);
			run[1] = run[2] = run[3] = NULL;
		}
		for (size_t i = 0; i < ARRAY_SIZE(run); i++)
			if (run[i])
				free_unseen(run[i]);
	}
}

/* The last free block of a page, at each place that it can have; and the page emptied again. */
static void fullest_page(size_t size)
{
	void *block[2 * PAGE / 16];
	size_t n = 2 * page / size;
	size_t have = 0;

	while (have < n && (block[have] = alloc_unseen(size)))
		have++;
	for (size_t i = 0; i < have; i += 7 * history_thin) {
		free_block("into a full page", block[i], size);
		block[i] = alloc("the last one of a page", size);
	}
	for (size_t i = 0; i < have; i++)
		if (block[i] && (i % (8 * history_thin) == 7 || history_thin == 1))
			free_block("a page emptied", block[i], size);
		else if (block[i])
			free_unseen(block[i]);
}

/* So many in a row that whatever is at hand runs out, and then too much is at hand. */
static void bursts(size_t size)
{
	void *block[BURST];
	size_t n = 0;

	while (n < BURST / min_u64(history_thin, 2) && (block[n] = alloc("many in a row", size)))
		n++;
	for (size_t i = 0; i < n; i++)
		free_block("many frees in a row", block[i], size);
}

static void bad_frees(void)
{
	char *block = alloc_unseen(100), *run = alloc_unseen(3 * page);

	if (!block || !run)
		return;
	bad_free(block + 16);
	bad_free(block + 1);
	bad_free(run + page);
	bad_free(&heap);
	bad_free(NULL);
	free_unseen(block);
	free_unseen(run);
	bad_free(block);
	bad_free(run);
}

static void addresses(void *block)
{
	size_t offset = 0;
	void *again = NULL;
	int r;

	MEASURE(CALL_HEAP_OFFSET, "random", r = rt_heap_offset(&heap, block, &offset));
	expect(r == 0);
	MEASURE(CALL_HEAP_POINTER, "random", r = rt_heap_pointer(&heap, offset, &again));
	expect(r == 0 && again == block);
}

static size_t random_size(void)
{
	uint64_t r = random_number();

	return r % 16 == 0 ? page + r / 16 % (15 * page) : (size_t)16 << r / 16 % (unsigned)n_sizes;
}

/* Of the live ones a random one goes and a random one comes. size: of each, 0: not used. */
static void random_time(uint32_t live, size_t bytes)
{
	static const struct timespec past = { .tv_sec = 1 };
	uint32_t *size = calloc(live, sizeof(*size));
	size_t used = 0;

	if (!size)
		return;
	for (uint32_t i = 0; i < live; i++) {
		size[i] = (uint32_t)random_size();
		if (used + 2 * size[i] > bytes / 2)
			size[i] = 16;
		used += 2 * size[i];
		kept[i] = used > bytes / 2 ? NULL : alloc_unseen(size[i]);
	}
	for (int k = 0; k < RANDOM / (int)history_thin; k++) {
		uint32_t i = (uint32_t)(random_number() % live);

		if (kept[i]) {
			addresses(kept[i]);
			free_block("random", kept[i], size[i]);
		}
		size[i] = (uint32_t)random_size();
		kept[i] = NULL;
		if (k % 4 == 0 && size[i] <= page)
			MEASURE(CALL_HEAP_UNTIL, "random",
				(void)rt_heap_alloc_until(&heap, size[i], &past, &kept[i]));
		else
			kept[i] = alloc("random", size[i]);
	}
	for (uint32_t i = 0; i < live; i++)
		if (kept[i])
			free_unseen(kept[i]);
	free(size);
}

int history_of_heap(const char *name, size_t bytes, uint32_t live)
{
	int r = rt_heap_create(&heap, name, bytes, H_FIFO);

	if (r < 0)
		return r;
	page = bytes <= SMALL_HEAP ? SMALL_PAGE : PAGE;
	for (n_sizes = 1; (size_t)16 << (n_sizes - 1) < page;)
		n_sizes++;
	wrong = 0;
	seed = bytes + live;
	n_kept = 0;
	kept = calloc(live + 128, sizeof(*kept));
	if (!kept)
		return -ENOMEM;
	first_of_each_size();
	worst_merge();
	all_warm_pages_dropped();
	fullest_page(16);
	fullest_page(64);
	fullest_page(page / 4);
	for (size_t size = 16; size <= page; size *= 4)
		if (history_thin == 1 || size == 64)
			bursts(size);
	bad_frees();
	random_time(live, bytes);
	all_warm_pages_dropped();
	free(kept);
	r = rt_heap_delete(&heap);
	if (r == 0)
		r = rt_heap_unbind(&heap);
	return r < 0 ? r : wrong;
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
	wrong = 0;
	for (int i = 0; i < blocks; i++) {
		bool seen = i < BURST || i > blocks - BURST;

		block[i] = seen ? pt_get(ptno, "each for the first time") : pt_getblock(ptno);
		expect(block[i] != NULL);
	}
	expect(!pt_get(ptno, "empty"));
	expect(!pt_get(ptno, "empty"));
	pt_free(ptno, "bad", (char *)block[0] + 1);
	pt_free(ptno, "bad", &heap);
	for (int i = 0; i < blocks; i++)
		if (i < BURST)
			pt_free(ptno, "many in a row", block[i]);
		else
			pt_freeblock(ptno, block[i]);
	pt_free(ptno, "twice", block[0]);
	for (int i = 0; i < RANDOM / (int)history_thin; i++) {
		int k = (int)(random_number() % (uint64_t)min_u64((uint64_t)blocks, 40));

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
	expect(pt_destroy(ptno) == 0);
	return wrong;
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
	wrong = 0;
	seed = 5;
	for (unsigned a = 0; a < ARRAY_SIZE(attributes); a++) {
		for (int i = 0; i < SIZES; i++) {
			block[i] = region_alloc("the first of its size", a, 0, (size_t)16 << i);
			expect(block[i] != NULL);
		}
		for (int i = 0; i < SIZES; i++)
			region_free("the only one of its size", block[i]);
		expect(!region_alloc("too much for any", a, 0, REGION_BYTES + PAGE));
		block[0] = region_alloc("a run", a, 0, 5 * PAGE);
		block[1] = region_alloc("a run, aligned", a, 16 * PAGE, 5 * PAGE);
		block[2] = region_alloc("a run, aligned", a, 2 * PAGE, 5 * PAGE);
		for (int i = 0; i < 3; i++)
			region_free("a run", block[i]);
		(void)region_alloc("no such alignment", a, 3, 16);
		region_free("twice", block[0]);
		region_free("in no region", &heap);
		memset(block, 0, sizeof(block));
		for (int i = 0; i < 2 * RANDOM / (int)(history_thin * history_thin); i++) {
			uint64_t n = random_number(), k = n % 64;

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
	return wrong;
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
	wrong = 0;
	seed = 7;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) { /* split from one, merged to one */
		block[0] = pool_alloc("alone", sizes[i]);
		expect(block[0] != NULL);
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
	expect(n == POOL_BLOCKS && !pool_alloc("full", 16368) && !pool_alloc("full", 48));
	for (size_t i = 0; i < n; i++) /* of each four the first three; quarters alternately */
		if (i % 4 != 3 && i / 4 % history_thin)
			k_free(block[i]);
		else if (i % 4 != 3)
			pool_free("merging", block[i]);
	expect(!pool_alloc("in pieces", 240));
	for (size_t i = 3; i < n; i += 4)
		if ((i + 1) / 4 % history_thin)
			k_free(block[i]);
		else
			pool_free("merging", block[i]);
	pool_free("twice", block[0]);
	pool_free("bad", &heap);
	memset(block, 0, sizeof(block));
	for (int i = 0; i < 2 * RANDOM / (int)history_thin; i++) {
		uint64_t any = random_number(), k = any % 32;

		if (block[k])
			pool_free("random", block[k]);
		block[k] = block[k] ? NULL : pool_alloc("random", sizes[any / 32 % 4]);
	}
	for (size_t k = 0; k < 32; k++)
		pool_free("random", block[k]);
	expect(pool_alloc("one again", 16368) != NULL);
	return wrong;
}
