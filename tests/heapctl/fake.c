/*
 * fake.c PATH: a heapd that tells a fixed story, so that what heapctl makes of it can be compared
 * to the letter
 *
 * It listens on PATH, serves one client after the other, and writes on stdout what CREATE, DELETE
 * and CHMOD asked of it. The story has what a real daemon seldom shows at once: several frames of
 * everything, more processes than letters, a label that is no UTF-8, a heap whose name is another's
 * id; and an object of each other interface (objects.c).
 */
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "objects.h"

#define N_MANY 50u     /* heaps many.0 ... */
#define N_BINDINGS 30u
#define N_WAITERS 200u
#define N_EXTENTS 600u
#define N_PAGES 2048u

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

/* ---- the story ---- */

#define N_HEAPS (4 + N_MANY) /* the objects follow */

static uint32_t n_heaps(void)
{
	return N_HEAPS + N_OBJECTS;
}

static struct wire_entry object_entry(uint32_t i)
{
	struct wire_entry e = object(i);

	e.heap = N_HEAPS + i + 1;
	return e;
}

static struct wire_entry heap(uint32_t i)
{
	struct wire_entry e = {
		.heap = i + 1, .size = 1000, .usable = 4096, .kind = KIND_HEAP, .perm = 0600, .state = STATE_LIVE,
		.created_ns = 1000000000ull * 1700000000ull,
	};

	if (i >= N_HEAPS)
		return object_entry(i - N_HEAPS);
	switch (i) {
	case 0:
		name_copy(e.name, "alpha");
		e.size = (uint64_t)N_PAGES * 4096 - 5;
		e.usable = (uint64_t)N_PAGES * 4096;
		e.mode = WIRE_MODE_PRIO;
		e.perm = 0660;
		e.used = 1536;
		e.high = e.granted = 300 * 4096;
		e.n_bound = N_BINDINGS;
		e.n_waiters = N_WAITERS;
		e.n_parked = 2;
		e.bad_frees = 1;
		break;
	case 1:
		name_copy(e.name, "4"); /* the id of "gone" */
		e.kind = KIND_SEGMENT;
		e.mode = WIRE_MODE_SINGLE | WIRE_MODE_MAPPABLE;
		e.uid = 4000000000u; /* nobody's */
		e.gid = 4000000001u;
		break;
	case 2:
		e.session = 77;
		e.pid = 770;
		break;
	case 3:
		name_copy(e.name, "gone");
		e.state = STATE_DELETED;
		break;
	default:
		(void)snprintf(e.name, sizeof(e.name), "many.%u", i - 4);
		e.used = i;
	}
	return e;
}

static struct wire_binding binding(uint32_t i)
{
	struct wire_binding b = {
		.session = 100 + i, .pid = (int32_t)(1000 + i), .access = i == 1 ? ACCESS_READ : ACCESS_WRITE,
		.granted = 10 * 4096, .used = 512, .large = 0,
	};

	(void)snprintf(b.label, sizeof(b.label), i == 2 ? "\"q\\\xff\xc3\xa9" : "robot%u", i);
	if (i == 0) {
		b.bucket[0] = (struct wire_bucket){
			.calls = 12345678901ull, .could_free = 3, .per_page = 256, .pages = 2, .free = 500,
			.high_water = 12,
		};
		b.bucket[8] = (struct wire_bucket){.calls = 1, .per_page = 1, .pages = 1};
		b.bad_frees = 1;
	}
	return b;
}

static struct wire_waiting waiting(uint32_t i)
{
	return (struct wire_waiting){
		.waiter = {.size = 64 + i, .since_ns = now_ns() - 90 * NSEC_PER_SEC, .tid = 5000 + i,
			   .priority = (int32_t)(99 - i % 100)},
		.pid = (int32_t)(1000 + i % 2),
		.parked = i == 0,
	};
}

/* Three pages each: of robot0, free, of robot1, free and so on up to page 1800; the rest is a long
 * one of robot29. */
static struct wire_extent extent(uint32_t i)
{
	if (i == N_EXTENTS - 1)
		return (struct wire_extent){.first = 3 * i, .n = N_PAGES - 3 * i, .session = 129};
	return (struct wire_extent){.first = 3 * i, .n = 3, .session = i % 2 ? 0 : 100 + i / 2 % 3};
}

/* ---- answers ---- */

