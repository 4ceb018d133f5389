/*
 * scene.h: two threads of a process at one object, on one CPU, and where each of them is
 *
 * Model: an actor with three lanes: the low and the high thread make calls of one couple (take and give
 * of one path) between marks, watched by a stepper each; the third is for a hog. The test places the low
 * one at an instruction of its call, where it stays as if preempted for ever, and has the high one make
 * its call. If that meets the lock, the low one goes on until it has given it, by counted steps. Where there is
 * no lock (partitions) it stays where it is.
 *
 * Invariant: between two rounds both are between two calls. A thread that waits for the library waits for
 * a lock that inherits priority, or the test fails.
 */
#ifndef HEAPD_TESTS_REALTIME_SCENE_H
#define HEAPD_TESTS_REALTIME_SCENE_H

#include <sched.h>

#include "tests/realtime/histories.h"
#include "tests/realtime/paths.h"
#include "tests/realtime/stepper.h"

/* Lanes. */
#define LOW 0
#define HIGH 1
#define HOG 2

/* On the board: what the threads of the actor tell each other. */
enum { STOP, READY, DONE, GO, HOGGING, STARVED, INSIDE, MET, WAITED, MOST_WAITS, FAULTS, WRONG };

static inline bool is_set(int what)
{
	return atomic_load_explicit(&board->count[what], memory_order_acquire) != 0;
}

static inline void set(int what, uint64_t value)
{
	atomic_store_explicit(&board->count[what], value, memory_order_release);
}

/* Rows of docs/realtime.md about who holds a lock. */
#define HELD "while the lock is held"
#define HELD_CALLING_IN "while the lock is held and all at hand is called in"

/* A call that both make. */
struct couple {
	const char *text, *path;
	bool gives;          /* gives back a block; else takes one */
	uint64_t random;     /* what is taken */
	enum call call;
	int (*before)(void); /* the low one's, before each of its calls; 0 or -errno. NULL: nothing */
	bool (*low)(void);   /* what the low one calls instead; whether it went right. NULL: the same */
	const char *held;    /* the row that bounds how long the lock is held. NULL: HELD */
	bool barrier;        /* meanwhile there may be a membarrier, and with sequences there is */
	/* of partitions */
	bool at_hand;        /* it is about what CPUs have at hand: without sequences there is nothing of it */
	bool lock_free;      /* the high one never waits: all its calls are counted */
	bool gathers;        /* it may have to make one membarrier in a call, and with sequences it does at some place */
	bool refused;        /* it may get nothing */
	bool interrupted;    /* each of the low one's sequences is aborted before its last instruction */
	bool two_cpus;       /* it needs another CPU */
	uint64_t least;      /* instructions of the low one's call: a shorter way is another one */
};
extern const struct couple couples[];
extern const size_t n_couples;
extern const struct couple slow_couples[]; /* slow_couples.c */
extern const size_t n_slow_couples;
extern const struct couple partition_couples[]; /* slow_partitions.c */
extern const size_t n_partition_couples;

/* Heap 0 is a new one: its first call finds nothing at hand. 0 or -errno. */
int renew_heap(void);

int path_of(const struct couple *c); /* its number in paths[] */

struct scene {
	const struct couple *couple;
	struct actor *actor;
	struct stepper low, high;
	uint64_t places, blocked, barriers, gathered, most_held, most_counted;
};

/* Starts heapd and the actor with the object. Skips where a sanitizer has locks of its own. */
void scene_begin(struct scene *sc, const struct couple *c);
void scene_pin(struct scene *sc, int cpu); /* all lanes */

/* The calls begin; both are stopped before their first ones. Skips where there is no ptrace. And they end. */
void scene_begin_calls(struct scene *sc);
void scene_end_calls(struct scene *sc);

/* The low one's call by steps, from its beginning to its end: how many. Barriers on the way are counted (barriers). */
uint64_t scene_count_low(struct scene *sc);

/* Both at the beginning of a call, and then the low one `place` instructions further. False: its
 * call has no such place; it is at its end, and the high one is before its call. */
bool scene_place_low(struct scene *sc, uint64_t place);

/* The high one's call to its end, at full speed, or by steps (most_counted). The low one moves only if it must (blocked,
 * most_held). */
void scene_run_high(struct scene *sc);
void scene_count_high(struct scene *sc);

/* For cmocka: before the stage is taken down, nobody is stopped any more. */
int scene_end(void **state);

/* The test's CPUs as they were at first. */
extern cpu_set_t scene_cpus;

#endif
