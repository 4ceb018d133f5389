/*
 * bitset.h: an ordered set of small integers in constant time
 *
 * Model: a bitmap of 64-bit words with summary levels above it, until one word sums all up. Each
 * summary bit tells whether the word below it is non-zero. Five levels of 64 hold 2^30 members.
 *
 * Invariant: a summary bit is set exactly if its word below is not zero, and no bit is set beyond
 * the last member or word. bitset_check() proves it.
 *
 * Bound: an operation looks at no more than 2 * BITSET_LEVELS words, whatever the set holds. It
 * looks at the words on the path of its argument, their neighbours, and words that are not zero,
 * so a set that is nearly empty needs little of its storage to be backed (bitset_touch()).
 * Not here: memory and locking. The caller gives bitset_bytes(n) zeroed bytes.
 */
#ifndef HEAPD_COMMON_BITSET_H
#define HEAPD_COMMON_BITSET_H

#include "common/base.h"

#define BITSET_LEVELS 5
#define BITSET_MAX (UINT32_C(1) << 30)
#define BITSET_NONE UINT32_MAX

struct bitset {
	uint32_t n; /* members are 0 .. n-1 */
	uint32_t n_levels;
	uint64_t *level[BITSET_LEVELS]; /* level[0] is the bitmap itself */
};

/* Bytes that a set over n members (1 .. BITSET_MAX) needs: n/8 and a 63rd more, in whole words. */
size_t bitset_bytes(uint32_t n);

/* Lays an empty set out in storage: bitset_bytes(n) bytes, zeroed, 8-byte aligned, the caller's. */
void bitset_init(struct bitset *s, uint32_t n, void *storage);

/* Whether i is in the set. No i >= n is. */
bool bitset_has(const struct bitset *s, uint32_t i);

/* Pre: i < n. Adding what is there and removing what is not there change nothing. */
void bitset_add(struct bitset *s, uint32_t i);
void bitset_remove(struct bitset *s, uint32_t i);

/* The smallest member >= i, the largest member <= i; BITSET_NONE if none. i may be >= n. */
uint32_t bitset_next(const struct bitset *s, uint32_t i);
uint32_t bitset_prev(const struct bitset *s, uint32_t i);

/*
 * Calls touch(ctx, address, bytes) for the words that must have backing before members of [first,
 * first + n) are added, so that no later call with an argument in [first - 1, first + n] takes a
 * page fault. At most one call a level. Pre: n > 0, first + n <= s->n.
 */
void bitset_touch(const struct bitset *s, uint32_t first, uint32_t n,
		  void (*touch)(void *ctx, void *addr, size_t bytes), void *ctx);

/* 0, or -EUCLEAN if the invariant is broken. Walks everything: for tests. */
int bitset_check(const struct bitset *s);

#endif
