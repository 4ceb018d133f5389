/*
 * ring.h: steps through io_uring; implemented by the only user of liburing (commit_uring.c)
 *
 * Takes STEP_FILL, STEP_FALLOCATE and STEP_POPULATE. The kernel runs them, one after the other, on a thread of
 * its own, which works in the background (rt_background) and inherits no real-time priority
 * (SCHED_RESET_ON_FORK).
 */
#ifndef HEAPD_DAEMON_RING_H
#define HEAPD_DAEMON_RING_H

#include "daemon/loop.h"
#include "daemon/step.h"

struct ring;

/* Tries it out, which takes a moment. 0; -ENOSYS (built without liburing); -errno: refused. */
int ring_new(struct ring **out, struct loop *l);

/* Waits for the steps in flight and calls their done(). NULL is fine; returns NULL. */
struct ring *ring_free(struct ring *r);

/* 0; or -errno, and the step is still the caller's: -EINVAL (not such a step), -EBUSY (too many
 * in flight), others. */
int ring_push(struct ring *r, struct step *s);

#endif
