/*
 * heap_pages.c: pages change hands
 *
 * A page goes from free (common/pages) to held (holders) and back, nothing in between: what is
 * granted is absent from the view of common/pages, so the two never disagree about a page.
 */
#include "daemon/heap_internal.h"

static void hand_out(struct heap *h, struct binding *b, uint32_t first, uint32_t n,
		     struct grant *grant)
{
	pages_remove(&h->pages, first);
	holders_give(&h->holders, &b->held, first, n);
	keep_grant(h->heaps->keep, b, first, n);
	h->high_pages = max_u64(h->high_pages, h->holders.n_held);
	h->is_stale = true;
	/* its waiter may have given up meanwhile: then they lie idle there */
	b->dry = b->recall_steady = false;
	grant->runs[grant->n++] = (struct wire_run){.first = first, .n = n};
}

bool pages_grant_run(struct heap *h, struct binding *b, uint32_t n, struct grant *grant)
{
	uint32_t first = grant->n < grant->max ? pages_alloc(&h->pages, n) : PAGE_NONE;

	if (first == PAGE_NONE)
		return false;
	hand_out(h, b, first, n, grant);
	return true;
}

uint32_t pages_grant_any(struct heap *h, struct binding *b, uint32_t max, struct grant *grant)
{
	uint32_t granted = 0;

	while (granted < max && grant->n < grant->max) {
		uint32_t n, first = pages_alloc_longest(&h->pages, max - granted, &n);

		if (first == PAGE_NONE)
			break;
		hand_out(h, b, first, n, grant);
		granted += n;
	}
	return granted;
}

void pages_take_back(struct heap *h, struct binding *b, uint32_t first, uint32_t n)
{
	if (b->held.n_pages == h->n_pages)
		h->is_stale = true; /* who holds all is not pressed by its own requests */
	holders_take(&h->holders, &b->held, first, n);
	pages_insert(&h->pages, first, n);
	keep_return(h->heaps->keep, b, first, n);
}

void heap_take_back(struct binding *b, uint32_t first, uint32_t n)
{
	pages_take_back(b->heap, b, first, n);
	b->heap->is_stale = true;
}

void heap_changed(struct heap *h)
{
	h->is_stale = true;
	heap_settle(h);
}

void heap_forget_asked(struct binding *b)
{
	recall_forget(b);
	ahead_forget(b);
	b->dry = b->must_ask = b->recall_steady = false;
}

/*
 * Beyond what was asked for, when nobody waits: everything to a process alone, a fair share
 * otherwise.
 */
static void grant_extra(struct heap *h, struct binding *b, uint32_t ahead, struct grant *grant)
{
	if (h->n_parked)
		return;
	if (h->n_writers > 1)
		ahead = (uint32_t)min_u64(ahead, h->pages.n_free / h->n_writers);
	else
		ahead = h->n_pages;
	(void)pages_grant_any(h, b, ahead, grant);
}

/* In the queue, the others pressed and asked: in that order, so that no page slips between. */
static int park(struct binding *b, const struct refill *request, struct accounts *as)
{
	struct heap *h = b->heap;
	struct parked *p;
	int r = parked_new(&p, PARKED_REFILL, b->session, request->id, as);

	if (r)
		return r;
	p->binding = b;
	p->pages = request->pages;
	p->size = request->size;
	p->tid = request->tid;
	p->priority = request->priority;
	p->since_ns = min_u64(request->since_ns, now_ns());
	queue_insert(h, p);
	if (request->nonblock)
		deadline_add(h, p, now_ns() + h->heaps->recall_ns);
	heap_refresh(h);
	if (!request->nonblock || h->n_recalls || h->n_orphans)
		return STATUS_PARKED;
	/*
	 * Nobody to ask, or they are late. The asker may be: the event comes behind what is on its
	 * way to it.
	 */
	refill_end(p, STATUS_WOULD_BLOCK);
	heap_settle(h);
	return STATUS_PARKED;
}

int heap_refill(struct binding *b, const struct refill *request, struct accounts *as,
		struct grant *grant)
{
	struct heap *h = b->heap;

	if (request->pages > h->n_pages)
		return STATUS_NO_MEMORY;
	if (!pages_grant_run(h, b, request->pages, grant))
		return park(b, request, as);
	grant_extra(h, b, request->ahead, grant);
	heap_settle(h);
	return 0;
}

void heap_refill_ahead(struct binding *b, uint32_t pages, struct grant *grant)
{
	struct heap *h = b->heap;
	uint32_t granted;

	if (h->n_parked)
		return;
	pages = (uint32_t)min_u64(pages, h->n_pages - b->held.n_pages);
	granted = pages_grant_any(h, b, pages, grant);
	if (granted < pages)
		ahead_wish(b, pages - granted);
}

/*
 * Whether a frame belongs to a recall of an earlier binding of the same session to the same heap.
 */
static bool is_stale(const struct binding *b, uint32_t seq)
{
	return seq && seq != b->recall_seq;
}

static bool never_sent(const struct session *s, uint32_t seq)
{
	return (int32_t)(seq - s->last_recall) > 0; /* numbers go round */
}

/*
 * An urgent recall is answered with one run of what is wanted, or with all that is free. Only after
 * the first there may be more where it came from; or if something has happened since
 * (recall_steady).
 */
static void answered(struct binding *b)
{
	b->dry = b->recall_urgent && b->recall_steady && !b->recall_brought;
	recall_forget(b);
}

static int take_runs(struct binding *b, const struct wire_return *body)
{
	struct heap *h = b->heap;

	for (uint32_t i = 0; i < body->n_runs; i++) {
		const struct wire_run *run = &body->runs[i];

		if (!holders_has(&h->holders, &b->held, run->first, run->n))
			return -EPROTO;
		pages_take_back(h, b, run->first, run->n);
		if (body->seq && run->n >= b->recall_want)
			b->recall_brought = true;
	}
	return 0;
}

int heap_return(struct binding *b, const struct wire_return *body)
{
	struct heap *h = b->heap;
	int r;

	if (is_stale(b, body->seq))
		return never_sent(b->session, body->seq) ? -EPROTO : 0;
	if (!heap_has_pages(h))
		return body->n_runs ? -EPROTO : 0;
	r = take_runs(b, body);
	if (!r && body->seq && !body->more)
		answered(b);
	heap_settle(h); /* also on failure, for what came before */
	return r;
}

struct binding *heap_holder(const struct heap *h, uint32_t page)
{
	uint32_t first = heap_has_pages(h) ? holders_find(&h->holders, page) : PAGE_NONE;
	struct binding *b = first == PAGE_NONE ? NULL : h->holder[h->holders.at[first].owner];

	return b && b->session ? b : NULL;
}
