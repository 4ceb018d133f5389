/*
 * loop.h: the event loop; the only user of libevent
 *
 * Everything the daemon does happens in callbacks of one loop on one thread. A callback must not
 * block. loop_run returns after loop_stop. Handles are owned by whoever made them and may be freed
 * from inside any callback, their own included; after that their callback does not run any more.
 * All handles must be freed before the loop.
 */
#ifndef HEAPD_DAEMON_LOOP_H
#define HEAPD_DAEMON_LOOP_H

#include "common/base.h"

struct loop;
struct loop_io;
struct loop_timer;
struct loop_signal;

#define LOOP_READ 0x1u
#define LOOP_WRITE 0x2u

int loop_new(struct loop **out); /* 0, -ENOMEM, or -errno: no epoll or no timerfd */
struct loop *loop_free(struct loop *l); /* NULL is fine; returns NULL */

/* Runs callbacks until loop_stop. 0, or -errno if the kernel's poll fails. May be called again. */
int loop_run(struct loop *l);
void loop_stop(struct loop *l); /* callbacks that are due in this turn may still run */

/*
 * Calls fn(ctx) once, just before the next descriptor's callback; for what follows activity but not
 * idleness.
 */
void loop_on_activity(struct loop *l, void (*fn)(void *ctx), void *ctx);

/*
 * Calls fn(ctx, LOOP_READ|LOOP_WRITE that are ready) while the fd is ready (level-triggered). A
 * hang-up or an error counts as ready for what was asked for. The fd stays the caller's and must
 * outlive the handle. 0, -ENOMEM, -errno (epoll refuses the fd).
 */
int loop_io_new(struct loop_io **out, struct loop *l, int fd, unsigned events,
		void (*fn)(void *ctx, unsigned ready), void *ctx);
int loop_io_set(struct loop_io *io, unsigned events); /* 0 events: paused. 0, or -errno */

/*
 * Dear: its callback takes long, so only one of all dear ones runs in a turn of the loop, in the order in which they became
 * ready, and all others that are ready run before the next. So what many ask for at once delays nobody by more than one of it.
 */
void loop_io_dear(struct loop_io *io, bool is_dear);
struct loop_io *loop_io_free(struct loop_io *io);     /* NULL is fine; returns NULL */

/*
 * One-shot, armed by loop_timer_set, never early; late by what the callbacks before it take. 0 ns
 * runs once in the next turn of the loop, after a poll, so a timer that sets itself to 0 each time
 * does not starve I/O.
 */
int loop_timer_new(struct loop_timer **out, struct loop *l, void (*fn)(void *ctx), void *ctx);
int loop_timer_set(struct loop_timer *t, uint64_t in_ns); /* also when armed: starts anew. 0 or -errno */
void loop_timer_unset(struct loop_timer *t);
struct loop_timer *loop_timer_free(struct loop_timer *t);

/* fn runs on the loop, not in the signal handler. At most one handle for each signal. */
int loop_signal_new(struct loop_signal **out, struct loop *l, int signo, void (*fn)(void *ctx),
		    void *ctx);
struct loop_signal *loop_signal_free(struct loop_signal *s);

#endif
