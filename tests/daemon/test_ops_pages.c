/* REFILL, RETURN, RECALL, FREE, CANCEL: what moves, in which order, and what ends a peer. */
#include <stdio.h>
#include <sys/mman.h>
#include "tests/daemon/stage.h"

#define ALICE 1001

static struct stage st;
static struct player *a, *b, *c;
static uint64_t heap;

static int setup(_unused_ void **state)
{
	stage_init(&st);
	st.config.recall_ns = 3600 * NSEC_PER_SEC; /* deadlines pass when the test says so */
	stage_open(&st);
	a = player_join(&st, ALICE, 100);
	b = player_join(&st, ALICE, 100);
	c = player_join(&st, ALICE, 100);
	return 0;
}

static int teardown(_unused_ void **state)
{
	stage_close(&st);
	return 0;
}

/* a has all of a heap, b and c are bound to it. */
static void make(uint32_t pages, uint32_t mode)
{
	heap = create_heap(a, "pool", pages, mode, NULL);
	assert_int_equal(heap, bind_heap(b, "pool", ACCESS_WRITE));
	assert_int_equal(0, REPLY(b, wire_bound)->n_runs);
	assert_int_equal(heap, bind_heap(c, "pool", ACCESS_WRITE));
}

static uint32_t pressed(struct player *p)
{
	return atomic_load(&control_of(p, heap)->pressed);
}

static uint32_t held(struct player *p)
{
	return session_binding(p->session, heap)->held.n_pages;
}

static struct wire_recall take_recall(struct player *p)
{
	struct frame f;

	player_take(p, EV_RECALL, &f);
	assert_int_equal(heap, FRAME_BODY(&f, struct wire_recall)->heap);
	return *FRAME_BODY(&f, struct wire_recall);
}

/* The next event but for recalls. */
static void expect_grant(struct player *p, uint32_t id, uint32_t pages)
{
	struct frame f;
	const struct wire_grant *g = FRAME_BODY(&f, struct wire_grant);

	while (p->n_events && TAILQ_FIRST(&p->events)->frame.header.op == EV_RECALL)
		player_take(p, EV_RECALL, &f);
	player_take(p, EV_GRANT, &f);
	assert_int_equal(id, f.header.id);
	assert_int_equal(STATUS_OK, f.header.status);
	assert_int_equal(heap, g->heap);
	assert_int_equal(1, g->n_runs);
	assert_int_equal(pages, g->runs[0].n);
}

static void expect_refusal(struct player *p, uint32_t id, uint32_t status)
{
	struct frame f;

	player_take(p, EV_GRANT, &f);
	assert_int_equal(id, f.header.id);
	assert_int_equal(status, f.header.status);
	assert_int_equal(heap, FRAME_BODY(&f, struct wire_grant)->heap);
	assert_int_equal(0, FRAME_BODY(&f, struct wire_grant)->n_runs);
}

static void time_passes(void)
{
	struct parked *p;

	TAILQ_FOREACH(p, &st.world.heaps.deadlines, by_deadline)
		p->deadline_ns = 1;
	st.world.heaps.recall_ns = 0; /* who has been asked has had its time */
	stage_work(&st);
	st.world.heaps.recall_ns = 3600 * NSEC_PER_SEC;
}

/* ---- grants ---- */

static void the_first_has_all_the_later_what_is_free(_unused_ void **state)
{
	make(8, 0);
	assert_int_equal(8, held(a));
	assert_int_equal(0, send_return(a, heap, 0, 2, 4, false));
	assert_int_equal(STATUS_OK, ask_heap(c, OP_UNBIND, heap));
	(void)bind_heap(c, "pool", ACCESS_WRITE);
	assert_int_equal(1, held(c)); /* 4 free, 3 processes: a fair share */
	assert_int_equal(3, atomic_load(&control_of(a, heap)->n_bound));
	player_leave(a);
	assert_int_equal(2, atomic_load(&control_of(c, heap)->n_bound));
	player_leave(b);
	assert_int_equal(STATUS_OK, ask_refill(c, heap, 1, 0)); /* alone: everything */
	assert_int_equal(8, held(c));
	a = b = NULL;
}

