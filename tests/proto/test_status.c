/*
 * test_status.c: each status has its errno and its words; names are what SPEC allows
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "proto/codec.h"

static void test_errnos(void **state)
{
	static const int errnos[STATUS_COUNT] = {
		[STATUS_OK] = 0,
		[STATUS_PARKED] = -EINPROGRESS,
		[STATUS_EXISTS] = -EEXIST,
		[STATUS_MISSING] = -ENOENT,
		[STATUS_DENIED] = -EACCES,
		[STATUS_NOT_OWNER] = -EPERM,
		[STATUS_QUOTA] = -EDQUOT,
		[STATUS_NO_MEMORY] = -ENOMEM,
		[STATUS_INVALID] = -EINVAL,
		[STATUS_NAME_TOO_LONG] = -ENAMETOOLONG,
		[STATUS_REMOVED] = -EIDRM,
		[STATUS_WOULD_BLOCK] = -EWOULDBLOCK,
		[STATUS_TIMED_OUT] = -ETIMEDOUT,
		[STATUS_UNSUPPORTED] = -EOPNOTSUPP,
		[STATUS_BOUND] = -EISCONN,
		[STATUS_CANCELLED] = -ECANCELED,
		[STATUS_LATE] = -EALREADY,
		[STATUS_VERSION] = -EPROTONOSUPPORT,
		[STATUS_NO_FILES] = -EMFILE,
		[STATUS_BUSY] = -EAGAIN,
	};

	(void)state;
	for (uint32_t s = 0; s < STATUS_COUNT; s++)
		assert_int_equal(errnos[s], status_errno(s));
	assert_int_equal(-EPROTO, status_errno(STATUS_COUNT));
	assert_int_equal(-EPROTO, status_errno(UINT32_MAX));
}

static void test_texts_differ(void **state)
{
	(void)state;
	for (uint32_t s = 0; s <= STATUS_COUNT; s++) {
		assert_true(strlen(status_text(s)) > 2);
		for (uint32_t other = 0; other < s; other++)
			assert_string_not_equal(status_text(s), status_text(other));
	}
	assert_string_equal(status_text(STATUS_COUNT), status_text(UINT32_MAX));
}

static void test_name_characters(void **state)
{
	(void)state;
	for (int c = 1; c <= 0xff; c++) {
		char name[] = {'a', (char)c, 'b', 0};
		int due = c > ' ' && c < 0x7f && c != '/' ? STATUS_OK : STATUS_INVALID;

		assert_int_equal(due, name_check(name));
		assert_int_equal(due, name_check(name + 1)); /* at the start */
	}
}

static void test_name_lengths(void **state)
{
	char name[100] = "";

	(void)state;
	assert_int_equal(STATUS_INVALID, name_check(""));
	assert_int_equal(STATUS_INVALID, name_check(NULL));
	for (size_t n = 1; n < sizeof(name) - 1; n++) {
		name[n - 1] = 'x';
		assert_int_equal(n <= WIRE_NAME_MAX ? STATUS_OK : STATUS_NAME_TOO_LONG,
				 name_check(name));
	}
	name[0] = '/';
	assert_int_equal(STATUS_NAME_TOO_LONG, name_check(name)); /* the length is said first */
}

static void test_name_copy(void **state)
{
	char field[WIRE_NAME_SIZE + 1], name[WIRE_NAME_SIZE];

	(void)state;
	for (size_t n = 0; n <= WIRE_NAME_MAX; n++) {
		memset(name, 'y', n);
		name[n] = 0;
		memset(field, 0xee, sizeof(field));
		name_copy(field, name);
		assert_string_equal(name, field);
		for (size_t i = n; i < WIRE_NAME_SIZE; i++)
			assert_int_equal(0, field[i]);
		assert_int_equal((char)0xee, field[WIRE_NAME_SIZE]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errnos),
		cmocka_unit_test(test_texts_differ),
		cmocka_unit_test(test_name_characters),
		cmocka_unit_test(test_name_lengths),
		cmocka_unit_test(test_name_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
