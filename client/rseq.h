/*
 * rseq.h: the only user of restartable sequences
 *
 * Model: for each CPU and each kind of number an array that only that CPU works on. A sequence is a few
 * instructions that end with one plain store. If its thread is preempted, moved to another CPU or takes a
 * signal before that store, the kernel sends it back to the start, so nobody sees half of it and no atomic
 * instruction is needed. glibc registers every thread; a thread that it did not start is not
 * registered, finds no CPU and is told so.
 *
 * An array is a head, which tells how many numbers it has, and its slots. Heads lie where the daemon reads
 * them (struct wire_heads), slots in private memory. All sequences ask one word, the gate: it is open to
 * those that bring the value that it has. To shut it is to store another value and to call
 * rseq_barrier(); from then on nothing changes but by whoever shut it. (A protocol for closers that
 * share no lock: client/magazines.h.)
 *
 * Source of the semantics: rseq(2), linux/rseq.h, and membarrier(2) for rseq_barrier().
 * Bound: a sequence is at most 12 instructions (14 on aarch64). It is tried RSEQ_TRIES times, then the caller does
 * without. rseq_take, rseq_give and rseq_barrier may be called from signal handlers and change no errno.
 * The instructions are in a file for each processor (client/rseq_x86_64.h, client/rseq_aarch64.h).
 * Elsewhere (other processors, the thread sanitizer, built without) rseq_cpus() is 0 and no sequence is done; so
 * it is where threads are not registered (glibc before 2.35, GLIBC_TUNABLES=glibc.pthread.rseq=0, valgrind).
 * Not here: what the numbers mean, where they go when an array is full.
 */
#ifndef HEAPD_CLIENT_RSEQ_H
#define HEAPD_CLIENT_RSEQ_H

#include "common/base.h"
#include "config-heapd.h"
#include "proto/wire.h"

#define RSEQ_TRIES 3
#define RSEQ_SLOTS 128u /* of an array: 8 cache lines */

/*
 * What the sequences of one object work on. heads[cpu].head[kind] belongs to the RSEQ_SLOTS numbers from
 * slots[(cpu * n_kinds + kind) * RSEQ_SLOTS] on. All three pointers and counts may change only while the
 * gate has a value that it never had before and that no caller brings, and memory stays mapped for whoever
 * comes late: a sequence that found the gate as its caller brought it then has what belongs together, if
 * the caller took that value (acquire) before the call.
 * All zero: shut, no arrays.
 */
struct rseq_arrays {
	_Atomic uint64_t gate;
	_Atomic(struct wire_heads *) heads;
	_Atomic(uint32_t *) slots;
	_Atomic uint32_t n_cpus;
	_Atomic uint32_t n_kinds; /* at most WIRE_HEADS_KINDS */
};

/*
 * A head: the count in 16 bits, above them a version that every change raises. Who reads the same head
 * twice knows that nothing happened in between (it repeats after 2^48 changes).
 */
#define RSEQ_COUNT(head) WIRE_HEAD_COUNT(head)
#define RSEQ_TAKEN 0xffff  /* added to a head: one less, the version one more */
#define RSEQ_GIVEN 0x10001 /* one more, the version one more */

static inline _Atomic uint64_t *rseq_head(const struct rseq_arrays *a, uint32_t cpu, uint32_t kind)
{
	return &atomic_load_explicit(&a->heads, memory_order_relaxed)[cpu].head[kind];
}

static inline uint32_t *rseq_slots(const struct rseq_arrays *a, uint32_t cpu, uint32_t kind)
{
	uint32_t n_kinds = atomic_load_explicit(&a->n_kinds, memory_order_relaxed);

	return &atomic_load_explicit(&a->slots, memory_order_relaxed)[(cpu * n_kinds + kind) * RSEQ_SLOTS];
}

/* Bytes of the slots of so many arrays. */
static inline size_t rseq_slots_size(uint32_t n_cpus, uint32_t n_kinds)
{
	return (size_t)n_cpus * n_kinds * RSEQ_SLOTS * sizeof(uint32_t);
}

/*
 * For how many CPUs there should be arrays: all that the machine can have. 0: no sequences in this process. The first
 * call announces rseq_barrier() to the kernel, which may take some milliseconds; each is a system call or
 * two. Not for signal handlers.
 */
uint32_t rseq_cpus(void);

/*
 * When it returns 0, no sequence that began before the call is still to end. Enters the kernel, and waits
 * for no thread of this process: it interrupts the CPUs that run it. (Kernels without PREEMPT_RT let one membarrier wait
 * for another, also another process's, for some microseconds.) -errno: the kernel refuses (a filter).
 */
int rseq_barrier(void);

#if defined(__has_feature)
#define RSEQ_HAS_TSAN __has_feature(thread_sanitizer)
#elif defined(__SANITIZE_THREAD__)
#define RSEQ_HAS_TSAN 1
#else
#define RSEQ_HAS_TSAN 0
#endif

#if defined(TEST_RSEQ)
/* A test has sequences of its own, of CPUs of its own. */
#define RSEQ_HERE 1
bool rseq_take(struct rseq_arrays *a, uint32_t kind, uint64_t open, uint32_t *number);
bool rseq_give(struct rseq_arrays *a, uint32_t kind, uint64_t open, uint32_t max, uint32_t number);

#elif WITH_RSEQ && !RSEQ_HAS_TSAN
#define RSEQ_HERE 1
#include <sys/rseq.h>

static inline struct rseq *rseq_self(void)
{
	return (struct rseq *)(void *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

static inline uint32_t rseq_cpu(const struct rseq *self)
{
	return *(const volatile uint32_t *)&self->cpu_id_start;
}

/*
 * The number given last to the array of this CPU. False: it has none, the gate is not open, or the thread is not
 * registered; or it was interrupted RSEQ_TRIES times.
 */
static inline bool rseq_take(struct rseq_arrays *a, uint32_t kind, uint64_t open, uint32_t *number);

/*
 * Into the array of this CPU. max: at most RSEQ_SLOTS. False: the number is the caller's still; the array has max
 * numbers or more, or as rseq_take.
 */
static inline bool rseq_give(struct rseq_arrays *a, uint32_t kind, uint64_t open, uint32_t max, uint32_t number);

#if defined(__x86_64__)
#include "client/rseq_x86_64.h"
#elif defined(__aarch64__)
#include "client/rseq_aarch64.h"
#endif

#else
#define RSEQ_HERE 0

static inline bool rseq_take(struct rseq_arrays *a, uint32_t kind, uint64_t open, uint32_t *number)
{
	(void)a, (void)kind, (void)open, (void)number;
	return false;
}

static inline bool rseq_give(struct rseq_arrays *a, uint32_t kind, uint64_t open, uint32_t max, uint32_t number)
{
	(void)a, (void)kind, (void)open, (void)max, (void)number;
	return false;
}
#endif

#endif
