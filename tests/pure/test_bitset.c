/*
 * test_bitset.c: the ordered set, sentence by sentence, and beside a byte for each member
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/bitset.h"
#include "pure.h"

static const uint32_t sizes[] = {1,    2,    63,   64,	   65,	   127,	   128,
				 4095, 4096, 4097, 262143, 262144, 262145, 300000};

/* Words of n members, counted down to the one on top. */
static size_t words(uint32_t n)
{
	return n <= 64 ? 1 : (n + 63) / 64 + words((n + 63) / 64);
}

static void test_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		assert_int_equal(words(sizes[i]) * 8, bitset_bytes(sizes[i]));
	assert_int_equal(8 * ((1 << 24) + (1 << 18) + (1 << 12) + (1 << 6) + 1),
			 bitset_bytes(BITSET_MAX));
}

static void test_empty(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
		struct bitset s;
		uint32_t n = sizes[k];
		void *storage = storage_new(bitset_bytes(n));

		bitset_init(&s, n, storage);
		assert_int_equal(0, bitset_check(&s));
		for (uint32_t i = 0; i < n; i += 1 + i / 7) {
			assert_false(bitset_has(&s, i));
			assert_int_equal(BITSET_NONE, bitset_next(&s, i));
			assert_int_equal(BITSET_NONE, bitset_prev(&s, i));
			bitset_remove(&s, i); /* not there: fine */
		}
		assert_int_equal(0, bitset_check(&s));
		free(storage);
	}
}

/* One member, looked for from its own place and from both sides of everything. */
static void one_member(struct bitset *s, uint32_t i)
{
	uint32_t n = s->n;

	bitset_add(s, i);
	bitset_add(s, i); /* twice is fine */
	assert_true(bitset_has(s, i));
	assert_int_equal(i, bitset_next(s, i));
	assert_int_equal(i, bitset_prev(s, i));
	assert_int_equal(i, bitset_next(s, 0));
	assert_int_equal(i, bitset_prev(s, n - 1));
	assert_int_equal(i, bitset_prev(s, n)); /* i may be >= n */
	assert_int_equal(i, bitset_prev(s, UINT32_MAX));
	assert_int_equal(BITSET_NONE, bitset_next(s, i + 1));
	assert_int_equal(BITSET_NONE, bitset_next(s, n));
	assert_int_equal(BITSET_NONE, bitset_next(s, UINT32_MAX));
	assert_false(bitset_has(s, n));
	assert_false(bitset_has(s, UINT32_MAX));
	if (i > 0) {
		assert_int_equal(BITSET_NONE, bitset_prev(s, i - 1));
		assert_int_equal(i, bitset_next(s, i - 1));
		assert_false(bitset_has(s, i - 1));
	}
	bitset_remove(s, i);
	bitset_remove(s, i);
	assert_false(bitset_has(s, i));
	assert_int_equal(BITSET_NONE, bitset_next(s, 0));
	assert_int_equal(BITSET_NONE, bitset_prev(s, n - 1));
}

static void test_one_member(void **state)
{
	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
		struct bitset s;
		uint32_t n = sizes[k];
		void *storage = storage_new(bitset_bytes(n));

		bitset_init(&s, n, storage);
		for (uint32_t i = 0; i < n; i += n < 5000 ? 1 : 1 + i % 61)
			one_member(&s, i);
		one_member(&s, n - 1);
		assert_int_equal(0, bitset_check(&s));
		for (size_t b = 0; b < bitset_bytes(n); b++)
			assert_int_equal(0, ((char *)storage)[b]); /* nothing is left behind */
		free(storage);
	}
}

/* All 2^30 members; storage that is backed only where bitset_touch() says. */
static void test_largest(void **state)
{
	static const uint32_t at[] = {
		0, 63, 64, 4095, 4096, (1 << 18) - 1, 1 << 18, (1 << 24) - 1, 1 << 24,
		(1 << 29) + 77, BITSET_MAX - 64, BITSET_MAX - 1,
	};
	size_t bytes = bitset_bytes(BITSET_MAX);
	void *storage = guard_new(bytes);
	unsigned int calls;
	struct bitset s;

	(void)state;
	if (!storage)
		skip();
	bitset_init(&s, BITSET_MAX, storage);
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		uint32_t found = 0;

		calls = 0;
		bitset_touch(&s, at[i], 1, guard_touch, &calls);
		assert_in_range(calls, 1, BITSET_LEVELS);
		assert_false(bitset_has(&s, at[i]));
		bitset_add(&s, at[i]);
		assert_true(bitset_has(&s, at[i]));
		for (size_t k = 0; k <= i; k++) {
			assert_int_equal(at[k], bitset_next(&s, found));
			found = at[k] + 1;
		}
		if (at[i] < BITSET_MAX - 1)
			assert_int_equal(BITSET_NONE, bitset_next(&s, at[i] + 1));
		assert_int_equal(at[i], bitset_prev(&s, at[i]));
		if (at[i] > 0)
			assert_int_equal(i ? at[i - 1] : BITSET_NONE, bitset_prev(&s, at[i] - 1));
	}
	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		bitset_remove(&s, at[i]);
	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		assert_int_equal(BITSET_NONE, bitset_next(&s, at[i]));
	munmap(storage, bytes);
}

