/*
 * page.c: see page.h
 */
#include "tests/realtime/page.h"

#include "tests/story/story.h"

#define CALL_NAME_(name, text) [CALL_##name] = text,
const char *const call_names[CALL_COUNT] = { CALLS(CALL_NAME_) };

/* The first cell of a row without accents and outer blanks; what follows it. NULL: no row. */
static const char *split_row(char *line)
{
	char *to = line, *from = line + 1;

	if (line[0] != '|')
		return NULL;
	from += strspn(from, " ");
	for (; *from && *from != '|'; from++)
		if (*from != '`')
			*to++ = *from;
	if (!*from)
		return NULL;
	while (to > line && to[-1] == ' ')
		to--;
	*to = '\0';
	return from + 1;
}

uint64_t page_bound(const char *name)
{
	const char *path = getenv("REALTIME_PAGE");
	_cleanup_free_ char *line = NULL;
	uint64_t bound = 0;
	size_t size = 0;
	int rows = 0;
	FILE *f = path ? fopen(path, "re") : NULL;

	if (!f)
		print_error("$REALTIME_PAGE shall name docs/realtime.md\n");
	assert_non_null(f);
	while (getline(&line, &size, f) > 0) {
		const char *rest = split_row(line);

		if (!rest || strcmp(line, name) != 0)
			continue;
		rows++;
		for (rest += strspn(rest, " "); *rest >= '0' && *rest <= '9'; rest++)
			bound = bound * 10 + (uint64_t)(*rest - '0');
	}
	(void)fclose(f);
	if (rows != 1 || !bound)
		print_error("docs/realtime.md has %d rows and no bound for \"%s\"\n", rows, name);
	assert_true(rows == 1 && bound > 0);
	return bound;
}

uint64_t page_call_bound(enum call call)
{
	uint64_t bound = page_bound(call_names[call]);

	if (call == CALL_PT_EMPTY)
		bound += page_bound("looking at one CPU, besides") * (uint64_t)sysconf(_SC_NPROCESSORS_CONF);
	return bound;
}
