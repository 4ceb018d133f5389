/*
 * Partitions, regions and pools from inside: whatever their process publishes, what comes out is
 * possible. (That every reply is one a client accepts is checked by the stage.)
 */
#include <stdio.h>
#include "tests/daemon/stage.h"
#include "proto/heads.h"

#define ALICE 1001
#define BOB 1002
#define PAGE ((uint64_t)HW_PAGE_SIZE)

static struct stage st;
static struct player *p;

static int setup(_unused_ void **state)
{
	stage_init(&st);
	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	return 0;
}

static int teardown(_unused_ void **state)
{
	stage_close(&st);
	return 0;
}

static void publish(uint64_t heap, const struct wire_stats *stats)
{
	const struct binding *b = session_binding(p->session, heap);
	off_t at = (off_t)b->slot * (off_t)sizeof(*stats);

	assert_int_equal(sizeof(*stats),
			 pwrite(p->session->areas.stats_fd, stats, sizeof(*stats), at));
}

static uint64_t make(uint32_t kind, uint64_t size, uint32_t flags)
{
	const struct wire_create c = {
		.size = size,
		.kind = kind,
		.perm = WIRE_PERM_DEFAULT,
		.gid = WIRE_GID_DEFAULT,
		.flags = flags,
	};
	struct frame f;

	assert_int_equal(STATUS_PARKED, ask_create_full(p, &c));
	stage_commit_all(&st);
	player_take(p, EV_BOUND, &f);
	assert_int_equal(STATUS_OK, f.header.status);
	return FRAME_BODY(&f, struct wire_bound)->heap;
}

static uint32_t detail(uint64_t id)
{
	return ask_target(p, OP_DETAIL, id, NULL, 0);
}

static const struct wire_entry *entry(uint64_t id)
{
	assert_int_equal(STATUS_OK, ask_target(p, OP_INSPECT, id, NULL, 0));
	return REPLY(p, wire_entry);
}

/* ---- what has details ---- */

static void heaps_and_segments_have_none(_unused_ void **state)
{
	uint64_t heap = create_heap(p, "heap", 4, 0, NULL);
	uint64_t seg = create_heap(p, "seg", 4, WIRE_MODE_SINGLE, NULL);

	assert_int_equal(STATUS_INVALID, detail(heap));
	assert_int_equal(STATUS_INVALID, detail(seg));
	assert_int_equal(STATUS_INVALID, ask_target(p, OP_DETAIL, 0, "heap", 0));
	assert_int_equal(STATUS_MISSING, detail(99));
}

static void what_is_not_filled_in(_unused_ void **state)
{
	for (uint32_t kind = KIND_PARTITION; kind < KIND_LAST; kind++)
		assert_int_equal(STATUS_INVALID, detail(make(kind, PAGE, 0)));
}

static void what_is_not_there_yet(_unused_ void **state)
{
	const struct wire_create c = {
		.size = PAGE, .kind = KIND_POOL, .perm = 0600, .gid = WIRE_GID_DEFAULT};

	assert_int_equal(STATUS_PARKED, ask_create_full(p, &c));
	assert_int_equal(STATUS_INVALID, detail(st.world.heaps.last_id));
	assert_int_equal(p->session->who.pid, entry(st.world.heaps.last_id)->pid);
}

static void others_do_not_see_it(_unused_ void **state)
{
	struct player *q = player_join(&st, BOB, 100), *root = player_join(&st, 0, 0);
	uint64_t id = make(KIND_POOL, PAGE, 0);

	publish(id, &(struct wire_stats){.pool.size = 1024});
	assert_int_equal(STATUS_MISSING, ask_target(q, OP_DETAIL, id, NULL, 0));
	assert_int_equal(STATUS_OK, ask_target(root, OP_DETAIL, id, NULL, 0));
}

