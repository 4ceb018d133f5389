/*
 * histories.h: what could make one call of a hot path long
 *
 * Model: a history runs in an actor. It brings an object into a state that costs the next call as
 * much as its author could think of, or into a random one, makes that call between two marks
 * (stepper.h), and so on. Who watches learns for each call how many instructions it took, and in
 * which history. Histories make their objects themselves and end them.
 * Not here: any bound (docs/realtime.md), and which way the library goes.
 */
#ifndef HEAPD_TESTS_REALTIME_HISTORIES_H
#define HEAPD_TESTS_REALTIME_HISTORIES_H

#include "common/base.h"

/* The calls that have bounds: as docs/realtime.md names them. */
#define CALLS(X) \
	X(HEAP_ALLOC, "rt_heap_alloc, up to a page") \
	X(HEAP_ALLOC_RUN, "rt_heap_alloc, above a page") \
	X(HEAP_UNTIL, "rt_heap_alloc_until, up to a page") \
	X(HEAP_FREE, "rt_heap_free, up to a page") \
	X(HEAP_FREE_RUN, "rt_heap_free, above a page") \
	X(HEAP_BAD_FREE, "rt_heap_free, of no block") \
	X(HEAP_OFFSET, "rt_heap_offset") \
	X(HEAP_POINTER, "rt_heap_pointer") \
	X(PT_GET, "pt_getblock") \
	X(PT_EMPTY, "pt_getblock, that looks at all CPUs") \
	X(PT_FREE, "pt_freeblock") \
	X(REGION_ALLOC, "shared_multi_heap_alloc") \
	X(REGION_ALIGNED, "shared_multi_heap_aligned_alloc") \
	X(REGION_FREE, "shared_multi_heap_free") \
	X(POOL_MALLOC, "k_malloc") \
	X(POOL_ALIGNED, "k_aligned_alloc") \
	X(POOL_CALLOC, "k_calloc, of 48 bytes") \
	X(POOL_FREE, "k_free")

#define CALL_ENUM_(name, text) CALL_##name,
enum call { CALLS(CALL_ENUM_) CALL_COUNT };

/* The value of a mark: a call, and the history's name (a literal, so its address says it). */
#define MARK_VALUE(call, history) ((uint64_t)(call) << 56 | (uint64_t)(uintptr_t)(history))
#define MARK_CALL(value) ((enum call)((value) >> 56))
#define MARK_HISTORY(value) ((const char *)(uintptr_t)((value) & UINT64_MAX >> 8))

/* The text of a mark, "number history" (the number of the call). */
#define MARK_TEXT_SIZE 80

/* Stepping is slow: of calls that are much the same only one in so many is measured. 1: all. */
extern unsigned history_thin;

/* A heap of so many bytes with so many blocks out (fewer if they would take more than half of it),
 * named or not, through the worst that we know and a random time. 0 or -errno: an answer was wrong. */
int history_of_heap(const char *name, size_t bytes, uint32_t live);

/* A partition of so many blocks, each of them once, all out and empty, bad frees, a random time. */
int history_of_partition(int blocks);

/* Sixteen regions, all but the last of each attribute full. */
int history_of_regions(void);

/* The largest pool: split from one to the smallest and merged again, in all orders of sizes. */
int history_of_pool(void);

#endif
