/*
 * rseq_arrays_aarch64.h: the sequences of client/rseq_arrays.h on aarch64
 *
 * Orders. An array is worked by one CPU, and what a CPU has done it sees. When it changes from thread to thread the kernel
 * puts a full barrier in between, and rseq_barrier() puts one on every CPU that runs the process: so who has shut
 * the gate and called it sees all that was done before, and whoever looks at the gate after it finds it shut, also if
 * other things were read ahead of the gate (an interrupted thread reads them anew). That is all there is to the pointers and counts of
 * struct rseq_arrays, which change only then, and the gate's value came to the caller after them. Heads and slots
 * need no order among them: nobody but the CPU looks at slots before it has shut the gate, and the daemon looks at heads
 * alone. Nor do marks: who frees a block was told of it by who allocated it, in an order of their own; from then on the
 * block is this CPU's.
 * But a gate is opened without a barrier. Who finds it open must see the heads as they were left by those who had it shut,
 * and stored the number of CPUs with release: so no head may be read ahead of that number. Its difference from itself
 * is part of the address of the head; it is 0, and the processor keeps to the order of such a dependency at no
 * cost. Slots are read at a place that depends on the head.
 *
 * rseq_alloc and rseq_free store twice. After an abort registers are what they were when it was interrupted, and a store that
 * moves its address moves it exactly if it was done. In rseq_alloc that is a head's, a multiple of 8 or, before there is
 * one, 0: then bit 2 is set. In rseq_free it is a mark's, of which there is a copy: then it is one more. With STRICT_FREES
 * an exclusive store tells by its status, 1 since before the sequence.
 *
 * Only client/rseq_arrays.h includes this.
 */
#ifndef HEAPD_CLIENT_RSEQ_ARRAYS_AARCH64_H
#define HEAPD_CLIENT_RSEQ_ARRAYS_AARCH64_H

/* t is 0 after it, and comes from the number of CPUs; `at` is the CPU. */
#define RSEQ_ARRAYS_BEGIN \
	RSEQ_DESCRIPTOR("%[self]") \
	"1: ldr %[t], [%[a], %[gate]]\n" \
	"cmp %[t], %[open]\n" \
	"b.ne %l[no]\n" \
	"ldr %w[at], [%[self], #4]\n" /* more than any, if the thread is not registered */ \
	"ldr %w[n], [%[a], %[n_cpus]]\n" \
	"cmp %w[at], %w[n]\n" \
	"b.hs %l[no]\n" \
	"eor %[t], %[n], %[n]\n"
#define RSEQ_ARRAYS_FIELDS(arrays) \
	[self] "r"(rseq_self_quick()), [a] "r"(arrays), RSEQ_FIELD(gate), RSEQ_FIELD(heads), RSEQ_FIELD(slots), RSEQ_FIELD(n_cpus), \
		[step] "i"(RSEQ_STEP)
#define RSEQ_ARRAYS_END RSEQ_ABORTS_TO("no")

#define RSEQ_LIVES \
	"ldr %[n], [%[a], %[control]]\n" \
	"ldr %w[n], [%[n]]\n" \
	"cmp %w[n], %[live]\n" \
	"b.ne %l[no]\n"
#define RSEQ_LIVES_FIELDS RSEQ_FIELD(control), [live] "i"(STATE_LIVE)

/*
 * The array of this CPU and kind: its head at `head`, what was taken in n and what was given in m; `at` is its number. Heads and
 * arrays are counted alike, WIRE_HEADS_KINDS to a CPU.
 */
#define RSEQ_ARRAY \
	"add %[at], %[kind], %[at], lsl #4\n" \
	"ldr %[n], [%[a], %[heads]]\n" \
	"add %[n], %[n], %[t]\n" \
	"add %[head], %[n], %[at], lsl #3\n" \
	"ldp %w[n], %w[m], [%[head]]\n"
_Static_assert(WIRE_HEADS_KINDS == 1 << 4, "the sequences shift");

/* From that number: its slots in `at`. The one of a count is at RSEQ_SLOT behind RSEQ_SLOT_OF. */
#define RSEQ_ARRAY_SLOTS \
	"ldr %[t], [%[a], %[slots]]\n" \
	"add %[at], %[t], %[at], lsl #8\n"
#define RSEQ_SLOT_OF(count) "and %w[t], " count ", #255\n"
#define RSEQ_SLOT "[%[at], %[t]]"
_Static_assert(RSEQ_SLOTS * sizeof(uint32_t) == 1 << 8, "the sequences shift");