static void lies(_unused_ void **state)
{
	static const uint8_t bytes[] = {0xff, 0x80, 0x7f, 1, 2, 3};
	struct wire_stats lie;

	for (uint32_t kind = KIND_PARTITION; kind < KIND_LAST; kind++) {
		uint64_t id = make(kind, 3 * PAGE, 0);

		for (size_t i = 0; i < sizeof(bytes); i++) {
			memset(&lie, bytes[i], sizeof(lie));
			publish(id, &lie);
			(void)detail(id); /* the stage looks at it */
			assert_true(entry(id)->used <= 3 * PAGE);
			assert_true(entry(id)->high <= 3 * PAGE);
			assert_true(entry(id)->used <= entry(id)->high);
			assert_int_equal(0, entry(id)->n_waiters);
			assert_int_equal(STATUS_OK, ask_target(p, OP_WAITERS, id, NULL, 0));
			assert_int_equal(0, REPLY(p, wire_waiters)->n);
			assert_int_equal(STATUS_OK, ask_target(p, OP_BINDINGS, id, NULL, 0));
			assert_true(REPLY(p, wire_bindings)->binding[0].used <= 3 * PAGE);
		}
	}
	assert_int_equal(STATUS_OK, ask_target(p, OP_LIST, 0, NULL, 0));
	assert_int_equal(3, REPLY(p, wire_list)->n);
}

/* ---- partitions ---- */

static struct wire_stats partition(uint64_t block, uint64_t stride, uint32_t n, uint32_t n_free)
{
	return (struct wire_stats){
		.used = 77, /* is not how it is told */
		.partition = {.block_size = block, .stride = stride, .n_blocks = n, .ptno = 5},
		.vacant = {.tag = 9, .top = 3, .n_free = n_free},
	};
}

static void a_partition(_unused_ void **state)
{
	uint64_t id = make(KIND_PARTITION, 2 * PAGE, 0);
	const struct wire_detail *d = REPLY(p, wire_detail);
	const struct wire_bindings *b = REPLY(p, wire_bindings);
	struct wire_stats s = partition(40, 48, 100, 93);

	s.high = 480;
	s.bad_frees = 2;
	publish(id, &s);
	assert_int_equal(STATUS_OK, detail(id));
	assert_int_equal(id, d->heap);
	assert_int_equal(KIND_PARTITION, d->kind);
	assert_int_equal(7, d->n_used);
	assert_int_equal(40, d->partition.block_size);
	assert_int_equal(48, d->partition.stride);
	assert_int_equal(100, d->partition.n_blocks);
	assert_int_equal(5, d->partition.ptno);
	assert_int_equal(7 * 48, entry(id)->used);
	assert_int_equal(480, entry(id)->high);
	assert_int_equal(2, entry(id)->bad_frees);
	assert_int_equal(2 * PAGE, entry(id)->granted);
	assert_int_equal(STATUS_OK, ask_target(p, OP_BINDINGS, id, NULL, 0));
	assert_int_equal(7 * 48, b->binding[0].used);
	for (size_t i = 0; i < sizeof(b->binding[0].bucket); i++)
		assert_int_equal(0, ((const uint8_t *)b->binding[0].bucket)[i]);
	assert_int_equal(STATUS_OK, ask_heap(p, OP_INQUIRE, id));
	assert_int_equal(7 * 48, REPLY(p, wire_info)->used);
}

/* What CPUs have at hand is free as well: of whatever kind, and no more than there are blocks. */
static void a_partition_with_blocks_at_hand(_unused_ void **state)
{
	uint64_t id = make(KIND_PARTITION, 2 * PAGE, 0);
	const struct binding *b = session_binding(p->session, id);
	struct wire_stats s = partition(40, 48, 100, 80);
	uint64_t heads[3][WIRE_HEADS_KINDS] = {{[0] = 5, [15] = 4}, {[8] = 2 | 1ull << 40}, {1}};

	s.n_cpus = 2;
	publish(id, &s);
	assert_int_equal(sizeof(heads), pwrite(p->session->areas.stats_fd, heads, sizeof(heads),
					       (off_t)heads_at(p->session->areas.place, b->slot)));
	assert_int_equal(STATUS_OK, detail(id));
	assert_int_equal(9, REPLY(p, wire_detail)->n_used);
	assert_int_equal(9 * 48, entry(id)->used);
	s.vacant.n_free = UINT32_MAX;
	publish(id, &s);
	assert_int_equal(0, entry(id)->used);
}

