/*
 * blocks_check.c: the auditor of blocks.c
 *
 * It walks the stack, which ends after n_free blocks if no block is in it twice (a walk that meets
 * a block again never ends), and counts the markers, which are on all the others.
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

static uint32_t count_out(const _Atomic uint32_t *link, uint32_t n, uint32_t out)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < n; i++)
		count += atomic_load(&link[i]) == out;
	return count;
}

int blocks_check(const struct blocks *b)
{
	const struct wire_stats *stats = atomic_load(&b->stats);
	const _Atomic uint32_t *link = atomic_load(&b->link);
	uint32_t n = atomic_load(&b->n);
	uint64_t used;
	int r;

	if (atomic_load(&b->serial) == 0)
		return -EBADF;
	if (stats->vacant.n_free > n)
		return -EUCLEAN;
	r = check_stack(&stats->vacant, link, n);
	if (r < 0)
		return r;
	if (count_out(link, n, atomic_load(&b->out)) != n - stats->vacant.n_free)
		return -EUCLEAN;
	used = (uint64_t)(n - stats->vacant.n_free) * atomic_load(&b->stride);
	return stats->high >= used ? 0 : -EUCLEAN;
}
