/*
 * fuzz_dispatch.c: any requests from several sessions, in any order (libFuzzer)
 *
 * The input is a program: each step is a byte that says what happens and who does it, then a few
 * bytes of arguments. Most steps make requests whose numbers are small, so that they meet each
 * other (the same names, heaps, pages, recalls); one kind takes the rest of the frame from the
 * input as it is. Frames go through the codec, as they do in a peer; a session whose frame is
 * refused is dropped and comes back. After each step the auditors of the whole world run, and every
 * reply and event is one that a client would accept (stage.c).
 */
#include <stdio.h>
#include <sys/mman.h>
#include "tests/daemon/stage.h"

#define PLAYERS 3
#define NAMES 3
#define STEPS_MAX 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uid_t uids[PLAYERS] = { 0, 1001, 1002 };

struct input {
	const uint8_t *at, *end;
};

static struct stage st;
static struct player *player[PLAYERS];

static uint8_t byte(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

/* Mostly small, sometimes huge: what the edges of 32 and 64 bits look like. */
static uint64_t number(struct input *in)
{
	uint8_t b = byte(in);

	if (b < 200)
		return b % 50;
	if (b < 230)
		return (uint64_t)byte(in) << (b - 200);
	return UINT64_MAX - (uint64_t)(b - 230);
}

static void name_of(struct input *in, char name[WIRE_NAME_SIZE])
{
	uint8_t b = byte(in) % (NAMES + 1);

	memset(name, 0, WIRE_NAME_SIZE);
	if (b < NAMES)
		name[0] = (char)('a' + b);
}

static uint64_t heap_id(struct input *in)
{
	uint8_t b = byte(in);

	return b < 200 ? 1 + b % (st.world.heaps.last_id + 1) : number(in);
}

static void target(struct input *in, uint64_t *heap, char name[WIRE_NAME_SIZE])
{
	*heap = 0;
	memset(name, 0, WIRE_NAME_SIZE);
	if (byte(in) % 2)
		*heap = heap_id(in);
	else
		name[0] = (char)('a' + byte(in) % NAMES);
}

/* ---- feeding ---- */

static void drop(int who)
{
	player_leave(player[who]);
	player[who] = player_join(&st, uids[who], 100);
}

static void feed(int who, struct frame *f, enum codec_socket socket)
{
	struct player *p = player[who];
	int r = codec_check_request(f, socket, NULL);

	if (!r && socket == CODEC_EVENT) {
		r = player_send(p, f);
	} else if (!r) {
		r = ops_call(&st.world, p->session, f, &p->reply);
		if (!r) {
			assert_int_equal(0, codec_check_answer(&p->reply.frame, CODEC_CALL, NULL));
			close_fd(&p->reply.opened);
		}
	}
	stage_check(&st);
	if (r < 0)
		drop(who);
	if (player[who]->n_events > 500)
		player_forget_events(player[who]);
}

static void raw(struct input *in, int who)
{
	static const uint16_t ops[] = {
		OP_HELLO,   OP_PING,   OP_CREATE,  OP_BIND,   OP_UNBIND, OP_DELETE,  OP_REFILL,
		OP_FREE,    OP_CANCEL, OP_INQUIRE, OP_CHMOD,  OP_LIST,	 OP_INSPECT, OP_BINDINGS,
		OP_WAITERS, OP_MAP,    OP_STAT,	   OP_RETURN, EV_GRANT,	 0,	     999};
	uint16_t op = ops[byte(in) % ARRAY_SIZE(ops)];
	size_t left = (size_t)(in->end - in->at), n = byte(in) * 4u;
	struct frame f;

	n = min_u64(n, left);
	n = min_u64(n, WIRE_BODY_MAX);
	(void)frame_init(&f, op, byte(in), 0, n);
	left = min_u64(n, (uint64_t)(in->end - in->at));
	memcpy(f.body.bytes, in->at, left);
	in->at += left;
	feed(who, &f, op == OP_RETURN ? CODEC_EVENT : CODEC_CALL);
}

/* ---- requests ---- */

static void create(struct input *in, int who)
{
	static const uint32_t modes[] = {0,
					 WIRE_MODE_PRIO,
					 WIRE_MODE_SINGLE,
					 WIRE_MODE_SINGLE | WIRE_MODE_MAPPABLE,
					 WIRE_MODE_MAPPABLE,
					 WIRE_MODE_DMA};
	struct frame f;
	struct wire_create *c = frame_init(&f, OP_CREATE, 1 + byte(in) % 8u, 0, sizeof(*c));

	name_of(in, c->name);
	c->size = (1 + number(in)) * (byte(in) % 4 ? HW_PAGE_SIZE : 1);
	if (c->size > 64 * HW_PAGE_SIZE)
		c->size = byte(in) % 2 ? 64 * HW_PAGE_SIZE : UINT64_MAX;
	c->mode = modes[byte(in) % ARRAY_SIZE(modes)];
	c->kind = c->mode & WIRE_MODE_SINGLE ? KIND_SEGMENT : byte(in) % 6 ? KIND_HEAP : KIND_POOL;
	c->perm = byte(in) % 2 ? WIRE_PERM_DEFAULT : byte(in) & 0x3fu;
	c->gid = byte(in) % 4 ? WIRE_GID_DEFAULT : 100;
	c->flags = byte(in) % 8 ? 0 : WIRE_CREATE_UNBOUND;
	feed(who, &f, CODEC_CALL);
}

/* Partitions, regions and pools, and heaps on a device. */
static void create_part(struct input *in, int who)
{
	static const uint32_t flags[] = {0, 0, WIRE_CREATE_CONFIGURED, WIRE_CREATE_OWN,
					 WIRE_CREATE_UNBOUND};
	struct frame f;
	struct wire_create *c = frame_init(&f, OP_CREATE, 1 + byte(in) % 8u, 0, sizeof(*c));

	c->flags = flags[byte(in) % ARRAY_SIZE(flags)];
	c->kind = c->flags ? KIND_REGION : KIND_HEAP + byte(in) % 5u;
	c->mode = byte(in) % 4 || c->flags ? 0 : WIRE_MODE_DMA;
	if (c->kind == KIND_SEGMENT)
		c->mode |= WIRE_MODE_SINGLE;
	if (c->flags == WIRE_CREATE_CONFIGURED || (!c->flags && byte(in) % 2))
		c->name[0] = (char)('a' + byte(in) % (NAMES + 1));
	c->size = 1 + number(in);
	if (c->size > 64 * HW_PAGE_SIZE && c->flags != WIRE_CREATE_OWN)
		c->size = UINT64_MAX; /* the auditors walk all its pages after each step */
	c->perm = 0644;
	c->gid = WIRE_GID_DEFAULT;
	feed(who, &f, CODEC_CALL);
}

static void bind_(struct input *in, int who)
{
	struct frame f;
	struct wire_bind *b = frame_init(&f, OP_BIND, 1 + byte(in) % 8u, 0, sizeof(*b));

	b->name[0] = (char)('a' + byte(in) % NAMES);
	b->access = 1 + byte(in) % 3u;
	b->flags = byte(in) % 2;
	player[who]->unread = byte(in) % 4 == 0;
	feed(who, &f, CODEC_CALL);
}

static void about_heap(struct input *in, int who, uint16_t op)
{
	struct frame f;
	struct wire_heap *b = frame_init(&f, op, 1 + byte(in) % 8u, 0, sizeof(*b));

	b->heap = heap_id(in);
	feed(who, &f, CODEC_CALL);
}

static void about_target(struct input *in, int who, uint16_t op)
{
	struct frame f;
	struct wire_target *t = frame_init(&f, op, 1, 0, sizeof(*t));

	if (op != OP_LIST && op != OP_REGIONS)
		target(in, &t->heap, t->name);
	if (op != OP_DELETE && op != OP_INSPECT && op != OP_DETAIL)
		t->cursor = number(in);
	feed(who, &f, CODEC_CALL);
}

static void chmod_(struct input *in, int who)
{
	struct frame f;
	struct wire_chmod *c = frame_init(&f, OP_CHMOD, 1, 0, sizeof(*c));

	target(in, &c->heap, c->name);
	c->perm = byte(in) % 2 ? WIRE_PERM_DEFAULT : byte(in) & 0666u;
	c->uid = byte(in) % 2 ? UINT32_MAX : uids[byte(in) % PLAYERS];
	c->gid = byte(in) % 2 ? UINT32_MAX : 100;
	feed(who, &f, CODEC_CALL);
}

static void refill(struct input *in, int who)
{
	struct frame f;
	struct wire_refill *r = frame_init(&f, OP_REFILL, 1 + byte(in) % 8u, 0, sizeof(*r));

	r->heap = heap_id(in);
	r->pages = (uint32_t)(1 + number(in));
	r->ahead = (uint32_t)number(in);
	r->since_ns = number(in);
	r->priority = byte(in) % 4;
	r->flags = byte(in) % 4;
	feed(who, &f, CODEC_CALL);
}

/* The number of the recall that is outstanding, one that was, or one that never was. */
static uint32_t some_seq(struct input *in, const struct session *s, uint64_t heap)
{
	const struct binding *b = session_binding(s, heap);

	switch (byte(in) % 8) {
	case 0:
		return (uint32_t)number(in);
	case 1:
		return s->last_recall;
	case 2:
	case 3:
		return 0;
	default:
		return b ? b->recall_seq : 0;
	}
}

static void return_(struct input *in, int who)
{
	struct session *s = player[who]->session;
	uint32_t n = byte(in) % 4u;
	struct frame f;
	struct wire_return *r =
		frame_init(&f, OP_RETURN, 0, 0, sizeof(*r) + n * sizeof(struct wire_run));
	const struct binding *b;

	r->heap = heap_id(in);
	r->seq = some_seq(in, s, r->heap);
	r->more = byte(in) % 4 == 0;
	r->n_runs = n;
	b = session_binding(s, r->heap);
	for (uint32_t i = 0; i < n; i++) {
		r->runs[i] = (struct wire_run){.first = (uint32_t)number(in),
					       .n = (uint32_t)(1 + number(in))};
		/* mostly what it holds, else few would get further */
		if (byte(in) % 8 && b && b->held.first != PAGE_NONE) {
			const struct extent *e = &b->heap->holders.at[b->held.first];
			uint32_t skip = r->runs[i].first % e->n;

			r->runs[i].first = b->held.first + skip;
			r->runs[i].n = 1 + r->runs[i].n % (e->n - skip);
		}
	}
	feed(who, &f, CODEC_EVENT);
}

static void free_(struct input *in, int who)
{
	struct frame f;
	struct wire_free *b = frame_init(&f, OP_FREE, 1, 0, sizeof(*b));

	b->heap = heap_id(in);
	b->offset = number(in) * (byte(in) % 2 ? HW_PAGE_SIZE : 16);
	for (int i = 0; i < PLAYERS; i++)
		player[i]->crowded = byte(in) % 8 == 0;
	feed(who, &f, CODEC_CALL);
}

static void cancel(struct input *in, int who)
{
	struct frame f;
	struct wire_cancel *b = frame_init(&f, OP_CANCEL, 1, 0, sizeof(*b));

	b->id = 1 + byte(in) % 8u;
	feed(who, &f, CODEC_CALL);
}

/* ---- what happens besides ---- */

static void commit(struct input *in)
{
	static const int results[] = { 0, 0, 0, 0, 0, -ENOMEM, -EIO, -EMFILE };
	uint8_t b = byte(in);

	if (stage_jobs())
		stage_commit(&st, results[b % ARRAY_SIZE(results)]);
}

static void time_passes(struct input *in)
{
	struct parked *p;

	if (byte(in) % 2) {
		TAILQ_FOREACH(p, &st.world.heaps.deadlines, by_deadline)
			p->deadline_ns = 1;
	}
	stage_work(&st);
}

static void scribble(struct input *in, int who)
{
	uint8_t page[HW_PAGE_SIZE];

	memset(page, byte(in), sizeof(page));
	(void)!pwrite(player[who]->session->areas.stats_fd, page, sizeof(page), 0);
}

/* A file of 16 pages stands in for a device. */
static const char *device_path(void)
{
	static char path[32];
	int fd;

	if (!path[0]) {
		fd = memfd_create("device", MFD_CLOEXEC); /* for ever */
		assert_int_equal(0, ftruncate(fd, 16 * (off_t)HW_PAGE_SIZE));
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	return path;
}

static void add_region(struct config *c, char name, uint64_t size, uint32_t kind)
{
	struct region *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	g->name[0] = name;
	g->size = size;
	g->backing = (struct backing){.kind = kind, .fallback = size % 2};
	if (kind == BACKING_DEVICE)
		g->backing.path = strdup(device_path());
	g->has_group = size % 3 == 0;
	g->group = 100;
	STAILQ_INSERT_TAIL(&c->regions, g, link);
	c->n_regions++;
}

static void add_regions(struct config *c, uint64_t size)
{
	add_region(c, 'a', size, BACKING_MEMORY);
	add_region(c, 'b', size * HW_PAGE_SIZE, BACKING_DEVICE);
	add_region(c, 'c', size, BACKING_HUGE);
	c->dma = strdup(device_path());
}

static void reload_regions(struct input *in)
{
	struct config c;

	config_init(&c);
	c.lock_arenas = false;
	c.recall_ns = 1;
	add_regions(&c, 1 + byte(in) % 20);
	world_reload(&st.world, &c);
	config_deinit(&c);
}

static void reload(struct input *in)
{
	struct config c;

	config_init(&c);
	c.lock_arenas = false;
	c.recall_ns = 1;
	c.limits = (struct limits){.sessions = 100,
				   .heaps = byte(in) % 16,
				   .bytes = byte(in) * 16384ull,
				   .parked = byte(in) % 16};
	world_reload(&st.world, &c);
	config_deinit(&c);
}

static void step_of_parts(struct input *in, int who, uint8_t what)
{
	if (what < 251)
		create_part(in, who);
	else if (what < 254)
		about_target(in, who, OP_DETAIL);
	else if (what == 254)
		about_target(in, who, OP_REGIONS);
	else
		reload_regions(in);
}

static void step(struct input *in)
{
	static const uint16_t looks[] = { OP_LIST, OP_INSPECT, OP_BINDINGS, OP_WAITERS, OP_MAP };
	uint8_t what = byte(in);
	int who = what % PLAYERS;

	if (what >= 246) { /* what was found before these came shall be found by the same input */
		step_of_parts(in, who, what);
		return;
	}
	switch (what / PLAYERS % 24) {
	case 0:
	case 1:
		raw(in, who);
		break;
	case 2:
	case 3:
		create(in, who);
		break;
	case 4:
	case 5:
	case 6:
		bind_(in, who);
		break;
	case 7:
		about_heap(in, who, OP_UNBIND);
		break;
	case 8:
		about_heap(in, who, OP_INQUIRE);
		break;
	case 9:
		about_target(in, who, OP_DELETE);
		break;
	case 10:
		about_target(in, who, looks[byte(in) % ARRAY_SIZE(looks)]);
		break;
	case 11:
		chmod_(in, who);
		break;
	case 12:
	case 13:
	case 14:
		refill(in, who);
		break;
	case 15:
	case 16:
	case 17:
		return_(in, who);
		break;
	case 18:
		free_(in, who);
		break;
	case 19:
		cancel(in, who);
		break;
	case 20:
		commit(in);
		break;
	case 21:
		time_passes(in);
		break;
	case 22:
		scribble(in, who);
		break;
	default:
		if (byte(in) % 2)
			drop(who);
		else
			reload(in);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {.at = data, .end = data + size};

	stage_init(&st);
	st.config.recall_ns = 1;
	add_regions(&st.config, 3);
	stage_open(&st);
	for (int i = 0; i < PLAYERS; i++)
		player[i] = player_join(&st, uids[i], 100);
	for (int i = 0; i < STEPS_MAX && in.at < in.end; i++)
		step(&in);
	stage_close(&st);
	return 0;
}
