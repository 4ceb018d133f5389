/*
 * report.h: all that the daemon tells about one heap, and its parts as tables
 *
 * Of a partition, a region or a pool it tells a detail, and of a region also what other regions
 * its process has. A report is gathered by several requests, so its parts may differ by what
 * happened between them. The tables say the same to people and, as JSON, to programs.
 */
#ifndef HEAPD_HEAPCTL_REPORT_H
#define HEAPD_HEAPCTL_REPORT_H

#include "heapctl/ask.h"
#include "heapctl/table.h"

struct region { /* one of a process */
	struct wire_entry entry;
	struct wire_place place;
};

struct report {
	struct wire_entry entry;
	bool detailed;             /* .detail is told: by the process, in words that make sense */
	struct wire_detail detail;
	struct region *regions;    /* of the process whose region this is, by attribute and order */
	size_t n_regions;
	struct wire_binding *bindings;
	size_t n_bindings;
	struct wire_waiting *waiters; /* in the order in which they will be served */
	size_t n_waiters;
	struct wire_extent *extents;
	size_t n_extents;
	uint64_t at_ns; /* when, CLOCK_MONOTONIC */
};

/* what: NAME|ID. Ends the command if there is no such heap. */
void report_gather(struct report *r, struct ask *a, const char *what);
void report_deinit(struct report *r);

/* The binding of that session; SIZE_MAX if it has gone meanwhile. */
size_t report_find(const struct report *r, uint64_t session);

/* What the process calls itself; "" if it has gone meanwhile. May hold any bytes above ASCII. */
const char *report_label(const struct report *r, int32_t pid);

/* The letter that stands for a binding in tables and in the map: A to Z, '#' for all further ones.
 * */
char report_mark(size_t binding);

struct table *report_bindings(const struct report *r, const struct style *style);
struct table *report_buckets(const struct report *r, size_t first, size_t n,
			     const struct style *style);
struct table *report_waiters(const struct report *r, const struct style *style);
struct table *report_regions(const struct report *r, const struct style *style);

#endif
