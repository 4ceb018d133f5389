/*
 * test_histogram.c: every value is in the bin that says it holds it
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/histogram.h"

static void one(uint64_t v)
{
	unsigned int bin = histogram_bin(v);

	assert_in_range(bin, 0, BINS - 1);
	assert_true(v <= histogram_top(bin));
	assert_true(bin == 0 || v > histogram_top(bin - 1));
	/* no bin is wider than 1/32 of what it holds */
	if (bin > 0)
		assert_true(histogram_top(bin) - histogram_top(bin - 1) <= v / 32 + 1);
}

static void test_values_are_in_their_bins(void **state)
{
	(void)state;
	for (uint64_t v = 0; v < 100000; v++)
		one(v);
	for (unsigned int shift = 5; shift < 64; shift++) {
		one((UINT64_C(1) << shift) - 1);
		one(UINT64_C(1) << shift);
		one((UINT64_C(1) << shift) + 1);
	}
	one(UINT64_MAX);
}

static void test_bins_follow_each_other(void **state)
{
	(void)state;
	for (unsigned int bin = 0; bin + 1 < BINS; bin++)
		assert_int_equal(bin + 1, histogram_bin(histogram_top(bin) + 1));
	assert_true(histogram_top(BINS - 1) == UINT64_MAX);
}

static void test_adding(void **state)
{
	static struct histogram h;
	uint64_t sum = 0;

	(void)state;
	histogram_add(&h, 7);
	histogram_add(&h, 7);
	histogram_add(&h, 1000001);
	histogram_add(&h, 40);
	for (unsigned int i = 0; i < BINS; i++)
		sum += h.bin[i];
	assert_int_equal(4, sum);
	assert_int_equal(4, h.count);
	assert_int_equal(1000001, h.max);
	assert_int_equal(2, h.bin[7]);
	assert_int_equal(1, h.bin[histogram_bin(1000001)]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_are_in_their_bins),
		cmocka_unit_test(test_bins_follow_each_other),
		cmocka_unit_test(test_adding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
