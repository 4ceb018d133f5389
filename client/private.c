/*
 * private.c: see private.h
 */
#include "client/private.h"

#include "client/creation.h"
#include "client/mapping.h"

static int map(struct private_arena *a, const struct frame *f)
{
	const struct wire_bound *b = (const struct wire_bound *)(const void *)f->body.bytes;
	const struct wire_control *control;
	int r;

	a->id = b->heap;
	a->size = b->size;
	a->usable = b->usable;
	a->backing = b->backing;
	a->slot = b->slot;
	r = session_slot(a->session, b->slot, &control, &a->stats);
	if (r < 0 || b->backing == BACKING_OWN)
		return r;
	if (b->backing == BACKING_DEVICE)
		return mapping_device((void **)&a->base, f->fds[0], a->usable, true);
	return mapping_arena((void **)&a->base, f->fds[0], a->usable, true);
}

int private_create(struct private_arena *a, const struct wire_create *what)
{
	_cleanup_(session_unrefp) struct session *s = NULL;
	struct pending p;
	struct wire_create *body = frame_init(&p.frame, OP_CREATE, 0, 0, sizeof(*body));
	int r;

	*a = (struct private_arena){.id = 0};
	*body = *what;
	body->perm = WIRE_PERM_DEFAULT;
	body->gid = WIRE_GID_DEFAULT;
	r = session_get(&s);
	if (r < 0)
		return r;
	r = creation_ask(s, &p);
	if (r < 0)
		return r;
	a->session = s;
	r = map(a, &p.frame);
	frame_close_fds(&p.frame);
	if (r < 0) {
		creation_unbind(s, a->id);
		*a = (struct private_arena){.id = 0};
		return r;
	}
	(void)take(s); /* for ever */
	return 0;
}

void private_destroy(struct private_arena *a)
{
	if (!a->session)
		return;
	mapping_free(a->base, a->usable);
	creation_unbind(a->session, a->id);
	*a = (struct private_arena){.id = 0};
}

void private_forget(struct private_arena *a)
{
	*a = (struct private_arena){.id = 0};
}
