/*
 * INQUIRE, LIST, INSPECT, BINDINGS, WAITERS, MAP, STAT: figures that lies cannot bend, walks in
 * several frames.
 */
#include <stdio.h>
#include "tests/daemon/stage.h"
#include "daemon/memfd.h"
#include "proto/heads.h"

#define ALICE 1001
#define BOB 1002
#define PAGE ((uint64_t)HW_PAGE_SIZE)

static struct stage st;
static struct player *p, *q;

static int setup(_unused_ void **state)
{
	stage_init(&st);
	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	q = player_join(&st, ALICE, 100);
	return 0;
}

static int teardown(_unused_ void **state)
{
	stage_close(&st);
	return 0;
}

static void publish(struct player *who, uint64_t heap, const struct wire_stats *stats)
{
	const struct binding *b = session_binding(who->session, heap);
	off_t at = (off_t)b->slot * (off_t)sizeof(*stats);

	assert_int_equal(sizeof(*stats),
			 pwrite(who->session->areas.stats_fd, stats, sizeof(*stats), at));
}

/* A file as on a machine with as many CPUs as can have heads. */
static void have_many_cpus(struct player *who)
{
	struct areas *a = &who->session->areas;

	close_fd(&a->stats_fd);
	a->place = heads_place(WIRE_HEADS_CPUS);
	assert_int_equal(0, memfd_new(&a->stats_fd, "many CPUs", heads_file(a->place)));
}

/* What CPU has at hand of kind. */
static void publish_head(struct player *who, uint64_t heap, uint32_t cpu, uint32_t kind, uint64_t head)
{
	const struct binding *b = session_binding(who->session, heap);
	off_t at = (off_t)(heads_at(who->session->areas.place, b->slot) + cpu * sizeof(struct wire_heads) + kind * sizeof(head));

	assert_int_equal(sizeof(head), pwrite(who->session->areas.stats_fd, &head, sizeof(head), at));
}

/* p and q are bound to a heap of 8 pages; p holds 5 of them, q 2. */
static uint64_t make(uint32_t mode)
{
	uint64_t id = create_heap(p, "pool", 8, mode, NULL);

	(void)bind_heap(q, "pool", ACCESS_WRITE);
	assert_int_equal(0, send_return(p, id, 0, 0, 3, false));
	assert_int_equal(STATUS_OK, ask_refill(q, id, 2, 0));
	return id;
}

static void inquire_sums(_unused_ void **state)
{
	uint64_t id = make(WIRE_MODE_PRIO);
	const struct wire_info *info = REPLY(p, wire_info);

	publish(p, id, &(struct wire_stats){.used = 5000, .n_waiters = 2});
	publish(q, id, &(struct wire_stats){.used = 64, .n_waiters = 1});
	assert_int_equal(STATUS_OK, ask_heap(p, OP_INQUIRE, id));
	assert_int_equal(8 * PAGE, info->size);
	assert_int_equal(8 * PAGE, info->usable);
	assert_int_equal(5064, info->used);
	assert_int_equal(3, info->n_waiters);
	assert_int_equal(WIRE_MODE_PRIO, info->mode);
	player_leave(q);
	assert_int_equal(STATUS_OK, ask_heap(p, OP_INQUIRE, id));
	assert_int_equal(5000, info->used);
}

static void lies_stay_within_what_is_held(_unused_ void **state)
{
	uint64_t id = make(0);
	struct wire_stats lie;
	const struct wire_info *info = REPLY(p, wire_info);
	const struct wire_bindings *b = REPLY(p, wire_bindings);

	memset(&lie, 0xff, sizeof(lie));
	publish(q, id, &lie);
	publish(p, id, &(struct wire_stats){.used = 100});
	assert_int_equal(STATUS_OK, ask_heap(p, OP_INQUIRE, id));
	assert_int_equal(2 * PAGE + 100, info->used);
	assert_true(info->n_waiters <= 65536);
	assert_int_equal(STATUS_OK, ask_target(p, OP_BINDINGS, id, NULL, 0));
	assert_int_equal(2 * PAGE, b->binding[1].used);
	assert_int_equal(2 * PAGE, b->binding[1].large);
	for (int i = 0; i < WIRE_BUCKETS; i++)
		assert_true(b->binding[1].bucket[i].free <= 2 * PAGE / 16);
	assert_int_equal(STATUS_OK, ask_target(p, OP_WAITERS, id, NULL, 0));
	assert_true(REPLY(p, wire_waiters)->n <= WIRE_STATS_WAITERS);
	assert_int_equal(STATUS_OK, ask_target(p, OP_INSPECT, id, NULL, 0));
	assert_int_equal(STATUS_OK, ask_target(p, OP_LIST, 0, NULL, 0));
}

