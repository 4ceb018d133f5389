/*
 * test_pages.c: page runs, sentence by sentence
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/pages.h"
#include "pure.h"

/* All absent. */
static struct pages *arena_new(uint32_t n)
{
	struct pages *ps = calloc(1, sizeof(*ps));

	assert_non_null(ps);
	pages_init(ps, n, storage_new(pages_bytes(n)));
	return ps;
}

static void arena_free(struct pages *ps)
{
	free(ps->page); /* where the storage begins */
	free(ps);
}

static void test_bytes(void **state)
{
	(void)state;
	for (uint32_t n = 1; n < 5000; n += 1 + n / 9) {
		size_t bytes = pages_bytes(n);

		assert_int_equal(0, bytes % 64);
		assert_true(bytes >= n * sizeof(struct page) + (n + 1) * 4 + 2 * bitset_bytes(n));
		assert_true(bytes <
			    n * sizeof(struct page) + (n + 1) * 4 + 2 * bitset_bytes(n) + PAGES_ALIGN + 3 * 64);
	}
}

/* All free runs of a length or more, shortest first, each once. */
static void test_fit(void **state)
{
	static const uint32_t lengths[] = { 3, 9, 1, 3, 40, 9, 2, 1, 9 };
	struct pages *ps = arena_new(200);
	uint32_t at = 0, n_runs, last, seen;

	(void)state;
	assert_int_equal(PAGE_NONE, pages_fit(ps, 1, PAGE_NONE));
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		pages_insert(ps, at, lengths[i]);
		at += lengths[i] + 1;
	}
	for (uint32_t n = 1; n <= 41; n++) {
		n_runs = 0;
		for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
			n_runs += lengths[i] >= n;
		last = n;
		seen = 0;
		for (uint32_t run = pages_fit(ps, n, PAGE_NONE); run != PAGE_NONE; run = pages_fit(ps, n, run)) {
			assert_true(ps->page[run].n >= last);
			last = ps->page[run].n;
			assert_true(++seen <= n_runs);
		}
		assert_int_equal(n_runs, seen);
	}
	arena_free(ps);
}

/* Two free neighbours never stay apart, whichever way they meet. */
static void test_merge(void **state)
{
	struct pages *ps = arena_new(12);
	uint32_t a, b, c;

	(void)state;
	pages_insert(ps, 0, 4);
	pages_insert(ps, 8, 4);
	assert_int_equal(4, pages_longest(ps));
	pages_insert(ps, 4, 4);
	assert_int_equal(12, pages_longest(ps));
	assert_int_equal(0, a = pages_alloc(ps, 3));
	assert_int_equal(3, b = pages_alloc(ps, 5));
	assert_int_equal(8, c = pages_alloc(ps, 4));
	assert_int_equal(PAGE_NONE, pages_alloc(ps, 1));
	assert_int_equal(0, pages_free(ps, a));
	assert_int_equal(8, pages_free(ps, c));
	assert_int_equal(4, pages_longest(ps));
	assert_int_equal(0, pages_free(ps, b));
	assert_int_equal(12, pages_longest(ps));
	assert_int_equal(0, pages_check(ps));
	arena_free(ps);
}

/* A used or absent page keeps free runs apart, also when it has the same tag as nothing. */
static void test_gap(void **state)
{
	struct pages *ps = arena_new(9);

	(void)state;
	pages_insert(ps, 0, 4);
	pages_insert(ps, 5, 4);
	assert_int_equal(PAGE_NONE, pages_alloc(ps, 5)); /* eight are free, not five in a run */
	pages_insert(ps, 4, 1);
	assert_int_equal(0, pages_alloc(ps, 9));
	pages_remove(ps, 0);
	assert_int_equal(0, ps->n_present);
	assert_true(pages_are_absent(ps, 0, 9));
	assert_int_equal(0, pages_check(ps));
	arena_free(ps);
}

