/*
 * bucket_lots.c: which of the free pages a shelf gets (bucket.h)
 *
 * Model: a lot is BUCKET_LOT pages, from a multiple of that on: what callers keep for the blocks of its pages lies in the same two cache
 * lines (client/rseq_arrays.h), and a processor fetches two at a time. So a shelf gets pages of lots in which no other one has any.
 * It looks at the ends of a few free runs, shortest first: so what shelves gave back is used before new room is cut, and that
 * from the end. A whole lot is begun only while half of the heap's pages are free, for it may cut a run in two; then, and when
 * those few runs have none, any page will do.
 *
 * All that is asked is the page table: the entries of a lot are one cache line, and zeros where a page was never present.
 * Bound: LOT_LOOKS + 1 runs, and one page operation.
 */
#include "client/bucket_page.h"

#define LOT_LOOKS 8

_Static_assert(BUCKET_LOT * sizeof(struct page) == CACHE_LINE, "a lot's entries are there if one is");

static uint32_t lot_of(uint32_t page)
{
	return page & ~(BUCKET_LOT - 1);
}

/* Whether no other shelf has a page in that lot. */
static bool is_ours(const struct bucket_heap *h, uint32_t lot)
{
	const struct page *p = page_at(h, lot);

	for (uint32_t i = 0; i < BUCKET_LOT; i++)
		if (bucket_of(&p[i]) && shelf_of(&p[i]) != h->shelf)
			return false;
	return true;
}

/* The page of a free run that the shelf may have: its last, or the one before another's lot. PAGE_NONE: none. */
static uint32_t page_in(const struct bucket_heap *h, uint32_t run, bool begins)
{
	uint32_t last = run + page_at(h, run)->n - 1, lot = lot_of(last);

	if (is_ours(h, lot))
		return last;
	return begins && lot >= run + BUCKET_LOT ? lot - 1 : PAGE_NONE;
}

uint32_t bucket_page_take(struct bucket_heap *h)
{
	bool begins = h->pages.n_free >= h->pages.n_used;
	uint32_t run = PAGE_NONE, page = PAGE_NONE;

	for (int i = 0; i < LOT_LOOKS && page == PAGE_NONE; i++) {
		run = pages_fit(&h->pages, 1, run);
		if (run == PAGE_NONE)
			break;
		page = page_in(h, run, begins);
	}
	if (page == PAGE_NONE && begins) {
		run = pages_fit(&h->pages, 2 * BUCKET_LOT - 1, PAGE_NONE); /* wherever it begins, there is a lot in it */
		page = run == PAGE_NONE ? PAGE_NONE : page_in(h, run, begins);
	}
	if (page == PAGE_NONE)
		return pages_alloc_end(&h->pages, 1);
	pages_alloc_at(&h->pages, run, page, 1);
	return page;
}