/* A unit's number (rseq_number) in `number`, and back; t is anything after it. */
#define RSEQ_TO_NUMBER(number, t) \
	"lsr " t ", " number ", #3\n" \
	"bfi " t ", " number ", #13, #3\n" \
	"bfi " number ", " t ", #0, #16\n"
_Static_assert(RSEQ_TURN == 3 && RSEQ_TURNED == 1 << 16, "the sequences turn");

static inline struct rseq *rseq_self_quick(void)
{
	return (struct rseq *)(void *)((char *)__builtin_thread_pointer() +
				       __atomic_load_n(&rseq_where_, __ATOMIC_RELAXED));
}

RSEQ_INLINE bool rseq_pop(struct rseq_arrays *a, uint64_t mark, uint64_t open, uint64_t *number)
{
	uint64_t t, at, head, n, m;

	__asm__ goto volatile(
		RSEQ_ARRAYS_BEGIN
		RSEQ_ARRAY
		"cmp %w[n], %w[m]\n"
		"b.eq %l[no]\n"
		RSEQ_ARRAY_SLOTS
		RSEQ_SLOT_OF("%w[n]")
		"ldr %w[m], " RSEQ_SLOT "\n"
		"sub %w[n], %w[n], %[step]\n"
		"str %w[n], [%[head]]\n"
		RSEQ_ARRAYS_END
		: [t] "=&r"(t), [at] "=&r"(at), [head] "=&r"(head), [n] "=&r"(n), [m] "=&r"(m)
		: RSEQ_ARRAYS_FIELDS(a), [open] "r"(open), [kind] "r"(mark - RSEQ_MARK_MIN)
		: "memory", "cc"
		: no);
	*number = m;
	return true;
no:
	return false;
}

RSEQ_INLINE bool rseq_push(struct rseq_arrays *a, uint64_t mark, uint64_t open, uint64_t number)
{
	const _Atomic uint32_t *max = &a->max[mark - RSEQ_MARK_MIN];
	uint64_t t, at, head, n, m;

	__asm__ goto volatile(
		RSEQ_ARRAYS_BEGIN
		RSEQ_ARRAY
		"sub %w[n], %w[n], %w[m]\n"
		"ldr %w[t], %[max]\n"
		"cmp %w[n], %w[t]\n"
		"b.hs %l[no]\n"
		RSEQ_ARRAY_SLOTS
		RSEQ_SLOT_OF("%w[m]")
		"str %w[number], " RSEQ_SLOT "\n"
		"sub %w[m], %w[m], %[step]\n"
		"str %w[m], [%[head], #4]\n"
		RSEQ_ARRAYS_END
		: [t] "=&r"(t), [at] "=&r"(at), [head] "=&r"(head), [n] "=&r"(n), [m] "=&r"(m)
		: RSEQ_ARRAYS_FIELDS(a), [open] "r"(open), [kind] "r"(mark - RSEQ_MARK_MIN), [max] "m"(*max), [number] "r"(number)
		: "memory", "cc"
		: no);
	return true;
no:
	return false;
}

/* A block in hand comes out where one that is allocated does, but without the memory's address. */
RSEQ_INLINE enum rseq_result rseq_alloc(struct rseq_arrays *a, uint64_t open, uint64_t mark, void **block)
{
	uint64_t t, at, head, n, m;

	__asm__ goto volatile(
		"mov %[head], xzr\n"
		RSEQ_ARRAYS_BEGIN
		RSEQ_LIVES
		RSEQ_ARRAY
		"cmp %w[n], %w[m]\n"
		"b.eq %l[no]\n"
		RSEQ_ARRAY_SLOTS
		RSEQ_SLOT_OF("%w[n]")
		"ldr %w[m], " RSEQ_SLOT "\n"
		"ldr %[t], [%[a], %[marks]]\n"
		"ldr %[at], [%[a], %[base]]\n"
		"sub %w[n], %w[n], %[step]\n"
		"str %w[n], [%[head]], #4\n"
		"strb %w[mark], [%[t], %[m]]\n"
		"2:\n"
		RSEQ_ABORT(
			"tbnz %[head], #2, 5f\n"
			"b %l[no]\n"
			"5: mov %[at], xzr\n"
			"b 2b\n")
		: [t] "=&r"(t), [at] "=&r"(at), [head] "=&r"(head), [n] "=&r"(n), [m] "=&r"(m)
		: RSEQ_ARRAYS_FIELDS(a), RSEQ_LIVES_FIELDS, RSEQ_FIELD(marks), RSEQ_FIELD(base), [open] "r"(open),
		  [kind] "r"(mark - RSEQ_MARK_MIN), [mark] "r"(mark)
		: "memory", "cc"
		: no);
	if (unlikely(!at)) {
		*block = (void *)(uintptr_t)m;
		return RSEQ_HELD;
	}
	*block = (void *)(uintptr_t)(at + rseq_offset(m));
	return RSEQ_DONE;
no:
	return RSEQ_NOT;
}

