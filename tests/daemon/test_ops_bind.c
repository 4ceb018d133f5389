/* BIND and UNBIND: who may, who waits, and what comes in which order. */
#include <stdio.h>
#include "tests/daemon/stage.h"

#define ALICE 1001
#define BOB 1002
#define PAGE ((uint64_t)HW_PAGE_SIZE)

static struct stage st;

static int setup(_unused_ void **state)
{
	stage_init(&st);
	stage_open(&st);
	return 0;
}

static int teardown(_unused_ void **state)
{
	stage_close(&st);
	return 0;
}

/* ---- rights ---- */

enum who { OWNER, PRIMARY, SUPPLEMENTARY, OTHER, ROOT, N_WHO };

/* What the mode bits say, worked out by hand, for every mode, everybody, and every wish. */
static uint32_t due(uint32_t perm, enum who who, uint32_t asked)
{
	static const unsigned shift[] = {
		[OWNER] = 6, [PRIMARY] = 3, [SUPPLEMENTARY] = 3, [OTHER] = 0};
	uint32_t bits = who == ROOT ? 6 : perm >> shift[who] & 7;
	bool r = bits & 4, w = bits & 2;

	switch (asked) {
	case ACCESS_READ:
		return r ? ACCESS_READ : 0;
	case ACCESS_WRITE:
		return w ? ACCESS_WRITE : 0;
	default:
		return w ? ACCESS_WRITE : r ? ACCESS_READ : 0;
	}
}

static void everybody_and_every_mode(_unused_ void **state)
{
	struct player *creator = player_join(&st, ALICE, 50), *p[N_WHO];
	uint64_t id = create_heap(creator, "pool", 1, 0, NULL);

	p[OWNER] = player_join(&st, ALICE, 100); /* the owner's bits count, not the group's */
	p[PRIMARY] = player_join(&st, BOB, 100);
	p[SUPPLEMENTARY] = player_join(&st, BOB, 7);
	player_add_group(p[SUPPLEMENTARY], 8);
	player_add_group(p[SUPPLEMENTARY], 100);
	p[OTHER] = player_join(&st, BOB, 7);
	p[ROOT] = player_join(&st, 0, 7);
	st.unchecked = true;
	heap_of(creator, id)->facts.gid = 100;
	for (uint32_t perm = 0; perm <= 0666; perm++) {
		if (perm & 0111)
			continue;
		heap_of(creator, id)->facts.perm = perm;
		for (int who = 0; who < N_WHO; who++) {
			for (uint32_t asked = ACCESS_READ; asked <= ACCESS_BEST; asked++) {
				uint32_t access = due(perm, (enum who)who, asked), r;

				r = ask_bind(p[who], "pool", asked, WIRE_BIND_NOWAIT);
				assert_int_equal(access ? STATUS_OK : STATUS_DENIED, r);
				if (!access)
					continue;
				assert_int_equal(access, REPLY(p[who], wire_bound)->access);
				assert_int_equal(access == ACCESS_WRITE, p[who]->reply_fd_writable);
				assert_int_equal(STATUS_OK, ask_heap(p[who], OP_UNBIND, id));
			}
			assert_int_equal(due(perm, (enum who)who, ACCESS_BEST) || who == OWNER
						 ? STATUS_OK
						 : STATUS_MISSING,
					 ask_target(p[who], OP_INSPECT, 0, "pool", 0));
		}
	}
	stage_check(&st);
}

static void bound_once(_unused_ void **state)
{
	struct player *p = player_join(&st, ALICE, 100);
	uint64_t id = create_heap(p, "pool", 1, 0, NULL);

	assert_int_equal(STATUS_BOUND, ask_bind(p, "pool", ACCESS_WRITE, 0));
	assert_int_equal(id, REPLY(p, wire_bound)->heap);
	assert_int_equal(0, p->reply.frame.n_fds);
	assert_int_equal(STATUS_OK, ask_heap(p, OP_UNBIND, id));
	assert_int_equal(STATUS_OK, ask_bind(p, "pool", ACCESS_WRITE, 0));
	assert_int_equal(1, REPLY(p, wire_bound)->n_runs);
}

static void slots(_unused_ void **state)
{
	struct player *p = player_join(&st, ALICE, 100);
	uint64_t a = create_heap(p, "a", 1, 0, NULL), b = create_heap(p, "b", 1, 0, NULL);
	const struct wire_control *c = control_of(p, a);

	assert_ptr_not_equal(c, control_of(p, b));
	assert_int_equal(STATE_LIVE, atomic_load(&c->state));
	assert_int_equal(STATUS_OK, ask_heap(p, OP_UNBIND, a));
	assert_int_equal(0, atomic_load(&c->state));
	assert_int_equal(0, atomic_load(&c->n_bound));
	assert_int_equal(STATE_LIVE, atomic_load(&control_of(p, b)->state));
	(void)bind_heap(p, "a", ACCESS_WRITE);
	assert_ptr_equal(c, control_of(p, a)); /* the lowest that is free: few pages are touched */
}

