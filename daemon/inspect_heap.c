/*
 * inspect_heap.c: BINDINGS, WAITERS, MAP: a heap from inside
 *
 * Each is a walk in several frames. Between two frames things change: a walk shows each thing that
 * was there all the time once, in order; of what came or went meanwhile it shows some.
 */
#include "daemon/inspect.h"

#include "daemon/ops_internal.h"

/* ---- BINDINGS: in order of binding; the cursor is the serial of the last one shown ---- */

static void describe_binding(const struct binding *b, struct wire_binding *out)
{
	struct wire_stats stats;

	stats_read(b, &stats);
	*out = (struct wire_binding){
		.session = b->session->id,
		.granted = (uint64_t)b->held.n_pages * HW_PAGE_SIZE,
		.used = stats.used,
		.large = stats.large,
		.pid = b->session->who.pid,
		.uid = b->session->who.uid,
		.access = b->access,
		.n_waiters = stats.n_waiters,
		.n_parked = b->n_parked,
		.bad_frees = stats.bad_frees,
	};
	memcpy(out->label, b->session->label, sizeof(out->label));
	memcpy(out->bucket, stats.bucket, sizeof(out->bucket));
}

int op_bindings(struct request *rq)
{
	uint64_t cursor = REQUEST_BODY(rq, struct wire_target)->cursor;
	struct wire_bindings *out = REPLY_BODY(rq, struct wire_bindings);
	const struct binding *b = TAILQ_FIRST(&rq->heap->bindings);

	while (b && b->serial <= cursor)
		b = TAILQ_NEXT(b, of_heap);
	for (; b && out->n < WIRE_BINDINGS_MAX; b = TAILQ_NEXT(b, of_heap)) {
		out->cursor = b->serial;
		describe_binding(b, &out->binding[out->n++]);
	}
	if (!b)
		out->cursor = 0;
	rq->reply->frame.header.length += out->n * (uint32_t)sizeof(struct wire_binding);
	return 0;
}

/* ---- WAITERS: parked refills and published waiters, merged; the cursor counts those shown ---- */

struct crowd {
	struct wire_waiting *at;
	size_t n, space;
	bool prio;
};

static void crowd_add(struct crowd *c, const struct wire_waiter *w, int32_t pid, uint32_t parked)
{
	if (c->n < c->space)
		c->at[c->n++] = (struct wire_waiting){.waiter = *w, .pid = pid, .parked = parked};
}

static void add_parked(struct crowd *c, const struct heap *h)
{
	const struct parked *p;

	TAILQ_FOREACH(p, &h->queue, queue) {
		const struct wire_waiter w = {
			.size = p->size,
			.since_ns = p->since_ns,
			.tid = p->tid,
			.priority = p->priority,
		};

		crowd_add(c, &w, p->session->who.pid, 1);
	}
}

static bool is_parked(const struct heap *h, const struct binding *b, uint32_t tid)
{
	const struct parked *p;

	if (!b->n_parked)
		return false;
	TAILQ_FOREACH(p, &h->queue, queue) {
		if (p->binding == b && p->tid == tid)
			return true;
	}
	return false;
}

/* Those that only their process knows; at most WIRE_STATS_WAITERS of each. */
static void add_published(struct crowd *c, const struct heap *h, const struct binding *b)
{
	struct wire_stats stats;
	uint64_t now = now_ns();

	stats_read(b, &stats);
	for (uint32_t i = 0; i < stats.n_waiters && i < WIRE_STATS_WAITERS; i++) {
		struct wire_waiter *w = &stats.waiter[i];

		if (!w->since_ns || is_parked(h, b, w->tid))
			continue;
		w->since_ns = min_u64(w->since_ns, now);
		crowd_add(c, w, b->session->who.pid, 0);
	}
}

static int by_order(const void *a, const void *b, void *ctx)
{
	const struct wire_waiter *x = &((const struct wire_waiting *)a)->waiter;
	const struct wire_waiter *y = &((const struct wire_waiting *)b)->waiter;
	const struct crowd *c = ctx;

	if (c->prio && x->priority != y->priority)
		return x->priority > y->priority ? -1 : 1;
	return x->since_ns < y->since_ns ? -1 : x->since_ns > y->since_ns;
}

int op_waiters(struct request *rq)
{
	uint64_t cursor = REQUEST_BODY(rq, struct wire_target)->cursor;
	struct wire_waiters *out = REPLY_BODY(rq, struct wire_waiters);
	const struct heap *h = rq->heap;
	struct crowd c = {.prio = h->facts.mode & WIRE_MODE_PRIO};
	_cleanup_free_ struct wire_waiting *at = NULL;
	const struct binding *b;

	c.space = h->n_parked + (size_t)h->n_bound * WIRE_STATS_WAITERS;
	if (!c.space)
		return 0;
	c.at = at = calloc(c.space, sizeof(*at));
	if (!at)
		return -ENOMEM;
	add_parked(&c, h);
	TAILQ_FOREACH(b, &h->bindings, of_heap)
		add_published(&c, h, b);
	qsort_r(at, c.n, sizeof(*at), by_order, &c);
	for (; cursor < c.n && out->n < WIRE_WAITERS_MAX; cursor++)
		out->waiting[out->n++] = at[cursor];
	out->cursor = cursor < c.n ? cursor : 0;
	rq->reply->frame.header.length += out->n * (uint32_t)sizeof(struct wire_waiting);
	return 0;
}

/* ---- MAP: extents in the order of pages; the cursor is the first page not shown yet ---- */

/* The stretch of pages in one hand that begins at page. */
static struct wire_extent extent_at(const struct heap *h, uint32_t page)
{
	uint32_t first = holders_find(&h->holders, page), next;
	const struct binding *b;

	if (first == PAGE_NONE) {
		next = holders_next(&h->holders, page);
		return (struct wire_extent){.first = page,
					    .n = (next == PAGE_NONE ? h->n_pages : next) - page};
	}
	b = h->holder[h->holders.at[first].owner];
	return (struct wire_extent){
		.first = page,
		.n = first + h->holders.at[first].n - page,
		.session = b->session ? b->session->id : 0, /* an orphan's are as good as free */
	};
}

int op_map(struct request *rq)
{
	const struct heap *h = rq->heap;
	uint64_t page = REQUEST_BODY(rq, struct wire_target)->cursor;
	struct wire_map *out = REPLY_BODY(rq, struct wire_map);

	if (!heap_has_pages(h))
		return 0;
	while (page < h->n_pages && out->n < WIRE_MAP_MAX) {
		struct wire_extent e = extent_at(h, (uint32_t)page);

		page += e.n;
		out->extent[out->n++] = e;
	}
	out->cursor = page < h->n_pages ? page : 0;
	rq->reply->frame.header.length += out->n * (uint32_t)sizeof(struct wire_extent);
	return 0;
}
