/*
 * test_quarters.c: the reference's table and rules, number by number
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "pure.h"
#include "quarters_model.h"

static const uint32_t pools[] = {256, 1024, 4096, 16384};
static const uint32_t blocks[] = {64, 256, 1024, 4096, 16384};

/* "the maximum number of blocks of each size that the heap memory pool can support" */
static const uint32_t table[ARRAY_SIZE(pools)][ARRAY_SIZE(blocks)] = {
    {4, 1, 0, 0, 0},
    {16, 4, 1, 0, 0},
    {64, 16, 4, 1, 0},
    {256, 64, 16, 4, 1},
};

static void test_the_table(void **state)
{
	(void)state;
	for (size_t p = 0; p < ARRAY_SIZE(pools); p++)
		for (size_t b = 0; b < ARRAY_SIZE(blocks); b++) {
			struct quarters_model *m = quarters_model_new(pools[p]);

			/* the largest request for that block, and the smallest */
			assert_int_equal(table[p][b], quarters_model_fill(m, blocks[b]));
			quarters_model_same(m);
			quarters_model_empty(m);
			quarters_model_same(m);
			assert_int_equal(table[p][b], quarters_model_fill(m, blocks[b] / 4 + 1));
			quarters_model_empty(m);
			assert_int_equal(1, quarters_model_fill(m, pools[p]));
			quarters_model_free(m);
		}
}

static void test_sizes(void **state)
{
	uint64_t n_ok = 0;

	(void)state;
	for (uint64_t size = 0; size < 100000; size++)
		n_ok += quarters_size_ok(size);
	assert_int_equal(ARRAY_SIZE(pools), n_ok);
	for (size_t p = 0; p < ARRAY_SIZE(pools); p++) {
		assert_true(quarters_size_ok(pools[p]));
		assert_false(quarters_size_ok(pools[p] | UINT64_C(1) << 32));
	}
}

/* What each number of bytes costs, for every number there is. */
static void test_costs(void **state)
{
	struct quarters_model *m = quarters_model_new(16384);

	(void)state;
	for (uint64_t bytes = 0; bytes <= 16384; bytes++) {
		uint32_t cost = 64;

		while (cost < bytes)
			cost *= 4;
		assert_int_equal(0, quarters_model_alloc(m, bytes));
		assert_int_equal(cost, m->stats.used);
		quarters_model_free_block(m, 0);
	}
	quarters_model_same(m);
	for (uint64_t bytes = 16385; bytes; bytes *= 2)
		assert_int_equal(NO_BLOCK, quarters_model_alloc(m, bytes));
	assert_int_equal(NO_BLOCK, quarters_model_alloc(m, UINT64_MAX));
	assert_int_equal(NO_BLOCK, quarters_model_alloc(m, UINT64_C(1) << 32));
	quarters_model_same(m);
	quarters_model_free(m);
}

/* "each allocation of a 256 byte block from a 1024 byte heap reduces the number of 64 byte blocks
 * available for allocation by 4": every mixture, of every pool, of any two sizes. */
static void test_each_larger_block_makes_fewer(void **state)
{
	(void)state;
	for (size_t p = 0; p < ARRAY_SIZE(pools); p++)
		for (size_t large = 1; large <= p + 1; large++)
			for (size_t small = 0; small < large; small++)
				for (uint32_t n = 0; n <= table[p][large]; n++) {
					struct quarters_model *m = quarters_model_new(pools[p]);
					uint32_t fewer = n * (blocks[large] / blocks[small]);

					for (uint32_t i = 0; i < n; i++)
						assert_true(quarters_model_alloc(
								m, blocks[large]) != NO_BLOCK);
					assert_int_equal(table[p][small] - fewer,
							 quarters_model_fill(m, blocks[small]));
					quarters_model_same(m);
					quarters_model_free(m);
				}
}

/* Three quarters of one parent and one of another are no larger block; the fourth makes it. */
static void test_only_one_parents_quarters_merge(void **state)
{
	struct quarters_model *m = quarters_model_new(1024);

	(void)state;
	assert_int_equal(16, quarters_model_fill(m, 64));
	/* neighbours all the same: two of one parent, two of the next */
	for (uint32_t at = 128; at < 384; at += 64)
		assert_true(quarters_model_free_at(m, at));
	assert_int_equal(NO_BLOCK, quarters_model_alloc(m, 256));
	assert_true(quarters_model_free_at(m, 0));
	assert_int_equal(NO_BLOCK, quarters_model_alloc(m, 256));
	assert_true(quarters_model_free_at(m, 64));
	assert_int_equal(0, quarters_model_alloc(m, 256));
	assert_int_equal(NO_BLOCK, quarters_model_alloc(m, 256));
	quarters_model_same(m);
	quarters_model_free(m);
}

/* One block of 64 left in each 256, or each 1024: "Fragmentation … can also further reduce". */
static void test_fragmentation(void **state)
{
	struct quarters_model *m = quarters_model_new(16384);

	(void)state;
	assert_int_equal(256, quarters_model_fill(m, 64));
	for (uint32_t at = 0; at < 16384; at += 64)
		if (at % 256)
			assert_true(quarters_model_free_at(m, at));
	assert_int_equal(64 * 64, m->used);
	assert_int_equal(NO_BLOCK, quarters_model_alloc(m, 256));
	for (uint32_t at = 0; at < 16384; at += 256)
		if (at % 1024)
			assert_true(quarters_model_free_at(m, at));
	assert_int_equal(NO_BLOCK, quarters_model_alloc(m, 1024));
	assert_int_equal(48, quarters_model_fill(m, 256));
	assert_int_equal(48, quarters_model_fill(m, 64));
	quarters_model_same(m);
	quarters_model_free(m);
}

