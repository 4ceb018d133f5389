/*
 * histogram.h: how often a time was seen, from one tick to all that 64 bits hold
 *
 * Model: a bin for each value up to 32; above, 32 bins for each power of two, so a bin is at most
 * 1/32 wide of what it holds. Adding is a shift and an increment, never a search. The largest value
 * is kept exactly.
 */
#ifndef HEAPD_BENCH_HISTOGRAM_H
#define HEAPD_BENCH_HISTOGRAM_H

#include "common/base.h"

#define BIN_BITS 5
#define BIN_SUBS (1u << BIN_BITS)
#define BINS ((64 - BIN_BITS + 1) * BIN_SUBS)

struct histogram {
	uint64_t count, max;
	uint64_t bin[BINS];
};

static inline unsigned int histogram_bin(uint64_t v)
{
	unsigned int shift;

	if (v < BIN_SUBS)
		return (unsigned int)v;
	shift = 63u - (unsigned int)__builtin_clzll(v) - BIN_BITS;
	return (shift << BIN_BITS) + (unsigned int)(v >> shift);
}

/* The largest value of a bin. */
static inline uint64_t histogram_top(unsigned int bin)
{
	unsigned int shift = bin < 2 * BIN_SUBS ? 0 : (bin >> BIN_BITS) - 1;
	uint64_t low = bin;

	if (bin >= 2 * BIN_SUBS)
		low = (uint64_t)(BIN_SUBS + (bin & (BIN_SUBS - 1))) << shift;
	return low + ((UINT64_C(1) << shift) - 1);
}

static inline void histogram_add(struct histogram *h, uint64_t v)
{
	h->bin[histogram_bin(v)]++;
	h->count++;
	if (unlikely(v > h->max))
		h->max = v;
}

#endif
