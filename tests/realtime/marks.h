/*
 * marks.h: where in a program instructions are to be counted
 *
 * Model: a history (histories.h) marks the calls that matter; who counts is chosen when it runs. The
 * stepper (stepper.h) stops the thread at a breakpoint instruction and steps from there to the next.
 * Callgrind is told to collect between the marks, and to write down what it has collected behind them.
 * Without either, nobody counts.
 */
#ifndef HEAPD_TESTS_REALTIME_MARKS_H
#define HEAPD_TESTS_REALTIME_MARKS_H

#include "common/base.h"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_TOGGLE_COLLECT ((void)0)
#define CALLGRIND_DUMP_STATS_AT(text) ((void)(text))
#endif
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif

enum marking { MARKING_NONE, MARKING_STEPS, MARKING_CALLGRIND };
extern enum marking marking;

enum mark { MARK_NONE, MARK_BEGIN, MARK_END, MARK_LAST };

/* Where the kernel looks whether the calling thread is in a restartable sequence; 0: nowhere. */
static inline uint64_t own_rseq_area(void)
{
#ifdef RSEQ_SIG
	if (__rseq_size)
		return (uint64_t)(uintptr_t)__builtin_thread_pointer() + (uint64_t)__rseq_offset;
#endif
	return 0;
}

/* The stepper reads these three registers. */
static inline __attribute__((__always_inline__)) void mark_stop(enum mark m, uint64_t value)
{
#ifdef __x86_64__
	__asm__ volatile("int3" : : "a"(m), "D"(value), "S"(own_rseq_area()) : "memory");
#else
	(void)m;
	(void)value;
#endif
}

/* Between these two, instructions are counted. value: for the stepper's user, to know what it is. */
static inline __attribute__((__always_inline__)) void mark_begin(uint64_t value)
{
	if (marking == MARKING_STEPS)
		mark_stop(MARK_BEGIN, value);
	else if (marking == MARKING_CALLGRIND)
		CALLGRIND_TOGGLE_COLLECT;
}

static inline __attribute__((__always_inline__)) void mark_end(void)
{
	if (marking == MARKING_STEPS)
		mark_stop(MARK_END, 0);
	else if (marking == MARKING_CALLGRIND)
		CALLGRIND_TOGGLE_COLLECT;
}

/* What was counted last, for callgrind's file. */
static inline void mark_write(const char *text)
{
	CALLGRIND_DUMP_STATS_AT(text);
}

/* To the stepper: nothing more will come. */
static inline void mark_last(void)
{
	if (marking == MARKING_STEPS)
		mark_stop(MARK_LAST, 0);
}

#endif
