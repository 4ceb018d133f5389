/*
 * peer_internal.h: what peer.c and greeting.c have between them
 */
#ifndef HEAPD_DAEMON_PEER_INTERNAL_H
#define HEAPD_DAEMON_PEER_INTERNAL_H

#include "daemon/outq.h"
#include "daemon/peer.h"

struct peer {
	struct peers *peers;
	TAILQ_ENTRY(peer) link, doomed_link;
	struct credentials who; /* the session's once there is one */
	struct charge charge;   /* likewise */
	struct session *session; /* NULL: not greeted yet */
	int call_fd, event_fd, pidfd;
	bool call_wary, event_wary; /* passing.h */
	struct loop_io *call_io, *event_io, *pid_io;
	struct loop_timer *greeting; /* until HELLO */
	struct outq replies, events;
	bool is_refused; /* over its user's limit */
	bool is_absent;  /* its session was a daemon's before, and has no sockets */
	struct frame *unfinished; /* the request that is done in pieces; NULL */
	TAILQ_ENTRY(peer) unfinished_link;
	bool doomed;
	const char *why; /* it is doomed; NULL: it has gone by itself */
};

extern const struct session_port peer_port;

void peer_drop(struct peer *p, const char *why); /* closes it; why NULL: no log line */
void peer_doom(struct peer *p, const char *why); /* has it closed soon */

/* Its request is over, as far as it was done. */
void peer_let_go(struct peer *p);
void peer_unlink(struct peer *p); /* it has a session, and no sockets any more */
void peer_on_death(void *ctx, unsigned ready);

/* peer_absent.c */

/* The one that stands for an absent session, or one that has come back and not told all yet; NULL. Walks them. */
struct peer *peer_find_absent(const struct peers *ps, uint64_t session);
/*
 * The link is of no use any more: r. A session that was coming back stays absent, and may try again; else it
 * ends here, as by peer_drop.
 */
void peer_over(struct peer *p, int r, const char *why);

struct peer *peer_free(struct peer *p); /* without a session: no more than its descriptors. Returns NULL */

/* 0, or -errno: it cannot be told. The frame's fds stay the caller's. */
int peer_reply(struct peer *p, const struct frame *f);
void peer_on_event(void *ctx, unsigned ready);

/* The first frame. 0; -errno: it is over; *why as for peer_drop. */
int greet(struct peer *p, const struct frame *in, const char **why);

#endif