static void ahead_comes_with_it_when_there_is_plenty(_unused_ void **state)
{
	struct wire_refill r = {.pages = 2, .ahead = 4};

	make(20, 0);
	r.heap = heap;
	assert_int_equal(0, send_return(a, heap, 0, 0, 20, false));
	assert_int_equal(STATUS_OK, ask_refill_full(b, &r));
	assert_int_equal(6, held(b));
	r.ahead = 100;
	assert_int_equal(STATUS_OK, ask_refill_full(c, &r));
	assert_int_equal(2 + 12 / 3, held(c)); /* a third of what is left */
	assert_int_equal(STATUS_PARKED, ask_refill(a, heap, 20, 0));
	assert_int_equal(STATUS_OK, ask_refill_full(c, &r));
	assert_int_equal(2 + 4 + 2, held(c)); /* somebody waits: what is needed and no more */
}

static void more_than_there_is(_unused_ void **state)
{
	make(8, 0);
	assert_int_equal(STATUS_NO_MEMORY, ask_refill(b, heap, 9, 0));
	assert_int_equal(STATUS_NO_MEMORY, ask_refill(b, heap, UINT32_MAX, WIRE_REFILL_NONBLOCK));
	assert_int_equal(STATUS_OK, ask_refill(b, heap, UINT32_MAX, WIRE_REFILL_AHEAD));
	assert_int_equal(STATUS_PARKED, ask_refill(b, heap, 8, 0));
}

static void bound_for_reading(_unused_ void **state)
{
	struct player *reader = player_join(&st, 0, 0);

	make(8, 0);
	(void)bind_heap(reader, "pool", ACCESS_READ);
	assert_false(reader->reply_fd_writable);
	assert_int_equal(STATUS_DENIED, ask_refill(reader, heap, 1, 0));
	assert_int_equal(STATUS_DENIED, ask_free(reader, heap, 0));
	assert_int_equal(3, atomic_load(&control_of(a, heap)->n_bound));
	assert_int_equal(STATUS_PARKED, ask_refill(b, heap, 1, 0));
	assert_int_equal(0, pressed(reader));
	assert_int_equal(0, reader->n_events);
	assert_int_equal(-EPROTO, send_return(reader, heap, 0, 0, 1, false));
}

static void not_bound(_unused_ void **state)
{
	struct player *d = player_join(&st, 0, 0);

	make(8, 0);
	assert_int_equal(STATUS_MISSING, ask_refill(d, heap, 1, 0));
	assert_int_equal(STATUS_MISSING, ask_heap(d, OP_UNBIND, heap));
	assert_int_equal(STATUS_MISSING, ask_heap(d, OP_INQUIRE, heap));
	assert_int_equal(STATUS_MISSING, ask_refill(a, heap + 1, 1, 0));
	/* it may have been bound a moment ago */
	assert_int_equal(0, send_return(d, heap, 0, 0, 1, false));
}

/* ---- recalls ---- */

static void pressed_before_asked(_unused_ void **state)
{
	struct wire_recall r;

	make(8, 0);
	assert_int_equal(STATUS_PARKED, ask_refill(b, heap, 3, 0));
	assert_int_equal(1, pressed(a));
	assert_int_equal(1, pressed(c));
	assert_int_equal(1, pressed(b)); /* its own pages may be what completes the run */
	r = take_recall(a);
	assert_int_equal(3, r.want);
	assert_int_equal(1, r.urgent);
	assert_int_equal(0, c->n_events); /* holds nothing */
	assert_int_equal(0, send_return(a, heap, r.seq, 5, 3, false));
	expect_grant(b, b->last_id, 3);
	assert_int_equal(0, pressed(a) + pressed(b) + pressed(c));
	assert_int_equal(STATUS_LATE, ask_cancel(b, b->last_id));
}

static void its_own_single_page_presses_nobody_itself(_unused_ void **state)
{
	make(8, 0);
	assert_int_equal(0, send_return(a, heap, 0, 0, 1, false));
	assert_int_equal(STATUS_OK, ask_refill(b, heap, 1, 0));
	assert_int_equal(STATUS_PARKED, ask_refill(b, heap, 1, 0));
	assert_int_equal(1, pressed(a));
	assert_int_equal(0, pressed(b)); /* a page of its own that becomes free serves it at home */
	assert_int_equal(0, b->n_events);
}

static void the_asker_is_asked_too(_unused_ void **state)
{
	struct wire_recall ra, rb;

	make(4, 0);
	assert_int_equal(0, send_return(a, heap, 0, 0, 2, false));
	assert_int_equal(STATUS_OK, ask_refill(b, heap, 2, 0));
	assert_int_equal(STATUS_PARKED, ask_refill(b, heap, 4, 0));
	ra = take_recall(a);
	rb = take_recall(b);
	assert_int_equal(0, send_return(b, heap, rb.seq, 0, 2, false));
	assert_int_equal(0, b->n_events);
	assert_int_equal(0, send_return(a, heap, ra.seq, 2, 2, false));
	expect_grant(b, b->last_id, 4);
}

