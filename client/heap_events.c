/*
 * heap_events.c: what the daemon sends about heaps
 *
 * All of it runs on the session's helper thread, but for heap_take_grant, which also handles the reply to a refill on the
 * thread that asked. Events name heaps by id; a heap that has been unbound meanwhile is simply not found.
 */
#include "client/heap_pages.h"

#include <sys/socket.h>

#include "client/mapping.h"
#include "client/point.h"

#define RECALL_EXTRA 32u /* pages */

/* ---- pages out ---- */

struct wire_return *return_init(struct frame *f, uint64_t heap, uint32_t seq)
{
	struct wire_return *body = frame_init(f, OP_RETURN, 0, 0, sizeof(*body));

	body->heap = heap;
	body->seq = seq;
	return body;
}

static void return_set_runs(struct frame *f, uint32_t n)
{
	FRAME_BODY(f, struct wire_return)->n_runs = n;
	f->header.length = (uint32_t)(sizeof(struct wire_return) + n * sizeof(struct wire_run));
}

bool heap_take_runs(struct heap *h, struct frame *f, uint32_t seq, uint32_t want, uint32_t *max)
{
	struct wire_return *body = return_init(f, h->id, seq);
	uint32_t n = (uint32_t)bucket_reclaim(&h->bucket, want, *max, body->runs, WIRE_RETURN_RUNS_MAX), taken = 0;

	for (uint32_t i = 0; i < n; i++)
		taken += body->runs[i].n;
	return_set_runs(f, n);
	assert(taken <= *max && taken <= h->n_held_hw && "pages leave that were ours");
	*max -= taken;
	h->n_held_hw -= taken;
	return n == WIRE_RETURN_RUNS_MAX && *max > 0;
}

void heap_give_back(struct heap *h)
{
	struct wire_return *body;
	uint32_t max = UINT32_MAX;
	struct frame f, none;

	heap_gather(h);
	(void)heap_take_runs(h, &f, 0, 0, &max);
	body = FRAME_BODY(&f, struct wire_return);
	if (body->n_runs == 0)
		return;
	POINT(BACK_TAKEN);
	if (session_post(h->session, &f) != -EAGAIN) {
		POINT(BACK_SENT);
		return;
	}
	/* it is behind: keep them; what was backed once needs no new memory, so nothing is refused */
	(void)return_init(&none, h->id, 0);
	heap_insert_runs(h, body->runs, body->n_runs, &none);
	h->owes = true;
	heap_keep_ahead(h);
}

/* On the helper thread: waits while the daemon is behind. */
static void post_patiently(struct session *s, const struct frame *f)
{
	while (session_post(s, f) == -EAGAIN)
		session_wait_writable(s);
}

/*
 * How long a run to give to somebody who waits for one of want pages: who has plenty gives some more in the same breath,
 * so that a process which takes over much is not a recall for each page. The daemon keeps the rest for it.
 */
static uint32_t generous(const struct heap *h, uint32_t want)
{
	uint64_t more = (uint64_t)want + RECALL_EXTRA;
	uint64_t longest = (uint64_t)pages_longest(&h->bucket.pages) << h->bucket.page_shift;

	return longest >= more * HW_PAGE_SIZE && bucket_free_hw(&h->bucket) >= 4 * more ? (uint32_t)more : want;
}

static void answer_recall(struct session *s, const struct wire_recall *recall)
{
	struct heap *h;
	struct frame f;
	bool more;
	uint32_t max = UINT32_MAX, want = 0;
	bool first = true;

	POINT(RECALL_CAME);
	do {
		more = false;
		(void)return_init(&f, recall->heap, recall->seq);
		h = heap_find_locked(s, recall->heap);
		if (h && h->writable && !heap_is_segment(h)) {
			heap_gather(h);
			if (first && !recall->urgent)
				max = (uint32_t)min_u64(recall->want, bucket_free_hw(&h->bucket) / 2);
			if (first && recall->urgent)
				want = generous(h, recall->want);
			more = max > 0 && heap_take_runs(h, &f, recall->seq, want, &max);
			FRAME_BODY(&f, struct wire_return)->more = more;
			heap_keep_ahead(h);
		}
		if (h)
			lock_give(&h->lock);
		POINT(RECALL_TAKEN);
		post_patiently(s, &f);
		POINT(RECALL_SENT);
		first = false;
	} while (more);
	heap_park_waiters(s, recall->heap);
}

