/*
 * stat.c: heapctl stat: the daemon's own figures
 */
#include <stdio.h>

#include "heapctl/ask.h"
#include "heapctl/command.h"
#include "heapctl/table.h"
#include "heapctl/units.h"

static error_t parse(int key, char *arg, struct argp_state *state)
{
	(void)arg;
	switch (key) {
	case ARGP_KEY_INIT:
		options_to_children(state, state->input, 2);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "no argument is due");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {{.argp = &argp_style}, {.argp = &argp_socket}, {0}};
static const struct argp argp = {
	.parser = parse,
	.children = children,
	.doc = "Shows the daemon's own figures.",
};

enum figure_type { COUNT, BYTES, TIME, YES_NO };

/* One table row tells all about a figure. */
static const struct figure {
	const char *key;
	const char *text;
	enum figure_type type;
	size_t at, size;
} figures[] = {
#define FIGURE(field, type_, text_) \
	{.key = #field, .text = (text_), .type = (type_), .at = offsetof(struct wire_stat, field), \
	 .size = sizeof(((struct wire_stat *)0)->field)}
	FIGURE(pid, COUNT, "process"),
	FIGURE(uptime_ns, TIME, "runs for"),
	FIGURE(priority, COUNT, "real-time priority"),
	FIGURE(io_uring, YES_NO, "commits through io_uring"),
	FIGURE(locked, YES_NO, "arenas locked into RAM"),
	FIGURE(heaps, COUNT, "heaps"),
	FIGURE(heaps_total, COUNT, "heaps, ever"),
	FIGURE(bytes, BYTES, "memory in arenas"),
	FIGURE(sessions, COUNT, "sessions"),
	FIGURE(sessions_total, COUNT, "sessions, ever"),
	FIGURE(parked_binds, COUNT, "binds that wait"),
	FIGURE(parked_refills, COUNT, "requests for pages that wait"),
	FIGURE(commits, COUNT, "commits under way"),
	FIGURE(requests, COUNT, "requests"),
	FIGURE(events, COUNT, "events"),
	FIGURE(recalls, COUNT, "recalls"),
	FIGURE(refused, COUNT, "refused by a quota"),
	FIGURE(dropped, COUNT, "clients dropped"),
};

static uint64_t value_of(const struct figure *g, const struct wire_stat *s)
{
	const char *at = (const char *)s + g->at;
	uint32_t small;
	uint64_t large;

	if (g->size == sizeof(small)) {
		memcpy(&small, at, sizeof(small));
		return small;
	}
	memcpy(&large, at, sizeof(large));
	return large;
}

static void print_json(const struct wire_stat *s)
{
	struct json j;

	json_init(&j, stdout);
	json_object(&j, NULL);
	json_text(&j, "version", s->build);
	for (size_t i = 0; i < ARRAY_SIZE(figures); i++)
		json_number(&j, figures[i].key, value_of(&figures[i], s));
	json_end(&j);
}

static void print_table(const struct wire_stat *s, const struct style *style)
{
	static const struct column columns[] = {{.key = "figure"},
						{.key = "value", .type = COLUMN_NUMBER}};
	struct table *t = table_new(columns, ARRAY_SIZE(columns), style);
	char text[32];

	table_row(t);
	table_text(t, 0, "version");
	table_text(t, 1, s->build);
	for (size_t i = 0; i < ARRAY_SIZE(figures); i++) {
		uint64_t value = value_of(&figures[i], s);

		table_row(t);
		table_text(t, 0, figures[i].text);
		switch (figures[i].type) {
		case COUNT:
			table_number(t, 1, value);
			break;
		case BYTES:
			table_bytes(t, 1, value);
			break;
		case TIME:
			duration_text(text, sizeof(text), value);
			table_text(t, 1, text);
			break;
		case YES_NO:
			table_text(t, 1, value ? "yes" : "no");
			break;
		}
	}
	table_print(t, stdout);
	table_free(t);
}

int command_stat(int argc, char **argv, struct options *o)
{
	struct frame f;
	uint32_t status;
	struct ask a;

	(void)argp_parse(&argp, argc, argv, 0, NULL, o);
	ask_open(&a, o);
	(void)frame_init(&f, OP_STAT, 0, 0, 0);
	status = ask_call(&a, &f);
	if (status != STATUS_OK)
		fail("%s", status_text(status));
	if (o->style.json)
		print_json(FRAME_BODY(&f, const struct wire_stat));
	else
		print_table(FRAME_BODY(&f, const struct wire_stat), &o->style);
	ask_close(&a);
	return EXIT_SUCCESS;
}
