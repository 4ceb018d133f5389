/*
 * table.c: rows and columns; the only user of libsmartcols
 *
 * libsmartcols keeps the cells and lays the table out. JSON is written from the same cells by
 * json.c, because inspect nests tables in one document, which libsmartcols cannot.
 *
 * Invariant: at[c] is the place of column c among those of the libsmartcols table, or NOT_SHOWN.
 * Columns that are shown only if they tell something are there too, and hidden when the table is
 * printed.
 */
#include "heapctl/table.h"

#include <ctype.h>
#include <inttypes.h>
#include <libsmartcols/libsmartcols.h>

#include "heapctl/units.h"

#define NOT_SHOWN SIZE_MAX

struct table {
	const struct column *columns;
	size_t n;
	size_t *at;
	bool *asked; /* by name: shown whatever is in it */
	struct style style;
	struct libscols_table *cols;
	struct libscols_line *row;
};

static void write_heading(char *out, size_t size, const struct column *column)
{
	const char *key = column->key;
	size_t i;

	if (column->heading) {
		(void)snprintf(out, size, "%s", column->heading);
		return;
	}
	for (i = 0; key[i] && i < size - 1; i++)
		out[i] = key[i] == '_' ? '-' : (char)toupper((unsigned char)key[i]);
	out[i] = '\0';
}

static void show_column(struct table *t, size_t c)
{
	int flags = t->columns[c].type == COLUMN_TEXT ? 0 : SCOLS_FL_RIGHT;
	struct libscols_column *col;
	char name[64];

	if (t->at[c] != NOT_SHOWN)
		return;
	write_heading(name, sizeof(name), &t->columns[c]);
	t->at[c] = scols_table_get_ncols(t->cols);
	col = scols_table_new_column(t->cols, name, 0, flags);
	if (!col)
		fail("out of memory");
	if (t->style.colors)
		(void)scols_cell_set_color(scols_column_get_header(col), COLOR_BOLD);
}

/* Names are told apart without regard to case, '-' or '_'. */
static bool same_name(const char *key, const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((name[i] == '-' ? '_' : tolower((unsigned char)name[i])) != key[i])
			return false;
	return key[length] == '\0';
}

static _Noreturn void fail_column(const struct table *t, const char *name, size_t length)
{
	(void)fprintf(stderr, "%s: no column %.*s; there are", program_invocation_short_name,
		      (int)length, name);
	for (size_t c = 0; c < t->n; c++)
		(void)fprintf(stderr, " %s", t->columns[c].key);
	(void)fputc('\n', stderr);
	exit(EXIT_USAGE);
}

static void show_named(struct table *t, const char *name, size_t length)
{
	for (size_t c = 0; c < t->n; c++)
		if (same_name(t->columns[c].key, name, length)) {
			t->asked[c] = true;
			return show_column(t, c);
		}
	fail_column(t, name, length);
}

static void show_usual(struct table *t)
{
	for (size_t c = 0; c < t->n; c++)
		if (t->columns[c].show == SHOW_USUAL || t->columns[c].show == SHOW_TELLING ||
		    t->columns[c].show == (t->style.json ? SHOW_EXTRA : SHOW_PEOPLE))
			show_column(t, c);
}

static void show_columns(struct table *t, const char *output)
{
	if (!output || *output == '+')
		show_usual(t);
	if (!output)
		return;
	for (output += *output == '+'; ; output++) {
		size_t length = strcspn(output, ",");

		show_named(t, output, length);
		output += length;
		if (!*output)
			break;
	}
}

struct table *table_new(const struct column *columns, size_t n, const struct style *style)
{
	struct table *t = must_alloc(1, sizeof(*t));

	t->columns = columns;
	t->n = n;
	t->style = *style;
	t->at = must_alloc(n, sizeof(*t->at));
	t->asked = must_alloc(n, sizeof(*t->asked));
	for (size_t c = 0; c < n; c++)
		t->at[c] = NOT_SHOWN;
	t->cols = scols_new_table();
	if (!t->cols)
		fail("out of memory");
	(void)scols_table_enable_noheadings(t->cols, style->noheadings);
	(void)scols_table_enable_colors(t->cols, style->colors);
	show_columns(t, style->output);
	return t;
}