static uint32_t find(const struct wire_target *t, struct wire_entry *e)
{
	for (uint32_t i = 0; i < n_heaps(); i++) {
		*e = heap(i);
		if (t->heap ? e->heap == t->heap : e->name[0] && strcmp(e->name, t->name) == 0)
			return STATUS_OK;
	}
	return STATUS_MISSING;
}

/* One frame of a walk over n elements; cursor 0, then the number of the next element. */
#define WALK(f, type, elements, total, make) \
	do { \
		uint32_t at = (uint32_t)FRAME_BODY(f, struct wire_target)->cursor; \
		uint32_t max = (uint32_t)((WIRE_BODY_MAX - sizeof(struct type)) / \
					  sizeof(((struct type *)0)->elements[0])); \
		uint32_t count = (total) - at < max ? (total) - at : max; \
		struct type *b = frame_init(f, (f)->header.op, (f)->header.id, STATUS_OK, \
					    sizeof(*b) + count * sizeof(b->elements[0])); \
		b->n = count; \
		b->cursor = at + count < (total) ? at + count : 0; \
		for (uint32_t i = 0; i < count; i++) \
			b->elements[i] = make(at + i); \
	} while (0)

static void answer_empty(struct frame *f, uint32_t status)
{
	(void)frame_init(f, f->header.op, f->header.id, status, 0);
}

static void answer_hello(struct frame *f, int *event)
{
	struct wire_welcome *w = frame_init(f, f->header.op, f->header.id, 0, sizeof(*w));
	int ends[2];

	*w = (struct wire_welcome){
		.version = WIRE_VERSION, .session = 1, .max_heap = 1ull << 36, .hw_page = HW_PAGE_SIZE,
		.n_slots = WIRE_SLOTS, .build = "fake",
	};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		die("socketpair");
	frame_add_fd(f, ends[0]);
	frame_add_fd(f, memfd_create("stats", MFD_CLOEXEC));
	frame_add_fd(f, memfd_create("control", MFD_CLOEXEC));
	*event = ends[1];
}

/* The event may overtake the reply: so it does here. */
static void answer_create(struct frame *f, int event)
{
	struct wire_create c = *FRAME_BODY(f, const struct wire_create);
	bool poor = strcmp(c.name, "poor") == 0;
	struct frame e;
	struct wire_bound *b =
		frame_init(&e, EV_BOUND, f->header.id, poor ? STATUS_NO_MEMORY : 0, sizeof(*b));

	(void)printf("create %s %" PRIu64 " mode %#x kind %u perm %o gid %u flags %u\n", c.name,
		     c.size, c.mode, c.kind, c.perm, c.gid, c.flags);
	if (strcmp(c.name, "taken") == 0) {
		answer_empty(f, STATUS_EXISTS);
		return;
	}
	*b = (struct wire_bound){
		.heap = 900, .size = c.size, .usable = align_up(c.size, HW_PAGE_SIZE), .mode = c.mode, .kind = c.kind,
		.slot = UINT32_MAX,
	};
	if (poor)
		e.header.length = 0;
	if (channel_send(event, &e, 0) < 0)
		die("event");
	answer_empty(f, STATUS_PARKED);
}

static void answer_target(struct frame *f)
{
	struct wire_target t = *FRAME_BODY(f, const struct wire_target);
	struct wire_entry e;
	uint32_t status = find(&t, &e);

	if (f->header.op == (OP_DELETE | WIRE_REPLY)) {
		(void)printf("delete %" PRIu64 " %s\n", t.heap, t.name);
		if (status == STATUS_OK && e.heap > N_HEAPS)
			status = STATUS_INVALID;
		answer_empty(f, status == STATUS_OK && e.heap == 2 ? STATUS_NOT_OWNER : status);
	} else if (status != STATUS_OK) {
		answer_empty(f, status);
	} else {
		*(struct wire_entry *)frame_init(f, f->header.op, f->header.id, 0, sizeof(e)) = e;
	}
}

static void answer_chmod(struct frame *f)
{
	const struct wire_chmod *c = FRAME_BODY(f, const struct wire_chmod);
	struct wire_target t = {.heap = c->heap};
	struct wire_entry e;

	memcpy(t.name, c->name, sizeof(t.name));
	(void)printf("chmod %" PRIu64 " %s perm %o uid %u gid %u\n", c->heap, c->name, c->perm,
		     c->uid, c->gid);
	answer_empty(f, find(&t, &e));
}

