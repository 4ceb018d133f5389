/*
 * heap_queue.c: the queue of parked refills, and what follows when something changes
 *
 * Sorted by (priority if H_PRIO, since_ns, arrival): the order of the queues inside the processes.
 * A new request is mostly the youngest of its priority, so its place is sought from the end.
 * `least` saves the walk when nothing that is free is long enough for anybody.
 */
#include "daemon/heap_internal.h"

/* Does a go before b? Equals stay in the order of their arrival. */
static bool goes_before(const struct heap *h, const struct parked *a, const struct parked *b)
{
	if ((h->facts.mode & WIRE_MODE_PRIO) && a->priority != b->priority)
		return a->priority > b->priority;
	return a->since_ns < b->since_ns;
}

void queue_insert(struct heap *h, struct parked *p)
{
	struct parked *before = TAILQ_LAST(&h->queue, parked_list);

	while (before && goes_before(h, p, before))
		before = TAILQ_PREV(before, parked_list, queue);
	if (before)
		TAILQ_INSERT_AFTER(&h->queue, before, p, queue);
	else
		TAILQ_INSERT_HEAD(&h->queue, p, queue);
	h->n_parked++;
	h->heaps->n_parked++;
	p->binding->n_parked++;
	if (p->pages > 1) {
		h->n_parked_runs++;
		p->binding->n_parked_runs++;
	}
	h->least = (uint32_t)min_u64(h->least, p->pages);
	h->is_stale = true;
}

void queue_remove(struct heap *h, struct parked *p)
{
	TAILQ_REMOVE(&h->queue, p, queue);
	h->is_stale = true;
	h->n_parked--;
	h->heaps->n_parked--;
	p->binding->n_parked--;
	if (p->pages > 1) {
		h->n_parked_runs--;
		p->binding->n_parked_runs--;
	}
	if (!h->n_parked)
		h->least = UINT32_MAX;
	if (p->deadline_ns)
		deadline_remove(h, p);
}

void heap_unpark(struct parked *p)
{
	struct heap *h = p->binding->heap;

	queue_remove(h, p);
	parked_free(p);
	heap_settle(h);
}

/* ---- grants ---- */

static void emit_grant(struct session *s, struct frame *f, uint32_t n_runs)
{
	FRAME_BODY(f, struct wire_grant)->n_runs = n_runs;
	f->header.length += n_runs * (uint32_t)sizeof(struct wire_run);
	(void)session_emit(s, f);
}

/* Pre: a free run of p->pages exists. */
static void grant_parked(struct heap *h, struct parked *p)
{
	struct session *s = p->session;
	struct frame f;
	struct wire_grant *body = frame_init(&f, EV_GRANT, p->id, STATUS_OK, sizeof(*body));
	struct grant grant = {.runs = body->runs, .max = 1};

	body->heap = h->facts.id;
	(void)pages_grant_run(h, p->binding, p->pages, &grant);
	queue_remove(h, p);
	parked_free(p);
	emit_grant(s, &f, grant.n);
}

/* Grants to each, in order, whose run is there. */
static void serve(struct heap *h)
{
	uint32_t longest = pages_longest(&h->pages), least = UINT32_MAX;
	struct parked *p = TAILQ_FIRST(&h->queue), *next;

	if (longest < h->least)
		return;
	for (; p && longest; p = next) {
		next = TAILQ_NEXT(p, queue);
		if (p->pages > longest) {
			least = (uint32_t)min_u64(least, p->pages);
			continue;
		}
		grant_parked(h, p);
		longest = pages_longest(&h->pages);
	}
	if (!p) /* seen all */
		h->least = least;
}

/* All have answered, or had their time, and nothing fits. */
static void give_up(struct heap *h)
{
	struct parked *p = TAILQ_FIRST(&h->queue), *next;

	for (; p && h->n_deadlines; p = next) {
		next = TAILQ_NEXT(p, queue);
		if (!p->deadline_ns)
			continue;
		refill_end(p, STATUS_WOULD_BLOCK);
	}
}

void refill_end(struct parked *p, uint32_t status)
{
	struct session *s = p->session;
	struct frame f;
	struct wire_grant *body = frame_init(&f, EV_GRANT, p->id, status, sizeof(*body));

	body->heap = p->binding->heap_id;
	queue_remove(p->binding->heap, p);
	parked_free(p);
	(void)session_emit(s, &f);
}

/* ---- what the control slots say ---- */

uint32_t heap_pressed(const struct heap *h, const struct binding *b)
{
	uint32_t others = h->n_parked - b->n_parked;

	if (b->access != ACCESS_WRITE || !heap_has_pages(h))
		return 0;
	return b->held.n_pages < h->n_pages ? others + b->n_parked_runs : others;
}

static void publish(struct heap *h)
{
	struct binding *b;

	if (!h->n_parked && !h->is_pressed)
		return;
	h->is_pressed = h->n_parked > 0;
	TAILQ_FOREACH(b, &h->bindings, of_heap) {
		struct wire_control *c = binding_control(b);
		uint32_t pressed = heap_pressed(h, b);

		if (!pressed) /* what it frees now it keeps */
			b->dry = b->recall_steady = false;
		if (!h->n_deadlines)
			b->must_ask = false;
		if (atomic_load_explicit(&c->pressed, memory_order_relaxed) != pressed)
			atomic_store_explicit(&c->pressed, pressed, memory_order_release);
	}
}

/* Pressed first: whoever is asked must find it set when it frees something behind its answer. */
void heap_refresh(struct heap *h)
{
	h->is_stale = false;
	publish(h);
	if (h->n_parked)
		recall_urgently(h);
}

void heap_settle(struct heap *h)
{
	if (h->state != STATE_LIVE || !heap_has_pages(h))
		return;
	serve(h);
	if (!h->n_parked && h->n_ahead)
		ahead_serve(h);
	if (h->is_stale)
		heap_refresh(h);
	if (h->n_deadlines && !h->n_recalls && !h->n_orphans) {
		give_up(h);
		heap_refresh(h);
	}
}
