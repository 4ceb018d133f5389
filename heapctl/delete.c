/*
 * delete.c: heapctl delete: the name is free at once, every waiter returns
 */
#include "heapctl/ask.h"
#include "heapctl/command.h"

struct deletion {
	struct options *options;
	char **names;
	int n;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct deletion *d = state->input;

	(void)arg;
	switch (key) {
	case ARGP_KEY_INIT:
		options_to_children(state, d->options, 1);
		return 0;
	case ARGP_KEY_ARGS:
		d->names = state->argv + state->next;
		d->n = state->argc - state->next;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which heap?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {{.argp = &argp_socket}, {0}};
static const struct argp argp = {
	.parser = parse,
	.args_doc = "NAME|ID...",
	.children = children,
	.doc = "Deletes heaps. Whoever waits in one gets an error; memory that is mapped stays until it is unbound.",
};

int command_delete(int argc, char **argv, struct options *o)
{
	static const uint16_t op = OP_DELETE;
	struct deletion d = {.options = o};
	struct ask a;

	(void)argp_parse(&argp, argc, argv, 0, NULL, &d);
	ask_open(&a, o);
	for (int i = 0; i < d.n; i++) {
		struct frame f;
		uint32_t status = ask_about(&a, &f, d.names[i], ask_fill_target, &op);

		if (status != STATUS_OK)
			fail("%s: %s", d.names[i],
			     status == STATUS_INVALID ? "it is its process's own, and ends with that"
						      : status_text(status));
	}
	ask_close(&a);
	return EXIT_SUCCESS;
}
