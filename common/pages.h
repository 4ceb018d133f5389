/*
 * pages.h: page runs of one arena, best fit in constant time
 *
 * Model: an arena is n pages, numbered from 0. A page is absent (not ours: a client's arena is
 * absent until the daemon grants pages of it; the daemon's own view has none), or in exactly one
 * run, a stretch of pages with one state. FREE runs are ours to hand out, USED runs are handed out.
 * Only a run's first page describes it, and a bitset of first pages finds the run of any page. Free
 * runs hang on one list for each exact length, and a bitset of the lengths that exist finds the
 * smallest that fits: exact best fit, so a request fails only if no free run is long enough.
 *
 * Invariants (pages_check() proves them): runs do not overlap; no two free runs touch; a page is in
 * the bitset exactly if it is the first of a run, and every other entry says PAGE_INNER; a free run
 * is on the list of its length, and a length is in the bitset exactly if its list is not empty.
 *
 * Bound: every operation but pages_check() is O(1): a few bitset searches (2 * BITSET_LEVELS words
 * each) and two neighbours to merge with; pages_alloc_aligned() looks at PAGES_ALIGN_TRIES runs.
 * Entries of pages that never were present are neither read nor written, so they need no backing.
 * Not here: locking, and memory for the entries. Nothing touches the arena itself.
 * Used by both sides: by heapd over hardware pages, by the client over the allocator's pages.
 */
#ifndef HEAPD_COMMON_PAGES_H
#define HEAPD_COMMON_PAGES_H

#include "common/base.h"
#include "common/bitset.h"

#define PAGE_NONE UINT32_MAX
#define PAGES_MAX BITSET_MAX
#define PAGES_ALIGN_TRIES 16
#define PAGES_SHORT 15u
#define PAGES_ALIGN 128u /* bytes: the entries of so many lie in one hardware page, and are there, if one of them is a page's */

enum page_kind {
	PAGE_INNER = 0, /* absent, or inside a run */
	PAGE_FREE,      /* first page of a free run */
	PAGE_USED,      /* first page of a used run */
};

#define PAGE_KIND_BITS 2
#define PAGE_KIND_MASK ((1u << PAGE_KIND_BITS) - 1)
#define PAGE_TAG_MAX (UINT32_MAX >> PAGE_KIND_BITS)

/*
 * One entry a page. In the first page of a used run the tag, next and prev are the user's: 0,
 * PAGE_NONE, PAGE_NONE when the run is handed out, and then never looked at here. All other entries
 * have tag 0.
 */
struct page {
	uint32_t n;        /* pages of the run; of a first page only */
	uint32_t next;     /* free runs: of this length; used runs: the user's */
	uint32_t prev;
	uint32_t kind_tag; /* kind in the low bits, the tag above */
};
_Static_assert(sizeof(struct page) == 16, "four entries a cache line");

struct pages {
	uint32_t n;           /* pages of the arena */
	uint32_t n_free;      /* pages in free runs */
	uint32_t n_short;     /* pages in free runs of less than PAGES_SHORT, of little use to long requests */
	uint32_t n_used;      /* pages in used runs */
	uint32_t n_present;   /* the sum of both; a relaxed atomic, for pages_touch() */
	struct page *page;    /* n entries */
	uint32_t *head;       /* n + 1 entries; head[k]: a free run of length k, + 1; 0 none */
	struct bitset lengths; /* k - 1 for every k whose head is not 0 */
	struct bitset starts; /* first pages of runs, free and used */
};

static inline enum page_kind page_kind(const struct page *p)
{
	return (enum page_kind)(p->kind_tag & PAGE_KIND_MASK);
}

static inline uint32_t page_tag(const struct page *p)
{
	return p->kind_tag >> PAGE_KIND_BITS;
}

/* Bytes for entries, heads and bitsets of n pages (1 .. PAGES_MAX). A multiple of 64. */
size_t pages_bytes(uint32_t n);

