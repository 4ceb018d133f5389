/*
 * page.c: the lines of which inspect's page for people consists
 */
#include "heapctl/page.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "heapctl/units.h"

void page_head(const char *text, const struct style *style)
{
	(void)printf("%s%s%s\n", style->colors ? COLOR_BOLD : "", text,
		     style->colors ? COLOR_OFF : "");
}

void page_title(const char *text, const struct style *style)
{
	(void)putchar('\n');
	page_head(text, style);
}

void page_line(const char *what, const char *fmt, ...)
{
	va_list args;

	(void)printf("  %-10s ", what);
	va_start(args, fmt);
	(void)vprintf(fmt, args);
	va_end(args);
	(void)putchar('\n');
}

void page_bytes(const char *what, uint64_t bytes, const struct style *style)
{
	char text[24];

	size_text(text, sizeof(text), bytes);
	if (style->bytes)
		page_line(what, "%" PRIu64, bytes);
	else
		page_line(what, "%s (%" PRIu64 " bytes)", text, bytes);
}

void page_table(const char *text, struct table *t, const struct style *style)
{
	if (table_rows(t)) {
		page_title(text, style);
		table_print(t, stdout);
	}
	table_free(t);
}
