/*
 * bucket.h: the block allocator of McKusick and Karels (USENIX Summer 1988), over page runs
 *
 * Model: a heap is an arena of n hardware pages of which the daemon has granted us some. The
 * allocator works in pages of its own, 1 << page_shift bytes: 512 in small heaps, so that a 4 KiB
 * heap serves several sizes at once, 4096 in large ones. A request of up to a page costs the next
 * power of two from 16 bytes and comes from a page that holds blocks of that one size (a bucket
 * page); a larger one costs whole pages in one run. The page table remembers which is which, so a
 * bare offset is enough to free. Everything is in offsets: the allocator never touches the arena. A
 * block starts at a multiple of its size up to a page, larger ones at a page.
 *
 * Metadata: struct pages for the runs; for each bucket page a bitmap of its free blocks, the only
 * record of a block, so a double free or a wrong offset is always seen; for each bucket its pages with
 * free blocks, in lists. A page that becomes wholly free stays with its bucket (warm) unless
 * the others of the bucket together hold a page's worth of free blocks: so at most one page of a
 * bucket is warm, and a page comes and goes only once in as many operations as it has blocks. Warm
 * pages are given up before any request fails, by every request for a run, and by every reclaim: so
 * pages without blocks in use never stand in the way of anything.
 *
 * Shelves: what is written for a page's blocks should be one CPU's, or its cache lines wander. So a bucket has a list
 * for each shelf, its caller says whose turn it is (bucket_shelf), and a page stays on the shelf that it came to. A shelf
 * that has no free block gets a new page, or fetches one from another: if there is no new one; if a page's worth and
 * an eighth of the bucket's blocks (BUCKET_SPARE) are free elsewhere; and, where any are, in a heap of less than BUCKET_ROOMY
 * pages of which an eighth is out of the free runs. So no request fails while a block of its size is free, and while a bucket grows
 * shelves cost it so many pages at most, small heaps an eighth, those with small pages none. But such a page is lost to other sizes and
 * to runs until it is empty. What is freed in the order in which CPUs took it in turns may keep as many pages for each shelf as it
 * would keep for one. And a page may come for a block and go with it, while others have some free. A caller that says
 * nothing has one shelf. In heaps of BUCKET_ROOMY pages a shelf's new page is one of a lot, BUCKET_LOT pages, in which no other shelf has
 * any, if a few looks find one (bucket_shelves.c). That leaves short free runs behind: a sixteenth of what is free, and then those are used.
 *
 * Bucket pages come from the end of the free run that fits best (or best among those with a lot), large blocks from its start: what
 * is small and long-lived does not split what is large.
 *
 * Invariant: each block is in use or has its bit set; each bucket page with free blocks is on its
 * bucket's list of its shelf, a warm one last, so that it is cut only when no other page there has a block; the
 * counters equal what the pages say. bucket_check() proves it.
 *
 * Counters (struct wire_stats) are only written, never believed. Those of a bucket are the kernel's
 * kmembuckets of 4.3BSD: calls and free as there (kb_calls, kb_totalfree); per_page is kb_elmpercl;
 * high_water (kb_highwat) is the mark of free blocks: while that many are left without it, a page
 * that becomes wholly free is too much; could_free (kb_couldfree) counts those. The BSD kernel kept
 * such a page (its mark was five pages' worth), we keep to a mark of one page's worth and free it.
 *
 * Bound: every call but bucket_check and bucket_reclaim is O(1). The usual alloc and free look at
 * one page entry and at most 4 bitmap words; the worst of them look at BUCKET_SHELVES lists, give up to BUCKET_COUNT warm pages
 * and do as many page operations (common/pages.h).
 * Not here: locking (client/heap.h), asking the daemon for pages, waiting (client/waitq.h).
 */
#ifndef HEAPD_CLIENT_BUCKET_H
#define HEAPD_CLIENT_BUCKET_H

