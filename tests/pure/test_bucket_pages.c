/*
 * test_bucket_pages.c: pages into a heap of blocks and out of it, and what memory that needs
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "bucket_model.h"
#include "pure.h"

static void test_insert(void **state)
{
	struct bucket_model *m = model_new(20, 12);

	(void)state;
	model_insert(m, 0, 0);
	model_insert(m, 20, 1);
	model_insert(m, 19, 2);
	model_insert(m, UINT32_MAX, 2);
	model_insert(m, 1, UINT32_MAX);
	assert_int_equal(0, m->h.pages.n_present);
	model_insert(m, 5, 5);
	model_insert(m, 4, 2); /* overlaps on each side, within, and all over */
	model_insert(m, 9, 2);
	model_insert(m, 6, 1);
	model_insert(m, 0, 20);
	assert_int_not_equal(NO_BLOCK, model_alloc(m, 5 * HW_PAGE_SIZE));
	model_insert(m, 7, 1); /* inside of a used run */
	model_insert(m, 0, 5);
	model_insert(m, 10, 10);
	assert_int_equal(20, m->h.pages.n_present);
	model_done(m);
}

/* Memory that need not be whole hardware pages: a region of 5 small pages. */
static void test_insert_pages(void **state)
{
	struct wire_stats stats = { 0 };
	struct bucket_heap h;
	_cleanup_free_ void *storage = storage_new(bucket_bytes(1, 9));
	struct wire_run run;
	uint64_t offset;

	(void)state;
	bucket_init(&h, 1, 9, storage, &stats);
	assert_int_equal(0, bucket_insert_pages(&h, 1, 5));
	assert_int_equal(-EINVAL, bucket_insert_pages(&h, 5, 1));
	assert_int_equal(-EINVAL, bucket_insert_pages(&h, 6, 3));
	assert_int_equal(0, bucket_alloc(&h, 5 * 512, &offset));
	assert_int_equal(512, offset);
	assert_int_equal(0, bucket_free(&h, offset, NULL));
	assert_int_equal(0, bucket_free_hw(&h));
	assert_int_equal(0, bucket_reclaim(&h, 0, 1, &run, 1));
	assert_int_equal(0, bucket_check(&h));
}

static void test_reclaim(void **state)
{
	(void)state;
	for (int small = 0; small < 2; small++) {
		struct bucket_model *m = model_new(40, small ? 9 : 12);

		model_insert(m, 0, 3);
		model_insert(m, 10, 7);
		model_insert(m, 30, 5);
		assert_int_equal(0, model_reclaim(m, 0, 0, 10));
		assert_int_equal(0, model_reclaim(m, 0, 10, 0));
		assert_int_equal(4,
				 model_reclaim(m, 4, 10, 10)); /* exactly that, from the run of 5 */
		assert_int_equal(7, model_reclaim(m, 0, 10, 1));  /* the longest */
		assert_int_equal(2, model_reclaim(m, 0, 2, 10));  /* no more than asked */
		assert_int_equal(2, model_reclaim(m, 9, 10, 10)); /* no such run: everything */
		assert_int_equal(0, m->h.pages.n_present);

		model_insert(m, 8, 8);
		assert_int_equal(3, model_reclaim(m, 5, 3, 10)); /* more than may go: what may */
		model_free_all(m);
		model_same(m);
		for (uint64_t size = 16; size <= 256; size *= 2)
			assert_int_not_equal(NO_BLOCK, model_alloc(m, size));
		model_free_all(m); /* warm pages go as well */
		assert_int_equal(5, model_reclaim(m, 0, 100, 100));
		assert_int_equal(NO_BLOCK, model_alloc(m, 1));
		model_done(m);
	}
}

/* Blocks that are still out keep their pages, and outlive all that goes on around them. */
static void test_reclaim_around_blocks(void **state)
{
	struct bucket_model *m = model_new_full(16);

	(void)state;
	for (int i = 0; i < 16; i++)
		assert_int_not_equal(NO_BLOCK, model_alloc(m, 4096));
	for (uint64_t i = 0; i < 16; i += 2)
		model_free_at(m, i * HW_PAGE_SIZE);
	assert_int_equal(8, model_reclaim(m, 2, 100, 100));
	model_same(m);
	model_free_all(m);
	assert_int_equal(8, model_reclaim(m, 0, 100, 100));
	model_done(m);
}

/* No page fault after bucket_touch(): storage that dies when anything else is touched. */
static void touch_round(uint32_t n_hw, uint32_t page_shift, struct rng *r)
{
	size_t size = align_up(bucket_bytes(n_hw, page_shift), HW_PAGE_SIZE);
	void *storage = guard_new(size);
	struct wire_stats stats = { 0 };
	uint64_t block[300], n = 0;
	struct bucket_heap h;

	assert_non_null(storage);
	bucket_init(&h, n_hw, page_shift, storage, &stats);
	bucket_touch(&h, n_hw, 1, guard_touch, NULL); /* refused ranges are no calls */
	bucket_touch(&h, 0, 0, guard_touch, NULL);
	for (int i = 0; i < 1000; i++) {
		uint32_t len = rng_skewed(r, (n_hw + 3) / 4), first = rng_below(r, n_hw - len + 1);
		struct wire_run runs[4];
		unsigned int calls = 0;

		if (i % 50 == 0) {
			bucket_touch(&h, first, len, guard_touch, &calls);
			assert_in_range(calls, 1, 16);
			(void)bucket_insert(&h, first, len);
		}
		if (i % 97 == 96)
			(void)bucket_reclaim(&h, rng_below(r, 3), 1 + rng_below(r, 20), runs,
					     ARRAY_SIZE(runs));
		if (rng_below(r, 5) < 3 && n < ARRAY_SIZE(block)) {
			uint64_t ask = rng_skewed(r, rng_below(r, 2) ? 4096 : UINT32_MAX);

			n += bucket_alloc_aligned(&h, ask, 1u << rng_below(r, 16), &block[n]) == 0;
		} else if (n) {
			uint32_t k = rng_below(r, (uint32_t)n);

			assert_int_equal(0, bucket_free(&h, block[k], NULL));
			block[k] = block[--n];
		}
		(void)bucket_free_hw(&h);
	}
	munmap(storage, size);
}

static void test_touch(void **state)
{
	struct rng r = test_rng(3);

	(void)state;
	for (int i = 0; i < 30; i++) {
		touch_round(1 + rng_below(&r, 100), 9, &r);
		touch_round(1 + rng_below(&r, 3u << 20), 12, &r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_insert),
		cmocka_unit_test(test_insert_pages),
		cmocka_unit_test(test_reclaim),
		cmocka_unit_test(test_reclaim_around_blocks),
		cmocka_unit_test(test_touch),
	};

	return cmocka_run_group_tests_name("bucket-pages", tests, NULL, NULL);
}
