/*
 * point.h: named places where a test may stop, kill or delay the process
 *
 * Compiled to nothing, but in the test build of the library (TEST_POINTS), where the test that links it defines
 * point_reached(). The list is the test's list too: tests/story/it_points.c kills a process at each of them.
 */
#ifndef HEAPD_CLIENT_POINT_H
#define HEAPD_CLIENT_POINT_H

#define POINTS(X) \
	X(CREATE_SENT)    /* the daemon commits, the creator waits */ \
	X(ATTACH_MAPPED)  /* bound and mapped, not in the table */ \
	X(ATTACH_DONE) \
	X(CALL_SENT)      /* a request is on its way, its reply is not read */ \
	X(BIND_PARKED)    /* waits for a heap that does not exist */ \
	X(BIND_WOKEN)     /* its time is over, or a signal came: the daemon does not know that it gives up */ \
	X(ALLOC_QUEUED)   /* in our queue, the daemon not asked */ \
	X(ALLOC_ASKED)    /* a REFILL parked or granted */ \
	X(ALLOC_ANSWERED) /* the REFILL's reply is read, its pages are unknown to the allocator */ \
	X(ALLOC_WOKEN)    /* the sleep ended without a hand-off: time, or a signal. Still in our queue, or served meanwhile */ \
	X(ALLOC_CANCEL)   /* woken with its REFILL still parked */ \
	X(GRANT_CAME)     /* pages ours at the daemon, unknown to the allocator */ \
	X(GRANT_SERVED)   /* handed to a waiter, not woken */ \
	X(HAND_REFILLS)   /* a block for an array out of the allocator */ \
	X(HAND_SPILLS)    /* the other way */ \
	X(HAND_SHUTS)     /* the gate is stored, sequences may still run */ \
	X(HAND_DRAINS)    /* none runs, blocks are in arrays */ \
	X(FREE_SERVED)    /* the same, by a free */ \
	X(BACK_TAKEN)     /* pages out of the allocator, not given back */ \
	X(BACK_SENT) \
	X(RECALL_CAME)    /* asked for pages, nothing done */ \
	X(RECALL_TAKEN)   /* pages out of the allocator, the answer not sent */ \
	X(RECALL_SENT) \
	X(FOREIGN_SENT)   /* the free of another's block is on its way */ \
	X(AHEAD_SENT) \
	X(UNBIND_SENT)    /* unbound at the daemon, still mapped */ \
	X(DELETE_SENT)

/* Too seldom for a test that waits for chance. */
#define RARE_POINTS(X) \
	X(OTHER_PARKS)    /* about to send a REFILL for another thread that waits */

#define POINT_ENUM_(name) POINT_##name,
enum point { POINTS(POINT_ENUM_) RARE_POINTS(POINT_ENUM_) POINT_COUNT };

#ifdef TEST_POINTS
void point_reached(enum point p);
#define POINT(name) point_reached(POINT_##name)
#else
#define POINT(name) ((void)0)
#endif

#endif
