/*
 * waitq.h: the threads of this process that wait for memory of one heap
 *
 * Model: a list of waiters, each on its thread's stack, sorted by (priority if the heap is H_PRIO, time it
 * began to wait). A waiter is finished exactly once, under the heap's lock, by whoever hands it a block or
 * an error: it leaves the list, gets its result, and its word changes, in this order; then its thread may return and
 * the waiter is gone. So whoever finishes it keeps only the address of the word, to wake it after unlocking: a wake
 * on a stack that has moved on is a spurious wake at worst.
 *
 * Invariant: a waiter is on the list exactly while its result is undecided; the list is sorted.
 * waitq_check() proves the order.
 *
 * Bounds: insert, find and publish are linear in the number of waiting threads of this process, nothing else.
 * Not here: the lock and the memory (client/heap.c), the queue of processes (heapd).
 */
#ifndef HEAPD_CLIENT_WAITQ_H
#define HEAPD_CLIENT_WAITQ_H

#include <sys/queue.h>
#include "client/futex.h"
#include "proto/wire.h"

struct waiter {
	TAILQ_ENTRY(waiter) link;
	uint64_t size;     /* bytes wanted */
	uint64_t since_ns; /* when it began to wait */
	int32_t priority;  /* real-time priority then; 0 for ordinary threads */
	uint32_t tid;
	uint32_t park_id;  /* its REFILL at the daemon; 0: none. Under the heap's lock */
	bool brief;        /* TM_NONBLOCK: it only waits for the daemon's answer, and is not counted */
	uint64_t offset;   /* the result: a block, */
	int result;        /* 0 or a negative errno */
	_Atomic uint32_t done; /* the word: 0 while it waits */
};

struct waitq {
	TAILQ_HEAD(waiter_list, waiter) list;
	uint32_t n;        /* waiters that count: all but the brief ones */
	bool by_priority;
};

/* Words to wake after unlocking. When full, whoever collects wakes under the lock: correct, only less kind. */
#define WAKES_MAX 16
struct wakes {
	const _Atomic uint32_t *word[WAKES_MAX];
	uint32_t n;
};

void waitq_init(struct waitq *q, bool by_priority);

/* The calling thread's real-time priority, as waiters have it: 0 .. 100. */
int32_t thread_priority(void);

/* Fills in the calling thread's tid, priority and the time. Makes system calls: waiting is no hot path. */
void waiter_init(struct waiter *w, uint64_t size, bool brief);

/* Adds in order; equals go behind. */
void waitq_add(struct waitq *q, struct waiter *w);

/* The waiter gives up by itself: leaves the list, result untouched. Pre: it is on the list (done is 0). */
void waitq_remove(struct waitq *q, struct waiter *w);

/* Decides: leaves the list, stores result and offset, then the word; adds the word to wakes. */
void waitq_finish(struct waitq *q, struct waiter *w, int result, uint64_t offset, struct wakes *wakes);

/* Finishes all with the same error. */
void waitq_finish_all(struct waitq *q, int result, struct wakes *wakes);

struct waiter *waitq_find(struct waitq *q, uint32_t park_id); /* NULL: none */
bool waitq_has(const struct waitq *q, const struct waiter *w); /* w may be gone: only its address is used */
struct waiter *waitq_unparked(struct waitq *q);               /* the first without a park_id; NULL */

bool waiter_is_done(const struct waiter *w);

/* Wakes what was collected. Call it without the lock. */
void wakes_flush(struct wakes *wakes);

/* Writes the count and the first waiters into the statistics that heapctl reads. */
void waitq_publish(const struct waitq *q, struct wire_stats *stats);

int waitq_check(const struct waitq *q); /* 0 or -EUCLEAN */

#endif
