/*
 * ops.c: the table and the gate; see ops.h
 */
#include "daemon/ops_internal.h"

enum about {
	ABOUT_NOTHING, /* or what the handler finds out itself */
	ABOUT_BOUND,   /* the body begins with the id of a heap that this session is bound to */
	ABOUT_TARGET,  /* a struct wire_target: a heap that this session may see */
};

struct op {
	op_fn *run;
	uint16_t body;   /* bytes of the fixed part of the reply */
	enum about about;
	bool writes;     /* bound for writing */
	bool live;       /* not deleted */
	bool has_pages;  /* not a segment */
};

static int op_ping(struct request *rq)
{
	*REPLY_BODY(rq, struct wire_ping) = *REQUEST_BODY(rq, struct wire_ping);
	return 0;
}

static const struct op ops[OP_CALL_COUNT] = {
	/* OP_HELLO is the peer's (peer.c): here it is a second one */
	[OP_PING] = {.run = op_ping, .body = sizeof(struct wire_ping)},
	[OP_CREATE] = {.run = op_create},
	[OP_BIND] = {.run = op_bind, .body = sizeof(struct wire_bound)},
	[OP_UNBIND] = {.run = op_unbind, .about = ABOUT_BOUND},
	[OP_DELETE] = {.run = op_delete, .about = ABOUT_TARGET, .live = true},
	[OP_REFILL] = {
		.run = op_refill,
		.body = sizeof(struct wire_grant),
		.about = ABOUT_BOUND,
		.writes = true,
		.live = true,
		.has_pages = true,
	},
	[OP_FREE] = {
		.run = op_free,
		.about = ABOUT_BOUND,
		.writes = true,
		.live = true,
		.has_pages = true,
	},
	[OP_CANCEL] = {.run = op_cancel},
	[OP_INQUIRE] = {
		.run = op_inquire,
		.body = sizeof(struct wire_info),
		.about = ABOUT_BOUND,
		.live = true,
	},
	[OP_CHMOD] = {.run = op_chmod},
	[OP_LIST] = {.run = op_list, .body = sizeof(struct wire_list)},
	[OP_INSPECT] = {.run = op_inspect,
			.body = sizeof(struct wire_entry),
			.about = ABOUT_TARGET},
	[OP_BINDINGS] = {.run = op_bindings,
			 .body = sizeof(struct wire_bindings),
			 .about = ABOUT_TARGET},
	[OP_WAITERS] = {.run = op_waiters,
			.body = sizeof(struct wire_waiters),
			.about = ABOUT_TARGET},
	[OP_MAP] = {.run = op_map, .body = sizeof(struct wire_map), .about = ABOUT_TARGET},
	[OP_RESUME] = {.run = op_resume},
	[OP_STAT] = {.run = op_stat, .body = sizeof(struct wire_stat)},
	[OP_REGIONS] = {.run = op_regions, .body = sizeof(struct wire_regions)},
	[OP_DETAIL] = {.run = op_detail,
		       .body = sizeof(struct wire_detail),
		       .about = ABOUT_TARGET},
};

/* A private heap is seen by its owner's other programs too: so that they can list it. */
bool may_see(const struct session *s, const struct heap *h)
{
	if (s->who.uid == 0 || s->who.uid == h->facts.uid)
		return true;
	return !heap_is_private(h) &&
	       access_granted(&s->who, h->facts.uid, h->facts.gid, h->facts.perm);
}

static int find_bound(struct request *rq)
{
	uint64_t id = FRAME_BODY(rq->in, const struct wire_heap)->heap;

	rq->binding = session_binding(rq->session, id);
	if (!rq->binding)
		return STATUS_MISSING;
	rq->heap = rq->binding->heap;
	return 0;
}

static int find_target(struct request *rq)
{
	const struct wire_target *t = REQUEST_BODY(rq, struct wire_target);
	struct heap *h = t->heap ? heaps_find(&rq->world->heaps, t->heap)
				 : namespace_heap(&rq->world->names, t->name);

	if (!h || !may_see(rq->session, h))
		return STATUS_MISSING;
	rq->heap = h;
	return 0;
}

/* The one gate: what passes meets every precondition of the handler. */
static int admit(const struct op *op, struct request *rq)
{
	int r = 0;

	if (op->about == ABOUT_BOUND)
		r = find_bound(rq);
	else if (op->about == ABOUT_TARGET)
		r = find_target(rq);
	if (r)
		return r;
	if (op->live && rq->heap->state == STATE_DELETED)
		return STATUS_REMOVED;
	if (op->writes && rq->binding->access != ACCESS_WRITE)
		return STATUS_DENIED;
	return op->has_pages && !heap_has_pages(rq->heap) ? STATUS_INVALID : 0;
}

int status_of_shortage(int r)
{
	switch (r) {
	case -ENOMEM:
	case -ENOSPC:
		return STATUS_NO_MEMORY;
	case -EMFILE:
	case -ENFILE:
	case -ETOOMANYREFS:
		return STATUS_NO_FILES;
	default:
		return r;
	}
}

int ops_call(struct world *w, struct session *s, const struct frame *in, struct reply *reply)
{
	const struct op *op = in->header.op < ARRAY_SIZE(ops) ? &ops[in->header.op] : NULL;
	struct request rq = {.world = w, .session = s, .in = in, .reply = reply};
	uint16_t answer = in->header.op | WIRE_REPLY;
	int r;

	reply->opened = -1;
	if (!op || !op->run)
		return -EPROTO;
	w->n_requests++;
	(void)frame_init(&reply->frame, answer, in->header.id, STATUS_OK, op->body);
	r = admit(op, &rq);
	if (!r)
		r = op->run(&rq);
	if (r == OPS_MORE)
		return r;
	r = status_of_shortage(r);
	if (r > 0)
		(void)frame_init(&reply->frame, answer, in->header.id, (uint32_t)r, 0);
	return r < 0 ? r : 0;
}

/* The two sockets are not ordered: it may be about a heap that is not bound any more. */
int ops_event(struct world *w, struct session *s, const struct frame *in)
{
	const struct wire_return *body = FRAME_BODY(in, const struct wire_return);
	struct binding *b = session_binding(s, body->heap);

	w->n_requests++;
	return b ? heap_return(b, body) : 0;
}