/* ---- waiting ---- */

static void nobody_has_the_name(_unused_ void **state)
{
	struct player *p = player_join(&st, ALICE, 100);

	assert_int_equal(STATUS_MISSING, ask_bind(p, "pool", ACCESS_WRITE, WIRE_BIND_NOWAIT));
	assert_int_equal(STATUS_PARKED, ask_bind(p, "pool", ACCESS_WRITE, 0));
	assert_int_equal(1, st.world.names.n_binds);
	assert_int_equal(STATUS_OK, ask_cancel(p, p->last_id));
	assert_int_equal(0, st.world.names.n_binds);
	assert_null(namespace_find(&st.world.names, "pool"));
}

static void served_in_the_order_they_came(_unused_ void **state)
{
	struct player *creator = player_join(&st, ALICE, 100), *p[5];
	uint64_t last = 0;
	struct frame f;

	for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
		p[i] = player_join(&st, i == 3 ? BOB : ALICE, 100);
		assert_int_equal(STATUS_PARKED,
				 ask_bind(p[i], "pool", i == 4 ? ACCESS_READ : ACCESS_BEST, 0));
	}
	assert_int_equal(STATUS_PARKED, ask_create(creator, "pool", PAGE, 0));
	assert_int_equal(STATUS_MISSING,
			 ask_bind(p[0], "pool", ACCESS_WRITE, WIRE_BIND_NOWAIT)); /* not yet */
	assert_int_equal(STATUS_PARKED,
			 ask_bind(p[0], "pool", ACCESS_WRITE, 0)); /* twice, from two threads */
	player_leave(p[1]);
	stage_commit(&st, 0);
	stage_work(&st);
	for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
		struct event *e;

		if (i == 1)
			continue;
		e = TAILQ_FIRST(&p[i]->events);
		assert_true(e->order > last);
		last = e->order;
		assert_int_equal(i == 3 ? 0 : 1, e->n_fds);
		assert_int_equal(i != 4 && i != 3, e->fd_writable);
		player_take(p[i], EV_BOUND, &f);
		assert_int_equal(1, f.header.id);
		assert_int_equal(i == 3 ? STATUS_DENIED : STATUS_OK, f.header.status);
	}
	player_take(p[0], EV_BOUND, &f);
	assert_int_equal(STATUS_BOUND, f.header.status);
	assert_int_equal(0, st.world.names.n_binds);
	assert_int_equal(0, accounts_used(&st.world.accounts, ALICE, RESOURCE_PARKED));
}

static void served_by_priority(_unused_ void **state)
{
	static const int32_t priority[] = {0, 50, 10, 50, 99};
	static const size_t order[] = {4, 1, 3, 2, 0};
	struct player *creator = player_join(&st, ALICE, 100), *p[ARRAY_SIZE(priority)];
	uint64_t last = 0;

	for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
		struct frame f;
		struct wire_bind *body = frame_init(&f, OP_BIND, 0, 0, sizeof(*body));

		p[i] = player_join(&st, ALICE, 100);
		name_copy(body->name, "pool");
		body->access = ACCESS_WRITE;
		body->priority = priority[i];
		assert_int_equal(STATUS_PARKED, player_ask(p[i], &f));
	}
	(void)create_heap(creator, "pool", 1, WIRE_MODE_PRIO, NULL);
	stage_work(&st);
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		assert_int_equal(1, p[order[i]]->n_events);
		assert_true(TAILQ_FIRST(&p[order[i]]->events)->order > last);
		last = TAILQ_FIRST(&p[order[i]]->events)->order;
	}
}

#define CROWD 100

static void a_crowd_is_served_in_pieces(_unused_ void **state)
{
	struct player *creator = player_join(&st, ALICE, 100), *p[CROWD];
	uint32_t bound;
	int pieces = 0;

	for (int i = 0; i < CROWD; i++) {
		p[i] = player_join(&st, ALICE, 100);
		assert_int_equal(STATUS_PARKED, ask_bind(p[i], "pool", ACCESS_WRITE, 0));
	}
	(void)create_heap(creator, "pool", 1, 0, NULL);
	assert_int_equal(0, st.woken_in_ns);
	do {
		bound = heap_of(creator, 1)->n_bound;
		if (pieces == 1) {
			/*
			 * in the middle: one who comes now is bound, one who gives up is forgotten
			 */
			assert_int_equal(STATUS_OK, ask_cancel(p[CROWD - 1], 1));
			(void)bind_heap(player_join(&st, ALICE, 100), "pool", ACCESS_WRITE);
			bound++;
		}
		pieces++;
		(void)world_work(&st.world);
		stage_check(&st);
		assert_true(heap_of(creator, 1)->n_bound - bound < CROWD / 2);
	} while (st.world.names.n_binds);
	assert_true(pieces > 2);
	assert_int_equal(1 + CROWD, heap_of(creator, 1)->n_bound);
	assert_int_equal(0, p[CROWD - 1]->n_events);
}

