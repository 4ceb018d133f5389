/*
 * main.c: heapctl, the command for people
 *
 * Finds the subcommand and hands it what follows. Options of heapctl itself stand before the
 * subcommand, all others behind it.
 */
#include <locale.h>
#include <stdio.h>

#include "config-heapd.h"
#include "heapctl/command.h"

static const struct {
	const char *name;
	const char *help;
	command_fn *run;
} commands[] = {
	{.name = "list", .run = command_list, .help = "the heaps, one a line"},
	{.name = "inspect", .run = command_inspect, .help = "everything about one heap"},
	{.name = "top", .run = command_top, .help = "the heaps, live"},
	{.name = "create", .run = command_create, .help = "make a named heap"},
	{.name = "delete", .run = command_delete, .help = "delete a heap"},
	{.name = "chmod", .run = command_chmod, .help = "change who may use a heap"},
	{.name = "chown", .run = command_chown, .help = "change who owns a heap"},
	{.name = "regions", .run = command_regions, .help = "the regions of heapd.conf"},
	{.name = "stat", .run = command_stat, .help = "the daemon's own figures"},
	{.name = "ping", .run = command_ping, .help = "measure the way to the daemon and back"},
	{.name = "run", .run = command_run, .help = "run a command with a heapd of its own"},
};

struct call {
	struct options options;
	int argc;
	char **argv;
	command_fn *run;
	char name[64];
};

static command_fn *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return commands[i].run;
	return NULL;
}

/* The rest of the line is the subcommand's: argp must not look at it. */
static void give_rest(struct argp_state *state, struct call *call, const char *name)
{
	(void)snprintf(call->name, sizeof(call->name), "heapctl %s", name);
	call->argc = state->argc - state->next + 1;
	call->argv = state->argv + state->next - 1;
	call->argv[0] = call->name;
	state->next = state->argc;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct call *call = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		options_to_children(state, &call->options, 1);
		return 0;
	case ARGP_KEY_ARG:
		call->run = find_command(arg);
		if (!call->run)
			argp_error(state, "no such command: %s", arg);
		else
			give_rest(state, call, arg);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which command?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* argp shows this text behind the options; it takes ownership of what it returns. */
static char *list_commands(int key, const char *text, void *input)
{
	char *out = NULL;
	size_t size;
	FILE *f;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)(uintptr_t)text;
	f = open_memstream(&out, &size);
	if (!f)
		return NULL;
	(void)fprintf(f, "Commands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		(void)fprintf(f, "  %-10s %s\n", commands[i].name, commands[i].help);
	(void)fprintf(f, "\n'heapctl COMMAND --help' tells more.");
	(void)fclose(f);
	return out;
}

static const struct argp_child children[] = {{.argp = &argp_socket}, {0}};
static const struct argp argp = {
	.parser = parse,
	.args_doc = "COMMAND [ARGUMENT...]",
	.doc = "Shows and manages the heaps of heapd.\v ",
	.children = children,
	.help_filter = list_commands,
};

static bool want_colors(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

/* Output that was lost (a full disk) is a failure, not a success. */
static int flush(int status)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		fail("cannot write: %s", strerror(errno));
	return status;
}

int main(int argc, char **argv)
{
	struct call call = {.options.style.colors = want_colors()};

	(void)setlocale(LC_CTYPE, ""); /* labels are UTF-8 where the terminal is */
	argp_program_version = "heapctl " HEAPD_VERSION; /* a definition of ours would be hidden from libc */
	argp_err_exit_status = EXIT_USAGE;
	(void)argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &call);
	program_invocation_name = program_invocation_short_name = call.name;
	return flush(call.run(call.argc, call.argv, &call.options));
}
