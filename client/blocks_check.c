/*
 * blocks_check.c: the auditor of blocks.c
 *
 * It walks the stack, which ends after n_free blocks if no block is in it twice (a walk that meets
 * a block again never ends), and counts the words that say so of blocks that are elsewhere: out, or at hand in their place.
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

static bool is_elsewhere(const struct blocks *b, const struct magazines *m, uint32_t word)
{
	if (RSEQ_STRICT && m && word == BLOCKS_CLAIMED)
		return true;
	return word == atomic_load(&b->out) || (!RSEQ_STRICT && m && rseq_is_place(word));
}

static uint32_t count_elsewhere(const struct blocks *b, const struct magazines *m)
{
	const _Atomic uint32_t *link = atomic_load(&b->link);
	uint32_t n = atomic_load(&b->n), count = 0;

	for (uint32_t i = 0; i < n; i++)
		count += is_elsewhere(b, m, atomic_load(&link[i]));
	return count;
}

/* A block, and its word is this place: so none is there twice. */
static bool is_at_hand(const struct blocks *b, uint64_t block, uint32_t index)
{
	uint64_t offset = block - atomic_load(&b->base), stride = atomic_load(&b->stride);
	uint32_t word;

	if (offset % stride || offset / stride >= atomic_load(&b->n))
		return false;
	word = atomic_load(&atomic_load(&b->link)[offset / stride]);
	return RSEQ_STRICT ? word == BLOCKS_CLAIMED : rseq_is_place(word) && RSEQ_PLACE_INDEX(word) == index;
}

static uint32_t count_claimed(const struct blocks *b)
{
	const _Atomic uint32_t *link = atomic_load(&b->link);
	uint32_t n = atomic_load(&b->n), count = 0;

	for (uint32_t i = 0; i < n; i++)
		count += atomic_load(&link[i]) == BLOCKS_CLAIMED;
	return count;
}

static int check_at_hand(const struct blocks *b, const struct magazines *m)
{
	struct wire_heads *heads = atomic_load(&m->rows.heads);
	const uint64_t *entries = m->rows.entries;

	if (RSEQ_STRICT && count_claimed(b) != magazines_sum(m))
		return -EUCLEAN;
	for (uint32_t row = 0; row < atomic_load(&m->rows.n_rows); row++)
		for (uint32_t i = 0; i < RSEQ_COUNT(atomic_load(rseq_row_head(heads, row))); i++)
			if (i >= RSEQ_ROW_ENTRIES || !is_at_hand(b, entries[RSEQ_ROW(row) + i], RSEQ_ROW(row) + i))
				return -EUCLEAN;
	return entries[RSEQ_ROW(atomic_load(&m->rows.n_rows))] == 0 ? 0 : -EUCLEAN;
}

int blocks_check(const struct blocks *b)
{
	const struct wire_stats *stats = atomic_load(&b->stats);
	const _Atomic uint32_t *link = atomic_load(&b->link);
	uint32_t n = atomic_load(&b->n);
	const struct magazines *m = atomic_load(&b->at_hand);
	uint64_t used;
	int r;

	if (atomic_load(&b->serial) == 0)
		return -EBADF;
	if (stats->vacant.n_free > n)
		return -EUCLEAN;
	r = check_stack(&stats->vacant, link, n);
	if (r < 0)
		return r;
	if (m && !magazines_are_of(m, atomic_load(&b->serial)))
		m = NULL;
	r = m ? check_at_hand(b, m) : 0;
	if (r < 0)
		return r;
	if (count_elsewhere(b, m) != n - stats->vacant.n_free)
		return -EUCLEAN;
	used = (uint64_t)(n - stats->vacant.n_free) * atomic_load(&b->stride);
	return stats->high >= used ? 0 : -EUCLEAN;
}
