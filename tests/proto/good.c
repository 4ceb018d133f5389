/*
 * good.c: a good frame of every kind
 */
#include "good.h"

#define TWO 2u

const uint16_t good_ops[] = {
	OP_HELLO, OP_PING, OP_CREATE, OP_BIND, OP_UNBIND, OP_DELETE, OP_REFILL, OP_FREE, OP_CANCEL,
	OP_INQUIRE, OP_CHMOD, OP_LIST, OP_INSPECT, OP_BINDINGS, OP_WAITERS, OP_MAP, OP_STAT,
	OP_REGIONS, OP_DETAIL, OP_RESUME,
	OP_HELLO | WIRE_REPLY, OP_PING | WIRE_REPLY, OP_CREATE | WIRE_REPLY, OP_BIND | WIRE_REPLY,
	OP_UNBIND | WIRE_REPLY, OP_DELETE | WIRE_REPLY, OP_REFILL | WIRE_REPLY, OP_FREE | WIRE_REPLY,
	OP_CANCEL | WIRE_REPLY, OP_INQUIRE | WIRE_REPLY, OP_CHMOD | WIRE_REPLY, OP_LIST | WIRE_REPLY,
	OP_INSPECT | WIRE_REPLY, OP_BINDINGS | WIRE_REPLY, OP_WAITERS | WIRE_REPLY, OP_MAP | WIRE_REPLY,
	OP_STAT | WIRE_REPLY, OP_REGIONS | WIRE_REPLY, OP_DETAIL | WIRE_REPLY,
	OP_RESUME | WIRE_REPLY,
	OP_RETURN,
	EV_BOUND, EV_GRANT, EV_RECALL, EV_DELETED, EV_FREE,
};
const size_t n_good_ops = ARRAY_SIZE(good_ops);

enum codec_socket good_socket(uint16_t op)
{
	return op == OP_RETURN || (op & WIRE_EVENT) ? CODEC_EVENT : CODEC_CALL;
}

bool good_is_request(uint16_t op)
{
	return !(op & (WIRE_REPLY | WIRE_EVENT));
}

int good_check(const struct frame *f, const char **why)
{
	return good_is_request(f->header.op)
		       ? codec_check_request(f, good_socket(f->header.op), why)
		       : codec_check_answer(f, good_socket(f->header.op), why);
}

static void good_hello(struct frame *f)
{
	struct wire_hello *b = frame_init(f, OP_HELLO, 1, 0, sizeof(*b));

	*b = (struct wire_hello){.version = WIRE_VERSION, .features = WIRE_FEATURE_BASE, .label = "robot"};
}

static void good_welcome(struct frame *f)
{
	struct wire_welcome *b = frame_init(f, OP_HELLO | WIRE_REPLY, 1, 0, sizeof(*b));

	*b = (struct wire_welcome){
		.version = WIRE_VERSION,
		.features = WIRE_FEATURE_BASE,
		.session = 3,
		.max_heap = 1 << 30,
		.hw_page = HW_PAGE_SIZE,
		.n_slots = WIRE_SLOTS,
		.build = "0.1.0",
	};
	for (int i = 0; i < 3; i++)
		frame_add_fd(f, 100 + i);
}

static void good_ping(struct frame *f, uint16_t op)
{
	struct wire_ping *b = frame_init(f, op, 1, 0, sizeof(*b));

	memset(b->payload, 0xa5, sizeof(b->payload));
}

static void good_create(struct frame *f)
{
	struct wire_create *b = frame_init(f, OP_CREATE, 1, 0, sizeof(*b));

	*b = (struct wire_create){
		.name = "pool",
		.size = 16384,
		.mode = WIRE_MODE_PRIO,
		.kind = KIND_HEAP,
		.perm = 0640,
		.gid = WIRE_GID_DEFAULT,
	};
}

static void good_bind(struct frame *f)
{
	struct wire_bind *b = frame_init(f, OP_BIND, 1, 0, sizeof(*b));

	*b = (struct wire_bind){.name = "pool", .access = ACCESS_BEST, .flags = WIRE_BIND_NOWAIT};
}

static void good_runs(struct wire_run runs[TWO])
{
	runs[0] = (struct wire_run){.first = 0, .n = 1};
	runs[1] = (struct wire_run){.first = UINT32_MAX - 5, .n = 5};
}

static void good_bound(struct frame *f, uint16_t op)
{
	struct wire_bound *b = frame_init(f, op, 1, 0, sizeof(*b) + TWO * sizeof(struct wire_run));

	*b = (struct wire_bound){
		.heap = 9,
		.size = 16000,
		.usable = 16384,
		.mode = WIRE_MODE_PRIO,
		.kind = KIND_HEAP,
		.access = ACCESS_WRITE,
		.slot = 0,
		.n_runs = TWO,
		.name = "pool",
	};
	good_runs(b->runs);
	frame_add_fd(f, 100);
}

