/*
 * worker.h: a thread that runs steps one after the other
 *
 * It works in the background (rt_background), never at the daemon's real-time priority, and takes
 * no signals.
 */
#ifndef HEAPD_DAEMON_WORKER_H
#define HEAPD_DAEMON_WORKER_H

#include "daemon/loop.h"
#include "daemon/step.h"

struct worker;

/* 0 or -errno. name: up to 15 bytes, for ps and top. */
int worker_new(struct worker **out, struct loop *l, const char *name);

/*
 * Waits until all steps have run, calls their done(), ends the thread. NULL is fine; returns NULL.
 */
struct worker *worker_free(struct worker *w);

/* Never fails, takes no lock. done() runs on the loop. For the loop's thread. */
void worker_push(struct worker *w, struct step *s);

#endif
