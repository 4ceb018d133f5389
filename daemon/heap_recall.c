/*
 * heap_recall.c: free pages are asked back
 *
 * Urgently, while refills are parked: everyone whose free pages could help is asked once. Who has
 * given all it had (dry) need not be asked again while it is pressed, since it gives at once
 * whatever becomes free. Who gave one run of what was wanted may have more, and is asked again.
 * Softly, for a process that runs low: the one that holds most is asked for what it lacks, at most
 * half of what it has free, at most once in AHEAD_PAUSE_NS for each heap.
 */
#include "daemon/heap_internal.h"

#define AHEAD_PAUSE_NS (5 * NSEC_PER_MSEC)

static uint32_t next_seq(struct session *s)
{
	if (++s->last_recall == 0)
		s->last_recall = 1;
	return s->last_recall;
}

void recall_send(struct binding *b, uint32_t want, bool urgent)
{
	struct frame f;
	struct wire_recall *body = frame_init(&f, EV_RECALL, 0, 0, sizeof(*body));

	assert(!b->recall_seq && "one recall at a time");
	b->recall_seq = next_seq(b->session);
	b->recall_want = want;
	b->recall_urgent = urgent;
	b->recall_late = b->recall_brought = b->must_ask = false;
	b->recall_steady = urgent && heap_pressed(b->heap, b) > 0;
	b->recalled_ns = now_ns();
	b->heap->n_recalls++;
	b->heap->heaps->n_recalls++;
	body->heap = b->heap_id;
	body->seq = b->recall_seq;
	body->want = want;
	body->urgent = urgent;
	(void)session_emit(b->session, &f);
}

void recall_forget(struct binding *b)
{
	b->heap->is_stale = true;
	if (b->recall_seq && !b->recall_late)
		b->heap->n_recalls--;
	b->recall_seq = 0;
	b->recall_late = false;
}

static bool is_to_be_asked(const struct heap *h, const struct binding *b)
{
	if (!b->held.n_pages || b->recall_seq)
		return false;
	return b->must_ask || (!b->dry && heap_pressed(h, b));
}

void recall_urgently(struct heap *h)
{
	uint32_t want = TAILQ_FIRST(&h->queue)->pages;
	struct binding *b;

	TAILQ_FOREACH(b, &h->bindings, of_heap) {
		if (is_to_be_asked(h, b))
			recall_send(b, want, true);
	}
}

/* ---- ahead of need ---- */

/* Whoever holds most, and more than the asker. */
static struct binding *richest(const struct heap *h, const struct binding *asker)
{
	const struct binding *best = asker;
	struct binding *b, *found = NULL;

	TAILQ_FOREACH(b, &h->bindings, of_heap) {
		if (b->held.n_pages > best->held.n_pages && !b->recall_seq)
			best = found = b;
	}
	return found;
}

void ahead_wish(struct binding *b, uint32_t pages)
{
	struct heap *h = b->heap;
	uint64_t now = now_ns();
	struct binding *from;

	if (now - h->ahead_ns < AHEAD_PAUSE_NS)
		return;
	from = richest(h, b);
	if (!from)
		return;
	h->ahead_ns = now;
	if (!b->ahead)
		h->n_ahead++;
	b->ahead = pages;
	recall_send(from, pages, false);
}

void ahead_forget(struct binding *b)
{
	if (b->ahead)
		b->heap->n_ahead--;
	b->ahead = 0;
}

static void grant_ahead(struct heap *h, struct binding *b)
{
	struct frame f;
	struct wire_grant *body = frame_init(&f, EV_GRANT, 0, STATUS_OK, sizeof(*body));
	struct grant grant = {.runs = body->runs, .max = WIRE_GRANT_RUNS_MAX};

	body->heap = h->facts.id;
	(void)pages_grant_any(h, b, b->ahead, &grant);
	if (!grant.n)
		return;
	ahead_forget(b);
	body->n_runs = grant.n;
	f.header.length += grant.n * (uint32_t)sizeof(struct wire_run);
	(void)session_emit(b->session, &f);
}

/* Wishes end when they are fulfilled, if only in part, and when nobody is left who could. */
void ahead_serve(struct heap *h)
{
	struct binding *b;

	TAILQ_FOREACH(b, &h->bindings, of_heap) {
		if (b->ahead)
			grant_ahead(h, b);
		if (!h->n_recalls)
			ahead_forget(b);
	}
}