static void good_heap(struct frame *f, uint16_t op)
{
	struct wire_heap *b = frame_init(f, op, 1, 0, sizeof(*b));

	b->heap = 9;
}

static void good_target(struct frame *f, uint16_t op)
{
	struct wire_target *b = frame_init(f, op, 1, 0, sizeof(*b));

	if (op != OP_LIST && op != OP_REGIONS)
		name_copy(b->name, "pool");
	if (op != OP_DELETE && op != OP_INSPECT && op != OP_DETAIL)
		b->cursor = 7;
}

static void good_refill(struct frame *f)
{
	struct wire_refill *b = frame_init(f, OP_REFILL, 1, 0, sizeof(*b));

	*b = (struct wire_refill){
		.heap = 9,
		.since_ns = 1,
		.size = 100,
		.pages = 1,
		.ahead = 4,
		.priority = 100,
		.tid = 77,
		.flags = WIRE_REFILL_NONBLOCK,
	};
}

static void good_grant(struct frame *f, uint16_t op)
{
	struct wire_grant *b = frame_init(f, op, 1, 0, sizeof(*b) + TWO * sizeof(struct wire_run));

	*b = (struct wire_grant){.heap = 9, .n_runs = TWO};
	good_runs(b->runs);
}

static void good_free(struct frame *f, uint16_t op)
{
	struct wire_free *b = frame_init(f, op, op == OP_FREE, 0, sizeof(*b));

	*b = (struct wire_free){.heap = 9, .offset = 4096};
	if (op == EV_FREE) {
		b->session = 3;
		b->id = 7;
	}
}

static void good_cancel(struct frame *f)
{
	struct wire_cancel *b = frame_init(f, OP_CANCEL, 2, 0, sizeof(*b));

	b->id = 1;
}

static void good_chmod(struct frame *f)
{
	struct wire_chmod *b = frame_init(f, OP_CHMOD, 1, 0, sizeof(*b));

	*b = (struct wire_chmod){.heap = 9, .perm = 0660, .uid = UINT32_MAX, .gid = 5};
}

static void good_info(struct frame *f)
{
	struct wire_info *b = frame_init(f, OP_INQUIRE | WIRE_REPLY, 1, 0, sizeof(*b));

	*b = (struct wire_info){.size = 16000, .usable = 16384, .used = 64, .n_waiters = 2, .mode = 1};
}

static struct wire_entry good_entry(void)
{
	return (struct wire_entry){
		.heap = 9,
		.size = 16000,
		.usable = 16384,
		.used = 64,
		.mode = WIRE_MODE_SINGLE | WIRE_MODE_MAPPABLE,
		.kind = KIND_SEGMENT,
		.perm = 0600,
		.state = STATE_LIVE,
		.name = "pool",
	};
}

/* LIST, BINDINGS, WAITERS, MAP, REGIONS: the walk's three fields, then two elements. */
static void *good_walked(struct frame *f, uint16_t op, size_t element)
{
	struct wire_list *b = frame_init(f, op, 1, 0, sizeof(*b) + TWO * element);

	b->cursor = 8;
	b->n = TWO;
	return b + 1;
}

static void good_list(struct frame *f)
{
	struct wire_entry *e = good_walked(f, OP_LIST | WIRE_REPLY, sizeof(*e));

	e[0] = e[1] = good_entry();
}

static void good_inspected(struct frame *f)
{
	struct wire_entry *e = frame_init(f, OP_INSPECT | WIRE_REPLY, 1, 0, sizeof(*e));

	*e = good_entry();
}

static void good_bindings(struct frame *f)
{
	struct wire_binding *b = good_walked(f, OP_BINDINGS | WIRE_REPLY, sizeof(*b));

	b[0] = b[1] =
		(struct wire_binding){.session = 3, .access = ACCESS_READ, .label = "caf\xc3\xa9"};
}

static void good_waiters(struct frame *f)
{
	struct wire_waiting *w = good_walked(f, OP_WAITERS | WIRE_REPLY, sizeof(*w));

	w[0] = w[1] =
		(struct wire_waiting){.waiter = {.size = 64, .since_ns = 5, .tid = 7}, .parked = 1};
}

static void good_map(struct frame *f)
{
	struct wire_extent *e = good_walked(f, OP_MAP | WIRE_REPLY, sizeof(*e));

	e[0] = (struct wire_extent){.first = 0, .n = 3, .session = 3};
	e[1] = (struct wire_extent){.first = 3, .n = 1};
}

