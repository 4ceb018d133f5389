/*
 * pools.h: fixed blocks from ours and from peers, as the measurement takes them
 *
 * Model: a pool hands out blocks of 64 bytes; every one of them is called through the same pointers, so that
 * the way to the call costs the same. One pool of each kind in the process.
 */
#ifndef HEAPD_BENCH_POOLS_H
#define HEAPD_BENCH_POOLS_H

#include "bench/bench.h"

#define POOL_SIZE 64
#define POOL_BLOCKS 4096

struct pool {
	const char *name;
	int (*begin)(void);   /* makes it. 0, -errno */
	int (*enter)(void);   /* once in each thread, before it gets; may be NULL */
	void (*leave)(void);  /* at its end; may be NULL */
	void *(*get)(void);   /* NULL: empty */
	void (*put)(void *block);
};

extern const struct pool pool_treiber; /* the textbook's lock-free stack: a head of 8 bytes, half of it a tag */
extern const struct pool pool_dpdk;    /* rte_mempool with a cache for each thread; only with HAVE_DPDK */

#endif