/* All pages absent. storage: pages_bytes(n) bytes, zeroed, PAGES_ALIGN-byte aligned, the caller's. */
void pages_init(struct pages *ps, uint32_t n, void *storage);

/*
 * The parts of the storage that must have backing before [first, first+n) is inserted, so that no
 * later call takes a page fault: touch(ctx, address, bytes) for each, a dozen at most. Needs no
 * lock against other calls, but the next insert must be the one it was called for. Pre: n > 0,
 * first + n <= ps->n.
 */
void pages_touch(const struct pages *ps, uint32_t first, uint32_t n,
		 void (*touch)(void *ctx, void *addr, size_t bytes), void *ctx);

/* Whether [first, first+n) lies in the arena, is not empty, and every page of it is absent. */
bool pages_are_absent(const struct pages *ps, uint32_t first, uint32_t n);

/* The first page of the run that page is in; PAGE_NONE if it is absent or not in the arena. */
uint32_t pages_run_of(const struct pages *ps, uint32_t page);

/* The first page of the first run that starts at or after from; PAGE_NONE if there is none. */
uint32_t pages_next_run(const struct pages *ps, uint32_t from);

/* Makes [first, first+n) free and joins it with free neighbours. Pre: pages_are_absent(). */
void pages_insert(struct pages *ps, uint32_t first, uint32_t n);

/*
 * The first page of the free run that is next in the order of best fit for n >= 1 pages: after `run`, which was told before and is free
 * still, or PAGE_NONE: the first. PAGE_NONE: there is none.
 */
uint32_t pages_fit(const struct pages *ps, uint32_t n, uint32_t run);

/* Hands n >= 1 pages out in one run, from the start of a shortest free run that holds them. Returns
 * its first page; PAGE_NONE if no free run is that long. */
uint32_t pages_alloc(struct pages *ps, uint32_t n);

/* The same from the run's end. A user that takes single pages so, and longer runs by pages_alloc(),
 * keeps the two apart for as long as there is room. */
uint32_t pages_alloc_end(struct pages *ps, uint32_t n);

/*
 * The same, with a first page that is a multiple of align (a power of two). It tries the first
 * PAGES_ALIGN_TRIES free runs of n pages or more, shortest first, then one of n + align - 1, which
 * surely fits: so it may fail where an exhaustive search would not.
 */
uint32_t pages_alloc_aligned(struct pages *ps, uint32_t n, uint32_t align);

/* Hands out a longest free run, or the first max (> 0) pages of it; *n is how many. PAGE_NONE if
 * nothing is free; then *n is 0. */
uint32_t pages_alloc_longest(struct pages *ps, uint32_t max, uint32_t *n);

/* Hands out exactly [first, first+n), n >= 1. Pre: all of it lies in the free run that starts at
 * run_first. */
void pages_alloc_at(struct pages *ps, uint32_t run_first, uint32_t first, uint32_t n);

/* The used run that starts at first becomes free and joins its free neighbours. Returns the first
 * page of the free run it is now part of. Pre: first is PAGE_USED. */
uint32_t pages_free(struct pages *ps, uint32_t first);

/* Cuts the used run at first into [first, first+n) and the rest, a used run with the same tag (and
 * next and prev PAGE_NONE). Pre: first is PAGE_USED, 0 < n < its length. */
void pages_split_used(struct pages *ps, uint32_t first, uint32_t n);

/* The run that starts at first, free or used, becomes absent. (A client gives pages back.) */
void pages_remove(struct pages *ps, uint32_t first);

/* Length of the longest free run; 0 if nothing is free. */
uint32_t pages_longest(const struct pages *ps);

/* Pre: first is PAGE_USED, tag <= PAGE_TAG_MAX. */
void pages_set_tag(struct pages *ps, uint32_t first, uint32_t tag);

/* 0, or -EUCLEAN if an invariant is broken. Walks all entries: for tests. */
int pages_check(const struct pages *ps);

#endif
