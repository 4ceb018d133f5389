/*
 * session.h: one client, as the daemon's logic sees it
 *
 * Model: who it is, what it is bound to, what it has parked, and a port through which events leave.
 * No socket: peer.c has those and implements the port; tests have ports of their own.
 *
 * Invariant: each binding is in the session's table under its heap's id, and owns one slot of the
 * areas. A session that has ended (session_end) emits nothing; it lives on, in the hands of the
 * reaper (server.c), until its last binding and its last parked request are undone.
 */
#ifndef HEAPD_DAEMON_SESSION_H
#define HEAPD_DAEMON_SESSION_H

#include "daemon/access.h"
#include "daemon/areas.h"
#include "daemon/kept.h"
#include "daemon/parked.h"
#include "proto/channel.h"

struct session_port {
	/*
	 * Sends an event, or keeps it until it can be sent. Never frees anything, never calls back.
	 * The frame and its fds stay the caller's. 0; -ETOOMANYREFS, -EMFILE, -ENFILE: its fds can
	 * be neither sent nor kept, and nothing was (never for a frame without any).
	 */
	int (*emit)(void *ctx, const struct frame *event);
	/* Whether the client may not have read every event that was emitted so far. */
	bool (*unread)(void *ctx);
	/*
	 * Sends an event without descriptors so that it is the client's from then on, whatever becomes of
	 * the daemon. 0, also when the client has gone, and will be found gone; -EAGAIN: it takes none just
	 * now, and nothing was sent.
	 */
	int (*deliver)(void *ctx, const struct frame *event);
};

struct world;

struct session {
	uint64_t id;
	struct credentials who;
	char label[WIRE_LABEL_SIZE];
	struct charge charge;
	struct areas areas;
	int pidfd; /* the port's; -1: none */
	struct world *world; /* which it has joined */
	struct kept_session kept;
	struct table bindings; /* by heap id */
	TAILQ_HEAD(, binding) bound;
	uint32_t n_bound;
	struct parked_list parked;
	uint32_t n_parked;
	uint32_t last_recall; /* sequence number; shared by all bindings, so that it never fits
				 another one's */
	bool has_unbound;     /* has ever unbound a heap */
	bool is_resuming;     /* back, and has not told yet all that it holds */
	struct binding *settled; /* it has told: bindings before this one have been seen to; NULL: none */
	const struct session_port *port; /* NULL: ended, or absent */
	void *port_ctx;
	TAILQ_ENTRY(session) link; /* the server's: of all, or of those that have ended */
};

/* *who and *charge are taken on success. 0; -ENOMEM, -EMFILE, -ENFILE, another -errno. */
int session_new(struct session **out, uint64_t id, struct credentials *who, struct charge *charge,
		const char *label, const struct session_port *port, void *ctx);
/*
 * One that a daemon before had, absent: it has no port. who and charge as above; the areas'
 * descriptors are ours from here, even on failure. 0; -ENOMEM, another -errno.
 */
int session_revive_take(struct session **out, uint64_t id, struct credentials *who,
			struct charge *charge, const char *label, int control_rw_fd, int stats_fd);
/* It is back, with a process's fresh credentials, which are taken. */
void session_return(struct session *s, struct credentials *who, const struct session_port *port,
		    void *ctx);
/* It was coming back, and has lost its port again. What it has told so far is forgotten. */
void session_away(struct session *s);
/* Pre: nothing bound, nothing parked. NULL is fine; returns NULL. */
struct session *session_free(struct session *s);

/* The port is not used any more. Safe twice. */
void session_end(struct session *s);

/* 0, also when the session has ended; -errno as the port's emit has it. */
int session_emit(struct session *s, const struct frame *event);
bool session_unread(const struct session *s);
/* As the port's deliver; -EAGAIN: there is no port. */
int session_deliver(struct session *s, const struct frame *event);

/* Its binding to a heap; NULL. */
struct binding *session_binding(const struct session *s, uint64_t heap);

#endif
