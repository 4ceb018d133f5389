/*
 * ledger.h: the state memfd: what a daemon that starts anew must know of the one before
 *
 * Model: one sparse memfd, mapped: a header, three tables of records of fixed size (heaps,
 * sessions, bindings), and for each heap a window of 32-bit words, one a page, which say whose the
 * pages are. Names, arenas and areas are not in it: a record says which, the fd store (store.h) has
 * them.
 *
 * Crash-consistent at every store: the daemon may be killed between any two instructions, and what
 * the file then says is valid, and was true before or is after the change. A record is written
 * while it does not count, and made to count, or not to count any more, by one store of its first
 * word; what changes in a record that counts (the rights of a heap) is written beside the old, and
 * one store chooses. A page's word is 0 (it goes on as the page before it) or says who has the
 * pages from here on; ledger_assign tells why each of its stores leaves a good map. Only the order
 * of stores matters: the memory is the file, and outlives the process without any sync.
 *
 * Invariants (ledger_check proves them): ids differ, and are none above the header's last ones;
 * windows do not overlap; the first word of a window is not 0; a word names nobody, or a binding of
 * that heap, or one that does not count (also because its session does not): then its pages are
 * free. Not here: what is put in when (keep.h), and making a world of it (revive.h).
 *
 * Compatible: geometry and sizes of records stand in the header, and a reader goes by them. A newer
 * build may add fields at the end of records, which in an older file are missing (zero); any other
 * change of the layout is another LEDGER_VERSION.
 *
 * Costs: a grant or a return is three stores at most, whatever its length; memory of 4 bytes for
 * each page of a heap.
 */
#ifndef HEAPD_DAEMON_LEDGER_H
#define HEAPD_DAEMON_LEDGER_H

#include <stdatomic.h>
#include "common/pages.h"
#include "proto/wire.h"

#define LEDGER_MAGIC 0x6761656872656c64ull
#define LEDGER_VERSION 1u
#define LEDGER_NONE UINT32_MAX

#define LEDGER_HEAPS 32768u
#define LEDGER_SESSIONS 16384u
#define LEDGER_BINDINGS 524288u
#define LEDGER_UNITS (1u << 20)              /* of windows: enough for 4 TiB in heaps */
#define LEDGER_UNIT_PAGES (HW_PAGE_SIZE / 4) /* words, so pages of a heap, in a unit */

struct ledger_header {
	uint64_t magic;
	uint32_t version;
	uint32_t n_heaps, n_sessions, n_bindings, n_units; /* what there is room for */
	uint32_t heap_size, session_size, binding_size;    /* bytes of a record, a multiple of 8 */
	uint64_t heaps_at, sessions_at, bindings_at, units_at;
	_Atomic uint64_t last_heap, last_session; /* ids up to these have been given out */
	_Atomic uint32_t backed[4]; /* records of heaps, sessions, bindings below these have memory behind
				       them; others do not count. The last: 0 */
	char build[WIRE_LABEL_SIZE];              /* which made it, for people */
};

enum ledger_state {
	LEDGER_EMPTY = 0,
	LEDGER_CREATING, /* its creator has not been told: a new daemon drops it */
	LEDGER_LIVE,
	LEDGER_DELETED,  /* but somebody is bound */
	LEDGER_STATES
};

struct ledger_rights {
	uint32_t perm, uid, gid, pad;
};

struct ledger_heap {
	_Atomic uint32_t state; /* enum ledger_state */
	_Atomic uint32_t rights_in; /* which of the two counts */
	struct ledger_rights rights[2];
	uint64_t id;
	uint64_t size;       /* bytes, as asked */
	uint64_t created_ns; /* CLOCK_REALTIME */
	uint64_t session;    /* the only one that may use it; 0: named */
	uint64_t creator;    /* the session that asked for it */
	uint32_t request;    /* by this id */
	uint32_t charged;    /* uid that pays for it */
	uint32_t mode;
	uint32_t kind;
	uint32_t backing;
	uint32_t n_pages;    /* of the arena, hardware pages */
	uint32_t unit;       /* of its window the first; LEDGER_NONE: it has none, nobody holds pages */
	uint32_t attribute;  /* of a configured region */
	uint32_t configured; /* 1: it is one */
	uint32_t pad;
	char name[WIRE_NAME_SIZE];
};
_Static_assert(sizeof(struct ledger_heap) == 184, "the file's layout");

struct ledger_session {
	_Atomic uint32_t valid;
	int32_t pid;
	uint32_t uid, gid;
	uint64_t id;
	char label[WIRE_LABEL_SIZE];
	/* an older file's records end here */
	_Atomic uint32_t free_id; /* of its FREE that is passed on now, or was last; 0: of none */
	uint32_t pad;
	_Atomic uint64_t free_to; /* to that session; with LEDGER_DELIVERED when it has been */
};
_Static_assert(sizeof(struct ledger_session) == 72, "the file's layout");
#define LEDGER_DELIVERED (UINT64_C(1) << 63)

struct ledger_binding {
	_Atomic uint32_t valid;
	uint32_t access;
	uint32_t slot; /* of the session's areas */
	uint32_t pad;
	uint64_t heap;
	uint64_t session;
};
_Static_assert(sizeof(struct ledger_binding) == 32, "the file's layout");

