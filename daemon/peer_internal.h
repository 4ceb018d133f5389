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
	bool doomed;
	const char *why; /* it is doomed; NULL: it has gone by itself */
};

extern const struct session_port peer_port;

void peer_drop(struct peer *p, const char *why); /* closes it; why NULL: no log line */
void peer_doom(struct peer *p, const char *why); /* has it closed soon */

/* 0, or -errno: it cannot be told. The frame's fds stay the caller's. */
/* The one that stands for an absent session; NULL. Walks them. */
struct peer *peer_find_absent(const struct peers *ps, uint64_t session);
struct peer *peer_free(struct peer *p); /* without a session: no more than its descriptors. Returns NULL */

int peer_reply(struct peer *p, const struct frame *f);
void peer_on_event(void *ctx, unsigned ready);

/* The first frame. 0; -errno: it is over; *why as for peer_drop. */
int greet(struct peer *p, const struct frame *in, const char **why);

#endif
