/*
 * pool_steps.h: the calls of k_malloc.h as steps, and what heapd says of a process's pool
 *
 * As steps.h. A block that was taken is filled with a pattern of its slot over the length that was
 * asked for, so that two owners of one byte are found by pool_check. Answers are 0 or the negative
 * errno that came with NULL.
 */
#ifndef HEAPD_TESTS_STORY_POOL_STEPS_H
#define HEAPD_TESTS_STORY_POOL_STEPS_H

#include <heapclient/k_malloc.h>
#include "tests/story/raw.h"
#include "tests/story/steps.h"

/* For actors made after it: the size of their pools. NULL: not set. */
void pool_environment(const char *size);

int do_k_malloc(struct lane *l, int slot, size_t size);
int do_k_aligned_alloc(struct lane *l, int slot, size_t align, size_t size);
int do_k_calloc(struct lane *l, int slot, size_t nmemb, size_t size); /* -EIO: not all zeros */
int do_k_init(struct lane *l);
void do_k_free(struct lane *l, int slot);		  /* the slot keeps the address */
void do_k_free_beside(struct lane *l, int slot, long by); /* by bytes from its start */

/* Takes blocks of size into slots from first on until there is none (which must say ENOMEM). How
 * many. */
int pool_fill(struct lane *l, int first, size_t size);
void pool_empty(struct lane *l, int first, int n);     /* frees those slots */
int pool_check(struct lane *l, int slot, size_t size); /* -EIO if a byte is not what was written */

/* What heapd lists of kind pool for that process, and in detail. None: fails the test. */
struct wire_entry watch_pool(pid_t pid, struct wire_pool *detail);
unsigned watch_pools(void); /* of all processes */

#endif