static void who_gave_one_run_may_have_another(_unused_ void **state)
{
	struct wire_recall r;
	uint32_t first, second;

	make(8, 0);
	assert_int_equal(STATUS_PARKED, ask_refill(b, heap, 3, 0));
	first = b->last_id;
	assert_int_equal(STATUS_PARKED, ask_refill(c, heap, 2, 0));
	second = c->last_id;
	r = take_recall(a);
	assert_int_equal(0, a->n_events); /* one at a time */
	assert_int_equal(0, send_return(a, heap, r.seq, 0, 3, false));
	expect_grant(b, first, 3);
	r = take_recall(a);
	assert_int_equal(2, r.want);
	/* its waiter may have given up just now: then the grant lies idle there */
	(void)take_recall(b);
	assert_int_equal(0, send_return(a, heap, r.seq, 3, 2, false));
	expect_grant(c, second, 2);
	assert_int_equal(0, a->n_events);
}

static void who_gave_all_is_not_asked_again(_unused_ void **state)
{
	struct wire_recall r;

	make(8, 0);
	assert_int_equal(STATUS_PARKED, ask_refill(b, heap, 3, 0));
	r = take_recall(a);
	assert_int_equal(0, send_return(a, heap, r.seq, 0, 0, false));
	assert_int_equal(STATUS_PARKED, ask_refill(c, heap, 1, 0));
	assert_int_equal(0, a->n_events); /* it is pressed: what it frees comes by itself */
	assert_int_equal(STATUS_PARKED, ask_refill(c, heap, 2, WIRE_REFILL_NONBLOCK));
	assert_int_equal(1, a->n_events); /* but for one that must know now */
}

static void an_answer_in_parts(_unused_ void **state)
{
	struct wire_recall r;

	make(8, 0);
	assert_int_equal(STATUS_PARKED, ask_refill(b, heap, 4, WIRE_REFILL_NONBLOCK));
	r = take_recall(a);
	assert_int_equal(0, send_return(a, heap, r.seq, 0, 1, true));
	assert_int_equal(0, send_return(a, heap, r.seq, 2, 1, true));
	assert_int_equal(0, b->n_events); /* there may be more */
	assert_int_equal(0, send_return(a, heap, r.seq, 0, 0, false));
	expect_refusal(b, b->last_id, STATUS_WOULD_BLOCK);
	assert_int_equal(0, pressed(a));
}

static void nonblock_ends_with_the_last_answer(_unused_ void **state)
{
	struct wire_recall ra, rc;
	uint32_t id;

	make(8, 0);
	assert_int_equal(0, send_return(a, heap, 0, 0, 2, false));
	assert_int_equal(STATUS_OK, ask_refill(c, heap, 2, 0));
	assert_int_equal(STATUS_PARKED, ask_refill(b, heap, 3, WIRE_REFILL_NONBLOCK));
	id = b->last_id;
	assert_true(st.woken_in_ns != UINT64_MAX);
	ra = take_recall(a);
	rc = take_recall(c);
	assert_int_equal(0, send_return(c, heap, rc.seq, 0, 1, false));
	assert_int_equal(0, b->n_events);
	assert_int_equal(0, send_return(a, heap, ra.seq, 7, 1, false));
	expect_refusal(b, id, STATUS_WOULD_BLOCK);
	assert_int_equal(0, st.world.heaps.n_parked);
	assert_int_equal(STATUS_OK,
			 ask_refill(b, heap, 1, WIRE_REFILL_NONBLOCK)); /* what came is there */
}

static void nonblock_and_nobody_to_ask(_unused_ void **state)
{
	make(8, 0);
	assert_int_equal(0, send_return(a, heap, 0, 0, 8, false));
	assert_int_equal(STATUS_OK, ask_refill(b, heap, 2, 0));
	assert_int_equal(STATUS_OK, ask_heap(b, OP_UNBIND, heap));
	assert_int_equal(STATUS_OK, ask_refill(c, heap, 8, WIRE_REFILL_NONBLOCK));
	assert_int_equal(STATUS_OK, ask_heap(c, OP_UNBIND, heap));
	assert_int_equal(STATUS_OK, ask_refill(a, heap, 8, WIRE_REFILL_NONBLOCK));
}

