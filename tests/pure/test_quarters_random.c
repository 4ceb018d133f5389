/*
 * test_quarters_random.c: the pool of quarters, in many random steps, beside its model
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "pure.h"
#include "quarters_model.h"

/* From time to time the habits change: sizes, and whether it grows or shrinks. */
struct habit {
	uint32_t max_bytes;
	uint32_t alloc, free, bad; /* weights */
};

static struct habit habit_new(struct rng *r, uint32_t size)
{
	return (struct habit){
	    .max_bytes = (uint32_t)min_u64(UINT64_C(1) << (5 + rng_below(r, 11)), size + 2),
	    .alloc = 10 + rng_below(r, 40),
	    .free = 10 + rng_below(r, 40),
	    .bad = rng_below(r, 10),
	};
}

static void step(struct quarters_model *m, const struct habit *habit, struct rng *r)
{
	uint32_t pick = rng_below(r, habit->alloc + habit->free + habit->bad);

	if (pick < habit->alloc) {
		(void)quarters_model_alloc(m, rng_below(r, 2) ? rng_skewed(r, habit->max_bytes)
							      : rng_below(r, habit->max_bytes));
	} else if ((pick -= habit->alloc) < habit->free) {
		if (m->n_blocks)
			quarters_model_free_block(m, rng_below(r, m->n_blocks));
	} else {
		uint64_t offset = rng_below(r, m->size + 100);

		(void)quarters_model_free_at(m, rng_below(r, 4) ? offset & ~UINT64_C(63) : offset);
	}
}

static void random_steps(uint32_t size, uint64_t steps, struct rng *r)
{
	struct quarters_model *m = quarters_model_new(size);
	struct habit habit = {0};

	for (uint64_t k = 0; k < steps; k++) {
		if (k % 500 == 0)
			habit = habit_new(r, size);
		step(m, &habit, r);
		quarters_model_same(m);
	}
	quarters_model_empty(m);
	quarters_model_same(m);
	must(quarters_model_fill(m, size) == 1);
	quarters_model_free(m);
}

static void test_random(void **state)
{
	struct rng r = test_rng(6);

	(void)state;
	random_steps(256, 200000 * test_factor(), &r);
	random_steps(1024, 100000 * test_factor(), &r);
	random_steps(4096, 30000 * test_factor(), &r);
	random_steps(16384, 10000 * test_factor(), &r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests_name("quarters-random", tests, NULL, NULL);
}
