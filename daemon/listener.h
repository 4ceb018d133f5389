/*
 * listener.h: a listening socket
 *
 * Takes a bounded number of connections in a turn. When the process or the machine is out of
 * descriptors it gives up one it keeps for that, takes the connection with it, tells the client
 * (STATUS_NO_FILES if its HELLO is there already) and hangs up, so that nobody waits for ever; then
 * it pauses, since connections would come faster than descriptors.
 */
#ifndef HEAPD_DAEMON_LISTENER_H
#define HEAPD_DAEMON_LISTENER_H

#include "daemon/peer.h"

struct listener;

/* fd: listening, SOCK_SEQPACKET; ours from here, even on failure. 0 or -errno. */
int listener_new_take(struct listener **out, struct peers *ps, int fd);
struct listener *listener_free(struct listener *l); /* NULL is fine; returns NULL */

#endif
