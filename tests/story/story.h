/*
 * story.h: the stage of a story test: one private heapd, a temporary folder, a deadline
 *
 * Model: every test of a story gets a folder of its own. In it live the socket ($HEAPD_SOCKET
 * points there from the start), the configuration and the log of the heapd that the test starts
 * when its story wants one. Actors (actor.h) are the processes that use the library; the test
 * itself never does, it only tells actors what to do and looks at the daemon through the raw
 * protocol (raw.h).
 *
 * Invariants: when a test ends, whatever its outcome, no process and no file of it is left. A heapd
 * that was not killed on purpose must end by SIGTERM with status 0, and its log may hold no line
 * above "info" that the test did not announce with log_allow(): a leak or a race that a sanitizer
 * finds in the daemon fails the test this way. No test passes or fails by the clock: it waits for
 * conditions (UNTIL). The deadline of a test is only there so that a hang becomes a failure;
 * sanitizer builds have more of it.
 */
#ifndef HEAPD_TESTS_STORY_H
#define HEAPD_TESTS_STORY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/types.h>
/* cmocka.h needs the ones above */
#include <cmocka.h>

#include "common/base.h"

#if defined(__SANITIZE_ADDRESS__)
#define STORY_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define STORY_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define STORY_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define STORY_TSAN 1
#endif
#endif
#ifndef STORY_ASAN
#define STORY_ASAN 0
#endif
#ifndef STORY_TSAN
#define STORY_TSAN 0
#endif
#define STORY_SANITIZED (STORY_ASAN || STORY_TSAN)

/* Work that a test repeats is divided by this under a sanitizer, its deadline is multiplied. */
#define STORY_FACTOR (STORY_SANITIZED ? 10 : 1)

/* One row of a group: the test is a void function without arguments. */
#define STORY(test) { #test, story_play, story_begin, story_end, (void *)(test) }
int story_begin(void **state);
void story_play(void **state);
int story_end(void **state);

/* A row that is made at run time: one test with one of several arguments. */
struct story_case {
	void (*test)(const void *arg);
	const void *arg;
};
#define STORY_CASE(name, case) { name, story_play_case, story_begin, story_end, case }
void story_play_case(void **state);

const char *story_dir(void);    /* the test's folder; users other than root may look into it */
const char *story_socket(void); /* = $HEAPD_SOCKET: DIR/heapd.sock */

/* Skips the test (it does not return), printing why. */
void story_skip(const char *why) __attribute__((__noreturn__));
void story_needs_root(void); /* skips when not root */

/*
 * Stories that count on TM_NONBLOCK finding memory must not depend on how soon a busy machine
 * schedules a client's helper thread, so they give the recall a bound that no machine misses.
 */
#define PATIENT "[daemon]\nrecall = 10s\n"

/* Starts heapd with that configuration ("" for none) and returns when it answers. Fails the test if
 * it does not. */
void heapd_start(const char *config);
void heapd_start_limited(const char *config, rlim_t nofile); /* with that many descriptors */
/* prepare runs in the process that becomes heapd; 0, or -1 and errno. */
void heapd_start_prepared(const char *config, int (*prepare)(void));
/*
 * From now on what heapd stores outlives it: up to max descriptors, as systemd's fd store would. Every
 * heapd_start() goes on with what the one before has left.
 */
void heapd_keep(unsigned max);
/* The same, of a heapd that may end itself by SIGKILL: false, if it does before it answers. */
bool heapd_start_dying(const char *config);
bool heapd_killed(void);  /* it has ended itself so, and is reaped; another end fails the test */
pid_t heapd_pid(void);    /* 0: none runs */
void heapd_stop(void);    /* SIGTERM; checks exit status and log */
void heapd_kill(void);    /* SIGKILL; the log is not checked for its end */
size_t heapd_fds(void);   /* descriptors it has open now */

/* Lines above "info" that contain text are expected from now on. text: a literal. */
void log_allow(const char *text);
bool log_has(const char *text);

/* Waits a moment; fails the test once its deadline is over. */
void story_pause(const char *what, const char *file, int line);
#define UNTIL(condition) \
	do { \
		while (!(condition)) \
			story_pause(#condition, __FILE__, __LINE__); \
	} while (0)

/* The call gives exactly that value (0, a negative errno): says both by name if not. Returns it. */
#define EXPECT(wanted, call) story_expect(wanted, call, #call, __FILE__, __LINE__)
int story_expect(int wanted, int got, const char *call, const char *file, int line);

#endif
