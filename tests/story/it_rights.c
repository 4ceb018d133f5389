/*
 * Story: every request about every kind of heap, by users who may and who may not
 *
 * The table says what each asker is told; there is no request in the protocol that is not in it, but HELLO, PING and STAT,
 * which are about no heap. What is not to be seen is answered as what does not exist.
 */
#include "proto/codec.h"
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define BYTES 16384
#define OWNER 65001
#define STRANGER 65003

enum target {
	OWN,      /* the asker's own, and bound */
	OWN_GONE, /* the same, deleted, still bound */
	READS,    /* another's, of mode 0644, bound for reading */
	WRITABLE, /* another's, of mode 0666, not bound; */
	READABLE, /* 0644; */
	CLOSED,   /* 0600; */
	PRIVATE,  /* without a name; */
	GONE,     /* of mode 0666, deleted, and bound by its owner */
	UNKNOWN,
	N_TARGETS
};

static const char *const target_text[N_TARGETS] = { "own",      "own-gone", "reads", "writable", "readable",
						    "closed", "private",  "gone",  "unknown" };

enum { BY_ID, BY_NAME };

struct row {
	uint16_t op;
	int by;
	uint32_t access; /* of BIND */
	int answer[N_TARGETS];
};

#define OK STATUS_OK
#define NO STATUS_MISSING
#define DENIED STATUS_DENIED
#define NOT_OWNER STATUS_NOT_OWNER
#define INVALID STATUS_INVALID
#define REMOVED STATUS_REMOVED
#define EXISTS STATUS_EXISTS
#define BOUND STATUS_BOUND
#define X -1 /* has no name, or it would change the others */

/* In this order: what changes something comes last. */
static const struct row stranger_rows[] = {
	/*                              own      own-gone reads    writable   readable   closed   private  gone     unknown */
	{ OP_INQUIRE, BY_ID, 0,       { OK,      REMOVED, OK,      NO,        NO,        NO,      NO,      NO,      NO } },
	{ OP_REFILL, BY_ID, 0,        { OK,      REMOVED, DENIED,  NO,        NO,        NO,      NO,      NO,      NO } },
	{ OP_FREE, BY_ID, 0,          { INVALID, REMOVED, DENIED,  NO,        NO,        NO,      NO,      NO,      NO } },
	{ OP_INSPECT, BY_ID, 0,       { OK,      OK,      OK,      OK,        OK,        NO,      NO,      OK,      NO } },
	{ OP_INSPECT, BY_NAME, 0,     { OK,      NO,      OK,      OK,        OK,        NO,      X,       NO,      NO } },
	{ OP_BINDINGS, BY_ID, 0,      { OK,      OK,      OK,      OK,        OK,        NO,      NO,      OK,      NO } },
	{ OP_BINDINGS, BY_NAME, 0,    { OK,      NO,      OK,      OK,        OK,        NO,      X,       NO,      NO } },
	{ OP_WAITERS, BY_ID, 0,       { OK,      OK,      OK,      OK,        OK,        NO,      NO,      OK,      NO } },
	{ OP_WAITERS, BY_NAME, 0,     { OK,      NO,      OK,      OK,        OK,        NO,      X,       NO,      NO } },
	{ OP_MAP, BY_ID, 0,           { OK,      OK,      OK,      OK,        OK,        NO,      NO,      OK,      NO } },
	{ OP_MAP, BY_NAME, 0,         { OK,      NO,      OK,      OK,        OK,        NO,      X,       NO,      NO } },
	{ OP_DETAIL, BY_ID, 0,        { INVALID, INVALID, INVALID, INVALID,   INVALID,   NO,      NO,      INVALID, NO } },
	{ OP_DETAIL, BY_NAME, 0,      { INVALID, NO,      INVALID, INVALID,   INVALID,   NO,      X,       NO,      NO } },
	{ OP_CREATE, BY_NAME, 0,      { EXISTS,  X,       EXISTS,  EXISTS,    EXISTS,    EXISTS,  X,       X,       X } },
	{ OP_CHMOD, BY_ID, 0,         { OK,      REMOVED, NOT_OWNER, NOT_OWNER, NOT_OWNER, NO,    NO,      REMOVED, NO } },
	{ OP_CHMOD, BY_NAME, 0,       { OK,      NO,      NOT_OWNER, NOT_OWNER, NOT_OWNER, NO,    X,       NO,      NO } },
	{ OP_DELETE, BY_ID, 0,        { X,       REMOVED, NOT_OWNER, NOT_OWNER, NOT_OWNER, NO,    NO,      REMOVED, NO } },
	{ OP_DELETE, BY_NAME, 0,      { X,       NO,      NOT_OWNER, NOT_OWNER, NOT_OWNER, NO,    X,       NO,      NO } },
	{ OP_BIND, BY_NAME, ACCESS_WRITE, { BOUND, NO,    BOUND,   X,         DENIED,    DENIED,  X,       NO,      NO } },
	{ OP_BIND, BY_NAME, ACCESS_READ,  { BOUND, NO,    BOUND,   X,         X,         DENIED,  X,       NO,      NO } },
	{ OP_BIND, BY_NAME, ACCESS_BEST,  { BOUND, NO,    BOUND,   OK,        OK,        DENIED,  X,       NO,      NO } },
	{ OP_UNBIND, BY_ID, 0,        { OK,      OK,      OK,      OK,        OK,        NO,      NO,      NO,      NO } },
	{ OP_UNBIND, BY_ID, 0,        { NO,      NO,      NO,      NO,        NO,        NO,      NO,      NO,      NO } },
	{ OP_DELETE, BY_NAME, 0,      { OK,      NO,      NOT_OWNER, NOT_OWNER, NOT_OWNER, NO,    X,       NO,      NO } },
};