static void good_stat(struct frame *f)
{
	struct wire_stat *s = frame_init(f, OP_STAT | WIRE_REPLY, 1, 0, sizeof(*s));

	*s = (struct wire_stat){.heaps = 1, .pid = 1, .build = "0.1.0"};
}

static void good_regions(struct frame *f)
{
	struct wire_region *r = good_walked(f, OP_REGIONS | WIRE_REPLY, sizeof(*r));

	r[0] = (struct wire_region){.name = "fast", .size = 4096};
	r[1] = (struct wire_region){
		.name = "dma",
		.size = 16384,
		.attribute = WIRE_NON_CACHEABLE,
		.backing = BACKING_DEVICE,
	};
}

static void good_detail(struct frame *f)
{
	struct wire_detail *d = frame_init(f, OP_DETAIL | WIRE_REPLY, 1, 0, sizeof(*d));

	*d = (struct wire_detail){
		.heap = 9,
		.kind = KIND_PARTITION,
		.n_used = 5,
		.partition = {.block_size = 40, .stride = 48, .n_blocks = 5, .ptno = 1},
	};
}

static void good_return(struct frame *f)
{
	struct wire_return *b =
		frame_init(f, OP_RETURN, 0, 0, sizeof(*b) + TWO * sizeof(struct wire_run));

	*b = (struct wire_return){.heap = 9, .seq = 1, .n_runs = TWO, .more = 1};
	good_runs(b->runs);
}

static void good_resume(struct frame *f)
{
	struct wire_resume *b =
		frame_init(f, OP_RESUME, 1, 0, sizeof(*b) + TWO * sizeof(struct wire_run));

	*b = (struct wire_resume){.heap = 9, .n_runs = TWO, .flags = WIRE_RESUME_MORE};
	good_runs(b->runs);
}

static void good_recall(struct frame *f)
{
	struct wire_recall *b = frame_init(f, EV_RECALL, 0, 0, sizeof(*b));

	*b = (struct wire_recall){.heap = 9, .seq = 1, .want = 2, .urgent = 1};
}

static void good_deleted(struct frame *f)
{
	struct wire_deleted *b = frame_init(f, EV_DELETED, 0, 0, sizeof(*b));

	b->heap = 9;
}

void good_frame(struct frame *f, uint16_t op)
{
	switch (op) {
	case OP_HELLO:
		return good_hello(f);
	case OP_HELLO | WIRE_REPLY:
		return good_welcome(f);
	case OP_PING:
	case OP_PING | WIRE_REPLY:
		return good_ping(f, op);
	case OP_CREATE:
		return good_create(f);
	case OP_BIND:
		return good_bind(f);
	case OP_CREATE | WIRE_REPLY:
	case OP_BIND | WIRE_REPLY:
	case EV_BOUND:
		return good_bound(f, op);
	case OP_UNBIND:
	case OP_INQUIRE:
		return good_heap(f, op);
	case OP_DELETE:
	case OP_LIST:
	case OP_REGIONS:
	case OP_DETAIL:
	case OP_INSPECT:
	case OP_BINDINGS:
	case OP_WAITERS:
	case OP_MAP:
		return good_target(f, op);
	case OP_REFILL:
		return good_refill(f);
	case OP_REFILL | WIRE_REPLY:
	case EV_GRANT:
		return good_grant(f, op);
	case OP_FREE:
	case EV_FREE:
		return good_free(f, op);
	case OP_RESUME:
		return good_resume(f);
	case OP_CANCEL:
		return good_cancel(f);
	case OP_CHMOD:
		return good_chmod(f);
	case OP_INQUIRE | WIRE_REPLY:
		return good_info(f);
	case OP_LIST | WIRE_REPLY:
		return good_list(f);
	case OP_INSPECT | WIRE_REPLY:
		return good_inspected(f);
	case OP_BINDINGS | WIRE_REPLY:
		return good_bindings(f);
	case OP_WAITERS | WIRE_REPLY:
		return good_waiters(f);
	case OP_MAP | WIRE_REPLY:
		return good_map(f);
	case OP_STAT | WIRE_REPLY:
		return good_stat(f);
	case OP_REGIONS | WIRE_REPLY:
		return good_regions(f);
	case OP_DETAIL | WIRE_REPLY:
		return good_detail(f);
	case OP_RETURN:
		return good_return(f);
	case EV_RECALL:
		return good_recall(f);
	case EV_DELETED:
		return good_deleted(f);
	default: /* STAT, and replies without a body */
		(void)frame_init(f, op, 1, 0, 0);
	}
}
