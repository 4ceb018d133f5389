/*
 * point.h: named places where a test may end the daemon
 *
 * Compiled to nothing, but in the test build of the daemon (TEST_POINTS), where the test that links it defines
 * point_reached() and point_audit(). The list is the test's list too: tests/story/it_heapd_points.c kills heapd at each
 * of them and has the next one go on.
 *
 * A point stands where what is written down, what is stored, and what anybody was told differ.
 */
#ifndef HEAPD_DAEMON_POINT_H
#define HEAPD_DAEMON_POINT_H

#define POINTS(X) \
	/* a heap comes: record and window are taken; its arena is with systemd; the record is filled in; it counts; */ \
	X(HEAP_BEGUN) X(HEAP_STORED) X(HEAP_FILLED) X(HEAP_WRITTEN) \
	X(HEAP_SAFE)      /* all of that is safe; */ \
	X(HEAP_LIVE)      /* and written down, but nobody is told; */ \
	X(HEAP_TOLD)      /* the creator is, others that wait for it are not */ \
	X(HEAP_DELETED)   /* written down as deleted, who is bound is not told */ \
	X(HEAP_DROPPED)   /* its record counts no more, its arena is still stored */ \
	X(HEAP_REMOVED)   /* the arena is not stored any more, the window not emptied */ \
	X(WINDOW_EMPTIED) \
	X(SESSION_STORED) X(SESSION_FILLED) X(SESSION_WRITTEN) \
	X(SESSION_DROPPED) X(SESSION_REMOVED) \
	X(BINDING_FILLED) X(BINDING_WRITTEN) \
	X(BINDING_DROPPED) /* words name what does not count */ \
	X(BINDING_GIVEN) \
	X(RIGHTS_FILLED) X(RIGHTS_CHOSEN) \
	/* the three stores of ledger_assign: behind, the step, joined */ \
	X(GRANT_BEHIND) X(GRANT_DONE) X(GRANT_JOINED) \
	X(RETURN_BEHIND) X(RETURN_DONE) X(RETURN_JOINED) \
	X(FREE_WRITTEN)   /* a free of another's block is to be passed on; */ \
	X(FREE_DELIVERED) /* it has been, which is not written down; */ \
	X(FREE_TOLD)      /* it is, but not answered */ \
	X(STORE_SENT) X(REMOVE_SENT) X(BARRIER_SENT) X(BARRIER_OVER) \
	X(REQUEST_CAME)   /* read, nothing done */ \
	X(RETURN_CAME) \
	X(REPLY_DUE)      /* done, not told */ \
	X(REPLY_SENT) X(EVENT_DUE) X(EVENT_SENT) \
	X(REVIVE_HEAPS) X(REVIVE_SESSIONS) X(REVIVE_BINDINGS) X(REVIVED) \
	X(RESUME_FOUND)   /* the session is a connection's again, which is not welcomed yet */ \
	X(RESUME_TOLD)    /* some of what it holds, not all */ \
	X(RESUME_OVER)    /* it has told all, and has no answer */

/* These need a daemon that died at a certain place before. */
#define LATE_POINTS(X) \
	X(REVIVE_WORD)    /* a page whose holder is gone has become free */ \
	X(REVIVE_HEAP_DROPPED) \
	X(REVIVE_REST)    /* what belonged to nothing is not stored any more */ \
	X(RESUME_FREED)   /* what the session does not tell has become free */ \
	X(RESUME_UNBOUND) /* a binding of which it does not tell has ended */

#define POINT_ENUM_(name) POINT_##name,
enum point { POINTS(POINT_ENUM_) LATE_POINTS(POINT_ENUM_) POINT_COUNT };

#ifdef TEST_POINTS
struct world;
void point_reached(enum point p);
void point_audit(const struct world *w);
#define POINT(name) point_reached(POINT_##name)
/* Nothing is half done here: ledger, heaps and sessions agree. */
#define POINT_AUDIT(world) point_audit(world)
#else
#define POINT(name) ((void)0)
#define POINT_AUDIT(world) ((void)0)
#endif

#endif
