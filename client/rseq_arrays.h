/*
 * rseq_arrays.h: the restartable sequences of heaps: numbers into and out of arrays, and a byte for each block
 *
 * Model: for each CPU and each kind of number an array, a ring, that only that CPU works on, and its head: how many numbers it
 * has ever been given, and how many were taken. Heads lie where the daemon reads them (struct wire_heads),
 * slots in private memory. And for each number a byte, the mark, that says whether somebody has the block, and of which kind
 * it is: who takes a block marks it, who frees it claims it: reads the mark and stores 0.
 *
 * All sequences ask two words, the gate and the number of CPUs: it is open to those that bring the value that it has, if there are CPUs. To
 * shut it is to store another value, or that there are no CPUs, and to call rseq_barrier(); from then on nothing changes but by whoever shut it. Marks and claims do
 * not happen either if the control slot does not say that the heap lives. That is what makes them safe beside the
 * end of a heap: who has shut the gate and called rseq_barrier() may unmap marks, slots and control slot.
 *
 * First in, first out: with a stack a program that takes and frees by turns would get the block that it has just freed,
 * and each of its steps would wait for what the one before has stored. Two counters, not one: who takes does not wait for
 * who gave.
 *
 * Two claims of one mark: on one CPU exactly one is believed, since the other one is sent back when the kernel changes from
 * thread to thread. On two CPUs both may be, if both look before either stores, some nanoseconds apart. With
 * STRICT_FREES the store is a locked exchange, on aarch64 an exclusive store, and exactly one is believed.
 *
 * Bound: 35 instructions at most (47 on aarch64), tried once: a caller that was interrupted goes the long way. No system call; for signal
 * handlers too; errno is not changed.
 * Where there are no sequences (client/rseq.h) all is refused.
 * Not here: what numbers and marks mean, who shuts the gate (client/hand.h).
 */
#ifndef HEAPD_CLIENT_RSEQ_ARRAYS_H
#define HEAPD_CLIENT_RSEQ_ARRAYS_H

#include "client/rseq.h"

#define RSEQ_SLOTS 64u /* of an array: 4 cache lines */

/*
 * The mark of what belongs into arrays of kind 0; of the next kind one more. A bit of its own, RSEQ_MARK_OUT, is set in
 * all of them: the byte without it is nobody's.
 */
#define RSEQ_MARK_OUT 0x40
#define RSEQ_MARK_MIN (RSEQ_MARK_OUT + 3)

#define RSEQ_KINDS 9 /* that have arrays; and one for blocks that have none */

/*
 * What the sequences of one object work on. heads[cpu].head[kind] belongs to the RSEQ_SLOTS numbers from
 * slots[(cpu * WIRE_HEADS_KINDS + kind) * RSEQ_SLOTS] on. All but the gate and the control slot's place may change only while the
 * gate has a value that it never had before and that no caller brings, and memory stays mapped for whoever
 * comes late: a sequence that found the gate as its caller brought it then has what belongs together, if
 * that value came to the caller after what it stands for was stored (an acquire, or a descriptor that was handed over).
 * All zero: shut, no arrays.
 */
struct rseq_arrays {
	_Atomic uint32_t n_cpus;
	_Atomic uint32_t max[RSEQ_KINDS + 2];   /* of an array: RSEQ_MAX() of how many numbers it has at most; 0 for the last ones */
	uint64_t place;                         /* no sequence's business: client/hand_views.c */
	uint64_t pad[2];
	_Atomic(struct wire_heads *) heads;
	_Atomic(uint32_t *) slots;
	_Atomic(uint8_t *) marks;               /* one for each number: rseq_marks_size() bytes */
	_Atomic(const struct wire_control *) control; /* its state must be STATE_LIVE for a block to be marked or claimed */
	uint8_t *base;                          /* of the memory that blocks are in */
	_Atomic uint64_t gate;
	_Atomic uint64_t n_units;               /* of 16 bytes, from base on, in which blocks begin */
} __attribute__((__aligned__(128)));

/*
 * A processor takes a load for one of what a store before it has written if they agree in the last 12 bits of their
 * addresses, until it knows better: and a store to a head waits for the block's mark. So the pointers lie where, modulo 128,
 * no head that is in use does: behind those of RSEQ_KINDS kinds.
 */
_Static_assert(offsetof(struct rseq_arrays, heads) == RSEQ_KINDS * sizeof(uint64_t) && sizeof(struct rseq_arrays) == 128 &&
	       sizeof(struct wire_heads) == 128, "what is read at once has no address like a head's");

/* What became of an alloc or free. */
enum rseq_result {
	RSEQ_NOT,  /* nothing has happened */
	RSEQ_FULL, /* nothing has happened: somebody has the block, and this CPU's array for it has max numbers */
	RSEQ_HELD, /* it was interrupted: the block is in no array, not marked, and the caller's */
	RSEQ_DONE,
};

/*
 * A head: below what was taken, above what was given; both are counted down, modulo 2^32, in steps of a slot's bytes: so the low
 * byte of either is a place in the ring.
 */
#define RSEQ_STEP WIRE_RING_STEP
#define RSEQ_ARRAY_COUNT(head) WIRE_RING_COUNT(head)
#define RSEQ_ARRAY_TAKEN(head) ((uint32_t)(head))
#define RSEQ_ARRAY_GIVEN(head) ((uint32_t)((head) >> 32))
#define RSEQ_ARRAY_EMPTY(at) ((uint64_t)(at) << 32 | (at)) /* at: uint32_t, given and taken */
#define RSEQ_MAX(numbers) ((numbers) * RSEQ_STEP)
_Static_assert(RSEQ_STEP == sizeof(uint32_t) && RSEQ_SLOTS * RSEQ_STEP == 256, "a byte is a place in the ring");

