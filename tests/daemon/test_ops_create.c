/* CREATE, DELETE, CHMOD: rights, quotas, names, and what happens in the middle of a commit. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include "tests/daemon/stage.h"

#define ALICE 1001
#define BOB 1002
#define PAGE ((uint64_t)HW_PAGE_SIZE)

static struct stage st;

static int setup(_unused_ void **state)
{
	stage_init(&st);
	return 0;
}

static int teardown(_unused_ void **state)
{
	stage_close(&st);
	return 0;
}

static uint32_t create_kind(struct player *p, const char *name, uint32_t mode, uint32_t kind,
			    uint32_t flags)
{
	struct wire_create c = {
		.size = PAGE,
		.mode = mode,
		.kind = kind,
		.perm = WIRE_PERM_DEFAULT,
		.gid = WIRE_GID_DEFAULT,
		.flags = flags,
	};

	name_copy(c.name, name);
	return ask_create_full(p, &c);
}

static void what_is_created(_unused_ void **state)
{
	struct player *p;
	struct frame f;
	struct wire_bound *b = FRAME_BODY(&f, struct wire_bound);
	struct stat stat;
	int fd;

	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	assert_int_equal(STATUS_PARKED, ask_create(p, "pool", 3 * PAGE + 1, WIRE_MODE_PRIO));
	assert_int_equal(1, stage_jobs());
	assert_int_equal(0, p->n_events);
	assert_int_equal(STATE_COMMITTING, TAILQ_FIRST(&st.world.heaps.all)->state);
	stage_commit(&st, 0);
	assert_int_equal(1, TAILQ_FIRST(&p->events)->n_fds);
	assert_true(TAILQ_FIRST(&p->events)->fd_writable);
	player_take(p, EV_BOUND, &f);
	assert_int_equal(p->last_id, f.header.id);
	assert_int_equal(3 * PAGE + 1, b->size);
	assert_int_equal(4 * PAGE, b->usable);
	assert_int_equal(WIRE_MODE_PRIO, b->mode);
	assert_int_equal(KIND_HEAP, b->kind);
	assert_int_equal(ACCESS_WRITE, b->access);
	assert_string_equal("pool", b->name);
	assert_int_equal(1, b->n_runs);
	assert_int_equal(0, b->runs[0].first);
	assert_int_equal(4, b->runs[0].n);
	assert_int_equal(STATE_LIVE, atomic_load(&control_of(p, b->heap)->state));
	assert_int_equal(1, atomic_load(&control_of(p, b->heap)->n_bound));

	/* the file cannot be bent */
	fd = heap_of(p, b->heap)->arena->job.fd;
	assert_int_equal(0, fstat(fd, &stat));
	assert_int_equal(0600, stat.st_mode & 07777);
	assert_int_equal(4 * PAGE, stat.st_size);
	assert_int_equal(F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL,
			 fcntl(fd, F_GET_SEALS) & (F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL));
	assert_int_equal(-1, ftruncate(fd, 0));
	assert_int_equal(FD_CLOEXEC, fcntl(fd, F_GETFD));
}

static void modes_and_kinds(_unused_ void **state)
{
	struct player *p;

	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	assert_int_equal(STATUS_INVALID, create_kind(p, "a", WIRE_MODE_MAPPABLE, KIND_HEAP, 0));
	assert_int_equal(STATUS_INVALID, create_kind(p, "a", WIRE_MODE_SINGLE, KIND_REGION, 0));
	assert_int_equal(STATUS_INVALID, create_kind(p, "", WIRE_MODE_SINGLE | WIRE_MODE_MAPPABLE,
						     KIND_SEGMENT, 0));
	assert_int_equal(STATUS_INVALID, create_kind(p, "a", 0, KIND_PARTITION, 0));
	assert_int_equal(STATUS_INVALID, create_kind(p, "", 0, KIND_HEAP, WIRE_CREATE_UNBOUND));
	assert_int_equal(STATUS_UNSUPPORTED, create_kind(p, "a", WIRE_MODE_DMA, KIND_HEAP, 0));
	assert_int_equal(STATUS_UNSUPPORTED,
			 create_kind(p, "a", WIRE_MODE_NONCACHED, KIND_HEAP, 0));
	assert_int_equal(0, stage_jobs());
	assert_int_equal(0, st.world.heaps.n);
	assert_int_equal(STATUS_PARKED, create_kind(p, "a", WIRE_MODE_SINGLE, KIND_SEGMENT, 0));
	assert_int_equal(STATUS_PARKED, create_kind(p, "b", WIRE_MODE_SINGLE | WIRE_MODE_MAPPABLE,
						    KIND_SEGMENT, 0));
	assert_int_equal(STATUS_PARKED, create_kind(p, "", WIRE_MODE_SINGLE, KIND_SEGMENT, 0));
	assert_int_equal(STATUS_PARKED, create_kind(p, "", 0, KIND_PARTITION, 0));
	assert_int_equal(STATUS_PARKED, create_kind(p, "", 0, KIND_REGION, 0));
	assert_int_equal(STATUS_PARKED, create_kind(p, "", 0, KIND_POOL, 0));
	stage_commit_all(&st);
	assert_int_equal(6, p->n_events);
}

