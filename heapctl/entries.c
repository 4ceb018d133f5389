/*
 * entries.c: heaps as rows of a table
 */
#include "heapctl/entries.h"

#include <stdio.h>

#include "heapctl/units.h"
#include "heapctl/words.h"

enum {
	NAME, ID, KIND, MODE, BACKING, SIZE, USABLE, HELD, USED, HIGH, BOUND, WAITERS, PARKED, BAD_FREES, OWNER,
	GROUP, PID, PERM, UID, GID, STATE, SESSION, CREATED, N_COLUMNS
};

static const struct column columns[N_COLUMNS] = {
	[NAME] = {.key = "name"},
	[ID] = {.key = "id", .type = COLUMN_NUMBER},
	[KIND] = {.key = "kind"},
	[MODE] = {.key = "mode"},
	[BACKING] = {.key = "backing", .show = SHOW_TELLING, .dull = "memory"},
	[SIZE] = {.key = "size", .type = COLUMN_BYTES},
	[USABLE] = {.key = "usable", .type = COLUMN_BYTES, .show = SHOW_EXTRA},
	[HELD] = {.key = "held", .type = COLUMN_BYTES},
	[USED] = {.key = "used", .type = COLUMN_BYTES},
	[HIGH] = {.key = "high", .type = COLUMN_BYTES},
	[BOUND] = {.key = "bound", .type = COLUMN_NUMBER},
	[WAITERS] = {.key = "waiters", .type = COLUMN_NUMBER},
	[PARKED] = {.key = "parked", .type = COLUMN_NUMBER, .show = SHOW_EXTRA},
	[BAD_FREES] = {.key = "bad_frees", .type = COLUMN_NUMBER, .show = SHOW_TELLING, .dull = "0"},
	[OWNER] = {.key = "owner"},
	[GROUP] = {.key = "group", .show = SHOW_EXTRA},
	[PID] = {.key = "pid", .type = COLUMN_NUMBER, .show = SHOW_TELLING},
	[PERM] = {.key = "perm"},
	[UID] = {.key = "uid", .type = COLUMN_NUMBER, .show = SHOW_EXTRA},
	[GID] = {.key = "gid", .type = COLUMN_NUMBER, .show = SHOW_EXTRA},
	[STATE] = {.key = "state"},
	[SESSION] = {.key = "session", .type = COLUMN_NUMBER, .show = SHOW_EXTRA},
	[CREATED] = {.key = "created", .show = SHOW_EXTRA},
};

struct table *entries_table(const struct style *style)
{
	return table_new(columns, N_COLUMNS, style);
}

static void add_owner(struct table *t, const struct wire_entry *e)
{
	char text[WORDS_SIZE];

	user_text(text, e->uid);
	table_text(t, OWNER, text);
	group_text(text, e->gid);
	table_text(t, GROUP, text);
	(void)snprintf(text, sizeof(text), "%04o", e->perm);
	table_text(t, PERM, text);
	table_number(t, UID, e->uid);
	table_number(t, GID, e->gid);
}

static void add_words(struct table *t, const struct wire_entry *e)
{
	char text[WORDS_SIZE];

	table_text(t, NAME, e->name);
	table_text(t, KIND, kind_text(e->kind));
	table_text(t, BACKING, backing_text(e->backing));
	if (!is_object(e)) { /* whose waiters would have an order */
		mode_text(text, e->mode);
		table_text(t, MODE, text);
	}
	table_text(t, STATE, state_text(e->state));
	clock_text(text, sizeof(text), e->created_ns);
	table_text(t, CREATED, text);
}

void entries_add(struct table *t, const struct wire_entry *e)
{
	table_row(t);
	add_words(t, e);
	add_owner(t, e);
	table_number(t, ID, e->heap);
	table_bytes(t, SIZE, e->size);
	table_bytes(t, USABLE, e->usable);
	table_bytes(t, HELD, e->granted);
	table_bytes(t, HIGH, e->high);
	table_bytes(t, USED, e->used);
	table_number(t, BOUND, e->n_bound);
	table_number(t, WAITERS, e->n_waiters);
	table_number(t, PARKED, e->n_parked);
	table_number(t, BAD_FREES, e->bad_frees);
	if (e->session)
		table_number(t, SESSION, e->session);
	if (e->pid)
		table_signed(t, PID, e->pid);
	if (e->state == STATE_DELETED)
		table_color(t, COLOR_DIM);
	else if (e->n_waiters)
		table_color(t, COLOR_YELLOW);
}
