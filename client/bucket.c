/*
 * bucket.c: see bucket.h
 *
 * Leaf first: a bucket page from birth to end (page_*), large blocks (run_*), and then the two hot paths, alloc_in() and
 * free_in(). Those are compiled once for each page size, which makes their shifts constant, and leave all that is rare to
 * functions that they end in, so that the usual way through needs no register saved. Both are worth a fifth of the time.
 * Not here: which page a shelf gets (bucket_shelves.c), pages between the daemon and the heap (bucket_pages.c), the auditor
 * (bucket_check.c).
 */
#include "client/bucket_page.h"

#define noinline __attribute__((noinline))
#define always_inline inline __attribute__((always_inline))

#define WORD_BITS 64u

static void ring_move_last(struct bucket_heap *h, uint32_t b, uint32_t page)
{
	uint32_t *list = &h->bucket[b].list[shelf_of(page_at(h, page))];

	if (*list != page + 1) {
		ring_unlink(h, b, page);
		ring_push(h, b, page);
	}
	*list = page_at(h, page)->next + 1; /* the first of a ring becomes the last */
}

static void free_count(struct bucket_heap *h, uint32_t b, int32_t change)
{
	h->bucket[b].n_free += (uint64_t)(int64_t)change;
	h->stats->bucket[b].free += (uint32_t)change;
}

static inline void used_count(struct bucket_heap *h, uint64_t bytes)
{
	uint64_t used = h->stats->used + bytes;

	h->stats->used = used;
	if (unlikely(used > h->stats->high))
		h->stats->high = used;
}

/* A page whose blocks are all free leaves the bucket for the free runs. */
static void page_end(struct bucket_heap *h, uint32_t b, uint32_t page)
{
	ring_unlink(h, b, page);
	free_count(h, b, -(int32_t)blocks_per_page(h, b));
	h->bucket[b].n_pages--;
	h->stats->bucket[b].pages--;
	(void)pages_free(&h->pages, page);
}

bool bucket_drop_warm(struct bucket_heap *h)
{
	bool any = false;

	for (uint32_t b = 0; b < BUCKET_COUNT; b++) {
		uint32_t page = warm_of(h, b);

		if (page == PAGE_NONE)
			continue;
		page_end(h, b, page);
		any = true;
	}
	return any;
}

/* All blocks free; what the page held before leaves no bit behind. */
static void bits_fill(struct bucket_heap *h, uint32_t page, uint32_t blocks)
{
	for (uint32_t i = 0; i < words_per_page(h->page_shift); i++) {
		uint32_t here = blocks < WORD_BITS ? blocks : WORD_BITS;

		*bits_of(h, page, i) = here ? ~UINT64_C(0) >> (WORD_BITS - here) : 0;
		blocks -= here;
	}
}

/* A bucket whose pages are all full gets one more, wholly free, first in its ring. */
static bool page_begin(struct bucket_heap *h, uint32_t b)
{
	struct wire_bucket *stats = &h->stats->bucket[b];
	uint32_t blocks = blocks_per_page(h, b);
	uint32_t page = bucket_page_take(h);

	if (page == PAGE_NONE && bucket_drop_warm(h))
		page = bucket_page_take(h);
	if (page == PAGE_NONE)
		return false;
	bits_fill(h, page, blocks);
	page_at(h, page)->kind_tag += (b + 1) << BUCKET_SHIFT | blocks << FREE_SHIFT | h->shelf << SHELF_SHIFT;
	h->bucket[b].n_pages++;
	ring_push(h, b, page);
	free_count(h, b, (int32_t)blocks);
	stats->pages++;
	stats->per_page = blocks;
	stats->high_water = blocks;
	return true;
}

/* Whether some whole hardware page may be free now. A small page alone never is one. */
static bool may_reclaim(const struct bucket_heap *h)
{
	return hw_shift(h) == 0 || bucket_free_hw(h) > 0;
}

/* The last free block of a page was taken. */
static noinline int page_filled(struct bucket_heap *h, uint32_t b, uint32_t page)
{
	ring_unlink(h, b, page);
	return 0;
}

