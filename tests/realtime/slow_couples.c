/*
 * slow_couples.c: what one call of a heap does now and then for many others, under its lock
 *
 * Model: in a new heap the low one fills what its CPU has at hand, and makes the call that moves all of it: a free that finds the
 * array full and spills half of it, an alloc that finds no pages in a row and has all arrays shut and drained (HAND_SPILLS,
 * HAND_SHUTS and HAND_DRAINS of client/point.h lie on the way; HAND_REFILLS is on that of the first alloc, scene.c). The high one
 * takes a small block meanwhile: beside the frees one of a size of which nothing is at hand, so that it needs the lock.
 * Invariant: there is memory for the high one whenever it comes, at hand or by itself.
 * Without restartable sequences nothing is at hand, and these are plain calls.
 */
#include "tests/realtime/scene.h"

#define SMALL 64
#define FREES 160             /* of small blocks: an array has 64 at most, and some are there */
#define HEAP ((size_t)4 << 20)
#define TAIL ((size_t)64 * 4096) /* the end of the heap, of which all arrays are filled */

static void *block[FREES];

/* Takes n and frees them, if they are not to be kept: the CPU has some of them at hand from then on. */
static int take_small(size_t size, size_t n, bool keep)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = rt_heap_alloc(&self.heap[0], size, TM_NONBLOCK, &block[i]);
	for (size_t i = 0; i < n && r == 0 && !keep; i++)
		r = rt_heap_free(&self.heap[0], block[i]);
	return r;
}

static int before_frees(void)
{
	int r = renew_heap();

	return r ? r : take_small(SMALL, FREES, true);
}

static bool frees(void)
{
	bool right = true;

	for (size_t i = 0; i < FREES; i++)
		right &= rt_heap_free(&self.heap[0], block[i]) == 0;
	return right;
}

static int take_run(size_t size, void **run)
{
	return rt_heap_alloc(&self.heap[0], size, TM_NONBLOCK, run);
}

/*
 * In front of the tail all is taken but two pages, which join nothing; in the tail lies what is at hand. (An eighth of
 * the heap is at hand at most, 28 KiB of each size here: 20 pages are enough for the tail to be in no case whole.)
 */
static int before_closing(void)
{
	void *front, *spare, *wall;
	int r = renew_heap();

	if (r == 0)
		r = take_run(HEAP - TAIL - 4 * 4096, &front);
	if (r == 0)
		r = take_run(2 * 4096, &spare);
	if (r == 0)
		r = take_run(2 * 4096, &wall);
	for (size_t size = 16; size <= 2048 && r == 0; size *= 2)
		r = take_small(size, size * 100 <= 16384 ? 100 : 16384 / size, false);
	return r ? r : rt_heap_free(&self.heap[0], spare);
}

/* All of the tail: it is there, unless the high one has a block of it. */
static bool closing(void)
{
	void *tail;
	int r = rt_heap_alloc(&self.heap[0], TAIL, TM_NONBLOCK, &tail);

	return r == 0 || r == -EWOULDBLOCK;
}

const struct couple slow_couples[] = {
	{ .text = "frees that spill, and rt_heap_alloc", .path = "a local heap", .random = 1 << 10, .call = CALL_HEAP_ALLOC,
	  .before = before_frees, .low = frees, .held = HELD },
	{ .text = "an alloc that calls all in, and rt_heap_alloc", .path = "a local heap", .random = 1 << 10 | 2, .call = CALL_HEAP_ALLOC,
	  .before = before_closing, .low = closing, .held = HELD_CALLING_IN, .barrier = true },
};
const size_t n_slow_couples = ARRAY_SIZE(slow_couples);
