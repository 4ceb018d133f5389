/*
 * top.c: heapctl top: the heaps, live
 *
 * Every round asks for the daemon's figures and all heaps, and shows the busiest first: those with
 * waiters, then those with most bytes in use. On a terminal it takes the screen; otherwise it
 * prints round after round.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "heapctl/ask.h"
#include "heapctl/command.h"
#include "heapctl/entries.h"
#include "heapctl/screen.h"
#include "heapctl/units.h"

struct watching {
	struct options *options;
	uint64_t every_ns;
	uint64_t rounds; /* 0: for ever */
};

static const struct argp_option options[] = {
	{.name = "delay", .key = 'd', .arg = "SECONDS", .doc = "Time between rounds (1)"},
	{.name = "rounds", .key = 'r', .arg = "N", .doc = "End after so many rounds"},
	{0},
};

static void parse_delay(struct argp_state *state, struct watching *w, const char *arg)
{
	char *end;
	double s = strtod(arg, &end);

	if (end == arg || *end || !(s >= 0.05 && s <= 3600))
		argp_error(state, "%s: not a time from 0.05 to 3600 seconds", arg);
	w->every_ns = (uint64_t)(s * (double)NSEC_PER_SEC);
}

static void parse_rounds(struct argp_state *state, struct watching *w, const char *arg)
{
	char *end;

	errno = 0;
	w->rounds = strtoull(arg, &end, 10);
	if (errno || *end || *arg < '1' || *arg > '9')
		argp_error(state, "%s: not a number above 0", arg);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct watching *w = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		options_to_children(state, w->options, 3);
		return 0;
	case 'd':
		parse_delay(state, w, arg);
		return 0;
	case 'r':
		parse_rounds(state, w, arg);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "no argument is due");
		return 0;
	case ARGP_KEY_END:
		if (w->options->style.json)
			argp_error(state,
				   "rounds are no JSON document; 'heapctl list --json' writes one");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {
	{.argp = &argp_style}, {.argp = &argp_output}, {.argp = &argp_socket}, {0}};
static const struct argp argp = {
	.options = options,
	.parser = parse,
	.children = children,
	.doc = "Shows the heaps again and again, the busiest first. q ends it.",
};

/* ---- one round ---- */

static int compare(const void *x, const void *y)
{
	const struct wire_entry *a = x, *b = y;

	if (a->n_waiters != b->n_waiters)
		return a->n_waiters > b->n_waiters ? -1 : 1;
	if (a->used != b->used)
		return a->used > b->used ? -1 : 1;
	return (a->heap > b->heap) - (a->heap < b->heap);
}

static void get_stat(struct ask *a, struct wire_stat *s)
{
	struct frame f;
	uint32_t status;

	(void)frame_init(&f, OP_STAT, 0, 0, 0);
	status = ask_call(a, &f);
	if (status != STATUS_OK)
		fail("%s", status_text(status));
	*s = *FRAME_BODY(&f, const struct wire_stat);
}

static uint64_t rate(uint64_t now, uint64_t then, uint64_t ns)
{
	return ns && now > then
		       ? (uint64_t)((double)(now - then) * (double)NSEC_PER_SEC / (double)ns + 0.5)
		       : 0;
}

static void print_head(FILE *out, const struct wire_stat *now, const struct wire_stat *then)
{
	uint64_t ns = then->uptime_ns ? now->uptime_ns - then->uptime_ns : 0;
	char up[32], bytes[32];

	duration_text(up, sizeof(up), now->uptime_ns);
	size_text(bytes, sizeof(bytes), now->bytes);
	(void)fprintf(out,
		      "heapd %s, process %u, up %s: %" PRIu64 " heaps, %s, %" PRIu64 " sessions\n",
		      now->build, now->pid, up, now->heaps, bytes, now->sessions);
	(void)fprintf(out, "parked: %" PRIu64 " binds, %" PRIu64 " refills; committing: %" PRIu64,
		      now->parked_binds, now->parked_refills, now->commits);
	(void)fprintf(out,
		      "; a second: %" PRIu64 " requests, %" PRIu64 " events, %" PRIu64
		      " recalls\n\n",
		      rate(now->requests, then->requests, ns), rate(now->events, then->events, ns),
		      rate(now->recalls, then->recalls, ns));
}

static void print_round(FILE *out, struct ask *a, const struct style *style, struct wire_stat *stat)
{
	struct wire_stat then = *stat;
	struct wire_entry *entries;
	struct table *t;
	size_t n;

	get_stat(a, stat);
	entries = ask_all(a, OP_LIST, 0, sizeof(*entries), &n);
	qsort(entries, n, sizeof(*entries), compare);
	t = entries_table(style);
	for (size_t i = 0; i < n; i++)
		entries_add(t, &entries[i]);
	print_head(out, stat, &then);
	table_print(t, out);
	table_free(t);
	free(entries);
}

/* ---- the rounds ---- */

static void show_round(struct ask *a, const struct style *style, struct wire_stat *stat)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		fail("out of memory");
	print_round(out, a, style, stat);
	(void)fclose(out);
	screen_show(text);
	free(text);
}

static void watch_screen(const struct watching *w, struct ask *a)
{
	struct wire_stat stat = {.uptime_ns = 0};
	int key = 0;

	screen_open();
	for (uint64_t i = 0; key >= 0 && key != 'q' && (!w->rounds || i < w->rounds); i++) {
		show_round(a, &w->options->style, &stat);
		key = screen_key(w->every_ns);
	}
	screen_close();
}

static void watch_plain(const struct watching *w, struct ask *a)
{
	const struct timespec wait = {
		.tv_sec = (time_t)(w->every_ns / NSEC_PER_SEC),
		.tv_nsec = (long)(w->every_ns % NSEC_PER_SEC),
	};
	struct wire_stat stat = {.uptime_ns = 0};

	for (uint64_t i = 0; !w->rounds || i < w->rounds; i++) {
		if (i) {
			(void)nanosleep(&wait, NULL);
			(void)putchar('\n');
		}
		print_round(stdout, a, &w->options->style, &stat);
		(void)fflush(stdout);
		if (ferror(stdout))
			break; /* nobody reads any more; main says so */
	}
}

int command_top(int argc, char **argv, struct options *o)
{
	struct watching w = {.options = o, .every_ns = NSEC_PER_SEC};
	struct ask a;

	(void)argp_parse(&argp, argc, argv, 0, NULL, &w);
	ask_open(&a, o);
	if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
		watch_screen(&w, &a);
	else
		watch_plain(&w, &a);
	ask_close(&a);
	return EXIT_SUCCESS;
}
