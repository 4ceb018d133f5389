/*
 * heap_alloc.c: blocks out of a heap and back, and the wait in between
 *
 * Here begins what client/heap_fast.h leaves: with the lock. heap_alloc_try and the first lines of put_unlock serve the
 * request or take the block, and move a batch between allocator and the array of this CPU. The slow path of alloc is one: the thread
 * enters the queue, asks the daemon if pages may be elsewhere, and sleeps; a free, a grant, a deletion or its own timeout
 * ends it. TM_NONBLOCK takes the same way with a request that the daemon answers within its recall bound.
 */
#include "client/heap_pages.h"

#include "client/cancel.h"
#include "client/point.h"

/* How many pages beyond the need a refill asks for: 64 KiB worth, so that a busy process asks once in 16 pages. */
#define REFILL_AHEAD 16u

/* ---- serving ---- */

void heap_serve(struct heap *h, struct wakes *wakes)
{
	struct waiter *w = TAILQ_FIRST(&h->waitq.list), *next;
	uint64_t offset;
	bool served = false;

	for (; w; w = next) {
		next = TAILQ_NEXT(w, link);
		if (hand_alloc(&h->hand, w->size, &offset) != 0)
			continue;
		waitq_finish(&h->waitq, w, 0, offset, wakes);
		served = true;
	}
	if (served)
		waitq_publish(&h->waitq, h->stats);
}

/* ---- at hand ---- */

void heap_gather(struct heap *h)
{
	(void)hand_shut(&h->hand);
}

/* A block went through the lock. The lock is held. */
static void settle(struct heap *h)
{
	if (!hand_is_there(&h->hand) || hand_is_open(&h->hand))
		return;
	if (!TAILQ_EMPTY(&h->waitq.list) || heap_is_pressed(h))
		hand_unsettle(&h->hand);
	else
		hand_settle(&h->hand);
}

/* ---- alloc ---- */

int heap_alloc_try(struct heap *h, uint64_t size, uint64_t *offset)
{
	int r = heap_state(h);

	if (unlikely(r < 0))
		return r;
	r = hand_alloc(&h->hand, size, offset);
	if (unlikely(r == BUCKET_DRY) && bucket_cost(&h->bucket, size) <= h->usable) {
		heap_gather(h);
		r = hand_alloc(&h->hand, size, offset);
	}
	if (r == 0) {
		settle(h);
		hand_refill(&h->hand, size);
	}
	return r;
}

/* Sleeps until w is finished, by others or by its own giving up. No lock is held. */
static void wait_for(struct heap *h, struct waiter *w, uint64_t deadline)
{
	while (!waiter_is_done(w)) {
		int r = futex_wait(&w->done, 0, deadline);

		if (r == 0 || (r == -EINTR && w->brief))
			continue;
		POINT(ALLOC_WOKEN);
		lock_take(&h->lock);
		if (!waiter_is_done(w)) {
			waitq_remove(&h->waitq, w);
			waitq_publish(&h->waitq, h->stats);
			w->result = r;
			atomic_store(&w->done, 1);
		}
		lock_give(&h->lock);
	}
}

/*
 * Whether the daemon must know of a thread that lacks memory: pages may be in other hands, or, if it waits, others may
 * wait too, and then the daemon keeps the order. (Who begins to wait before any other process does is parked
 * with the first recall.) The lock is held.
 */
static bool may_ask(const struct heap *h, bool nowait)
{
	const struct wire_control *c = atomic_load_explicit(&h->hand.arrays.control, memory_order_acquire);

	return h->named && (h->n_held_hw < h->n_total_hw || (!nowait && atomic_load(&c->n_bound) > 1));
}

int heap_alloc_slow_unlock(struct heap *h, uint64_t size, uint64_t deadline, uint64_t *offset)
{
	_no_cancel_ int cancel = cancel_disable();
	bool nowait = deadline == HEAP_NOWAIT, ask = may_ask(h, nowait);
	struct session *s = h->session; /* stays while we are busy in the heap */
	struct waiter w;
	struct frame f;
	uint32_t link = 0;

	if (bucket_cost(&h->bucket, size) > h->usable) {
		lock_give(&h->lock);
		return -ENOMEM;
	}
	if (nowait && !ask) {
		lock_give(&h->lock);
		return -EWOULDBLOCK;
	}
	waiter_init(&w, size, nowait);
	waitq_add(&h->waitq, &w);
	waitq_publish(&h->waitq, h->stats);
	atomic_fetch_add_explicit(&h->n_busy, 1, memory_order_relaxed);
	if (ask)
		link = refill_init(h, &w, session_new_id(s), &f);
	if (w.priority > 0)
		session_raise(s, w.priority);
	lock_give(&h->lock);

	POINT(ALLOC_QUEUED);
	if (ask) {
		(void)refill_send(s, &f, link);
		POINT(ALLOC_ASKED);
		heap_park_waiters(s, h->id); /* another thread of ours may have been ahead of us */
	}
	wait_for(h, &w, nowait ? FOREVER : deadline); /* a brief wait ends within the daemon's recall bound */
	if (w.park_id) {
		POINT(ALLOC_CANCEL);
		refill_cancel(s, w.park_id);
	}
	atomic_fetch_sub_explicit(&h->n_busy, 1, memory_order_release);
	*offset = w.offset;
	return w.result;
}