/* The last block in use came back: the page is too much if a page's worth is free without it. */
static noinline int page_emptied(struct bucket_heap *h, uint32_t b, uint32_t page, bool *hw_free)
{
	uint32_t blocks = blocks_per_page(h, b);

	if (h->bucket[b].n_free - blocks >= blocks) {
		h->stats->bucket[b].could_free++;
		page_end(h, b, page);
	} else {
		h->bucket[b].warm = page + 1;
		if (page_at(h, page)->next != page)
			ring_move_last(h, b, page);
	}
	if (hw_free)
		*hw_free = may_reclaim(h);
	return 0;
}

/* The first block of a full page came back; it may be the only one it has. */
static noinline int page_unfilled(struct bucket_heap *h, uint32_t b, uint32_t page, bool *hw_free)
{
	ring_push(h, b, page);
	return used_of(page_at(h, page)) ? 0 : page_emptied(h, b, page, hw_free);
}

/* A large block: whole pages in one run. */
static noinline int run_take(struct bucket_heap *h, uint64_t size, uint64_t align, uint64_t *offset)
{
	uint64_t n = div_round_up(size, UINT64_C(1) << h->page_shift);
	/* only page 0 is a multiple of PAGES_MAX */
	uint64_t align_pages = min_u64(align >> h->page_shift, PAGES_MAX);
	uint32_t first;

	/* now, not when it fails: they would split the space it is cut from */
	(void)bucket_drop_warm(h);
	if (n == 0 || n > h->pages.n_free)
		return BUCKET_DRY;
	if (align_pages > 1)
		first = pages_alloc_aligned(&h->pages, (uint32_t)n, (uint32_t)align_pages);
	else
		first = pages_alloc(&h->pages, (uint32_t)n);
	if (first == PAGE_NONE)
		return BUCKET_DRY;
	h->stats->large += n << h->page_shift;
	used_count(h, n << h->page_shift);
	*offset = (uint64_t)first << h->page_shift;
	return 0;
}

static noinline int bad_free(struct bucket_heap *h)
{
	h->stats->bad_frees++;
	return -EINVAL;
}

/* The page at offset is no bucket page: a large block starts here, or nothing does. */
static noinline int run_put(struct bucket_heap *h, uint64_t offset, bool *hw_free)
{
	uint32_t first = (uint32_t)(offset >> h->page_shift);
	const struct page *p = page_at(h, first);
	uint64_t bytes = (uint64_t)p->n << h->page_shift;

	if (page_kind(p) != PAGE_USED || offset != (uint64_t)first << h->page_shift)
		return bad_free(h);
	(void)pages_free(&h->pages, first);
	h->stats->large -= bytes;
	h->stats->used -= bytes;
	if (hw_free)
		*hw_free = may_reclaim(h);
	return 0;
}

/* No block of the shelf is free: it gets a page, new or another's, and then the request goes the usual way. */
static noinline int alloc_dry(struct bucket_heap *h, uint64_t size, uint64_t *offset)
{
	uint32_t b = bucket_for(size);

	if (bucket_others_have_many(h, b) ? bucket_page_fetch(h, b) : page_begin(h, b) || bucket_page_fetch(h, b))
		return bucket_alloc(h, size, offset);
	return BUCKET_DRY;
}

static always_inline int alloc_in(struct bucket_heap *h, uint64_t size, uint64_t *offset,
				  const uint32_t page_shift)
{
	uint32_t b = bucket_for(size), list;
	uint64_t *word, start;
	struct page *p;

	if (unlikely(size - 1 >= UINT64_C(1) << page_shift)) /* 0 too, and then b is none */
		return run_take(h, size, 1, offset);
	list = h->bucket[b].list[h->shelf];
	if (unlikely(!list))
		return alloc_dry(h, size, offset);
	p = page_at(h, list - 1);
	bucket_expect(h, (uint64_t)p->next << page_shift); /* who takes several will soon be there */
	word = bits_of(h, list - 1, 0);
	start = (uint64_t)(list - 1) << page_shift;
	for (; unlikely(!*word); word += h->pages.n) /* one of at most four is not 0: the page is in the ring */
		start += (uint64_t)WORD_BITS << block_shift(b);

	*offset = start + ((uint64_t)__builtin_ctzll(*word) << block_shift(b));
	*word &= *word - 1;
	free_count(h, b, -1);
	h->stats->bucket[b].calls++;
	used_count(h, block_bytes(b));
	p->kind_tag += ONE_USED - ONE_FREE;
	return likely(p->kind_tag & FREE_MASK) ? 0 : page_filled(h, b, list - 1);
}

