/*
 * Story: the heap memory pool: how much of each size there is, what a request costs, what heapd
 * shows of it, and its life: without heapd, after heapd, in a child
 */
#include "tests/story/pool_steps.h"

static const char *const pools[] = {"256", "1024", "4096", "16384"};
static const uint32_t blocks[] = {64, 256, 1024, 4096, 16384};

/* The reference's table. */
static const int table[ARRAY_SIZE(pools)][ARRAY_SIZE(blocks)] = {
    {4, 1, 0, 0, 0},
    {16, 4, 1, 0, 0},
    {64, 16, 4, 1, 0},
    {256, 64, 16, 4, 1},
};

/* The smallest and the largest request that costs a block of that size. */
static size_t least(size_t b)
{
	return b == 0 ? 0 : blocks[b - 1] - 16 + 1;
}

static size_t most(size_t b)
{
	return blocks[b] - 16;
}

static void the_table(void)
{
	heapd_start("");
	for (size_t p = 0; p < ARRAY_SIZE(pools); p++) {
		struct lane *l;

		pool_environment(pools[p]);
		l = lane_new();
		for (size_t b = 0; b < ARRAY_SIZE(blocks); b++) {
			size_t size = most(b);

			for (int way = 0; way < 2; way++) {
				assert_int_equal(table[p][b], pool_fill(l, 0, size));
				for (int i = 0; i < table[p][b]; i++)
					EXPECT(0, pool_check(l, i, size));
				pool_empty(l, 0, table[p][b]);
				size = least(b);
			}
		}
	}
}

/* "each allocation of a 256 byte block from a 1024 byte heap reduces the number of 64 byte blocks
 * available for allocation by 4" */
static void a_larger_block_makes_four_fewer(void)
{
	struct lane *l;

	heapd_start("");
	pool_environment("1024");
	l = lane_new();
	for (int n = 0; n <= 4; n++) {
		for (int i = 0; i < n; i++)
			EXPECT(0, do_k_malloc(l, i, 240));
		assert_int_equal(16 - 4 * n, pool_fill(l, 100, 48));
		for (int i = 0; i < n; i++)
			EXPECT(0, pool_check(l, i, 240));
		pool_empty(l, 0, n);
		pool_empty(l, 100, 16 - 4 * n);
	}
}

/* "at least (N+16) bytes long", for every N; and both examples of the text. */
static void what_a_request_costs(void)
{
	struct actor *a;
	struct lane *l;

	heapd_start("");
	pool_environment("16384");
	a = actor_new(1);
	l = &a->lane[0];
	for (size_t b = 0; b < ARRAY_SIZE(blocks); b++) {
		EXPECT(0, do_k_malloc(l, 0, least(b)));
		assert_int_equal(blocks[b], watch_pool(a->pid, NULL).used);
		do_k_free(l, 0);
		EXPECT(0, do_k_malloc(l, 0, most(b)));
		assert_int_equal(blocks[b], watch_pool(a->pid, NULL).used);
		do_k_free(l, 0);
	}
	EXPECT(0, do_k_malloc(l, 0, 200));
	EXPECT(0, do_k_malloc(l, 1, 75));
	assert_int_equal(2 * 256, watch_pool(a->pid, NULL).used);
	for (size_t n = 0; n < 32; n++) { /* N + 16 that is no number */
		EXPECT(-ENOMEM, do_k_malloc(l, 2, SIZE_MAX - n));
		EXPECT(-ENOMEM, do_k_aligned_alloc(l, 2, 16, SIZE_MAX - n));
	}
	EXPECT(-ENOMEM, do_k_malloc(l, 2, 16369));
	EXPECT(-ENOMEM, do_k_calloc(l, 2, SIZE_MAX / 2, 3));
	EXPECT(-ENOMEM, do_k_calloc(l, 2, (size_t)1 << 32,
				    (size_t)1 << 32)); /* the product's low half is 0 */
	assert_int_equal(2 * 256, watch_pool(a->pid, NULL).used);
	assert_int_equal(0, watch_pool(a->pid, NULL).bad_frees);
}

