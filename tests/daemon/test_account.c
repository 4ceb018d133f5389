/* Accounts, the hash table under them, the namespace's hash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "daemon/account.h"
#include "proto/status.h"

struct item {
	struct table_node node;
	uint64_t key;
};

#define ITEMS 5000

static struct item *find(struct table *t, uint64_t hash, uint64_t key)
{
	struct table_node *n = table_find(t, hash);

	for (; n; n = table_next(n))
		if (container_of(n, struct item, node)->key == key)
			return container_of(n, struct item, node);
	return NULL;
}

static void fill_and_empty(uint64_t (*hash)(uint64_t key))
{
	struct item *items = calloc(ITEMS, sizeof(*items));
	struct table t = TABLE_NULL;

	assert_non_null(items);
	for (uint64_t i = 0; i < ITEMS; i++) {
		items[i].key = i;
		assert_null(find(&t, hash(i), i));
		table_add(&t, &items[i].node, hash(i));
		assert_ptr_equal(&items[i], find(&t, hash(i), i));
	}
	assert_int_equal(ITEMS, t.n);
	for (uint64_t i = 0; i < ITEMS; i += 2)
		table_remove(&t, &items[i].node);
	for (uint64_t i = 0; i < ITEMS; i++)
		assert_ptr_equal(i % 2 ? &items[i] : NULL, find(&t, hash(i), i));
	for (uint64_t i = 1; i < ITEMS; i += 2)
		table_remove(&t, &items[i].node);
	assert_int_equal(0, t.n);
	table_deinit(&t);
	free(items);
}

static uint64_t colliding(uint64_t key)
{
	return key % 7;
}

static void table_keeps_what_it_is_given(_unused_ void **state)
{
	fill_and_empty(hash_number);
	fill_and_empty(colliding);
}

static void hashes_spread(_unused_ void **state)
{
	uint32_t bucket[256] = { 0 };

	for (uint64_t i = 0; i < 25600; i++)
		bucket[hash_number(i) % 256]++;
	for (int i = 0; i < 256; i++)
		assert_in_range(bucket[i], 50, 200); /* 100 and some 10 standard deviations */
	memset(bucket, 0, sizeof(bucket));
	for (uint64_t i = 0; i < 25600; i++)
		bucket[hash_bytes(&i, 1 + i % 8) % 256] += i % 8 == 7;
	for (int i = 0; i < 256; i++)
		assert_in_range(bucket[i], 0, 60);
	assert_int_equal(hash_bytes("abcdefgh", 8), hash_bytes("abcdefgh", 8));
	assert_true(hash_bytes("abcdefgh", 8) != hash_bytes("abcdefgi", 8));
	assert_true(hash_bytes("abc", 3) != hash_bytes("abc\0", 4));
}

struct fixture {
	struct config config;
	struct accounts accounts;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	config_init(&f->config);
	f->config.limits = (struct limits){.sessions = 2, .heaps = 3, .bytes = 1000, .parked = 0};
	accounts_init(&f->accounts, &f->config);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	accounts_deinit(&f->accounts);
	config_deinit(&f->config);
	free(f);
	return 0;
}

static void charges_add_up(void **state)
{
	struct fixture *f = *state;
	struct charge c[4] = { CHARGE_NULL, CHARGE_NULL, CHARGE_NULL, CHARGE_NULL };

	assert_int_equal(0, charge_take(&c[0], &f->accounts, 5, RESOURCE_BYTES, 600));
	assert_int_equal(STATUS_QUOTA, charge_take(&c[1], &f->accounts, 5, RESOURCE_BYTES, 401));
	assert_null(c[1].accounts);
	assert_int_equal(0, charge_take(&c[1], &f->accounts, 5, RESOURCE_BYTES, 400));
	assert_int_equal(STATUS_QUOTA, charge_take(&c[2], &f->accounts, 5, RESOURCE_BYTES, 1));
	assert_int_equal(0, charge_take(&c[2], &f->accounts, 6, RESOURCE_BYTES, 1000));
	assert_int_equal(STATUS_QUOTA, charge_take(&c[3], &f->accounts, 6, RESOURCE_PARKED, 1));
	assert_int_equal(STATUS_QUOTA,
			 charge_take(&c[3], &f->accounts, 7, RESOURCE_BYTES, UINT64_MAX));
	assert_int_equal(2, f->accounts.by_uid.n); /* 7 has nothing, so it has no account */
	assert_int_equal(1000, accounts_used(&f->accounts, 5, RESOURCE_BYTES));
	assert_int_equal(0, accounts_used(&f->accounts, 5, RESOURCE_HEAPS));
	assert_int_equal(4, f->accounts.refused);
	charge_deinit(&c[0]);
	charge_deinit(&c[0]); /* safe twice */
	assert_int_equal(400, accounts_used(&f->accounts, 5, RESOURCE_BYTES));
	charge_deinit(&c[1]);
	charge_deinit(&c[2]);
	charge_deinit(&c[3]);
	assert_int_equal(0, f->accounts.by_uid.n);
}

static void root_has_no_limit(void **state)
{
	struct fixture *f = *state;
	struct charge a = CHARGE_NULL, b = CHARGE_NULL;

	assert_int_equal(0, charge_take(&a, &f->accounts, 0, RESOURCE_BYTES, UINT64_MAX - 5));
	assert_int_equal(0, charge_take(&b, &f->accounts, 0, RESOURCE_PARKED, 1));
	charge_deinit(&a);
	charge_deinit(&b);
}

static void lowered_limits_hold_from_now_on(void **state)
{
	struct fixture *f = *state;
	struct charge a = CHARGE_NULL, b = CHARGE_NULL;

	assert_int_equal(0, charge_take(&a, &f->accounts, 5, RESOURCE_BYTES, 900));
	f->config.limits.bytes = 100;
	assert_int_equal(STATUS_QUOTA, charge_take(&b, &f->accounts, 5, RESOURCE_BYTES, 1));
	charge_deinit(&a);
	assert_int_equal(0, charge_take(&b, &f->accounts, 5, RESOURCE_BYTES, 100));
	charge_deinit(&b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_keeps_what_it_is_given),
		cmocka_unit_test(hashes_spread),
		TEST(charges_add_up),
		TEST(root_has_no_limit),
		TEST(lowered_limits_hold_from_now_on),
	};

	return cmocka_run_group_tests_name("account", tests, NULL, NULL);
}
