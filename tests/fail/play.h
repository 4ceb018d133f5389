/*
 * play.h: one scene that visits every part of the daemon and of the library
 *
 * Two fresh processes, A and B, create, bind, allocate, wait, hand over, free across, look and delete, with all four
 * interfaces. Played strictly every result is the one and only. Played loosely, while something is made to fail, a
 * step may also end with an error that its manual page has for a shortage; what depended on it is left out; and
 * nothing may hang, crash, or end otherwise. Afterwards nothing of the scene is left at the daemon.
 *
 * A third process was there before and has nothing to do with it (the bystander): it holds a block, and a thread of
 * it waits for memory all the time.
 */
#ifndef HEAPD_TESTS_FAIL_PLAY_H
#define HEAPD_TESTS_FAIL_PLAY_H

#include "tests/fail/fail.h"
#include "tests/story/actor.h"

struct play {
	struct actor *a, *b; /* a has 2 lanes, b 1 */
	bool loose;
	bool lasting;        /* the failure stays: steps that count on another try are left out */
	unsigned n_added;    /* regions of a's multi-heap: they stay as long as it lives */
	unsigned n_errors;   /* steps that ended otherwise than strictly */
	char errors[512];    /* which, for people */
};

/* The daemon as it is when nobody is there but the bystander. Call once it is started. */
void stage_set(void);

/* The bystander's block is as it was, its thread waits on, and it allocates and frees as ever. */
void bystander_is_well(void);
void bystander_leaves(void);

/* New actors; the scene; their end. */
void play_begin(struct play *p, bool loose);
void play_scene(struct play *p);
void play_end(struct play *p);

/* All three, strictly. */
void play_strictly(void);

/* Names that are left of a scene that failed. */
void play_clean_up(void);

/* The same, and then the daemon is as it was: sessions, heaps, bytes,
 * descriptors, mappings. */
void daemon_is_as_before(void);

uint64_t heaps_before(void); /* the bystander's */

/* Descriptors and mappings of heapd's memory of a process. */
size_t count_fds(pid_t pid);
size_t count_mappings(pid_t pid);

#endif
