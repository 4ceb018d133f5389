/*
 * paths.h: the hot paths, one row each
 *
 * Model: a path is an object of one interface and two functions: take a block of it, give one back.
 * What a row says is all that one path differs from another by; the loop over a set of live blocks
 * (path_churn) is the same for all, so each is tried with the same random mixture.
 * Everything here runs in an actor (tests/story/actor.h) and makes no system call but in prepare.
 * Not here: what is proved about a path (it_trap.c).
 */
#ifndef HEAPD_TESTS_REALTIME_PATHS_H
#define HEAPD_TESTS_REALTIME_PATHS_H

#include "tests/story/steps.h"

#define PATH_LIVE 100000      /* the most blocks that a path has out */
#define PATH_PT_BLOCKS 50000 /* of the partition */

struct path {
	const char *name;
	bool beside;    /* another process is bound to the heap "pool", has its share and is content */
	bool may_fail;  /* to take may find nothing: it is filled now and then */
	bool one_cpu;   /* system calls are forbidden to one that stays on its CPU */
	uint32_t live;  /* blocks that are out, or about to be: half of them at once */
	int (*prepare)(void); /* makes the object. 0 or -errno */
	/* A block for a random number, and how many of its bytes may be written. NULL: none. */
	void *(*get)(uint64_t random, size_t *size);
	/* Gives it back, and tries a bad free now and then. Whether the answer was right. */
	bool (*give)(void *block, uint64_t random);
};

extern const struct path paths[];
extern const size_t n_paths;

/* n operations, a take or a give each, then what is out is given back. touch: each block is written
 * over its whole length. How often an answer was wrong. */
uint64_t path_churn(const struct path *p, uint64_t n, bool touch);

#endif
