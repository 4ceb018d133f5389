/*
 * rseq_x86_64.h: the sequences of client/rseq.h on x86-64, and what begins and ends all of them
 *
 * Orders: this processor does loads in order, and stores in order; more is not needed.
 * Only client/rseq.h includes this.
 */
#ifndef HEAPD_CLIENT_RSEQ_X86_64_H
#define HEAPD_CLIENT_RSEQ_X86_64_H

/*
 * The descriptor of a sequence 1 .. 2 with its abort at 4; its address is in rax then. Once stored it stays in the
 * thread's area; the kernel clears it when it sees the thread elsewhere.
 */
#define RSEQ_DESCRIPTOR \
	".pushsection __rseq_cs, \"aw\"\n" \
	".balign 32\n" \
	"3: .long 0, 0\n" \
	".quad 1f, 2f - 1f, 4f\n" \
	".popsection\n" \
	"leaq 3b(%%rip), %%rax\n"

/*
 * The end of a sequence, and where one that was interrupted goes on. The kernel jumps only to where the signature
 * stands before (it reads as an undefined instruction).
 */
#define RSEQ_ABORTS_TO(label) \
	"2:\n" \
	".pushsection __rseq_failure, \"ax\"\n" \
	".byte 0x0f, 0xb9, 0x3d\n" \
	".long 0x53053053\n" \
	"4: jmp %l[" label "]\n" \
	".popsection\n"
_Static_assert(RSEQ_SIG == 0x53053053 && offsetof(struct rseq, cpu_id) == 4 && offsetof(struct rseq, rseq_cs) == 8,
	       "the sequences say so");

#define RSEQ_BEGIN \
	RSEQ_DESCRIPTOR \
	"movq %%rax, 8(%[self])\n" \
	"1: cmpl %[cpu], 4(%[self])\n" \
	"jne %l[again]\n" \
	"cmpq %[open], %[gate]\n" \
	"jne %l[no]\n"

#define RSEQ_END RSEQ_ABORTS_TO("again")

static inline bool rseq_take(struct rseq_arrays *a, uint32_t kind, uint64_t open, uint32_t *number)
{
	struct rseq *self = rseq_self();

	for (int i = 0; i < RSEQ_TRIES; i++) {
		uint32_t cpu = rseq_cpu(self);
		uint64_t head;
		uint32_t found;

		if (unlikely(cpu >= atomic_load_explicit(&a->n_cpus, memory_order_relaxed)))
			return false;
		__asm__ goto volatile(
			RSEQ_BEGIN
			"movq (%[at]), %[head]\n"
			"movzwl %w[head], %%eax\n"
			"testl %%eax, %%eax\n"
			"jz %l[no]\n"
			"movl -4(%[slots], %%rax, 4), %[found]\n"
			"addq $0xffff, %[head]\n"
			"movq %[head], (%[at])\n"
			RSEQ_END
			: [head] "=&r"(head), [found] "=&r"(found)
			: [self] "r"(self), [cpu] "r"(cpu), [at] "r"(rseq_head(a, cpu, kind)),
			  [slots] "r"(rseq_slots(a, cpu, kind)), [gate] "m"(a->gate), [open] "r"(open)
			: "rax", "memory", "cc"
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
		uint64_t head;

		if (unlikely(cpu >= atomic_load_explicit(&a->n_cpus, memory_order_relaxed)))
			return false;
		__asm__ goto volatile(
			RSEQ_BEGIN
			"movq (%[at]), %[head]\n"
			"movzwl %w[head], %%eax\n"
			"cmpl %[max], %%eax\n"
			"jae %l[no]\n"
			"movl %[number], (%[slots], %%rax, 4)\n"
			"addq $0x10001, %[head]\n"
			"movq %[head], (%[at])\n"
			RSEQ_END
			: [head] "=&r"(head)
			: [self] "r"(self), [cpu] "r"(cpu), [at] "r"(rseq_head(a, cpu, kind)),
			  [slots] "r"(rseq_slots(a, cpu, kind)), [gate] "m"(a->gate), [open] "r"(open),
			  [max] "r"(max), [number] "r"(number)
			: "rax", "memory", "cc"
			: again, no);
		return true;
	again:;
	}
no:
	return false;
}

#endif
