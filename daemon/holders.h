/*
 * holders.h: who holds which pages of a heap
 *
 * Model: extents, maximal stretches of pages in one hand, described at their first page; a bitset
 * of the first pages finds the extent around any page. The extents of one holder form a list. Pages
 * that nobody holds are in no extent (they are the free runs of common/pages).
 *
 * Invariant: extents do not overlap, two extents of one holder do not touch, a holding's list
 * and counts are exactly its extents. holders_check() proves it.
 *
 * Every operation is O(1): two searches in a bitset. Only entries of first pages are ever touched.
 */
#ifndef HEAPD_DAEMON_HOLDERS_H
#define HEAPD_DAEMON_HOLDERS_H

#include "common/pages.h"

struct extent {
	uint32_t n;          /* pages */
	uint32_t owner;
	uint32_t next, prev; /* first pages of the holding's other extents; PAGE_NONE */
};

/* What one holder has. */
struct holding {
	uint32_t owner; /* the holder's number in this heap */
	uint32_t first; /* first page of some extent; PAGE_NONE */
	uint32_t n_extents;
	uint32_t n_pages;
};

struct holders {
	uint32_t n_pages; /* of the heap */
	uint32_t n_held;
	struct extent *at;
	struct bitset firsts;
};

size_t holders_bytes(uint32_t n_pages);
/* storage: holders_bytes(n_pages) bytes, zeroed, 8-byte aligned, the caller's. */
void holders_init(struct holders *hs, uint32_t n_pages, void *storage);

void holding_init(struct holding *h, uint32_t owner);

/* Pre: nobody holds a page of [first, first+n). */
void holders_give(struct holders *hs, struct holding *to, uint32_t first, uint32_t n);

/* Does it hold all of [first, first+n)? Any numbers are fine. */
bool holders_has(const struct holders *hs, const struct holding *h, uint32_t first, uint32_t n);

/* Pre: holders_has. */
void holders_take(struct holders *hs, struct holding *from, uint32_t first, uint32_t n);

/*
 * The extent around a page: its first page; PAGE_NONE: nobody holds the page (or there is none
 * such).
 */
uint32_t holders_find(const struct holders *hs, uint32_t page);
/* The first extent that starts at or behind a page; PAGE_NONE. */
uint32_t holders_next(const struct holders *hs, uint32_t page);

/* 0 or -EUCLEAN. Walks everything: for tests. */
int holders_check(const struct holders *hs);
int holding_check(const struct holders *hs, const struct holding *h);

#endif
