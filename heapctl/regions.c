/*
 * regions.c: heapctl regions: the regions that heapd.conf has for the shared multi-heap
 *
 * Those that the user may attach, in the file's order, which is the order in which a program gets
 * them. What programs have attached is in list and inspect.
 */
#include "heapctl/ask.h"
#include "heapctl/command.h"
#include "heapctl/table.h"
#include "heapctl/words.h"

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
	.doc = "Lists the regions of heapd.conf that you may attach; root: all.",
};

enum { NAME, ATTRIBUTE, SIZE, BACKING, N_COLUMNS };

static const struct column columns[N_COLUMNS] = {
	[NAME] = {.key = "name"},
	[ATTRIBUTE] = {.key = "attribute"},
	[SIZE] = {.key = "size", .type = COLUMN_BYTES},
	[BACKING] = {.key = "backing"},
};

int command_regions(int argc, char **argv, struct options *o)
{
	struct wire_region *regions;
	struct table *t;
	struct ask a;
	size_t n;

	(void)argp_parse(&argp, argc, argv, 0, NULL, o);
	t = table_new(columns, N_COLUMNS, &o->style);
	ask_open(&a, o);
	regions = ask_all(&a, OP_REGIONS, 0, sizeof(*regions), &n);
	for (size_t i = 0; i < n; i++) {
		table_row(t);
		table_text(t, NAME, regions[i].name);
		table_text(t, ATTRIBUTE, attribute_text(regions[i].attribute));
		table_bytes(t, SIZE, regions[i].size);
		table_text(t, BACKING, backing_text(regions[i].backing));
	}
	table_write(t, "regions", stdout);
	table_free(t);
	free(regions);
	ask_close(&a);
	return EXIT_SUCCESS;
}
