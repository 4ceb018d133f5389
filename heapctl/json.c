/*
 * json.c: writes one JSON document
 */
#include "heapctl/json.h"

#include <inttypes.h>

void json_init(struct json *j, FILE *out)
{
	*j = (struct json){.out = out};
}

static void new_line(struct json *j)
{
	(void)fprintf(j->out, "\n%*s", (int)(2 * j->depth), "");
}

/* Bytes of the UTF-8 character that begins with this byte; 0 if none does. */
static size_t utf8_promised(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Bytes of the UTF-8 character at s (1 to 4), or 0 if there is none: no overlong forms, no
 * surrogates. */
static size_t utf8_length(const unsigned char *s)
{
	size_t n = utf8_promised(s[0]);

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

static void quoted(FILE *out, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	(void)fputc('"', out);
	while (*s) {
		size_t n = utf8_length(s);

		if (*s == '"' || *s == '\\')
			(void)fprintf(out, "\\%c", *s);
		else if (*s < ' ' || *s == 0x7f)
			(void)fprintf(out, "\\u%04x", *s);
		else if (n)
			(void)fwrite(s, n, 1, out);
		else
			(void)fputs("\\ufffd", out);
		s += n ? n : 1;
	}
	(void)fputc('"', out);
}

static void begin(struct json *j, const char *key)
{
	if (j->some[j->depth])
		(void)fputc(',', j->out);
	j->some[j->depth] = true;
	if (j->depth)
		new_line(j);
	if (key) {
		quoted(j->out, key);
		(void)fputs(": ", j->out);
	}
}

static void open_with(struct json *j, const char *key, char open, char close)
{
	assert(j->depth < JSON_DEPTH_MAX && "no document nests as deep");
	begin(j, key);
	(void)fputc(open, j->out);
	j->close[j->depth++] = close;
	j->some[j->depth] = false;
}

void json_object(struct json *j, const char *key)
{
	open_with(j, key, '{', '}');
}

void json_array(struct json *j, const char *key)
{
	open_with(j, key, '[', ']');
}

void json_end(struct json *j)
{
	bool some = j->some[j->depth];

	assert(j->depth > 0);
	j->depth--;
	if (some)
		new_line(j);
	(void)fputc(j->close[j->depth], j->out);
	if (j->depth == 0)
		(void)fputc('\n', j->out);
}

void json_text(struct json *j, const char *key, const char *text)
{
	begin(j, key);
	if (text)
		quoted(j->out, text);
	else
		(void)fputs("null", j->out);
}

void json_number(struct json *j, const char *key, uint64_t value)
{
	begin(j, key);
	(void)fprintf(j->out, "%" PRIu64, value);
}

void json_digits(struct json *j, const char *key, const char *number)
{
	begin(j, key);
	(void)fputs(number, j->out);
}
