/*
 * step.h: one piece of slow work on memory, small enough that others need not wait long behind it
 *
 * A step is handed to an executor (worker.h: a thread; ring.h: io_uring), which runs it elsewhere
 * and then calls done() on the loop. Until then it belongs to the executor: neither it nor what it
 * points to may be touched or freed.
 */
#ifndef HEAPD_DAEMON_STEP_H
#define HEAPD_DAEMON_STEP_H

#include "common/base.h"

enum step_kind {
	STEP_ADVISE,    /* map [0, length) of fd, and ask for huge pages there: *map is the mapping */
	STEP_FILL,      /* commit [map + offset, + length) by that; with a huge page, if there is one */
	STEP_UNADVISE,  /* ask for no more of them in [map, map + length) */
	STEP_FALLOCATE, /* commit [offset, offset + length) of fd */
	STEP_MAP,       /* map [0, length) of fd read-only, locked on fault: *map is the mapping */
	STEP_POPULATE,  /* fill the page tables of [map + offset, + length) */
	STEP_UNMAP,     /* munmap [map, map + length), piece by piece */
	STEP_LOOK,      /* device_look */
	STEP_OPEN,      /* device_open */
	STEP_DISPOSE,   /* the same if map is not NULL, then close fd if it is open */
};

struct device;

struct step {
	struct step *next; /* the executor's */
	enum step_kind kind;
	int fd;
	void *map;
	struct device *device;
	uint64_t offset, length;
	int result; /* 0 or -errno */
	void (*done)(struct step *s);
	void *owner;
};

/* Runs a step here and now; blocks. 0 or -errno, which is not stored in s->result. */
int step_run(struct step *s);

#endif
