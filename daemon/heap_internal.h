/*
 * heap_internal.h: what the files of heap.h have among themselves
 */
#ifndef HEAPD_DAEMON_HEAP_INTERNAL_H
#define HEAPD_DAEMON_HEAP_INTERNAL_H

#include "daemon/heap.h"

/* ---- heap_pages.c: pages change hands ---- */

/* One run of n pages for b. false: no free run is so long, or no room for it in the grant. */
bool pages_grant_run(struct heap *h, struct binding *b, uint32_t n, struct grant *grant);
/* Up to max pages, the longest runs first. Returns how many. */
uint32_t pages_grant_any(struct heap *h, struct binding *b, uint32_t max, struct grant *grant);
/* Pages that b holds become free. Pre: holders_has. */
void pages_take_back(struct heap *h, struct binding *b, uint32_t first, uint32_t n);

/* ---- heap_queue.c: refills wait ---- */

void queue_insert(struct heap *h, struct parked *p);
/* Out of the queue and the counts; still its session's. */
void queue_remove(struct heap *h, struct parked *p);
/* Ends it with an EV_GRANT of that status and no pages. The caller settles the heap. */
void refill_end(struct parked *p, uint32_t status);

/* See heap.h: everything that follows from a change. Never frees the heap. */
void heap_settle(struct heap *h);
/* Makes pressed exact in all control slots, and asks whoever is to be asked. Walks the bindings. */
void heap_refresh(struct heap *h);
uint32_t heap_pressed(const struct heap *h, const struct binding *b);

/* ---- heap_recall.c ---- */

void recall_send(struct binding *b, uint32_t want, bool urgent);
void recall_forget(struct binding *b); /* no answer is expected any more */
/* Asks everyone whose pages could help a parked refill and who has not been asked yet. */
void recall_urgently(struct heap *h);
void ahead_wish(struct binding *b, uint32_t pages); /* and soft recalls for it */
void ahead_forget(struct binding *b);
void ahead_serve(struct heap *h);

/* ---- heap_work.c ---- */

void orphan_add(struct binding *b);
void orphan_free(struct binding *b); /* pre: it holds no page, or the heap's pages go anyway */
void deadline_add(struct heap *h, struct parked *p, uint64_t at_ns);
void deadline_remove(struct heap *h, struct parked *p);

#endif
