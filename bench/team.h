/*
 * team.h: the threads of a work: each on a CPU of its own, begun together, timed each for itself
 *
 * Model: team_run starts plan->threads threads. Each enters the store, prepares, waits for the
 * others, runs its loop until a deadline that is the same for all (or for plan->pairs rounds), and
 * leaves. A loop asks meter_more once a batch, so the clock costs nothing a pair.
 *
 * Invariant: while a thread measures, all threads of the team run their loops, but for the last
 * batch.
 */
#ifndef HEAPD_BENCH_TEAM_H
#define HEAPD_BENCH_TEAM_H

#include <pthread.h>

#include "bench/plan.h"

#define BATCH 1000

struct meter {
	uint64_t began, deadline, limit; /* limit: in pairs; 0: the deadline counts */
	uint64_t pairs;
	uint64_t ended;
};

/* What each work does in a thread. */
struct player {
	const struct plan *plan;
	unsigned int index;                 /* from 0; also its CPU */
	struct meter meter;
	void *work;                         /* the work's */
	void (*prepare)(struct player *);   /* before the clock; may be NULL */
	void (*loop)(struct player *);
	/* team.c's */
	struct team *team;
	pthread_t thread;
	int cpu;                            /* where its loop ended */
};

/*
 * Notes the CPUs that the process may use. Before the store is made: some, as DPDK, keep the thread that makes them
 * on one CPU, and all threads that it starts after that.
 */
void team_begin(void);

/* Runs the loops and sums up. play[]: plan->threads entries; index, work, prepare, loop are set. */
void team_run(const struct plan *plan, struct player *play, struct outcome *out);

/*
 * SCHED_FIFO for the calling thread, so that only the kernel itself comes before it; false where
 * it is not permitted. A loop that never blocks must be back (team_rt(false)) before the kernel's
 * throttling of real-time threads, at 95 % of a second, would show as a latency of 50 ms.
 */
bool team_rt(bool on);

/* Adds done pairs. True while the loop goes on. */
static inline bool meter_more(struct meter *m, uint64_t done)
{
	m->pairs += done;
	if (m->limit)
		return m->pairs < m->limit;
	return now_ns() < m->deadline;
}

/* How many pairs the next batch has. */
static inline uint64_t meter_batch(const struct meter *m)
{
	return m->limit && m->limit - m->pairs < BATCH ? m->limit - m->pairs : BATCH;
}

#endif
