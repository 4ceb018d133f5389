/*
 * memory.h: is there enough memory to commit so much more?
 *
 * fallocate on a machine that is short does not fail: the kernel's OOM killer kills somebody first.
 * So we look before: MemAvailable of /proc/meminfo, and of our own cgroup (v2) and each above it
 * what memory.max leaves. Jobs under way have a claim on what they have not allocated yet.
 *
 * What it is not: a guarantee. Others allocate too; the reserve we leave is the margin for them.
 */
#ifndef HEAPD_DAEMON_MEMORY_H
#define HEAPD_DAEMON_MEMORY_H

#include "common/base.h"

struct memory {
	int meminfo_fd;          /* a test may put another file here, */
	const char *cgroup_root; /* and another directory here */
	char *cgroup;      /* "/system.slice/heapd.service"; NULL: none known */
	uint64_t read_ns;  /* when available was read; 0: never */
	uint64_t available; /* as read then, less the reserve and what jobs then still had to allocate */
	uint64_t since;    /* claimed since then */
	uint64_t claimed;  /* by jobs under way, not allocated yet */
};

#define MEMORY_NULL { .meminfo_fd = -1, .cgroup_root = "/sys/fs/cgroup" }

void memory_init(struct memory *m); /* cannot fail: what cannot be read does not limit */
void memory_deinit(struct memory *m);

/*
 * Claims size bytes for a job that starts. 0 or -ENOMEM. Reads /proc at most every 100 ms while
 * there is plenty.
 */
int memory_claim(struct memory *m, uint64_t size);
void memory_settle(struct memory *m, uint64_t size); /* so much of a claim is allocated, or given up */

/* For tests: parses the text of /proc/meminfo. 0 and bytes; -EINVAL */
int memory_parse_meminfo(const char *text, uint64_t *total, uint64_t *available);

#endif
