/* Extents beside an array of owners: random gives and takes, the auditor after each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "daemon/holders.h"

#define PAGES 200u
#define OWNERS 5
#define NOBODY UINT32_MAX

static uint64_t seed = 88172645463325252ull;

static uint32_t rnd(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 11) % n);
}

static bool all_are(const uint32_t *owner, uint32_t first, uint32_t n, uint32_t whose)
{
	for (uint32_t i = first; i < first + n; i++)
		if (i >= PAGES || owner[i] != whose)
			return false;
	return true;
}

static void set(uint32_t *owner, uint32_t first, uint32_t n, uint32_t whose)
{
	for (uint32_t i = first; i < first + n; i++)
		owner[i] = whose;
}

static uint32_t count(const uint32_t *owner, uint32_t whose, uint32_t *extents)
{
	uint32_t n = 0;

	*extents = 0;
	for (uint32_t i = 0; i < PAGES; i++) {
		n += owner[i] == whose;
		*extents += owner[i] == whose && (i == 0 || owner[i - 1] != whose);
	}
	return n;
}

static void compare(const struct holders *hs, const struct holding *h, const uint32_t *owner)
{
	uint32_t extents, page = rnd(PAGES), first = holders_find(hs, page);

	assert_int_equal(0, holders_check(hs));
	for (uint32_t i = 0; i < OWNERS; i++) {
		assert_int_equal(0, holding_check(hs, &h[i]));
		assert_int_equal(count(owner, i, &extents), h[i].n_pages);
		assert_int_equal(extents, h[i].n_extents);
	}
	if (owner[page] == NOBODY)
		assert_int_equal(PAGE_NONE, first);
	else
		assert_int_equal(owner[page], hs->at[first].owner);
	first = holders_next(hs, page);
	for (uint32_t i = page; i < PAGES && first != i; i++)
		assert_true(owner[i] == NOBODY || (i > 0 && owner[i - 1] == owner[i]));
}

static void random_gives_and_takes(_unused_ void **state)
{
	_cleanup_free_ void *storage = calloc(1, holders_bytes(PAGES));
	struct holding h[OWNERS];
	struct holders hs;
	uint32_t owner[PAGES];

	assert_non_null(storage);
	holders_init(&hs, PAGES, storage);
	for (uint32_t i = 0; i < OWNERS; i++)
		holding_init(&h[i], i);
	set(owner, 0, PAGES, NOBODY);
	for (int i = 0; i < 200000; i++) {
		uint32_t first = rnd(PAGES + 3), n = 1 + rnd(rnd(8) ? 6 : 60), o = rnd(OWNERS);

		assert_int_equal(all_are(owner, first, n, o), holders_has(&hs, &h[o], first, n));
		if (all_are(owner, first, n, NOBODY)) {
			holders_give(&hs, &h[o], first, n);
			set(owner, first, n, o);
		} else if (all_are(owner, first, n, o)) {
			holders_take(&hs, &h[o], first, n);
			set(owner, first, n, NOBODY);
		}
		compare(&hs, h, owner);
	}
}

static void the_edges(_unused_ void **state)
{
	_cleanup_free_ void *storage = calloc(1, holders_bytes(1));
	struct holders hs;
	struct holding h;

	assert_non_null(storage);
	holders_init(&hs, 1, storage);
	holding_init(&h, 3);
	assert_false(holders_has(&hs, &h, 0, 1));
	assert_false(holders_has(&hs, &h, 0, 0));
	assert_false(holders_has(&hs, &h, UINT32_MAX, UINT32_MAX));
	assert_int_equal(PAGE_NONE, holders_find(&hs, UINT32_MAX));
	assert_int_equal(PAGE_NONE, holders_next(&hs, 1));
	holders_give(&hs, &h, 0, 1);
	assert_true(holders_has(&hs, &h, 0, 1));
	assert_false(holders_has(&hs, &h, 0, 2));
	assert_int_equal(0, holders_find(&hs, 0));
	holders_take(&hs, &h, 0, 1);
	assert_int_equal(0, hs.n_held);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_gives_and_takes),
		cmocka_unit_test(the_edges),
	};

	return cmocka_run_group_tests_name("holders", tests, NULL, NULL);
}
