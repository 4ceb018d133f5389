/*
 * binding.h: one session bound to one heap
 *
 * Model: what the session holds of the heap's pages, what it has been asked to give back, and its
 * slot in the shared areas. When the session unbinds or ends while it holds pages, the binding
 * stays as an orphan, without session and slot, until its pages are free again (heap.h).
 *
 * Invariant: number is its place in the heap's table of holders while it can hold pages. At most
 * one recall is outstanding. The control slot says what heap_check() says it should.
 */
#ifndef HEAPD_DAEMON_BINDING_H
#define HEAPD_DAEMON_BINDING_H

#include "daemon/holders.h"
#include "daemon/kept.h"
#include "daemon/session.h"

struct binding {
	uint64_t heap_id;
	struct heap *heap;
	struct session *session; /* NULL: an orphan */
	TAILQ_ENTRY(binding) of_session;
	TAILQ_ENTRY(binding) of_heap; /* its bindings */
	TAILQ_ENTRY(binding) orphans; /* all heaps' */
	struct table_node by_heap;    /* the session's table */
	uint64_t serial;              /* order within the heap */
	uint32_t access;
	uint32_t slot;
	struct holding held;          /* held.owner: its number */
	uint32_t record;              /* in the ledger; LEDGER_NONE: it is not kept */

	/* the recall that is outstanding */
	uint32_t recall_seq; /* 0: none */
	uint32_t recall_want;
	bool recall_urgent;
	bool recall_late;    /* it has had its time: nobody waits for the answer any more */
	bool recall_brought; /* the answer so far had a run of what was wanted */
	bool recall_steady;  /* since then it has been pressed all the time, and granted nothing */
	uint64_t recalled_ns;

	bool is_resumed; /* by a session that came back to a new daemon */
	uint32_t told;   /* it has told of its pages below this */
	uint32_t n_told; /* runs of the frame at hand that are done */

	bool must_ask; /* a refill that must not wait wants its word, whatever else is known */
	bool dry;      /* has given all that was free; while it is pressed more comes by itself */

	uint32_t n_parked;    /* its refills in the heap's queue */
	uint32_t n_parked_runs; /* those of more than one page */
	uint32_t ahead;       /* pages it would like to have once others give some */
};

static inline struct wire_control *binding_control(const struct binding *b)
{
	return &b->session->areas.control[b->slot];
}

#endif