static void addresses_are_aligned(void)
{
	struct actor *a;
	struct lane *l;

	heapd_start("");
	pool_environment("16384");
	a = actor_new(1);
	l = &a->lane[0];
	for (size_t b = 0; b < ARRAY_SIZE(blocks); b++) {
		size_t unit = blocks[b] < 4096 ? blocks[b] : 4096;
		int n = pool_fill(l, 0, most(b));

		for (int i = 0; i < n; i++)
			assert_int_equal(0, block_address(l, i) % unit);
		pool_empty(l, 0, n);
	}
	EXPECT(0, do_k_malloc(l, 0, 1)); /* no empty pool gives them by chance */
	for (size_t align = 1; align <= 4096; align *= 2) {
		uint64_t before = watch_pool(a->pid, NULL).used;
		uint32_t cost = 64;

		while (cost < align || cost < 30 + 16)
			cost *= 4;
		EXPECT(0, do_k_aligned_alloc(l, 1, align, 30));
		assert_int_equal(0, block_address(l, 1) % align);
		assert_int_equal(before + cost, watch_pool(a->pid, NULL).used);
		EXPECT(0, pool_check(l, 1, 30));
		do_k_free(l, 1);
	}
	for (size_t align = 8192; align; align *= 2)
		EXPECT(-EINVAL, do_k_aligned_alloc(l, 1, align, 30));
	EXPECT(-EINVAL, do_k_aligned_alloc(l, 1, 0, 30));
	EXPECT(-EINVAL, do_k_aligned_alloc(l, 1, 24, 30));
	EXPECT(-EINVAL, do_k_aligned_alloc(l, 1, SIZE_MAX, 30));
	EXPECT(0, do_k_aligned_alloc(l, 1, 64, 0));
	assert_int_equal(2, watch_pool(a->pid, NULL).used / 64);
}

static void calloc_zeroes_what_was_written(void)
{
	struct lane *l;

	heapd_start("");
	pool_environment("4096");
	l = lane_new();
	EXPECT(0, do_k_malloc(l, 0, 4080));
	do_k_free(l, 0);
	EXPECT(0, do_k_calloc(l, 0, 10, 24)); /* 240: a block of 256 */
	EXPECT(0, do_k_calloc(l, 1, 0, 24));
	EXPECT(0, do_k_calloc(l, 2, 24, 0));
	EXPECT(0, do_k_calloc(l, 3, 1008, 1));
	EXPECT(-ENOMEM, do_k_calloc(l, 4, 4081, 1));
	EXPECT(0, pool_check(l, 0, 240));
}

/* heapd sees the tree: split, used, free, and merged again; the high-water mark stays. */
static void heapd_sees_the_quarters(void)
{
	struct wire_pool p;
	struct wire_entry e;
	struct actor *a;
	struct lane *l;

	heapd_start("");
	pool_environment("1024");
	a = actor_new(1);
	l = &a->lane[0];
	assert_int_equal(0, watch_pools());
	EXPECT(0, do_k_init(l));
	EXPECT(0, do_k_init(l)); /* there is one; there stays one */
	assert_int_equal(1, watch_pools());
	e = watch_pool(a->pid, &p);
	assert_int_equal(1024, e.size);
	assert_int_equal(0, e.used + e.high + e.bad_frees);
	assert_int_equal(1024, p.size);
	assert_int_equal(QUARTER_FREE, p.quarter[0]);
	assert_int_equal(QUARTER_NONE, p.quarter[1]);

	EXPECT(0, do_k_malloc(l, 0, 1));
	EXPECT(0, do_k_malloc(l, 1, 100));
	e = watch_pool(a->pid, &p);
	assert_int_equal(64 + 256, e.used);
	assert_int_equal(2, p.n_used);
	assert_int_equal(QUARTER_SPLIT, p.quarter[0]);
	assert_int_equal(QUARTER_SPLIT, p.quarter[1]);
	assert_int_equal(QUARTER_USED, p.quarter[2]);
	assert_int_equal(QUARTER_FREE, p.quarter[3]);
	assert_int_equal(QUARTER_FREE, p.quarter[4]);
	assert_int_equal(QUARTER_USED, p.quarter[5]);
	assert_int_equal(QUARTER_FREE, p.quarter[6]);
	assert_int_equal(QUARTER_NONE, p.quarter[9]);

	do_k_free(l, 0);
	do_k_free(l, 1);
	e = watch_pool(a->pid, &p);
	assert_int_equal(0, e.used + p.n_used);
	assert_int_equal(64 + 256, e.high);
	assert_int_equal(QUARTER_FREE, p.quarter[0]);
	assert_int_equal(QUARTER_NONE, p.quarter[5]);
	actor_quit(a);
	UNTIL(watch_pools() == 0);
}

/* Quarters of two parents, side by side, are no larger block. */
static void only_one_parents_quarters_merge(void)
{
	struct lane *l;

	heapd_start("");
	pool_environment("1024");
	l = lane_new();
	assert_int_equal(16, pool_fill(l, 0, 48));
	for (int i = 2; i < 6; i++)
		do_k_free(l, i);
	EXPECT(-ENOMEM, do_k_malloc(l, 100, 240));
	do_k_free(l, 0);
	do_k_free(l, 1);
	EXPECT(0, do_k_malloc(l, 100, 240));
	assert_int_equal(block_address(l, 0), block_address(l, 100));
	assert_int_equal(2, pool_fill(l, 200, 48)); /* the other two are still there */
}