/* Ranges announced here and there in a large set, then anything goes at and next to them. */
static void test_touch(void **state)
{
	const uint32_t n = 5 << 20;
	size_t bytes = bitset_bytes(n);
	struct rng r = test_rng(1);

	(void)state;
	for (int round = 0; round < 50; round++) {
		void *storage = guard_new(bytes);
		struct bitset s;

		assert_non_null(storage);
		bitset_init(&s, n, storage);
		for (int k = 0; k < 4; k++) {
			uint32_t len = rng_skewed(&r, 100000), first = rng_below(&r, n - len + 1);

			bitset_touch(&s, first, len, guard_touch, NULL);
			for (int i = 0; i < 200; i++) {
				uint32_t m = first + rng_below(&r, len);

				if (rng_below(&r, 2))
					bitset_add(&s, m);
				else
					bitset_remove(&s, m);
				m = first + rng_below(&r, len + 2);
				m -= m > 0;
				(void)bitset_next(&s, m);
				(void)bitset_prev(&s, m);
			}
		}
		munmap(storage, bytes);
	}
}

/* ---- beside a byte for each member ---- */

static uint32_t model_next(const uint8_t *model, uint32_t n, uint32_t i)
{
	const uint8_t *p = i < n ? memchr(model + i, 1, n - i) : NULL;

	return p ? (uint32_t)(p - model) : BITSET_NONE;
}

static uint32_t model_prev(const uint8_t *model, uint32_t n, uint32_t i)
{
	const uint8_t *p = memrchr(model, 1, i < n ? (size_t)i + 1 : n);

	return p ? (uint32_t)(p - model) : BITSET_NONE;
}

static void random_ops(uint32_t n, uint64_t steps, struct rng *r)
{
	_cleanup_free_ uint8_t *model = calloc(1, n);
	_cleanup_free_ void *storage = storage_new(bitset_bytes(n));
	uint32_t bias = 4; /* of 8: how full it tends to be */
	struct bitset s;

	bitset_init(&s, n, storage);
	for (uint64_t k = 0; k < steps; k++) {
		uint32_t i = rng_below(r, n);
		uint32_t any = rng_below(r, 8) ? rng_below(r, n) : n + rng_below(r, 200);

		if (k % 4096 == 0)
			bias = rng_below(r, 9);
		if (rng_below(r, 8) < bias)
			bitset_add(&s, i), model[i] = 1;
		else
			bitset_remove(&s, i), model[i] = 0;
		must(bitset_has(&s, any) == (any < n && model[any]));
		must(bitset_next(&s, any) == model_next(model, n, any));
		must(bitset_prev(&s, any) == model_prev(model, n, any));
		if (n < 5000 ? k % 16 == 0 : k % 4096 == 0)
			must(bitset_check(&s) == 0);
	}
}

static void test_random(void **state)
{
	struct rng r = test_rng(2);

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++)
		random_ops(sizes[k], (sizes[k] < 5000 ? 500000 : 100000) * test_factor(), &r);
	for (int k = 0; k < 300; k++)
		random_ops(1 + rng_below(&r, 9000), 2000 * test_factor(), &r);
}

/* The auditor sees every wrong summary bit and every bit beyond the end. */
static void test_check_sees(void **state)
{
	static const uint32_t some[] = { 65, 4096, 4100, 300000 };
	struct rng r = test_rng(3);

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(some); k++) {
		uint32_t n = some[k], bits = n;
		void *storage = storage_new(bitset_bytes(n));
		struct bitset s;

		bitset_init(&s, n, storage);
		for (uint32_t i = 0; i < n; i += 1 + rng_below(&r, 300))
			bitset_add(&s, i);
		for (uint32_t l = 0; l < s.n_levels; l++) {
			uint32_t all = (bits + 63) / 64 * 64;

			for (uint32_t i = l ? 0 : bits; i < all; i++) {
				s.level[l][i / 64] ^= UINT64_C(1) << (i % 64);
				assert_int_equal(-EUCLEAN, bitset_check(&s));
				s.level[l][i / 64] ^= UINT64_C(1) << (i % 64);
			}
			bits = all / 64;
		}
		assert_int_equal(0, bitset_check(&s));
		free(storage);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_one_member),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_touch),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_check_sees),
	};

	return cmocka_run_group_tests_name("bitset", tests, NULL, NULL);
}
