/*
 * steps.h: what actors do with rt_heap, as calls of the test
 *
 * Each function runs one call of the public interface in an actor's lane and gives its result. The
 * ones named step_* only make the step, for lane_start. Descriptors and blocks are numbers in the
 * actor's world. A block that was taken is filled with a pattern of its slot, over its whole
 * length, so that two owners of one byte are found by check_block.
 */
#ifndef HEAPD_TESTS_STORY_STEPS_H
#define HEAPD_TESTS_STORY_STEPS_H

#include "tests/story/actor.h"

#define MS(n) ((RTIME)(n) * NSEC_PER_MSEC)
#define SECONDS(n) ((RTIME)(n) * NSEC_PER_SEC)

struct step step_create(int heap, const char *name, size_t size, int mode);
struct step step_bind(int heap, const char *name);
struct step step_bind_timed(int heap, const char *name, RTIME timeout);
struct step step_alloc(int heap, int slot, size_t size, RTIME timeout);
struct step step_free(int heap, int slot);
struct step step_alloc_until(int heap, int slot, size_t size, uint64_t abs_ns);

int do_create(struct lane *l, int heap, const char *name, size_t size, int mode);
int do_bind(struct lane *l, int heap, const char *name);
int do_bind_timed(struct lane *l, int heap, const char *name, RTIME timeout);
int do_delete(struct lane *l, int heap);
int do_unbind(struct lane *l, int heap);
int do_alloc(struct lane *l, int heap, int slot, size_t size, RTIME timeout);
int do_alloc_until(struct lane *l, int heap, int slot, size_t size, uint64_t abs_ns);
int do_free(struct lane *l, int heap, int slot);
int do_inquire(struct lane *l, int heap, RT_HEAP_INFO *info);
int do_offset(struct lane *l, int heap, int slot, size_t *offset);
/* the block of that slot is now there */
int do_pointer(struct lane *l, int heap, int slot, size_t offset);

/* -EIO if a byte of the block is not what its taker wrote. by: the slot it was taken as. */
int check_block(struct lane *l, int slot, int by, size_t size);
uint64_t block_address(struct lane *l, int slot);
int forget_block(struct lane *l, int slot);        /* sets it to NULL */
int shift_block(struct lane *l, int slot, int from, long by); /* slot = from + by bytes */
int put_text(struct lane *l, int slot, size_t at, const char *text);   /* into the block */
struct step get_text(struct lane *l, int slot, size_t at);             /* .text */
/* .text: heapclient_problem() */
struct step last_problem(struct lane *l);

/* Takes blocks of size (TM_NONBLOCK) into slots from first on, until one fails, or n; the result is
 * how many, and .value the errno that ended it (as a positive number; 0: n reached). */
struct step take_all(struct lane *l, int heap, int first, size_t size, int n);
int free_range(struct lane *l, int heap, int first, int n); /* the first error, or 0 */

/* A lane's scheduling: SCHED_FIFO of that priority, 0: SCHED_OTHER. -EPERM where the system does
 * not let us. */
int set_priority(struct lane *l, int priority);

/* A handler for SIGUSR1 in the actor that adds 1 to board->count[BOARD_SIGNALS]. */
#define BOARD_SIGNALS 15
int catch_signal(struct lane *l, bool restart);

/* Waits until rt_heap_inquire, called in that lane, tells of n waiters. */
void until_inquired(struct lane *l, int heap, int n_waiters);

#endif
