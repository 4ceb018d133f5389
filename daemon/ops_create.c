/*
 * ops_create.c: CREATE, from the plan (creation.c) to the binding
 *
 * CREATE takes the name and the charges, makes the file, and parks until the memory is committed.
 * If its creator dies or cancels before that, the heap was never created: it goes, the name is free
 * again, and binds wait on. (Nobody has seen it yet; a creator that starts again must not meet
 * EEXIST from a heap that nobody would delete.) Once it is live it stays until DELETE, whoever
 * exits.
 *
 * The bytes of a heap stay charged to the user who created it, also when CHMOD gives it to another.
 */
#include "daemon/ops_internal.h"

#include "daemon/log.h"
#include "daemon/point.h"

/* ---- the commit ---- */

void creation_drop(struct world *w, struct heap *h)
{
	struct parked *p = take(h->creation);

	namespace_take(&w->names, h);
	parked_free(p);
	heap_free(h);
}

void creation_fail(struct world *w, struct heap *h, uint32_t status)
{
	struct session *s = h->creation->session;
	uint32_t id = h->creation->id;

	creation_drop(w, h);
	emit_unbound(s, id, status);
}

static void emit_created(struct session *s, uint32_t id, struct heap *h)
{
	struct frame f;
	struct wire_bound *body = frame_init(&f, EV_BOUND, id, STATUS_OK, sizeof(*body));

	bound_describe(h, body);
	body->slot = UINT32_MAX;
	(void)session_emit(s, &f);
}

/*
 * The descriptor could not be sent: nobody has seen the heap. It goes as one that is deleted does,
 * with its last binding.
 */
static void creation_unsent(struct world *w, struct heap *h, const struct frame *f)
{
	struct session *s = h->creation->session;
	uint32_t id = h->creation->id;

	namespace_take(&w->names, h);
	parked_free(take(h->creation));
	h->state = STATE_DELETED;
	bound_unsent(s, f);
	emit_unbound(s, id, STATUS_NO_FILES);
}

/*
 * The creator is bound for writing, whatever the mode bits say of later binds. 0; a status: it is
 * not bound; -EMFILE: it could not be told, and the heap is gone.
 */
static int bind_creator(struct world *w, struct heap *h)
{
	struct session *s = h->creation->session;
	_cleanup_fd_ int opened = -1;
	struct frame f;
	int r;

	(void)frame_init(&f, EV_BOUND, h->creation->id, STATUS_OK, sizeof(struct wire_bound));
	r = bind_into(s, h, ACCESS_WRITE, &f, &opened);
	if (!r && session_emit(s, &f) < 0) {
		creation_unsent(w, h, &f);
		return -EMFILE;
	}
	return r;
}

/* Once for each region, until the configuration is read again. */
static void tell_fallback(struct world *w, const struct heap *h)
{
	struct region *g = config_region(&w->config, h->facts.name);

	if (g && !g->told)
		log_warning("region %s: no huge pages for %llu KiB: it is of ordinary ones", g->name,
			    (unsigned long long)(h->arena->job.size / 1024));
	if (g)
		g->told = true;
}

/* Its memory is there, and safe with systemd if there is one. */
static void on_kept(void *ctx, int result)
{
	struct heap *h = ctx;
	struct world *w = container_of(h->heaps, struct world, heaps);
	int r = 0;

	if (result < 0) {
		creation_fail(w, h, (uint32_t)arena_status(h->arena, result));
		return;
	}
	POINT(HEAP_SAFE);
	keep_session_is_safe(h->heaps->keep, h->creation->session); /* it was stored before */
	if (h->arena->fell_back)
		tell_fallback(w, h);
	h->state = STATE_LIVE;
	keep_heap_live(h->heaps->keep, h);
	if (h->creation->unbound)
		emit_created(h->creation->session, h->creation->id, h);
	else
		r = bind_creator(w, h);
	POINT(HEAP_TOLD);
	if (r < 0)
		return;
	if (r) {
		creation_fail(w, h, (uint32_t)r);
		return;
	}
	parked_free(take(h->creation));
	if (!h->name || TAILQ_EMPTY(&h->name->binds))
		return;
	namespace_set_due(&w->names, h->name);
	w->wake(w->ctx, 0);
}

