/*
 * Story: every request about every kind of heap, by users who may and who may not
 *
 * The table says what each asker is told. Requests that are about no single heap have tests of their own; there is none in
 * the protocol that is in neither (every_request_is_here). What is not to be seen is answered as what does not exist.
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

/* ---- REGIONS ---- */

#define CREATORS 64001 /* who may create heaps, and so attach what is no group's */
#define MEMBERS 64002  /* the group of every second region */
#define N_REGIONS (2 * WIRE_REGIONS_MAX + 7) /* more than one reply for whoever sees half of them */

enum { ODD = 1, EVEN = 2 };

static void name_region(char *name, uint64_t i)
{
	(void)snprintf(name, WIRE_NAME_SIZE, "region%llu", (unsigned long long)i);
}

static int attach(struct raw *r, const char *name)
{
	struct frame f;
	struct wire_create *c = frame_init(&f, OP_CREATE, 0, 0, sizeof(*c));
	int status;

	name_copy(c->name, name);
	c->size = 1;
	c->kind = KIND_REGION;
	c->perm = WIRE_PERM_DEFAULT;
	c->gid = WIRE_GID_DEFAULT;
	c->flags = WIRE_CREATE_CONFIGURED;
	status = raw_call(r, &f);
	if (status == STATUS_PARKED)
		status = raw_event(r, &f) < 0 ? -EIO : (int)f.header.status;
	frame_close_fds(&f);
	return status;
}

/* One reply. How many there are in it that the asker may not see; *next: the next region that it may. */
static int check_regions(struct raw *r, uint64_t *cursor, uint64_t *next, unsigned sees)
{
	struct frame f;
	const struct wire_regions *list = FRAME_BODY(&f, const struct wire_regions);
	struct wire_target *t = frame_init(&f, OP_REGIONS, 0, 0, sizeof(*t));
	char name[WIRE_NAME_SIZE];

	t->cursor = *cursor;
	if (raw_call(r, &f) != STATUS_OK)
		return -EIO;
	for (uint32_t i = 0; i < list->n; i++, ++*next) {
		while (*next < N_REGIONS && !(sees & (*next % 2 ? ODD : EVEN)))
			++*next;
		name_region(name, *next);
		if (strcmp(name, list->region[i].name) != 0 || list->region[i].size != 4096 * (*next % 3 + 1) ||
		    list->region[i].backing != BACKING_MEMORY || list->region[i].attribute != WIRE_CACHEABLE)
			return -EACCES;
	}
	*cursor = list->cursor;
	return 0;
}

/* .n: what it may see. Walks them as a client does; then from every cursor, also ones that it was never told. */
static int run_regions(struct step *s)
{
	const unsigned sees = (unsigned)s->n;
	uint64_t cursor = 0, next = 0;
	struct raw r = RAW_NULL;
	int status = 0;

	if (raw_connect(&r) < 0 || raw_hello(&r) != STATUS_OK)
		return -ENOTCONN;
	do
		status = check_regions(&r, &cursor, &next, sees);
	while (status == 0 && cursor);
	while (next < N_REGIONS && !(sees & (next % 2 ? ODD : EVEN)))
		next++;
	if (status == 0 && next != N_REGIONS)
		status = -ENOENT; /* it was not shown all */
	for (uint64_t from = 0; status == 0 && from <= N_REGIONS + 1; from++) {
		cursor = next = from;
		status = check_regions(&r, &cursor, &next, sees);
	}
	cursor = next = UINT64_MAX;
	if (status == 0)
		status = check_regions(&r, &cursor, &next, sees);
	/* and it may have what it is shown */
	if (status == 0 && attach(&r, "region0") != (sees & EVEN ? STATUS_OK : STATUS_DENIED))
		status = -EBADE;
	if (status == 0 && attach(&r, "region1") != (sees & ODD ? STATUS_OK : STATUS_DENIED))
		status = -EBADR;
	if (status == 0 && attach(&r, "region") != STATUS_MISSING)
		status = -EBADSLT;
	raw_close(&r);
	return status;
}