static inline _Atomic uint64_t *rseq_head(const struct rseq_arrays *a, uint32_t cpu, uint32_t kind)
{
	return &atomic_load_explicit(&a->heads, memory_order_relaxed)[cpu].head[kind];
}

/* The slot of the number that an array was given, or that was taken, when its head said `at`. */
static inline uint32_t *rseq_slot(const struct rseq_arrays *a, uint32_t cpu, uint32_t kind, uint32_t at)
{
	uint32_t *slots = atomic_load_explicit(&a->slots, memory_order_relaxed);

	return &slots[(cpu * WIRE_HEADS_KINDS + kind) * RSEQ_SLOTS + at / RSEQ_STEP % RSEQ_SLOTS];
}

/*
 * The number of a block: which unit of 16 bytes it begins in, with the low 16 bits turned by 3. So marks of blocks of 128 bytes and
 * more are neighbours, and all that two pages of them have are in one cache line: few lines, and no more than lots of pages can
 * keep one CPU's (client/bucket_shelves.c). Of 1 MiB of blocks, and of what is left at the end, marks take RSEQ_TURNED bytes.
 */
#define RSEQ_TURN 3
#define RSEQ_TURNED 65536u

static inline uint32_t rseq_turn(uint32_t n, uint32_t by)
{
	uint32_t low = n % RSEQ_TURNED;

	return n - low + (low >> by | low << (16 - by)) % RSEQ_TURNED;
}

static inline uint32_t rseq_number(uint64_t offset)
{
	return rseq_turn((uint32_t)(offset >> 4), RSEQ_TURN);
}

static inline uint64_t rseq_offset(uint64_t number)
{
	return (uint64_t)rseq_turn((uint32_t)number, 16 - RSEQ_TURN) << 4;
}

static inline size_t rseq_marks_size(uint64_t units)
{
	return (size_t)align_up(units, RSEQ_TURNED);
}

/* Bytes of the slots of so many CPUs. */
static inline size_t rseq_slots_size(uint32_t n_cpus)
{
	return (size_t)n_cpus * WIRE_HEADS_KINDS * RSEQ_SLOTS * sizeof(uint32_t);
}

/*
 * Of what a gate is when it is open. For rseq_alloc and rseq_free its low byte is RSEQ_OPEN_LIVES: a control slot's state is compared with
 * that, for a processor does a comparison with a register and the jump behind it as one.
 */
#define RSEQ_OPEN_MIN (UINT64_C(1) << 32)
#define RSEQ_OPEN_LIVES STATE_LIVE
_Static_assert(STATE_LIVE < 256 && STATE_DELETED < 256 && STATE_COMMITTING < 256, "a byte tells them from each other");

#define RSEQ_INLINE static inline __attribute__((always_inline))

#if defined(TEST_RSEQ)
/* A test has sequences of its own, of CPUs of its own. */
bool rseq_pop(struct rseq_arrays *a, uint64_t mark, uint64_t open, uint64_t *number);
bool rseq_push(struct rseq_arrays *a, uint64_t mark, uint64_t open, uint64_t number);

#elif RSEQ_HERE
/*
 * The number that this CPU's array of kind mark - RSEQ_MARK_MIN has had longest. False: it has none, the gate is not
 * open, the thread is not registered, or it was interrupted.
 */
RSEQ_INLINE bool rseq_pop(struct rseq_arrays *a, uint64_t mark, uint64_t open, uint64_t *number);

/* Into this CPU's array of that kind. False: the number is the caller's still; the array is full, or as rseq_pop. */
RSEQ_INLINE bool rseq_push(struct rseq_arrays *a, uint64_t mark, uint64_t open, uint64_t number);

/*
 * The block of a number as rseq_pop has it, marked. RSEQ_NOT: as rseq_pop, or the heap does not live. RSEQ_HELD: *block is
 * its number. RSEQ_FULL: never. open: not the marks' address, and see RSEQ_OPEN_LIVES.
 */
RSEQ_INLINE enum rseq_result rseq_alloc(struct rseq_arrays *a, uint64_t open, uint64_t mark, void **block);

/*
 * The block at `block` is claimed and goes into this CPU's array of its kind. RSEQ_NOT: it is no block that somebody
 * has, or as rseq_alloc.
 */
RSEQ_INLINE enum rseq_result rseq_free(struct rseq_arrays *a, uint64_t open, const void *block);

/* What the instructions of any processor are told. */
#define RSEQ_FIELD(name) [name] "i"(offsetof(struct rseq_arrays, name))
_Static_assert(offsetof(struct wire_control, state) == 0, "the sequences say so");

#if defined(__x86_64__)
#include "client/rseq_arrays_x86_64.h"
#elif defined(__aarch64__)
#include "client/rseq_arrays_aarch64.h"
#endif

#else
RSEQ_INLINE bool rseq_pop(struct rseq_arrays *a, uint64_t mark, uint64_t open, uint64_t *number)
{
	(void)a, (void)mark, (void)open, (void)number;
	return false;
}

RSEQ_INLINE bool rseq_push(struct rseq_arrays *a, uint64_t mark, uint64_t open, uint64_t number)
{
	(void)a, (void)mark, (void)open, (void)number;
	return false;
}

RSEQ_INLINE enum rseq_result rseq_alloc(struct rseq_arrays *a, uint64_t open, uint64_t mark, void **block)
{
	(void)a, (void)open, (void)mark, (void)block;
	return RSEQ_NOT;
}

RSEQ_INLINE enum rseq_result rseq_free(struct rseq_arrays *a, uint64_t open, const void *block)
{
	(void)a, (void)open, (void)block;
	return RSEQ_NOT;
}
#endif

#endif
