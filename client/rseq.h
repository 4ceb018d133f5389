/*
 * rseq.h: the only user of restartable sequences
 *
 * Model: a sequence is a few instructions that end with one plain store. If its thread is preempted, moved to another
 * CPU or takes a signal before that store, the kernel sends it elsewhere, with all registers as they were: so nobody
 * else on that CPU sees half of it, and no atomic instruction is needed. glibc registers every thread; a thread that it did not
 * start is not registered, finds no CPU and is told so.
 *
 * There are two kinds: of arrays that belong to CPUs, for heaps (client/rseq_arrays.h), and of arrays that change
 * hands, for partitions (client/rseq_rows.h). Both ask a word, a gate, that somebody may shut; rseq_barrier() then
 * ends what is under way.
 *
 * Source of the semantics: rseq(2), linux/rseq.h, and membarrier(2) for rseq_barrier().
 * Bound: each kind says its own. rseq_barrier may be called from signal handlers and changes no errno.
 * The instructions are in a file for each processor (client/rseq_x86_64.h, client/rseq_aarch64.h).
 * Elsewhere (other processors, the thread sanitizer, built without) rseq_cpus() is 0 and no sequence is done; so
 * it is where threads are not registered (glibc before 2.35, GLIBC_TUNABLES=glibc.pthread.rseq=0, valgrind).
 * Not here: the sequences.
 */
#ifndef HEAPD_CLIENT_RSEQ_H
#define HEAPD_CLIENT_RSEQ_H

#include "common/base.h"
#include "config-heapd.h"
#include "proto/wire.h"

#define RSEQ_TRIES 3 /* of one that was interrupted, where a caller can do nothing else */

/*
 * For how many CPUs there should be arrays: all that the machine can have. 0: no sequences in this process. The first
 * call announces rseq_barrier() to the kernel, which may take some milliseconds; each is a system call or
 * two. Not for signal handlers.
 */
uint32_t rseq_cpus(void);

/* The CPU that the thread runs on, or was on a moment ago; 0 where there are no sequences. A load, a hint. */
static inline uint32_t rseq_cpu(void);

/*
 * When it returns 0, no sequence that began before the call is still to end. Enters the kernel, and waits
 * for no thread of this process: it interrupts the CPUs that run it. (Kernels without PREEMPT_RT let one membarrier wait
 * for another, also another process's, for some microseconds.) -errno: the kernel refuses (a filter).
 */
int rseq_barrier(void);

/* Before the first sequence of the process, as often as one likes. */
static inline void rseq_begin(void);

#if defined(TEST_RSEQ)
/* A test has sequences of its own, of CPUs of its own. */
#define RSEQ_HERE 1

static inline void rseq_begin(void)
{
}

uint32_t rseq_test_cpu(void);

static inline uint32_t rseq_cpu(void)
{
	return rseq_test_cpu();
}

#elif WITH_RSEQ && !HAS_TSAN
#define RSEQ_HERE 1
#include <sys/rseq.h>

static inline struct rseq *rseq_self(void)
{
	return (struct rseq *)(void *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

static inline uint32_t rseq_cpu(void)
{
	return __atomic_load_n(&rseq_self()->cpu_id_start, __ATOMIC_RELAXED);
}

/*
 * Where a thread's area lies from its thread pointer: a copy at hand, since glibc's own takes one load more. Each sequence
 * begins with a store to bytes 8 to 15 of that area, which lies at a multiple of 32: where this had the same place in
 * its page, a processor held it back for the store of the sequence before, and a pair took a tenth more.
 */
extern int64_t rseq_wheres_[8] __attribute__((visibility("hidden"), __aligned__(64))); /* client/rseq.c */
#define rseq_where_ (rseq_wheres_[2])

static inline void rseq_begin(void)
{
	__atomic_store_n(&rseq_where_, __rseq_offset, __ATOMIC_RELAXED);
}

#if defined(__x86_64__)
#include "client/rseq_x86_64.h"
#elif defined(__aarch64__)
#include "client/rseq_aarch64.h"
#endif

#else
#define RSEQ_HERE 0

static inline void rseq_begin(void)
{
}

static inline uint32_t rseq_cpu(void)
{
	return 0;
}
#endif

#endif