/* Those of a group are its members', the others those who may create heaps; root sees all. */
static void what_regions_show(void)
{
	static const struct {
		uid_t uid;
		gid_t gid;
		unsigned sees;
	} asker[] = {
		{ 0, 0, EVEN | ODD },
		{ STRANGER, STRANGER, 0 },
		{ STRANGER, CREATORS, EVEN },
		{ STRANGER, MEMBERS, ODD },
		{ OWNER, MEMBERS, ODD },
	};
	static char config[N_REGIONS * 64 + 64];
	size_t n = (size_t)snprintf(config, sizeof(config), "[heaps]\ncreate = %d\n", CREATORS);

	story_needs_root();
	for (uint64_t i = 0; i < N_REGIONS; i++) {
		char name[WIRE_NAME_SIZE];

		name_region(name, i);
		n += (size_t)snprintf(config + n, sizeof(config) - n, "[region \"%s\"]\nsize = %dK\n", name,
				      (int)(i % 3 + 1) * 4);
		if (i % 2)
			n += (size_t)snprintf(config + n, sizeof(config) - n, "group = %d\n", MEMBERS);
	}
	heapd_start(config);
	for (size_t i = 0; i < ARRAY_SIZE(asker); i++) {
		struct lane *l = lane_new_as(asker[i].uid, asker[i].gid);

		EXPECT(0, lane_run(l, (struct step){ .run = run_regions, .n = asker[i].sees }).result);
	}
}

/* ---- requests of a session about itself ---- */

/* What another has parked is not there to be taken back. */
static void cancel_of_anothers(void)
{
	struct raw a = RAW_NULL, b = RAW_NULL;
	struct frame f;
	struct wire_bind *bind = frame_init(&f, OP_BIND, 0, 0, sizeof(*bind));
	uint32_t id;

	heapd_start("");
	raw_open(&a);
	raw_open(&b);
	name_copy(bind->name, "later");
	bind->access = ACCESS_WRITE;
	EXPECT(STATUS_PARKED, raw_call(&a, &f));
	id = f.header.id;
	for (uint32_t i = id > 3 ? id - 3 : 1; i < id + 3; i++) {
		((struct wire_cancel *)frame_init(&f, OP_CANCEL, 0, 0, sizeof(struct wire_cancel)))->id = i;
		EXPECT(STATUS_LATE, raw_call(&b, &f));
	}
	assert_int_equal(1, watch_stat().parked_binds);
	((struct wire_cancel *)frame_init(&f, OP_CANCEL, 0, 0, sizeof(struct wire_cancel)))->id = id;
	EXPECT(STATUS_OK, raw_call(&a, &f));
	raw_close(&a);
	raw_close(&b);
}

/* Who has not come back from another heapd has nothing to tell: of its own heap as little as of another's. */
static void resume_out_of_place(void)
{
	struct raw a = RAW_NULL, b = RAW_NULL;
	struct wire_bound bound;
	int fd = -1;

	log_allow("request out of place");
	heapd_start("");
	raw_open(&a);
	EXPECT(STATUS_OK, raw_create(&a, "own", BYTES, 0, &bound, &fd));
	for (int i = 0; i < 3; i++) {
		struct frame f;
		struct wire_resume *body = frame_init(&f, OP_RESUME, 0, 0, sizeof(*body));

		raw_open(&b);
		if (i == 0) {
			body->heap = bound.heap;
			body->flags = WIRE_RESUME_ALL;
		} else if (i == 1) {
			body->flags = WIRE_RESUME_END;
		} else {
			body->heap = UINT64_C(1) << 40;
		}
		assert_true(raw_call(&b, &f) < 0);
		assert_true(raw_hung_up(b.call));
		raw_close(&b);
	}
	assert_int_equal(1, watch_bound("own"));
	assert_int_equal(BYTES, watch_granted("own"));
	close_fd(&fd);
	raw_close(&a);
}

/* ---- that nothing is left out ---- */

static void every_request_is_here(void)
{
	static const uint16_t apart[] = {
		OP_HELLO, OP_PING, OP_STAT,       /* show nothing of any heap */
		OP_LIST, OP_REGIONS,              /* what_a_list_shows, what_regions_show */
		OP_CANCEL, OP_RESUME,             /* cancel_of_anothers, resume_out_of_place */
	};

	for (uint16_t op = OP_HELLO; op < OP_CALL_COUNT; op++) {
		bool found = false;

		for (size_t i = 0; i < ARRAY_SIZE(stranger_rows); i++)
			found = found || stranger_rows[i].op == op;
		for (size_t i = 0; i < ARRAY_SIZE(apart); i++)
			found = found || apart[i] == op;
		if (!found)
			print_error("%s is in no table\n", op_text(op));
		assert_true(found);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(every_request_is_here),
		STORY(a_stranger),
		STORY(a_program_of_the_owner),
		STORY(what_a_list_shows),
		STORY(what_regions_show),
		STORY(cancel_of_anothers),
		STORY(resume_out_of_place),
	};

	return cmocka_run_group_tests_name("rights", tests, NULL, NULL);
}
