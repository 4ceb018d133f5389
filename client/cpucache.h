/*
 * cpucache.h: closers that share no lock, and what they may do to the arrays of all CPUs
 *
 * Model: the gate of client/rseq.h is a serial, above CPUCACHE_BITS bits that say who keeps it shut: how
 * many closers there are, and a bit that says it stays shut when they have gone (resident). It is open
 * while these bits are 0. A closer that did not find the resident bit runs a barrier; from then on no
 * sequence runs, nothing is given any more, and every closer may take numbers from any array by
 * compare-and-exchange. Who takes a number from a shut array is a closer.
 *
 * Nobody waits for a closer: while the gate is shut, callers do without the arrays. So a closer that
 * is preempted costs the others speed, not time. A number goes from an array straight to who takes it, never
 * from one place to another in somebody's hand: there is no moment in which it cannot be found.
 *
 * That all are empty is told without closing: heads that are read twice and did not change were all
 * empty at one instant between (cpucache_look). Only to take what another CPU has needs the barrier.
 *
 * The serial changes, and what it stands for with it (cpucache_begin, cpucache_end), while closers of
 * an earlier one may still be there. They keep the gate shut until they leave, and find nothing: heads are
 * read before the serial is looked at again, and exchanged only as they were read.
 *
 * Invariant: an array changes only by sequences while the gate is open, and only by closers while it
 * is not. While it is shut, counts only fall: an array seen empty stays empty.
 * Bound: steal, look and sum look at each CPU once; steal repeats only because another closer took one.
 * All but begin may be called from signal handlers.
 * Users with a lock (heaps) need of this only steal, sum and rseq_barrier(): they store 0 for a gate, and are alone.
 * Not here: what the numbers are, where they go when an array is full (client/blocks.h).
 */
#ifndef HEAPD_CLIENT_CPUCACHE_H
#define HEAPD_CLIENT_CPUCACHE_H

#include "client/rseq.h"

/* 2^23 closers: threads of a process and what interrupts them; 2^40 serials. */
#define CPUCACHE_BITS 24
#define CPUCACHE_RESIDENT ((uint64_t)1 << (CPUCACHE_BITS - 1))
#define CPUCACHE_SHUT(gate) ((gate) & (((uint64_t)1 << CPUCACHE_BITS) - 1))
#define CPUCACHE_SERIAL(gate) ((gate) >> CPUCACHE_BITS)

/* What sequences bring: the gate of that serial while it is open. */
static inline uint64_t cpucache_open_value(uint64_t serial)
{
	return serial << CPUCACHE_BITS;
}

/* A serial that the gate never had (modulo 2^40 not 0): opens, unless closers are left. The arrays are empty. */
void cpucache_begin(struct rseq_arrays *a, uint64_t serial);

/* No serial, so nobody's. The caller is a closer. All arrays are empty from now on: their numbers mean nothing any more. */
void cpucache_end(struct rseq_arrays *a);

/* Shuts the gate. 0: the caller is a closer. -errno: the kernel refuses the barrier, and the caller is none. */
int cpucache_close(struct rseq_arrays *a);

/* The caller is a closer no more. resident: the gate stays shut until cpucache_reopen(). */
void cpucache_leave(struct rseq_arrays *a, bool resident);

/* Opens a gate that only residence keeps shut; else nothing happens. Needs no system call. */
void cpucache_reopen(struct rseq_arrays *a);

/*
 * Pre: the caller is a closer, or the gate is shut in another way and the caller alone. A number of that kind of any
 * CPU's array. False: all are empty, and stay so as long; or the gate's serial is another one.
 */
bool cpucache_steal(struct rseq_arrays *a, uint32_t kind, uint64_t serial, uint32_t *number);

/*
 * A sum over the heads of a kind: empty, all of them, each time it was looked at, and the same sum twice: in between
 * there was an instant at which no array had a number. False: some array has one.
 */
bool cpucache_look(const struct rseq_arrays *a, uint32_t kind, uint64_t *sum);

/* How many numbers of a kind are in the arrays. Exact, if they are shut and nobody steals. */
uint64_t cpucache_sum(const struct rseq_arrays *a, uint32_t kind);

#endif
