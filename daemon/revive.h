/*
 * revive.h: a world made of what a daemon before has left
 *
 * Model: the ledger says which heaps, sessions and bindings there were and whose each page was; the
 * fd store has brought the descriptors back under names. Here both become objects again. Sessions
 * have no sockets yet: they are absent (peer.h), and their processes are watched; each comes back
 * by a HELLO that names it and says with RESUME what it holds (ops_resume.c), or ends with its
 * process.
 *
 * What does not fit together is dropped, with a line in the log: a record without its descriptors,
 * a descriptor without its record. A heap whose creator was not told of it yet never was.
 * Bound: linear in the records and pages of all heaps. At start only.
 */
#ifndef HEAPD_DAEMON_REVIVE_H
#define HEAPD_DAEMON_REVIVE_H

#include "daemon/notify.h"
#include "daemon/peer.h"

/* Whether a stored descriptor may have that name; else it is none of ours. */
bool revive_knows(const char *name);

/*
 * Makes the keep of an empty ledger, or of the one among these, for what is stored from now on;
 * what is not a ledger any more is dropped with all the rest. store is ours from here, even on
 * failure; so is the ledger's descriptor. 0; -ENOMEM, another -errno.
 */
int revive_keep(struct keep **out, struct store *store, struct notify_fd *fds, size_t n);

/*
 * Fills the world, which is empty and has that keep. The descriptors are ours from here. 0;
 * -ENOMEM: there is not enough for all of it, and what there is in the world must not be used.
 */
int revive_world(struct world *w, struct peers *ps, struct notify_fd *fds, size_t n);

#endif