struct ledger_table { /* of one kind of record */
	char *at;
	uint32_t size, n;
	_Atomic uint32_t *backed; /* the header's */
	struct bitset free;  /* of these */
	void *storage;
};

struct ledger {
	int fd;
	uint64_t bytes;
	struct ledger_header *header; /* the mapping */
	struct ledger_table heaps, sessions, bindings;
	struct pages units;           /* those that are free */
	void *units_storage;
	size_t units_bytes;
};

/* An empty one. 0; -ENOMEM, -EMFILE, -ENFILE, another -errno. */
int ledger_new(struct ledger **out);

/*
 * That of a daemon before. The fd is ours from here, even on failure. 0; -EUCLEAN (*why: a static
 * text); -ENOMEM, another -errno. All records that count are taken; the windows that no heap has
 * are emptied. Walks everything: at start only.
 */
int ledger_open_take(struct ledger **out, int fd, const char **why);
struct ledger *ledger_free(struct ledger *l); /* NULL is fine; returns NULL. The file stays as it is */

/*
 * Any bytes: never crashes, reads each record and each word a bounded number of times, allocates
 * in proportion to the header's numbers, which the size bounds. 0; -EUCLEAN, *why; -ENOMEM.
 */
int ledger_check(const void *bytes, uint64_t size, const char **why);

/* The record of a number; whether it counts is its first word's to say. */
struct ledger_heap *ledger_heap(const struct ledger *l, uint32_t i);
struct ledger_session *ledger_session(const struct ledger *l, uint32_t i);
struct ledger_binding *ledger_binding(const struct ledger *l, uint32_t i);

/* ---- changes. Each is one step for a reader: before or after, never between ---- */

/*
 * A number for a record that does not count yet: *i. 0; STATUS_QUOTA (the table is full); -ENOMEM.
 * Given back by ledger_give_*, when it does not count (any more).
 */
int ledger_take_heap(struct ledger *l, uint32_t *i);
int ledger_take_session(struct ledger *l, uint32_t *i);
int ledger_take_binding(struct ledger *l, uint32_t *i);
void ledger_give_heap(struct ledger *l, uint32_t i);
void ledger_give_session(struct ledger *l, uint32_t i);
void ledger_give_binding(struct ledger *l, uint32_t i); /* pre: no word names it */

/* Fill a record in, and have it count; for a heap as state says (its own word is not looked at). */
void ledger_put_heap(struct ledger *l, uint32_t i, const struct ledger_heap *h, uint32_t state);
void ledger_put_session(struct ledger *l, uint32_t i, const struct ledger_session *s);
void ledger_put_binding(struct ledger *l, uint32_t i, const struct ledger_binding *b);
void ledger_set_state(struct ledger *l, uint32_t heap, uint32_t state);
void ledger_set_rights(struct ledger *l, uint32_t heap, const struct ledger_rights *rights);
void ledger_drop_session(struct ledger *l, uint32_t i);
void ledger_drop_binding(struct ledger *l, uint32_t i);
/*
 * A session's FREE, and to whom it goes (id 0: to nobody). Nothing, and 0 when asked, where an older file
 * has no room for it, or it is about another id.
 */
void ledger_set_free(struct ledger *l, uint32_t session, uint32_t id, uint64_t to);
uint64_t ledger_free_to(const struct ledger *l, uint32_t session, uint32_t id);
void ledger_set_last(struct ledger *l, uint64_t heap, uint64_t session); /* before the id is used */

/* ---- windows ---- */

static inline uint32_t ledger_units(uint32_t n_pages)
{
	return (uint32_t)div_round_up(n_pages, LEDGER_UNIT_PAGES);
}

/* *unit, of a window for n_pages pages. 0; STATUS_QUOTA. It has no memory behind it yet. */
int ledger_take_window(struct ledger *l, uint32_t n_pages, uint32_t *unit);
/*
 * Gives memory to units [from, from + n) of a window, all zero: -ENOMEM, -ENOSPC. A quarter of a
 * microsecond for each; 0.
 */
int ledger_back_units(struct ledger *l, uint32_t from, uint32_t n);
/* Takes it away again. */
void ledger_empty_units(struct ledger *l, uint32_t from, uint32_t n);
/* The window is free. Pre: it is empty, no heap that counts has it. */
void ledger_give_window(struct ledger *l, uint32_t unit, uint32_t n_pages);

/* Whose a page is, as words say it. */
#define LEDGER_FREE 1u
static inline uint32_t ledger_owner(uint32_t binding)
{
	return binding == LEDGER_NONE ? LEDGER_FREE : binding + 2;
}

_Atomic uint32_t *ledger_words(const struct ledger *l, uint32_t unit);

/* A window begins to count: all its pages are free. Pre: it is backed. */
void ledger_words_init(struct ledger *l, uint32_t unit);

/*
 * Pages [first, first + n) go from one owner to another; before and behind are the owners of the
 * pages beside them (0: there is none). Pre: all of them are from's, and no word inside says
 * otherwise, as is so when every change is made by this function.
 */
void ledger_assign(_Atomic uint32_t *words, uint32_t first, uint32_t n, uint32_t from, uint32_t to,
		   uint32_t before, uint32_t behind);

#endif
