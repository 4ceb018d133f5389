/*
 * report.c: all that the daemon tells about one heap, and its parts as tables
 */
#include "heapctl/report.h"

#include <inttypes.h>
#include <stdio.h>

#include "heapctl/entries.h"
#include "heapctl/words.h"

/* What the process that has the object says of it. false: it has said nothing that makes sense, or
 * is gone. */
static bool get_detail(struct ask *a, uint64_t heap, struct wire_detail *detail)
{
	struct frame f;

	ask_fill_target(&f, heap, NULL, &(const uint16_t){OP_DETAIL});
	if (ask_call(a, &f) != STATUS_OK)
		return false;
	*detail = *FRAME_BODY(&f, const struct wire_detail);
	return true;
}

static int by_place(const void *x, const void *y)
{
	const struct wire_place *a = &((const struct region *)x)->place,
				*b = &((const struct region *)y)->place;

	if (a->attribute != b->attribute)
		return a->attribute < b->attribute ? -1 : 1;
	return (a->order > b->order) - (a->order < b->order);
}

/* All regions of the process whose region this is; those it says nothing of are left out. */
static void gather_regions(struct report *r, struct ask *a)
{
	size_t n;
	struct wire_entry *entries = ask_all(a, OP_LIST, 0, sizeof(*entries), &n);

	r->regions = must_alloc(n + 1, sizeof(*r->regions));
	for (size_t i = 0; i < n; i++) {
		struct wire_detail detail;

		if (entries[i].kind != KIND_REGION || entries[i].session != r->entry.session ||
		    !get_detail(a, entries[i].heap, &detail) || detail.kind != KIND_REGION)
			continue;
		r->regions[r->n_regions++] =
		    (struct region){.entry = entries[i], .place = detail.region};
	}
	qsort(r->regions, r->n_regions, sizeof(*r->regions), by_place);
	free(entries);
}

static void gather_object(struct report *r, struct ask *a)
{
	r->detailed = get_detail(a, r->entry.heap, &r->detail) && r->detail.kind == r->entry.kind;
	if (r->entry.kind == KIND_REGION)
		gather_regions(r, a);
}

void report_gather(struct report *r, struct ask *a, const char *what)
{
	uint64_t heap;

	*r = (struct report){.bindings = NULL};
	ask_entry(a, what, &r->entry);
	heap = r->entry.heap;
	r->bindings = ask_all(a, OP_BINDINGS, heap, sizeof(*r->bindings), &r->n_bindings);
	if (is_object(&r->entry)) {
		gather_object(r, a);
		return;
	}
	r->waiters = ask_all(a, OP_WAITERS, heap, sizeof(*r->waiters), &r->n_waiters);
	r->extents = ask_all(a, OP_MAP, heap, sizeof(*r->extents), &r->n_extents);
	r->at_ns = now_ns();
}

void report_deinit(struct report *r)
{
	free(take(r->regions));
	free(take(r->bindings));
	free(take(r->waiters));
	free(take(r->extents));
}

size_t report_find(const struct report *r, uint64_t session)
{
	for (size_t i = 0; i < r->n_bindings; i++)
		if (r->bindings[i].session == session)
			return i;
	return SIZE_MAX;
}

const char *report_label(const struct report *r, int32_t pid)
{
	for (size_t i = 0; i < r->n_bindings; i++)
		if (r->bindings[i].pid == pid)
			return r->bindings[i].label;
	return "";
}

char report_mark(size_t binding)
{
	return binding < 26 ? (char)('A' + binding) : '#';
}

static void put_mark(struct table *t, size_t column, size_t binding)
{
	const char text[] = {report_mark(binding), '\0'};

	table_text(t, column, text);
}

/* ---- processes ---- */

