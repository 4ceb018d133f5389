/*
 * interrupted.h: a thread that plays the kernel for its own restartable sequences
 *
 * Model: in a process whose threads nobody registered (GLIBC_TUNABLES, or qemu-user, which has no rseq) the area of a
 * thread is memory like any other. This writes a CPU into it, and sequences run. To interrupt one, the thread takes a trap
 * before a chosen instruction of it, and goes on at the sequence's abort with all registers as they are:
 * what a kernel does. x86-64 is trapped at each instruction, on aarch64 a breakpoint is written into the text.
 * Not here: what a real kernel does (test_rseq.c, test_magazines.c).
 */
#ifndef HEAPD_TESTS_CLIENT_INTERRUPTED_H
#define HEAPD_TESTS_CLIENT_INTERRUPTED_H

#include "client/rseq.h"

/* Sequences there are, and of what the thread's area says nobody else thinks anything. */
bool can_pretend(void);

/* From now on the calling thread is on that CPU, as far as sequences know. */
void pretend_cpu(uint32_t cpu);

/*
 * Calls it, once for aarch64 to find the sequence and once more; `prepare` before each. The second time (on x86-64 the
 * only one) the first sequence that runs to its instruction n is interrupted before it: then the CPU is `moved`,
 * and it goes on at its abort. Whether one came to such an instruction. On aarch64 instructions count by place, on
 * x86-64 as they are run. Not thread-safe.
 */
bool interrupted_at(uint32_t n, uint32_t moved, void (*prepare)(void), void (*call)(void));

#endif
