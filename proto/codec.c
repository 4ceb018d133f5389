/*
 * codec.c: all validation of what travels
 *
 * A row for each opcode and direction says what a frame of it must look like: the fixed part of its
 * body, the elements that may follow, the fds that come with it, which answers it may give, and
 * which function of fields.c checks its fields. The functions after the rows apply them; nothing
 * else looks at a frame before they have passed it.
 *
 * Invariant: a check function runs only once the fixed part is known to be there, an element's
 * check only once the whole element is. A check returns NULL, or what is wrong as a static text.
 * Cost: a bounded walk of one frame (at most 4 KiB), no allocation, no system call. Not here:
 * whether the peer may do it, whether the heap exists, who holds the pages (the daemon).
 */
#include "proto/codec.h"

#include "proto/fields.h"

struct shape {
	check_fn *check;      /* of the fixed part; NULL: any bytes are fine */
	check_fn *check_item; /* of each element that follows */
	uint16_t body;        /* bytes of the fixed part */
	uint16_t item;        /* bytes of an element; 0: nothing follows */
	uint16_t count_at;    /* where the fixed part says how many (uint32_t) */
};

struct message {
	const char *text;
	struct shape request;
	struct shape answer; /* the reply; for events: the event */
	bool parks;          /* a reply may be STATUS_PARKED */
	bool about_nothing;  /* an event that answers no request: id 0, status 0 */
	bool is_bound;       /* the answer is a struct wire_bound, which may bring the arena */
	uint16_t answer_fds; /* with STATUS_OK */
};

/* ---- the rows ---- */

#define BODY(type, fn) {.body = sizeof(struct type), .check = (fn)}
#define ARRAY(type, counter, elements, fn, item_fn) \
	{ \
		.body = sizeof(struct type), .check = (fn), .count_at = offsetof(struct type, counter), \
		.item = sizeof(((struct type *)0)->elements[0]), .check_item = (item_fn) \
	}

static const struct message calls[OP_CALL_COUNT] = {
	[OP_HELLO] = {
		.text = "HELLO",
		.request = BODY(wire_hello, check_hello),
		.answer = BODY(wire_welcome, check_welcome),
		.answer_fds = 3,
	},
	[OP_PING] = {
		.text = "PING",
		.request = BODY(wire_ping, NULL),
		.answer = BODY(wire_ping, NULL),
	},
	[OP_CREATE] = {
		.text = "CREATE",
		.request = BODY(wire_create, check_create),
		.answer = ARRAY(wire_bound, n_runs, runs, check_bound, check_run),
		.is_bound = true,
		.parks = true,
	},
	[OP_BIND] = {
		.text = "BIND",
		.request = BODY(wire_bind, check_bind),
		.answer = ARRAY(wire_bound, n_runs, runs, check_bound, check_run),
		.is_bound = true,
		.parks = true,
	},
	[OP_UNBIND] = {.text = "UNBIND", .request = BODY(wire_heap, check_heap)},
	[OP_DELETE] = {.text = "DELETE", .request = BODY(wire_target, check_target)},
	[OP_REFILL] = {
		.text = "REFILL",
		.request = BODY(wire_refill, check_refill),
		.answer = ARRAY(wire_grant, n_runs, runs, check_grant, check_run),
		.parks = true,
	},
	[OP_FREE] = {.text = "FREE", .request = BODY(wire_free, check_free)},
	[OP_CANCEL] = {.text = "CANCEL", .request = BODY(wire_cancel, check_cancel)},
	[OP_INQUIRE] = {
		.text = "INQUIRE",
		.request = BODY(wire_heap, check_heap),
		.answer = BODY(wire_info, NULL),
	},
	[OP_CHMOD] = {.text = "CHMOD", .request = BODY(wire_chmod, check_chmod)},
	[OP_LIST] = {
		.text = "LIST",
		.request = BODY(wire_target, check_list),
		.answer = ARRAY(wire_list, n, entry, check_walked, check_entry),
	},
	[OP_INSPECT] = {
		.text = "INSPECT",
		.request = BODY(wire_target, check_target),
		.answer = BODY(wire_entry, check_entry),
	},
	[OP_BINDINGS] = {
		.text = "BINDINGS",
		.request = BODY(wire_target, check_walk),
		.answer = ARRAY(wire_bindings, n, binding, check_walked, check_binding),
	},
	[OP_WAITERS] = {
		.text = "WAITERS",
		.request = BODY(wire_target, check_walk),
		.answer = ARRAY(wire_waiters, n, waiting, check_walked, check_waiting),
	},
	[OP_MAP] = {
		.text = "MAP",
		.request = BODY(wire_target, check_walk),
		.answer = ARRAY(wire_map, n, extent, check_walked, check_extent),
	},
	[OP_STAT] = {.text = "STAT", .answer = BODY(wire_stat, check_stat)},
	[OP_REGIONS] = {
		.text = "REGIONS",
		.request = BODY(wire_target, check_list),
		.answer = ARRAY(wire_regions, n, region, check_walked, check_region),
	},
	[OP_RESUME] = {
		.text = "RESUME",
		.request = ARRAY(wire_resume, n_runs, runs, check_resume, check_run),
	},
	[OP_DETAIL] = {
		.text = "DETAIL",
		.request = BODY(wire_target, check_target),
		.answer = BODY(wire_detail, check_detail),
	},
};

