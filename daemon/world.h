/*
 * world.h: everything that clients can name, without a socket
 *
 * Model: namespace, heaps, sessions, accounts and counters in one value. Requests come in through
 * ops.h, events leave through the sessions' ports, and what must be done later is done by
 * world_work when wake() has asked for it. server.c puts loop and sockets around it; tests put
 * nothing around it.
 *
 * A session that has ended is undone in bounded pieces; what it had parked first, then its
 * bindings. Not here: what requests mean (ops*.c).
 */
#ifndef HEAPD_DAEMON_WORLD_H
#define HEAPD_DAEMON_WORLD_H

#include "daemon/namespace.h"

struct world {
	struct config config;
	struct committer *committer; /* not ours */
	struct accounts accounts;
	struct devices devices;
	struct namespace names;
	struct heaps heaps;
	TAILQ_HEAD(, session) sessions, ended;
	uint64_t n_sessions, last_session;
	void (*wake)(void *ctx, uint64_t in_ns); /* world_work is wanted then */
	void *ctx;

	/* figures for STAT */
	uint64_t started_ns; /* CLOCK_MONOTONIC */
	uint64_t n_requests, n_events, n_dropped;
	int priority;
	bool locked;
};

/* The config's value is taken. */
void world_init(struct world *w, struct committer *c, struct config *config,
		void (*wake)(void *ctx, uint64_t in_ns), void *ctx);
/* Disposes of all heaps. Pre: every session has left, no commit is under way. */
void world_deinit(struct world *w);

/*
 * What happens from now on is kept; the keep stays the caller's and goes after the world. Before
 * anything else is done with it.
 */
void world_keep(struct world *w, struct keep *keep);

/*
 * The daemon ends, and what is kept goes on without it: from here nothing is taken out of the
 * ledger or the store.
 */
void world_abandon(struct world *w);

/* The new config's value is taken: limits and rules hold for what comes from now on. */
void world_reload(struct world *w, struct config *config);

/* *who and *charge are taken on success. 0; -ENOMEM, -EMFILE, -ENFILE, another -errno. */
int world_join(struct world *w, struct session **out, struct credentials *who,
	       struct charge *charge, const char *label, const struct session_port *port,
	       void *ctx);
/* One that a daemon before had; ours from here. */
void world_rejoin(struct world *w, struct session *s);
/* The session is over: ours from here. */
void world_leave(struct world *w, struct session *s);

/*
 * A bounded piece of what is to be done later. Returns in how many ns there is more; UINT64_MAX:
 * nothing.
 */
uint64_t world_work(struct world *w);

/* Undoes a parked request, whatever it waits for, without an event. */
void world_unpark(struct world *w, struct parked *p);

/* 0 or -EUCLEAN and what is wrong. Walks everything: for tests. */
int world_check(const struct world *w, const char **why);

#endif