/* SIGSTOP costs the others the bound once, not each time; and the stopped one nothing. */
static void a_stopped_process(_unused_ void **state)
{
	struct wire_recall r;
	uint32_t id;

	make(8, 0);
	assert_int_equal(STATUS_PARKED, ask_refill(b, heap, 2, WIRE_REFILL_NONBLOCK));
	id = b->last_id;
	assert_int_equal(0, b->n_events);
	time_passes();
	expect_refusal(b, id, STATUS_WOULD_BLOCK);
	assert_int_equal(STATUS_PARKED, ask_refill(b, heap, 2, WIRE_REFILL_NONBLOCK));
	expect_refusal(b, b->last_id, STATUS_WOULD_BLOCK); /* at once */
	assert_int_equal(STATUS_PARKED, ask_refill(c, heap, 2, 0)); /* has time */
	assert_int_equal(1, a->n_events);
	r = take_recall(a); /* it goes on, and answers what it was asked then */
	assert_int_equal(0, send_return(a, heap, r.seq, 0, 2, false));
	expect_grant(c, c->last_id, 2);
	assert_int_equal(STATUS_PARKED, ask_refill(b, heap, 2, WIRE_REFILL_NONBLOCK));
	assert_int_equal(0, b->n_events); /* a is there again: worth waiting for */
	r = take_recall(a);
	assert_int_equal(0, send_return(a, heap, r.seq, 4, 2, false));
	expect_grant(b, b->last_id, 2);
}

static void other_holders_are_not_held_up_by_a_stopped_one(_unused_ void **state)
{
	struct wire_recall r;

	make(8, 0);
	assert_int_equal(0, send_return(a, heap, 0, 0, 4, false));
	assert_int_equal(STATUS_OK, ask_refill(c, heap, 4, 0));
	assert_int_equal(STATUS_PARKED, ask_refill(b, heap, 1, 0));
	r = take_recall(c);
	assert_int_equal(0, send_return(c, heap, r.seq, 1, 1, false));
	expect_grant(b, b->last_id, 1); /* and a has not said a word */
}

/* While it was not pressed it kept what it freed; its old answer must not hide that. */
static void an_answer_that_is_out_of_date(_unused_ void **state)
{
	struct wire_recall r;
	uint32_t id;

	make(8, 0);
	assert_int_equal(STATUS_PARKED, ask_refill(b, heap, 2, 0));
	id = b->last_id;
	r = take_recall(a);
	assert_int_equal(STATUS_OK, ask_cancel(b, id));
	assert_int_equal(0, pressed(a));
	assert_int_equal(STATUS_PARKED, ask_refill(b, heap, 2, 0));
	assert_int_equal(0, a->n_events);
	assert_int_equal(0, send_return(a, heap, r.seq, 0, 0, false)); /* the answer to the first */
	(void)take_recall(a);
}

/* ---- order ---- */

static void refill_at(struct player *p, uint32_t pages, uint64_t since, int32_t priority)
{
	const struct wire_refill r = {
		.heap = heap, .pages = pages, .since_ns = since, .priority = priority};

	assert_int_equal(STATUS_PARKED, ask_refill_full(p, &r));
}

static void first_come_first_served(_unused_ void **state)
{
	make(8, 0);
	refill_at(b, 1, 300, 99);
	refill_at(c, 1, 100, 1);
	refill_at(b, 1, 200, 50);
	refill_at(c, 1, 100, 99); /* as old as the first of c: behind it */
	refill_at(c, 1, UINT64_MAX, 99); /* from the future: now */
	player_forget_events(a);
	assert_int_equal(0, send_return(a, heap, 0, 0, 1, false));
	expect_grant(c, 1 + 1, 1);
	assert_int_equal(0, send_return(a, heap, 0, 1, 1, false));
	expect_grant(c, 2 + 1, 1);
	assert_int_equal(0, send_return(a, heap, 0, 2, 1, false));
	expect_grant(b, 2 + 1, 1);
	assert_int_equal(0, send_return(a, heap, 0, 3, 1, false));
	expect_grant(b, 1 + 1, 1);
	assert_int_equal(0, send_return(a, heap, 0, 4, 1, false));
	expect_grant(c, 3 + 1, 1);
}

static void by_priority(_unused_ void **state)
{
	make(8, WIRE_MODE_PRIO);
	refill_at(b, 1, 100, 0);
	refill_at(c, 1, 300, 10);
	refill_at(b, 1, 200, 10);
	refill_at(c, 1, 400, 99);
	player_forget_events(a);
	assert_int_equal(0, send_return(a, heap, 0, 0, 3, false));
	expect_grant(c, 2 + 1, 1);
	expect_grant(b, 2 + 1, 1);
	expect_grant(c, 1 + 1, 1);
	assert_false(player_has(b, EV_GRANT));
}

