/*
 * pages_check.c: the auditor of page runs
 *
 * It reads every entry and every list and compares the two, the bitsets and the counts. It changes
 * nothing. Time: proportional to the pages of the arena, so it is for tests and for people.
 */
#include "common/pages.h"

static const struct page *at(const struct pages *ps, uint32_t page)
{
	return &ps->page[page];
}

/* Every run, in order of pages: sums them up, and no entry but a run's first says anything. */
static int check_runs(const struct pages *ps, uint32_t *n_free_runs)
{
	uint64_t sum[] = { [PAGE_INNER] = 0, [PAGE_FREE] = 0, [PAGE_USED] = 0 };
	uint64_t end = 0;       /* of the last run */
	uint64_t n_short = 0;
	bool was_free = false;

	for (uint32_t i = 0; i < ps->n; i++) {
		const struct page *p = at(ps, i);
		enum page_kind kind = page_kind(p);

		if ((kind != PAGE_INNER) != bitset_has(&ps->starts, i))
			return -EUCLEAN;
		if (kind == PAGE_INNER) {
			if (p->n || p->next || p->prev || p->kind_tag)
				return -EUCLEAN;
			continue;
		}
		if (kind > PAGE_USED || i < end || p->n == 0 || p->n > ps->n - i)
			return -EUCLEAN; /* nonsense, or runs overlap */
		if (kind == PAGE_FREE && page_tag(p))
			return -EUCLEAN; /* only a user has tags */
		if (kind == PAGE_FREE && was_free && i == end)
			return -EUCLEAN; /* not merged */
		was_free = kind == PAGE_FREE;
		*n_free_runs += was_free;
		n_short += was_free && p->n < PAGES_SHORT ? p->n : 0;
		end = (uint64_t)i + p->n;
		sum[kind] += p->n;
	}
	if (n_short != ps->n_short || sum[PAGE_FREE] != ps->n_free || sum[PAGE_USED] != ps->n_used)
		return -EUCLEAN;
	return ps->n_present == ps->n_free + ps->n_used ? 0 : -EUCLEAN;
}

/* Every list holds free runs of its length and its links agree. Returns how many, or -EUCLEAN. */
static int64_t check_list(const struct pages *ps, uint32_t length)
{
	uint32_t prev = PAGE_NONE;
	uint32_t i = ps->head[length] ? ps->head[length] - 1 : PAGE_NONE;
	int64_t count = 0;

	for (; i != PAGE_NONE; i = at(ps, i)->next) {
		if (i >= ps->n || page_kind(at(ps, i)) != PAGE_FREE || at(ps, i)->n != length)
			return -EUCLEAN;
		if (at(ps, i)->prev != prev || count++ > ps->n)
			return -EUCLEAN; /* a bad back link, or a circle */
		prev = i;
	}
	return count;
}

int pages_check(const struct pages *ps)
{
	uint32_t n_free_runs = 0;
	int64_t listed = 0;
	int r = bitset_check(&ps->lengths);

	if (r == 0)
		r = bitset_check(&ps->starts);
	if (r == 0)
		r = check_runs(ps, &n_free_runs);
	if (r < 0)
		return r;
	for (uint32_t k = 1; k <= ps->n; k++) {
		int64_t count = check_list(ps, k);

		if (count < 0 || (count > 0) != bitset_has(&ps->lengths, k - 1))
			return -EUCLEAN;
		listed += count;
	}
	return ps->head[0] == 0 && listed == n_free_runs ? 0 : -EUCLEAN;
}
