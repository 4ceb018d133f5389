/*
 * arena.h: the memory of one heap
 *
 * Model: a memfd, the daemon's own locked mapping of it if it may have one, and the charges that
 * pay for it. It is made small and quick (arena_new), then its pages are committed off the loop
 * (arena_commit).
 *
 * The charges stay until arena_dispose: also while the heap is deleted but processes are still
 * bound to it, since the memory is in use for as long.
 * Ownership: its heap's. arena_dispose takes it at any moment, also during the commit: the memory
 * then goes as soon as the commit lets go of it, and ready() does not run any more.
 */
#ifndef HEAPD_DAEMON_ARENA_H
#define HEAPD_DAEMON_ARENA_H

#include "daemon/account.h"
#include "daemon/commit.h"

struct arena {
	struct commit_job job; /* its fd and size are the arena's, its map the locked mapping */
	struct committer *committer;
	struct charge bytes;
	struct charge heap;
	bool committing;
	bool disposed; /* as soon as the commit ends */
	void (*ready)(void *ctx, int result);
	void *ctx;
};

/*
 * name is for people. size: a multiple of HW_PAGE_SIZE, > 0. Charges one heap and size bytes to
 * uid. 0; STATUS_QUOTA; -ENOMEM, -EMFILE, -ENFILE, another -errno.
 */
int arena_new(struct arena **out, struct committer *c, struct accounts *as, uid_t uid,
	      const char *name, uint64_t size);

/*
 * ready runs once, on the loop, never inside this call: 0, or -ENOMEM, -ENOSPC, another -errno. 0,
 * or -errno and it does not run.
 */
int arena_commit(struct arena *a, bool lock, void (*ready)(void *ctx, int result), void *ctx);

/* Ours from here. NULL is fine; returns NULL. */
struct arena *arena_dispose(struct arena *a);

/*
 * A descriptor to give to a client: for writing the arena's own, for reading an O_RDONLY one, which
 * *opened holds and the caller closes (else it is -1). 0; -EMFILE, -ENFILE, another -errno.
 */
int arena_fd(const struct arena *a, bool writable, int *fd, int *opened);

#endif
