/*
 * draft_internal.h: what the files of draft.h have among themselves
 */
#ifndef HEAPD_DAEMON_DRAFT_INTERNAL_H
#define HEAPD_DAEMON_DRAFT_INTERNAL_H

#include "daemon/draft.h"

/* What a key's text must be; NULL: it was, and is set. */
typedef const char *set_fn(struct draft *d, const char *text);

void draft_wrong(struct draft *d, const char *fmt, ...) _printf_(2, 3);

/* ---- draft_region.c: [region "NAME"] ---- */

/* False: there can be none of that name; it has been told. */
bool region_enter(struct draft *d, const char *name);
/* It is complete, and the config's; or what is missing is told. Nothing if there is none. */
void region_leave(struct draft *d);
void region_drop(struct draft *d); /* it comes to nothing. Safe twice */

set_fn region_set_size, region_set_attribute, region_set_backing, region_set_huge_page,
	region_set_fallback, region_set_group;

#endif
