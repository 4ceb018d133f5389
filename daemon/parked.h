/*
 * parked.h: a request that is answered later
 *
 * Model: CREATE waits for memory, BIND for a name, and once for its session to
 * be kept, REFILL for pages. Each is answered STATUS_PARKED
 * at once and ends in exactly one of three ways: one event that carries its id, a CANCEL that says
 * OK, or in silence because the heap it asked about was deleted or its session is over.
 *
 * Invariant: a parked request is on its session's list from its making to its end; besides, a bind
 * is on the list of its name, a refill in the queue of its heap, a refill with a deadline on the
 * list of deadlines. Not here: the queues themselves (namespace.h, heap.h).
 */
#ifndef HEAPD_DAEMON_PARKED_H
#define HEAPD_DAEMON_PARKED_H

#include <sys/queue.h>
#include "daemon/account.h"

struct binding;
struct heap;
struct name;
struct session;

enum parked_kind { PARKED_CREATE, PARKED_BIND, PARKED_REFILL };

struct parked {
	enum parked_kind kind;
	uint32_t id; /* the request's */
	struct session *session;
	TAILQ_ENTRY(parked) of_session;
	TAILQ_ENTRY(parked) queue; /* of its name or heap */
	struct charge charge;      /* a CREATE has none: the heap is charged already */

	/* CREATE */
	struct heap *heap;
	bool unbound; /* the creator does not want to be bound */

	/* BIND */
	struct name *name;
	uint32_t access; /* as asked */
	bool nowait;     /* it waits for its session's safety, but not for a heap */
	bool for_safety; /* its session is not safe with systemd yet (keep_session_safe) */

	/* BIND, REFILL */
	int32_t priority;

	/* REFILL */
	struct binding *binding;
	uint64_t since_ns;
	uint64_t size;
	uint32_t pages;
	uint32_t tid;
	uint64_t deadline_ns; /* 0: none */
	TAILQ_ENTRY(parked) by_deadline;
};

TAILQ_HEAD(parked_list, parked);

/* On the session's list; charged, but for a CREATE. 0, STATUS_QUOTA, -ENOMEM. */
int parked_new(struct parked **out, enum parked_kind kind, struct session *s, uint32_t id,
	       struct accounts *as);

/* Pre: it is on no list but its session's. Returns NULL. */
struct parked *parked_free(struct parked *p);

/*
 * By the request's id, of the kinds that CANCEL may name: the oldest one; NULL. Walks the session's
 * list.
 */
struct parked *parked_find(const struct session *s, uint32_t id);

#endif
