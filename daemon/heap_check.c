/*
 * heap_check.c: the auditor of heap.h
 *
 * Proves the invariants from the outside in: every page free or in one hand, every hand's counts,
 * the queue, what the control slots say, and that nothing which could be granted waits. Walks
 * everything.
 */
#include "daemon/heap_internal.h"

static int wrong(const char **why, const char *text)
{
	if (why)
		*why = text;
	return -EUCLEAN;
}

/* Free runs and extents, side by side, cover the heap. */
static int check_pages(const struct heap *h, const char **why)
{
	uint32_t page = 0;

	if (pages_check(&h->pages) < 0 || h->pages.n_used)
		return wrong(why, "the free runs are broken");
	if (holders_check(&h->holders) < 0)
		return wrong(why, "the extents are broken");
	while (page < h->n_pages) {
		if (holders_find(&h->holders, page) == page) {
			const struct extent *e = &h->holders.at[page];

			if (e->owner >= h->n_holder_space || !h->holder[e->owner])
				return wrong(why, "pages of nobody");
			page += e->n;
		} else if (page_kind(&h->pages.page[page]) == PAGE_FREE) {
			page += h->pages.page[page].n;
		} else {
			return wrong(why, "a page that is neither free nor held");
		}
	}
	if (page != h->n_pages || h->pages.n_free + h->holders.n_held != h->n_pages)
		return wrong(why, "pages are miscounted");
	return 0;
}

static int check_holders(const struct heap *h, const char **why)
{
	uint32_t n_orphans = 0;

	for (uint32_t i = 0; i < h->n_holder_space; i++) {
		const struct binding *b = h->holder[i];

		if (!b)
			continue;
		if (b->held.owner != i || b->heap != h || holding_check(&h->holders, &b->held) < 0)
			return wrong(why, "a holder does not hold what it says");
		if (!b->session && !b->held.n_pages)
			return wrong(why, "an orphan without pages");
		n_orphans += !b->session;
	}
	return n_orphans == h->n_orphans ? 0 : wrong(why, "orphans are miscounted");
}

static bool in_order(const struct heap *h, const struct parked *a, const struct parked *b)
{
	if ((h->facts.mode & WIRE_MODE_PRIO) && a->priority != b->priority)
		return a->priority > b->priority;
	return a->since_ns <= b->since_ns;
}

/* A session that has not told yet what it holds is asked, or found to have nothing, when it has. */
static bool is_expected(const struct heap *h)
{
	const struct binding *b;

	TAILQ_FOREACH(b, &h->bindings, of_heap) {
		if (b->session->is_resuming)
			return true;
	}
	return false;
}

static int check_queue(const struct heap *h, const char **why)
{
	uint32_t n = 0, n_runs = 0, n_deadlines = 0,
		 longest = h->metadata ? pages_longest(&h->pages) : 0;
	const struct parked *p, *last = NULL;

	TAILQ_FOREACH(p, &h->queue, queue) {
		if (p->kind != PARKED_REFILL || p->binding->heap != h)
			return wrong(why, "something else in the queue");
		if (last && !in_order(h, last, p))
			return wrong(why, "the queue is not sorted");
		if (p->pages <= longest)
			return wrong(why, "what fits waits");
		if (p->pages < h->least || p->pages > h->n_pages)
			return wrong(why, "a request out of bounds waits");
		n++;
		n_runs += p->pages > 1;
		n_deadlines += p->deadline_ns != 0;
		last = p;
	}
	if (n != h->n_parked || n_runs != h->n_parked_runs || n_deadlines != h->n_deadlines)
		return wrong(why, "the queue is miscounted");
	if (n && h->state != STATE_LIVE)
		return wrong(why, "refills wait for a heap that is not");
	if (n_deadlines && !h->n_recalls && !h->n_orphans && !is_expected(h))
		return wrong(why, "a refill waits in vain");
	return 0;
}

