/*
 * values.c: see values.h
 */
#include <ctype.h>
#include <grp.h>
#include <pwd.h>
#include <strings.h>
#include "daemon/values.h"

int value_bool(const char *text, bool *out)
{
	static const char *const yes[] = { "yes", "true", "on", "1" };
	static const char *const no[] = { "no", "false", "off", "0" };

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		if (!strcasecmp(text, yes[i])) {
			*out = true;
			return 0;
		}
		if (!strcasecmp(text, no[i])) {
			*out = false;
			return 0;
		}
	}
	return -EINVAL;
}

/* Digits at the start of text; *rest is what follows. strtoull would take blanks and signs. */
static int digits(const char *text, uint64_t *out, const char **rest)
{
	uint64_t n = 0;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	for (; isdigit((unsigned char)*text); text++)
		if (__builtin_mul_overflow(n, 10u, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*text - '0'), &n))
			return -ERANGE;
	*out = n;
	*rest = text;
	return 0;
}

static bool is_infinity(const char *text)
{
	return !strcasecmp(text, "infinity");
}

int value_count(const char *text, uint64_t *out)
{
	const char *rest;
	uint64_t n;
	int r;

	if (is_infinity(text)) {
		*out = UINT64_MAX;
		return 0;
	}
	r = digits(text, &n, &rest);
	if (r < 0)
		return r;
	if (*rest)
		return -EINVAL;
	*out = n;
	return 0;
}

/* A number times the factor of its unit. */
static int with_unit(const char *text, uint64_t *out, int (*factor)(const char *unit, uint64_t *out))
{
	const char *rest;
	uint64_t n, times;
	int r;

	r = digits(text, &n, &rest);
	if (r < 0)
		return r;
	while (*rest == ' ')
		rest++;
	r = factor(rest, &times);
	if (r < 0)
		return !n && !*rest ? (*out = 0, 0) : r;
	if (__builtin_mul_overflow(n, times, &n))
		return -ERANGE;
	*out = n;
	return 0;
}

static int size_factor(const char *unit, uint64_t *out)
{
	static const char letters[] = "KMGT";
	const char *letter;

	*out = 1;
	if (!*unit || !strcasecmp(unit, "B"))
		return 0;
	letter = strchr(letters, toupper((unsigned char)*unit));
	if (!letter || (unit[1] && strcasecmp(unit + 1, "B") && strcasecmp(unit + 1, "iB")))
		return -EINVAL;
	*out = UINT64_C(1) << (10 * (letter - letters + 1));
	return 0;
}

int value_size(const char *text, uint64_t *out)
{
	if (is_infinity(text)) {
		*out = UINT64_MAX;
		return 0;
	}
	return with_unit(text, out, size_factor);
}

static int time_factor(const char *unit, uint64_t *out)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = { { "ns", 1 }, { "us", 1000 }, { "ms", NSEC_PER_MSEC }, { "s", NSEC_PER_SEC } };

	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (!strcmp(unit, units[i].unit)) {
			*out = units[i].ns;
			return 0;
		}
	return -EINVAL;
}

int value_time(const char *text, uint64_t *out_ns)
{
	return with_unit(text, out_ns, time_factor);
}

int value_mode(const char *text, mode_t *out)
{
	mode_t mode = 0;

	if (!*text || strlen(text) > 4)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '7')
			return -EINVAL;
		mode = mode << 3 | (mode_t)(*text - '0');
	}
	if (mode & ~(mode_t)0666)
		return -EINVAL;
	*out = mode;
	return 0;
}

/* uid_t and gid_t: 32 bits, all ones means "none" */
static int id_number(const char *text, uint32_t *out)
{
	uint64_t n;
	int r = value_count(text, &n);

	if (r < 0)
		return r;
	if (n >= UINT32_MAX)
		return -ERANGE;
	*out = (uint32_t)n;
	return 0;
}

int value_user(const char *text, uid_t *out)
{
	const struct passwd *pw;

	if (isdigit((unsigned char)*text))
		return id_number(text, out);
	pw = getpwnam(text);
	if (!pw)
		return -ENOENT;
	*out = pw->pw_uid;
	return 0;
}

int value_group(const char *text, gid_t *out)
{
	const struct group *gr;

	if (isdigit((unsigned char)*text))
		return id_number(text, out);
	gr = getgrnam(text);
	if (!gr)
		return -ENOENT;
	*out = gr->gr_gid;
	return 0;
}