static void a_segment_has_no_pages(_unused_ void **state)
{
	struct player *p;
	struct frame f;
	struct wire_bound *b = FRAME_BODY(&f, struct wire_bound);

	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	(void)create_heap(p, "seg", 4, WIRE_MODE_SINGLE | WIRE_MODE_MAPPABLE, &f);
	assert_int_equal(KIND_SEGMENT, b->kind);
	assert_int_equal(0, b->n_runs);
	assert_int_equal(STATUS_INVALID, ask_refill(p, b->heap, 1, 0));
	assert_int_equal(STATUS_INVALID, ask_free(p, b->heap, 0));
	assert_int_equal(0, send_return(p, b->heap, 0, 0, 0, false));
	assert_int_equal(-EPROTO, send_return(p, b->heap, 0, 0, 1, false));
}

static void sizes(_unused_ void **state)
{
	struct player *p;

	st.config.max_size = 8 * PAGE;
	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	assert_int_equal(STATUS_INVALID, ask_create(p, "a", 8 * PAGE + 1, 0));
	assert_int_equal(STATUS_INVALID, ask_create(p, "a", UINT64_MAX, 0));
	assert_int_equal(STATUS_PARKED, ask_create(p, "a", 8 * PAGE, 0));
	assert_int_equal(STATUS_PARKED, ask_create(p, "b", 1, 0));
}

static void names_are_taken_from_the_start(_unused_ void **state)
{
	struct player *p, *q;
	uint64_t id;

	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	q = player_join(&st, BOB, 100);
	assert_int_equal(STATUS_PARKED, ask_create(p, "pool", PAGE, 0));
	assert_int_equal(STATUS_EXISTS, ask_create(q, "pool", PAGE, 0));
	stage_commit(&st, 0);
	assert_int_equal(STATUS_EXISTS, ask_create(q, "pool", PAGE, 0));
	id = TAILQ_FIRST(&st.world.heaps.all)->facts.id;
	assert_int_equal(STATUS_OK, ask_target(p, OP_DELETE, 0, "pool", 0));
	assert_int_equal(STATUS_PARKED, ask_create(q, "pool", PAGE, 0));
	assert_true(st.world.heaps.last_id > id);
}

static void a_failed_commit(_unused_ void **state)
{
	static const struct {
		int result;
		uint32_t status;
	} ends[] = {
		{ -ENOMEM, STATUS_NO_MEMORY },
		{ -ENOSPC, STATUS_NO_MEMORY },
		{ -EIO, STATUS_NO_MEMORY },
		{ -EMFILE, STATUS_NO_FILES },
	};
	struct player *p, *q;
	struct frame f;

	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	q = player_join(&st, ALICE, 100);
	assert_int_equal(STATUS_PARKED, ask_bind(q, "pool", ACCESS_WRITE, 0));
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		assert_int_equal(STATUS_PARKED, ask_create(p, "pool", PAGE, 0));
		stage_commit(&st, ends[i].result);
		player_take(p, EV_BOUND, &f);
		assert_int_equal(p->last_id, f.header.id);
		assert_int_equal(ends[i].status, f.header.status);
		assert_int_equal(0, st.world.heaps.n);
		assert_int_equal(0, accounts_used(&st.world.accounts, ALICE, RESOURCE_BYTES));
	}
	assert_int_equal(0, q->n_events); /* it waits on */
	(void)create_heap(p, "pool", 1, 0, NULL);
	stage_work(&st);
	player_take(q, EV_BOUND, &f);
	assert_int_equal(STATUS_OK, f.header.status);
}