static void small_passes_large(_unused_ void **state)
{
	make(8, 0);
	refill_at(b, 5, 100, 0);
	refill_at(c, 2, 200, 0);
	player_forget_events(a);
	assert_int_equal(0, send_return(a, heap, 0, 0, 2, false));
	expect_grant(c, c->last_id, 2);
	assert_int_equal(0, b->n_events);
	assert_int_equal(STATUS_PARKED, ask_refill(c, heap, 1, 0));
	player_forget_events(c);
	assert_int_equal(0, send_return(a, heap, 0, 2, 6, false));
	expect_grant(b, b->last_id, 5);
	expect_grant(c, c->last_id, 1);
}

/* ---- the end of things ---- */

static void cancelled(_unused_ void **state)
{
	uint32_t id;

	make(8, 0);
	assert_int_equal(STATUS_PARKED, ask_refill(b, heap, 1, 0));
	id = b->last_id;
	assert_int_equal(1, accounts_used(&st.world.accounts, ALICE, RESOURCE_PARKED));
	assert_int_equal(STATUS_LATE, ask_cancel(c, id)); /* another session's */
	assert_int_equal(STATUS_OK, ask_cancel(b, id));
	assert_int_equal(STATUS_LATE, ask_cancel(b, id));
	assert_int_equal(0, pressed(a));
	assert_int_equal(0, accounts_used(&st.world.accounts, ALICE, RESOURCE_PARKED));
}

static void unbound_with_refills(_unused_ void **state)
{
	uint32_t id;

	make(8, 0);
	assert_int_equal(STATUS_PARKED, ask_refill(b, heap, 1, 0));
	id = b->last_id;
	assert_int_equal(STATUS_OK, ask_heap(b, OP_UNBIND, heap));
	expect_refusal(b, id, STATUS_CANCELLED);
	assert_int_equal(0, pressed(a));
}

static void death_brings_pages(_unused_ void **state)
{
	make(8, 0);
	refill_at(b, 8, 100, 0);
	refill_at(c, 1, 200, 0);
	player_leave(a);
	expect_grant(b, b->last_id, 8);
	assert_int_equal(0, c->n_events - (c->n_events > 0)); /* at most a recall */
	player_leave(b); /* holds all, and has nothing parked */
	player_forget_events(c);
	assert_int_equal(1, held(c));
	a = b = NULL;
}

static void quota_of_parked(_unused_ void **state)
{
	struct player *root;

	stage_close(&st);
	stage_init(&st);
	st.config.limits.parked = 2;
	stage_open(&st);
	a = player_join(&st, ALICE, 100);
	b = player_join(&st, ALICE, 100);
	c = player_join(&st, ALICE, 100);
	root = player_join(&st, 0, 0);
	make(8, 0);
	(void)bind_heap(root, "pool", ACCESS_WRITE);
	assert_int_equal(STATUS_PARKED, ask_refill(b, heap, 1, 0));
	assert_int_equal(STATUS_PARKED, ask_bind(c, "other", ACCESS_WRITE, 0));
	assert_int_equal(STATUS_QUOTA, ask_refill(c, heap, 1, 0));
	assert_int_equal(STATUS_QUOTA, ask_bind(c, "third", ACCESS_WRITE, 0));
	assert_int_equal(STATUS_PARKED, ask_refill(root, heap, 1, 0));
	assert_int_equal(STATUS_OK, ask_cancel(c, 2)); /* the bind of "other" */
	assert_int_equal(STATUS_PARKED, ask_refill(c, heap, 1, 0));
}

/* ---- RETURN ---- */