struct table *report_bindings(const struct report *r, const struct style *style)
{
	enum { MARK, PID, LABEL, USER, UID, SESSION, ACCESS, PAGES, HELD, USED, LARGE, WAITERS, PARKED, BAD, N };
	static const struct column columns[N] = {
		[MARK] = {.key = "mark", .heading = "", .show = SHOW_PEOPLE},
		[PID] = {.key = "pid", .type = COLUMN_NUMBER},
		[LABEL] = {.key = "label"},
		[USER] = {.key = "user"},
		[UID] = {.key = "uid", .type = COLUMN_NUMBER, .show = SHOW_EXTRA},
		[SESSION] = {.key = "session", .type = COLUMN_NUMBER, .show = SHOW_EXTRA},
		[ACCESS] = {.key = "access"},
		[PAGES] = {.key = "pages", .type = COLUMN_NUMBER},
		[HELD] = {.key = "held", .type = COLUMN_BYTES},
		[USED] = {.key = "used", .type = COLUMN_BYTES},
		[LARGE] = {.key = "large", .type = COLUMN_BYTES},
		[WAITERS] = {.key = "waiters", .type = COLUMN_NUMBER},
		[PARKED] = {.key = "parked", .type = COLUMN_NUMBER},
		[BAD] = {.key = "bad_frees", .type = COLUMN_NUMBER},
	};
	struct table *t = table_new(columns, N, style);

	for (size_t i = 0; i < r->n_bindings; i++) {
		const struct wire_binding *b = &r->bindings[i];
		char user[WORDS_SIZE];

		table_row(t);
		put_mark(t, MARK, i);
		table_signed(t, PID, b->pid);
		table_text(t, LABEL, b->label);
		user_text(user, b->uid);
		table_text(t, USER, user);
		table_number(t, UID, b->uid);
		table_number(t, SESSION, b->session);
		table_text(t, ACCESS, access_text(b->access));
		table_number(t, PAGES, b->granted >> HW_PAGE_SHIFT);
		table_bytes(t, HELD, b->granted);
		table_bytes(t, USED, b->used);
		table_bytes(t, LARGE, b->large);
		table_number(t, WAITERS, b->n_waiters);
		table_number(t, PARKED, b->n_parked);
		table_number(t, BAD, b->bad_frees);
		if (b->bad_frees)
			table_color(t, COLOR_RED);
	}
	return t;
}

/* ---- buckets ---- */

struct table *report_buckets(const struct report *r, size_t first, size_t n,
			     const struct style *style)
{
	enum { MARK, PID, SIZE, CALLS, PER_PAGE, PAGES, FREE, HIGH, COULD_FREE, N };
	static const struct column columns[N] = {
		[MARK] = {.key = "mark", .heading = "", .show = SHOW_PEOPLE},
		[PID] = {.key = "pid", .type = COLUMN_NUMBER, .show = SHOW_PEOPLE},
		[SIZE] = {.key = "size", .type = COLUMN_NUMBER},
		[CALLS] = {.key = "calls", .type = COLUMN_NUMBER},
		[PER_PAGE] = {.key = "per_page", .type = COLUMN_NUMBER},
		[PAGES] = {.key = "pages", .type = COLUMN_NUMBER},
		[FREE] = {.key = "free", .type = COLUMN_NUMBER},
		[HIGH] = {.key = "high_water", .type = COLUMN_NUMBER},
		[COULD_FREE] = {.key = "could_free", .type = COLUMN_NUMBER},
	};
	struct table *t = table_new(columns, N, style);

	for (size_t i = first; i < first + n; i++) {
		for (size_t k = 0; k < WIRE_BUCKETS; k++) {
			const struct wire_bucket *b = &r->bindings[i].bucket[k];

			if (!b->per_page) /* never used */
				continue;
			table_row(t);
			put_mark(t, MARK, i);
			table_signed(t, PID, r->bindings[i].pid);
			table_number(t, SIZE, UINT64_C(16) << k);
			table_number(t, CALLS, b->calls);
			table_number(t, PER_PAGE, b->per_page);
			table_number(t, PAGES, b->pages);
			table_number(t, FREE, b->free);
			table_number(t, HIGH, b->high_water);
			table_number(t, COULD_FREE, b->could_free);
		}
	}
	return t;
}

