/*
 * measure.h: what histories share: a call between marks, random numbers, and the first wrong answer
 */
#ifndef HEAPD_TESTS_REALTIME_MEASURE_H
#define HEAPD_TESTS_REALTIME_MEASURE_H

#include "tests/realtime/histories.h"
#include "tests/realtime/marks.h"

#define PAGE ((size_t)4096)
#define SIZES 9       /* blocks of 16 bytes to a page */
#define RANDOM 200    /* calls of a random time */
#define BURST 300     /* calls of one kind in a row: more than a CPU has at hand */

/* Makes the call, counted. */
#define MEASURE(call, history, ...) \
	do { \
		mark_begin(MARK_VALUE(call, history)); \
		__VA_ARGS__; \
		mark_end(); \
		history_note(call, history); \
	} while (0)

/* For callgrind, what was counted last. */
void history_note(enum call call, const char *history);

/* A history begins, without a wrong answer; its end: 0, or -EIO if there was one. */
void history_begin(uint64_t seed);
void history_expect(bool right);
int history_end(void);

uint64_t history_random(void);

#endif
