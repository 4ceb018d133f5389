/*
 * units.c: sizes and times as people write and read them
 */
#include "heapctl/units.h"

#include <inttypes.h>
#include <stdio.h>

static const char letters[] = "BKMGTPE";

/* "", "B", "K", "KB", "KiB" and the like: the power of 1024. -1: no unit. */
static int parse_unit(const char *text)
{
	const char *at;

	if (!*text)
		return 0;
	at = strchr(letters, *text >= 'a' && *text <= 'z' ? *text - 'a' + 'A' : *text);
	if (!at)
		return -1;
	text++;
	if (at > letters && text[0] == 'i' && text[1] == 'B')
		text += 2;
	else if (at > letters && text[0] == 'B')
		text++;
	return *text ? -1 : (int)(at - letters);
}

bool size_parse(const char *text, uint64_t *bytes)
{
	uint64_t whole = 0, part = 0, scale = 1, unit;
	bool digits = false;
	int power;

	for (; *text >= '0' && *text <= '9'; text++, digits = true)
		if (__builtin_mul_overflow(whole, 10u, &whole) ||
		    __builtin_add_overflow(whole, (uint64_t)(*text - '0'), &whole))
			return false;
	if (*text == '.' && digits)
		for (text++; *text >= '0' && *text <= '9' && scale < 1000; text++, scale *= 10)
			part = part * 10 + (uint64_t)(*text - '0');
	power = digits ? parse_unit(text) : -1;
	if (power < 0 || (power == 0 && scale > 1))
		return false;
	unit = UINT64_C(1) << (10 * power);
	if (__builtin_mul_overflow(part, unit, &part) ||
	    __builtin_mul_overflow(whole, unit, &whole))
		return false;
	return !__builtin_add_overflow(whole, part / scale, bytes);
}

void size_text(char *out, size_t size, uint64_t bytes)
{
	uint64_t tenths;
	unsigned power = 0;

	if (bytes < 1024) {
		(void)snprintf(out, size, "%" PRIu64 "B", bytes);
		return;
	}
	while (bytes >> (10 * power) >= 1024)
		power++;
	/* rounded to a tenth; of what lies below the unit 20 bits are precise enough */
	tenths = (bytes >> (10 * power)) * 10;
	tenths += (((bytes >> (10 * (power - 1))) & 1023) * 10 + 512) / 1024;
	if (tenths >= 10235 && power + 1 < sizeof(letters) - 1) { /* it would round to 1024 */
		tenths = 10;
		power++;
	}
	if (tenths >= 100 || tenths % 10 == 0)
		(void)snprintf(out, size, "%" PRIu64 "%c", (tenths + 5) / 10, letters[power]);
	else
		(void)snprintf(out, size, "%" PRIu64 ".%" PRIu64 "%c", tenths / 10, tenths % 10,
			       letters[power]);
}

void duration_text(char *out, size_t size, uint64_t ns)
{
	uint64_t s = ns / NSEC_PER_SEC, ms = ns / NSEC_PER_MSEC;

	if (ns < NSEC_PER_MSEC)
		(void)snprintf(out, size, "%" PRIu64 "us", ns / 1000);
	else if (ns < NSEC_PER_SEC)
		(void)snprintf(out, size, "%" PRIu64 "ms", ms);
	else if (s < 60)
		(void)snprintf(out, size, "%" PRIu64 ".%" PRIu64 "s", s, ms / 100 % 10);
	else if (s < 3600)
		(void)snprintf(out, size, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
	else if (s < 86400)
		(void)snprintf(out, size, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s / 60 % 60);
	else
		(void)snprintf(out, size, "%" PRIu64 "d%02" PRIu64 "h", s / 86400, s / 3600 % 24);
}

void clock_text(char *out, size_t size, uint64_t realtime_ns)
{
	time_t t = (time_t)(realtime_ns / NSEC_PER_SEC);
	struct tm tm;

	if (!realtime_ns || !localtime_r(&t, &tm) || strftime(out, size, "%F %T", &tm) == 0)
		(void)snprintf(out, size, "-");
}
