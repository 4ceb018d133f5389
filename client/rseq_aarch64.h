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

#endif