static uint32_t pressed_by_counting(const struct heap *h, const struct binding *b)
{
	const struct parked *p;
	uint32_t n = 0;

	if (b->access != ACCESS_WRITE || !heap_has_pages(h))
		return 0;
	TAILQ_FOREACH(p, &h->queue, queue)
		n += p->binding != b || (p->pages > 1 && b->held.n_pages < h->n_pages);
	return n;
}

static int check_control(const struct heap *h, const struct binding *b, const char **why)
{
	const struct wire_control *c = binding_control(b);

	if (atomic_load(&c->state) != h->state)
		return wrong(why, "a control slot has another state");
	if (atomic_load(&c->n_bound) != h->n_writers)
		return wrong(why, "n_bound is not exact");
	if (atomic_load(&c->pressed) != pressed_by_counting(h, b))
		return wrong(why, "pressed is not exact");
	return 0;
}

/* Whoever could help has been asked, or has nothing left to be asked for. */
static int check_asked(const struct binding *b, const char **why)
{
	const struct heap *h = b->heap;

	if (h->n_parked && b->held.n_pages && !b->recall_seq && !b->dry && !b->session->is_resuming &&
	    pressed_by_counting(h, b))
		return wrong(why, "somebody was not asked");
	return 0;
}

static int check_bindings(const struct heap *h, const char **why)
{
	uint32_t n = 0, n_writers = 0, n_recalls = 0, n_ahead = 0, n_parked = 0;
	const struct binding *b;
	int r = 0;

	TAILQ_FOREACH(b, &h->bindings, of_heap) {
		if (b->heap != h || b->heap_id != h->facts.id || !b->session)
			return wrong(why, "a binding of another heap");
		if (b->held.owner != UINT32_MAX && h->holder[b->held.owner] != b)
			return wrong(why, "a binding under another's number");
		n++;
		n_writers += b->access == ACCESS_WRITE;
		n_recalls += b->recall_seq && !b->recall_late;
		n_ahead += b->ahead > 0;
		n_parked += b->n_parked;
		r = check_control(h, b, why);
		if (!r && h->state == STATE_LIVE)
			r = check_asked(b, why);
		if (r)
			return r;
	}
	if (n != h->n_bound || n_writers != h->n_writers || n_ahead != h->n_ahead ||
	    n_parked != h->n_parked)
		return wrong(why, "bindings are miscounted");
	return n_recalls == h->n_recalls ? 0 : wrong(why, "recalls are miscounted");
}

int heap_check(const struct heap *h, const char **why)
{
	int r = heap_has_pages(h) ? check_pages(h, why) : 0;

	if (!r && heap_has_pages(h))
		r = check_holders(h, why);
	if (!r)
		r = check_queue(h, why);
	if (!r && keep_check(h->heaps->keep, h) < 0)
		r = wrong(why, "the ledger says something else");
	return r ? r : check_bindings(h, why);
}

int heaps_check(const struct heaps *hs, const char **why)
{
	uint64_t n = 0, n_parked = 0, n_deadlines = 0, last = 0, bytes = 0;
	const struct parked *p;
	const struct heap *h;

	TAILQ_FOREACH(h, &hs->all, link) {
		int r = heap_check(h, why);

		if (r < 0)
			return r;
		if (heaps_find(hs, h->facts.id) != h || h->facts.id <= last)
			return wrong(why, "a heap is not found, or out of order");
		last = h->facts.id;
		n++;
		n_parked += h->n_parked;
		n_deadlines += h->n_deadlines;
		bytes += h->arena->job.size;
	}
	if (n != hs->n || n_parked != hs->n_parked || bytes != hs->bytes)
		return wrong(why, "heaps are miscounted");
	last = 0;
	TAILQ_FOREACH(p, &hs->deadlines, by_deadline) {
		if (!p->deadline_ns || p->deadline_ns < last)
			return wrong(why, "deadlines are not sorted");
		last = p->deadline_ns;
		n_deadlines--;
	}
	return n_deadlines ? wrong(why, "deadlines are miscounted") : 0;
}
