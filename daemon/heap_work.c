/*
 * heap_work.c: what is done later, in bounded pieces
 *
 * The pages of orphans come back ORPHAN_CHUNK extents at a time, orphans taking turns, so that the
 * end of a process that held a million fragments stalls nobody. Deadlines of refills that must not
 * wait end them, and let those that have not answered a recall by then be late: nobody waits for
 * them any more, so that one stopped process costs the others its bound once and not each time.
 */
#include "daemon/heap_internal.h"

#define ORPHAN_CHUNK 512
#define DEADLINE_CHUNK 64

/* ---- deadlines ---- */

/*
 * The bound is the same for all, so a new deadline is the last one; but for a reload that shortened
 * it.
 */
void deadline_add(struct heap *h, struct parked *p, uint64_t at_ns)
{
	struct heaps *hs = h->heaps;
	struct parked *before = TAILQ_LAST(&hs->deadlines, parked_list);
	struct binding *b;

	while (before && before->deadline_ns > at_ns)
		before = TAILQ_PREV(before, parked_list, by_deadline);
	if (before)
		TAILQ_INSERT_AFTER(&hs->deadlines, before, p, by_deadline);
	else
		TAILQ_INSERT_HEAD(&hs->deadlines, p, by_deadline);
	p->deadline_ns = at_ns;
	h->n_deadlines++;
	/*
	 * Pages may be on their way from those who are dry, and to those who ask (their threads
	 * know them only when they have read our message): an answer comes behind them and tells.
	 */
	TAILQ_FOREACH(b, &h->bindings, of_heap)
		b->must_ask = true;
	hs->wake(hs->ctx, hs->recall_ns);
}

void deadline_remove(struct heap *h, struct parked *p)
{
	TAILQ_REMOVE(&h->heaps->deadlines, p, by_deadline);
	h->n_deadlines--;
	p->deadline_ns = 0;
}

static void let_be_late(struct heap *h, uint64_t now)
{
	struct binding *b;

	TAILQ_FOREACH(b, &h->bindings, of_heap) {
		if (!b->recall_seq || b->recall_late || now - b->recalled_ns < h->heaps->recall_ns)
			continue;
		b->recall_late = true;
		h->n_recalls--;
	}
}

static void expire(struct heaps *hs, uint64_t now)
{
	struct parked *p;

	for (int i = 0; i < DEADLINE_CHUNK; i++) {
		struct heap *h;

		p = TAILQ_FIRST(&hs->deadlines);
		if (!p || p->deadline_ns > now)
			break;
		h = p->binding->heap;
		let_be_late(h, now);
		refill_end(p, STATUS_WOULD_BLOCK);
		heap_settle(h);
	}
}

/* ---- orphans ---- */

static void orphan_unlist(struct binding *b)
{
	struct heap *h = b->heap;

	TAILQ_REMOVE(&h->heaps->orphans, b, orphans);
	h->holder[b->held.owner] = NULL;
	h->n_orphans--;
}

void orphan_free(struct binding *b)
{
	orphan_unlist(b);
	keep_binding_end(b->heap->heaps->keep, b);
	free(b);
}

/* Some of its pages become free; with the last one it ends. */
static void reclaim(struct binding *b)
{
	struct heap *h = b->heap;

	for (int i = 0; i < ORPHAN_CHUNK && b->held.n_pages; i++) {
		uint32_t first = b->held.first;

		pages_take_back(h, b, first, h->holders.at[first].n);
	}
	if (!b->held.n_pages)
		orphan_free(b);
	heap_settle(h);
}

void orphan_add(struct binding *b)
{
	struct heaps *hs = b->heap->heaps;

	TAILQ_INSERT_TAIL(&hs->orphans, b, orphans);
	b->heap->n_orphans++;
	reclaim(b);
	if (!TAILQ_EMPTY(&hs->orphans))
		hs->wake(hs->ctx, 0);
}

uint64_t heaps_work(struct heaps *hs)
{
	uint64_t now = now_ns();
	struct binding *b = TAILQ_FIRST(&hs->orphans);
	struct parked *p;

	expire(hs, now);
	if (b) {
		TAILQ_REMOVE(&hs->orphans, b, orphans);
		TAILQ_INSERT_TAIL(&hs->orphans, b, orphans);
		reclaim(b);
	}
	if (!TAILQ_EMPTY(&hs->orphans))
		return 0;
	p = TAILQ_FIRST(&hs->deadlines);
	if (!p)
		return UINT64_MAX;
	return p->deadline_ns > now ? p->deadline_ns - now : 0;
}