/* Another program of the owner's. It sees what is private to the first one, and can neither bind nor use it. */
static const struct row sibling_rows[] = {
	{ OP_INQUIRE, BY_ID, 0,       { OK,      REMOVED, OK,      NO,        NO,        NO,      NO,      NO,      NO } },
	{ OP_REFILL, BY_ID, 0,        { OK,      REMOVED, X,       NO,        NO,        NO,      NO,      NO,      NO } },
	{ OP_FREE, BY_ID, 0,          { INVALID, REMOVED, X,       NO,        NO,        NO,      NO,      NO,      NO } },
	{ OP_INSPECT, BY_ID, 0,       { OK,      OK,      OK,      OK,        OK,        OK,      OK,      OK,      NO } },
	{ OP_BINDINGS, BY_ID, 0,      { OK,      OK,      OK,      OK,        OK,        OK,      OK,      OK,      NO } },
	{ OP_WAITERS, BY_ID, 0,       { OK,      OK,      OK,      OK,        OK,        OK,      OK,      OK,      NO } },
	{ OP_MAP, BY_ID, 0,           { OK,      OK,      OK,      OK,        OK,        OK,      OK,      OK,      NO } },
	{ OP_DETAIL, BY_ID, 0,        { INVALID, INVALID, INVALID, INVALID,   INVALID,   INVALID, INVALID, INVALID, NO } },
	{ OP_UNBIND, BY_ID, 0,        { X,       X,       X,       NO,        NO,        NO,      NO,      NO,      NO } },
	{ OP_CHMOD, BY_ID, 0,         { OK,      REMOVED, OK,      OK,        OK,        OK,      OK,      REMOVED, NO } },
	{ OP_BIND, BY_NAME, ACCESS_WRITE, { BOUND, NO,    BOUND,   OK,        OK,        OK,      X,       NO,      NO } },
	{ OP_UNBIND, BY_ID, 0,        { OK,      OK,      OK,      OK,        OK,        OK,      NO,      NO,      NO } },
	{ OP_DELETE, BY_ID, 0,        { OK,      NO,      OK,      OK,        OK,        OK,      OK,      REMOVED, NO } },
};

/* What the next actor asks; it inherits this. */
static struct {
	const struct row *rows;
	size_t n;
	uint64_t id[N_TARGETS];
} sheet;

