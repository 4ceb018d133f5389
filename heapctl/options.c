/*
 * options.c: what every subcommand is given
 */
#include "heapctl/options.h"

#include <stdarg.h>
#include <stdio.h>

#include "heapctl/screen.h"

enum { OPT_SOCKET = 's', OPT_JSON = 'J', OPT_BYTES = 'b', OPT_NOHEADINGS = 'n', OPT_OUTPUT = 'o' };

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case OPT_SOCKET:
		o->socket = arg;
		return 0;
	case OPT_JSON:
		o->style.json = true;
		return 0;
	case OPT_BYTES:
		o->style.bytes = true;
		return 0;
	case OPT_NOHEADINGS:
		o->style.noheadings = true;
		return 0;
	case OPT_OUTPUT:
		o->style.output = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option socket_options[] = {
	{.name = "socket", .key = OPT_SOCKET, .arg = "PATH", .doc = "Talk to the heapd that listens there"},
	{0},
};
const struct argp argp_socket = {.options = socket_options, .parser = parse};

static const struct argp_option style_options[] = {
	{.name = "json", .key = OPT_JSON, .doc = "Write JSON"},
	{.name = "bytes", .key = OPT_BYTES, .doc = "Write sizes in bytes"},
	{.name = "noheadings", .key = OPT_NOHEADINGS, .doc = "Write no headings"},
	{0},
};
const struct argp argp_style = {.options = style_options, .parser = parse};

static const struct argp_option output_options[] = {
	{.name = "output", .key = OPT_OUTPUT, .arg = "COLUMNS",
	 .doc = "Write these columns: names with commas between; +COLUMNS adds to the usual ones"},
	{0},
};
const struct argp argp_output = {.options = output_options, .parser = parse};

void options_to_children(struct argp_state *state, struct options *o, size_t n)
{
	for (size_t i = 0; i < n; i++)
		state->child_inputs[i] = o;
}

void fail(const char *fmt, ...)
{
	va_list args;

	screen_close(); /* or the line would go with the screen */
	(void)fflush(stdout);
	(void)fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	(void)fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

void *must_alloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		fail("out of memory");
	return p;
}

void *must_grow(void *p, size_t n, size_t size)
{
	p = reallocarray(p, n ? n : 1, size);
	if (!p)
		fail("out of memory");
	return p;
}