static void a_hole_is_zero(_unused_ void **state)
{
	uint64_t id = make(0);

	assert_int_equal(STATUS_OK, ask_heap(p, OP_INQUIRE, id));
	assert_int_equal(0, REPLY(p, wire_info)->used);
}

static void inspect_tells(_unused_ void **state)
{
	uint64_t id = make(0);
	const struct wire_entry *e = REPLY(p, wire_entry);

	publish(p, id, &(struct wire_stats){.used = 100, .bad_frees = 3});
	assert_int_equal(STATUS_PARKED, ask_refill(q, id, 8, 0));
	assert_int_equal(STATUS_OK, ask_target(p, OP_INSPECT, 0, "pool", 0));
	assert_int_equal(id, e->heap);
	assert_string_equal("pool", e->name);
	assert_int_equal(7 * PAGE, e->granted);
	assert_int_equal(8 * PAGE, e->high);
	assert_int_equal(100, e->used);
	assert_int_equal(3, e->bad_frees);
	assert_int_equal(2, e->n_bound);
	assert_int_equal(1, e->n_parked);
	assert_int_equal(ALICE, e->uid);
	assert_int_equal(100, e->gid);
	assert_int_equal(0600, e->perm);
	assert_int_equal(STATE_LIVE, e->state);
	assert_int_equal(0, e->session);
	assert_true(e->created_ns > 1600000000 * NSEC_PER_SEC);
	assert_int_equal(STATUS_PARKED, ask_create(q, "young", PAGE, 0));
	assert_int_equal(STATUS_OK, ask_target(p, OP_INSPECT, 0, "young", 0));
	assert_int_equal(STATE_COMMITTING, e->state);
	assert_int_equal(STATUS_OK, ask_target(p, OP_DELETE, 0, "pool", 0));
	assert_int_equal(STATUS_MISSING, ask_target(p, OP_INSPECT, 0, "pool", 0));
	assert_int_equal(STATUS_OK, ask_target(p, OP_INSPECT, id, NULL, 0));
	assert_int_equal(STATE_DELETED, e->state);
}

static void a_segment_is_everyones(_unused_ void **state)
{
	uint64_t id = create_heap(p, "seg", 8, WIRE_MODE_SINGLE | WIRE_MODE_MAPPABLE, NULL);

	(void)bind_heap(q, "seg", ACCESS_WRITE);
	publish(p, id, &(struct wire_stats){.used = 8 * PAGE});
	publish(q, id, &(struct wire_stats){.used = UINT64_MAX});
	assert_int_equal(STATUS_OK, ask_heap(p, OP_INQUIRE, id));
	assert_int_equal(8 * PAGE, REPLY(p, wire_info)->used);
	assert_int_equal(STATUS_OK, ask_target(p, OP_MAP, id, NULL, 0));
	assert_int_equal(0, REPLY(p, wire_map)->n);
	assert_int_equal(STATUS_OK, ask_target(p, OP_WAITERS, id, NULL, 0));
	assert_int_equal(STATUS_OK, ask_target(p, OP_BINDINGS, id, NULL, 0));
	assert_int_equal(2, REPLY(p, wire_bindings)->n);
}

/* ---- walks ---- */

#define MANY 60