static void returns_that_end_a_peer(_unused_ void **state)
{
	struct wire_recall r;

	make(8, 0);
	assert_int_equal(0, send_return(a, heap, 0, 0, 4, false));
	assert_int_equal(STATUS_OK, ask_refill(b, heap, 2, 0));
	assert_int_equal(-EPROTO, send_return(a, heap, 0, 0, 1, false)); /* b's */
	assert_int_equal(-EPROTO, send_return(a, heap, 0, 3, 1, false)); /* free */
	assert_int_equal(-EPROTO, send_return(a, heap, 0, 3, 2, false)); /* half its own */
	assert_int_equal(-EPROTO, send_return(a, heap, 0, 7, 2, false)); /* beyond the end */
	assert_int_equal(-EPROTO, send_return(a, heap, 0, 8, 1, false));
	assert_int_equal(-EPROTO, send_return(a, heap, 0, UINT32_MAX - 1, 1, false));
	assert_int_equal(-EPROTO, send_return(a, heap, 0, 4, UINT32_MAX - 4, false));
	assert_int_equal(-EPROTO,
			 send_return(a, heap, 1, 4, 1, false)); /* no recall was ever sent */
	assert_int_equal(4, held(a));
	assert_int_equal(STATUS_PARKED, ask_refill(b, heap, 3, 0));
	r = take_recall(a);
	assert_int_equal(-EPROTO, send_return(a, heap, r.seq + 1, 0, 0, false));
	assert_int_equal(0, send_return(a, heap, r.seq, 4, 1, false));
	assert_int_equal(0, send_return(a, heap, r.seq, 4, 1,
					false)); /* an old number: of no meaning any more */
	assert_int_equal(3, held(a));
}

static void parts_of_runs(_unused_ void **state)
{
	make(16, 0);
	assert_int_equal(0, send_return(a, heap, 0, 4, 2, false));
	assert_int_equal(0, send_return(a, heap, 0, 0, 1, false));
	assert_int_equal(0, send_return(a, heap, 0, 15, 1, false));
	assert_int_equal(0, send_return(a, heap, 0, 1, 3, false)); /* joins both sides */
	assert_int_equal(9, held(a));
	assert_int_equal(6, pages_longest(&heap_of(a, heap)->pages));
	assert_int_equal(STATUS_OK, ask_refill(a, heap, 6, 0));
	assert_int_equal(15, held(a));
	assert_int_equal(0, send_return(a, heap, 0, 0, 15, false)); /* grants that touch are one */
}

/* A recall of an earlier binding is answered after the heap is bound anew. */
static void an_answer_from_another_life(_unused_ void **state)
{
	struct wire_recall r;

	make(8, 0);
	assert_int_equal(STATUS_PARKED, ask_refill(b, heap, 8, 0));
	r = take_recall(a);
	assert_int_equal(STATUS_OK, ask_heap(a, OP_UNBIND, heap));
	expect_grant(b, b->last_id, 8);
	assert_int_equal(0, send_return(b, heap, 0, 0, 6, false));
	(void)bind_heap(a, "pool", ACCESS_WRITE);
	assert_int_equal(2, held(a));
	assert_int_equal(0, send_return(a, heap, r.seq, 0, 2, false));
	assert_int_equal(2, held(a));
}

/* ---- ahead of need ---- */

static void ahead_from_the_richest(_unused_ void **state)
{
	struct wire_recall r;
	struct frame f;

	make(32, 0);
	assert_int_equal(0, send_return(a, heap, 0, 0, 2, false));
	assert_int_equal(STATUS_OK, ask_refill(c, heap, 2, 0));
	assert_int_equal(STATUS_OK, ask_refill(b, heap, 4, WIRE_REFILL_AHEAD));
	assert_int_equal(0, REPLY(b, wire_grant)->n_runs);
	assert_int_equal(0, c->n_events);
	r = take_recall(a);
	assert_int_equal(0, r.urgent);
	assert_int_equal(4, r.want);
	assert_int_equal(0, pressed(a));
	assert_int_equal(STATUS_OK, ask_refill(b, heap, 4, WIRE_REFILL_AHEAD));
	assert_int_equal(0, a->n_events); /* one at a time */
	assert_int_equal(0, send_return(a, heap, r.seq, 10, 15, false));
	player_take(b, EV_GRANT, &f);
	assert_int_equal(0, f.header.id);
	assert_int_equal(4, FRAME_BODY(&f, struct wire_grant)->runs[0].n);
	assert_int_equal(4, held(b));
	assert_int_equal(STATUS_OK,
			 ask_refill(b, heap, 3, WIRE_REFILL_AHEAD)); /* from what is left */
	assert_int_equal(7, held(b));
	assert_int_equal(0, heap_of(a, heap)->n_ahead);
}