static void the_creator_dies_in_the_middle(_unused_ void **state)
{
	struct player *p, *q;
	struct frame f;

	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	q = player_join(&st, ALICE, 100);
	assert_int_equal(STATUS_PARKED, ask_create(p, "pool", PAGE, 0));
	assert_int_equal(STATUS_PARKED, ask_bind(q, "pool", ACCESS_WRITE, 0));
	player_leave(p);
	assert_int_equal(0, st.world.heaps.n);
	/* the memory is charged until the commit lets go of it */
	assert_int_equal(PAGE, accounts_used(&st.world.accounts, ALICE, RESOURCE_BYTES));
	assert_int_equal(STATUS_PARKED, ask_create(q, "pool", PAGE, 0));
	stage_commit(&st, 0);
	assert_int_equal(0, q->n_events);
	stage_commit(&st, 0);
	player_take(q, EV_BOUND, &f);
	assert_int_equal(q->last_id, f.header.id);
	stage_work(&st);
	player_take(q, EV_BOUND, &f); /* its own parked bind */
	assert_int_equal(STATUS_BOUND, f.header.status);
	assert_int_equal(PAGE, accounts_used(&st.world.accounts, ALICE, RESOURCE_BYTES));
}

static void cancelled_in_the_middle(_unused_ void **state)
{
	struct player *p;

	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	assert_int_equal(STATUS_PARKED, ask_create(p, "pool", PAGE, 0));
	assert_int_equal(STATUS_OK, ask_cancel(p, p->last_id));
	assert_int_equal(STATUS_LATE, ask_cancel(p, 1));
	assert_int_equal(STATUS_PARKED, ask_create(p, "pool", PAGE, 0));
	stage_commit_all(&st);
	assert_int_equal(1, p->n_events);
	assert_int_equal(STATUS_LATE, ask_cancel(p, 3));
}

static void deleted_in_the_middle(_unused_ void **state)
{
	struct player *p, *q;
	struct frame f;

	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	q = player_join(&st, ALICE, 100);
	assert_int_equal(STATUS_PARKED, ask_create(p, "pool", PAGE, 0));
	assert_int_equal(STATUS_OK, ask_target(q, OP_DELETE, 0, "pool", 0));
	player_take(p, EV_BOUND, &f);
	assert_int_equal(STATUS_REMOVED, f.header.status);
	assert_int_equal(STATUS_MISSING, ask_target(q, OP_DELETE, 0, "pool", 0));
	stage_commit_all(&st);
	assert_int_equal(0, p->n_events);
	assert_int_equal(0, accounts_used(&st.world.accounts, ALICE, RESOURCE_BYTES));
}

static void for_nobody(_unused_ void **state)
{
	struct player *p;
	struct frame f;
	struct wire_bound *b = FRAME_BODY(&f, struct wire_bound);

	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	assert_int_equal(STATUS_PARKED, create_kind(p, "pool", 0, KIND_HEAP, WIRE_CREATE_UNBOUND));
	stage_commit(&st, 0);
	player_take(p, EV_BOUND, &f);
	assert_int_equal(STATUS_OK, f.header.status);
	assert_int_equal(UINT32_MAX, b->slot);
	assert_int_equal(0, b->n_runs);
	assert_null(session_binding(p->session, b->heap));
	player_leave(p);
	assert_int_equal(1, st.world.heaps.n); /* it stays */
}

static void who_may_create(_unused_ void **state)
{
	struct player *in, *also, *out, *root;

	st.config.create_all = false;
	st.config.create_group = 77;
	stage_open(&st);
	in = player_join(&st, ALICE, 77);
	also = player_join(&st, ALICE, 100);
	player_add_group(also, 5);
	player_add_group(also, 77);
	out = player_join(&st, BOB, 100);
	root = player_join(&st, 0, 0);
	assert_int_equal(STATUS_PARKED, ask_create(in, "a", PAGE, 0));
	assert_int_equal(STATUS_PARKED, ask_create(also, "b", PAGE, 0));
	assert_int_equal(STATUS_DENIED, ask_create(out, "c", PAGE, 0));
	assert_int_equal(STATUS_DENIED, ask_create(out, NULL, PAGE, 0));
	assert_int_equal(STATUS_PARKED, ask_create(root, "d", PAGE, 0));
}