static void a_partition_that_cannot_be(_unused_ void **state)
{
	uint64_t id = make(KIND_PARTITION, PAGE, 0);
	const struct {
		uint32_t status;
		uint64_t block, stride;
		uint32_t n, n_free, n_used;
	} rows[] = {
		{STATUS_OK, PAGE, PAGE, 1, 0, 1},
		{STATUS_OK, 2048, 2048, 2, 2, 0},
		{STATUS_OK, 1, 16, 256, 257, 0}, /* more free than there are */
		{STATUS_OK, 96, 1000, 5, 1, 4},  /* no gap after the last one */
		{STATUS_INVALID, 97, 1000, 5, 1, 0},
		{STATUS_INVALID, PAGE + 1, PAGE + 1, 1, 0, 0},
		{STATUS_INVALID, 48, 40, 1, 0, 0},
		{STATUS_INVALID, 0, 48, 1, 0, 0},
		{STATUS_INVALID, 16, 16, 0, 0, 0},
		{STATUS_INVALID, 16, 16, 257, 0, 0},
		{STATUS_INVALID, 16, UINT64_MAX / 2, 3, 0, 0}, /* overflows */
		{STATUS_INVALID, UINT64_MAX, UINT64_MAX, UINT32_MAX, 0, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct wire_stats s =
			partition(rows[i].block, rows[i].stride, rows[i].n, rows[i].n_free);

		publish(id, &s);
		assert_int_equal(rows[i].status, detail(id));
		if (rows[i].status == STATUS_OK)
			assert_int_equal(rows[i].n_used, REPLY(p, wire_detail)->n_used);
		assert_true(entry(id)->used <= PAGE);
	}
}

/* ---- regions ---- */

static void a_region(_unused_ void **state)
{
	uint64_t id = make(KIND_REGION, 2 * PAGE, 0);
	const struct wire_detail *d = REPLY(p, wire_detail);
	const struct wire_bindings *b = REPLY(p, wire_bindings);
	struct wire_stats s = {
		.used = 192,
		.high = 256,
		.n_waiters = 3,
		.bucket[2] = {.calls = 4, .per_page = 64, .pages = 1, .free = 61},
		.place = {.addr = 0x7f0000001000,
			  .size = 2 * PAGE,
			  .attribute = WIRE_NON_CACHEABLE,
			  .order = 7},
	};

	publish(id, &s);
	assert_int_equal(STATUS_OK, detail(id));
	assert_int_equal(KIND_REGION, d->kind);
	assert_memory_equal(&s.place, &d->region, sizeof(s.place));
	assert_int_equal(192, entry(id)->used);
	assert_int_equal(256, entry(id)->high);
	assert_int_equal(0, entry(id)->n_waiters);
	assert_int_equal(STATUS_OK, ask_target(p, OP_BINDINGS, id, NULL, 0));
	assert_memory_equal(&s.bucket[2], &b->binding[0].bucket[2], sizeof(s.bucket[2]));
	s.place.size = UINT64_MAX;
	publish(id, &s);
	assert_int_equal(STATUS_OK, detail(id));
	assert_int_equal(2 * PAGE, d->region.size);
	s.place.size = 0;
	publish(id, &s);
	assert_int_equal(STATUS_INVALID, detail(id));
	s.place = (struct wire_place){.size = PAGE, .attribute = WIRE_ATTRIBUTES};
	publish(id, &s);
	assert_int_equal(STATUS_INVALID, detail(id));
}

static void own_memory(_unused_ void **state)
{
	uint64_t id = make(KIND_REGION, 100000, WIRE_CREATE_OWN);
	struct wire_stats s = {.used = 99999, .place = {.addr = 4096, .size = 99000}};

	publish(id, &s);
	assert_int_equal(STATUS_OK, detail(id));
	assert_int_equal(99000, REPLY(p, wire_detail)->region.size);
	assert_int_equal(99999, entry(id)->used);
	s.used = s.high = s.place.size = UINT64_MAX;
	publish(id, &s);
	assert_int_equal(STATUS_OK, detail(id));
	assert_int_equal(100000, REPLY(p, wire_detail)->region.size);
	assert_int_equal(100000, entry(id)->used);
	assert_int_equal(100000, entry(id)->high);
}

/* ---- pools ---- */

static void a_pool(_unused_ void **state)
{
	uint64_t id = make(KIND_POOL, 1024, 0);
	const struct wire_detail *d = REPLY(p, wire_detail);
	struct wire_stats s = {.used = 320, .high = 1024, .pool = {.size = 1024, .n_used = 9}};

	/* one quarter of 256 in use, one split, one of its four in use */
	s.pool.quarter[0] = QUARTER_SPLIT;
	memset(s.pool.quarter + 1, QUARTER_FREE, 4);
	s.pool.quarter[1] = QUARTER_USED;
	s.pool.quarter[3] = QUARTER_SPLIT;
	memset(s.pool.quarter + 13, QUARTER_FREE, 4);
	s.pool.quarter[14] = QUARTER_USED;
	publish(id, &s);
	assert_int_equal(STATUS_OK, detail(id));
	assert_int_equal(KIND_POOL, d->kind);
	assert_int_equal(2, d->n_used); /* what the map shows */
	assert_int_equal(2, d->pool.n_used);
	assert_int_equal(1024, d->pool.size);
	assert_memory_equal(s.pool.quarter, d->pool.quarter, WIRE_QUARTERS);
	assert_int_equal(320, entry(id)->used);
	assert_int_equal(1024, entry(id)->high);
}

static void pool_sizes(_unused_ void **state)
{
	uint64_t id = make(KIND_POOL, PAGE, 0), large = make(KIND_POOL, 16384, 0);
	static const uint32_t bad[] = {0, 64, 255, 512, 2048, 16385, 65536, UINT32_MAX};
	static const uint32_t good[] = {256, 1024, 4096};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		publish(id, &(struct wire_stats){.pool.size = bad[i]});
		assert_int_equal(STATUS_INVALID, detail(id));
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		publish(id, &(struct wire_stats){.pool.size = good[i]});
		assert_int_equal(STATUS_OK, detail(id));
	}
	publish(id, &(struct wire_stats){.pool.size = 16384});
	assert_int_equal(STATUS_INVALID, detail(id)); /* more than its arena */
	publish(large, &(struct wire_stats){.pool.size = 16384});
	assert_int_equal(STATUS_OK, detail(large));
}

