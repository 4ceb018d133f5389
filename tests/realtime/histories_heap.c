/*
 * histories_heap.c: histories of heaps; see histories.h
 *
 * What is known of the library, so that the worst can be sought: a heap keeps a wholly free page of
 * each size (warm), and gives them all up before a request fails and with every request for a run.
 * A page that is given up joins the free runs on both sides. Free blocks of a page are bits in up to
 * four words. Of small blocks a CPU has some at hand, in batches.
 */
#include <errno.h>
#include <heapclient/rt_heap.h>
#include <stdlib.h>

#include "tests/realtime/measure.h"

#define SMALL_HEAP ((size_t)64 << 10)
#define SMALL_PAGE ((size_t)512)

static RT_HEAP heap;
static size_t page;      /* of its allocator: 512 bytes in small heaps */
static int n_sizes;      /* of blocks: 16 bytes to a page */
static void **kept;      /* blocks that are out */
static uint32_t n_kept;

/* ---- one call ---- */

static void *alloc(const char *history, size_t size)
{
	enum call call = size > page ? CALL_HEAP_ALLOC_RUN : CALL_HEAP_ALLOC;
	void *block = NULL;

	MEASURE(call, history, (void)rt_heap_alloc(&heap, size, TM_NONBLOCK, &block));
	return block;
}

static void *alloc_until(const char *history, size_t size)
{
	static const struct timespec past = { .tv_sec = 1 };
	void *block = NULL;

	MEASURE(CALL_HEAP_UNTIL, history, (void)rt_heap_alloc_until(&heap, size, &past, &block));
	return block;
}

static void free_block(const char *history, void *block, size_t size)
{
	enum call call = size > page ? CALL_HEAP_FREE_RUN : CALL_HEAP_FREE;
	int r;

	MEASURE(call, history, r = rt_heap_free(&heap, block));
	history_expect(r == 0);
}

static void *alloc_unseen(size_t size)
{
	void *block = NULL;

	(void)rt_heap_alloc(&heap, size, TM_NONBLOCK, &block);
	return block;
}

static void free_unseen(void *block)
{
	history_expect(rt_heap_free(&heap, block) == 0);
}

static void bad_free(void *block)
{
	int r;

	MEASURE(CALL_HEAP_BAD_FREE, "bad", r = rt_heap_free(&heap, block));
	history_expect(r == -EINVAL);
}

/* ---- heaps ---- */

static void first_of_each_size(void)
{
	void *block[SIZES];

	for (int i = 0; i < n_sizes; i++) {
		block[i] = alloc("the first of its size", (size_t)16 << i);
		history_expect(block[i] != NULL);
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

/*
 * So many in a row that whatever is at hand runs out, and then too much is at hand: twice in one direction, so that the second
 * batch is a long one.
 */
static void bursts(size_t size)
{
	void *block[BURST];
	size_t n = 0;

	for (; n < BURST / min_u64(history_thin, 2); n++) {
		block[n] = n % 3 ? alloc("many in a row", size) : alloc_until("many in a row", size);
		if (!block[n])
			break;
	}
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
	history_expect(r == 0);
	MEASURE(CALL_HEAP_POINTER, "random", r = rt_heap_pointer(&heap, offset, &again));
	history_expect(r == 0 && again == block);
}

static size_t random_size(void)
{
	uint64_t r = history_random();

	return r % 16 == 0 ? page + r / 16 % (15 * page) : (size_t)16 << r / 16 % (unsigned)n_sizes;
}

/* Of the live ones a random one goes and a random one comes. size: of each, 0: not used. */
static void random_time(uint32_t live, size_t bytes)
{
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
		uint32_t i = (uint32_t)(history_random() % live);

		if (kept[i]) {
			addresses(kept[i]);
			free_block("random", kept[i], size[i]);
		}
		size[i] = (uint32_t)random_size();
		kept[i] = k % 4 == 0 && size[i] <= page ? alloc_until("random", size[i]) :
							  alloc("random", size[i]);
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
	history_begin(bytes + live);
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
	return r < 0 ? r : history_end();
}
