/*
 * areas.h: the two memory areas that a session shares with the daemon
 *
 * Model: two memfds, sealed in size, sparse; binding k of the session uses slot k of both, and of a second part
 * of the statistics the heads of what its CPUs have at hand. Control
 * is ours to write (through a mapping) and the client's to read (an O_RDONLY fd). Statistics are
 * the client's to write and ours to read: with pread, never through a mapping, so nothing the
 * client does to that file can fault us, and never believed.
 *
 * Invariant: a control slot's state is 0 exactly while the slot is free.
 * Cost: two descriptors while HELLO is answered, one after; memory for the pages of slots that are
 * used.
 */
#ifndef HEAPD_DAEMON_AREAS_H
#define HEAPD_DAEMON_AREAS_H

#include <sys/types.h>
#include "common/bitset.h"
#include "proto/wire.h"

/* Bytes of the control file. */
#define AREAS_CONTROL_SIZE ((off_t)(WIRE_SLOTS * sizeof(struct wire_control)))

struct areas {
	struct wire_control *control; /* WIRE_SLOTS of them; NULL: none */
	int control_fd;               /* read-only, for the client; -1 once it is sent */
	int control_rw_fd;            /* -1: not needed any more */
	int stats_fd;
	uint64_t place;               /* bytes of a slot's heads; 0: this file has none */
	struct bitset free;           /* slots */
	void *free_storage;
	uint32_t n_prepared;          /* control slots below this have memory behind them */
};

#define AREAS_NULL { .control_fd = -1, .control_rw_fd = -1, .stats_fd = -1 }

/* Whether a file of that many bytes can be the statistics of a session, of this daemon's or an older one's. */
bool areas_is_stats(off_t size);

/* 0, -ENOMEM, -EMFILE, -ENFILE, another -errno. Pre: *a is AREAS_NULL. */
int areas_init(struct areas *a);
void areas_deinit(struct areas *a); /* safe twice */

/* control_fd can be sent, once more if it has been. 0, -EMFILE, -ENFILE, another -errno. Pre: control_rw_fd is open. */
int areas_show(struct areas *a);

/* The lowest free slot. 0; STATUS_QUOTA (all in use); -ENOMEM (no memory behind it). */
int areas_take_slot(struct areas *a, uint32_t *slot);
void areas_give_slot(struct areas *a, uint32_t slot);

/*
 * Those of a session that a daemon before had: the descriptors are ours from here, even on failure.
 * Its slots are taken again one by one (-EEXIST: taken already; -ENOMEM), and when all are, the
 * others are free. Until then none changes under the client's eyes.
 */
int areas_adopt(struct areas *a, int control_rw_fd, int stats_fd);
int areas_retake_slot(struct areas *a, uint32_t slot);
void areas_adopted(struct areas *a);

/*
 * The daemon ends, and the session goes on without it: what is written to control slots from here
 * on is seen by nobody. Pre: control_rw_fd is open.
 */
void areas_abandon(struct areas *a);

/* A copy of what the client publishes in a slot; zeros where it cannot be read. One system call. */
void areas_read(const struct areas *a, uint32_t slot, struct wire_stats *stats);

/*
 * How many blocks of each kind so many CPUs (of those that have heads) say that they have at hand in a
 * slot; at most 65535 each. rings: of a heap, whose heads are others than a partition's. What cannot be read is none. A
 * system call for each 32 CPUs.
 */
void areas_read_heads(const struct areas *a, uint32_t slot, uint32_t n_cpus, bool rings, uint64_t at_hand[WIRE_HEADS_KINDS]);

#endif
