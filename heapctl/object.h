/*
 * object.h: partitions, regions and pools, as inspect shows them
 *
 * Of a report whose entry is_object(). What a process has not told of its object, or in words
 * that make no sense, is not shown; the entry always is.
 */
#ifndef HEAPD_HEAPCTL_OBJECT_H
#define HEAPD_HEAPCTL_OBJECT_H

#include "heapctl/report.h"

void object_print(const struct report *r, const struct style *style); /* to stdout */

/* Into the open object: a member "partition", "region" and "regions", or "pool". */
void object_json(const struct report *r, const struct style *style, struct json *j);

#endif
