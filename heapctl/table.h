/*
 * table.h: rows and columns for people and for programs; the only user of libsmartcols
 *
 * A table has columns that its maker describes and of which the user may choose (--output), and
 * rows of cells. The same cells print as a table for people or as members of JSON objects. A cell
 * is formatted when it is set, by the style the table was made with. Cells of columns nobody chose
 * are not kept. An unset cell is empty; in JSON it is null.
 */
#ifndef HEAPD_HEAPCTL_TABLE_H
#define HEAPD_HEAPCTL_TABLE_H

#include "heapctl/json.h"
#include "heapctl/options.h"

enum column_type { COLUMN_TEXT, COLUMN_NUMBER, COLUMN_BYTES, COLUMN_TIME };

enum column_show {
	SHOW_USUAL,
	SHOW_EXTRA,  /* only if asked for, and in JSON */
	SHOW_PEOPLE, /* not in JSON */
	SHOW_TELLING, /* to people, unless asked for: the cells that say more than .dull, if any do */
};

struct column {
	const char *key;       /* JSON's key, lower case */
	const char *heading;   /* NULL: the key in upper case, with '-' for '_' */
	enum column_type type;
	enum column_show show;
	const char *dull;      /* of SHOW_TELLING: what says no more than an empty cell; or NULL */
};

struct table;

/* columns: n of them, must outlive the table. An unknown column in style->output ends the command
 * as a usage error. */
struct table *table_new(const struct column *columns, size_t n, const struct style *style);
struct table *table_free(struct table *t); /* returns NULL */

void table_row(struct table *t); /* what is set from here on belongs to a new row */
void table_text(struct table *t, size_t column, const char *text); /* copied; "" leaves the cell empty */
void table_number(struct table *t, size_t column, uint64_t value);
void table_signed(struct table *t, size_t column, int64_t value);
void table_bytes(struct table *t, size_t column, uint64_t value);
void table_time(struct table *t, size_t column, uint64_t ns); /* a duration; in JSON nanoseconds */
void table_color(struct table *t, const char *sequence); /* of the row; ignored unless the style has colours */

void table_print(struct table *t, FILE *out); /* as a table */
size_t table_rows(const struct table *t);
void table_json_members(const struct table *t, size_t row, struct json *j); /* into the open object */
void table_json_array(const struct table *t, const char *key, struct json *j); /* objects in an array */

/* A document with one array, or a table: by the style. */
void table_write(struct table *t, const char *key, FILE *out);

#define COLOR_BOLD "\033[1m"
#define COLOR_DIM "\033[2m"
#define COLOR_RED "\033[31m"
#define COLOR_YELLOW "\033[33m"
#define COLOR_OFF "\033[0m"

#endif
