/*
 * heap_ahead.c: the look ahead
 *
 * While several processes are bound to a heap, the helper thread looks at its free pages every few milliseconds and asks
 * for more when they run low, so that no alloc has to; and gives what is owed. A heap is looked after for a while after it
 * has last touched the daemon or changed. The list of these has a lock of its own, the innermost.
 * Not here: what comes of it (heap_take_grant, heap_give_back in heap_events.c).
 */
#include "client/heap_pages.h"

#include "client/point.h"
#include "client/racy.h"

/* The look ahead: every TICK_MS, for TICK_LINGER_NS after the heap last touched the daemon or changed. */
#define TICK_MS 5
#define TICK_LINGER_NS (200 * NSEC_PER_MSEC)
#define TICK_HEAPS 64
#define AHEAD_PAUSE_NS (50 * NSEC_PER_MSEC) /* after the daemon had nothing to spare */
#define LOW_MAX 16u                         /* pages: the mark never asks for more */

/* Heaps that are looked after. Its lock is the innermost. */
static struct {
	struct lock lock;
	TAILQ_HEAD(, heap) list; /* the longest unseen first */
} ticking;

void heap_ahead_init(void)
{
	lock_init(&ticking.lock);
	TAILQ_INIT(&ticking.list);
}

void heap_keep_ahead(struct heap *h)
{
	bool started;

	lock_take(&ticking.lock);
	h->tick_until_ns = now_ns() + TICK_LINGER_NS;
	started = !h->ticking;
	if (started)
		TAILQ_INSERT_TAIL(&ticking.list, h, ticking_link);
	h->ticking = true;
	lock_give(&ticking.lock);
	if (started)
		session_kick(h->session);
}

/* When that is due by then: 0 always. */
static void stop_ahead(struct heap *h, uint64_t now)
{
	lock_take(&ticking.lock);
	if (h->ticking && (now == 0 || now > h->tick_until_ns)) {
		TAILQ_REMOVE(&ticking.list, h, ticking_link);
		h->ticking = false;
	}
	lock_give(&ticking.lock);
}

void heap_stop_ahead(struct heap *h)
{
	stop_ahead(h, 0);
}

/* Whole pages that a process should have free: an eighth of its share, at least one, at most LOW_MAX. */
static uint32_t low_mark(const struct heap *h, uint32_t n_bound)
{
	uint32_t mark = h->n_total_hw / (8 * n_bound);

	return mark < 1 ? 1 : mark > LOW_MAX ? LOW_MAX : mark;
}

/* Other processes come and go meanwhile: read once for each decision. */
static uint32_t count_bound(const struct heap *h)
{
	const struct wire_control *c = atomic_load_explicit(&h->hand.arrays.control, memory_order_acquire);

	return atomic_load_explicit(&c->n_bound, memory_order_relaxed);
}

/* Runs low and could have more. */
static bool is_low(const struct heap *h, uint32_t n_bound, uint64_t now)
{
	return n_bound > 1 && h->n_held_hw < h->n_total_hw && now >= h->ahead_after_ns &&
	       bucket_free_hw(&h->bucket) < low_mark(h, n_bound);
}

/* Time to linger begins again. */
static void linger(struct heap *h, uint64_t now)
{
	lock_take(&ticking.lock);
	h->tick_until_ns = now + TICK_LINGER_NS;
	lock_give(&ticking.lock);
}

/*
 * Whether there is anything to do under the heap's lock. It is not taken for the question, lest an alloc meet the helper there
 * and enter the kernel: the figures may be of different moments, and the next tick asks again.
 */
static bool is_needy(struct heap *h, uint64_t now)
{
	uint64_t used;
	bool needy;

	if (heap_state(h) < 0 || !h->named || !h->writable || heap_is_segment(h))
		return false;
	racy_begin();
	used = h->stats->used;
	needy = h->owes || is_low(h, count_bound(h), now);
	racy_end();
	if (used != h->used_seen)
		linger(h, now);
	h->used_seen = used;
	return needy;
}

/* A request for more, if it is still needed. The lock is held. */
static bool ask_ahead(struct heap *h, uint64_t now, struct frame *f)
{
	uint32_t n_bound = count_bound(h);
	struct wire_refill *body;

	if (heap_state(h) < 0 || !is_low(h, n_bound, now))
		return false;
	heap_gather(h); /* what is at hand may make whole pages */
	if (!is_low(h, n_bound, now))
		return false;
	h->ahead_after_ns = now + AHEAD_PAUSE_NS;
	body = frame_init(f, OP_REFILL, 0, 0, sizeof(*body));
	*body = (struct wire_refill){
		.heap = h->id,
		.since_ns = now,
		.pages = 1,
		.ahead = 2 * low_mark(h, n_bound) - bucket_free_hw(&h->bucket),
		.flags = WIRE_REFILL_AHEAD,
	};
	return true;
}

/* What a full socket kept us from giving back, or was recalled before the table knew the heap, if it is still wanted. */
static void pay_back(struct heap *h)
{
	const struct wire_control *c = atomic_load_explicit(&h->hand.arrays.control, memory_order_acquire);

	if (!h->owes)
		return;
	h->owes = false;
	if (heap_state(h) == 0 && atomic_load(&c->pressed) > 0)
		heap_give_back(h);
}

static void tick_heap(struct session *s, uint64_t id)
{
	uint64_t now = now_ns();
	struct heap *h;
	struct frame f;
	bool needy, asks;
	uint32_t link;

	heap_table_lock();
	h = heap_find(s, id);
	needy = h && is_needy(h, now);
	if (h && !needy)
		stop_ahead(h, now);
	if (needy)
		lock_take(&h->lock);
	heap_table_unlock();
	if (!needy)
		return;
	pay_back(h);
	asks = ask_ahead(h, now, &f);
	link = h->link;
	if (asks)
		heap_pin(h); /* lest the answer meet a later binding to the same heap */
	lock_give(&h->lock);
	if (!asks)
		return;
	if (session_call_over(s, &f, session_new_id(s), link) == 0 && f.header.status == STATUS_OK)
		heap_take_grant(s, &f, id, 0, link);
	heap_unpin(h);
	POINT(AHEAD_SENT);
}

int heap_tick(struct session *s)
{
	struct heap *seen[TICK_HEAPS], *h;
	uint64_t ids[TICK_HEAPS];
	size_t n = 0;

	lock_take(&ticking.lock);
	TAILQ_FOREACH(h, &ticking.list, ticking_link) {
		if (n == TICK_HEAPS)
			break;
		if (h->session != s)
			continue;
		seen[n] = h;
		ids[n++] = h->id;
	}
	for (size_t i = 0; i < n; i++) { /* when there are more, they are first the next time */
		TAILQ_REMOVE(&ticking.list, seen[i], ticking_link);
		TAILQ_INSERT_TAIL(&ticking.list, seen[i], ticking_link);
	}
	lock_give(&ticking.lock);
	for (size_t i = 0; i < n; i++)
		tick_heap(s, ids[i]);
	return n ? TICK_MS : -1;
}