static void on_ready(void *ctx, int result)
{
	struct heap *h = ctx;
	const struct parked *p = h->creation;

	if (!result)
		result = keep_heap_store(h->heaps->keep, h, p->session->id, p->id, on_kept, h);
	if (result != STATUS_PARKED)
		on_kept(h, result);
}

/* Pre: *arena is new. Everything it takes is given back on failure. */
static int start(struct request *rq, const struct heap_facts *facts, struct arena **arena)
{
	struct world *w = rq->world;
	struct parked *p;
	struct heap *h;
	bool unbound = REQUEST_BODY(rq, struct wire_create)->flags & WIRE_CREATE_UNBOUND;
	int r = unbound ? 0 : keep_session(w->heaps.keep, rq->session);

	if (!r)
		r = heap_new(&h, &w->heaps, facts, arena);
	if (r)
		return r;
	r = keep_heap_begin(w->heaps.keep, h);
	if (!r && !facts->session)
		r = namespace_give(&w->names, facts->name, h);
	if (!r)
		r = parked_new(&p, PARKED_CREATE, rq->session, rq->in->header.id, &w->accounts);
	if (r) {
		namespace_take(&w->names, h);
		heap_free(h);
		return r;
	}
	p->heap = h;
	p->unbound = unbound;
	h->creation = p;
	r = arena_commit(h->arena, on_ready, h);
	if (!r)
		return STATUS_PARKED;
	r = arena_status(h->arena, r);
	creation_drop(w, h);
	return r;
}

/* A daemon before has made it, and died before it could say so. */
static bool made_before(const struct request *rq)
{
	const struct wire_create *c = REQUEST_BODY(rq, struct wire_create);
	const struct heap *h = namespace_heap(&rq->world->names, c->name);

	return (c->flags & WIRE_CREATE_AGAIN) && h && h->state == STATE_LIVE &&
	       h->kept.creator == rq->session->id && h->kept.request == rq->in->header.id;
}

static int answer_again(struct request *rq)
{
	const struct wire_create *c = REQUEST_BODY(rq, struct wire_create);
	struct heap *h = namespace_heap(&rq->world->names, c->name);
	struct frame *f = &rq->reply->frame;
	struct wire_bound *body =
		frame_init(f, OP_CREATE | WIRE_REPLY, rq->in->header.id, STATUS_OK, sizeof(*body));
	int r;

	h->kept.creator = 0; /* once */
	if (!(c->flags & WIRE_CREATE_UNBOUND)) {
		h->kept.is_again = true;
		r = bind_into(rq->session, h, ACCESS_WRITE, f, &rq->reply->opened);
		h->kept.is_again = false;
		return r;
	}
	bound_describe(h, body);
	body->slot = UINT32_MAX;
	return 0;
}

int op_create(struct request *rq)
{
	struct world *w = rq->world;
	struct arena *arena;
	struct plan p;
	int r = creation_plan(w, rq->session, REQUEST_BODY(rq, struct wire_create), &p);
	const struct arena_wish wish = {
		.name = p.facts.name,
		.size = p.facts.size,
		.backing = &p.backing,
		.devices = &w->devices,
		.shared = !p.facts.session,
		.transparent = w->config.transparent_huge_pages,
		.lock = w->config.lock_arenas,
	};

	if (r == STATUS_EXISTS && made_before(rq))
		return answer_again(rq);
	if (r)
		return r;
	r = arena_new(&arena, w->committer, &w->accounts, p.facts.uid, &wish);
	if (r)
		return r;
	r = start(rq, &p.facts, &arena);
	arena_dispose(arena); /* NULL if the heap has it */
	return r;
}
