/*
 * bucket_shelves.c: which page a shelf gets that has no free block (bucket.h)
 *
 * Model: a page of another shelf where enough blocks are free, or a free page; and of those one of a lot of its own. A lot is
 * BUCKET_LOT pages, from a multiple of that on: what callers keep for the blocks of two pages lies in the same cache line
 * (client/rseq_arrays.h), a processor fetches two lines at a time, and first words of bitmaps are eight to a line. So a shelf
 * gets pages of lots in which no other one has any: of the lot that it took a page of last; then at the ends of a few free runs,
 * shortest first, so that what a shelf gave back is used before new room is cut; then from the end of a run that has a whole lot.
 *
 * Where another shelf's lot is at that end the run is cut in two, and what is left behind is of use to that shelf only. So no lot is
 * looked for while one in BUCKET_PIECES of the free pages lies in a short run: then any page will do, of a shortest run, and so
 * those are filled. All that is free but these pieces stays as whole as with one shelf. Small heaps have no lots, nor those whose
 * caller never says whose turn it is.
 *
 * All that is asked of lots is the page table: the entries of a lot are in one hardware page, and zeros where a page was never present.
 * Bound: LOT_LOOKS + 1 runs, BUCKET_LOT searches for one, BUCKET_SHELVES lists, and one page operation.
 * Not here: what becomes of the page (bucket.c).
 */
#include "client/bucket_page.h"

#define LOT_LOOKS 8

_Static_assert(BUCKET_LOT * sizeof(struct page) == PAGES_ALIGN, "a lot's entries are there if one is");
_Static_assert(PAGES_SHORT == 2 * BUCKET_LOT - 1, "wherever a run begins that is not short, there is a lot in it");

static uint32_t n_pages(const struct bucket_heap *h)
{
	return h->pages.n_free + h->pages.n_used;
}

static uint32_t lot_of(uint32_t page)
{
	return page & ~(BUCKET_LOT - 1);
}

/* Whether no other shelf has a page in that lot. *some: whether this one has. */
static bool is_ours(const struct bucket_heap *h, uint32_t lot, bool *some)
{
	const struct page *p = page_at(h, lot);

	*some = false;
	for (uint32_t i = 0; i < BUCKET_LOT; i++) {
		if (!bucket_of(&p[i]))
			continue;
		if (shelf_of(&p[i]) != h->shelf)
			return false;
		*some = true;
	}
	return true;
}

/*
 * A free page of the lot that the shelf took a page of last, while it still has one there; *run: where. It is at an end of its run: of one that
 * goes beyond the lot the first, for what the shelf has lies before it. PAGE_NONE: none.
 */
static uint32_t page_again(const struct bucket_heap *h, uint32_t *run)
{
	uint32_t lot = lot_of(h->last[h->shelf] - 1);
	bool some;

	if (!h->last[h->shelf] || !is_ours(h, lot, &some) || !some)
		return PAGE_NONE;
	for (uint32_t page = lot + BUCKET_LOT; page-- > lot;) {
		*run = bucket_of(page_at(h, page)) ? PAGE_NONE : pages_run_of(&h->pages, page);
		if (*run != PAGE_NONE && page_kind(page_at(h, *run)) == PAGE_FREE)
			return page + 1 == *run + page_at(h, *run)->n ? page : *run;
	}
	return PAGE_NONE;
}

/* The page of a free run that the shelf may have: its last, or the one before another's lot. PAGE_NONE: none. */
static uint32_t page_in(const struct bucket_heap *h, uint32_t run)
{
	uint32_t last = run + page_at(h, run)->n - 1, lot = lot_of(last);
	bool some;

	if (is_ours(h, lot, &some))
		return last;
	return lot >= run + BUCKET_LOT ? lot - 1 : PAGE_NONE;
}

/* The same of any run; *run: which. */
static uint32_t page_anywhere(const struct bucket_heap *h, uint32_t *run)
{
	uint32_t page;

	*run = PAGE_NONE;
	if (h->pages.n_short > h->pages.n_free / BUCKET_PIECES)
		return PAGE_NONE;
	for (int i = 0; i < LOT_LOOKS; i++) {
		*run = pages_fit(&h->pages, 1, *run);
		if (*run == PAGE_NONE)
			return PAGE_NONE;
		page = page_in(h, *run);
		if (page != PAGE_NONE)
			return page;
	}
	*run = pages_fit(&h->pages, PAGES_SHORT, PAGE_NONE);
	return *run == PAGE_NONE ? PAGE_NONE : page_in(h, *run);
}

uint32_t bucket_page_take(struct bucket_heap *h)
{
	uint32_t run, page;

	if (!h->has_shelves || !h->pages.n_free || n_pages(h) < BUCKET_ROOMY)
		return pages_alloc_end(&h->pages, 1);
	page = page_again(h, &run);
	if (page == PAGE_NONE)
		page = page_anywhere(h, &run);
	if (page == PAGE_NONE)
		page = pages_alloc_end(&h->pages, 1);
	else
		pages_alloc_at(&h->pages, run, page, 1);
	if (page != PAGE_NONE)
		h->last[h->shelf] = page + 1;
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
	uint32_t n = n_pages(h);

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
