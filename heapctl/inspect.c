/*
 * inspect.c: heapctl inspect: everything about one heap
 */
#include <inttypes.h>
#include <stdio.h>

#include "heapctl/command.h"
#include "heapctl/entries.h"
#include "heapctl/picture.h"
#include "heapctl/report.h"
#include "heapctl/units.h"
#include "heapctl/words.h"

struct inspection {
	struct options *options;
	const char *what;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct inspection *in = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		options_to_children(state, in->options, 2);
		return 0;
	case ARGP_KEY_ARG:
		if (in->what)
			argp_error(state, "%s: one argument too many", arg);
		in->what = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which heap?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {{.argp = &argp_style}, {.argp = &argp_socket}, {0}};
static const struct argp argp = {
	.parser = parse,
	.args_doc = "NAME|ID",
	.children = children,
	.doc = "Shows everything about one heap: its sizes, the processes bound to it with their buckets, who waits, "
	       "and a map of its pages.",
};

/* ---- for people ---- */

static void title(const char *text, const struct style *style)
{
	(void)printf("\n%s%s%s\n", style->colors ? COLOR_BOLD : "", text,
		     style->colors ? COLOR_OFF : "");
}

static void print_size(const char *what, uint64_t bytes, const struct style *style)
{
	char text[24];

	size_text(text, sizeof(text), bytes);
	if (style->bytes)
		(void)printf("  %-10s %" PRIu64 "\n", what, bytes);
	else
		(void)printf("  %-10s %s (%" PRIu64 " bytes)\n", what, text, bytes);
}

static void print_entry(const struct wire_entry *e, const struct style *style)
{
	char mode[WORDS_SIZE], user[WORDS_SIZE], group[WORDS_SIZE], created[WORDS_SIZE];

	mode_text(mode, e->mode);
	user_text(user, e->uid);
	group_text(group, e->gid);
	clock_text(created, sizeof(created), e->created_ns);
	(void)printf("%s%s%s\n", style->colors ? COLOR_BOLD : "",
		     e->name[0] ? e->name : "(no name)", style->colors ? COLOR_OFF : "");
	(void)printf("  %-10s %" PRIu64 "\n", "id", e->heap);
	(void)printf("  %-10s %s, %s\n", "kind", kind_text(e->kind), mode);
	(void)printf("  %-10s %s\n", "state", state_text(e->state));
	(void)printf("  %-10s %s:%s, mode %04o\n", "owner", user, group, e->perm);
	(void)printf("  %-10s %s\n", "created", created);
	if (e->session)
		(void)printf("  %-10s %" PRIu64 " alone\n", "session", e->session);
	print_size("size", e->size, style);
	print_size("usable", e->usable, style);
	print_size("held", e->granted, style);
	print_size("high", e->high, style);
	print_size("used", e->used, style);
	(void)printf("  %-10s %u\n", "bound", e->n_bound);
	(void)printf("  %-10s %u\n", "waiters", e->n_waiters);
	(void)printf("  %-10s %u\n", "parked", e->n_parked);
	(void)printf("  %-10s %u\n", "bad frees", e->bad_frees);
}

static void print_part(const char *text, struct table *t, const struct style *style)
{
	if (table_rows(t)) {
		title(text, style);
		table_print(t, stdout);
	}
	table_free(t);
}

static void print(const struct report *r, const struct style *style)
{
	print_entry(&r->entry, style);
	print_part("Processes", report_bindings(r, style), style);
	print_part("Buckets", report_buckets(r, 0, r->n_bindings, style), style);
	print_part("Waiters, in the order in which they will be served", report_waiters(r, style),
		   style);
	if (r->n_extents) {
		title("Pages", style);
		picture_draw(r, style, stdout);
	}
}

/* ---- for programs ---- */

static void json_bindings(const struct report *r, const struct style *style, struct json *j)
{
	struct table *t = report_bindings(r, style);

	json_array(j, "bindings");
	for (size_t i = 0; i < r->n_bindings; i++) {
		struct table *buckets = report_buckets(r, i, 1, style);

		json_object(j, NULL);
		table_json_members(t, i, j);
		table_json_array(buckets, "buckets", j);
		json_end(j);
		table_free(buckets);
	}
	json_end(j);
	table_free(t);
}

static void json_map(const struct report *r, struct json *j)
{
	json_array(j, "map");
	for (size_t i = 0; i < r->n_extents; i++) {
		const struct wire_extent *e = &r->extents[i];
		size_t binding = e->session ? report_find(r, e->session) : SIZE_MAX;

		json_object(j, NULL);
		json_number(j, "first", e->first);
		json_number(j, "pages", e->n);
		if (e->session)
			json_number(j, "session", e->session);
		else
			json_text(j, "session", NULL);
		if (binding != SIZE_MAX)
			json_number(j, "pid", (uint64_t)r->bindings[binding].pid);
		else
			json_text(j, "pid", NULL);
		json_end(j);
	}
	json_end(j);
}

static void print_json(const struct report *r, const struct style *style)
{
	struct table *entry = entries_table(style), *waiters = report_waiters(r, style);
	struct json j;

	entries_add(entry, &r->entry);
	json_init(&j, stdout);
	json_object(&j, NULL);
	json_object(&j, "heap");
	table_json_members(entry, 0, &j);
	json_end(&j);
	json_bindings(r, style, &j);
	table_json_array(waiters, "waiters", &j);
	json_map(r, &j);
	json_end(&j);
	table_free(entry);
	table_free(waiters);
}

int command_inspect(int argc, char **argv, struct options *o)
{
	struct inspection in = {.options = o};
	struct report r;
	struct ask a;

	(void)argp_parse(&argp, argc, argv, 0, NULL, &in);
	ask_open(&a, o);
	report_gather(&r, &a, in.what);
	if (o->style.json)
		print_json(&r, &o->style);
	else
		print(&r, &o->style);
	report_deinit(&r);
	ask_close(&a);
	return EXIT_SUCCESS;
}
