/*
 * test_bucket_random.c: the block allocator, in millions of random steps, beside its model
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "bucket_model.h"
#include "pure.h"

/* One step; from time to time the habits change: sizes, and whether it grows, shrinks, or gives
 * pages back. */
struct habit {
	uint32_t max_size;
	uint32_t alloc, aligned, free, bad, insert, reclaim; /* weights */
	uint32_t cpus;
};

static struct habit habit_new(struct rng *r, uint64_t bytes)
{
	static const uint32_t limits[] = { 16, 64, 300, 1024, 4096, 9000, 100000 };
	uint32_t limit = limits[rng_below(r, ARRAY_SIZE(limits))];

	return (struct habit){
		.max_size = (uint32_t)min_u64(limit, bytes + 1),
		.alloc = 10 + rng_below(r, 40),
		.aligned = rng_below(r, 10),
		.free = 10 + rng_below(r, 40),
		.bad = rng_below(r, 4),
		.insert = rng_below(r, 5),
		.reclaim = rng_below(r, 3),
		.cpus = 1 + (rng_below(r, 2) ? rng_below(r, 2 * BUCKET_SHELVES) : 0),
	};
}

static void step(struct bucket_model *m, const struct habit *habit, struct rng *r)
{
	uint32_t pick = rng_below(r, habit->alloc + habit->aligned + habit->free + habit->bad +
					 habit->insert + habit->reclaim);

	model_shelf(m, rng_below(r, habit->cpus));
	if (pick < habit->alloc) {
		(void)model_alloc(m, rng_skewed(r, habit->max_size));
	} else if ((pick -= habit->alloc) < habit->aligned) {
		(void)model_alloc_aligned(m, rng_skewed(r, habit->max_size),
					  1u << rng_below(r, 16));
	} else if ((pick -= habit->aligned) < habit->free) {
		if (m->n_blocks)
			model_free_block(m, rng_below(r, m->n_blocks));
	} else if ((pick -= habit->free) < habit->bad) {
		uint64_t offset = rng_next(r) % (m->n_hw * HW_PAGE_SIZE + 100);

		model_free_at(m, rng_below(r, 2) ? offset : offset & ~UINT64_C(15));
	} else if ((pick -= habit->bad) < habit->insert) {
		model_insert(m, rng_below(r, m->n_hw + 1), rng_skewed(r, m->n_hw));
	} else {
		(void)model_reclaim(m, rng_below(r, 2) ? 0 : rng_skewed(r, m->n_hw),
				    rng_skewed(r, m->n_hw), 1 + rng_below(r, 10));
	}
}

static void random_steps(uint32_t n_hw, uint32_t page_shift, uint64_t steps, uint64_t sample,
			 struct rng *r)
{
	struct bucket_model *m = model_new(n_hw, page_shift);
	struct habit habit = { 0 };

	model_insert(m, 0, 1 + rng_below(r, n_hw));
	for (uint64_t k = 0; k < steps; k++) {
		if (k % 2000 == 0)
			habit = habit_new(r, n_hw * HW_PAGE_SIZE);
		step(m, &habit, r);
		if (k % sample == 0)
			model_same(m);
	}
	model_same(m);
	model_free_all(m);
	model_done(m);
}

/* Audited after each step. */
static void test_random_small(void **state)
{
	struct rng r = test_rng(4);

	(void)state;
	for (uint32_t n_hw = 1; n_hw <= 16; n_hw++) {
		random_steps(n_hw, BUCKET_SMALL_PAGE_SHIFT, 40000 * test_factor(), 1, &r);
		random_steps(n_hw, HW_PAGE_SHIFT, 40000 * test_factor(), 1, &r);
	}
}

/* Audited now and then. */
static void test_random_large(void **state)
{
	static const uint32_t sizes[] = { 1, 3, 16, 33, 100, 600, 3000 };
	struct rng r = test_rng(5);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t steps = 400000 / (1 + sizes[i] / 100) * test_factor();

		random_steps(sizes[i], HW_PAGE_SHIFT, steps, 16 + sizes[i], &r);
		if (sizes[i] <= 100)
			random_steps(sizes[i], BUCKET_SMALL_PAGE_SHIFT, steps, 16 + sizes[i], &r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_small),
		cmocka_unit_test(test_random_large),
	};

	return cmocka_run_group_tests_name("bucket-random", tests, NULL, NULL);
}