static void ahead_waits_for_nobody_who_waits(_unused_ void **state)
{
	struct wire_recall r;
	uint32_t id;

	make(8, 0);
	assert_int_equal(STATUS_OK, ask_refill(b, heap, 4, WIRE_REFILL_AHEAD));
	r = take_recall(a);
	assert_int_equal(STATUS_PARKED, ask_refill(c, heap, 6, 0));
	id = c->last_id;
	assert_int_equal(0, a->n_events); /* the soft one is still out */
	assert_int_equal(0, send_return(a, heap, r.seq, 0, 4, false));
	assert_int_equal(0, b->n_events); /* the pages stay for c */
	r = take_recall(a);
	assert_int_equal(1, r.urgent);
	assert_int_equal(STATUS_OK, ask_refill(b, heap, 4, WIRE_REFILL_AHEAD));
	assert_int_equal(0, held(b));
	assert_int_equal(0, send_return(a, heap, r.seq, 4, 2, false));
	expect_grant(c, id, 6);
	assert_int_equal(0, b->n_events);
}

/* ---- FREE ---- */

static void free_reaches_the_holder(_unused_ void **state)
{
	struct frame f;

	make(8, 0);
	assert_int_equal(0, send_return(a, heap, 0, 0, 4, false));
	assert_int_equal(STATUS_OK, ask_refill(b, heap, 2, 0));
	assert_int_equal(STATUS_OK, ask_free(c, heap, 5 * HW_PAGE_SIZE + 48));
	player_take(a, EV_FREE, &f);
	assert_int_equal(heap, FRAME_BODY(&f, struct wire_free)->heap);
	assert_int_equal(5 * HW_PAGE_SIZE + 48, FRAME_BODY(&f, struct wire_free)->offset);
	assert_int_equal(STATUS_OK, ask_free(c, heap, 0));
	player_take(b, EV_FREE, &f);
	assert_int_equal(STATUS_INVALID, ask_free(c, heap, 3 * HW_PAGE_SIZE)); /* nobody's */
	assert_int_equal(STATUS_INVALID, ask_free(b, heap, HW_PAGE_SIZE)); /* its own */
	assert_int_equal(STATUS_INVALID, ask_free(c, heap, 8 * HW_PAGE_SIZE));
	assert_int_equal(STATUS_INVALID, ask_free(c, heap, UINT64_MAX));
	a->crowded = true;
	assert_int_equal(STATUS_BUSY, ask_free(c, heap, 5 * HW_PAGE_SIZE));
	assert_int_equal(0, a->n_events);
}

/* ---- bounded work ---- */

#define MANY 20000u

/*
 * A process dies with its pages in many fragments: they come back in pieces, and nobody waits for
 * all of them.
 */
static void a_million_fragments(_unused_ void **state)
{
	const struct heap *h;
	uint32_t pieces = 0, id;

	st.unchecked = true;
	make(2 * MANY, 0);
	h = heap_of(a, heap);
	assert_int_equal(0, send_return(a, heap, 0, 0, 2 * MANY, false));
	for (uint32_t i = 0; i < MANY; i++) {
		const struct wire_refill r = {.heap = heap, .pages = 1};

		assert_int_equal(STATUS_OK, ask_refill_full(i % 2 ? a : b, &r));
	}
	stage_check(&st);
	assert_true(session_binding(a->session, heap)->held.n_extents > MANY / 4);
	assert_int_equal(STATUS_PARKED, ask_refill(c, heap, 2 * MANY, 0));
	id = c->last_id;
	player_leave(a);
	assert_int_equal(1, h->n_orphans);
	assert_true(h->holders.n_held > MANY / 2);
	player_leave(b);
	while (h->n_orphans) {
		assert_true(st.woken_in_ns == 0);
		(void)world_work(&st.world);
		pieces++;
		stage_check(&st);
	}
	assert_true(pieces > 10);
	expect_grant(c, id, 2 * MANY);
	a = b = NULL;
}

static int tell(struct player *p, uint64_t id, uint32_t flags)
{
	struct reply reply;
	struct frame f;
	struct wire_resume *body = frame_init(&f, OP_RESUME, 1, 0, sizeof(*body));
	int r;

	body->heap = id;
	body->flags = flags;
	r = ops_call(&st.world, p->session, &f, &reply);
	assert_true(r != 0 || reply.frame.header.status == STATUS_OK);
	return r;
}

