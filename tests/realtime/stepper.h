/*
 * stepper.h: a thread of an actor, one instruction after the other
 *
 * Model: a thread of another process is watched by ptrace. It runs at full speed until it comes to a
 * mark (marks.h), and between mark_begin() and mark_end() it is stepped, so that its instructions are counted, exactly, by no clock and no performance counter.
 * The code of the kernel does not count. An instruction with a repeat prefix counts once.
 *
 * Restartable sequences: a stop is a preemption, and the kernel would send the thread back to the
 * start of its sequence at each step. So the stepper takes the sequence's descriptor out of the
 * thread's rseq area while it steps through one: for the thread, nothing has happened, and as it
 * stays on its CPU the sequence is right. To be preempted in a sequence, the descriptor is put
 * back before the thread goes on, and the kernel aborts the sequence as it always does.
 *
 * Invariant: a thread that is between stepper_attach and stepper_detach and is not told to go on
 * does not run at all: to others it is preempted, for as long as it takes.
 * Only on x86-64: on other processors exclusive loads and stores fail when they are stepped.
 */
#ifndef HEAPD_TESTS_REALTIME_STEPPER_H
#define HEAPD_TESTS_REALTIME_STEPPER_H

#include <sys/types.h>

#include "tests/realtime/marks.h"

#define STEPPER_SEQUENCES 32

/* The deadline of a test that steps, in seconds: a busy machine needs ten times as long for a step, which is two switches of threads. */
#define STEPPING_S 600

enum sequences {
	SEQUENCES_PASS,  /* as if nobody interrupted */
	SEQUENCES_ABORT, /* each is interrupted before the store that would end it */
};

struct stepper {
	pid_t tid;
	bool runs;           /* it was let go and has not been seen to stop */
	enum sequences sequences;
	uintptr_t rseq;      /* the thread's area; 0: it has none */
	uint64_t descriptor; /* taken out of it: the thread is in that sequence. 0: in none */
	uint64_t ip;         /* the next instruction */
	uint64_t value;      /* of the last mark_begin */
	uint64_t aborted;    /* sequences */
	/* of sequences that were stepped through: the address of their last instruction */
	struct { uint64_t end, last; } known[STEPPER_SEQUENCES];
};

/* Watches the thread, which goes on running. 0; -EPERM: not here. */
int stepper_attach(struct stepper *s, pid_t tid);

/* The thread goes on by itself. It must be stopped (at a mark, or after a step). */
void stepper_detach(struct stepper *s);

/* After a test that failed: ends the processes of all threads that are still watched, and reaps these. */
void stepper_abandon(void);

/* Lets the thread run to its next mark. MARK_NONE: it has ended. */
enum mark stepper_run(struct stepper *s);

/* One instruction. True; false: it was a mark_end(), and that does not count. */
bool stepper_step(struct stepper *s);

/* From a mark_begin() to its mark_end(): the instructions between, with some 5 for the call itself. */
uint64_t stepper_count(struct stepper *s);

/*
 * A step that may not end soon: begun, and later waited for. In between the thread runs, or sleeps
 * in the kernel (stepper_sleeps).
 */
void stepper_start(struct stepper *s);
void stepper_finish(struct stepper *s);
bool stepper_sleeps(const struct stepper *s);

/* A system call, as its number and first arguments. */
struct stepper_call {
	uint64_t number;
	uint64_t args[3];
};

/* Whether the next instruction is a system call. */
bool stepper_at_call(const struct stepper *s, struct stepper_call *call);

/*
 * Lets the thread run, and leaves it running: to its next mark, or to the beginning or the end of its
 * next system call. stepper_arrive waits for that: a mark, or MARK_NONE and the call (MARK_NONE with number
 * UINT64_MAX: the thread has ended).
 */
void stepper_depart(struct stepper *s);
enum mark stepper_arrive(struct stepper *s, struct stepper_call *call);

/* Lets the thread run, and leaves it running: stepper_run() then waits for its next mark. */
void stepper_leave(struct stepper *s);

/* What its next instruction finds is what a preempted thread finds: a sequence that it is in will be
 * aborted. */
void stepper_preempt(struct stepper *s);

#endif
