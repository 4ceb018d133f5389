/*
 * peer.h: one client's sockets
 *
 * Model: a connection is greeted (HELLO within GREETING_NS), then it is a session. The call socket
 * brings requests, each answered before the next is read; the event socket takes events and brings
 * RETURNs; the pidfd tells of death. Whichever of the three ends first ends the session: a child
 * that inherited the sockets keeps nothing of a dead parent.
 *
 * Strict: what the codec or a handler rejects, a fd that nobody asked for, events that are not
 * read: that peer is dropped with one log line that names it and why; the daemon goes on.
 * Fair: one request, or a piece of one (OPS_MORE), for each peer and turn of the loop, a few RETURNs; while a reply cannot be
 * sent nothing more is read. What waits for a client that does not read is bounded: by what it has
 * bound and parked itself, plus EVENTS_MAX; others' frees never wait here, but are refused (STATUS_BUSY).
 *
 * Invariant: emitting an event never closes a peer, it only dooms it: a doomed one is closed at the
 * end of its own handler or by peers_work, never in the middle of another's.
 */
#ifndef HEAPD_DAEMON_PEER_H
#define HEAPD_DAEMON_PEER_H

#include "daemon/loop.h"
#include "daemon/world.h"

struct peer;

struct peers {
	struct world *world;
	struct loop *loop;
	TAILQ_HEAD(, peer) all, doomed;
	TAILQ_HEAD(, peer) unfinished; /* a request of theirs is done in pieces */
	SLIST_HEAD(, kept) kept; /* sockets that must not be closed: passing.h */
	uint32_t n_refused; /* over their user's limit of sessions, waiting to be told so */
	void (*wake)(void *ctx); /* peers_work is wanted */
	void *ctx;
};

void peers_init(struct peers *ps, struct world *w, struct loop *l, void (*wake)(void *ctx),
		void *ctx);
void peers_deinit(struct peers *ps); /* closes all. Safe twice */

/*
 * A session that a daemon before had: absent, without sockets, until a connection resumes it
 * (greeting.c) or its process ends. The pidfd is ours from here, even on failure; then the session is
 * not. 0, -ENOMEM, another -errno.
 */
int peer_absent_take(struct peers *ps, struct session *s, int pidfd);

/*
 * A connection that was accepted. The fd is ours from here, even on failure. 0; -errno: it is
 * closed.
 */
int peer_new_take(struct peers *ps, int fd);

/* Closes the doomed; and a piece of what one has asked for and takes long. True: there is more. */
bool peers_work(struct peers *ps);

#endif
