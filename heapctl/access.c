/*
 * access.c: heapctl chmod and heapctl chown: who may use a heap
 *
 * One request serves both; what is not to change travels as "as it is".
 */
#include "heapctl/ask.h"
#include "heapctl/command.h"
#include "heapctl/words.h"

struct change {
	struct options *options;
	bool (*parse)(const char *text, struct change *c); /* of the first argument */
	const char *complaint;
	char **names;
	int n;
	uint32_t perm, uid, gid;
};

static bool parse_mode(const char *text, struct change *c)
{
	return perm_parse(text, &c->perm);
}

/* "USER", "USER:GROUP", ":GROUP". */
static bool parse_owner(const char *text, struct change *c)
{
	char user[256];
	const char *colon = strchrnul(text, ':');
	size_t length = (size_t)(colon - text);

	if (length >= sizeof(user) || strcmp(text, ":") == 0 || !*text)
		return false;
	memcpy(user, text, length);
	user[length] = '\0';
	if (length && !user_parse(user, &c->uid))
		return false;
	return !*colon || !colon[1] ? length > 0 && !*colon : group_parse(colon + 1, &c->gid);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct change *c = state->input;

	(void)arg;
	switch (key) {
	case ARGP_KEY_INIT:
		options_to_children(state, c->options, 1);
		return 0;
	case ARGP_KEY_ARGS:
		if (!c->parse(state->argv[state->next], c))
			argp_error(state, "%s: %s", state->argv[state->next], c->complaint);
		c->names = state->argv + state->next + 1;
		c->n = state->argc - state->next - 1;
		if (c->n == 0)
			argp_error(state, "which heap?");
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "two arguments are due");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void fill(struct frame *f, uint64_t heap, const char *name, const void *ctx)
{
	struct wire_chmod *w = frame_init(f, OP_CHMOD, 0, 0, sizeof(*w));
	const struct change *c = ctx;

	w->heap = heap;
	if (name)
		name_copy(w->name, name);
	w->perm = c->perm;
	w->uid = c->uid;
	w->gid = c->gid;
}

static int apply(const struct argp *argp, int argc, char **argv, struct change *c)
{
	struct ask a;

	(void)argp_parse(argp, argc, argv, 0, NULL, c);
	ask_open(&a, c->options);
	for (int i = 0; i < c->n; i++) {
		struct frame f;
		uint32_t status = ask_about(&a, &f, c->names[i], fill, c);

		if (status != STATUS_OK)
			fail("%s: %s", c->names[i], status_text(status));
	}
	ask_close(&a);
	return EXIT_SUCCESS;
}

static const struct argp_child children[] = {{.argp = &argp_socket}, {0}};

int command_chmod(int argc, char **argv, struct options *o)
{
	static const struct argp argp = {
		.parser = parse,
		.args_doc = "MODE NAME|ID...",
		.children = children,
		.doc = "Changes a heap's mode bits: r and w for user, group and others, in octal. Processes that are "
		       "bound already stay bound.",
	};
	struct change c = {
		.options = o,
		.parse = parse_mode,
		.complaint = "not mode bits from 0 to 0666, in octal, rw only",
		.perm = WIRE_PERM_DEFAULT,
		.uid = UINT32_MAX,
		.gid = UINT32_MAX,
	};

	return apply(&argp, argc, argv, &c);
}

int command_chown(int argc, char **argv, struct options *o)
{
	static const struct argp argp = {
		.parser = parse,
		.args_doc = "USER[:GROUP]|:GROUP NAME|ID...",
		.children = children,
		.doc = "Changes a heap's owner (root only) and group (the owner: to one of their own).",
	};
	struct change c = {
		.options = o,
		.parse = parse_owner,
		.complaint = "no such user or group",
		.perm = WIRE_PERM_DEFAULT,
		.uid = UINT32_MAX,
		.gid = UINT32_MAX,
	};

	return apply(&argp, argc, argv, &c);
}