static void bad_frees_change_nothing_and_are_counted(void)
{
	struct wire_pool before, after;
	struct actor *a;
	struct lane *l;
	int bad = 0;

	heapd_start("");
	pool_environment("4096");
	a = actor_new(1);
	l = &a->lane[0];
	EXPECT(0, forget_block(l, 9));
	do_k_free(l, 9); /* NULL, before there is a pool and after */
	EXPECT(0, do_k_malloc(l, 0, 240));
	EXPECT(0, do_k_malloc(l, 1, 48));
	EXPECT(0, do_k_malloc(l, 2, 1008));
	EXPECT(0, do_k_malloc(l, 3, 48));
	do_k_free(l, 3);
	do_k_free(l, 9);
	assert_int_equal(0, watch_pool(a->pid, &before).bad_frees);
	for (long by = -5000; by<5000; by += by> 0 && by < 300 ? 1 : 16) {
		uint64_t at = block_address(l, 0) + (uint64_t)by;

		if (at == block_address(l, 0) || at == block_address(l, 1) ||
		    at == block_address(l, 2))
			continue;
		do_k_free_beside(l, 0, by); /* below, within, above; the one that is free already */
		bad++;
	}
	assert_int_equal(bad, watch_pool(a->pid, &after).bad_frees);
	assert_memory_equal(&before, &after, sizeof(before));
	for (int i = 0; i < 3; i++) {
		EXPECT(0, pool_check(l, i, i == 0 ? 240 : i == 1 ? 48 : 1008));
		do_k_free(l, i);
		do_k_free(l, i);
		bad++;
	}
	assert_int_equal(bad, watch_pool(a->pid, &after).bad_frees);
	EXPECT(0, do_k_malloc(l, 0, 4080));
}

/* ---- threads ---- */

#define THREADS 8
#define EACH	24

struct rng {
	uint64_t state;
};

static uint32_t below(struct rng *r, uint32_t n)
{
	r->state = r->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(r->state >> 33) % n;
}

/* Takes, writes, looks whether it is still what was written, frees. -EIO: somebody else's bytes. */
static int run_churn(struct step *s)
{
	struct rng r = {(uint64_t)s->slot};
	uint8_t *live[EACH] = {0};
	size_t size[EACH];

	for (uint64_t k = 0; k < s->n; k++) {
		uint32_t i = below(&r, EACH);

		if (!live[i]) {
			size[i] = below(&r, 8) ? below(&r, 49) : below(&r, 1009);
			live[i] = k_malloc(size[i]);
			if (live[i])
				memset(live[i], s->slot, size[i]);
			else
				s->value++;
			continue;
		}
		for (size_t b = 0; b < size[i]; b++)
			if (live[i][b] != s->slot)
				return -EIO;
		k_free(live[i]);
		live[i] = NULL;
	}
	for (uint32_t i = 0; i < EACH; i++)
		k_free(live[i]);
	return 0;
}

static struct step churn(int who, uint64_t n)
{
	return (struct step){.run = run_churn, .slot = who, .n = n};
}

/* The first call of each may be the one that makes the pool. */
static void threads_share_it(void)
{
	struct wire_pool p;
	struct wire_entry e;
	struct actor *a;

	heapd_start("");
	pool_environment("4096");
	a = actor_new(THREADS);
	for (int i = 0; i < THREADS; i++)
		lane_start(&a->lane[i], churn(i + 1, 200000 / STORY_FACTOR));
	for (int i = 0; i < THREADS; i++)
		EXPECT(0, lane_result(&a->lane[i]));
	assert_int_equal(1, watch_pools());
	e = watch_pool(a->pid, &p);
	assert_int_equal(0, e.used + e.bad_frees);
	assert_int_equal(QUARTER_FREE, p.quarter[0]);
	EXPECT(0, do_k_malloc(&a->lane[0], 0, 4080));
}

/* ---- without heapd, and after it ---- */

/* Memory of its own that is no block of a pool. */
static int run_own_address(struct step *s)
{
	self.block[s->slot] = &self;
	return 0;
}

static void without_heapd_every_call_tries_again(void)
{
	struct actor *a;
	struct lane *l;

	pool_environment("256");
	a = actor_new(1);
	l = &a->lane[0];
	for (int i = 0; i < 3; i++) {
		EXPECT(-ECONNREFUSED, do_k_malloc(l, 0, 48));
		EXPECT(-ECONNREFUSED, do_k_calloc(l, 0, 4, 4));
		EXPECT(-ECONNREFUSED, do_k_aligned_alloc(l, 0, 16, 48));
		EXPECT(-ECONNREFUSED, do_k_init(l));
		EXPECT(-EINVAL, do_k_aligned_alloc(l, 0, 3, 48));
		assert_non_null(strstr(last_problem(l).text, story_socket()));
	}
	EXPECT(0, lane_run(l, (struct step){.run = run_own_address, .slot = 7}).result);
	do_k_free(l, 7); /* of nobody's pool: counted when there is one */
	heapd_start("");
	assert_int_equal(4, pool_fill(l, 0, 48));
	assert_int_equal(1, watch_pool(a->pid, NULL).bad_frees);
}

