/*
 * entries.h: heaps as rows of a table, for list and for inspect's first part
 */
#ifndef HEAPD_HEAPCTL_ENTRIES_H
#define HEAPD_HEAPCTL_ENTRIES_H

#include "heapctl/table.h"
#include "proto/wire.h"

/* Partitions, regions and pools: one process's alone, carved by its own allocator. Nobody waits for
 * them, and their pages are not granted. */
static inline bool is_object(const struct wire_entry *e)
{
	return e->kind >= KIND_PARTITION;
}

struct table *entries_table(const struct style *style);
void entries_add(struct table *t, const struct wire_entry *e);

#endif