static void list_in_frames(_unused_ void **state)
{
	struct player *stranger = player_join(&st, BOB, 7), *root = player_join(&st, 0, 0);
	const struct wire_list *l = REPLY(root, wire_list);
	uint64_t cursor = 0, last = 0;
	uint32_t n = 0, frames = 0;
	char name[16];

	for (int i = 0; i < MANY; i++) {
		(void)snprintf(name, sizeof(name), "heap-%d", i);
		(void)create_heap(p, i % 3 ? name : NULL, 1, 0, NULL);
	}
	do {
		assert_int_equal(STATUS_OK, ask_target(root, OP_LIST, 0, NULL, cursor));
		for (uint32_t i = 0; i < l->n; i++) {
			assert_true(l->entry[i].heap > last);
			last = l->entry[i].heap;
		}
		n += l->n;
		frames++;
		cursor = l->cursor;
		if (frames == 1) /* the one the cursor names goes: the walk finds on */
			assert_int_equal(STATUS_OK, ask_target(root, OP_DELETE, cursor, NULL, 0));
	} while (cursor);
	assert_int_equal(MANY, n);
	assert_int_equal(3, frames);
	assert_int_equal(STATUS_OK, ask_target(stranger, OP_LIST, 0, NULL, 0));
	assert_int_equal(0, REPLY(stranger, wire_list)->n);
	heap_of(p, 2)->facts.perm = 0604;
	assert_int_equal(STATUS_OK, ask_target(stranger, OP_LIST, 0, NULL, 0));
	assert_int_equal(1, REPLY(stranger, wire_list)->n);
	assert_int_equal(2, REPLY(stranger, wire_list)->entry[0].heap);
	assert_int_equal(STATUS_OK, ask_target(root, OP_LIST, 0, NULL, UINT64_MAX));
	assert_int_equal(0, l->n);
}

static void bindings_in_frames(_unused_ void **state)
{
	const struct wire_bindings *b = REPLY(p, wire_bindings);
	uint64_t id = create_heap(p, "pool", 1, 0, NULL), cursor = 0;
	uint32_t n = 0;

	for (int i = 0; i < 24; i++)
		(void)bind_heap(player_join(&st, ALICE, 100), "pool",
				i % 2 ? ACCESS_READ : ACCESS_WRITE);
	do {
		assert_int_equal(STATUS_OK, ask_target(p, OP_BINDINGS, id, NULL, cursor));
		for (uint32_t i = 0; i < b->n; i++, n++) {
			assert_string_equal("player", b->binding[i].label);
			assert_int_equal(n && n % 2 == 0 ? ACCESS_READ : ACCESS_WRITE,
					 b->binding[i].access);
			assert_int_equal(ALICE, b->binding[i].uid);
			assert_true(b->binding[i].pid >= 1000);
		}
		cursor = b->cursor;
	} while (cursor);
	assert_int_equal(25, n);
}

static void waiters_in_order(_unused_ void **state)
{
	uint64_t id = make(WIRE_MODE_PRIO), now = now_ns();
	const struct wire_waiters *w = REPLY(p, wire_waiters);
	struct wire_stats stats = {.n_waiters = 3};

	assert_int_equal(STATUS_PARKED,
			 ask_refill_full(q, &(struct wire_refill){.heap = id,
								  .pages = 8,
								  .size = 32768,
								  .tid = 7,
								  .priority = 5,
								  .since_ns = now - 50}));
	assert_int_equal(STATUS_PARKED,
			 ask_refill_full(p, &(struct wire_refill){.heap = id,
								  .pages = 7,
								  .size = 28000,
								  .tid = 8,
								  .priority = 50,
								  .since_ns = now - 10}));
	stats.waiter[0] = (struct wire_waiter){
		.size = 28000, .since_ns = now - 10, .tid = 8, .priority = 50}; /* the same */
	stats.waiter[1] =
		(struct wire_waiter){.size = 16, .since_ns = now - 90, .tid = 9, .priority = 5};
	stats.waiter[2] = (struct wire_waiter){.since_ns = 0, .tid = 10};
	publish(p, id, &stats);
	assert_int_equal(STATUS_OK, ask_target(p, OP_WAITERS, id, NULL, 0));
	assert_int_equal(3, w->n);
	assert_int_equal(0, w->cursor);
	assert_int_equal(8, w->waiting[0].waiter.tid);
	assert_int_equal(1, w->waiting[0].parked);
	assert_int_equal(p->session->who.pid, w->waiting[0].pid);
	assert_int_equal(9, w->waiting[1].waiter.tid);
	assert_int_equal(0, w->waiting[1].parked);
	assert_int_equal(7, w->waiting[2].waiter.tid);
	assert_int_equal(32768, w->waiting[2].waiter.size);
}

