/*
 * bucket_check.c: the auditor of the bucket allocator
 *
 * It counts everything again from the one record of each thing, the bitmaps for blocks and the page
 * table for pages, and compares what it finds with every list, note and counter. It changes
 * nothing, so it may run at any moment at which the heap's lock is held. Time: proportional to the
 * pages of the arena.
 */
#include "client/bucket_page.h"

/* What the pages say of one bucket. */
struct found {
	uint64_t pages;
	uint64_t free;
	uint64_t used;
	uint64_t listable; /* pages with free blocks */
	uint64_t whole;    /* pages wholly free */
};

static uint32_t count_bits(const struct bucket_heap *h, uint32_t page)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < words_per_page(h->page_shift); i++)
		n += (uint32_t)__builtin_popcountll(*bits_of(h, page, i));
	return n;
}

/* Whether no block beyond the last has a bit. */
static bool bits_are_blocks(const struct bucket_heap *h, uint32_t page, uint32_t blocks)
{
	for (uint32_t i = blocks; i < 64 * words_per_page(h->page_shift); i++)
		if (*bits_of(h, page, i / 64) >> (i % 64) & 1)
			return false;
	return true;
}

static int check_page(const struct bucket_heap *h, uint32_t page, struct found *found)
{
	const struct page *p = page_at(h, page);
	uint32_t b = bucket_of(p) - 1, blocks, n_free;

	if (b >= BUCKET_COUNT || block_shift(b) > h->page_shift || p->n != 1)
		return -EUCLEAN; /* no such bucket, or more than a page of it */
	blocks = blocks_per_page(h, b);
	n_free = count_bits(h, page);
	if (!bits_are_blocks(h, page, blocks) || free_of(p) != n_free ||
	    used_of(p) != blocks - n_free)
		return -EUCLEAN;
	if (n_free == blocks && warm_of(h, b) != page)
		return -EUCLEAN; /* wholly free, and nothing would ever give it up */
	found[b].pages++;
	found[b].free += n_free;
	found[b].used += blocks - n_free;
	found[b].listable += n_free > 0;
	found[b].whole += n_free == blocks;
	return 0;
}

/* The ring holds pages of this bucket and shelf with free blocks, each once (its links agree and it closes),
 * a warm one last. How many in *n. */
static int check_ring(const struct bucket_heap *h, uint32_t b, uint32_t shelf, uint64_t listable, uint64_t *n)
{
	uint32_t head = h->bucket[b].list[shelf];
	uint32_t page = head - 1;

	*n = 0;
	if (!head)
		return 0;
	do {
		const struct page *p;

		if (page >= h->pages.n || (*n)++ == listable)
			return -EUCLEAN;
		p = page_at(h, page);
		if (page_kind(p) != PAGE_USED || bucket_of(p) != b + 1 || shelf_of(p) != shelf || !free_of(p))
			return -EUCLEAN;
		if (p->next >= h->pages.n || page_at(h, p->next)->prev != page)
			return -EUCLEAN;
		if (!used_of(p) && p->next != head - 1)
			return -EUCLEAN;
		page = p->next;
	} while (page != head - 1);
	return 0;
}

static int check_shelves(const struct bucket_heap *h, uint32_t b, uint64_t listable)
{
	uint64_t n;

	for (uint32_t shelf = 0; shelf < BUCKET_SHELVES; shelf++) {
		if (check_ring(h, b, shelf, listable, &n) < 0)
			return -EUCLEAN;
		listable -= n;
	}
	return listable == 0 ? 0 : -EUCLEAN;
}

static int check_bucket(const struct bucket_heap *h, uint32_t b, const struct found *found)
{
	const struct wire_bucket *stats = &h->stats->bucket[b];

	if (h->bucket[b].n_free != found->free || found->whole > 1)
		return -EUCLEAN;
	if (h->bucket[b].n_pages != found->pages)
		return -EUCLEAN;
	if (stats->free != (uint32_t)found->free || stats->pages != found->pages)
		return -EUCLEAN;
	if (found->used > stats->calls)
		return -EUCLEAN; /* blocks that nobody asked for */
	if (stats->per_page != (stats->calls ? blocks_per_page(h, b) : 0))
		return -EUCLEAN;
	if (stats->high_water != stats->per_page)
		return -EUCLEAN;
	return check_shelves(h, b, found->listable);
}

int bucket_check(const struct bucket_heap *h)
{
	struct found found[BUCKET_COUNT] = { { 0 } };
	uint64_t large = 0, used = 0;
	int r = pages_check(&h->pages);

	for (uint32_t run = 0; r == 0 && run < h->pages.n; run++) {
		const struct page *p = page_at(h, run);

		if (page_kind(p) != PAGE_USED)
			continue;
		if (bucket_of(p))
			r = check_page(h, run, found);
		else if (page_tag(p))
			r = -EUCLEAN;
		else
			large += (uint64_t)p->n << h->page_shift;
	}
	for (uint32_t b = 0; r == 0 && b < BUCKET_COUNT; b++) {
		if (block_shift(b) > h->page_shift)
			continue;
		r = check_bucket(h, b, &found[b]);
		used += found[b].used << block_shift(b);
	}
	if (r < 0)
		return r;
	if (h->stats->large != large || h->stats->used != used + large)
		return -EUCLEAN;
	return h->stats->high >= h->stats->used ? 0 : -EUCLEAN;
}
