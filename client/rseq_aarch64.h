/*
 * rseq_aarch64.h: what begins and ends all sequences on aarch64
 *
 * Sequences are as on x86-64, which does loads in order and stores in order. This processor does both in any order that one
 * thread by itself does not notice: each kind's file says where somebody else could, and what it does about that.
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
#define RSEQ_ABORT(code) \
	".pushsection __rseq_failure, \"ax\"\n" \
	".inst 0xd428bc00\n" \
	"4: " code \
	".popsection\n"
#define RSEQ_ABORTS_TO(label) "2:\n" RSEQ_ABORT("b %l[" label "]\n")
_Static_assert(RSEQ_SIG == 0xd428bc00 && offsetof(struct rseq, cpu_id) == 4 && offsetof(struct rseq, rseq_cs) == 8,
	       "the sequences say so");

#endif
