/*
 * heap.h: one heap: its arena, who holds which pages, who waits for some
 *
 * Model: every page is free (common/pages) or held by exactly one binding (holders.h). REFILL takes
 * pages, RETURN and the end of a binding bring them back, and whenever pages have become free the
 * queue of parked refills is walked in order and each whose run fits is granted: small passes
 * large. What is missing is recalled from those who hold pages. heap_settle() does all that, in
 * this order: grants, what the control slots say, recalls, giving up. Every function here that
 * changes anything ends with it.
 *
 * Invariants (heap_check proves them): what fits does not wait; the queue is sorted by priority
 * (H_PRIO), then since_ns, then arrival; every control slot is exact; a refill with a deadline
 * waits for a recall, for the pages of an orphan, or for a session that is coming back (which is
 * asked when it has told what it holds), else it has been given up.
 *
 * pressed, as a binding's control slot has it: how many parked refills a page of its that becomes
 * wholly free could help. Those of other sessions; and its own that need several pages in a row, if
 * it does not hold all pages of the heap: its page may complete a run of which the daemon or
 * another process has the rest, and nobody but the daemon can put them together.
 *
 * Segments, records of a process's own memory, and bindings for reading, hold no pages. A private
 * heap (no name, or that of a region) is one session's and ends with its binding. A deleted heap
 * grants nothing and ends with its last binding.
 * Bounds: a call handles the runs of one frame; it walks the queue only if something may fit, the
 * bindings only if somebody joined or left the queue, was granted pages, or answered a recall. The
 * pages of orphans come back in pieces (heaps_work). Blocking: never.
 * Not here: rights (ops*.c), names (namespace.h), sockets. Facts are kept apart: with the extents
 * (by holder number) they are what a new daemon would need to go on.
 */
#ifndef HEAPD_DAEMON_HEAP_H
#define HEAPD_DAEMON_HEAP_H

#include "common/pages.h"
#include "daemon/arena.h"
#include "daemon/binding.h"
#include "daemon/keep.h"
#include "proto/status.h"

struct heap_facts { /* plain data */
	uint64_t id;
	uint64_t size;       /* bytes, as asked */
	uint64_t created_ns; /* CLOCK_REALTIME */
	uint64_t session;    /* the only one that may use it; 0: named */
	uint32_t mode;
	uint32_t kind;
	uint32_t perm;
	uid_t uid;
	gid_t gid;
	char name[WIRE_NAME_SIZE]; /* of a private one: empty, or its region's; no heap's name */
};

struct heap {
	struct heap_facts facts;
	uint32_t state; /* enum wire_state */
	struct heaps *heaps;
	struct table_node by_id;
	TAILQ_ENTRY(heap) link; /* heaps.all */
	struct arena *arena;
	struct kept_heap kept;
	struct name *name;       /* while it has it */
	struct parked *creation; /* the CREATE that waits for the commit */

	uint32_t n_pages;
	struct pages pages;     /* the free ones; nothing is in use as far as it knows */
	struct holders holders; /* the others */
	void *metadata;         /* storage of both; NULL: no pages to grant */
	size_t metadata_size;
	uint64_t high_pages;    /* most that were held at once */

	TAILQ_HEAD(, binding) bindings; /* with a session, in order of binding */
	struct binding **holder;        /* by number; orphans too */
	uint32_t n_holder_space;
	uint32_t n_bound;    /* bindings with a session */
	uint32_t n_writers;  /* of them for writing */
	uint32_t n_orphans;
	uint64_t last_serial;

	struct parked_list queue;
	uint32_t n_parked;
	uint32_t n_parked_runs;
	uint32_t n_deadlines;
	bool is_pressed;    /* some control slot may have pressed > 0 */
	bool is_stale;      /* control slots and recalls may be out of date: settling looks at all */
	uint32_t least;     /* no request in the queue is for fewer pages */
	uint32_t n_recalls; /* outstanding and not late */
	uint32_t n_ahead;   /* bindings with ahead > 0 */
	uint64_t ahead_ns;  /* when pages were last recalled for them */
};

/* What all heaps share. */
struct heaps {
	struct table by_id;
	TAILQ_HEAD(heap_list, heap) all; /* by id */
	uint64_t last_id;
	uint64_t n, n_total, bytes;
	TAILQ_HEAD(, binding) orphans;
	struct parked_list deadlines; /* by deadline */
	uint64_t n_parked, n_recalls;
	uint64_t recall_ns;
	struct keep *keep; /* not ours; NULL: nothing is kept */
	void (*wake)(void *ctx, uint64_t in_ns); /* heaps_work is wanted then */
	void *ctx;
};

void heaps_init(struct heaps *hs, uint64_t recall_ns, void (*wake)(void *ctx, uint64_t in_ns),
		void *ctx);
void heaps_deinit(struct heaps *hs); /* pre: no heap is left */
struct heap *heaps_find(const struct heaps *hs, uint64_t id);
/* The first with a greater id; NULL. Quick if there is a heap of that id. */
struct heap *heaps_after(const struct heaps *hs, uint64_t id);

