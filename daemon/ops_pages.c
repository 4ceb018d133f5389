/*
 * ops_pages.c: REFILL, FREE, CANCEL
 */
#include "daemon/ops_internal.h"

#include "daemon/point.h"

static void refill_ahead(struct request *rq, const struct wire_refill *body, struct grant *grant)
{
	uint64_t pages = min_u64((uint64_t)body->pages + body->ahead, rq->heap->n_pages);

	heap_refill_ahead(rq->binding, (uint32_t)pages, grant);
}

static int refill(struct request *rq, const struct wire_refill *body, struct grant *grant)
{
	const struct refill wanted = {
		.id = rq->in->header.id,
		.pages = body->pages,
		.ahead = body->ahead,
		.since_ns = body->since_ns,
		.size = body->size,
		.tid = body->tid,
		.priority = body->priority,
		.nonblock = body->flags & WIRE_REFILL_NONBLOCK,
	};

	return heap_refill(rq->binding, &wanted, &rq->world->accounts, grant);
}

int op_refill(struct request *rq)
{
	const struct wire_refill *body = REQUEST_BODY(rq, struct wire_refill);
	struct wire_grant *reply = REPLY_BODY(rq, struct wire_grant);
	struct grant grant = {.runs = reply->runs, .max = WIRE_GRANT_RUNS_MAX};
	int r = 0;

	if (body->flags & WIRE_REFILL_AHEAD)
		refill_ahead(rq, body, &grant);
	else
		r = refill(rq, body, &grant);
	if (r)
		return r;
	reply->heap = body->heap;
	reply->n_runs = grant.n;
	rq->reply->frame.header.length += grant.n * (uint32_t)sizeof(struct wire_run);
	return 0;
}

/* Who is bound to the heap by that session; NULL. Walks those who are. */
static struct binding *bound_by(const struct heap *h, uint64_t session)
{
	struct binding *b;

	TAILQ_FOREACH(b, &h->bindings, of_heap) {
		if (b->session->id == session)
			break;
	}
	return b;
}

/*
 * It is in the holder's socket, and so reaches it whatever becomes of us, or is refused; it never waits
 * here. That it goes there is written down before, and after that it has gone.
 */
static int pass_on(struct request *rq, struct binding *holder)
{
	struct keep *k = rq->world->heaps.keep;
	uint64_t to = holder->session->id;
	uint32_t id = rq->in->header.id;
	struct frame f;
	struct wire_free *event = frame_init(&f, EV_FREE, 0, 0, sizeof(*event));

	*event = *REQUEST_BODY(rq, struct wire_free);
	event->session = rq->session->id;
	event->id = id;
	keep_passed(k, rq->session, id, to, false);
	POINT(FREE_WRITTEN);
	if (session_deliver(holder->session, &f) < 0)
		return STATUS_BUSY;
	POINT(FREE_DELIVERED);
	keep_passed(k, rq->session, id, to, true);
	POINT(FREE_TOLD);
	return 0;
}

/*
 * It was passed on by a daemon before, or was about to be. Whoever has the page now, it is not theirs to
 * free: the block was of who held it then, who knows the last FREE of each session, or has gone
 * with the block.
 */
static int pass_on_again(struct request *rq, uint64_t to)
{
	struct binding *holder = to & LEDGER_DELIVERED ? NULL : bound_by(rq->heap, to);

	return holder ? pass_on(rq, holder) : 0;
}

/*
 * The block is on a page that another process holds: that one checks it against its own metadata.
 */
int op_free(struct request *rq)
{
	const struct wire_free *body = REQUEST_BODY(rq, struct wire_free);
	uint64_t to = keep_passed_to(rq->world->heaps.keep, rq->session, rq->in->header.id);
	struct binding *holder;

	if (body->offset >= (uint64_t)rq->heap->n_pages * HW_PAGE_SIZE)
		return STATUS_INVALID;
	if (to)
		return pass_on_again(rq, to);
	holder = heap_holder(rq->heap, (uint32_t)(body->offset / HW_PAGE_SIZE));
	if (!holder || holder == rq->binding)
		return STATUS_INVALID;
	return pass_on(rq, holder);
}

int op_cancel(struct request *rq)
{
	struct parked *p = parked_find(rq->session, REQUEST_BODY(rq, struct wire_cancel)->id);

	if (!p)
		return STATUS_LATE;
	world_unpark(rq->world, p);
	return 0;
}
