/*
 * load.h: processes that work one heap as hard as they can, while heapd comes and goes
 *
 * Model: LOAD_PROCESSES processes, each with two threads that take, wait for and free blocks of the one
 * named heap, also each other's, and one that creates and deletes heaps. No call of theirs may fail
 * but for patience, no block may be somebody else's too. The test may have them rest, and knows
 * then how many bytes they hold.
 */
#ifndef HEAPD_TESTS_STORY_LOAD_H
#define HEAPD_TESTS_STORY_LOAD_H

#include "tests/story/steps.h"

#define LOAD_PROCESSES 3

/* On the board. */
enum { LOAD_MODE, LOAD_OPS, LOAD_LIVES, LOAD_GIFT, LOAD_RESTING, LOAD_HELD, LOAD_COUNTS };
enum { LOAD_RUN, LOAD_REST, LOAD_DRAIN, LOAD_STOP }; /* board->count[LOAD_MODE] */

void load_begin(const char *heap); /* pre: it exists */
void load_goes_on(void);           /* waits until all have got somewhere, not counting the past */

/* All threads rest, holding what they hold: how many bytes. A block left for another is not counted. */
uint64_t load_rest(void);
void load_drain(void);             /* resting, they free all they hold */
void load_resume(void);

/* Fails the test if one of them has met a failure; true. So that nobody waits in vain for the others. */
bool load_is_well(void);
void load_end(void);               /* they free all, and had no failure */

/* A block that one has left for another, and nobody has taken: lane l frees it by its descriptor. */
void load_take_gift(struct lane *l, int heap);
uint64_t load_gift(void); /* its bytes */

#endif