/*
 * A bounded piece of what is to be done later: deadlines that have come, pages of orphans. Returns
 * in how many ns there is more to do; UINT64_MAX: nothing.
 */
uint64_t heaps_work(struct heaps *hs);

/* The arena is taken on success. facts->id is set here; state is STATE_COMMITTING. 0, -ENOMEM. */
int heap_new(struct heap **out, struct heaps *hs, const struct heap_facts *facts,
	     struct arena **arena);
/*
 * The same for a heap that a daemon before had: facts->id is its own, and nothing is said of the
 * ids to come. (Walks back over those of higher ids: they had better come in order.)
 */
int heap_revive(struct heap **out, struct heaps *hs, const struct heap_facts *facts,
		struct arena **arena);
/*
 * Pre: no binding with a session, no name, no creation. NULL is fine; returns NULL. Orphans go with
 * it.
 */
struct heap *heap_free(struct heap *h);

static inline bool heap_has_pages(const struct heap *h)
{
	return h->metadata != NULL;
}

static inline bool heap_is_private(const struct heap *h)
{
	return h->facts.session != 0;
}

/* A partition, region or pool: part of an allocator inside the one process that has it. */
static inline bool heap_is_part(const struct heap *h)
{
	return h->facts.kind >= KIND_PARTITION;
}

/* Bytes that can be had of it: of the arena, but of a process's own memory what the process has. */
static inline uint64_t heap_usable(const struct heap *h)
{
	if (h->arena->backing == BACKING_OWN)
		return align_up(h->facts.size, HW_PAGE_SIZE);
	return (uint64_t)h->n_pages * HW_PAGE_SIZE;
}

/* ---- bindings ---- */

struct grant { /* where granted runs go; the caller's array */
	struct wire_run *runs;
	uint32_t n, max;
};

/*
 * Binds a session that is not bound to it, for ACCESS_READ or ACCESS_WRITE, and grants what comes
 * with it: all pages to the first, a fair share of what is free to a later one, nothing while
 * others wait.
 * 0; STATUS_QUOTA (no slot); -ENOMEM. Pre: state is STATE_LIVE.
 */
int heap_bind(struct binding **out, struct heap *h, struct session *s, uint32_t access,
	      struct grant *grant);

/*
 * Ends a binding: its parked refills end with STATUS_CANCELLED, its pages are free soon. The heap
 * is freed if it was the last and the heap is private or deleted.
 */
void heap_unbind(struct binding *b);

/*
 * All sessions are told; nothing is granted any more. The name must be gone already. Frees the heap
 * if nobody is bound.
 */
void heap_delete(struct heap *h);

/*
 * For a heap of before, any state: a binding as it was, without its pages; pages of it, pre: they
 * are free; and, when it has all, what its processes see. 0; -ENOMEM; -EEXIST: the slot is
 * another's, or -EISCONN: the session is bound to it.
 */
int heap_rebind(struct binding **out, struct heap *h, struct session *s, uint32_t access,
		uint32_t slot, uint32_t record);
void heap_regrant(struct binding *b, uint32_t first, uint32_t n);
void heap_revived(struct heap *h);

/* ---- pages ---- */

struct refill {
	uint32_t id; /* of the request */
	uint32_t pages;
	uint32_t ahead;
	uint64_t since_ns;
	uint64_t size;
	uint32_t tid;
	int32_t priority;
	bool nonblock;
};

/*
 * 0: granted; STATUS_PARKED (its end is an event; for a nonblock that nobody can help it has been
 * emitted already); STATUS_NO_MEMORY (more than the heap has), STATUS_QUOTA (parked); -ENOMEM.
 * Pre: bound for writing, has pages, state is STATE_LIVE.
 */
int heap_refill(struct binding *b, const struct refill *request, struct accounts *as,
		struct grant *grant);

/* REFILL with AHEAD: what can be spared now, and perhaps more later. Never parks. Same pre. */
void heap_refill_ahead(struct binding *b, uint32_t pages, struct grant *grant);

/* RETURN. 0; -EPROTO: pages it does not hold, or the answer to a recall that never was. */
int heap_return(struct binding *b, const struct wire_return *body);

/* Pages that it holds become free; nothing follows from it until heap_changed. Pre: holders_has. */
void heap_take_back(struct binding *b, uint32_t first, uint32_t n);
/* All that follows: grants, what the control slots say, recalls. */
void heap_changed(struct heap *h);
/* Its session has come back without what was on its way to it: nothing is expected of it. */
void heap_forget_asked(struct binding *b);

/* Takes a parked refill out of the queue and frees it. No event. */
void heap_unpark(struct parked *p);

/* Who holds a page: NULL: nobody, or an orphan. */
struct binding *heap_holder(const struct heap *h, uint32_t page);

/* 0, or -EUCLEAN and what is wrong (may be NULL) as a static text. Walks everything: for tests. */
int heap_check(const struct heap *h, const char **why);
int heaps_check(const struct heaps *hs, const char **why);

#endif
