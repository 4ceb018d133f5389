/*
 * ask.c: asking the daemon, as a command does
 */
#include "heapctl/ask.h"

#include <errno.h>

void ask_open(struct ask *a, const struct options *o)
{
	char problem[512];
	int r;

	*a = (struct ask){.link = LINK_NULL};
	r = o->socket ? link_open_at(&a->link, o->socket, problem, sizeof(problem))
		      : link_open(&a->link, problem, sizeof(problem));
	if (r < 0)
		fail("%s", problem);
}

void ask_close(struct ask *a)
{
	link_close(&a->link);
}

static _Noreturn void fail_link(int r)
{
	if (r == -EPIPE || r == -ECONNRESET)
		fail("heapd hung up");
	if (r == -EPROTO)
		fail("heapd answers nonsense");
	fail("cannot talk to heapd: %s", strerror(-r));
}

/* The event that ends the parked request; others are about heaps this command is not bound to. */
static void await_event(struct ask *a, struct frame *f, uint32_t id)
{
	do {
		int r = channel_recv(a->link.event_fd, f, 0);

		if (r == 0)
			r = codec_check_answer(f, CODEC_EVENT, NULL);
		if (r < 0)
			fail_link(r);
		frame_close_fds(f);
	} while (f->header.id != id);
}

uint32_t ask_call(struct ask *a, struct frame *f)
{
	uint32_t id = ++a->last_id;
	int r;

	f->header.id = id;
	r = link_call(a->link.call_fd, f);
	if (r < 0)
		fail_link(r);
	frame_close_fds(f);
	if (f->header.status == STATUS_PARKED)
		await_event(a, f, id);
	return f->header.status;
}

static bool parse_id(const char *what, uint64_t *id)
{
	char *end;

	if (*what < '0' || *what > '9')
		return false;
	errno = 0;
	*id = strtoull(what, &end, 10);
	return *end == '\0' && errno == 0 && *id != 0;
}

uint32_t ask_about(struct ask *a, struct frame *f, const char *what,
		   void (*fill)(struct frame *f, uint64_t heap, const char *name, const void *ctx),
		   const void *ctx)
{
	int bad = name_check(what);
	uint32_t status;
	uint64_t id;

	if (bad)
		return (uint32_t)bad;
	fill(f, 0, what, ctx);
	status = ask_call(a, f);
	if (status != STATUS_MISSING || !parse_id(what, &id))
		return status;
	fill(f, id, NULL, ctx);
	return ask_call(a, f);
}

void ask_fill_target(struct frame *f, uint64_t heap, const char *name, const void *op)
{
	struct wire_target *t = frame_init(f, *(const uint16_t *)op, 0, 0, sizeof(*t));

	t->heap = heap;
	if (name)
		name_copy(t->name, name);
}

void ask_entry(struct ask *a, const char *what, struct wire_entry *entry)
{
	static const uint16_t op = OP_INSPECT;
	struct frame f;
	uint32_t status = ask_about(a, &f, what, ask_fill_target, &op);

	if (status != STATUS_OK)
		fail("%s: %s", what, status_text(status));
	*entry = *FRAME_BODY(&f, const struct wire_entry);
}

void *ask_all(struct ask *a, uint16_t op, uint64_t heap, size_t size, size_t *n)
{
	uint64_t cursor = 0;
	char *all = NULL;

	*n = 0;
	do {
		struct frame f;
		struct wire_target *t = frame_init(&f, op, 0, 0, sizeof(*t));
		const struct wire_list *l = FRAME_BODY(&f, const struct wire_list);
		uint32_t status;

		t->heap = heap;
		t->cursor = cursor;
		status = ask_call(a, &f);
		if (status == STATUS_MISSING || status == STATUS_REMOVED)
			break;
		if (status != STATUS_OK)
			fail("%s", status_text(status));
		all = must_grow(all, *n + l->n, size);
		memcpy(all + *n * size, l + 1, l->n * size);
		*n += l->n;
		cursor = l->cursor;
	} while (cursor);
	return all;
}
