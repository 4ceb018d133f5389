/*
 * session.h: this process's connection to heapd
 *
 * Model: a session is one link (client/link.h), one lock around its call socket, a list of requests
 * that the daemon has parked, and one helper thread that alone reads the event socket. A request is
 * sent and its reply received by the calling thread, under the lock: no second thread is in
 * between. Events are given to the handler that the layer above has set (client/heap.c), on the
 * helper thread; events that end a parked CREATE or BIND wake its thread.
 *
 * When either socket ends, the session is away. If the daemon had said that it is kept, it tries
 * for a while (5 s) to come back at the next daemon (client/session_return.c): calls wait for that,
 * what was parked is sent again, the handler tells what is held. Else, and if no daemon knows it,
 * it goes down once and for all: parked requests end with -ECONNREFUSED, the handler is told, later
 * calls return -ECONNREFUSED. The next session_get() makes a new session; heaps of the old one keep
 * a reference to it.
 *
 * Invariant: a pending request is on the list from before its frame is sent until its end is stored
 * in it. Blocking: every call here makes system calls; none is for a hot path or a signal handler.
 * Not here: what pages are, what heaps are.
 */
#ifndef HEAPD_CLIENT_SESSION_H
#define HEAPD_CLIENT_SESSION_H

#include <sys/queue.h>
#include "client/futex.h"
#include "proto/channel.h"
#include "proto/status.h"

struct session;

/* What the layer above does with events. Runs on the helper thread. */
struct session_handler {
	void (*event)(struct session *s, struct frame *f); /* GRANT, RECALL, DELETED, FREE */
	void (*down)(struct session *s);                   /* the session has gone down; runs on the helper, once */
	/*
	 * It is coming back; calls are session_say(). Tells all that is held of a heap it is bound
	 * to. 0; -ECONNREFUSED: the daemon went again: it will be asked anew. And: it is back,
	 * calls are as ever.
	 */
	int (*tell)(struct session *s, uint64_t heap);
	void (*back)(struct session *s, uint64_t heap);
	int (*tick)(struct session *s);                    /* after every wake-up; returns ms until the next, -1: none */
};

void session_set_handler(const struct session_handler *handler);

/* The current session, made if there is none. A reference for the caller. 0; or as link_open(). */
int session_get(struct session **out);
struct session *session_ref(struct session *s);
void session_unref(struct session *s);

static inline void session_unrefp(struct session **s)
{
	session_unref(*s);
}

bool session_is_up(const struct session *s); /* or may be again soon */

bool session_is_settled(const struct session *s); /* up, now: what was told when it came back is told */

/* The number of its link: it grows whenever the session comes back at a new daemon. Never 0. */
uint32_t session_link(const struct session *s);
uint64_t session_max_heap(const struct session *s);

/* Why session_get failed last in this thread; "" if it did not. */
const char *session_problem(void);

/* Another reason, of what came after: copied, the calling thread's until its next session_get. */
void session_set_problem(const char *text);

/* One request, one reply, in the same frame; id is set here. 0 (look at the header's status); -EMFILE (the same, but
 * the fds found no room here); -ECONNREFUSED. */
int session_call(struct session *s, struct frame *f);

/* The same with an id of the caller's choosing, from session_new_id(). */
int session_call_id(struct session *s, struct frame *f, uint32_t id);
uint32_t session_new_id(struct session *s);

/*
 * The same over that link, and only at once: -ECONNREFUSED if it is another's turn or broken. For
 * what is said anew when the session is back.
 */
int session_call_over(struct session *s, struct frame *f, uint32_t id, uint32_t link);

/* From session_handler.tell alone. 0 (look at the status); -ECONNREFUSED. */
int session_say(struct session *s, struct frame *f);

/* One frame on the event socket, never blocking. 0; -EAGAIN; -ECONNREFUSED. */
int session_post(struct session *s, const struct frame *f);

/* Sleeps until session_post may do better, at most a tenth of a second. */
void session_wait_writable(struct session *s);

/* A request that the daemon may park. On the caller's stack from session_start to its end. */
struct pending {
	TAILQ_ENTRY(pending) link;
	uint32_t id;
	uint32_t parked_in;    /* the link over which it is parked; 0: none */
	bool impatient;        /* the caller's: session_start fails at once while the session is away */
	int result;            /* 0: the event is in frame; -EMFILE: so it is, but its fds found no room; -ECONNREFUSED */
	_Atomic uint32_t done; /* 0 while it is parked */
	struct frame frame;    /* the request, then the reply or the event */
};

/*
 * Sends p->frame. 0: the reply is in it, and final; STATUS_PARKED: the end will come, and
 * session_await must follow (session_cancel if that gave up); -ECONNREFUSED.
 */
int session_start(struct session *s, struct pending *p);

/* 0, -EMFILE: p->frame holds the event; -ETIMEDOUT, -EINTR (only if interruptible): still parked; -ECONNREFUSED: ended. */
int session_await(struct session *s, struct pending *p, uint64_t deadline, bool interruptible);

/* After session_await gave up. 0, -EMFILE: the event came all the same, as there; -ECANCELED: it never will. */
int session_cancel(struct session *s, struct pending *p);

/* Makes the helper thread call tick() soon. Callable under any lock of the layer above. */
void session_kick(struct session *s);

/* The helper runs at least at this real-time priority from now on, if this process may. */
void session_raise(struct session *s, int32_t priority);

/*
 * Returns when every event that the helper had read is handled: what it reads later was unread when
 * this was called. May wait for the helper, which may wait for the daemon. Not under a lock of the
 * layer above, not on the helper.
 */
void session_settle_events(struct session *s);

/* This binding's parts of the shared areas: mapped and populated, valid while the session is referenced. 0, -ENOMEM, -EINVAL. */
int session_slot(struct session *s, uint32_t slot, const struct wire_control **control, struct wire_stats **stats);

/* The heads of its arrays (client/rseq.h), as areas_heads; valid as long. 0, -ENOMEM, -EINVAL, -ENOTSUP. */
int session_heads(struct session *s, uint32_t slot, uint32_t n_cpus, struct wire_heads **heads);

/* In the child after a fork: closes the descriptors of all sessions and forgets them. Single-threaded. */
void session_forget_all(void);

#endif
