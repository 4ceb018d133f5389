/*
 * ops_pages.c: REFILL, FREE, CANCEL
 */
#include "daemon/ops_internal.h"

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

/*
 * The block is on a page that another process holds: that one checks it against its own metadata.
 * The answer is that it is on its way, so it is not kept here, where it would be lost with us: it is in
 * the holder's socket, or refused.
 */
int op_free(struct request *rq)
{
	const struct wire_free *body = REQUEST_BODY(rq, struct wire_free);
	struct binding *holder;
	struct frame f;
	struct wire_free *event;

	if (body->offset >= (uint64_t)rq->heap->n_pages * HW_PAGE_SIZE)
		return STATUS_INVALID;
	holder = heap_holder(rq->heap, (uint32_t)(body->offset / HW_PAGE_SIZE));
	if (!holder || holder == rq->binding)
		return STATUS_INVALID;
	event = frame_init(&f, EV_FREE, 0, 0, sizeof(*event));
	*event = *body;
	event->session = rq->session->id;
	event->id = rq->in->header.id;
	return session_deliver(holder->session, &f) < 0 ? STATUS_BUSY : 0;
}

int op_cancel(struct request *rq)
{
	struct parked *p = parked_find(rq->session, REQUEST_BODY(rq, struct wire_cancel)->id);

	if (!p)
		return STATUS_LATE;
	world_unpark(rq->world, p);
	return 0;
}
