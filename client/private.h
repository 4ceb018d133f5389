/*
 * private.h: an arena that only this process has
 *
 * Model: what partitions, multi-heap regions and the pool hand out lies in arenas of heapd that
 * have one holder, are mapped whole and know no grants, waiters or recalls: once one is made, the
 * daemon has no more part in it than to show what its statistics say.
 *
 * The statistics slot stays mapped for ever, also when the arena is destroyed or the daemon is gone: a
 * thread may be interrupted in a lock-free operation on it for as long as it likes. (The session is
 * never let go; a new one is made only when the daemon has been restarted.)
 * Not here: carving, locking, what the statistics mean.
 */
#ifndef HEAPD_CLIENT_PRIVATE_H
#define HEAPD_CLIENT_PRIVATE_H

#include "client/session.h"

struct private_arena {
	struct session *session;
	uint64_t id;
	uint8_t *base;           /* NULL with WIRE_CREATE_OWN */
	uint64_t usable;         /* bytes mapped there, whole hardware pages */
	uint64_t size;           /* as asked; of a configured region: as configured */
	uint32_t backing;        /* enum wire_backing */
	uint32_t slot;           /* in the session's areas: for session_heads */
	struct wire_stats *stats; /* zeroed at first. Written by us, plainly or with atomics; never believed */
};

/*
 * what: a CREATE with KIND_PARTITION, KIND_REGION or KIND_POOL; perm and gid are set here. Makes
 * it, maps and populates it (a device is mapped as it is): slow, many system calls.
 * 0; -ECONNREFUSED, -EPROTONOSUPPORT, -EACCES, -EINVAL, -ENOMEM, -EDQUOT, -EMFILE, and what else the
 * daemon answers; -EAGAIN: a configured device that another process has.
 */
int private_create(struct private_arena *a, const struct wire_create *what);

/* Unmaps it and gives it back to the daemon. Safe twice. */
void private_destroy(struct private_arena *a);

/* In the child after a fork: the arena is the parent's. Keeps the mapping. */
void private_forget(struct private_arena *a);

#endif