#include "common/pages.h"
#include "proto/wire.h"

#define BUCKET_MIN_SHIFT 4
#define BUCKET_SMALL_PAGE_SHIFT 9
#define BUCKET_SMALL_HEAP_MAX (64 * 1024) /* heaps up to this many bytes use small pages */
#define BUCKET_COUNT (HW_PAGE_SHIFT - BUCKET_MIN_SHIFT + 1) /* 16 .. 4096 */
_Static_assert(BUCKET_COUNT == WIRE_BUCKETS, "each bucket has its counters");

/* An answer, not a failure: no memory here now. The caller may ask the daemon, wait, or give up. */
#define BUCKET_DRY 1

#define BUCKET_SHELVES 8u
#define BUCKET_SPARE 8u   /* one in so many of a bucket's blocks, or of a small heap's pages, is for shelves to have */
#define BUCKET_LOT 8u     /* pages whose blocks share cache lines of what is kept for them */
#define BUCKET_PIECES 16u /* one in so many free pages may lie in short runs (PAGES_SHORT) for lots to be looked for */
#define BUCKET_ROOMY 256u /* pages: a heap that has as many is not small */

/* One size. Its pages with free blocks are, for each shelf, a ring through their entries' next and prev. */
struct bucket {
	uint32_t list[BUCKET_SHELVES]; /* the page to cut next, + 1; 0: no block is free there */
	uint32_t warm;                 /* the page that was wholly free last, + 1; it is warm if it still is */
	uint32_t n_pages;
	uint64_t n_free;               /* free blocks, on all shelves */
};

struct bucket_heap {
	uint32_t page_shift; /* BUCKET_SMALL_PAGE_SHIFT or HW_PAGE_SHIFT */
	uint32_t shelf;      /* bucket_shelf() */
	bool has_shelves;    /* it was called */
	uint32_t last[BUCKET_SHELVES]; /* the page that a shelf took last, + 1; 0: none */
	uint64_t *bits;      /* free blocks; in other than bucket pages: whatever was there */
	struct wire_stats *stats; /* written, never believed */
	struct pages pages;  /* runs, in allocator pages */
	struct bucket bucket[BUCKET_COUNT];
};

/* The bucket of a size from 1 to a page of its heap: 0 up to 16 bytes, 1 up to 32, ... */
static inline uint32_t bucket_for(uint64_t size)
{
	uint32_t highest = 63 - (uint32_t)__builtin_clzll((size - 1) | ((1u << BUCKET_MIN_SHIFT) - 1));

	return highest + 1 - BUCKET_MIN_SHIFT;
}

/* The allocator's page for a heap of size bytes. */
uint32_t bucket_page_shift(uint64_t size);

/* Bytes of metadata for n_hw hardware pages (1 or more; PAGES_MAX allocator pages at most). */
size_t bucket_bytes(uint32_t n_hw, uint32_t page_shift);

/*
 * All pages absent. storage: bucket_bytes() bytes, zeroed, PAGES_ALIGN-byte aligned; stats: zeroed, 8-byte
 * aligned. Both are the caller's and live as long as h. page_shift: what bucket_page_shift() says.
 */
void bucket_init(struct bucket_heap *h, uint32_t n_hw, uint32_t page_shift, void *storage,
		 struct wire_stats *stats);

/*
 * The parts of storage that must have backing before hardware pages [first, first+n) are inserted,
 * so that no later call takes a page fault: touch(ctx, address, bytes) for each, 16 at most, in
 * any order, not page-aligned. Needs no lock against other calls, but the next bucket_insert must
 * be the one it was called for. A range that bucket_insert would refuse: no calls.
 */
void bucket_touch(const struct bucket_heap *h, uint32_t first_hw, uint32_t n_hw,
		  void (*touch)(void *ctx, void *addr, size_t bytes), void *ctx);

/* The daemon granted hardware pages [first, first+n). 0; -EINVAL (none, out of the arena, or not
 * all absent): nothing changes. */
