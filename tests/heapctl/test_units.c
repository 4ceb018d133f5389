/*
 * test_units.c: sizes and times in words, and back; JSON that is JSON whatever the text
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "heapctl/json.h"
#include "heapctl/units.h"

static void test_size_parse(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{"0", 0}, {"1", 1}, {"4096", 4096}, {"4096B", 4096}, {"64K", 65536}, {"64k", 65536}, {"64KiB", 65536},
		{"64KB", 65536}, {"1M", 1u << 20}, {"1.5K", 1536}, {"1.5G", 3ull << 29}, {"0.5k", 512}, {"8G", 8ull << 30},
		{"2T", 2ull << 40}, {"1P", 1ull << 50}, {"15E", 15ull << 60}, {"18446744073709551615", UINT64_MAX},
		{"1.125M", (1 << 20) + (1 << 17)},
	};
	static const char *const bad[] = {
		"", "K", "-1", "+1", " 1", "1 ", "1.5", "1x", "1KM", "1Ki", "16E", ".5K", "1..5K", "0x10",
		"1.2345K", "1Bi", "1BB", "18446744073709551616", "99999999999999999999K", "1e3",
	};
	uint64_t bytes;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		if (!size_parse(good[i].text, &bytes) || bytes != good[i].bytes)
			fail_msg("%s", good[i].text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (size_parse(bad[i], &bytes))
			fail_msg("\"%s\" passed", bad[i]);
}

static void expect_size(uint64_t bytes, const char *due)
{
	char text[16];

	size_text(text, sizeof(text), bytes);
	assert_string_equal(due, text);
}

static void test_size_text(void **state)
{
	(void)state;
	expect_size(0, "0B");
	expect_size(1023, "1023B");
	expect_size(1024, "1K");
	expect_size(1536, "1.5K");
	expect_size(10 * 1024 + 512, "11K");
	expect_size(1024 * 1024 - 1, "1M");
	expect_size(1023 * 1024 + 700, "1M");
	expect_size(1023 * 1024 + 100, "1023K");
	expect_size(1 << 20, "1M");
	expect_size((1 << 20) + (1 << 17), "1.1M");
	expect_size(1ull << 30, "1G");
	expect_size(1ull << 40, "1T");
	expect_size(1ull << 50, "1P");
	expect_size(1ull << 60, "1E");
	expect_size(UINT64_MAX, "16E");
}

/* What is shown can be typed again, and is the same up to the rounding of what was shown. */
static void test_sizes_round_trip(void **state)
{
	(void)state;
	for (uint64_t bytes = 1; bytes < UINT64_MAX / 3; bytes = bytes * 2 + 7) {
		char text[16];
		uint64_t again, gap;

		size_text(text, sizeof(text), bytes);
		assert_true(strlen(text) <= 5);
		assert_true(size_parse(text, &again));
		gap = again > bytes ? again - bytes : bytes - again;
		assert_true(gap <= bytes / 19); /* half a tenth of one unit: 5 % */
	}
}

static void expect_duration(uint64_t ns, const char *due)
{
	char text[24];

	duration_text(text, sizeof(text), ns);
	assert_string_equal(due, text);
}

static void test_durations(void **state)
{
	(void)state;
	expect_duration(0, "0us");
	expect_duration(999999, "999us");
	expect_duration(1000000, "1ms");
	expect_duration(999999999, "999ms");
	expect_duration(3250000000, "3.2s");
	expect_duration(59999999999, "59.9s");
	expect_duration(247ull * NSEC_PER_SEC, "4m07s");
	expect_duration(18720ull * NSEC_PER_SEC, "5h12m");
	expect_duration((3 * 86400 + 4 * 3600) * NSEC_PER_SEC, "3d04h");
}

static char document[4096];

static void expect_json(FILE *out, const char *due)
{
	assert_int_equal(0, fclose(out));
	assert_string_equal(due, document);
}

static FILE *begin(struct json *j)
{
	FILE *out = fmemopen(document, sizeof(document), "w");

	assert_non_null(out);
	json_init(j, out);
	return out;
}

static void test_json_nests(void **state)
{
	struct json j;
	FILE *out = begin(&j);

	(void)state;
	json_object(&j, NULL);
	json_number(&j, "n", UINT64_MAX);
	json_array(&j, "empty");
	json_end(&j);
	json_array(&j, "list");
	json_object(&j, NULL);
	json_text(&j, "nothing", NULL);
	json_end(&j);
	json_digits(&j, NULL, "-5");
	json_object(&j, NULL);
	json_end(&j);
	json_end(&j);
	json_end(&j);
	expect_json(out,
		    "{\n  \"n\": 18446744073709551615,\n  \"empty\": [],\n  \"list\": [\n    {\n"
		    "      \"nothing\": null\n    },\n    -5,\n    {}\n  ]\n}\n");
}

static void test_json_texts(void **state)
{
	static const struct {
		const char *text, *due;
	} rows[] = {
		{"plain", "plain"},
		{"\"\\/", "\\\"\\\\/"},
		{"a\nb\t\x7f\x01", "a\\u000ab\\u0009\\u007f\\u0001"},
		{"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
		{"\xff", "\\ufffd"},
		{"\xc3", "\\ufffd"},                          /* cut off */
		{"\xc0\xaf", "\\ufffd\\ufffd"},               /* overlong */
		{"\xe0\x80\xaf", "\\ufffd\\ufffd\\ufffd"},    /* overlong */
		{"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"},    /* a surrogate */
		{"\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"}, /* beyond Unicode */
		{"\xe2\x82", "\\ufffd\\ufffd"},
		{"\xf0\x9f\x98" "a", "\\ufffd\\ufffd\\ufffda"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char due[128];
		struct json j;
		FILE *out = begin(&j);

		json_array(&j, NULL);
		json_text(&j, NULL, rows[i].text);
		json_end(&j);
		(void)snprintf(due, sizeof(due), "[\n  \"%s\"\n]\n", rows[i].due);
		expect_json(out, due);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size_parse),
		cmocka_unit_test(test_size_text),
		cmocka_unit_test(test_sizes_round_trip),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_json_nests),
		cmocka_unit_test(test_json_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
