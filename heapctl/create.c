/*
 * create.c: heapctl create: a named heap that outlives this command
 */
#include <inttypes.h>
#include <stdio.h>

#include "heapctl/ask.h"
#include "heapctl/command.h"
#include "heapctl/units.h"
#include "heapctl/words.h"

struct creation {
	struct options *options;
	const char *name;
	uint64_t size;
	uint32_t mode, perm, gid;
};

enum { OPT_SHARED = 0x100, OPT_PRIO, OPT_DMA, OPT_NONCACHED, OPT_MODE, OPT_GROUP };

static const struct argp_option options[] = {
	{.name = "shared", .key = OPT_SHARED, .doc = "A segment, which everyone maps whole (H_SHARED)"},
	{.name = "prio", .key = OPT_PRIO, .doc = "Serve waiters by priority (H_PRIO)"},
	{.name = "dma", .key = OPT_DMA, .doc = "Memory of the configured DMA device (H_DMA)"},
	{.name = "noncached", .key = OPT_NONCACHED, .doc = "Memory of the configured uncached device (H_NONCACHED)"},
	{.name = "mode", .key = OPT_MODE, .arg = "0660", .doc = "Who may use it: rw bits for user, group, others"},
	{.name = "group", .key = OPT_GROUP, .arg = "GROUP", .doc = "Its group"},
	{0},
};

static void parse_argument(struct argp_state *state, struct creation *c, const char *arg)
{
	int bad;

	if (state->arg_num == 0) {
		bad = name_check(arg);
		if (bad)
			argp_error(state, "%s: %s", arg,
				   bad == STATUS_NAME_TOO_LONG
					   ? "a name has at most 63 bytes"
					   : "a name is printable ASCII without '/' and blanks");
		c->name = arg;
	} else if (state->arg_num == 1) {
		if (!size_parse(arg, &c->size) || c->size == 0)
			argp_error(state, "%s: not a size like 4096, 64K, 1M or 8G", arg);
	} else {
		argp_error(state, "%s: one argument too many", arg);
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct creation *c = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		options_to_children(state, c->options, 1);
		return 0;
	case OPT_SHARED:
		c->mode |= WIRE_MODE_MAPPABLE | WIRE_MODE_SINGLE;
		return 0;
	case OPT_PRIO:
		c->mode |= WIRE_MODE_PRIO;
		return 0;
	case OPT_DMA:
		c->mode |= WIRE_MODE_DMA;
		return 0;
	case OPT_NONCACHED:
		c->mode |= WIRE_MODE_NONCACHED;
		return 0;
	case OPT_MODE:
		if (!perm_parse(arg, &c->perm))
			argp_error(state, "%s: not mode bits from 0 to 0666, in octal, rw only",
				   arg);
		return 0;
	case OPT_GROUP:
		if (!group_parse(arg, &c->gid))
			argp_error(state, "%s: no such group", arg);
		return 0;
	case ARGP_KEY_ARG:
		parse_argument(state, c, arg);
		return 0;
	case ARGP_KEY_END:
		if (state->arg_num < 2)
			argp_error(state, "NAME and SIZE are due");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {{.argp = &argp_socket}, {0}};
static const struct argp argp = {
	.options = options,
	.parser = parse,
	.args_doc = "NAME SIZE",
	.children = children,
	.doc = "Creates a heap that lives until it is deleted. SIZE is in bytes, or with K, M, G, T.",
};

static void fill(struct frame *f, const struct creation *c)
{
	struct wire_create *w = frame_init(f, OP_CREATE, 0, 0, sizeof(*w));

	name_copy(w->name, c->name);
	w->size = c->size;
	w->mode = c->mode;
	w->kind = c->mode & WIRE_MODE_SINGLE ? KIND_SEGMENT : KIND_HEAP;
	w->perm = c->perm;
	w->gid = c->gid;
	w->flags = WIRE_CREATE_UNBOUND;
}

int command_create(int argc, char **argv, struct options *o)
{
	struct creation c = {.options = o, .perm = WIRE_PERM_DEFAULT, .gid = WIRE_GID_DEFAULT};
	uint32_t status;
	struct frame f;
	struct ask a;

	(void)argp_parse(&argp, argc, argv, 0, NULL, &c);
	ask_open(&a, o);
	if (c.size > a.link.welcome.max_heap)
		fail("%s: %" PRIu64 " bytes; heapd creates at most %" PRIu64, c.name, c.size,
		     a.link.welcome.max_heap);
	fill(&f, &c);
	status = ask_call(&a, &f);
	if (status != STATUS_OK)
		fail("%s: %s", c.name, status_text(status));
	ask_close(&a);
	return EXIT_SUCCESS;
}