static void test_best_fit(void **state)
{
	struct pages *ps = arena_new(64);

	(void)state;
	pages_insert(ps, 0, 20);
	pages_insert(ps, 21, 5);
	pages_insert(ps, 30, 7);
	pages_insert(ps, 40, 5);
	assert_int_equal(30, pages_alloc(ps, 6));
	assert_int_equal(36, pages_alloc(ps, 1)); /* the one page that was left of it */
	assert_int_equal(0, pages_alloc(ps, 6));
	assert_in_range(pages_alloc(ps, 5), 21, 40);
	assert_in_range(pages_alloc(ps, 4), 21, 40);
	assert_int_equal(PAGE_NONE, pages_alloc(ps, 15));
	assert_int_equal(6, pages_alloc(ps, 14));
	assert_int_equal(0, pages_check(ps));
	arena_free(ps);
}

/* Runs of n that are not aligned, and behind more of them than are tried one that is. */
static void aligned_behind(uint32_t n_bad, bool found)
{
	struct pages *ps = arena_new(1000);

	pages_insert(ps, 800, 4); /* aligned; pushed first, so looked at last */
	for (uint32_t i = 0; i < n_bad; i++)
		pages_insert(ps, 1 + i * 8, 4);
	assert_int_equal(found ? 800 : PAGE_NONE, pages_alloc_aligned(ps, 4, 4));
	assert_int_equal(0, pages_check(ps));
	arena_free(ps);
}

static void test_aligned(void **state)
{
	struct pages *ps = arena_new(1000);

	(void)state;
	aligned_behind(0, true);
	aligned_behind(PAGES_ALIGN_TRIES - 1, true);
	aligned_behind(PAGES_ALIGN_TRIES, false);

	/* the sure one: n + align - 1, whatever the many say */
	for (uint32_t i = 0; i < 3 * PAGES_ALIGN_TRIES; i++)
		pages_insert(ps, 1 + i * 8, 4);
	pages_insert(ps, 801, 7);
	assert_int_equal(804, pages_alloc_aligned(ps, 4, 4));
	assert_int_equal(0, pages_check(ps));
	arena_free(ps);
}

static void test_largest_arena(void **state)
{
	size_t bytes = pages_bytes(PAGES_MAX);
	void *storage = guard_new(bytes);
	struct pages ps;
	uint32_t n;

	(void)state;
	if (!storage)
		skip();
	pages_init(&ps, PAGES_MAX, storage);
	pages_touch(&ps, PAGES_MAX - 10, 10, guard_touch, NULL);
	pages_insert(&ps, PAGES_MAX - 10, 10);
	assert_int_equal(PAGES_MAX - 10, pages_alloc(&ps, 10));
	assert_int_equal(PAGE_NONE, pages_alloc(&ps, PAGES_MAX));
	assert_int_equal(PAGE_NONE, pages_alloc_aligned(&ps, PAGES_MAX, PAGES_MAX));
	assert_false(pages_are_absent(&ps, PAGES_MAX - 1, 1));
	assert_false(pages_are_absent(&ps, PAGES_MAX - 1, 2));
	assert_false(pages_are_absent(&ps, PAGES_MAX - 1, UINT32_MAX));
	assert_int_equal(PAGES_MAX - 10, pages_free(&ps, PAGES_MAX - 10));
	assert_int_equal(PAGES_MAX - 10, pages_alloc_longest(&ps, UINT32_MAX, &n));
	assert_int_equal(10, n);
	munmap(storage, bytes);
}

/* Storage that dies at the first touch of what pages_touch() did not announce, and pages that come
 * and go: "no later call takes a page fault". */