/* ---- pages in ---- */

static void touch(void *ctx, void *addr, size_t bytes)
{
	int *r = ctx;

	if (*r == 0)
		*r = mapping_populate(addr, bytes);
}

void heap_insert_runs(struct heap *h, const struct wire_run *runs, uint32_t n, struct frame *back)
{
	struct wire_return *body = FRAME_BODY(back, struct wire_return);

	for (uint32_t i = 0; i < n; i++) {
		int r = 0;

		if (!h->metadata_backed) {
			bucket_touch(&h->bucket, runs[i].first, runs[i].n, touch, &r);
			hand_touch(&h->hand, runs[i].first, runs[i].n, touch, &r);
		}
		if (r == 0)
			r = bucket_insert(&h->bucket, runs[i].first, runs[i].n);
		if (r == 0) {
			h->n_held_hw += runs[i].n;
			continue;
		}
		body->runs[body->n_runs] = runs[i];
		return_set_runs(back, body->n_runs + 1);
	}
}

/* The status of a refill that brought no pages, for its waiter. */
static int refill_error(uint32_t status)
{
	int r = status_errno(status);

	return r == 0 || r == -ENOENT ? -EIDRM : r;
}

void heap_take_grant(struct session *s, const struct frame *f, uint64_t heap, uint32_t id, uint32_t link)
{
	const struct wire_grant *grant = (const struct wire_grant *)(const void *)f->body.bytes;
	struct wakes wakes = { .n = 0 };
	struct heap *h = heap_find_locked(s, heap);
	struct waiter *w;
	struct frame back;

	if (!h)
		return; /* unbound meanwhile: the daemon has taken its pages back with the binding */
	if (h->link != link) { /* told without them: they are free, and who waits is asked for anew */
		lock_give(&h->lock);
		return;
	}
	(void)return_init(&back, heap, 0);
	w = id ? waitq_find(&h->waitq, id) : NULL;
	if (w)
		w->park_id = 0;
	if (f->header.status == STATUS_OK) {
		POINT(GRANT_CAME);
		heap_insert_runs(h, grant->runs, grant->n_runs, &back);
	}
	/* also before a refusal is believed: what came to the process meanwhile may be enough */
	heap_serve(h, &wakes);
	if (f->header.status == STATUS_OK) {
		POINT(GRANT_SERVED);
		/* a recall may have been answered between the daemon's reply and here: nobody would ask again */
		if (heap_is_pressed(h) && bucket_free_hw(&h->bucket) > 0)
			heap_give_back(h);
	} else if (w && waitq_has(&h->waitq, w)) {
		waitq_finish(&h->waitq, w, refill_error(f->header.status), 0, &wakes);
		waitq_publish(&h->waitq, h->stats);
	}
	lock_give(&h->lock);
	wakes_flush(&wakes);
	if (FRAME_BODY(&back, struct wire_return)->n_runs)
		(void)session_post(s, &back);
}

void refill_cancel(struct session *s, uint32_t id)
{
	struct frame f;
	struct wire_cancel *body = frame_init(&f, OP_CANCEL, 0, 0, sizeof(*body));

	body->id = id;
	(void)session_call(s, &f);
}

/* It was not sent: when the session is back (heap_back), or has come back by now, it is asked anew. Its end finishes the waiter. */
static void refill_unsent(struct session *s, uint64_t heap, uint32_t id)
{
	struct heap *h = heap_find_locked(s, heap);
	struct waiter *w = h ? waitq_find(&h->waitq, id) : NULL;

	if (w)
		w->park_id = 0;
	if (h)
		lock_give(&h->lock);
}

int refill_send(struct session *s, struct frame *f, uint32_t link)
{
	uint64_t heap = FRAME_BODY(f, struct wire_refill)->heap;
	uint32_t id = f->header.id;

	if (session_call_over(s, f, id, link) != 0) {
		refill_unsent(s, heap, id);
		return -ECONNREFUSED;
	}
	if (f->header.status == STATUS_PARKED)
		return STATUS_PARKED;
	POINT(ALLOC_ANSWERED);
	heap_take_grant(s, f, heap, id, link);
	return 0;
}