static void waiters_in_frames(_unused_ void **state)
{
	uint64_t id = make(0), cursor = 0;
	const struct wire_waiters *w = REPLY(p, wire_waiters);
	uint32_t n = 0, frames = 0;

	for (uint32_t i = 0; i < 300; i++)
		assert_int_equal(STATUS_PARKED, ask_refill_full(q, &(struct wire_refill){
			.heap = id, .pages = 8, .tid = i, .since_ns = 1000 + i }));
	do {
		assert_int_equal(STATUS_OK, ask_target(p, OP_WAITERS, id, NULL, cursor));
		for (uint32_t i = 0; i < w->n; i++)
			assert_int_equal(n++, w->waiting[i].waiter.tid);
		cursor = w->cursor;
		frames++;
	} while (cursor);
	assert_int_equal(300, n);
	assert_int_equal(3, frames);
}

static void map_covers_every_page(_unused_ void **state)
{
	uint64_t id = create_heap(p, "pool", 2000, 0, NULL), page = 0, cursor = 0;
	const struct wire_map *m = REPLY(q, wire_map);
	uint32_t frames = 0;

	(void)bind_heap(q, "pool", ACCESS_WRITE);
	for (uint32_t i = 0; i < 2000; i += 4)
		assert_int_equal(0, send_return(p, id, 0, i, 1, false));
	assert_int_equal(STATUS_OK, ask_refill(q, id, 1, 0));
	do {
		assert_int_equal(STATUS_OK, ask_target(q, OP_MAP, id, NULL, cursor));
		for (uint32_t i = 0; i < m->n; i++) {
			const struct wire_extent *e = &m->extent[i];
			struct binding *b = heap_holder(heap_of(q, id), e->first);

			assert_int_equal(page, e->first);
			assert_int_equal(b ? b->session->id : 0, e->session);
			assert_int_equal(e->first % 4 ? 3 : 1, e->n);
			page += e->n;
		}
		cursor = m->cursor;
		frames++;
	} while (cursor);
	assert_int_equal(2000, page);
	assert_true(frames > 1);
	assert_int_equal(STATUS_OK, ask_target(q, OP_MAP, id, NULL, 2000));
	assert_int_equal(0, m->n);
	assert_int_equal(STATUS_OK, ask_target(q, OP_MAP, id, NULL, UINT64_MAX));
	assert_int_equal(0, m->n);
	assert_int_equal(STATUS_OK,
			 ask_target(q, OP_MAP, id, NULL, 2)); /* from the middle of an extent */
	assert_int_equal(2, m->extent[0].n);
}

static void others_are_missing(_unused_ void **state)
{
	static const uint16_t op[] = { OP_INSPECT, OP_BINDINGS, OP_WAITERS, OP_MAP, OP_DELETE };
	struct player *stranger = player_join(&st, BOB, 7);
	uint64_t id = make(0);

	for (size_t i = 0; i < ARRAY_SIZE(op); i++) {
		assert_int_equal(STATUS_MISSING, ask_target(stranger, op[i], id, NULL, 0));
		assert_int_equal(STATUS_MISSING, ask_target(stranger, op[i], 0, "pool", 0));
		assert_int_equal(STATUS_MISSING, ask_target(stranger, op[i], 0, "loop", 0));
		assert_int_equal(STATUS_MISSING, ask_target(stranger, op[i], UINT64_MAX, NULL, 0));
	}
}