/* The claim of the mark at `byte`, which was found to be `mark`; what there is at first; and whether it was done. */
#if STRICT_FREES
#define RSEQ_CLAIM_NOT "mov %w[claim], #1\n"
#define RSEQ_CLAIM \
	"ldxrb %w[t], [%[byte]]\n" \
	"cmp %w[t], %w[mark]\n" \
	"b.ne %l[no]\n" \
	"stxrb %w[claim], wzr, [%[byte]]\n" \
	"cbnz %w[claim], %l[no]\n" /* somebody came between, or it failed as it may: the long way */
#define RSEQ_IF_CLAIMED(label) "cbz %w[claim], " label "\n"
#else
#define RSEQ_CLAIM_NOT \
	"mov %[byte], xzr\n" \
	"mov %[claim], xzr\n"
#define RSEQ_CLAIM \
	"mov %[claim], %[byte]\n" \
	"strb wzr, [%[claim]], #1\n"
#define RSEQ_IF_CLAIMED(label) \
	"sub %[claim], %[claim], %[byte]\n" \
	"cmp %[claim], #1\n" \
	"b.eq " label "\n"
#endif

/* The number is turned by four bits: what is no multiple of 16 becomes one far above all. */
RSEQ_INLINE enum rseq_result rseq_free(struct rseq_arrays *a, uint64_t open, const void *block)
{
	uint64_t t, at, head, n, m, number, mark, kind, byte, claim;

	__asm__ goto volatile(
		RSEQ_CLAIM_NOT
		RSEQ_ARRAYS_BEGIN
		RSEQ_LIVES
		"ldr %[n], [%[a], %[base]]\n"
		"sub %[number], %[block], %[n]\n"
		"ror %[number], %[number], #4\n"
		"ldr %[n], [%[a], %[n_units]]\n"
		"cmp %[number], %[n]\n"
		"b.hs %l[no]\n"
		RSEQ_TO_NUMBER("%[number]", "%[n]")
		"ldr %[n], [%[a], %[marks]]\n"
		"add %[byte], %[n], %[number]\n"
		"ldrb %w[mark], [%[byte]]\n"
		"cbz %w[mark], %l[no]\n"
		"sub %w[kind], %w[mark], %[min]\n"
		RSEQ_ARRAY
		"add %[kind], %[a], %[kind], lsl #2\n"
		"ldr %w[kind], [%[kind], %[max]]\n"
		"sub %w[n], %w[n], %w[m]\n"
		"cmp %w[n], %w[kind]\n"
		"b.hs %l[full]\n"
		RSEQ_ARRAY_SLOTS
		RSEQ_SLOT_OF("%w[m]")
		"str %w[number], " RSEQ_SLOT "\n"
		"sub %w[m], %w[m], %[step]\n"
		RSEQ_CLAIM
		"str %w[m], [%[head], #4]\n"
		"2:\n"
		RSEQ_ABORT(
			RSEQ_IF_CLAIMED("5f")
			"b %l[no]\n"
			"5: b %l[held]\n")
		: [t] "=&r"(t), [at] "=&r"(at), [head] "=&r"(head), [n] "=&r"(n), [m] "=&r"(m), [number] "=&r"(number),
		  [mark] "=&r"(mark), [kind] "=&r"(kind), [byte] "=&r"(byte), [claim] "=&r"(claim)
		: RSEQ_ARRAYS_FIELDS(a), RSEQ_LIVES_FIELDS, RSEQ_FIELD(marks), RSEQ_FIELD(n_units), RSEQ_FIELD(max), RSEQ_FIELD(base),
		  [min] "i"(RSEQ_MARK_MIN), [open] "r"(open), [block] "r"(block)
		: "memory", "cc"
		: no, full, held);
	return RSEQ_DONE;
no:
	return RSEQ_NOT;
full:
	return RSEQ_FULL;
held:
	return RSEQ_HELD;
}

#endif
