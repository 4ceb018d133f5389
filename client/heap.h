/*
 * heap.h: one heap that this process is bound to
 *
 * Model: an arena mapped here, the pages the daemon has granted us, a bucket allocator over those pages, and the queue of
 * our threads that wait. One lock (it inherits priority) guards allocator and queue. Free blocks at hand for each
 * CPU (client/hand.h) keep the usual alloc and free away from that lock. The control slot, which the
 * daemon writes, tells whether the heap lives and whether other processes wait for pages.
 *
 * Invariants: what a waiter could be given it has been given (every free and every grant serves the queue before it
 * unlocks), so a newcomer may take what it finds. While others wait for pages (pressed), a page that becomes wholly
 * free leaves the allocator under the same lock and goes back to the daemon, which knows the order. Each of our waiters on
 * a named heap that lacks pages has a REFILL parked at the daemon. Nothing is at hand while a thread waits or the
 * heap is pressed, nor when a request fails, or pages are looked for to be given back: every block is seen then.
 *
 * Heaps are type-stable: memory of a struct heap is reused for another heap, never freed, so a stale reader finds
 * a valid lock and then sees that the descriptor's serial has changed. A heap lives while it has descriptors.
 *
 * Hot paths: client/heap_fast.h; then heap_alloc_try, and heap_free_unlock when nobody waits: one lock pair, the
 * allocator's constant bound and a batch of HAND_REFILL blocks, no system call. With waiters, a free adds a bounded
 * attempt for each waiting thread. When the allocator has nothing and blocks are at hand, one system call for these.
 * Not here: descriptors (client/registry.h), the interface's rules for sizes and names (client/rt_heap.c).
 */
#ifndef HEAPD_CLIENT_HEAP_H
#define HEAPD_CLIENT_HEAP_H

#include "client/bucket.h"
#include "client/hand.h"
#include "client/lock.h"
#include "client/session.h"
#include "client/waitq.h"

struct heap {
	struct hand hand;        /* begins with all that the hot paths read; also: the control slot, the daemon's or, when that is
				  * gone, one of our own; and where the heap is mapped */
	uint64_t usable;         /* bytes mapped */
	struct lock lock __attribute__((__aligned__(64)));
	struct bucket_heap bucket;
	struct wire_stats *stats;
	struct waitq waitq;

	_Atomic uint32_t n_busy; /* threads that wait in it: it cannot be unbound */
	_Atomic uint32_t n_pins; /* threads that use it without its lock: heap_detach waits for them. Never reset */
	uint32_t n_total_hw;     /* hardware pages of the arena */
	uint32_t n_held_hw;      /* of them granted to us */
	uint32_t link;           /* of its session: what came over another one is not believed. 0: while we tell what we hold */
	struct freed *freed;     /* by other processes; NULL: none yet */

	/* constant while it is attached */
	uint64_t size;           /* bytes as asked at creation */
	uint64_t id;
	uint32_t mode;
	uint32_t kind;
	bool named;
	bool writable;
	char name[WIRE_NAME_SIZE];
	struct session *session; /* referenced */
	void *metadata;
	size_t metadata_size;
	bool metadata_backed;    /* all of it: pages can be inserted without a system call */

	/* looking ahead (client/heap_ahead.c) */
	TAILQ_ENTRY(heap) ticking_link;
	bool ticking;
	bool owes;               /* free pages may be wanted that nobody has given back */
	uint64_t tick_until_ns;
	uint64_t ahead_after_ns;
	uint64_t used_seen;

	/* under the table's lock */
	LIST_ENTRY(heap) id_link; /* heap_find's chains, or the spare ones */
	uint32_t n_descriptors;   /* the registry's */
};

/*
 * The table of heaps by id. Its lock comes before the lock of a heap, and is what keeps a found heap from being
 * detached until that heap's lock is taken.
 */
void heap_table_lock(void);
void heap_table_unlock(void);
struct heap *heap_find(const struct session *s, uint64_t id); /* NULL: none. The table is locked */
struct heap *heap_find_name(const char *name);                /* a live one of a session that is up. The table is locked */
struct heap *heap_find_locked(const struct session *s, uint64_t id); /* takes and gives the table's lock; the heap comes locked */

/* Calls fn for every heap. The table is locked. */
void heap_for_each(void (*fn)(struct heap *h, void *ctx), void *ctx);

