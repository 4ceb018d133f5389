/*
 * ops_resume.c: RESUME: a session of before tells what it holds
 *
 * The truth is what both say: the ledger, that the session was given it, and the session, that it
 * has it. Pages that were granted while the reply never arrived, or that were given back in a frame
 * that nobody read, the session does not tell: they become free. What it tells and never had is a
 * lie, and ends it, as with RETURN. Bindings that it does not tell end when it has told all.
 *
 * Bound: a frame's runs, and the extents of the heap that lie between them: once for each binding
 * and start of the daemon.
 */
#include "daemon/ops_internal.h"

#include "daemon/point.h"

/* What the binding holds in [from, to) becomes free. */
static void free_between(struct binding *b, uint32_t from, uint32_t to)
{
	struct heap *h = b->heap;

	while (from < to) {
		uint32_t first = holders_find(&h->holders, from), end;

		if (first == PAGE_NONE)
			first = holders_next(&h->holders, from);
		if (first == PAGE_NONE || first >= to)
			return;
		end = first + h->holders.at[first].n;
		if (h->holders.at[first].owner == b->held.owner) {
			uint32_t low = (uint32_t)max_u64(first, from);
			uint32_t high = (uint32_t)min_u64(end, to);

			heap_take_back(b, low, high - low);
			POINT(RESUME_FREED);
		}
		from = end;
	}
}

static int claim(struct binding *b, const struct wire_resume *body)
{
	struct heap *h = b->heap;

	for (uint32_t i = 0; i < body->n_runs; i++) {
		const struct wire_run *run = &body->runs[i];

		if (run->first < b->told || !holders_has(&h->holders, &b->held, run->first, run->n))
			return -EPROTO;
		free_between(b, b->told, run->first);
		b->told = run->first + run->n;
	}
	if (!(body->flags & WIRE_RESUME_MORE))
		free_between(b, b->told, h->n_pages);
	heap_changed(h);
	return 0;
}

static void end_untold(struct binding *b)
{
	heap_unbind(b);
	POINT(RESUME_UNBOUND);
}

/* That was all: what it has not told of ends. */
static int finish(struct request *rq)
{
	struct session *s = rq->session;
	struct binding *b = TAILQ_FIRST(&s->bound), *next;

	s->is_resuming = false;
	for (; b; b = next) {
		next = TAILQ_NEXT(b, of_session);
		if (b->is_resumed)
			heap_changed(b->heap); /* it can be asked for pages from now on */
		else
			end_untold(b);
	}
	POINT(RESUME_OVER);
	return 0;
}

int op_resume(struct request *rq)
{
	const struct wire_resume *body = REQUEST_BODY(rq, struct wire_resume);
	struct binding *b;

	if (!rq->session->is_resuming)
		return -EPROTO;
	if (body->flags & WIRE_RESUME_END)
		return finish(rq);
	b = session_binding(rq->session, body->heap);
	if (!b)
		return STATUS_MISSING;
	b->is_resumed = true;
	POINT(RESUME_TOLD);
	if (b->held.owner == UINT32_MAX || (body->flags & WIRE_RESUME_ALL))
		return body->n_runs ? -EPROTO : 0;
	return claim(b, body);
}