/* A session that has come back tells of none of its fragments: they come back in pieces, too. */
static void a_million_fragments_untold(_unused_ void **state)
{
	const struct binding *mine;
	uint32_t pieces = 0, others = 0;
	int r;

	st.unchecked = true;
	make(2 * MANY, 0);
	assert_int_equal(0, send_return(a, heap, 0, 0, 2 * MANY, false));
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(STATUS_OK,
				 ask_refill_full(i % 2 ? a : b,
						 &(struct wire_refill){.heap = heap, .pages = 1}));
	mine = session_binding(a->session, heap);
	assert_true(mine->held.n_extents > MANY / 4);
	a->session->is_resuming = true;
	do {
		uint32_t before = mine->held.n_pages;

		r = tell(a, heap, 0);
		assert_true(before - mine->held.n_pages <= 512);
		pieces++;
		others += ask_refill(c, heap, 1, 0) == STATUS_OK; /* the daemon is there for others meanwhile */
		stage_check(&st);
	} while (r == OPS_MORE);
	assert_int_equal(0, r);
	assert_int_equal(0, mine->held.n_pages);
	assert_true(pieces > MANY / 512 / 2);
	assert_int_equal(pieces, others);
	assert_int_equal(0, tell(a, 0, WIRE_RESUME_END));
	assert_false(a->session->is_resuming);
}

/* It has many heaps, and tells of every second only. */
static void many_bindings_untold(_unused_ void **state)
{
	uint32_t pieces = 0;
	int r;

	make(4, 0);
	for (uint32_t i = 0; i < 40; i++) {
		uint64_t id = create_heap(a, NULL, 4, 0, NULL);

		a->session->is_resuming = true;
		if (i % 2)
			assert_int_equal(0, tell(a, id, WIRE_RESUME_ALL));
		a->session->is_resuming = false;
	}
	a->session->is_resuming = true;
	do {
		uint32_t before = a->session->n_bound;

		r = tell(a, 0, WIRE_RESUME_END);
		assert_true(before - a->session->n_bound <= 1);
		pieces++;
	} while (r == OPS_MORE);
	assert_int_equal(0, r);
	assert_int_equal(20, a->session->n_bound);
	assert_in_range(pieces, 21, 42);
	assert_int_equal(-EPROTO, tell(a, 0, WIRE_RESUME_END));
}

/* A heap that ends with orphans in it does not wait for them. */
static void deleted_with_orphans(_unused_ void **state)
{
	st.unchecked = true;
	make(8000, 0);
	assert_int_equal(0, send_return(a, heap, 0, 0, 8000, false));
	for (uint32_t i = 0; i < 4000; i++)
		assert_int_equal(STATUS_OK,
				 ask_refill_full(i % 2 ? a : b,
						 &(struct wire_refill){.heap = heap, .pages = 1}));
	player_leave(a);
	a = NULL;
	assert_int_equal(1, heap_of(b, heap)->n_orphans);
	assert_int_equal(STATUS_OK, ask_target(b, OP_DELETE, heap, NULL, 0));
	assert_int_equal(STATUS_OK, ask_heap(b, OP_UNBIND, heap));
	assert_int_equal(1, st.world.heaps.n);
	assert_int_equal(STATUS_OK, ask_heap(c, OP_UNBIND, heap));
	assert_int_equal(0, st.world.heaps.n);
	assert_true(TAILQ_EMPTY(&st.world.heaps.orphans));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_has_all_the_later_what_is_free),
		TEST(ahead_comes_with_it_when_there_is_plenty),
		TEST(more_than_there_is),
		TEST(bound_for_reading),
		TEST(not_bound),
		TEST(pressed_before_asked),
		TEST(its_own_single_page_presses_nobody_itself),
		TEST(the_asker_is_asked_too),
		TEST(who_gave_one_run_may_have_another),
		TEST(who_gave_all_is_not_asked_again),
		TEST(an_answer_in_parts),
		TEST(nonblock_ends_with_the_last_answer),
		TEST(nonblock_and_nobody_to_ask),
		TEST(a_stopped_process),
		TEST(other_holders_are_not_held_up_by_a_stopped_one),
		TEST(an_answer_that_is_out_of_date),
		TEST(first_come_first_served),
		TEST(by_priority),
		TEST(small_passes_large),
		TEST(cancelled),
		TEST(unbound_with_refills),
		TEST(death_brings_pages),
		TEST(quota_of_parked),
		TEST(returns_that_end_a_peer),
		TEST(parts_of_runs),
		TEST(an_answer_from_another_life),
		TEST(ahead_from_the_richest),
		TEST(ahead_waits_for_nobody_who_waits),
		TEST(free_reaches_the_holder),
		TEST(a_million_fragments),
		TEST(a_million_fragments_untold),
		TEST(many_bindings_untold),
		TEST(deleted_with_orphans),
	};

	return cmocka_run_group_tests_name("pages", tests, NULL, NULL);
}
