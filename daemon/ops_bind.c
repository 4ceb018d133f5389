/*
 * ops_bind.c: sessions bind heaps and let them go
 *
 * Order between the sockets: a session that has unbound a heap may still have unread events about
 * it (grants, frees). Bound anew, it could take them for the new binding's. So if it may have
 * unread events then, the new binding is told to it by an event too, behind them.
 *
 * Order with the store: what a session is told it has, it has at the next daemon too. So its first
 * bind waits until systemd has its descriptors, as a CREATE waits for the arena's: one barrier, once. One
 * that must not wait does with less (keep_session_safe).
 */
#include "daemon/ops_internal.h"

/*
 * Binds that are served in one turn of the loop: each is a message with a descriptor, a few
 * microseconds.
 */
#define SERVE_CHUNK 32

void bound_describe(const struct heap *h, struct wire_bound *body)
{
	body->heap = h->facts.id;
	body->size = h->facts.size;
	body->usable = heap_usable(h);
	body->mode = h->facts.mode;
	body->kind = h->facts.kind;
	body->backing = h->arena->backing;
	memcpy(body->name, h->facts.name, sizeof(body->name));
}

void emit_unbound(struct session *s, uint32_t id, uint32_t status)
{
	struct frame f;

	(void)frame_init(&f, EV_BOUND, id, status, 0);
	(void)session_emit(s, &f);
}

/* What a bind gets. The creator's bind gets what it asks for. */
static uint32_t choose_access(const struct session *s, const struct heap *h, uint32_t asked)
{
	if ((h->creation && h->creation->session == s) || h->kept.is_again)
		return asked;
	if (heap_is_private(h))
		return 0;
	return access_chosen(access_granted(&s->who, h->facts.uid, h->facts.gid, h->facts.perm),
			     asked);
}

int bind_into(struct session *s, struct heap *h, uint32_t asked, struct frame *f, int *opened)
{
	struct wire_bound *body = FRAME_BODY(f, struct wire_bound);
	struct grant grant = {.runs = body->runs, .max = WIRE_BOUND_RUNS_MAX};
	uint32_t access = choose_access(s, h, asked);
	struct binding *b;
	int fd, r;

	if (session_binding(s, h->facts.id)) {
		f->header.status = STATUS_BOUND;
		body->heap = h->facts.id;
		return 0;
	}
	if (!access)
		return STATUS_DENIED;
	r = keep_session(h->heaps->keep, s);
	if (r)
		return status_of_shortage(r);
	r = arena_fd(h->arena, access == ACCESS_WRITE, &fd, opened);
	if (r == -EACCES)
		return STATUS_DENIED;
	if (r < 0)
		return status_of_shortage(r) > 0 ? status_of_shortage(r) : STATUS_NO_FILES;
	r = heap_bind(&b, h, s, access, &grant);
	if (r) {
		close_fd(opened);
		return status_of_shortage(r);
	}
	bound_describe(h, body);
	body->access = access;
	body->slot = b->slot;
	body->n_runs = grant.n;
	f->header.length += grant.n * (uint32_t)sizeof(struct wire_run);
	frame_add_fd(f, fd);
	return 0;
}

void bound_unsent(struct session *s, const struct frame *f)
{
	struct binding *b = session_binding(s, FRAME_BODY(f, const struct wire_bound)->heap);

	assert(b && f->header.status == STATUS_OK && "it was bound, and only its fd could not be sent");
	heap_unbind(b);
}

static int park(struct request *rq, const struct wire_bind *body, bool for_safety)
{
	struct world *w = rq->world;
	struct parked *p;
	int r = parked_new(&p, PARKED_BIND, rq->session, rq->in->header.id, &w->accounts);

	if (r)
		return r;
	p->access = body->access;
	p->priority = body->priority;
	p->nowait = body->flags & WIRE_BIND_NOWAIT;
	p->for_safety = for_safety;
	r = namespace_park(&w->names, body->name, p);
	if (r < 0)
		parked_free(p);
	return r < 0 ? r : STATUS_PARKED;
}

static void emit_bound(struct session *s, uint32_t id, struct heap *h, uint32_t asked)
{
	_cleanup_fd_ int opened = -1;
	struct frame f;
	int r;

	(void)frame_init(&f, EV_BOUND, id, STATUS_OK, sizeof(struct wire_bound));
	r = bind_into(s, h, asked, &f, &opened);
	if (!r && session_emit(s, &f) < 0) {
		bound_unsent(s, &f);
		r = STATUS_NO_FILES;
	}
	if (r)
		emit_unbound(s, id, (uint32_t)r);
}

/* ---- a session's first bind ---- */

