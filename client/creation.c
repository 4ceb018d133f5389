/*
 * creation.c: see creation.h
 */
#include "client/creation.h"

#include "client/point.h"

void creation_undo(struct session *s, uint64_t heap)
{
	struct frame f;
	struct wire_target *body = frame_init(&f, OP_DELETE, 0, 0, sizeof(*body));

	body->heap = heap;
	(void)session_call(s, &f);
}

void creation_unbind(struct session *s, uint64_t heap)
{
	struct frame f;
	struct wire_heap *body = frame_init(&f, OP_UNBIND, 0, 0, sizeof(*body));

	body->heap = heap;
	(void)session_call(s, &f);
}

int creation_ask(struct session *s, struct pending *p)
{
	uint64_t heap;
	int r;

	p->impatient = false;
	r = session_start(s, p);
	POINT(CREATE_SENT);
	if (r == STATUS_PARKED)
		r = session_await(s, p, FOREVER, false);
	if (r == -EMFILE) {
		heap = FRAME_BODY(&p->frame, struct wire_bound)->heap;
		creation_undo(s, heap);
		creation_unbind(s, heap);
		return r;
	}
	return r < 0 ? r : status_errno(p->frame.header.status);
}