static int ask(struct raw *r, const struct row *row, enum target t)
{
	uint64_t id = sheet.id[t];
	struct frame f;
	int status;

	switch (row->op) {
	case OP_INQUIRE:
	case OP_UNBIND:
		((struct wire_heap *)frame_init(&f, row->op, 0, 0, sizeof(struct wire_heap)))->heap = id;
		break;
	case OP_REFILL: {
		struct wire_refill *b = frame_init(&f, OP_REFILL, 0, 0, sizeof(*b));

		b->heap = id;
		b->pages = 1;
		b->flags = WIRE_REFILL_AHEAD;
		break;
	}
	case OP_FREE: /* no page of another's */
		((struct wire_free *)frame_init(&f, OP_FREE, 0, 0, sizeof(struct wire_free)))->heap = id;
		break;
	case OP_CHMOD: {
		struct wire_chmod *b = frame_init(&f, OP_CHMOD, 0, 0, sizeof(*b));

		if (row->by == BY_ID)
			b->heap = id;
		else
			name_copy(b->name, target_text[t]);
		b->perm = WIRE_PERM_DEFAULT;
		b->uid = b->gid = UINT32_MAX;
		break;
	}
	case OP_BIND: {
		struct wire_bind *b = frame_init(&f, OP_BIND, 0, 0, sizeof(*b));

		name_copy(b->name, target_text[t]);
		b->access = row->access;
		b->flags = WIRE_BIND_NOWAIT;
		break;
	}
	case OP_CREATE:
		return raw_create(r, target_text[t], BYTES, 0, NULL, NULL);
	default: {
		struct wire_target *b = frame_init(&f, row->op, 0, 0, sizeof(*b));

		if (row->by == BY_ID)
			b->heap = id;
		else
			name_copy(b->name, target_text[t]);
	}
	}
	status = raw_call(r, &f);
	if (status == STATUS_PARKED) { /* behind events that it has not read */
		do
			status = raw_event(r, &f);
		while (status == 0 && f.header.op != EV_BOUND);
		status = status < 0 ? status : (int)f.header.status;
	}
	frame_close_fds(&f);
	return status;
}

/* In the actor: OWN, OWN_GONE and READS come to be, then each row. 0; -EIO with what is wrong in .text. */
static int run_rows(struct step *s)
{
	struct raw r = RAW_NULL;
	struct wire_bound bound;

	if (raw_connect(&r) < 0 || raw_hello(&r) != STATUS_OK)
		return -ENOTCONN;
	if (raw_create(&r, "own", BYTES, 0, &bound, NULL) != STATUS_OK)
		return -EBADE;
	sheet.id[OWN] = bound.heap;
	if (raw_create(&r, "own-gone", BYTES, 0, &bound, NULL) != STATUS_OK || raw_delete(&r, "own-gone") != STATUS_OK)
		return -EBADE;
	sheet.id[OWN_GONE] = bound.heap;
	if (raw_bind(&r, "reads", ACCESS_READ, &bound, NULL) != STATUS_OK)
		return -EBADE;
	for (size_t i = 0; i < sheet.n; i++)
		for (enum target t = 0; t < N_TARGETS; t++) {
			const struct row *row = &sheet.rows[i];
			int got = row->answer[t] == X ? X : ask(&r, row, t);

			s->value += row->answer[t] != X;
			if (got == row->answer[t])
				continue;
			(void)snprintf(s->text, sizeof(s->text), "row %zu: %s of '%s' by %s: %s, not %s", i, op_text(row->op),
				       target_text[t], row->by == BY_ID ? "id" : "name",
				       got < 0 ? strerror(-got) : status_text((uint32_t)got),
				       status_text((uint32_t)row->answer[t]));
			return -EIO;
		}
	raw_close(&r);
	return 0;
}

static uint64_t id_of(const char *name)
{
	struct wire_entry entry;

	EXPECT(STATUS_OK, watch_heap(name, &entry));
	return entry.heap;
}

/* The owner's. The private one is made right behind the closed one, so its id is the next. */
static struct lane *owner_begin(void)
{
	static const struct {
		enum target t;
		uint32_t perm;
	} named[] = { { READS, 0644 }, { WRITABLE, 0666 }, { READABLE, 0644 }, { GONE, 0666 }, { CLOSED, 0600 } };
	struct raw root = RAW_NULL;
	struct lane *owner;