static void touch_round(uint32_t n, struct rng *r)
{
	size_t bytes = pages_bytes(n);
	void *storage = guard_new(bytes);
	uint32_t used[200], n_used = 0;
	struct pages ps;

	assert_non_null(storage);
	pages_init(&ps, n, storage);
	for (int k = 0; k < 400; k++) {
		uint32_t len = rng_skewed(r, n / 4), first = rng_below(r, n - len + 1);
		unsigned int calls = 0;

		if (k % 20 == 0) {
			pages_touch(&ps, first, len, guard_touch, &calls);
			assert_in_range(calls, 1, 2 + 2 * BITSET_LEVELS);
			if (pages_are_absent(&ps, first, len))
				pages_insert(&ps, first, len);
		}
		if (n_used < ARRAY_SIZE(used)) {
			used[n_used] = pages_alloc(&ps, rng_skewed(r, n));
			n_used += used[n_used] != PAGE_NONE;
		}
		if (n_used < ARRAY_SIZE(used)) {
			used[n_used] =
			    pages_alloc_aligned(&ps, rng_skewed(r, n), 1u << rng_below(r, 20));
			n_used += used[n_used] != PAGE_NONE;
		}
		if (n_used && rng_below(r, 2)) {
			uint32_t i = rng_below(r, n_used);

			if (rng_below(r, 4))
				(void)pages_free(&ps, used[i]);
			else
				pages_remove(&ps, used[i]);
			used[i] = used[--n_used];
		}
		(void)pages_longest(&ps);
	}
	munmap(storage, bytes);
}

static void test_touch(void **state)
{
	struct rng r = test_rng(8);

	(void)state;
	for (uint64_t k = 0; k < 40 * test_factor(); k++)
		touch_round(1 + (uint32_t)rng_next(&r) % (8u << 20), &r);
	touch_round(4, &r);
}

/* The auditor sees a change of any single word of an arena that is in use, wherever it lies. */
static void test_check_sees(void **state)
{
	struct pages *ps = arena_new(40);
	uint32_t *const counters[] = { &ps->n_free, &ps->n_used, &ps->n_present };
	uint32_t *word;

	(void)state;
	pages_insert(ps, 2, 6);
	pages_insert(ps, 10, 6);
	pages_insert(ps, 20, 12);
	assert_int_equal(20, pages_alloc(ps, 9));
	for (uint32_t i = 0; i < ps->n; i++) {
		word = (uint32_t *)&ps->page[i];
		for (int k = 0; k < 4; k++) {
			if (page_kind(&ps->page[i]) == PAGE_USED && (k == 1 || k == 2))
				continue; /* the user's */
			for (uint32_t bit = 0; bit < 32; bit++) {
				if (page_kind(&ps->page[i]) == PAGE_USED && k == 3 &&
				    bit >= PAGE_KIND_BITS)
					continue;
				word[k] ^= 1u << bit;
				assert_int_equal(-EUCLEAN, pages_check(ps));
				word[k] ^= 1u << bit;
			}
		}
	}
	for (uint32_t i = 0; i <= ps->n; i++) {
		ps->head[i] ^= 1;
		assert_int_equal(-EUCLEAN, pages_check(ps));
		ps->head[i] ^= 1;
	}
	for (uint32_t i = 0; i < ps->n; i++) {
		ps->starts.level[0][0] ^= UINT64_C(1) << i;
		assert_int_equal(-EUCLEAN, pages_check(ps));
		ps->starts.level[0][0] ^= UINT64_C(1) << i;
		ps->lengths.level[0][0] ^= UINT64_C(1) << i;
		assert_int_equal(-EUCLEAN, pages_check(ps));
		ps->lengths.level[0][0] ^= UINT64_C(1) << i;
	}
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
		++*counters[i];
		assert_int_equal(-EUCLEAN, pages_check(ps));
		--*counters[i];
	}
	assert_int_equal(0, pages_check(ps));
	arena_free(ps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_fit),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_gap),
		cmocka_unit_test(test_best_fit),
		cmocka_unit_test(test_aligned),
		cmocka_unit_test(test_largest_arena),
		cmocka_unit_test(test_touch),
		cmocka_unit_test(test_check_sees),
	};

	return cmocka_run_group_tests_name("pages", tests, NULL, NULL);
}
