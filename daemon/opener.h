/*
 * opener.h: devices are looked at, opened and closed, off the loop and in order
 *
 * Model: a commit_job with a device goes through two steps on a thread that does nothing else, and
 * is taken between them, on the loop. A driver may take its time: only those who want a device wait
 * for it. What is closed is closed by the same thread, so who asks for a device that was given
 * back a moment ago opens it after it has been closed.
 *
 * Invariant: a job has exactly one step in flight until its done() has run.
 * The thread is made with the first job: most daemons have no device.
 */
#ifndef HEAPD_DAEMON_OPENER_H
#define HEAPD_DAEMON_OPENER_H

#include <sys/queue.h>
#include "daemon/worker.h"

struct commit_job;

struct opener {
	struct loop *loop;
	struct worker *worker; /* NULL: not yet, or drained */
	LIST_HEAD(, opening) all;
	unsigned n;            /* jobs */
};

void opener_init(struct opener *o, struct loop *l);
/* Cancels every job, waits, has run every done(). From then on there are no jobs. Safe twice. */
void opener_drain(struct opener *o);

/* See commit_start, commit_cancel. job->device is not NULL; job->fd is set when it ends well. */
int opener_start(struct opener *o, struct commit_job *job);
void opener_cancel(struct opener *o, struct commit_job *job);

void opener_close(struct opener *o, int fd); /* some time soon; now if there is no thread */

#endif
