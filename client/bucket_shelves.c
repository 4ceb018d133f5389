/*
 * bucket_shelves.c: which page a shelf gets that has no free block (bucket.h)
 *
 * Model: a page of another shelf where enough blocks are free, or a free page; and of those one of a lot of its own. A lot is BUCKET_LOT
 * pages, from a multiple of that on: what callers keep for the blocks of its pages lies in the same two cache lines
 * (client/rseq_arrays.h), and a processor fetches two at a time. So a shelf gets pages of lots in which no other one has any.
 * It looks at the ends of a few free runs, shortest first: so what shelves gave back is used before new room is cut, and that
 * from the end. A whole lot is begun only while half of the heap's pages are free, for it may cut a run in two; then, and when
 * those few runs have none, any page will do.
 *
 * All that is asked of lots is the page table: the entries of a lot are one cache line, and zeros where a page was never present.
 * Bound: LOT_LOOKS + 1 runs, BUCKET_SHELVES lists, and one page operation.
 * Not here: what becomes of the page (bucket.c).
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

/* A page of another shelf comes to this one: the warm one if there is, else one that would be cut last there. */
bool bucket_page_fetch(struct bucket_heap *h, uint32_t b)
{
	uint32_t page = warm_of(h, b);
	struct page *p;

	for (uint32_t i = 1; page == PAGE_NONE && i < BUCKET_SHELVES; i++) {
		uint32_t list = h->bucket[b].list[(h->shelf + i) % BUCKET_SHELVES];

		if (list)
			page = page_at(h, list - 1)->prev;
	}
	if (page == PAGE_NONE)
		return false;
	ring_unlink(h, b, page);
	p = page_at(h, page);
	p->kind_tag = (p->kind_tag & ~SHELF_MASK) | h->shelf << SHELF_SHIFT;
	ring_push(h, b, page);
	return true;
}

/* Whether the heap can do without a page that need not be: a large one, or one that is hardly used. */
static bool has_room(const struct bucket_heap *h)
{
	uint32_t n = __atomic_load_n(&h->pages.n_present, __ATOMIC_RELAXED);

	return n >= BUCKET_ROOMY || h->pages.n_free >= n - n / BUCKET_SPARE;
}

/* Whether so many blocks are free on other shelves, this one has none, that a page more would be too much. */
bool bucket_others_have_many(const struct bucket_heap *h, uint32_t b)
{
	const struct bucket *bucket = &h->bucket[b];
	uint64_t many = ((uint64_t)bucket->n_pages / BUCKET_SPARE + 1) * blocks_per_page(h, b);

	if (warm_of(h, b) != PAGE_NONE || bucket->n_free >= many)
		return true;
	return bucket->n_free && !has_room(h);
}
