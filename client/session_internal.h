/*
 * session_internal.h: what the files of session.h have between them
 *
 * The link of a session is replaced when a new daemon knows it (session_return.c). `phase` is the
 * one word that tells where it stands: the number of its link, which grows, and in the two low bits
 * UP, AWAY (there is no link, or it is not settled yet) or DOWN (for good). Who waits for it to
 * come back sleeps on that word. The numbers of the descriptors never change: the new ones are put
 * in their place, so who uses one without a lock never meets a stranger's.
 */
#ifndef HEAPD_CLIENT_SESSION_INTERNAL_H
#define HEAPD_CLIENT_SESSION_INTERNAL_H

#include "client/areas.h"
#include "client/link.h"
#include "client/lock.h"
#include "client/session.h"

#define PHASE_UP 0u
#define PHASE_AWAY 1u
#define PHASE_DOWN 2u
#define PHASE_BITS 2

/* How long a session tries to come back, and calls wait for that. */
#define RETURN_NS (5 * NSEC_PER_SEC)

struct session {
	LIST_ENTRY(session) link;
	_Atomic uint32_t refs;
	_Atomic uint32_t phase;
	struct link io;
	int kick_fd;
	_Atomic pid_t helper_tid; /* 0 until it runs. By tid, for the thread may be gone when somebody asks for it */
	_Atomic int32_t helper_priority;
	_Atomic uint32_t next_id;
	struct lock event_lock;
	struct lock free_lock;    /* one FREE under way, also through a daemon's end: the next has a later id */
	struct lock call_lock;
	struct areas areas;
	struct lock post_lock;
	bool may_post;            /* under post_lock: what is sent on the event socket is in time */
	struct lock pending_lock;
	TAILQ_HEAD(, pending) pending;
	uint32_t n_pending;
	uint32_t resent_in;       /* what is pending has been sent again over this link */
	uint64_t *tie;            /* heaps it is bound to, in no order; room for what is pending too */
	uint32_t n_ties, n_tie_space;
};

static inline uint32_t phase_of(uint32_t word)
{
	return word & ((1u << PHASE_BITS) - 1);
}

static inline uint32_t link_of(uint32_t word)
{
	return word >> PHASE_BITS;
}

/* A daemon that comes after this one may know it. */
static inline bool session_is_kept(const struct session *s)
{
	return s->io.welcome.features & WIRE_FEATURE_KEPT;
}

void session_set_phase(struct session *s, uint32_t link, uint32_t phase);

/* The calling thread is a helper: it must not wait for what only it can do. */
bool session_is_helper(void);

/*
 * One call over the link as it is, or only over that one (wanted; 0: any). 0; -EMFILE;
 * -ECONNREFUSED: there was none, or it broke. *link: the one that was tried, for
 * session_wait_return.
 */
int session_try(struct session *s, struct frame *f, uint32_t wanted, uint32_t *link);

/* Both sockets end: the helper notices. Any thread. */
void session_break(struct session *s);

/* Until there is a newer link than that: 0; or -ECONNREFUSED: it is down, or RETURN_NS is over. */
int session_wait_return(struct session *s, uint32_t link);

/* The end of a request that was parked, on whatever thread. The pending lock is held. */
void pending_finish(struct session *s, struct pending *p, int result);
void pending_again(struct pending *p); /* what its request says when it is sent anew */
struct pending *pending_find(struct session *s, uint32_t id);

/* BOUND came: the session has a binding. Pre: session_start made room. */
void session_tie(struct session *s, const struct frame *f);

/* The helper's work (session_helper.c). */
void session_read_events(struct session *s); /* all that are there */
int session_helper_start(struct session *s);
const struct session_handler *session_handler(void);

/*
 * The link is broken (session_return.c; on the helper): drives it back. True: it is UP again;
 * false: no daemon knows it, or none came in time.
 */
bool session_return(struct session *s);

#endif
