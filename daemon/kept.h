/*
 * kept.h: what a heap, a session and a binding know of their place in the ledger
 *
 * Values inside the objects, zeroed by KEPT_*_NULL while these are not kept; keep.c alone looks
 * inside.
 */
#ifndef HEAPD_DAEMON_KEPT_H
#define HEAPD_DAEMON_KEPT_H

#include "daemon/ledger.h"
#include "daemon/store.h"

struct kept_heap {
	uint32_t record;   /* LEDGER_NONE: not kept */
	uint32_t unit;     /* LEDGER_NONE: it has no window */
	uint32_t n_backed; /* units of it that have memory */
	bool stored;       /* its descriptor is in the store */
	bool counts;       /* its record does */
	bool is_again;     /* its creator asks anew, and is bound as a creator is */
	struct store_wait wait;
	TAILQ_ENTRY(kept_heap) link; /* keep.backing, while its window gets memory */
	bool is_backing;
	int error;
	uint64_t creator; /* who asked for it, by which request */
	uint32_t request;
	void (*ready)(void *ctx, int result);
	void *ctx;
};

#define KEPT_HEAP_NULL { .record = LEDGER_NONE, .unit = LEDGER_NONE }

struct kept_session {
	uint32_t record; /* LEDGER_NONE: not kept */
	bool is_safe;    /* systemd has its descriptors for sure */
	struct store_wait wait;
};

/* Moves a number out of its place, which is LEDGER_NONE from then on. */
static inline uint32_t record_take(uint32_t *number)
{
	uint32_t n = *number;

	*number = LEDGER_NONE;
	return n;
}

#define KEPT_SESSION_NULL { .record = LEDGER_NONE }

#endif
