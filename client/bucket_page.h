/*
 * bucket_page.h: what the page table says of a bucket page; inside the bucket allocator only
 *
 * The tag of a used run's first page: the bucket + 1 (0: a run of whole pages, one large block),
 * the number of free blocks, the number of blocks in use, the shelf. Both numbers, so that "full" and "wholly
 * free" are each a test for zero, and one addition moves a block from one to the other. Pages that
 * are free or absent have tag 0, so "is this a bucket page" is a test for zero as well.
 */
#ifndef HEAPD_CLIENT_BUCKET_PAGE_H
#define HEAPD_CLIENT_BUCKET_PAGE_H

#include "client/bucket.h"

/* bits of struct page's kind_tag, above the kind */
#define BUCKET_SHIFT PAGE_KIND_BITS
#define FREE_SHIFT   (BUCKET_SHIFT + 4)
#define USED_SHIFT   (FREE_SHIFT + 9)
#define SHELF_SHIFT  (USED_SHIFT + 9)
#define BUCKET_MASK  (0xfu << BUCKET_SHIFT)
#define FREE_MASK    (0x1ffu << FREE_SHIFT)
#define USED_MASK    (0x1ffu << USED_SHIFT)
#define SHELF_MASK   ((BUCKET_SHELVES - 1) << SHELF_SHIFT)
#define ONE_FREE     (1u << FREE_SHIFT)
#define ONE_USED     (1u << USED_SHIFT)
_Static_assert((BUCKET_SHELVES & (BUCKET_SHELVES - 1)) == 0 && SHELF_MASK >> SHELF_SHIFT == BUCKET_SHELVES - 1,
	       "a shelf fits its bits");
_Static_assert(BUCKET_COUNT + 1 <= 0xf, "a bucket fits its bits");
_Static_assert((1u << (HW_PAGE_SHIFT - BUCKET_MIN_SHIFT)) <= 0x1ff, "blocks of a page fit theirs");

#define BLOCK_MIN (UINT64_C(1) << BUCKET_MIN_SHIFT)

static inline uint32_t block_shift(uint32_t b)
{
	return b + BUCKET_MIN_SHIFT;
}

static inline uint64_t block_bytes(uint32_t b)
{
	return BLOCK_MIN << b;
}

/* Bitmap words of an allocator page: as many as its smallest blocks need, 256 or 32 of them. */
static inline uint32_t words_per_page(uint32_t page_shift)
{
	return page_shift == HW_PAGE_SHIFT ? 4 : 1;
}

/* Allocator pages of a hardware page, as a shift: 0 or 3. */
static inline uint32_t hw_shift(const struct bucket_heap *h)
{
	return HW_PAGE_SHIFT - h->page_shift;
}

static inline uint32_t blocks_per_page(const struct bucket_heap *h, uint32_t b)
{
	return 1u << (h->page_shift - block_shift(b));
}

static inline struct page *page_at(const struct bucket_heap *h, uint64_t page)
{
	return &h->pages.page[page];
}

/*
 * Word i of a page's bitmap. First words of all pages lie together, then all second ones: pages of blocks of 64 bytes and more
 * have but one, and eight of them share a cache line.
 */
static inline uint64_t *bits_of(const struct bucket_heap *h, uint64_t page, uint32_t i)
{
	return &h->bits[(uint64_t)i * h->pages.n + page];
}

/* The bucket of a bucket page, + 1; 0 for all other pages. */
static inline uint32_t bucket_of(const struct page *p)
{
	return (p->kind_tag & BUCKET_MASK) >> BUCKET_SHIFT;
}

/* Which shelf a bucket page is on. */
static inline uint32_t shelf_of(const struct page *p)
{
	return (p->kind_tag & SHELF_MASK) >> SHELF_SHIFT;
}

static inline uint32_t free_of(const struct page *p)
{
	return (p->kind_tag & FREE_MASK) >> FREE_SHIFT;
}

static inline uint32_t used_of(const struct page *p)
{
	return (p->kind_tag & USED_MASK) >> USED_SHIFT;
}

/* The warm page of bucket b, or PAGE_NONE. The note may be old: the entry knows. */
static inline uint32_t warm_of(const struct bucket_heap *h, uint32_t b)
{
	uint32_t warm = h->bucket[b].warm;

	if (warm && (page_at(h, warm - 1)->kind_tag & (BUCKET_MASK | USED_MASK)) ==
			    (b + 1) << BUCKET_SHIFT)
		return warm - 1;
	return PAGE_NONE;
}

/* A page with free blocks goes first on its shelf: it is warm in the cache, and not in the other sense. */
static inline void ring_push(struct bucket_heap *h, uint32_t b, uint32_t page)
{
	struct page *p = page_at(h, page);
	uint32_t *list = &h->bucket[b].list[shelf_of(p)], head = *list;

	p->next = page;
	p->prev = page;
	if (head) {
		p->next = head - 1;
		p->prev = page_at(h, head - 1)->prev;
		page_at(h, p->prev)->next = page;
		page_at(h, p->next)->prev = page;
	}
	*list = page + 1;
}

static inline void ring_unlink(struct bucket_heap *h, uint32_t b, uint32_t page)
{
	struct page *p = page_at(h, page);
	uint32_t *list = &h->bucket[b].list[shelf_of(p)];

	page_at(h, p->prev)->next = p->next;
	page_at(h, p->next)->prev = p->prev;
	if (*list == page + 1)
		*list = p->next == page ? 0 : p->next + 1;
}

/*
 * What a shelf without a free block of bucket b gets (bucket_shelves.c). A page out of the free runs, handed out; PAGE_NONE: there
 * is none. Whether it should have one of another shelf's instead. That one: false if there is none.
 */
uint32_t bucket_page_take(struct bucket_heap *h);
bool bucket_others_have_many(const struct bucket_heap *h, uint32_t b);
bool bucket_page_fetch(struct bucket_heap *h, uint32_t b);

/* Every bucket gives its warm page back to the free runs. Whether there was one. */
bool bucket_drop_warm(struct bucket_heap *h);

#endif
