/*
 * ops_resume.c: RESUME: a session of before tells what it holds
 *
 * The truth is what both say: the ledger, that the session was given it, and the session, that it
 * has it. Pages that were granted while the reply never arrived, or that were given back in a frame
 * that nobody read, the session does not tell: they become free. What it tells and never had is a
 * lie, and ends it, as with RETURN. Bindings that it does not tell end when it has told all.
 *
 * Bound: EXTENTS_CHUNK extents of the heap in a turn of the loop, or SETTLE_CHUNK bindings when all is told;
 * what takes longer goes on in the next (OPS_MORE), so that a heap in a million pieces delays nobody.
 */
#include "daemon/ops_internal.h"

#include "daemon/point.h"

#define EXTENTS_CHUNK 512u
#define SETTLE_CHUNK 8

/*
 * What the binding holds from where it has told on, up to that page, becomes free. False: *left extents
 * have been looked at, and it is not done.
 */
static bool free_up_to(struct binding *b, uint32_t to, uint32_t *left)
{
	struct heap *h = b->heap;

	while (b->told < to) {
		uint32_t first = holders_find(&h->holders, b->told), end;

		if (first == PAGE_NONE)
			first = holders_next(&h->holders, b->told);
		if (first == PAGE_NONE || first >= to)
			break;
		if (!*left)
			return false;
		--*left;
		end = (uint32_t)min_u64(first + h->holders.at[first].n, to);
		if (h->holders.at[first].owner == b->held.owner) {
			uint32_t low = (uint32_t)max_u64(first, b->told);

			heap_take_back(b, low, end - low);
			POINT(RESUME_FREED);
		}
		b->told = end;
	}
	b->told = (uint32_t)max_u64(b->told, to);
	return true;
}

static int claim_runs(struct binding *b, const struct wire_resume *body)
{
	struct heap *h = b->heap;
	uint32_t left = EXTENTS_CHUNK;

	for (; b->n_told < body->n_runs; b->n_told++) {
		const struct wire_run *run = &body->runs[b->n_told];

		if (run->first < b->told || !holders_has(&h->holders, &b->held, run->first, run->n))
			return -EPROTO;
		if (!free_up_to(b, run->first, &left))
			return OPS_MORE;
		b->told = run->first + run->n;
	}
	if (!(body->flags & WIRE_RESUME_MORE) && !free_up_to(b, h->n_pages, &left))
		return OPS_MORE;
	b->n_told = 0;
	return 0;
}

static int claim(struct binding *b, const struct wire_resume *body)
{
	int r = claim_runs(b, body);

	heap_changed(b->heap); /* what is free can be had, if not all of it is yet */
	return r;
}

/* Can be asked for pages from now on; or ends, since nothing was told of it. */
static void settle(struct binding *b)
{
	if (b->is_resumed) {
		heap_changed(b->heap);
		return;
	}
	heap_unbind(b);
	POINT(RESUME_UNBOUND);
}

/* That was all: what it has not told of ends, one in a turn. Nobody else unbinds anything of it meanwhile. */
static int finish(struct request *rq)
{
	struct session *s = rq->session;
	struct binding *b = s->settled ? s->settled : TAILQ_FIRST(&s->bound);

	for (int n = 0; b && n < SETTLE_CHUNK; n++) {
		struct binding *next = TAILQ_NEXT(b, of_session);

		if (!b->is_resumed)
			n = SETTLE_CHUNK;
		settle(b);
		b = next;
	}
	s->settled = b;
	if (b)
		return OPS_MORE;
	s->is_resuming = false;
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