static void it_outlives_heapd(void)
{
	struct lane *l;

	heapd_start("");
	pool_environment("1024");
	l = lane_new();
	EXPECT(0, do_k_malloc(l, 0, 240));
	heapd_kill();
	EXPECT(0, pool_check(l, 0, 240));
	assert_int_equal(12, pool_fill(l, 1, 48));
	pool_empty(l, 0, 13);
	EXPECT(0, do_k_malloc(l, 0, 1008));
	heapd_start("");
	EXPECT(0, pool_check(l, 0, 1008));
	do_k_free(l, 0);
	EXPECT(0, do_k_malloc(l, 0, 1008));
}

static void a_refusal_is_told(void)
{
	struct lane *l;

	story_needs_root();
	heapd_start("[limits]\nheaps = 1\n");
	pool_environment("256");
	EXPECT(0,
	       do_create(lane_new_as(65001, 65001), 0, "x", 4096, H_FIFO)); /* root has no limits */
	l = lane_new_as(65001, 65001);
	EXPECT(-EDQUOT, do_k_malloc(l, 0, 48));
	EXPECT(-EDQUOT, do_k_init(l));
}

/* ---- a child ---- */

static void a_child_makes_its_own(void)
{
	struct actor *parent, *child;
	struct wire_pool before, after;
	struct lane *p, *c;

	heapd_start("");
	pool_environment("1024");
	parent = actor_new(1);
	p = &parent->lane[0];
	EXPECT(0, do_k_malloc(p, 0, 240));
	EXPECT(0, do_k_malloc(p, 1, 48));
	(void)watch_pool(parent->pid, &before);
	child = actor_fork(parent);
	c = &child->lane[0];

	/* what it inherited is there, is the parent's, and is no block of its own */
	EXPECT(0, pool_check(c, 0, 240));
	do_k_free(c, 0);
	do_k_free(c, 0);
	assert_int_equal(1, watch_pools());
	assert_int_equal(16, pool_fill(c, 100, 48));
	assert_int_equal(2, watch_pools());
	assert_int_equal(2, watch_pool(child->pid, NULL).bad_frees);
	do_k_free(c, 1);
	assert_int_equal(3, watch_pool(child->pid, NULL).bad_frees);

	/* and nothing has happened to the parent */
	assert_int_equal(0, watch_pool(parent->pid, &after).bad_frees);
	assert_memory_equal(&before, &after, sizeof(before));
	EXPECT(0, pool_check(p, 0, 240));
	EXPECT(0, pool_check(p, 1, 48));
	actor_quit(parent);
	UNTIL(watch_pools() == 1);
	for (int i = 0; i < 16; i++)
		EXPECT(0, pool_check(c, 100 + i, 48));
	pool_empty(c, 100, 16);
	EXPECT(0, do_k_malloc(c, 0, 1008));
}

/* The pool's lock may be anybody's at that moment; the child's is its own. */
static void a_child_of_many_threads(void)
{
	heapd_start("");
	pool_environment("4096");
	for (int round = 0; round < 10; round++) {
		struct actor *parent = actor_new(4), *child;

		for (int i = 1; i < 4; i++)
			lane_start(&parent->lane[i], churn(i, 100000 / STORY_FACTOR));
		EXPECT(0, do_k_init(&parent->lane[0]));
		child = actor_fork(parent);
		EXPECT(0, lane_run(&child->lane[0], churn(9, 1000)).result);
		EXPECT(0, do_k_malloc(&child->lane[0], 0, 4080));
		for (int i = 1; i < 4; i++)
			EXPECT(0, lane_result(&parent->lane[i]));
		EXPECT(0, do_k_malloc(&parent->lane[0], 0, 4080));
		actor_kill(child); /* (a leak checker would look for threads that it has not) */
		actor_quit(parent);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STORY(the_table),
	    STORY(a_larger_block_makes_four_fewer),
	    STORY(what_a_request_costs),
	    STORY(addresses_are_aligned),
	    STORY(calloc_zeroes_what_was_written),
	    STORY(heapd_sees_the_quarters),
	    STORY(only_one_parents_quarters_merge),
	    STORY(bad_frees_change_nothing_and_are_counted),
	    STORY(threads_share_it),
	    STORY(without_heapd_every_call_tries_again),
	    STORY(it_outlives_heapd),
	    STORY(a_refusal_is_told),
	    STORY(a_child_makes_its_own),
	    STORY(a_child_of_many_threads),
	};

	return cmocka_run_group_tests_name("kmalloc", tests, NULL, NULL);
}