/* Another thread's waiter may have ended, and cancelled in vain, before the request that we sent for it was there. */
static int refill_send_for_other(struct heap *h, struct session *s, struct frame *f, uint32_t link)
{
	uint32_t id = f->header.id;
	bool wanted;
	int r;

	POINT(OTHER_PARKS);
	r = refill_send(s, f, link);
	if (r == STATUS_PARKED) {
		lock_take(&h->lock);
		wanted = waitq_find(&h->waitq, id) != NULL;
		lock_give(&h->lock);
		if (!wanted)
			refill_cancel(s, id);
	}
	heap_unpin(h);
	return r;
}

void heap_park_waiters(struct session *s, uint64_t heap)
{
	struct waiter *w;
	struct heap *h;
	struct frame f;
	uint32_t link = 0;

	for (;;) { /* each round parks one of our waiting threads, or sees it served */
		h = heap_find_locked(s, heap);
		if (!h)
			return;
		w = h->named && heap_state(h) == 0 ? waitq_unparked(&h->waitq) : NULL;
		if (w) {
			link = refill_init(h, w, session_new_id(s), &f);
			heap_pin(h);
		}
		lock_give(&h->lock);
		if (!w)
			return;
		/* not sent: if the session is back, it was so behind our look; else the helper will come here */
		if (refill_send_for_other(h, s, &f, link) < 0 && !session_is_settled(s))
			return;
	}
}

static void on_grant(struct session *s, const struct frame *f)
{
	uint64_t heap = ((const struct wire_grant *)(const void *)f->body.bytes)->heap;

	heap_take_grant(s, f, heap, f->header.id, session_link(s));
	heap_park_waiters(s, heap); /* another of our threads may have been ahead of the one that asked */
}

/* ---- the end of a heap, and of all ---- */

void heap_finish_waiters(struct heap *h, const struct wire_control *control)
{
	struct wakes wakes = { .n = 0 };

	if (control)
		hand_control(&h->hand, control);
	waitq_finish_all(&h->waitq, -EIDRM, &wakes);
	waitq_publish(&h->waitq, h->stats);
	wakes_flush(&wakes);
}

static void on_deleted(struct session *s, uint64_t heap)
{
	struct heap *h = heap_find_locked(s, heap);

	if (!h)
		return;
	heap_finish_waiters(h, NULL); /* the control slot says so already */
	lock_give(&h->lock);
}

static void on_freed(struct session *s, const struct wire_free *body)
{
	struct heap *h = heap_find_locked(s, body->heap);

	if (!h)
		return;
	if (heap_is_segment(h) || !h->writable || heap_knows_free(h, body))
		lock_give(&h->lock);
	else
		(void)heap_free_own_unlock(h, body->offset, false);
}

static void on_event(struct session *s, struct frame *f)
{
	switch (f->header.op) {
	case EV_GRANT:
		on_grant(s, f);
		break;
	case EV_RECALL:
		answer_recall(s, FRAME_BODY(f, struct wire_recall));
		break;
	case EV_DELETED:
		on_deleted(s, FRAME_BODY(f, struct wire_deleted)->heap);
		break;
	case EV_FREE:
		on_freed(s, FRAME_BODY(f, struct wire_free));
		break;
	default:
		break; /* EV_BOUND is the session's */
	}
}

void heap_lose(struct heap *h)
{
	lock_take(&h->lock);
	if (h->named || heap_state(h) < 0) /* deleted: its event may have been lost with the session */
		heap_finish_waiters(h, &heap_control_gone);
	else
		hand_control(&h->hand, &heap_control_alone);
	lock_give(&h->lock);
}

static void lose_of(struct heap *h, void *ctx)
{
	if (h->session == ctx)
		heap_lose(h);
}

static void on_down(struct session *s)
{
	heap_table_lock();
	heap_for_each(lose_of, s);
	heap_table_unlock();
}

const struct session_handler heap_session_handler = {
	.event = on_event,
	.down = on_down,
	.tell = heap_tell,
	.back = heap_back,
	.tick = heap_tick,
};