int bucket_insert(struct bucket_heap *h, uint32_t first_hw, uint32_t n_hw);

/* The same in allocator pages, for memory that is not the daemon's and need not be whole hardware
 * pages. */
int bucket_insert_pages(struct bucket_heap *h, uint32_t first, uint32_t n);

/* From which shelf blocks are taken from now on: what CPUs with the same number modulo BUCKET_SHELVES share. */
static inline void bucket_shelf(struct bucket_heap *h, uint32_t cpu)
{
	h->has_shelves = h->page_shift == HW_PAGE_SHIFT;
	h->shelf = h->has_shelves ? cpu % BUCKET_SHELVES : 0;
}

/* A block of at least size bytes. 0 and *offset; or BUCKET_DRY (always so for size 0 and for more
 * than the arena). */
int bucket_alloc(struct bucket_heap *h, uint64_t size, uint64_t *offset);

/*
 * The same, with an offset that is a multiple of align (a power of two). Up to a page, this is a
 * block of max(size, align); above, a run that may be missed where memory is fragmented
 * (pages_alloc_aligned).
 */
int bucket_alloc_aligned(struct bucket_heap *h, uint64_t size, uint64_t align, uint64_t *offset);

/*
 * Frees the block that starts at offset. 0; -EINVAL: out of the arena, in a page that is not ours,
 * not the start of a block, already free: nothing changes but stats->bad_frees.
 * *pages_free (may be NULL): set to whether a whole hardware page may have become free: never false
 * when one has. Always set; false after -EINVAL.
 */
int bucket_free(struct bucket_heap *h, uint64_t offset, bool *pages_free);

/* What is known of the page at offset is needed soon: a hint to the processor. */
static inline void bucket_expect(const struct bucket_heap *h, uint64_t offset)
{
	uint64_t page = offset >> h->page_shift;

	__builtin_prefetch(&h->pages.page[page], 1);
	__builtin_prefetch(&h->bits[page], 1);
}

/* Bytes of the handed-out block that starts at offset; 0 if there is none. */
uint64_t bucket_size(const struct bucket_heap *h, uint64_t offset);

/* Bytes a request of size takes from this heap: its block. UINT64_MAX if that is no number. */
uint64_t bucket_cost(const struct bucket_heap *h, uint64_t size);

/* Contiguous hardware pages that surely serve a request of size. UINT32_MAX: too many. */
uint32_t bucket_hw_pages(const struct bucket_heap *h, uint64_t size);

/* Whole hardware pages that bucket_reclaim() could take. Exact for 4096-byte pages, else an upper
 * bound. O(1). */
uint32_t bucket_free_hw(const struct bucket_heap *h);

/*
 * Takes free whole hardware pages out of the heap for the daemon: at most max_runs runs and
 * max_pages pages in all. want > 0: if one free run holds want contiguous pages (and max_pages
 * allows), it takes exactly want pages from the shortest such run and stops; else everything it
 * can, longest runs first. Returns the number of runs written. O(1) for each run; with small pages,
 * O(pages of the heap) for each: a few hundred.
 */
size_t bucket_reclaim(struct bucket_heap *h, uint32_t want, uint32_t max_pages,
		      struct wire_run *runs, size_t max_runs);

/*
 * The hardware pages that are in the heap: runs in their order, at most max. *from is 0 first, and then what it has been set
 * to: where to go on; UINT32_MAX: that was all. Looks at some BUCKET_HELD_STEPS runs of the page table at most, so the end
 * of one call may touch the begin of the next. Returns the number of runs written. Pre: max > 0.
 */
#define BUCKET_HELD_STEPS 4096
size_t bucket_held(const struct bucket_heap *h, uint32_t *from, struct wire_run *runs, size_t max);

/* 0, or -EUCLEAN. Walks everything: for tests and audits. */
int bucket_check(const struct bucket_heap *h);

#endif