static const struct message returning = {
	.text = "RETURN",
	.request = ARRAY(wire_return, n_runs, runs, check_return, check_run),
};

#define EVENT(op) [(op) & ~WIRE_EVENT]

static const struct message events[EV_LAST & ~WIRE_EVENT] = {
	EVENT(EV_BOUND) = {
		.text = "BOUND",
		.answer = ARRAY(wire_bound, n_runs, runs, check_bound, check_run),
		.is_bound = true,
	},
	EVENT(EV_GRANT) = {
		.text = "GRANT",
		.answer = ARRAY(wire_grant, n_runs, runs, check_grant, check_run),
	},
	EVENT(EV_RECALL) = {
		.text = "RECALL",
		.answer = BODY(wire_recall, check_recall),
		.about_nothing = true,
	},
	EVENT(EV_DELETED) = {
		.text = "DELETED",
		.answer = BODY(wire_deleted, check_heap), /* the same one field */
		.about_nothing = true,
	},
	EVENT(EV_FREE) = {
		.text = "FREE",
		.answer = BODY(wire_free, check_free),
		.about_nothing = true,
	},
};

_Static_assert(sizeof(struct wire_deleted) == sizeof(struct wire_heap), "one field: heap");

static const struct message *find_call(uint16_t op)
{
	return op < ARRAY_SIZE(calls) && calls[op].text ? &calls[op] : NULL;
}

static const struct message *find_event(uint16_t op)
{
	uint16_t i = op & (uint16_t)~WIRE_EVENT;

	return (op & WIRE_EVENT) && i < ARRAY_SIZE(events) && events[i].text ? &events[i] : NULL;
}

/* ---- the rows applied ---- */

static const char *check_items(const struct frame *f, const struct shape *s)
{
	const uint8_t *item = f->body.bytes + s->body;
	uint32_t n;

	memcpy(&n, f->body.bytes + s->count_at, sizeof(n));
	if ((uint64_t)n * s->item != f->header.length - s->body)
		return "array count and length differ";
	for (; n > 0; n--, item += s->item) {
		const char *why = s->check_item(f, item);

		if (why)
			return why;
	}
	return NULL;
}

static const char *check_shape(const struct frame *f, const struct shape *s)
{
	const char *why;

	if (s->item ? f->header.length < s->body : f->header.length != s->body)
		return "wrong length";
	why = s->check ? s->check(f, f->body.bytes) : NULL;
	return why || !s->item ? why : check_items(f, s);
}

/* What the frame says about itself; channel_recv has seen to it for what it received. */
static const char *check_header(const struct frame *f)
{
	if (f->header.length > WIRE_BODY_MAX)
		return "wrong length";
	return f->n_fds < 0 || f->header.n_fds != f->n_fds ? "wrong number of fds" : NULL;
}

/* The first field of HELLO and of its reply is the version in every version of this protocol; of a
 * version that is not ours nothing more is known. */
