/*
 * actor.h: processes that use the library, and do what a test tells them, step by step
 *
 * Model: an actor is a fork of the test, which itself never touches the library, so each actor is a
 * fresh client. It has lanes: threads that wait for a step on a socketpair, run it, and send it
 * back with its results. Actor and test are the same program, so a step names its work by a
 * function pointer. One lane does one step at a time; a step that blocks (an alloc that waits) is
 * started and finished apart, and meanwhile the other lanes of the same process are free.
 *
 * Each actor has a world of its own (`self`): descriptors and blocks by number, so that steps can
 * speak of "heap 0" and "block 3". The board is one page of counters that test and all actors
 * share.
 *
 * Invariants: a lane is busy exactly from lane_start to lane_finish. What happens in one step
 * happens before every step started after it was finished, also in the eyes of a thread sanitizer.
 * Steps never use cmocka's asserts: a step reports, the test judges.
 */
#ifndef HEAPD_TESTS_STORY_ACTOR_H
#define HEAPD_TESTS_STORY_ACTOR_H

#include <stdatomic.h>
#include <heapclient/rt_heap.h>
#include "tests/story/story.h"

#define ACTOR_LANES 8
#define ACTOR_HEAPS 64
#define ACTOR_BLOCKS 4096

struct step {
	int (*run)(struct step *s); /* runs in the actor; its value becomes the result */
	int heap;                   /* number of a descriptor */
	int slot;                   /* number of a block */
	int mode;
	size_t size;
	RTIME timeout;
	uint64_t n;                 /* whatever the step wants */
	char text[256];             /* a name; or an answer */
	/* answers */
	int result;
	uint64_t value;
	uint64_t took_ns;
	RT_HEAP_INFO info;
};

struct actor;

struct lane {
	struct actor *actor;
	int fd;    /* the test's end */
	int tid;   /* the thread in the actor */
	bool busy;
};

struct actor {
	pid_t pid;     /* 0: has ended and was reaped */
	int pidfd;
	bool ours;     /* a child of the test, not of another actor */
	bool stopped;
	unsigned n_lanes;
	struct lane lane[ACTOR_LANES];
	int spare[2];  /* the lane of a child that it may fork: [0] the test's end */
	struct actor *next;
};

/* The actor's own world; every process has its own. */
struct world {
	RT_HEAP heap[ACTOR_HEAPS];
	void *block[ACTOR_BLOCKS];
};
extern struct world self;

/* Shared by the test and all its actors; zeroed for each test. */
struct board {
	_Atomic uint64_t count[16];
};
extern struct board *board;

/* A new process with so many lanes. prepare (may be NULL) runs in it first, and fails the test if
 * not 0. */
struct actor *actor_new(unsigned n_lanes);
struct actor *actor_new_prepared(unsigned n_lanes, int (*prepare)(const void *arg),
				 const void *arg);
struct actor *actor_new_as(unsigned n_lanes, uid_t uid, gid_t gid); /* that user, no other groups */

/* Lane 0 of the actor forks; the child is an actor with one lane, which inherits the world. */
struct actor *actor_fork(struct actor *parent);

/* The lane of a new actor that has but one. */
struct lane *lane_new(void);
struct lane *lane_new_as(uid_t uid, gid_t gid);

void lane_start(struct lane *l, struct step s);
struct step lane_finish(struct lane *l);              /* waits for it */
int lane_result(struct lane *l);                      /* the same, only its result */
bool lane_done(const struct lane *l);                 /* whether lane_finish would not wait */
/* waits for one of them to be done; not finished yet */
struct lane *lane_first(struct lane *const l[], size_t n);
struct step lane_run(struct lane *l, struct step s);
void lane_signal(const struct lane *l, int signo);    /* to that very thread */

void actor_stop(struct actor *a); /* SIGSTOP; returns when it is stopped */
void actor_continue(struct actor *a);
void actor_kill(struct actor *a); /* SIGKILL; returns when it is gone */
int actor_wait(struct actor *a);  /* until it ends by itself: the wait status */
void actor_quit(struct actor *a); /* exit(): lane 0 must be idle. Checks that its status is 0 */

/* Used by story.c */
void actors_begin(void);
int actors_end(void);       /* ends all; 0, or -1 if one ended badly */
void actors_kill_all(void); /* async-signal-safe */
void actors_forget(void);   /* in a forked child: closes the test's ends */

#endif