static void stat_counts(_unused_ void **state)
{
	const struct wire_stat *s = REPLY(p, wire_stat);
	uint64_t id = make(0);
	struct frame f;

	assert_int_equal(STATUS_PARKED, ask_refill(q, id, 8, 0));
	assert_int_equal(STATUS_PARKED, ask_bind(q, "none", ACCESS_WRITE, 0));
	assert_int_equal(STATUS_PARKED, ask_create(q, "young", PAGE, 0));
	frame_init(&f, OP_STAT, 0, 0, 0);
	assert_int_equal(STATUS_OK, player_ask(p, &f));
	assert_int_equal(2, s->heaps);
	assert_int_equal(2, s->heaps_total);
	assert_int_equal(9 * PAGE, s->bytes);
	assert_int_equal(2, s->sessions);
	assert_int_equal(2, s->sessions_total);
	assert_int_equal(1, s->parked_refills);
	assert_int_equal(1, s->parked_binds);
	assert_int_equal(1, s->commits);
	assert_int_equal(2, s->recalls); /* to p and, for it holds some, to q */
	assert_int_equal(getpid(), s->pid);
	assert_true(s->requests >= 7);
	assert_true(s->build[0]);
}

static void ping_comes_back(_unused_ void **state)
{
	struct frame f;
	struct wire_ping *body = frame_init(&f, OP_PING, 0, 0, sizeof(*body));

	for (size_t i = 0; i < sizeof(body->payload); i++)
		body->payload[i] = (uint8_t)(i * 7);
	assert_int_equal(STATUS_OK, player_ask(p, &f));
	assert_memory_equal(body, REPLY(p, wire_ping), sizeof(*body));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* Blocks at hand are free: of each kind, of each CPU that counts; lies take off no more than there is. */
static void at_hand(_unused_ void **state)
{
	uint64_t id = make(WIRE_MODE_PRIO);
	const struct wire_info *info = REPLY(p, wire_info);
	const struct wire_bindings *b = REPLY(p, wire_bindings);
	struct wire_stats s = {.used = 10000, .n_cpus = 40, .bucket[8].free = 7};

	have_many_cpus(p);
	publish(p, id, &s);
	publish_head(p, id, 0, 0, 4 * 102 | UINT64_C(4 * 99) << 32); /* 3 of 16 bytes */
	publish_head(p, id, 39, 8, UINT64_C(0xfffffffc) << 32); /* one of 4096, in the second page of heads */
	publish_head(p, id, 40, 1, 20);           /* a CPU too many */
	publish_head(p, id, 1, WIRE_BUCKETS, 20); /* no bucket */
	assert_int_equal(STATUS_OK, ask_heap(p, OP_INQUIRE, id));
	assert_int_equal(10000 - 3 * 16 - 4096, info->used);
	assert_int_equal(STATUS_OK, ask_target(p, OP_BINDINGS, id, NULL, 0));
	assert_int_equal(10000 - 3 * 16 - 4096, b->binding[0].used);
	assert_int_equal(3, b->binding[0].bucket[0].free);
	assert_int_equal(7 + 1, b->binding[0].bucket[8].free);

	publish_head(p, id, 2, 8, UINT32_MAX);
	assert_int_equal(STATUS_OK, ask_heap(p, OP_INQUIRE, id));
	assert_int_equal(0, info->used);
	s.n_cpus = UINT32_MAX;
	publish(p, id, &s);
	publish_head(p, id, 255, 8, UINT32_MAX);
	assert_int_equal(STATUS_OK, ask_heap(p, OP_INQUIRE, id));
	assert_int_equal(0, info->used);
	s.n_cpus = 0;
	publish(p, id, &s);
	assert_int_equal(STATUS_OK, ask_heap(p, OP_INQUIRE, id));
	assert_int_equal(10000, info->used);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(inquire_sums),
		TEST(at_hand),
		TEST(lies_stay_within_what_is_held),
		TEST(a_hole_is_zero),
		TEST(inspect_tells),
		TEST(a_segment_is_everyones),
		TEST(list_in_frames),
		TEST(bindings_in_frames),
		TEST(waiters_in_order),
		TEST(waiters_in_frames),
		TEST(map_covers_every_page),
		TEST(others_are_missing),
		TEST(stat_counts),
		TEST(ping_comes_back),
	};

	return cmocka_run_group_tests_name("inspect", tests, NULL, NULL);
}