static void add_rule(const char *glob, int mode, int group)
{
	struct heap_rule *rule = calloc(1, sizeof(*rule));

	assert_non_null(rule);
	rule->glob = strdup(glob);
	rule->has_mode = mode >= 0;
	rule->mode = (mode_t)mode;
	rule->has_group = group >= 0;
	rule->group = (gid_t)group;
	STAILQ_INSERT_TAIL(&st.config.rules, rule, link);
}

static const struct heap_facts *facts_of(struct player *p, const char *name)
{
	struct heap *h = namespace_heap(&p->stage->world.names, name);

	assert_non_null(h);
	return &h->facts;
}

static void rules_give_rights(_unused_ void **state)
{
	struct wire_create c = {
		.size = PAGE,
		.kind = KIND_HEAP,
		.perm = 0640,
		.gid = 55,
	};
	struct player *p, *root;

	add_rule("plain.*", -1, -1);
	add_rule("*.*", 0660, 42);
	add_rule("s*", -1, 43);
	st.config.default_mode = 0600;
	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	player_add_group(p, 55);
	root = player_join(&st, 0, 0);

	(void)ask_create(p, "plain.x", PAGE, 0);
	assert_int_equal(0600, facts_of(p, "plain.x")->perm);
	assert_int_equal(100, facts_of(p, "plain.x")->gid);
	assert_int_equal(ALICE, facts_of(p, "plain.x")->uid);
	(void)ask_create(p, "s.x", PAGE, 0);
	assert_int_equal(0660, facts_of(p, "s.x")->perm);
	assert_int_equal(42, facts_of(p, "s.x")->gid);
	(void)ask_create(p, "sx", PAGE, 0);
	assert_int_equal(0600, facts_of(p, "sx")->perm);
	assert_int_equal(43, facts_of(p, "sx")->gid);

	/* what the creator says wins */
	name_copy(c.name, "own.x");
	assert_int_equal(STATUS_PARKED, ask_create_full(p, &c));
	assert_int_equal(0640, facts_of(p, "own.x")->perm);
	assert_int_equal(55, facts_of(p, "own.x")->gid);
	name_copy(c.name, "other");
	c.gid = 56;
	assert_int_equal(STATUS_DENIED, ask_create_full(p, &c));
	assert_int_equal(STATUS_PARKED, ask_create_full(root, &c));
	assert_int_equal(56, facts_of(p, "other")->gid);
}

static void quotas(_unused_ void **state)
{
	struct player *p, *q, *root;
	uint64_t refused;

	st.config.limits.heaps = 2;
	st.config.limits.bytes = 10 * PAGE;
	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	q = player_join(&st, BOB, 100);
	root = player_join(&st, 0, 0);
	assert_int_equal(STATUS_QUOTA, ask_create(p, "a", 10 * PAGE + 1, 0));
	assert_int_equal(STATUS_PARKED, ask_create(p, "a", 6 * PAGE, 0));
	assert_int_equal(STATUS_QUOTA, ask_create(p, "b", 5 * PAGE, 0));
	assert_int_equal(STATUS_PARKED, ask_create(q, "b", 5 * PAGE, 0)); /* another user */
	assert_int_equal(STATUS_PARKED, ask_create(p, "c", 4 * PAGE, 0));
	assert_int_equal(STATUS_QUOTA, ask_create(p, "d", 1, 0));
	refused = st.world.accounts.refused;
	assert_int_equal(3, refused);
	for (int i = 0; i < 5; i++) {
		char name[8];

		(void)snprintf(name, sizeof(name), "r%d", i);
		assert_int_equal(STATUS_PARKED, ask_create(root, name, 20 * PAGE, 0));
	}
	stage_commit_all(&st);

	/* a deleted heap is paid for as long as somebody is bound to it */
	assert_int_equal(STATUS_OK, ask_target(p, OP_DELETE, 0, "a", 0));
	assert_int_equal(STATUS_QUOTA, ask_create(p, "d", 1, 0));
	assert_int_equal(STATUS_OK, ask_heap(p, OP_UNBIND, 1));
	assert_int_equal(STATUS_PARKED, ask_create(p, "d", 1, 0));
}

