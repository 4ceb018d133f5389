/*
 * rseq_x86_64.h: what begins and ends all sequences on x86-64
 *
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
#define RSEQ_ABORT(code) \
	".pushsection __rseq_failure, \"ax\"\n" \
	".byte 0x0f, 0xb9, 0x3d\n" \
	".long 0x53053053\n" \
	"4: " code \
	".popsection\n"
#define RSEQ_ABORTS_TO(label) "2:\n" RSEQ_ABORT("jmp %l[" label "]\n")
_Static_assert(RSEQ_SIG == 0x53053053 && offsetof(struct rseq, cpu_id) == 4 && offsetof(struct rseq, rseq_cs) == 8,
	       "the sequences say so");

#endif
