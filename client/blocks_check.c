/*
 * blocks_check.c: the auditor of blocks.c
 *
 * It walks the stack, which ends after n_free blocks if no block is in it twice (a walk that meets
 * a block again never ends), and counts the markers, which are on all the others but those at hand.
 */
#include "client/blocks.h"

static int check_stack(const struct wire_vacant *head, const _Atomic uint32_t *link, uint32_t n)
{
	uint32_t at = head->top;

	for (uint32_t i = 0; i < head->n_free; i++) {
		if (at == 0 || at > n)
			return -EUCLEAN; /* ends too early, or leads nowhere */
		at = atomic_load(&link[at - 1]);
	}
	return at == 0 ? 0 : -EUCLEAN;
}

static uint32_t count_word(const _Atomic uint32_t *link, uint32_t n, uint32_t word)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < n; i++)
		count += atomic_load(&link[i]) == word;
	return count;
}

/* As many claimed words as there are entries at hand, each of which has one: so none is there twice. */
static int check_at_hand(const struct blocks *b, const struct magazines *m)
{
	const _Atomic uint32_t *link = atomic_load(&b->link);
	struct wire_heads *heads = atomic_load(&m->rows.heads);
	const uint64_t *entries = atomic_load(&m->rows.entries);
	uint64_t stride = atomic_load(&b->stride);
	uint32_t n = atomic_load(&b->n);

	if (count_word(link, n, BLOCKS_CLAIMED) != magazines_sum(m))
		return -EUCLEAN;
	for (uint32_t row = 0; row < atomic_load(&m->rows.n_rows); row++)
		for (uint32_t i = 0; i < RSEQ_COUNT(atomic_load(rseq_row_head(heads, row))); i++) {
			uint64_t entry = i < RSEQ_ROW_ENTRIES ? entries[RSEQ_ROW(row) + i] : UINT64_MAX;
			uint32_t number = (uint32_t)entry & (BLOCKS_KNOWN - 1);

			if (number >= n || entry >> BLOCKS_NUMBER_BITS != number * stride ||
			    atomic_load(&link[number]) != BLOCKS_CLAIMED)
				return -EUCLEAN;
		}
	return 0;
}

int blocks_check(const struct blocks *b)
{
	const struct wire_stats *stats = atomic_load(&b->stats);
	const _Atomic uint32_t *link = atomic_load(&b->link);
	uint32_t n = atomic_load(&b->n);
	const struct magazines *m = atomic_load(&b->at_hand);
	uint64_t used, at_hand = 0;
	int r;

	if (atomic_load(&b->serial) == 0)
		return -EBADF;
	if (stats->vacant.n_free > n)
		return -EUCLEAN;
	r = check_stack(&stats->vacant, link, n);
	if (r < 0)
		return r;
	if (m && MAGAZINES_SERIAL(atomic_load(&m->rows.gate)) == (uint32_t)atomic_load(&b->serial)) {
		r = check_at_hand(b, m);
		if (r < 0)
			return r;
		at_hand = magazines_sum(m);
	}
	if (count_word(link, n, atomic_load(&b->out)) + at_hand != n - stats->vacant.n_free)
		return -EUCLEAN;
	used = (uint64_t)(n - stats->vacant.n_free) * atomic_load(&b->stride);
	return stats->high >= used ? 0 : -EUCLEAN;
}
