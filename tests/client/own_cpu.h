/*
 * own_cpu.h: for tests of restartable sequences: they are there, and run where they are looked for
 *
 * Not here: sequences that a test plays itself (tests/pure/sequences.h).
 */
#ifndef HEAPD_TESTS_CLIENT_OWN_CPU_H
#define HEAPD_TESTS_CLIENT_OWN_CPU_H

#include <sched.h>
#include <ucontext.h>
#include "client/rseq.h"

/* The running test is a skip where this process has no sequences. */
static inline void needs_sequences(void)
{
	if (!rseq_cpus())
		skip();
}

/* From now on this thread is on one CPU, so one array or row is worked. Which CPU. */
static inline uint32_t stay(void)
{
	cpu_set_t set;
	int cpu = sched_getcpu();

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
	return (uint32_t)cpu;
}

/* For a signal's handler: whether it has interrupted a sequence, and aborted it: the kernel goes only to where this
 * signature stands before. */
static inline bool was_aborted(const void *context)
{
#if RSEQ_HERE
	const ucontext_t *u = context;
	uint32_t before;

#if defined(__x86_64__)
	memcpy(&before, (const char *)u->uc_mcontext.gregs[REG_RIP] - sizeof(before), sizeof(before));
#else
	memcpy(&before, (const char *)u->uc_mcontext.pc - sizeof(before), sizeof(before));
#endif
	return before == RSEQ_SIG;
#else
	(void)context;
	return false;
#endif
}

#endif
