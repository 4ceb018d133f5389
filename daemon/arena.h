/*
 * arena.h: the memory of one heap
 *
 * Model: a file (a memfd of ordinary or huge pages, or a device: backing.h), the daemon's own
 * locked mapping of it if it may have one, and the charges that pay for it. It is made quickly
 * (arena_new), then its pages are committed, or its device is opened, off the loop (arena_commit).
 *
 * The charges stay until arena_dispose: also while the heap is deleted but processes are still
 * bound to it, since the memory is in use for as long. So it is with a device, which nobody else
 * has until then.
 * Ownership: its heap's. arena_dispose takes it at any moment, also during the commit: the memory
 * then goes as soon as the commit lets go of it, and ready() does not run any more.
 */
#ifndef HEAPD_DAEMON_ARENA_H
#define HEAPD_DAEMON_ARENA_H

#include "daemon/account.h"
#include "daemon/backing.h"

struct arena {
	struct commit_job job; /* its fd and size are the arena's, its map the locked mapping */
	struct committer *committer;
	struct charge bytes;
	struct charge heap;
	uint32_t backing;  /* enum wire_backing: what it is; huge pages may turn out to be none */
	bool fell_back;    /* ordinary pages, because there were no huge ones */
	bool fallback, lock; /* as wished */
	bool committing;
	bool told_unlocked; /* the log says that it is not locked, though it should */
	struct loop_timer *relock; /* of one of before: tries again */
	bool disposed;     /* as soon as the commit ends */
	char name[WIRE_NAME_SIZE];
	void (*ready)(void *ctx, int result);
	void *ctx;
};

struct arena_rest { /* what a daemon before has left of one; the caller's */
	const char *name;
	int fd, read_fd;
	uint64_t size;
	uint32_t backing;
	bool lock;
};

/*
 * Charges one heap and the arena's bytes to uid. 0; STATUS_QUOTA; STATUS_NO_MEMORY,
 * STATUS_NO_FILES, another status (what the kernel refused, as arena_status has it); -ENOMEM.
 */
int arena_new(struct arena **out, struct committer *c, struct accounts *as, uid_t uid,
	      const struct arena_wish *wish);

/*
 * That of a daemon before: the descriptors are ours from here, even on failure. read_fd: of a
 * device; else -1. What is to be locked in RAM is locked again, some time soon; while the machine is
 * too short for that, it is tried again, and the log says so. 0; -EUCLEAN: not so large; -ENOMEM.
 */
int arena_adopt(struct arena **out, struct committer *c, struct accounts *as, struct devices *ds,
		uid_t uid, const struct arena_rest *rest);

/*
 * ready runs once, on the loop, never inside this call: 0, or -ENOMEM, -ENOSPC, what a device says
 * (device.h), another -errno. 0, or -errno and it does not run.
 */
int arena_commit(struct arena *a, void (*ready)(void *ctx, int result), void *ctx);

/* What an error of arena_commit or ready() means to the creator: STATUS_*; tells the log more. */
int arena_status(const struct arena *a, int error);

/* Ours from here. NULL is fine; returns NULL. */
struct arena *arena_dispose(struct arena *a);

/*
 * A descriptor to give to a client: for writing the arena's own, for reading an O_RDONLY one. If it
 * was opened for this, *opened holds it and the caller closes it (else it is -1). 0; -EMFILE,
 * -ENFILE; -EACCES: this one cannot be had for reading alone; another -errno.
 */
int arena_fd(const struct arena *a, bool writable, int *fd, int *opened);

#endif
