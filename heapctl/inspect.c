/*
 * inspect.c: heapctl inspect: everything about one heap
 */
#include <inttypes.h>
#include <stdio.h>

#include "heapctl/command.h"
#include "heapctl/entries.h"
#include "heapctl/object.h"
#include "heapctl/page.h"
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
	       "and a map of its pages. Of a partition, a region or a pool: whose it is, its blocks and what is free.",
};

/* ---- for people ---- */

static void print_owner(const struct report *r)
{
	const struct wire_entry *e = &r->entry;
	char user[WORDS_SIZE], group[WORDS_SIZE], label[WORDS_SIZE];

	user_text(user, e->uid);
	group_text(group, e->gid);
	if (is_object(e))
		page_line("owner", "%s:%s", user, group);
	else
		page_line("owner", "%s:%s, mode %04o", user, group, e->perm);
	if (e->session)
		page_line("session", "%" PRIu64 " alone", e->session);
	label_text(label, report_label(r, e->pid));
	if (e->pid)
		page_line("process", "%d%s%s", e->pid, label[0] ? " " : "", label);
}

static void print_sizes(const struct wire_entry *e, const struct style *style)
{
	page_bytes("size", e->size, style);
	page_bytes("usable", e->usable, style);
	if (!is_object(e))
		page_bytes("held", e->granted, style);
	page_bytes("used", e->used, style);
	page_bytes("high", e->high, style);
}

static void print_entry(const struct report *r, const struct style *style)
{
	const struct wire_entry *e = &r->entry;
	char mode[WORDS_SIZE], created[WORDS_SIZE];

	mode_text(mode, e->mode);
	clock_text(created, sizeof(created), e->created_ns);
	page_head(e->name[0] ? e->name : "(no name)", style);
	page_line("id", "%" PRIu64, e->heap);
	if (is_object(e))
		page_line("kind", "%s", kind_text(e->kind));
	else
		page_line("kind", "%s, %s", kind_text(e->kind), mode);
	page_line("state", "%s", state_text(e->state));
	print_owner(r);
	page_line("created", "%s", created);
	if (is_object(e) || e->backing != BACKING_MEMORY)
		page_line("backing", "%s", backing_text(e->backing));
	print_sizes(e, style);
	if (!is_object(e)) {
		page_line("bound", "%u", e->n_bound);
		page_line("waiters", "%u", e->n_waiters);
		page_line("parked", "%u", e->n_parked);
	}
	page_line("bad frees", "%u", e->bad_frees);
}

static void print(const struct report *r, const struct style *style)
{
	print_entry(r, style);
	if (is_object(&r->entry)) {
		object_print(r, style);
		return;
	}
	page_table("Processes", report_bindings(r, style), style);
	page_table("Buckets", report_buckets(r, 0, r->n_bindings, style), style);
	page_table("Waiters, in the order in which they will be served", report_waiters(r, style),
		   style);
	if (r->n_extents) {
		page_title("Pages", style);
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
		if (!is_object(&r->entry) || r->entry.kind == KIND_REGION)
			table_json_array(buckets, "buckets", j);
		json_end(j);
		table_free(buckets);
	}
	json_end(j);
	table_free(t);
}

static void json_waiters(const struct report *r, const struct style *style, struct json *j)
{
	struct table *t = report_waiters(r, style);

	table_json_array(t, "waiters", j);
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
	struct table *entry = entries_table(style);
	struct json j;

	entries_add(entry, &r->entry);
	json_init(&j, stdout);
	json_object(&j, NULL);
	json_object(&j, "heap");
	table_json_members(entry, 0, &j);
	json_end(&j);
	json_bindings(r, style, &j);
	if (is_object(&r->entry)) {
		object_json(r, style, &j);
	} else {
		json_waiters(r, style, &j);
		json_map(r, &j);
	}
	json_end(&j);
	table_free(entry);
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