/* Objects only; asked by id, as heapctl does. */
static void answer_detail(struct frame *f)
{
	uint64_t id = FRAME_BODY(f, const struct wire_target)->heap;
	uint32_t status = STATUS_MISSING;
	struct wire_detail d;

	if (id > 0 && id <= N_HEAPS)
		status = STATUS_INVALID;
	else if (id > 0 && id <= n_heaps())
		status = object_detail((uint32_t)id - N_HEAPS - 1, &d);
	if (status != STATUS_OK) {
		answer_empty(f, status);
		return;
	}
	d.heap = id;
	*(struct wire_detail *)frame_init(f, f->header.op, f->header.id, 0, sizeof(d)) = d;
}

/* Of the heap that the frame asks about: alpha's many, an object's one. */
static void answer_bindings(struct frame *f)
{
	uint64_t id = FRAME_BODY(f, const struct wire_target)->heap;
	struct wire_bindings *one;

	if (id <= N_HEAPS || id > n_heaps()) {
		WALK(f, wire_bindings, binding, id == 1 ? N_BINDINGS : 0, binding);
		return;
	}
	one = frame_init(f, f->header.op, f->header.id, 0, sizeof(*one) + sizeof(one->binding[0]));
	one->n = 1;
	one->binding[0] = object_binding((uint32_t)id - N_HEAPS - 1);
}

static void answer_stat(struct frame *f)
{
	struct wire_stat *s = frame_init(f, f->header.op, f->header.id, 0, sizeof(*s));

	*s = (struct wire_stat){
		.uptime_ns = 93784ull * NSEC_PER_SEC, .requests = 1ull << 63, .bytes = 3ull << 29, .heaps = n_heaps(),
		.parked_binds = 1, .io_uring = 1, .pid = 4242, .build = "fake",
	};
}

static void answer(struct frame *f, int *event)
{
	bool alpha = f->header.op != OP_HELLO && FRAME_BODY(f, const struct wire_target)->heap == 1;

	f->header.op |= WIRE_REPLY;
	switch (f->header.op & ~WIRE_REPLY) {
	case OP_HELLO:
		return answer_hello(f, event);
	case OP_PING:
		return;
	case OP_CREATE:
		return answer_create(f, *event);
	case OP_DELETE:
	case OP_INSPECT:
		return answer_target(f);
	case OP_CHMOD:
		return answer_chmod(f);
	case OP_LIST:
		WALK(f, wire_list, entry, n_heaps(), heap);
		return;
	case OP_BINDINGS:
		return answer_bindings(f);
	case OP_DETAIL:
		return answer_detail(f);
	case OP_REGIONS:
		WALK(f, wire_regions, region, N_REGIONS, configured);
		return;
	case OP_WAITERS:
		WALK(f, wire_waiters, waiting, alpha ? N_WAITERS : 0, waiting);
		return;
	case OP_MAP:
		WALK(f, wire_map, extent, alpha ? N_EXTENTS : 0, extent);
		return;
	case OP_STAT:
		return answer_stat(f);
	default:
		return answer_empty(f, STATUS_UNSUPPORTED);
	}
}

static void serve(int fd)
{
	int event = -1;
	struct frame f;

	while (channel_recv(fd, &f, 0) == 0) {
		const char *why;

		if (codec_check_request(&f, CODEC_CALL, &why) < 0) {
			(void)printf("refused %s: %s\n", op_text(f.header.op), why);
			break;
		}
		answer(&f, &event);
		if (codec_check_answer(&f, CODEC_CALL, &why) < 0) {
			(void)fprintf(stderr, "the fake answers nonsense: %s: %s\n",
				      op_text(f.header.op), why);
			exit(1);
		}
		if (channel_send(fd, &f, 0) < 0)
			break;
		frame_close_fds(&f);
	}
	close_fd(&event);
}

int main(int argc, char **argv)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	(void)setvbuf(stdout, NULL, _IOLBF, 0); /* the test reads it as soon as heapctl has its answer */
	if (argc != 2 || strlen(argv[1]) >= sizeof(to.sun_path))
		return 2;
	memcpy(to.sun_path, argv[1], strlen(argv[1]) + 1);
	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0 || listen(fd, 16) < 0)
		die(argv[1]);
	for (;;) {
		_cleanup_fd_ int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (client < 0)
			die("accept");
		serve(client);
	}
}
