/*
 * entries.h: heaps as rows of a table, for list and for inspect's first part
 */
#ifndef HEAPD_HEAPCTL_ENTRIES_H
#define HEAPD_HEAPCTL_ENTRIES_H

#include "heapctl/table.h"
#include "proto/wire.h"

struct table *entries_table(const struct style *style);
void entries_add(struct table *t, const struct wire_entry *e);

#endif
