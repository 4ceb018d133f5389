/*
 * stepper.h: a thread of an actor, one instruction after the other
 *
 * Model: a thread of another process is watched by ptrace. It runs at full speed until it comes to a
 * mark (mark_begin, mark_end: a breakpoint instruction in it), and between the two marks it is
 * stepped, so that its instructions are counted, exactly, by no clock and no performance counter.
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

#include "common/base.h"

/* ---- in the actor ---- */

#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
static inline uintptr_t own_rseq_area(void)
{
	return __rseq_size ? (uintptr_t)__builtin_thread_pointer() + (uintptr_t)__rseq_offset : 0;
}
#else
static inline uintptr_t own_rseq_area(void)
{
	return 0;
}
#endif
#define MARK_(kind, value) \
	__asm__ volatile("int3" : : "a"(kind), "D"((uint64_t)(value)), "S"(own_rseq_area()) : "memory")

enum mark { MARK_NONE, MARK_BEGIN, MARK_END, MARK_LAST };

/* Between these two, instructions are counted; value is for the watcher to know what it is. Without
 * a watcher, each of these ends the process. */
#define mark_begin(value) MARK_(MARK_BEGIN, value)
#define mark_end() MARK_(MARK_END, 0)
/* Nothing more will come. */
#define mark_last() MARK_(MARK_LAST, 0)

/* ---- in the test ---- */

#define STEPPER_SEQUENCES 32

enum sequences {
	SEQUENCES_PASS,  /* as if nobody interrupted */
	SEQUENCES_ABORT, /* each is interrupted before the store that would end it */
};

struct stepper {
	pid_t tid;
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

/* Lets the thread run to its next mark. MARK_NONE: it has ended. */
enum mark stepper_run(struct stepper *s);

/* One instruction. True; false: it was a mark_end(), and that does not count. */
bool stepper_step(struct stepper *s);

/* From a mark_begin() to its mark_end(): the instructions between, with some 5 for the call itself. */
uint64_t stepper_count(struct stepper *s);

/* Begins a step that may not end soon, and waits for its end; between them the thread runs. */
void stepper_start(struct stepper *s);
void stepper_finish(struct stepper *s);
bool stepper_finished(struct stepper *s); /* the same, without waiting */

/* Whether the next instruction is a system call; its number and arguments. */
bool stepper_at_call(struct stepper *s, uint64_t *number, uint64_t args[3]);

/* What its next instruction finds is what a preempted thread finds: a sequence that it is in will be
 * aborted. */
void stepper_preempt(struct stepper *s);

#endif
