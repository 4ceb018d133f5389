/*
 * ops_create.c: heaps are created, deleted, and change hands
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

#include <fnmatch.h>
#include "daemon/log.h"

/* ---- what is asked for ---- */

static bool may_create(const struct world *w, const struct session *s)
{
	const struct config *c = &w->config;

	return c->create_all || s->who.uid == 0 || credentials_in_group(&s->who, c->create_group);
}

static const struct heap_rule *rule_for(const struct config *c, const char *name)
{
	const struct heap_rule *rule;

	STAILQ_FOREACH(rule, &c->rules, link) {
		if (fnmatch(rule->glob, name, 0) == 0)
			break;
	}
	return rule;
}

static int check_mode(const struct wire_create *c)
{
	if (c->mode & (WIRE_MODE_DMA | WIRE_MODE_NONCACHED))
		return STATUS_UNSUPPORTED; /* no device is configured to back them */
	if ((c->mode & WIRE_MODE_MAPPABLE) && !(c->mode & WIRE_MODE_SINGLE))
		return STATUS_INVALID;
	if ((c->mode & WIRE_MODE_SINGLE) && c->kind != KIND_SEGMENT)
		return STATUS_INVALID;
	return 0;
}

/*
 * What has no name is its creator's: it cannot be shared, nor made for nobody. What has one is a
 * heap or a segment.
 */
static int check_name(const struct wire_create *c)
{
	if (c->name[0])
		return c->kind == KIND_HEAP || c->kind == KIND_SEGMENT ? 0 : STATUS_INVALID;
	return (c->mode & WIRE_MODE_MAPPABLE) || (c->flags & WIRE_CREATE_UNBOUND) ? STATUS_INVALID
										  : 0;
}

/* Rights and group: as asked, else as a rule of the configuration says, else the defaults. */
static int fill_rights(const struct world *w, const struct session *s, const struct wire_create *c,
		       struct heap_facts *facts)
{
	const struct heap_rule *rule = c->name[0] ? rule_for(&w->config, c->name) : NULL;

	facts->uid = s->who.uid;
	facts->perm = c->perm;
	if (c->perm == WIRE_PERM_DEFAULT)
		facts->perm = rule && rule->has_mode ? rule->mode : w->config.default_mode;
	facts->gid = c->gid;
	if (c->gid == WIRE_GID_DEFAULT)
		facts->gid = rule && rule->has_group ? rule->group : s->who.gid;
	else if (s->who.uid != 0 && !credentials_in_group(&s->who, c->gid))
		return STATUS_DENIED;
	return 0;
}

static uint64_t realtime_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static int check_create(const struct world *w, const struct session *s, const struct wire_create *c,
			struct heap_facts *facts)
{
	int r = may_create(w, s) ? check_mode(c) : STATUS_DENIED;

	if (!r)
		r = check_name(c);
	if (!r && c->size > w->config.max_size)
		r = STATUS_INVALID;
	if (!r && c->name[0] && namespace_heap(&w->names, c->name))
		r = STATUS_EXISTS;
	if (!r)
		r = fill_rights(w, s, c, facts);
	if (r)
		return r;
	facts->size = c->size;
	facts->mode = c->mode;
	facts->kind = c->kind;
	facts->created_ns = realtime_ns();
	facts->session = c->name[0] ? 0 : s->id;
	memcpy(facts->name, c->name, sizeof(facts->name));
	return 0;
}

/* ---- the commit ---- */

void creation_drop(struct world *w, struct heap *h)
{
	struct parked *p = take(h->creation);

	namespace_take(&w->names, h);
	parked_free(p);
	heap_free(h);
}

/* It comes to nothing, and its creator is told so. */
static void creation_fail(struct world *w, struct heap *h, uint32_t status)
{
	struct session *s = h->creation->session;
	uint32_t id = h->creation->id;

	creation_drop(w, h);
	emit_unbound(s, id, status);
}

/* What a commit that failed means to the creator. */
static uint32_t status_of_commit(int r)
{
	int status = status_of_shortage(r);

	if (status > 0)
		return (uint32_t)status;
	if (r == -ECANCELED)
		return STATUS_CANCELLED; /* the daemon ends */
	log_limited(LOG_WARNING, "memory could not be committed: %s", strerror(-r));
	return STATUS_NO_MEMORY;
}

static void emit_created(struct session *s, uint32_t id, struct heap *h)
{
	struct frame f;
	struct wire_bound *body = frame_init(&f, EV_BOUND, id, STATUS_OK, sizeof(*body));

	bound_describe(h, body);
	body->slot = UINT32_MAX;
	session_emit(s, &f);
}