/* Merging goes all the way up, and at once: after the last free the pool is one block. */
static void test_merging_goes_up(void **state)
{
	struct quarters_model *m = quarters_model_new(16384);

	(void)state;
	assert_int_equal(0, quarters_model_alloc(m, 1));
	assert_int_equal(NO_BLOCK, quarters_model_alloc(m, 16384));
	quarters_model_same(m);
	assert_true(quarters_model_free_at(m, 0));
	assert_int_equal(QUARTER_FREE, m->stats.pool.quarter[0]);
	quarters_model_same(m);
	assert_int_equal(0, quarters_model_alloc(m, 16384));
	quarters_model_free(m);
}

/* The smallest that is larger is split, not the first. */
static void test_the_smallest_larger_block_is_split(void **state)
{
	struct quarters_model *m = quarters_model_new(4096);

	(void)state;
	assert_int_equal(16, quarters_model_fill(m, 256));
	for (uint32_t at = 0; at < 1024; at += 256)
		assert_true(
		    quarters_model_free_at(m, at)); /* a whole 1024, with the lowest address */
	assert_true(quarters_model_free_at(m, 3840));
	assert_int_equal(3840, quarters_model_alloc(m, 64));
	assert_int_equal(3904, quarters_model_alloc(m, 64));
	quarters_model_same(m);
	assert_int_equal(0, quarters_model_alloc(m, 1024));
	quarters_model_free(m);
}

/* Every offset there is, in a pool with blocks of all sizes, and beyond it. */
static void test_bad_frees_change_nothing(void **state)
{
	static const uint32_t sizes[] = {64, 256, 1024, 4096, 64, 1024, 256};
	struct quarters_model *m = quarters_model_new(16384);
	struct quarters before;
	uint32_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		assert_true(quarters_model_alloc(m, sizes[i]) != NO_BLOCK);
	before = m->q;
	for (uint64_t at = 0; at < 40000; at++) {
		bool live = false;

		for (uint32_t i = 0; i < m->n_blocks; i++)
			live |= m->blocks[i].offset == at;
		if (live)
			continue;
		assert_false(quarters_model_free_at(m, at));
		n++;
	}
	for (uint64_t at = 1; at; at *= 2) { /* the low bits alone would be a block's */
		assert_false(quarters_model_free_at(m, UINT64_MAX - at + 1));
		n++;
	}
	assert_memory_equal(&before, &m->q, sizeof(before));
	assert_int_equal(n, m->stats.bad_frees);
	quarters_model_same(m);

	/* twice, in each size, also when the neighbours have merged meanwhile */
	while (m->n_blocks) {
		uint32_t at = m->blocks[0].offset;

		assert_true(quarters_model_free_at(m, at));
		assert_false(quarters_model_free_at(m, at));
		quarters_model_same(m);
	}
	quarters_bad_free(&m->q);
	m->bad_frees++;
	quarters_model_same(m);
	quarters_model_free(m);
}

/* An auditor that finds nothing wrong with anything is none: each byte of the state, made wrong. */
static void test_the_auditor_sees(void **state)
{
	struct quarters_model *m = quarters_model_new(4096);
	uint8_t *byte = (uint8_t *)&m->q;

	(void)state;
	(void)quarters_model_alloc(m, 64);
	(void)quarters_model_alloc(m, 1024);
	for (size_t i = 0; i < offsetof(struct quarters, high); i++) {
		if (i >= offsetof(struct quarters, state) + WIRE_QUARTERS &&
		    i < offsetof(struct quarters, shift))
			continue; /* padding */
		byte[i] ^= 1;
		assert_int_equal(-EUCLEAN, quarters_check(&m->q));
		byte[i] ^= 1;
	}
	m->q.high--;
	assert_int_equal(-EUCLEAN, quarters_check(&m->q));
	m->q.high++;
	m->stats.pool.quarter[340] = QUARTER_USED;
	assert_int_equal(-EUCLEAN, quarters_check(&m->q));
	m->stats.pool.quarter[340] = QUARTER_NONE;
	m->stats.used++;
	assert_int_equal(-EUCLEAN, quarters_check(&m->q));
	m->stats.used--;
	quarters_model_same(m);
	quarters_model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_table),
	    cmocka_unit_test(test_sizes),
	    cmocka_unit_test(test_costs),
	    cmocka_unit_test(test_each_larger_block_makes_fewer),
	    cmocka_unit_test(test_only_one_parents_quarters_merge),
	    cmocka_unit_test(test_fragmentation),
	    cmocka_unit_test(test_merging_goes_up),
	    cmocka_unit_test(test_the_smallest_larger_block_is_split),
	    cmocka_unit_test(test_bad_frees_change_nothing),
	    cmocka_unit_test(test_the_auditor_sees),
	};

	return cmocka_run_group_tests_name("quarters", tests, NULL, NULL);
}
