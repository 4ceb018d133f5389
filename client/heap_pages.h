/*
 * heap_pages.h: pages in and out of one heap, and who gets them; shared by heap_alloc.c, heap_events.c and heap_ahead.c
 */
#ifndef HEAPD_CLIENT_HEAP_PAGES_H
#define HEAPD_CLIENT_HEAP_PAGES_H

#include "client/heap.h"

/* Requests of other processes wait at the daemon for pages of this heap. */
static inline bool heap_is_pressed(const struct heap *h)
{
	const struct wire_control *c = atomic_load_explicit(&h->hand.arrays.control, memory_order_acquire);

	return atomic_load_explicit(&c->pressed, memory_order_acquire) > 0;
}

/* Gives a block to each waiter, in order, whose request now fits. The lock is held. O(waiting threads). */
void heap_serve(struct heap *h, struct wakes *wakes);

/* Pages that the daemon granted. A run that cannot be used (no memory for its metadata) is added to *back instead. Locked. */
void heap_insert_runs(struct heap *h, const struct wire_run *runs, uint32_t n, struct frame *back);

/*
 * Fills a RETURN frame with free whole pages, at most max of them; they leave the heap. The lock is held. Whether
 * the frame is full and more may be left. want: see bucket_reclaim.
 */
bool heap_take_runs(struct heap *h, struct frame *f, uint32_t seq, uint32_t want, uint32_t *max);

/* Gives all free whole pages to the daemon, or, if it is behind, lets the helper do it soon. The lock is held. */
void heap_give_back(struct heap *h);

/* An empty RETURN frame. */
struct wire_return *return_init(struct frame *f, uint64_t heap, uint32_t seq);

/*
 * Frees a block of ours, that somebody has, serves waiters, gives pages to the daemon if others wait. full: as heap_free_unlock. The
 * lock is held, and given. 0 or -EINVAL.
 */
int heap_free_own_unlock(struct heap *h, uint64_t offset, bool full);

/*
 * Asks the daemon for what one of our waiters lacks and does what the reply says. No lock is held. w is only read
 * before, and may be gone after, the call: f is filled by refill_init while the lock was held. The heap is busy or pinned,
 * lest the answer meet a later binding to it.
 */
uint32_t refill_init(struct heap *h, struct waiter *w, uint32_t id, struct frame *f); /* the link it is for */
/* STATUS_PARKED: at the daemon, now; 0: answered; -ECONNREFUSED: not sent, and the waiter has no id any more. */
int refill_send(struct session *s, struct frame *f, uint32_t link);

/*
 * A REFILL's reply or an EV_GRANT, and the link over which it came: pages for the heap, or an end for the waiter whose id it
 * has. No lock is held.
 */
void heap_take_grant(struct session *s, const struct frame *f, uint64_t heap, uint32_t id, uint32_t link);

/* Asks the daemon to forget a request whose waiter has ended otherwise. A grant that is on its way joins the heap. */
void refill_cancel(struct session *s, uint32_t id);

/* Parks a REFILL for each of our waiters that has none. No lock is held; the heap need not be bound any more. */
void heap_park_waiters(struct session *s, uint64_t heap);

/* When the session comes back (client/heap_return.c); as in struct session_handler. */
int heap_tell(struct session *s, uint64_t heap);
void heap_back(struct session *s, uint64_t heap);

/* The end of all waiters; control (may be NULL): what the heap's state is from now on. The lock is held. */
void heap_finish_waiters(struct heap *h, const struct wire_control *control);

/*
 * Whether a free by another process is the one that we have had last from that session: the daemon ended between, and was
 * told again. The lock is held.
 */
#define HEAP_FREED_BYTES ((size_t)1024) /* of h->freed, mapped when the first comes */
bool heap_knows_free(struct heap *h, const struct wire_free *body);

/* The helper looks after this heap's low-water mark for a while; or no longer. The lock is held. */
void heap_keep_ahead(struct heap *h);
void heap_stop_ahead(struct heap *h);

/*
 * What the end of its session means for one heap: a named one is lost, a local one lives on. Takes the heap's lock;
 * harmless twice.
 */
void heap_lose(struct heap *h);

/* As in struct session_handler: looks at the heaps of a session that are looked after. */
int heap_tick(struct session *s);

/* With the table, once in a process and again in the child of a fork. */
void heap_ahead_init(void);

#endif
