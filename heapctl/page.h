/*
 * page.h: the lines of which inspect's page for people consists
 *
 * A title, and under it one fact a line: its name, its value. All to stdout.
 */
#ifndef HEAPD_HEAPCTL_PAGE_H
#define HEAPD_HEAPCTL_PAGE_H

#include "heapctl/table.h"

void page_head(const char *text, const struct style *style);  /* of the whole page */
void page_title(const char *text, const struct style *style); /* of a part, after an empty line */
void page_line(const char *what, const char *fmt, ...) _printf_(2, 3);
void page_bytes(const char *what, uint64_t bytes, const struct style *style);

/* A part with a table, or nothing if the table is empty. Frees the table. */
void page_table(const char *text, struct table *t, const struct style *style);

#endif