/* ---- free ---- */

/*
 * Somebody waits. Whole pages go to the daemon if other processes wait too, for it knows the order of all; the rest
 * serves our own. The lock is held, and given.
 */
static void free_slow(struct heap *h, bool give)
{
	struct wakes wakes = { .n = 0 };

	if (give)
		heap_give_back(h);
	heap_serve(h, &wakes);
	lock_give(&h->lock);
	POINT(FREE_SERVED);
	wakes_flush(&wakes);
}

/*
 * A block that is nobody's. spills: the array of this CPU was full for blocks of that mark; 0: it was not. The lock is held, and given.
 * 0; -EINVAL: no block.
 */
static int put_unlock(struct heap *h, uint64_t offset, uint8_t spills)
{
	bool spilt = false, pages_free = false;
	int r = 0;

	if (!spills || !hand_spill(&h->hand, spills, offset, &spilt))
		r = bucket_free(&h->bucket, offset, &pages_free);
	if (likely(r == 0)) {
		bool give = (pages_free || spilt) && unlikely(heap_is_pressed(h));

		settle(h);
		if (unlikely(give || !TAILQ_EMPTY(&h->waitq.list))) {
			free_slow(h, give);
			return 0;
		}
	}
	lock_give(&h->lock);
	return r;
}

bool heap_keep(struct heap *h, uint32_t turn, uint64_t size, uint64_t offset)
{
	bool is_ours;

	lock_take_soon(&h->lock);
	is_ours = hand_was_seen(&h->hand, turn);
	if (is_ours && heap_state(h) < 0) {
		(void)put_unlock(h, offset, 0);
		return false;
	}
	if (is_ours)
		hand_mark(&h->hand, size, offset);
	lock_give(&h->lock);
	return is_ours;
}

void heap_put(struct heap *h, uint32_t turn, uint64_t offset)
{
	lock_take_soon(&h->lock);
	if (!hand_was_seen(&h->hand, turn)) {
		lock_give(&h->lock); /* unbound meanwhile */
		return;
	}
	(void)put_unlock(h, offset, 0);
}

int heap_free_own_unlock(struct heap *h, uint64_t offset, bool full)
{
	uint8_t mark = hand_claim(&h->hand, offset);

	if (likely(mark))
		return put_unlock(h, offset, full ? mark : 0);
	h->stats->bad_frees++;
	lock_give(&h->lock);
	return -EINVAL;
}

/* It is no block of ours: perhaps another process's. No lock is held; the heap is pinned. */
static int free_foreign(struct heap *h, uint64_t offset)
{
	struct frame f;
	struct wire_free *body = frame_init(&f, OP_FREE, 0, 0, sizeof(*body));
	int r;

	body->heap = h->id;
	body->offset = offset;
	r = session_call(h->session, &f);
	POINT(FOREIGN_SENT);
	return r < 0 ? -EIDRM : status_errno(f.header.status);
}

/* Whether it is not even at hand, and may be another process's. */
static bool is_foreign(const struct heap *h, uint64_t offset)
{
	const struct wire_control *c = atomic_load_explicit(&h->hand.arrays.control, memory_order_acquire);

	return atomic_load(&c->n_bound) > 1 && bucket_size(&h->bucket, offset) == 0;
}

int heap_free_unlock(struct heap *h, uint64_t offset, bool full)
{
	int r = heap_state(h);

	if (unlikely(r < 0)) {
		lock_give(&h->lock);
		return r;
	}
	if (unlikely(h->named && is_foreign(h, offset))) {
		heap_pin(h);
		lock_give(&h->lock);
		r = free_foreign(h, offset);
		lock_take(&h->lock);
		if (r == -EINVAL)
			h->stats->bad_frees++;
		lock_give(&h->lock);
		heap_unpin(h);
		return r;
	}
	return heap_free_own_unlock(h, offset, full);
}

/* ---- the frame of a refill ---- */

uint32_t refill_init(struct heap *h, struct waiter *w, uint32_t id, struct frame *f)
{
	struct wire_refill *body = frame_init(f, OP_REFILL, id, 0, sizeof(*body));

	w->park_id = id;
	*body = (struct wire_refill){
		.heap = h->id,
		.since_ns = w->since_ns,
		.size = w->size,
		.pages = bucket_hw_pages(&h->bucket, w->size),
		.ahead = REFILL_AHEAD,
		.priority = w->priority,
		.tid = w->tid,
		.flags = w->brief ? WIRE_REFILL_NONBLOCK : 0,
	};
	h->ahead_after_ns = 0;
	heap_keep_ahead(h);
	return h->link;
}
