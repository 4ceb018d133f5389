/*
 * ops_change.c: DELETE and CHMOD: heaps go, and change hands
 *
 * Partitions, regions and pools belong to an allocator inside a process, which would go on handing
 * out what nobody shows any more: none but their own session ends them.
 */
#include "daemon/ops_internal.h"

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

	if (heap_is_part(h) && h->facts.session != rq->session->id)
		return STATUS_INVALID;
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
