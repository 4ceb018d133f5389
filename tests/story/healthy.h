/*
 * healthy.h: a client that only wants to work, beside one that does not
 *
 * Its process holds the named heap "pool" and allocates, frees and inquires without pause. Whatever
 * a bad peer does between healthy_begin and healthy_end, it must make progress, and in the end the
 * daemon has as many sessions and descriptors as at the beginning, and all of the pool is there.
 */
#ifndef HEAPD_TESTS_STORY_HEALTHY_H
#define HEAPD_TESTS_STORY_HEALTHY_H

#include "tests/story/actor.h"

#define HEALTHY_BYTES 65536

extern uint64_t healthy_dropped; /* peers that were dropped before */

void healthy_begin(void);           /* starts heapd and the good peer */
void still_healthy(void);           /* waits until it has made progress */
struct lane *healthy_lane(void);    /* a lane of it that is idle; descriptor 0 is "pool" */
void healthy_end(void);

#endif
