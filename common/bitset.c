/*
 * bitset.c: see bitset.h
 *
 * A member i is bit i % 64 of word i / 64 of level 0; that word is bit (i / 64) % 64 of word
 * i / 64 / 64 of level 1, and so on. A search climbs until a word has a bit on the right side of
 * where it came from, then descends along lowest (or highest) bits; every word on the way down is
 * non-zero by the invariant.
 */
#include "common/bitset.h"

#define WORD_SHIFT 6
#define WORD_BITS 64u

static uint32_t words_for(uint32_t bits)
{
	return bits / WORD_BITS + (bits % WORD_BITS != 0);
}

static uint64_t bit_of(uint32_t i)
{
	return UINT64_C(1) << (i % WORD_BITS);
}

static uint32_t lowest(uint64_t word)
{
	return (uint32_t)__builtin_ctzll(word);
}

static uint32_t highest(uint64_t word)
{
	return WORD_BITS - 1 - (uint32_t)__builtin_clzll(word);
}

/* Bits at and above position b; none for b == 64 cannot be asked: b is always a remainder. */
static uint64_t mask_from(uint32_t b)
{
	return ~UINT64_C(0) << b;
}

/* Bits at and below position b. */
static uint64_t mask_to(uint32_t b)
{
	return ~UINT64_C(0) >> (WORD_BITS - 1 - b);
}

size_t bitset_bytes(uint32_t n)
{
	size_t words = 0;

	do {
		n = words_for(n);
		words += n;
	} while (n > 1);
	return words * sizeof(uint64_t);
}

void bitset_init(struct bitset *s, uint32_t n, void *storage)
{
	uint64_t *word = storage;
	uint32_t bits = n;

	assert(n > 0 && n <= BITSET_MAX && "five levels of 64");
	*s = (struct bitset){ .n = n };
	do {
		s->level[s->n_levels++] = word;
		bits = words_for(bits);
		word += bits;
	} while (bits > 1);
}

bool bitset_has(const struct bitset *s, uint32_t i)
{
	return i < s->n && (s->level[0][i >> WORD_SHIFT] & bit_of(i));
}

/* A word that was non-zero before is known above already: the usual add ends at level 0. */
void bitset_add(struct bitset *s, uint32_t i)
{
	assert(i < s->n);
	for (uint32_t l = 0; l < s->n_levels; l++) {
		uint64_t *word = &s->level[l][i >> WORD_SHIFT];
		uint64_t old = *word;

		*word = old | bit_of(i);
		if (old)
			return;
		i >>= WORD_SHIFT;
	}
}

void bitset_remove(struct bitset *s, uint32_t i)
{
	assert(i < s->n);
	for (uint32_t l = 0; l < s->n_levels; l++) {
		uint64_t *word = &s->level[l][i >> WORD_SHIFT];

		*word &= ~bit_of(i);
		if (*word)
			return;
		i >>= WORD_SHIFT;
	}
}

uint32_t bitset_next(const struct bitset *s, uint32_t i)
{
	uint32_t bits = s->n; /* of this level */
	uint32_t l = 0;
	uint64_t found;

	for (;; l++) {
		if (l == s->n_levels || i >= bits)
			return BITSET_NONE;
		found = s->level[l][i >> WORD_SHIFT] & mask_from(i % WORD_BITS);
		if (found)
			break;
		i = (i >> WORD_SHIFT) + 1;
		bits = words_for(bits);
	}
	i = (i & ~(WORD_BITS - 1)) | lowest(found);
	while (l-- > 0)
		i = i << WORD_SHIFT | lowest(s->level[l][i]);
	return i;
}

uint32_t bitset_prev(const struct bitset *s, uint32_t i)
{
	uint32_t l = 0;
	uint64_t found;

	if (i >= s->n)
		i = s->n - 1;
	for (;; l++) {
		if (l == s->n_levels)
			return BITSET_NONE;
		found = s->level[l][i >> WORD_SHIFT] & mask_to(i % WORD_BITS);
		if (found)
			break;
		i >>= WORD_SHIFT;
		if (i-- == 0)
			return BITSET_NONE;
	}
	i = (i & ~(WORD_BITS - 1)) | highest(found);
	while (l-- > 0)
		i = i << WORD_SHIFT | highest(s->level[l][i]);
	return i;
}

void bitset_touch(const struct bitset *s, uint32_t first, uint32_t n,
		  void (*touch)(void *ctx, void *addr, size_t bytes), void *ctx)
{
	uint32_t words = s->n;
	uint32_t from = first, to = first + n - 1; /* bits of this level, both included */

	assert(n > 0 && first < s->n && n <= s->n - first);
	for (uint32_t l = 0; l < s->n_levels; l++) {
		words = words_for(words);
		/* one word more on each side: for arguments next to the range, and for climbs */
		from >>= WORD_SHIFT;
		to >>= WORD_SHIFT;
		from -= from > 0;
		to += to < words - 1;
		touch(ctx, &s->level[l][from], (to - from + 1) * sizeof(uint64_t));
	}
}

int bitset_check(const struct bitset *s)
{
	uint32_t bits = s->n;

	for (uint32_t l = 0; l < s->n_levels; l++) {
		uint32_t words = words_for(bits);

		if (bits % WORD_BITS && s->level[l][words - 1] & mask_from(bits % WORD_BITS))
			return -EUCLEAN; /* beyond the last */
		for (uint32_t w = 0; l + 1 < s->n_levels && w < words; w++)
			if (!s->level[l][w] != !(s->level[l + 1][w >> WORD_SHIFT] & bit_of(w)))
				return -EUCLEAN; /* the summary lies */
		bits = words;
	}
	return bits == 1 ? 0 : -EUCLEAN;
}