int bucket_alloc(struct bucket_heap *h, uint64_t size, uint64_t *offset)
{
	if (likely(h->page_shift == HW_PAGE_SHIFT))
		return alloc_in(h, size, offset, HW_PAGE_SHIFT);
	return alloc_in(h, size, offset, BUCKET_SMALL_PAGE_SHIFT);
}

int bucket_alloc_aligned(struct bucket_heap *h, uint64_t size, uint64_t align, uint64_t *offset)
{
	uint64_t page = UINT64_C(1) << h->page_shift;

	assert(align > 0 && (align & (align - 1)) == 0);
	if (size == 0)
		return BUCKET_DRY;
	if (size <= page && align <= page)
		return bucket_alloc(h, max_u64(size, align), offset);
	return run_take(h, size, align, offset);
}

/* The bit of the block of bucket b that offset lies in. */
static inline uint64_t *block_bit(const struct bucket_heap *h, uint64_t offset, uint32_t b,
				  uint32_t page_shift, uint64_t *bit)
{
	uint32_t in_page = (uint32_t)offset & ((1u << page_shift) - 1);
	uint32_t block = in_page >> block_shift(b);

	*bit = UINT64_C(1) << (block % WORD_BITS);
	return bits_of(h, offset >> page_shift, block / WORD_BITS);
}

static always_inline int free_in(struct bucket_heap *h, uint64_t offset, bool *hw_free,
				 const uint32_t page_shift)
{
	uint64_t page = offset >> page_shift, bit;
	uint64_t *word;
	uint32_t b, was;
	struct page *p;

	if (hw_free)
		*hw_free = false;
	if (unlikely(page >= h->pages.n))
		return bad_free(h);
	p = page_at(h, page);
	was = p->kind_tag;
	if (unlikely(!bucket_of(p)))
		return run_put(h, offset, hw_free);
	b = bucket_of(p) - 1;
	word = block_bit(h, offset, b, page_shift, &bit);
	if (unlikely(offset & (block_bytes(b) - 1) || *word & bit))
		return bad_free(h); /* inside a block, or free already */

	*word |= bit;
	free_count(h, b, 1);
	h->stats->used -= block_bytes(b);
	p->kind_tag = was + ONE_FREE - ONE_USED;
	if (unlikely(!(was & FREE_MASK)))
		return page_unfilled(h, b, (uint32_t)page, hw_free);
	return (was & USED_MASK) != ONE_USED ? 0 : page_emptied(h, b, (uint32_t)page, hw_free);
}

int bucket_free(struct bucket_heap *h, uint64_t offset, bool *pages_free)
{
	if (likely(h->page_shift == HW_PAGE_SHIFT))
		return free_in(h, offset, pages_free, HW_PAGE_SHIFT);
	return free_in(h, offset, pages_free, BUCKET_SMALL_PAGE_SHIFT);
}

uint64_t bucket_size(const struct bucket_heap *h, uint64_t offset)
{
	uint64_t page = offset >> h->page_shift, bit;
	const struct page *p;
	uint32_t b;

	if (page >= h->pages.n)
		return 0;
	p = page_at(h, page);
	if (page_kind(p) != PAGE_USED)
		return 0;
	if (!bucket_of(p))
		return offset == page << h->page_shift ? (uint64_t)p->n << h->page_shift : 0;
	b = bucket_of(p) - 1;
	if (offset & (block_bytes(b) - 1) || *block_bit(h, offset, b, h->page_shift, &bit) & bit)
		return 0;
	return block_bytes(b);
}

uint64_t bucket_cost(const struct bucket_heap *h, uint64_t size)
{
	uint64_t page = UINT64_C(1) << h->page_shift;

	if (size - 1 < page)
		return block_bytes(bucket_for(size));
	return size <= UINT64_MAX - page ? align_up(size, page) : UINT64_MAX;
}

uint32_t bucket_hw_pages(const struct bucket_heap *h, uint64_t size)
{
	return (uint32_t)min_u64(div_round_up(bucket_cost(h, size), HW_PAGE_SIZE), UINT32_MAX);
}
