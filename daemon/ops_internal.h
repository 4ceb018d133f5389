/*
 * ops_internal.h: what the files of ops.h have among themselves
 */
#ifndef HEAPD_DAEMON_OPS_INTERNAL_H
#define HEAPD_DAEMON_OPS_INTERNAL_H

#include "daemon/ops.h"

struct request {
	struct world *world;
	struct session *session;
	const struct frame *in;
	struct reply *reply;     /* the header and the fixed part of the body are there, zeroed */
	struct binding *binding; /* if the row wants one: this session's, to heap */
	struct heap *heap;       /* what the request is about, if the row says how it is found */
};

typedef int op_fn(struct request *rq);

#define REQUEST_BODY(rq, type) FRAME_BODY((rq)->in, const type)
#define REPLY_BODY(rq, type) FRAME_BODY(&(rq)->reply->frame, type)

/* ops_create.c, ops_change.c, ops_regions.c */
op_fn op_create, op_delete, op_chmod, op_regions;
/* ops_bind.c */
op_fn op_bind, op_unbind;
/* ops_pages.c */
op_fn op_refill, op_free, op_cancel;
/* ops_resume.c */
op_fn op_resume;
/* inspect.c, inspect_heap.c, inspect_detail.c */
op_fn op_inquire, op_list, op_inspect, op_stat, op_bindings, op_waiters, op_map, op_detail;

/* What a CREATE comes to. */
struct plan {
	struct heap_facts facts;
	struct backing backing; /* its path is the configuration's */
};

/* 0, or why not: STATUS_*. */
int creation_plan(const struct world *w, const struct session *s, const struct wire_create *c,
		  struct plan *p);

/* Whether a session may have a region of the configuration. */
bool may_attach(const struct world *w, const struct session *s, const struct region *g);

/* A creation comes to nothing, and its creator is told so. */
void creation_fail(struct world *w, struct heap *h, uint32_t status);

/* Whether a session may know that a heap exists. */
bool may_see(const struct session *s, const struct heap *h);

/*
 * Binds and describes the binding in f: a frame with a zeroed struct wire_bound as its body. 0, and
 * f's status is STATUS_OK or STATUS_BOUND; another status, and f is as it was. *opened: see struct
 * reply.
 */
int bind_into(struct session *s, struct heap *h, uint32_t asked, struct frame *f, int *opened);

/* The description of a heap in an EV_BOUND or reply. */
void bound_describe(const struct heap *h, struct wire_bound *body);

/* EV_BOUND that ends a request without a binding. */
void emit_unbound(struct session *s, uint32_t id, uint32_t status);

#endif
