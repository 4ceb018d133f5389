/*
 * sequences.h: restartable sequences as a test wants them (TEST_RSEQ)
 *
 * A fibre that is in a sequence has stopped at a step of the test (blocks_step). When another one runs on its CPU,
 * or somebody runs a barrier, its sequence is aborted: it finds that out when it goes on. Between its looks
 * and its commit, which is one step, others may do what they like on other CPUs: as it is with real ones.
 */
#ifndef HEAPD_TESTS_SEQUENCES_H
#define HEAPD_TESTS_SEQUENCES_H

#include "client/rseq_rows.h"

struct sequence { /* of a fibre */
	uint32_t cpu;
	bool runs, aborted;
};

/* The test's: that of the fibre that runs; all of them, NULL at the end. */
struct sequence *sequence_now(void);
struct sequence *sequence_at(int i);

/* How many were aborted, for the test to see that some are. */
extern uint64_t sequences_aborted;

/* Before a fibre goes on: others on its CPU have been preempted. */
void sequences_enter(const struct sequence *s);

#endif