/*
 * Makes a heap of what a BIND reply or EV_BOUND brought (status OK). Nobody finds it yet. Maps and populates: slow.
 * The frame's fd stays the frame's. On failure the daemon has been told (UNBIND). 0; -ENOMEM; another -errno.
 */
int heap_attach(struct heap **out, struct session *s, const struct frame *f);

/* No descriptor and no waiting thread is left, and it is out of the table: tells the daemon, unmaps, puts the structure aside. */
void heap_detach(struct heap *h);

/* Enters it in the table, and takes it out. The table is locked. It has a descriptor when it enters: who finds it may
 * join it and leave it again, and must not take it along. */
void heap_list(struct heap *h);
void heap_unlist(struct heap *h);

/* After heap_list: the daemon may have recalled pages, or begun to press, before the table knew the heap. */
void heap_catch_up(struct heap *h);

/* One load: 0, or -EIDRM. */
static inline int heap_state(const struct heap *h)
{
	const struct wire_control *c = atomic_load_explicit(&h->hand.arrays.control, memory_order_acquire);

	return likely(atomic_load_explicit(&c->state, memory_order_acquire) == STATE_LIVE) ? 0 : -EIDRM;
}

static inline bool heap_is_segment(const struct heap *h)
{
	return h->kind == KIND_SEGMENT;
}

/*
 * Keeps a heap attached while something is done without its lock. Pinned under the lock; or without, and then a
 * descriptor's serial is looked at again: either it has changed, or heap_detach sees the pin. (Both are seq_cst.)
 */
static inline struct heap *heap_pin(struct heap *h)
{
	atomic_fetch_add(&h->n_pins, 1);
	return h;
}

static inline void heap_unpin(struct heap *h)
{
	atomic_fetch_sub_explicit(&h->n_pins, 1, memory_order_release);
}

/*
 * What needs no wait. The lock is held and stays so. 0 and *offset; BUCKET_DRY: nothing is at hand any more either, and
 * the gate stays shut; -EIDRM.
 */
int heap_alloc_try(struct heap *h, uint64_t size, uint64_t *offset);

#define HEAP_NOWAIT 0ull /* a deadline that has always passed: do not wait, but ask the daemon */

/*
 * After BUCKET_DRY, the lock still held: gives it, finds memory elsewhere, waits.
 * 0 and *offset; -ENOMEM, -EWOULDBLOCK (deadline HEAP_NOWAIT), -ETIMEDOUT, -EINTR, -EIDRM, -EDQUOT.
 */
int heap_alloc_slow_unlock(struct heap *h, uint64_t size, uint64_t deadline, uint64_t *offset);

/* Frees. full: this CPU's array for it was. The lock is held on entry and given on return. 0; -EINVAL, -EIDRM, -EAGAIN, -EACCES. */
int heap_free_unlock(struct heap *h, uint64_t offset, bool full);

/*
 * A block that is in the caller's hands (client/heap_fast.h) as of a descriptor with that turn: claimed, and heap_put()
 * takes it back; or taken for a request of size, and heap_keep() makes it the caller's, who took it when it left the
 * array: to put it back and ask again would be wrong, for others may have been refused meanwhile because of it. If the
 * heap has ended meanwhile the block has gone with it, and heap_keep() is false, as it is for a deleted one. No lock is held.
 */
bool heap_keep(struct heap *h, uint32_t turn, uint64_t size, uint64_t offset);
void heap_put(struct heap *h, uint32_t turn, uint64_t offset);

/* Nothing at hand any more, and the gate shut until the heap has been calm for a while. The lock is held. */
void heap_gather(struct heap *h);

/* Whether threads of this process wait in it, or are about to. The lock is held. */
static inline bool heap_is_busy(const struct heap *h)
{
	return atomic_load_explicit(&h->n_busy, memory_order_acquire) > 0;
}

/* 0 and the figures over all processes; -EIDRM, -ECONNREFUSED. The heap is pinned. */
int heap_inquire(struct heap *h, struct wire_info *info);

/* 0, -EPERM, -EIDRM, -ECONNREFUSED. The heap is pinned. */
int heap_delete(struct heap *h);

/* What the session's helper thread calls (client/heap_events.c). */
extern const struct session_handler heap_session_handler;

/* Our words for a heap whose daemon is gone: a named one is lost, a local one lives on. */
extern const struct wire_control heap_control_gone, heap_control_alone;

/* Once in a process; and again, in a state that may be anything, in the child after a fork. */
void heap_table_init(void);

#endif