static void no_slot(_unused_ void **state)
{
	struct player *p;
	struct frame f;
	uint32_t slot;

	stage_open(&st);
	st.unchecked = true;
	p = player_join(&st, 0, 0);
	for (uint32_t i = 0; i < WIRE_SLOTS; i++)
		assert_int_equal(0, areas_take_slot(&p->session->areas, &slot));
	assert_int_equal(STATUS_PARKED, ask_create(p, "pool", PAGE, 0));
	stage_commit(&st, 0);
	player_take(p, EV_BOUND, &f);
	assert_int_equal(STATUS_QUOTA, f.header.status);
	assert_int_equal(0, st.world.heaps.n);
}

/* ---- DELETE ---- */

static void deletion_reaches_everybody(_unused_ void **state)
{
	struct player *p, *q;
	struct frame f;
	uint64_t id;

	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	q = player_join(&st, ALICE, 100);
	id = create_heap(p, "pool", 4, 0, NULL);
	assert_int_equal(id, bind_heap(q, "pool", ACCESS_WRITE));
	assert_int_equal(STATUS_PARKED, ask_refill(q, id, 1, 0));
	player_forget_events(p);
	assert_int_equal(STATUS_OK, ask_target(q, OP_DELETE, id, NULL, 0));
	assert_int_equal(STATE_DELETED, atomic_load(&control_of(p, id)->state));
	assert_int_equal(STATE_DELETED, atomic_load(&control_of(q, id)->state));
	player_take(p, EV_DELETED, &f);
	assert_int_equal(id, FRAME_BODY(&f, struct wire_deleted)->heap);
	player_take(q, EV_DELETED, &f);
	assert_int_equal(0, p->n_events + q->n_events); /* nothing about the refill */
	assert_int_equal(STATUS_REMOVED, ask_refill(q, id, 1, 0));
	assert_int_equal(STATUS_REMOVED, ask_heap(q, OP_INQUIRE, id));
	assert_int_equal(STATUS_REMOVED, ask_free(q, id, 0));
	assert_int_equal(STATUS_REMOVED, ask_target(q, OP_DELETE, id, NULL, 0));
	assert_int_equal(STATUS_MISSING, ask_bind(q, "pool", ACCESS_WRITE, WIRE_BIND_NOWAIT));
	assert_int_equal(0, send_return(p, id, 0, 0, 2, false));
	assert_int_equal(4 * PAGE, st.world.heaps.bytes);
	assert_int_equal(STATUS_OK, ask_heap(q, OP_UNBIND, id));
	assert_int_equal(1, st.world.heaps.n);
	assert_int_equal(STATUS_OK, ask_heap(p, OP_UNBIND, id));
	assert_int_equal(0, st.world.heaps.n);
	assert_int_equal(STATUS_MISSING, ask_target(q, OP_DELETE, id, NULL, 0));
}

static void a_local_heap_ends_with_its_session(_unused_ void **state)
{
	struct player *p, *q, *stranger;
	uint64_t id, other;

	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	q = player_join(&st, ALICE, 100);
	stranger = player_join(&st, BOB, 100);
	id = create_heap(p, NULL, 4, 0, NULL);
	other = create_heap(p, NULL, 4, 0, NULL);
	assert_int_equal(p->session->id, heap_of(p, id)->facts.session);
	assert_int_equal(STATUS_MISSING, ask_target(stranger, OP_DELETE, id, NULL, 0));
	assert_int_equal(STATUS_OK, ask_heap(p, OP_UNBIND, id));
	assert_int_equal(STATUS_MISSING, ask_heap(p, OP_UNBIND, id));
	assert_int_equal(STATUS_OK,
			 ask_target(q, OP_INSPECT, other, NULL, 0)); /* the same user sees it */
	player_leave(p);
	assert_int_equal(0, st.world.heaps.n);
	assert_int_equal(STATUS_MISSING, ask_target(q, OP_INSPECT, other, NULL, 0));
}