/* What was parked is over; the id and whose it was are the caller's to know. */
static void unpark(struct world *w, struct parked *p)
{
	namespace_unpark(&w->names, p);
	parked_free(p);
}

/* Its session is safe now: it is served, or waits for the name like others, should the heap have gone. */
static void serve_safe(struct world *w, struct parked *p)
{
	struct session *s = p->session;
	struct heap *h = p->name->heap;
	uint32_t id = p->id, asked = p->access;

	p->for_safety = false;
	if (h && h->state == STATE_LIVE) {
		unpark(w, p);
		emit_bound(s, id, h, asked);
	} else if (p->nowait) {
		unpark(w, p);
		emit_unbound(s, id, STATUS_MISSING);
	}
}

/* SERVE_CHUNK of them, the others behind another barrier. Walks what the session has parked. */
static void on_safe(void *ctx)
{
	struct session *s = ctx;
	struct parked *p = TAILQ_FIRST(&s->parked), *next;
	int n = 0;

	for (; p && n < SERVE_CHUNK; p = next) {
		next = TAILQ_NEXT(p, of_session);
		if (p->kind != PARKED_BIND || !p->for_safety)
			continue;
		serve_safe(s->world, p);
		n++;
	}
	if (n == SERVE_CHUNK)
		(void)keep_session_safe(s->world->heaps.keep, s, false, on_safe, s);
	else
		keep_session_is_safe(s->world->heaps.keep, s);
}

/* The session can be told that it is bound. 0; STATUS_PARKED: on_safe follows; another status, -ENOMEM. */
static int secure(struct world *w, struct session *s, bool hurry)
{
	int r = keep_session(w->heaps.keep, s);

	return r ? r : keep_session_safe(w->heaps.keep, s, hurry, on_safe, s);
}

int op_bind(struct request *rq)
{
	const struct wire_bind *body = REQUEST_BODY(rq, struct wire_bind);
	struct heap *h = namespace_heap(&rq->world->names, body->name);
	int r = 0;

	if (!h || h->state != STATE_LIVE)
		return body->flags & WIRE_BIND_NOWAIT ? STATUS_MISSING : park(rq, body, false);
	if (choose_access(rq->session, h, body->access))
		r = secure(rq->world, rq->session, body->flags & WIRE_BIND_NOWAIT);
	if (r == STATUS_PARKED && body->flags & WIRE_BIND_NOWAIT)
		return STATUS_BUSY; /* not even what it needs could be sent to systemd yet */
	if (r)
		return r == STATUS_PARKED ? park(rq, body, true) : r;
	if (rq->session->has_unbound && session_unread(rq->session)) {
		emit_bound(rq->session, rq->in->header.id, h, body->access);
		return STATUS_PARKED;
	}
	return bind_into(rq->session, h, body->access, &rq->reply->frame, &rq->reply->opened);
}

int op_unbind(struct request *rq)
{
	heap_unbind(rq->binding);
	return 0;
}

/*
 * The one to serve now: the oldest, in an H_PRIO heap the oldest of the most urgent. Walks those
 * who wait for the name. NULL: none, but perhaps for those whose sessions are not safe yet.
 */
static struct parked *first_bind(const struct name *n)
{
	const bool by_priority = n->heap->facts.mode & WIRE_MODE_PRIO;
	struct parked *p, *best = NULL;

	TAILQ_FOREACH(p, &n->binds, queue) {
		if (p->for_safety || (best && p->priority <= best->priority))
			continue;
		best = p;
		if (!by_priority)
			break;
	}
	return best;
}

static void serve_first(struct world *w, struct heap *h, struct parked *p)
{
	struct session *s = p->session;
	uint32_t id = p->id, asked = p->access;
	int r = choose_access(s, h, asked) ? status_of_shortage(secure(w, s, false)) : 0;

	if (r == STATUS_PARKED) {
		p->for_safety = true;
		return;
	}
	unpark(w, p); /* the name stays: it has a heap */
	if (r)
		emit_unbound(s, id, r > 0 ? (uint32_t)r : STATUS_NO_MEMORY);
	else
		emit_bound(s, id, h, asked);
}

void binds_serve(struct world *w)
{
	struct name *n = TAILQ_FIRST(&w->names.due);
	struct parked *p;

	if (!n)
		return;
	for (int i = 0; i < SERVE_CHUNK && n->heap && n->heap->state == STATE_LIVE; i++) {
		p = first_bind(n);
		if (!p)
			break;
		serve_first(w, n->heap, p);
	}
	if (!n->heap || n->heap->state != STATE_LIVE || !first_bind(n))
		namespace_served(&w->names, n);
}
