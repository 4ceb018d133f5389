/*
 * keep.h: what must not be lost is written down before anybody is told
 *
 * Model: between the daemon's world and the two things that outlive it, the ledger (ledger.h: who
 * has what) and the fd store (store.h: arenas, processes, areas). heap*.c, session.c and ops*.c say
 * what changes; here it is put into records and messages. Without a store nothing is kept, and
 * every function here does nothing and says so by its result.
 *
 * Order: a record counts before a reply or an event tells of what it says; it ceases to count
 * before what it says is undone for others to have. A heap is LIVE when its arena is surely with
 * systemd. A session is kept from its first heap on, if its process can be watched (a pidfd) and
 * told from others (a pid): else its bindings are not in the ledger, and what it holds is free for
 * a new daemon.
 *
 * Not here: making a world of what was kept (revive.h). Blocking: never; a window's memory comes
 * and goes in pieces (keep_work).
 */
#ifndef HEAPD_DAEMON_KEEP_H
#define HEAPD_DAEMON_KEEP_H

#include "daemon/kept.h"

struct binding;
struct heap;
struct session;

struct keep {
	struct ledger *ledger;
	struct store *store;                  /* NULL in tests: then all is safe at once */
	TAILQ_HEAD(, kept_heap) backing;      /* windows that get memory */
	struct keep_window *emptying;         /* windows that lose it, a list */
	void (*wake)(void *ctx, uint64_t in_ns); /* keep_work is wanted; the world's */
	void *ctx;
	uint64_t refused; /* heaps and sessions for which there was no room */
};

/* Both are ours from here, even on failure. 0, -ENOMEM. */
int keep_new_take(struct keep **out, struct ledger *ledger, struct store *store);
/* NULL is fine; returns NULL. What is kept stays so. Pre: the world has let go of it (world_abandon). */
struct keep *keep_free(struct keep *k);

/* A piece of what takes long. True: there is more. */
bool keep_work(struct keep *k);

/* ---- names in the store ---- */

#define KEEP_LEDGER_NAME "ledger"
#define KEEP_HEAP 'h'
#define KEEP_SESSION 's'
/* "h1f": kind and id in hexadecimal. */
void keep_name(char name[STORE_NAME_MAX + 1], char kind, uint64_t id);
bool keep_name_is(const char *name, char kind, uint64_t *id);

/* ---- heaps; k may be NULL everywhere ---- */

/*
 * For a new heap: room in the store, a record, a window. 0; STATUS_QUOTA: there is none (told to
 * the log); -ENOMEM. keep_heap_end undoes it.
 */
int keep_heap_begin(struct keep *k, struct heap *h);

/*
 * Its memory is committed: it goes to the store, its window gets memory. STATUS_PARKED: ready(ctx,
 * 0 or -errno) runs once all is safe, never inside this call, not after keep_heap_end; 0: it is not
 * kept, all is done. -errno.
 */
int keep_heap_store(struct keep *k, struct heap *h, uint64_t creator, uint32_t request,
		    void (*ready)(void *ctx, int result), void *ctx);
/* One of before, whose record counts and whose descriptors are stored. */
void keep_heap_revived(struct kept_heap *kh, uint32_t record, uint32_t unit, uint32_t n_units,
		       uint64_t creator, uint32_t request);
void keep_heap_live(struct keep *k, struct heap *h);
void keep_heap_deleted(struct keep *k, struct heap *h); /* pre: somebody is bound */
void keep_heap_rights(struct keep *k, struct heap *h);
/* It goes. Whatever became of it before. */
void keep_heap_end(struct keep *k, struct heap *h);

/* ---- sessions ---- */

/* Before its first heap. 0, also if it cannot be kept; STATUS_QUOTA, -ENOMEM: as keep_heap_begin. */
int keep_session(struct keep *k, struct session *s);
/*
 * Whether it may be told that it is bound: not before it is safe with systemd, or a crash would lose what it
 * has been told. 0; STATUS_PARKED: safe(ctx) runs once it is, never inside this call, not after
 * keep_session_end (asked again meanwhile, it runs for all). Pre: keep_session. hurry: it will do if its
 * descriptors are on their way in systemd's socket, where they outlive us (systemd reads what a
 * service has sent before it looks whether that has died).
 */
int keep_session_safe(struct keep *k, struct session *s, bool hurry, void (*safe)(void *ctx), void *ctx);
/* What was stored before is safe: so is the session, if it was. */
void keep_session_is_safe(struct keep *k, struct session *s);
void keep_session_end(struct keep *k, struct session *s);

/*
 * A FREE of s is passed on to another, by its id: before it is delivered, and when it has been. One that is sent
 * again, since a daemon died before it could answer, goes to the same, and only if it has not been.
 * keep_passed_to: that session, with LEDGER_DELIVERED; 0: it is not sent again, or nothing is kept.
 */
void keep_passed(struct keep *k, const struct session *s, uint32_t id, uint64_t to, bool delivered);
uint64_t keep_passed_to(const struct keep *k, const struct session *s, uint32_t id);

/* An id has been given out; no other daemon will again. */
void keep_last_session(struct keep *k, uint64_t id);

/* ---- bindings ---- */

/* Before anybody is told. 0, also if it is not kept; STATUS_QUOTA, -ENOMEM. */
int keep_bind(struct keep *k, struct binding *b);
/* It does not count any more: so its pages are as good as free. */
void keep_unbind(struct keep *k, struct binding *b);
/* It holds no page, or its heap has gone: its number can be another's. */
void keep_binding_end(struct keep *k, struct binding *b);

/*
 * Free pages become b's; b's become free. Called when the heap's extents have changed already.
 * Three stores at most.
 */
void keep_grant(struct keep *k, struct binding *b, uint32_t first, uint32_t n);
void keep_return(struct keep *k, struct binding *b, uint32_t first, uint32_t n);

/* Whether the ledger says what the heap's extents say. For tests. 0 or -EUCLEAN. Walks everything. */
int keep_check(const struct keep *k, const struct heap *h);

#endif