struct table *table_free(struct table *t)
{
	if (t) {
		scols_unref_table(t->cols);
		free(t->at);
		free(t->asked);
		free(t);
	}
	return NULL;
}

void table_row(struct table *t)
{
	t->row = scols_table_new_line(t->cols, NULL);
	if (!t->row)
		fail("out of memory");
}

static bool is_dull(const struct table *t, size_t c, const char *text)
{
	const char *dull = t->columns[c].dull;

	return dull && !t->style.json && !t->asked[c] && strcmp(text, dull) == 0;
}

void table_text(struct table *t, size_t column, const char *text)
{
	assert(column < t->n && t->row);
	if (t->at[column] != NOT_SHOWN && *text && !is_dull(t, column, text) &&
	    scols_line_set_data(t->row, t->at[column], text) != 0)
		fail("out of memory");
}

void table_number(struct table *t, size_t column, uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	table_text(t, column, text);
}

void table_signed(struct table *t, size_t column, int64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRId64, value);
	table_text(t, column, text);
}

void table_bytes(struct table *t, size_t column, uint64_t value)
{
	char text[24];

	if (t->style.json || t->style.bytes)
		(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	else
		size_text(text, sizeof(text), value);
	table_text(t, column, text);
}

void table_time(struct table *t, size_t column, uint64_t ns)
{
	char text[24];

	if (t->style.json)
		(void)snprintf(text, sizeof(text), "%" PRIu64, ns);
	else
		duration_text(text, sizeof(text), ns);
	table_text(t, column, text);
}

void table_color(struct table *t, const char *sequence)
{
	if (t->style.colors)
		(void)scols_line_set_color(t->row, sequence);
}

static bool tells(const struct table *t, size_t c)
{
	for (size_t row = 0; row < table_rows(t); row++) {
		struct libscols_line *line = scols_table_get_line(t->cols, row);
		const char *text = scols_cell_get_data(scols_line_get_cell(line, t->at[c]));

		if (text && *text)
			return true;
	}
	return false;
}

static void hide_dull(struct table *t)
{
	for (size_t c = 0; c < t->n; c++) {
		struct libscols_column *col;

		if (t->columns[c].show != SHOW_TELLING || t->at[c] == NOT_SHOWN || t->asked[c] ||
		    tells(t, c))
			continue;
		col = scols_table_get_column(t->cols, t->at[c]);
		(void)scols_column_set_flags(col, scols_column_get_flags(col) | SCOLS_FL_HIDDEN);
	}
}

void table_print(struct table *t, FILE *out)
{
	hide_dull(t);
	(void)scols_table_set_stream(t->cols, out);
	if (scols_print_table(t->cols) != 0)
		fail("cannot write the table");
}

size_t table_rows(const struct table *t)
{
	return scols_table_get_nlines(t->cols);
}

void table_json_members(const struct table *t, size_t row, struct json *j)
{
	struct libscols_line *line = scols_table_get_line(t->cols, row);

	for (size_t c = 0; c < t->n; c++) {
		const char *key = t->columns[c].key, *text;

		if (t->at[c] == NOT_SHOWN)
			continue;
		text = scols_cell_get_data(scols_line_get_cell(line, t->at[c]));
		if (text && t->columns[c].type != COLUMN_TEXT)
			json_digits(j, key, text);
		else
			json_text(j, key, text);
	}
}

void table_json_array(const struct table *t, const char *key, struct json *j)
{
	json_array(j, key);
	for (size_t row = 0; row < table_rows(t); row++) {
		json_object(j, NULL);
		table_json_members(t, row, j);
		json_end(j);
	}
	json_end(j);
}

void table_write(struct table *t, const char *key, FILE *out)
{
	struct json j;

	if (!t->style.json)
		return table_print(t, out);
	json_init(&j, out);
	json_object(&j, NULL);
	table_json_array(t, key, &j);
	json_end(&j);
}