	story_needs_root();
	heapd_start("");
	owner = lane_new_as(OWNER, OWNER);
	raw_open(&root);
	for (size_t i = 0; i < ARRAY_SIZE(named); i++) {
		const char *name = target_text[named[i].t];

		EXPECT(0, do_create(owner, (int)i, name, BYTES, H_FIFO));
		EXPECT(STATUS_OK, raw_chmod(&root, name, named[i].perm, UINT32_MAX));
		sheet.id[named[i].t] = id_of(name);
		if (named[i].t == GONE)
			EXPECT(0, do_delete(owner, (int)i));
	}
	EXPECT(0, do_create(owner, 20, NULL, BYTES, H_FIFO));
	sheet.id[PRIVATE] = sheet.id[CLOSED] + 1;
	sheet.id[UNKNOWN] = UINT64_C(1) << 40;
	raw_close(&root);
	return owner;
}

static void expect_rows(uid_t uid, const struct row *rows, size_t n)
{
	struct step s;

	sheet.rows = rows;
	sheet.n = n;
	s = lane_run(lane_new_as(uid, uid), (struct step){ .run = run_rows });
	if (s.result)
		print_error("%s\n", s.text);
	EXPECT(0, s.result);
	assert_in_range(s.value, n * N_TARGETS / 2, n * N_TARGETS);
}

static void a_stranger(void)
{
	struct lane *owner = owner_begin();

	expect_rows(STRANGER, stranger_rows, ARRAY_SIZE(stranger_rows));
	/* and its owner finds everything as it was */
	for (int heap = 0; heap < 5; heap++)
		EXPECT(heap == 3 ? -EIDRM : 0, do_alloc(owner, heap, 0, BYTES, SECONDS(60)));
	EXPECT(0, do_alloc(owner, 20, 0, BYTES, TM_NONBLOCK));
}

static void a_program_of_the_owner(void)
{
	struct lane *owner = owner_begin();

	expect_rows(OWNER, sibling_rows, ARRAY_SIZE(sibling_rows));
	EXPECT(-EIDRM, do_alloc(owner, 20, 0, 64, TM_NONBLOCK));
}

/* ---- LIST ---- */

/* .n: the targets that it shows, as bits; .value: how many heaps. */
static int run_list(struct step *s)
{
	struct raw r = RAW_NULL;
	uint64_t cursor = 0;

	if (raw_connect(&r) < 0 || raw_hello(&r) != STATUS_OK)
		return -ENOTCONN;
	s->n = s->value = 0;
	do {
		struct frame f;
		const struct wire_list *list = (const struct wire_list *)(const void *)f.body.bytes;
		struct wire_target *t = frame_init(&f, OP_LIST, 0, 0, sizeof(*t));

		t->cursor = cursor;
		if (raw_call(&r, &f) != STATUS_OK)
			return -EIO;
		for (uint32_t i = 0; i < list->n; i++, s->value++)
			for (enum target k = 0; k < N_TARGETS; k++)
				if (list->entry[i].heap == sheet.id[k])
					s->n |= UINT64_C(1) << k;
		cursor = list->cursor;
	} while (cursor);
	raw_close(&r);
	return 0;
}

static void expect_list(uid_t uid, uint64_t targets, uint64_t n)
{
	struct step s = lane_run(lane_new_as(uid, uid), (struct step){ .run = run_list });

	EXPECT(0, s.result);
	assert_int_equal(targets, s.n);
	assert_int_equal(n, s.value);
}

#define BIT(t) (UINT64_C(1) << (t))

static void what_a_list_shows(void)
{
	const uint64_t open = BIT(READS) | BIT(WRITABLE) | BIT(READABLE) | BIT(GONE);

	(void)owner_begin();
	sheet.id[OWN] = sheet.id[OWN_GONE] = 0;
	expect_list(STRANGER, open, 4);
	expect_list(OWNER, open | BIT(CLOSED) | BIT(PRIVATE), 6);
	expect_list(0, open | BIT(CLOSED) | BIT(PRIVATE), 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_stranger),
		STORY(a_program_of_the_owner),
		STORY(what_a_list_shows),
	};

	return cmocka_run_group_tests_name("rights", tests, NULL, NULL);
}