static bool of_another_version(const struct frame *f)
{
	uint32_t version;

	if (f->header.length < sizeof(version))
		return false;
	memcpy(&version, f->body.bytes, sizeof(version));
	return version != WIRE_VERSION;
}

static const char *why_not_request(const struct frame *f, enum codec_socket socket)
{
	const struct message *m = NULL;
	const char *why = check_header(f);

	if (why)
		return why;
	if (socket == CODEC_CALL)
		m = find_call(f->header.op);
	else if (f->header.op == OP_RETURN)
		m = &returning;
	if (!m)
		return "unknown opcode";
	if (f->n_fds)
		return "fds that nobody asked for";
	if (f->header.status)
		return "a request with a status";
	if (socket == CODEC_CALL && !f->header.id)
		return "a request with id 0";
	if (f->header.op == OP_HELLO && of_another_version(f))
		return NULL;
	return check_shape(f, &m->request);
}

/* May this answer have this status? */
static bool status_fits(const struct frame *f, const struct message *m, enum codec_socket socket)
{
	uint16_t op = f->header.op & (uint16_t)~WIRE_REPLY;

	switch (f->header.status) {
	case STATUS_PARKED:
		return socket == CODEC_CALL && m->parks;
	case STATUS_BOUND:
		return m->is_bound;
	case STATUS_LATE:
		return op == OP_CANCEL;
	case STATUS_VERSION:
		return op == OP_HELLO;
	default:
		return f->header.status < STATUS_COUNT;
	}
}

/* The fds a frame must bring, from its status and, for a binding, its slot. */
static uint16_t fds_due(const struct frame *f, const struct message *m)
{
	if (f->header.status != STATUS_OK)
		return 0;
	if (m->is_bound)
		return FRAME_BODY(f, const struct wire_bound)->slot == UINT32_MAX ? 0 : 1;
	return m->answer_fds;
}

/* Statuses whose frame says more than the status does. */
static bool body_is_due(uint32_t status)
{
	return status == STATUS_OK || status == STATUS_BOUND || status == STATUS_VERSION;
}

static const char *why_not_answer(const struct frame *f, enum codec_socket socket)
{
	const struct message *m;
	const char *why = check_header(f);

	if (why)
		return why;
	if (socket == CODEC_CALL)
		m = f->header.op & WIRE_REPLY ? find_call(f->header.op & (uint16_t)~WIRE_REPLY)
					      : NULL;
	else
		m = find_event(f->header.op);
	if (!m)
		return "unknown opcode";
	if (socket == CODEC_CALL && !f->header.id)
		return "a reply with id 0";
	if (m->about_nothing && (f->header.id || f->header.status))
		return "an event about no request with an id or a status";
	if (socket == CODEC_EVENT && !m->about_nothing && f->header.op != EV_GRANT && !f->header.id)
		return "an event about a request with id 0";
	if (!status_fits(f, m, socket))
		return "a status that does not fit";
	if (f->header.status == STATUS_VERSION)
		return f->n_fds || f->header.length < sizeof(uint32_t)
			       ? "a version without its number"
			       : NULL;
	if (f->header.length || body_is_due(f->header.status))
		why = check_shape(f, &m->answer);
	if (!why && f->n_fds != fds_due(f, m))
		why = "wrong number of fds";
	return why;
}

static int verdict(const char *text, const char **why)
{
	if (why)
		*why = text;
	return text ? -EPROTO : 0;
}

int codec_check_request(const struct frame *f, enum codec_socket socket, const char **why)
{
	return verdict(why_not_request(f, socket), why);
}

int codec_check_answer(const struct frame *f, enum codec_socket socket, const char **why)
{
	return verdict(why_not_answer(f, socket), why);
}

bool codec_brings_fds(uint16_t op)
{
	const struct message *m = find_call(op);

	return m && (m->is_bound || m->answer_fds);
}

const char *op_text(uint16_t op)
{
	const struct message *m;

	if (op == OP_RETURN)
		return returning.text;
	m = op & WIRE_EVENT ? find_event(op) : find_call(op & (uint16_t)~WIRE_REPLY);
	return m ? m->text : "?";
}