/* The creator is bound for writing, whatever the mode bits say of later binds. */
static int bind_creator(struct session *s, uint32_t id, struct heap *h)
{
	_cleanup_fd_ int opened = -1;
	struct frame f;
	int r;

	(void)frame_init(&f, EV_BOUND, id, STATUS_OK, sizeof(struct wire_bound));
	r = bind_into(s, h, ACCESS_WRITE, &f, &opened);
	if (!r)
		session_emit(s, &f);
	return r;
}

/* Its memory is there, and safe with systemd if there is one. */
static void on_kept(void *ctx, int result)
{
	struct heap *h = ctx;
	struct world *w = container_of(h->heaps, struct world, heaps);
	struct session *s = h->creation->session;
	uint32_t id = h->creation->id;
	int r = 0;

	if (result < 0) {
		creation_fail(w, h, status_of_commit(result));
		return;
	}
	h->state = STATE_LIVE;
	keep_heap_live(h->heaps->keep, h);
	if (h->creation->unbound)
		emit_created(s, id, h);
	else
		r = bind_creator(s, id, h);
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
	int r = keep_session(w->heaps.keep, rq->session);

	if (!r)
		r = heap_new(&h, &w->heaps, facts, arena);
	if (r)
		return r;
	r = keep_heap_begin(w->heaps.keep, h);
	if (!r && facts->name[0])
		r = namespace_give(&w->names, facts->name, h);
	if (!r)
		r = parked_new(&p, PARKED_CREATE, rq->session, rq->in->header.id, &w->accounts);
	if (r) {
		namespace_take(&w->names, h);
		heap_free(h);
		return r;
	}
	p->heap = h;
	p->unbound = REQUEST_BODY(rq, struct wire_create)->flags & WIRE_CREATE_UNBOUND;
	h->creation = p;
	r = arena_commit(h->arena, w->config.lock_arenas, on_ready, h);
	if (r < 0)
		creation_drop(w, h);
	return r < 0 ? (int)status_of_commit(r) : STATUS_PARKED;
}

int op_create(struct request *rq)
{
	struct world *w = rq->world;
	struct heap_facts facts = {.id = 0};
	struct arena *arena;
	int r = check_create(w, rq->session, REQUEST_BODY(rq, struct wire_create), &facts);

	if (r)
		return r;
	r = arena_new(&arena, w->committer, &w->accounts, facts.uid, facts.name,
		      align_up(facts.size, HW_PAGE_SIZE));
	if (r)
		return r;
	r = start(rq, &facts, &arena);
	arena_dispose(arena); /* NULL if the heap has it */
	return r;
}

/* ---- deletion, owner, mode ---- */

/* The owner if they may write to it (a creator may, through its binding), and root. */
static bool may_delete(const struct session *s, const struct heap *h)
{
	const struct binding *b = session_binding(s, h->facts.id);

	if (s->who.uid == 0)
		return true;
	if (s->who.uid != h->facts.uid)
		return false;
	return (b && b->access == ACCESS_WRITE) ||
	       (access_granted(&s->who, h->facts.uid, h->facts.gid, h->facts.perm) & ACCESS_WRITE);
}

int op_delete(struct request *rq)
{
	struct heap *h = rq->heap;

	if (!may_delete(rq->session, h))
		return STATUS_NOT_OWNER;
	if (h->creation) {
		creation_fail(rq->world, h, STATUS_REMOVED);
		return 0;
	}
	namespace_take(&rq->world->names, h);
	heap_delete(h);
	return 0;
}

static int check_chown(const struct session *s, const struct wire_chmod *c)
{
	if (s->who.uid == 0)
		return 0;
	if (c->uid != UINT32_MAX)
		return STATUS_NOT_OWNER;
	return c->gid != UINT32_MAX && !credentials_in_group(&s->who, c->gid) ? STATUS_NOT_OWNER
									      : 0;
}

int op_chmod(struct request *rq)
{
	const struct wire_chmod *c = REQUEST_BODY(rq, struct wire_chmod);
	struct session *s = rq->session;
	struct heap *h = c->heap ? heaps_find(&rq->world->heaps, c->heap) :
				   namespace_heap(&rq->world->names, c->name);
	int r;

	if (!h || !may_see(s, h))
		return STATUS_MISSING;
	if (h->state == STATE_DELETED)
		return STATUS_REMOVED;
	if (s->who.uid != 0 && s->who.uid != h->facts.uid)
		return STATUS_NOT_OWNER;
	r = check_chown(s, c);
	if (r)
		return r;
	if (c->perm != WIRE_PERM_DEFAULT)
		h->facts.perm = c->perm;
	if (c->uid != UINT32_MAX)
		h->facts.uid = c->uid;
	if (c->gid != UINT32_MAX)
		h->facts.gid = c->gid;
	keep_heap_rights(h->heaps->keep, h);
	return 0;
}
