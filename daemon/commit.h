/*
 * commit.h: slow work on memory, off the loop
 *
 * Two jobs: to commit an arena (chunk by chunk, with transparent huge pages where the kernel gives
 * them; then, if asked, a mapping of the daemon's own that keeps the pages in RAM), and to dispose
 * of one (munmap and close of a large arena take long). Commit goes through io_uring when the kernel lets us, else through a worker thread;
 * disposal always through a worker thread. Neither ever runs at the daemon's real-time priority.
 * A job with a device commits nothing; it is passed on to opener.h.
 *
 * Contract: done() runs once for every job, on the loop, never inside commit_start, also after
 * commit_cancel. Nothing here blocks the caller but committer_drain and committer_free. Memory is
 * committed in chunks, jobs take turns, so a small one never waits for a large one to end.
 */
#ifndef HEAPD_DAEMON_COMMIT_H
#define HEAPD_DAEMON_COMMIT_H

#include "daemon/loop.h"

struct committer;

/* The caller's storage; must live until done() has run. */
struct commit_job {
	int fd;           /* a memfd of the right size; stays the caller's, open until done() */
	uint64_t size;    /* bytes, a multiple of HW_PAGE_SIZE, > 0 */
	/*
	 * 0: ordinary pages. Else size is a multiple of it; no look is taken at free memory, which
	 * huge pages are not part of.
	 */
	uint64_t huge_page;
	struct device *device; /* NULL, or: nothing is committed, fd is out (opener.h); the caller's */
	bool present;     /* its pages are there: none is allocated or asked for, only what lock says is done */
	bool transparent; /* ask for transparent huge pages; where there are none it has ordinary ones */
	bool lock;        /* keep it in RAM. Where the daemon may not, the job succeeds without */
	void *map;        /* out: the daemon's mapping if lock succeeded, else NULL; goes to commit_dispose */
	bool locked;      /* out */
	/*
	 * result: 0; -ENOMEM or -ENOSPC (the machine is short); -ECANCELED; what device.h says; another
	 * -errno. On
	 * failure nothing is left but the fd and such pages as it holds: closing it frees them.
	 */
	void (*done)(struct commit_job *job, int result);
	void *private_;   /* the committer's */
};

int committer_new(struct committer **out, struct loop *l, bool want_io_uring); /* 0 or -errno */

/*
 * At the end: cancels every job, waits, and has run every done(). From then on commit_start is
 * refused (-ECANCELED), commit_dispose still works; so the owner of the jobs can go, then the
 * committer. Safe twice.
 */
void committer_drain(struct committer *c);

struct committer *committer_free(struct committer *c); /* drains, waits for what is disposed of. NULL is fine */
struct loop *committer_loop(const struct committer *c); /* still the caller's */
bool committer_uses_io_uring(const struct committer *c);
unsigned committer_jobs(const struct committer *c); /* commits under way */

/*
 * 0, or done() will not run: -ENOMEM (the machine, or our cgroup, has not so much to give; see
 * memory.h), -EINVAL (size; present, and nothing to lock).
 */
int commit_start(struct committer *c, struct commit_job *job);

/*
 * Asks a job under way to end soon. done() still runs, with -ECANCELED unless the job was all but
 * done.
 */
void commit_cancel(struct committer *c, struct commit_job *job);

/*
 * Unmaps map (may be NULL) and closes fd (may be -1), some time soon. Ours from here, whatever
 * happens.
 */
#define COMMIT_DISPOSALS_MAX 256 /* while there are more, commits wait */
void commit_dispose(struct committer *c, int fd, void *map, uint64_t size);

/* Closes a device's descriptor, before any that is asked for later is opened. Ours from here. */
void commit_close(struct committer *c, int fd);

#endif
