/*
 * list.c: heapctl list: the heaps, one a line
 */
#include "heapctl/ask.h"
#include "heapctl/command.h"
#include "heapctl/entries.h"

static error_t parse(int key, char *arg, struct argp_state *state)
{
	(void)arg;
	switch (key) {
	case ARGP_KEY_INIT:
		options_to_children(state, state->input, 3);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "no argument is due");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {
	{.argp = &argp_style}, {.argp = &argp_output}, {.argp = &argp_socket}, {0},
};
static const struct argp argp = {
	.parser = parse,
	.children = children,
	.doc = "Lists the heaps that you may bind; root: all.",
};

int command_list(int argc, char **argv, struct options *o)
{
	struct wire_entry *entries;
	struct table *t;
	struct ask a;
	size_t n;

	(void)argp_parse(&argp, argc, argv, 0, NULL, o);
	t = entries_table(&o->style);
	ask_open(&a, o);
	entries = ask_all(&a, OP_LIST, 0, sizeof(*entries), &n);
	for (size_t i = 0; i < n; i++)
		entries_add(t, &entries[i]);
	table_write(t, "heaps", stdout);
	table_free(t);
	free(entries);
	ask_close(&a);
	return EXIT_SUCCESS;
}