/* ---- waiters ---- */

static uint64_t waits_for(const struct report *r, const struct wire_waiting *w)
{
	return r->at_ns > w->waiter.since_ns ? r->at_ns - w->waiter.since_ns : 0;
}

struct table *report_waiters(const struct report *r, const struct style *style)
{
	enum { POSITION, PID, LABEL, TID, PRIORITY, SIZE, WAITS, PARKED, N };
	static const struct column columns[N] = {
		[POSITION] = {.key = "position", .heading = "", .type = COLUMN_NUMBER, .show = SHOW_PEOPLE},
		[PID] = {.key = "pid", .type = COLUMN_NUMBER},
		[LABEL] = {.key = "label"},
		[TID] = {.key = "tid", .type = COLUMN_NUMBER},
		[PRIORITY] = {.key = "priority", .type = COLUMN_NUMBER},
		[SIZE] = {.key = "size", .type = COLUMN_BYTES},
		[WAITS] = {.key = "waits_ns", .heading = "WAITS", .type = COLUMN_TIME},
		[PARKED] = {.key = "for"}, /* what it waits for */
	};
	struct table *t = table_new(columns, N, style);

	for (size_t i = 0; i < r->n_waiters; i++) {
		const struct wire_waiting *w = &r->waiters[i];

		table_row(t);
		table_number(t, POSITION, i + 1);
		table_signed(t, PID, w->pid);
		table_text(t, LABEL, report_label(r, w->pid));
		table_number(t, TID, w->waiter.tid);
		table_signed(t, PRIORITY, w->waiter.priority);
		table_bytes(t, SIZE, w->waiter.size);
		table_time(t, WAITS, waits_for(r, w));
		table_text(t, PARKED, w->parked ? "pages" : "a block");
	}
	return t;
}

/* ---- regions ---- */

struct table *report_regions(const struct report *r, const struct style *style)
{
	enum { THIS, ID, NAME, ATTRIBUTE, ORDER, ADDRESS, SIZE, USED, HIGH, BAD, BACKING, N };
	static const struct column columns[N] = {
		[THIS] = {.key = "this", .heading = "", .show = SHOW_PEOPLE},
		[ID] = {.key = "id", .type = COLUMN_NUMBER},
		[NAME] = {.key = "name", .show = SHOW_TELLING},
		[ATTRIBUTE] = {.key = "attribute"},
		[ORDER] = {.key = "order", .type = COLUMN_NUMBER},
		[ADDRESS] = {.key = "address"},
		[SIZE] = {.key = "size", .type = COLUMN_BYTES},
		[USED] = {.key = "used", .type = COLUMN_BYTES},
		[HIGH] = {.key = "high", .type = COLUMN_BYTES},
		[BAD] = {.key = "bad_frees", .type = COLUMN_NUMBER},
		[BACKING] = {.key = "backing"},
	};
	struct table *t = table_new(columns, N, style);

	for (size_t i = 0; i < r->n_regions; i++) {
		const struct wire_entry *e = &r->regions[i].entry;
		const struct wire_place *p = &r->regions[i].place;
		char address[24];

		(void)snprintf(address, sizeof(address), "%#" PRIx64, p->addr);
		table_row(t);
		table_text(t, THIS, e->heap == r->entry.heap ? ">" : "");
		table_number(t, ID, e->heap);
		table_text(t, NAME, e->name);
		table_text(t, ATTRIBUTE, attribute_text(p->attribute));
		table_number(t, ORDER, p->order);
		table_text(t, ADDRESS, address);
		table_bytes(t, SIZE, p->size);
		table_bytes(t, USED, e->used);
		table_bytes(t, HIGH, e->high);
		table_number(t, BAD, e->bad_frees);
		table_text(t, BACKING, backing_text(e->backing));
		if (e->bad_frees)
			table_color(t, COLOR_RED);
	}
	return t;
}
