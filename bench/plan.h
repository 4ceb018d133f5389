/*
 * plan.h: what one process of the bench is to do, and what every work shares
 *
 * Model: a program bench-STORE is a store (store.h) and the works (work_*.c), compiled together, so
 * that a store is called as its users call it: direct, or inline where it is inline. A process does
 * one work once, with the values of one plan, and prints one line of JSON. Medians, ratios and
 * turns are the business of who starts it (scripts/bench).
 *
 * Not here: any judgement, and anything about other stores. Two allocators never meet in one
 * process.
 */
#ifndef HEAPD_BENCH_PLAN_H
#define HEAPD_BENCH_PLAN_H

#include <stdio.h>

#include "common/base.h"

#define THREADS_MAX 2

struct plan {
	const char *work;
	uint64_t size;      /* bytes of a block */
	uint64_t size_max;  /* of the largest; 0: all have size */
	uint64_t live;      /* blocks that are out at once, of all threads together */
	uint64_t threads;   /* 1 or 2; the i-th runs on CPU i */
	uint64_t heap;      /* bytes of the store; 0: what the work needs */
	uint64_t heaps;     /* how many stores, used in turn, where a store can be many */
	uint64_t ms;        /* milliseconds that the loop lasts, or */
	uint64_t pairs;     /* how often it goes round, when not 0 */
	uint64_t rt;        /* 1: the loop runs under SCHED_FIFO where that is permitted */
};

/* What the loops of all threads together did. */
struct outcome {
	double ns;          /* of one pair of get and put, as one thread sees it */
	uint64_t pairs;
	uint64_t faults;    /* minor and major ones of the process while it measured */
	uint64_t preempted; /* involuntary context switches */
	uint64_t cpus;      /* on how many the threads were */
};

/* The works. Each prints the members of its own into the JSON object, ", "key": value" each. */
int work_pair(const struct plan *plan, struct outcome *out);
int work_replace(const struct plan *plan, struct outcome *out);
int work_queue(const struct plan *plan, struct outcome *out);
int work_latency(const struct plan *plan, struct outcome *out);

/* The most blocks and bytes that a work has out at once, with what waits in rings and caches. */
static inline uint64_t plan_blocks(const struct plan *plan)
{
	return plan->live + 4096;
}

static inline uint64_t plan_bytes(const struct plan *plan)
{
	uint64_t largest = plan->size_max ? plan->size_max : plan->size;
	uint64_t block = 16;

	while (block < largest) /* what an allocator of powers of two makes of it */
		block *= 2;
	return plan->heap ? plan->heap : plan_blocks(plan) * block + (UINT64_C(16) << 20);
}

/* Whatever the compiler knows about p ends here, so it cannot leave out a pair. */
static inline void used(void *p)
{
	__asm__ volatile("" : : "r"(p) : "memory");
}

/* xorshift64* (S. Vigna, 2016): the same history for every store. Never 0. */
static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

/* A number from 0 to n - 1 (n below 2^32), by multiplication instead of division. */
static inline uint64_t random_below(uint64_t *state, uint64_t n)
{
	return ((random_next(state) >> 32) * n) >> 32;
}

static inline void plan_must(int r, const char *what)
{
	if (r >= 0)
		return;
	(void)fprintf(stderr, "bench: %s: %s\n", what, strerror(-r));
	exit(1);
}

#endif
