/*
 * holders.c: see holders.h
 */
#include "daemon/holders.h"

size_t holders_bytes(uint32_t n_pages)
{
	return align_up(bitset_bytes(n_pages), 64) + n_pages * sizeof(struct extent);
}

void holders_init(struct holders *hs, uint32_t n_pages, void *storage)
{
	*hs = (struct holders){.n_pages = n_pages};
	bitset_init(&hs->firsts, n_pages, storage);
	hs->at = (struct extent *)(void *)((char *)storage + align_up(bitset_bytes(n_pages), 64));
}

void holding_init(struct holding *h, uint32_t owner)
{
	*h = (struct holding){.owner = owner, .first = PAGE_NONE};
}

static void extent_add(struct holders *hs, struct holding *h, uint32_t first, uint32_t n)
{
	hs->at[first] =
		(struct extent){.n = n, .owner = h->owner, .next = h->first, .prev = PAGE_NONE};
	if (h->first != PAGE_NONE)
		hs->at[h->first].prev = first;
	h->first = first;
	h->n_extents++;
	bitset_add(&hs->firsts, first);
}

static void extent_remove(struct holders *hs, struct holding *h, uint32_t first)
{
	struct extent *e = &hs->at[first];

	if (e->prev == PAGE_NONE)
		h->first = e->next;
	else
		hs->at[e->prev].next = e->next;
	if (e->next != PAGE_NONE)
		hs->at[e->next].prev = e->prev;
	h->n_extents--;
	bitset_remove(&hs->firsts, first);
}

uint32_t holders_find(const struct holders *hs, uint32_t page)
{
	uint32_t first;

	if (page >= hs->n_pages)
		return PAGE_NONE;
	first = bitset_prev(&hs->firsts, page);
	return first != BITSET_NONE && page - first < hs->at[first].n ? first : PAGE_NONE;
}

uint32_t holders_next(const struct holders *hs, uint32_t page)
{
	uint32_t first = page < hs->n_pages ? bitset_next(&hs->firsts, page) : BITSET_NONE;

	return first == BITSET_NONE ? PAGE_NONE : first;
}

/* The holder's own extent around a page, if that page is its. */
static uint32_t find_own(const struct holders *hs, const struct holding *h, uint32_t page)
{
	uint32_t first = holders_find(hs, page);

	return first != PAGE_NONE && hs->at[first].owner == h->owner ? first : PAGE_NONE;
}

void holders_give(struct holders *hs, struct holding *to, uint32_t first, uint32_t n)
{
	uint32_t left = first ? find_own(hs, to, first - 1) : PAGE_NONE;
	uint32_t right = find_own(hs, to, first + n);

	assert(holders_find(hs, first) == PAGE_NONE && "one page, one holder");
	to->n_pages += n;
	hs->n_held += n;
	if (right != PAGE_NONE) {
		n += hs->at[right].n;
		extent_remove(hs, to, right);
	}
	if (left != PAGE_NONE)
		hs->at[left].n += n;
	else
		extent_add(hs, to, first, n);
}

bool holders_has(const struct holders *hs, const struct holding *h, uint32_t first, uint32_t n)
{
	uint32_t e = find_own(hs, h, first);

	return e != PAGE_NONE && n > 0 && n <= hs->at[e].n - (first - e);
}

void holders_take(struct holders *hs, struct holding *from, uint32_t first, uint32_t n)
{
	uint32_t e = find_own(hs, from, first);
	uint32_t before, behind;

	assert(holders_has(hs, from, first, n) && "only what it holds");
	before = first - e;
	behind = hs->at[e].n - before - n;
	if (before)
		hs->at[e].n = before;
	else
		extent_remove(hs, from, e);
	if (behind)
		extent_add(hs, from, first + n, behind);
	from->n_pages -= n;
	hs->n_held -= n;
}

int holders_check(const struct holders *hs)
{
	uint32_t end = 0, held = 0, owner = UINT32_MAX;

	if (bitset_check(&hs->firsts) < 0)
		return -EUCLEAN;
	for (uint32_t i = bitset_next(&hs->firsts, 0); i != BITSET_NONE;
	     i = bitset_next(&hs->firsts, i + 1)) {
		const struct extent *e = &hs->at[i];

		if (!e->n || i < end || e->n > hs->n_pages - i)
			return -EUCLEAN;
		if (i == end && e->owner == owner && i > 0)
			return -EUCLEAN; /* two that touch */
		end = i + e->n;
		owner = e->owner;
		held += e->n;
	}
	return held == hs->n_held ? 0 : -EUCLEAN;
}

int holding_check(const struct holders *hs, const struct holding *h)
{
	uint32_t n_extents = 0, n_pages = 0, prev = PAGE_NONE;

	for (uint32_t i = h->first; i != PAGE_NONE; i = hs->at[i].next) {
		const struct extent *e = &hs->at[i];

		if (!bitset_has(&hs->firsts, i) || e->owner != h->owner || e->prev != prev)
			return -EUCLEAN;
		if (++n_extents > h->n_extents)
			return -EUCLEAN;
		n_pages += e->n;
		prev = i;
	}
	return n_extents == h->n_extents && n_pages == h->n_pages ? 0 : -EUCLEAN;
}