/* Blocks in use inside blocks in use, splits of the smallest, quarters that no such pool has. */
static void pool_maps(_unused_ void **state)
{
	uint64_t id = make(KIND_POOL, 16384, 0);
	const struct wire_pool *pool = &REPLY(p, wire_detail)->pool;
	struct wire_stats s = {.pool.size = 256};

	memset(s.pool.quarter, QUARTER_USED, WIRE_QUARTERS);
	publish(id, &s);
	assert_int_equal(STATUS_OK, detail(id));
	assert_int_equal(1, pool->n_used);
	for (uint32_t i = 1; i < WIRE_QUARTERS; i++)
		assert_int_equal(QUARTER_NONE, pool->quarter[i]);

	memset(s.pool.quarter, QUARTER_SPLIT, WIRE_QUARTERS);
	publish(id, &s);
	assert_int_equal(STATUS_OK, detail(id));
	assert_int_equal(QUARTER_SPLIT, pool->quarter[0]);
	for (uint32_t i = 1; i < WIRE_QUARTERS; i++)
		assert_int_equal(i < 5 ? QUARTER_FREE : QUARTER_NONE, pool->quarter[i]);

	s.pool.size = 16384;
	memset(s.pool.quarter, 0xee, WIRE_QUARTERS);
	publish(id, &s);
	assert_int_equal(STATUS_OK, detail(id));
	assert_int_equal(QUARTER_FREE, pool->quarter[0]);
	assert_int_equal(0, pool->n_used);

	memset(s.pool.quarter, QUARTER_USED, WIRE_QUARTERS);
	memset(s.pool.quarter, QUARTER_SPLIT, 85);
	publish(id, &s);
	assert_int_equal(STATUS_OK, detail(id));
	assert_int_equal(256, pool->n_used);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(heaps_and_segments_have_none),
		TEST(what_is_not_filled_in),
		TEST(what_is_not_there_yet),
		TEST(others_do_not_see_it),
		TEST(lies),
		TEST(a_partition),
		TEST(a_partition_with_blocks_at_hand),
		TEST(a_partition_that_cannot_be),
		TEST(a_region),
		TEST(own_memory),
		TEST(a_pool),
		TEST(pool_sizes),
		TEST(pool_maps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
