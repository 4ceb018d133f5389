/*
 * rseq_aarch64.h: the sequences of client/rseq.h on aarch64, and what begins and ends all of them
 *
 * Model: as on x86-64, instruction by instruction. That processor does loads in order and stores in order; this one
 * does both in any order that one thread by itself does not notice, so here the order is said where somebody else
 * could notice.
 *
 * What needs no order. An array is worked by one CPU, and what a CPU has done it sees. When it changes from thread to thread the
 * kernel puts a full barrier in between, and rseq_barrier() puts one on every CPU that runs the process: so who has
 * shut the gate and called it sees all that was done before, and whoever looks at the gate after it finds it shut, also
 * if other things were read ahead of the gate (an interrupted thread reads them anew). That is all there is to the pointers and
 * counts of struct rseq_arrays, which change only then. Numbers and heads need no order among them: nobody
 * but the CPU looks at slots before it has shut the gate, and the daemon looks at heads alone.
 *
 * What needs order. A gate is opened without a barrier. Who finds it open must see the heads as they were left by those who
 * had it shut, and stored it with release: so no head may be read ahead of the gate. The difference of
 * the gate from what the caller brought is part of the address of the head; it is 0, and the processor keeps to the order
 * of such a dependency at no cost. Slots are read at a place that depends on the head.
 *
 * Only client/rseq.h includes this. Not here: big-endian systems, where half a gate would be the other half.
 */
#ifndef HEAPD_CLIENT_RSEQ_AARCH64_H
#define HEAPD_CLIENT_RSEQ_AARCH64_H

#ifdef __AARCH64EB__
#error "big-endian systems have no sequences: build with -Drseq=false"
#endif

/*
 * The descriptor of a sequence 1 .. 2 with its abort at 4. Once stored it stays in the thread's area; the kernel clears
 * it when it sees the thread elsewhere. area: where that is. t is destroyed.
 */
#define RSEQ_DESCRIPTOR(area) \
	".pushsection __rseq_cs, \"aw\"\n" \
	".balign 32\n" \
	"3: .long 0, 0\n" \
	".quad 1f, 2f - 1f, 4f\n" \
	".popsection\n" \
	"adrp %[t], 3b\n" \
	"add %[t], %[t], :lo12:3b\n" \
	"str %[t], [" area ", #8]\n"

/*
 * The end of a sequence, and where one that was interrupted goes on. The kernel jumps only to where the signature
 * stands before: brk #0x45e0.
 */
#define RSEQ_ABORTS_TO(label) \
	"2:\n" \
	".pushsection __rseq_failure, \"ax\"\n" \
	".inst 0xd428bc00\n" \
	"4: b %l[" label "]\n" \
	".popsection\n"
_Static_assert(RSEQ_SIG == 0xd428bc00 && offsetof(struct rseq, cpu_id) == 4 && offsetof(struct rseq, rseq_cs) == 8,
	       "the sequences say so");

/* t is 0 after it, and comes from the gate. */
#define RSEQ_BEGIN \
	RSEQ_DESCRIPTOR("%[self]") \
	"1: ldr %w[t], [%[self], #4]\n" \
	"cmp %w[t], %w[cpu]\n" \
	"b.ne %l[again]\n" \
	"ldr %[t], %[gate]\n" \
	"subs %[t], %[t], %[open]\n" \
	"b.ne %l[no]\n"

#define RSEQ_END RSEQ_ABORTS_TO("again")

/* RSEQ_TAKEN and RSEQ_GIVEN, in pieces of which an addition can have one. */
#define RSEQ_ADD_TAKEN(head) \
	"add " head ", " head ", #0x10, lsl #12\n" \
	"sub " head ", " head ", #1\n"
#define RSEQ_ADD_GIVEN(head) \
	"add " head ", " head ", #0x10, lsl #12\n" \
	"add " head ", " head ", #1\n"
_Static_assert(RSEQ_TAKEN == 0x10000 - 1 && RSEQ_GIVEN == 0x10000 + 1, "the sequences say so");

static inline bool rseq_take(struct rseq_arrays *a, uint32_t kind, uint64_t open, uint32_t *number)
{
	struct rseq *self = rseq_self();

	for (int i = 0; i < RSEQ_TRIES; i++) {
		uint32_t cpu = rseq_cpu(self);
		uint64_t head, t;
		uint32_t found;

		if (unlikely(cpu >= atomic_load_explicit(&a->n_cpus, memory_order_relaxed)))
			return false;
		__asm__ goto volatile(
			RSEQ_BEGIN
			"ldr %[head], [%[at], %[t]]\n"
			"ands %w[t], %w[head], #0xffff\n"
			"b.eq %l[no]\n"
			"sub %w[t], %w[t], #1\n"
			"ldr %w[found], [%[slots], %[t], lsl #2]\n"
			RSEQ_ADD_TAKEN("%[head]")
			"str %[head], [%[at]]\n"
			RSEQ_END
			: [head] "=&r"(head), [found] "=&r"(found), [t] "=&r"(t)
			: [self] "r"(self), [cpu] "r"(cpu), [at] "r"(rseq_head(a, cpu, kind)),
			  [slots] "r"(rseq_slots(a, cpu, kind)), [gate] "m"(a->gate), [open] "r"(open)
			: "memory", "cc"
			: again, no);
		*number = found;
		return true;
	again:;
	}
no:
	return false;
}

static inline bool rseq_give(struct rseq_arrays *a, uint32_t kind, uint64_t open, uint32_t max, uint32_t number)
{
	struct rseq *self = rseq_self();

	for (int i = 0; i < RSEQ_TRIES; i++) {
		uint32_t cpu = rseq_cpu(self);
		uint64_t head, t;

		if (unlikely(cpu >= atomic_load_explicit(&a->n_cpus, memory_order_relaxed)))
			return false;
		__asm__ goto volatile(
			RSEQ_BEGIN
			"ldr %[head], [%[at], %[t]]\n"
			"and %w[t], %w[head], #0xffff\n"
			"cmp %w[t], %w[max]\n"
			"b.hs %l[no]\n"
			"str %w[number], [%[slots], %[t], lsl #2]\n"
			RSEQ_ADD_GIVEN("%[head]")
			"str %[head], [%[at]]\n"
			RSEQ_END
			: [head] "=&r"(head), [t] "=&r"(t)
			: [self] "r"(self), [cpu] "r"(cpu), [at] "r"(rseq_head(a, cpu, kind)),
			  [slots] "r"(rseq_slots(a, cpu, kind)), [gate] "m"(a->gate), [open] "r"(open),
			  [max] "r"(max), [number] "r"(number)
			: "memory", "cc"
			: again, no);
		return true;
	again:;
	}
no:
	return false;
}

#endif
