/*
 * backing.h: what an arena's memory is made of
 *
 * Model: a commit_job that is given its file (memory, huge pages) or its device, and its size; the
 * commit does the rest. Huge pages come from a pool of their own. That a machine has none of that
 * size shows at once, that the pool is empty only in the commit: where the configuration allows it,
 * the job is then given ordinary memory, and committed again. Its size stays as it was by then:
 * rounded up to huge pages.
 *
 * What it is not: it commits nothing, and charges nobody.
 */
#ifndef HEAPD_DAEMON_BACKING_H
#define HEAPD_DAEMON_BACKING_H

#include "daemon/commit.h"
#include "daemon/config.h"
#include "daemon/device.h"

/* What is wished for; the caller's. */
struct arena_wish {
	const char *name; /* for people */
	uint64_t size;    /* bytes, > 0 */
	const struct backing *backing;
	struct devices *devices;
	bool shared;      /* somebody may want to read it, and no more */
	bool transparent; /* huge pages of the kernel's choice, where memory is ordinary */
	bool lock;        /* into RAM, if that is possible and makes sense */
};

/*
 * Makes the job's file or device, its size, and whether it is locked. *kind (enum wire_backing):
 * what it is: BACKING_HUGE may have become BACKING_MEMORY. 0; STATUS_NO_MEMORY (no huge pages, logged),
 * -ENOMEM, -EMFILE, -ENFILE, another -errno. Pre: the job is new, its fd -1. Never blocks.
 */
int backing_open(struct commit_job *job, uint32_t *kind, const struct arena_wish *wish);

/*
 * A commit has ended with this error. 0: what were to be huge pages is ordinary memory now, and to
 * be committed (a new commit_start); or the error, or another one. fallback, lock: as wished.
 */
int backing_fall_back(struct commit_job *job, struct committer *c, const char *name, bool fallback,
		      bool lock, int error);

/* Why there is no device, for the creator: a positive status. Says more in the log. */
int backing_status(const struct commit_job *job, const char *name, int error);

/* The job's file, mapping and device go. Pre: no commit is under way. */
void backing_close(struct commit_job *job, struct committer *c);

#endif