static void deleted_while_a_crowd_is_served(_unused_ void **state)
{
	struct player *creator = player_join(&st, ALICE, 100), *p[CROWD];
	struct frame f;

	for (int i = 0; i < CROWD; i++) {
		p[i] = player_join(&st, ALICE, 100);
		assert_int_equal(STATUS_PARKED, ask_bind(p[i], "pool", ACCESS_WRITE, 0));
	}
	(void)create_heap(creator, "pool", 1, 0, NULL);
	(void)world_work(&st.world);
	assert_int_equal(STATUS_OK, ask_target(creator, OP_DELETE, 0, "pool", 0));
	stage_work(&st);
	assert_true(st.world.names.n_binds > 0);
	assert_int_equal(0, p[CROWD - 1]->n_events);
	player_forget_events(creator);
	(void)create_heap(creator, "pool", 1, 0, &f); /* another of that name */
	stage_work(&st);
	player_take(p[CROWD - 1], EV_BOUND, &f);
	assert_int_equal(2, FRAME_BODY(&f, struct wire_bound)->heap);
	assert_int_equal(0, st.world.names.n_binds);
}

/* Events about the old binding may be unread: the new one is told behind them. */
static void bound_anew_behind_unread_events(_unused_ void **state)
{
	struct player *p = player_join(&st, ALICE, 100);
	uint64_t id = create_heap(p, "pool", 1, 0, NULL);
	struct frame f;

	p->unread = true;
	(void)create_heap(p, "other", 1, 0, NULL);
	assert_int_equal(STATUS_OK, ask_heap(p, OP_UNBIND, st.world.heaps.last_id));
	assert_int_equal(STATUS_OK, ask_heap(p, OP_UNBIND, id));
	assert_int_equal(STATUS_PARKED, ask_bind(p, "pool", ACCESS_WRITE, WIRE_BIND_NOWAIT));
	player_take(p, EV_BOUND, &f);
	assert_int_equal(STATUS_OK, f.header.status);
	assert_int_equal(p->last_id, f.header.id);
	assert_int_equal(id, FRAME_BODY(&f, struct wire_bound)->heap);
	assert_int_equal(STATUS_PARKED, ask_bind(p, "pool", ACCESS_WRITE, 0));
	player_take(p, EV_BOUND, &f);
	assert_int_equal(STATUS_BOUND, f.header.status);
	p->unread = false;
	assert_int_equal(STATUS_OK, ask_heap(p, OP_UNBIND, id));
	assert_int_equal(STATUS_OK, ask_bind(p, "pool", ACCESS_WRITE, 0));
}

static void private_heaps_cannot_be_bound(_unused_ void **state)
{
	struct player *p = player_join(&st, ALICE, 100);
	uint64_t id = create_heap(p, NULL, 1, 0, NULL);

	assert_int_equal(ACCESS_WRITE, session_binding(p->session, id)->access);
	assert_null(heap_of(p, id)->name);
}

/* ---- much ---- */

#define MANY 10000

static void ten_thousand_heaps(_unused_ void **state)
{
	struct player *p = player_join(&st, 0, 0), *q = player_join(&st, 0, 0);
	uint64_t start, half = 0, all;
	char name[16];

	st.unchecked = true;
	start = now_ns();
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(name, sizeof(name), "heap-%d", i);
		assert_int_equal(STATUS_PARKED, ask_create(p, name, 1, 0));
		stage_commit(&st, 0);
		player_forget_events(p);
		(void)bind_heap(q, name, ACCESS_WRITE);
		if (i == MANY / 2 - 1)
			half = now_ns() - start;
	}
	all = now_ns() - start;
	stage_check(&st);
	assert_int_equal(MANY, st.world.heaps.n);
	print_message("%d heaps created and bound: %llu ns each, the first half %llu\n", MANY,
		      (unsigned long long)all / MANY, (unsigned long long)half / (MANY / 2));
	assert_true(all < 6 * half); /* twice in the ideal case; growth with the square would be
					four times and more */
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(name, sizeof(name), "heap-%d", i);
		assert_int_equal(STATUS_OK, ask_target(p, OP_DELETE, 0, name, 0));
	}
	player_leave(q);
	assert_int_equal(1, !TAILQ_EMPTY(&st.world.ended)); /* in pieces */
	stage_work(&st);
	assert_true(TAILQ_EMPTY(&st.world.ended));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(everybody_and_every_mode),
		TEST(bound_once),
		TEST(slots),
		TEST(nobody_has_the_name),
		TEST(served_in_the_order_they_came),
		TEST(served_by_priority),
		TEST(a_crowd_is_served_in_pieces),
		TEST(deleted_while_a_crowd_is_served),
		TEST(bound_anew_behind_unread_events),
		TEST(private_heaps_cannot_be_bound),
		TEST(ten_thousand_heaps),
	};

	return cmocka_run_group_tests_name("bind", tests, NULL, NULL);
}