static void who_may_delete(_unused_ void **state)
{
	struct wire_create c = {.size = PAGE, .kind = KIND_HEAP, .gid = WIRE_GID_DEFAULT};
	static const struct {
		uint32_t perm;
		uid_t uid;
		gid_t gid;
		uint32_t status;
	} cases[] = {
		{ 0600, ALICE, 100, STATUS_OK },
		{ 0400, ALICE, 100, STATUS_NOT_OWNER }, /* may not write to it */
		{ 0200, ALICE, 100, STATUS_OK },
		{ 0666, BOB, 100, STATUS_NOT_OWNER },
		{ 0660, BOB, 100, STATUS_NOT_OWNER },
		{ 0600, BOB, 100, STATUS_MISSING }, /* does not even see it */
		{ 0600, 0, 0, STATUS_OK },
		{ 0000, 0, 0, STATUS_OK },
	};

	stage_open(&st);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct player *p = player_join(&st, ALICE, 100),
			      *q = player_join(&st, cases[i].uid, cases[i].gid);
		uint64_t id;

		c.perm = cases[i].perm;
		name_copy(c.name, "pool");
		assert_int_equal(STATUS_PARKED, ask_create_full(p, &c));
		stage_commit_all(&st);
		id = st.world.heaps.last_id;
		assert_int_equal(cases[i].status, ask_target(q, OP_DELETE, i % 2 ? id : 0,
							     i % 2 ? NULL : "pool", 0));
		if (cases[i].status !=
		    STATUS_OK) /* its creator is bound for writing, whatever the bits say */
			assert_int_equal(STATUS_OK, ask_target(p, OP_DELETE, id, NULL, 0));
		player_leave(p);
		player_leave(q);
	}
}

static void owner_and_mode_change(_unused_ void **state)
{
	struct player *p, *q, *root;
	struct wire_chmod c = {.perm = 0660, .uid = UINT32_MAX, .gid = UINT32_MAX};
	uint64_t id;

	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	player_add_group(p, 55);
	q = player_join(&st, BOB, 55);
	root = player_join(&st, 0, 0);
	id = create_heap(p, "pool", 1, 0, NULL);
	c.heap = id;
	assert_int_equal(STATUS_MISSING, ask_chmod(q, &c));
	assert_int_equal(STATUS_OK, ask_chmod(p, &c));
	assert_int_equal(0660, heap_of(p, id)->facts.perm);
	c.perm = WIRE_PERM_DEFAULT;
	c.gid = 55;
	assert_int_equal(STATUS_OK, ask_chmod(p, &c));
	assert_int_equal(55, heap_of(p, id)->facts.gid);
	assert_int_equal(0660, heap_of(p, id)->facts.perm);
	assert_int_equal(STATUS_NOT_OWNER, ask_chmod(q, &c)); /* sees it now, owns it not */
	c.gid = 56;
	assert_int_equal(STATUS_NOT_OWNER, ask_chmod(p, &c));
	c.gid = UINT32_MAX;
	c.uid = BOB;
	assert_int_equal(STATUS_NOT_OWNER, ask_chmod(p, &c));
	c.gid = 56;
	assert_int_equal(STATUS_OK, ask_chmod(root, &c));
	assert_int_equal(BOB, heap_of(p, id)->facts.uid);
	assert_int_equal(56, heap_of(p, id)->facts.gid);
	assert_int_equal(STATUS_MISSING, ask_chmod(p, &c)); /* no right left */
	c = (struct wire_chmod){.perm = 0600, .uid = UINT32_MAX, .gid = UINT32_MAX};
	name_copy(c.name, "pool");
	assert_int_equal(STATUS_OK, ask_chmod(q, &c));
	name_copy(c.name, "loop");
	assert_int_equal(STATUS_MISSING, ask_chmod(q, &c));
	c = (struct wire_chmod){.heap = id, .perm = 0600, .uid = UINT32_MAX, .gid = UINT32_MAX};
	assert_int_equal(STATUS_OK, ask_target(root, OP_DELETE, id, NULL, 0));
	assert_int_equal(STATUS_REMOVED, ask_chmod(root, &c));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_created),
		TEST(modes_and_kinds),
		TEST(a_segment_has_no_pages),
		TEST(sizes),
		TEST(names_are_taken_from_the_start),
		TEST(a_failed_commit),
		TEST(the_creator_dies_in_the_middle),
		TEST(cancelled_in_the_middle),
		TEST(deleted_in_the_middle),
		TEST(for_nobody),
		TEST(who_may_create),
		TEST(rules_give_rights),
		TEST(quotas),
		TEST(no_slot),
		TEST(deletion_reaches_everybody),
		TEST(a_local_heap_ends_with_its_session),
		TEST(who_may_delete),
		TEST(owner_and_mode_change),
	};

	return cmocka_run_group_tests_name("create", tests, NULL, NULL);
}
