/*
 * rt.h: what the daemon asks of the kernel for itself, once, at start
 *
 * Each function does what it may, and logs one line where it may not; none is a reason not to
 * start.
 */
#ifndef HEAPD_DAEMON_RT_H
#define HEAPD_DAEMON_RT_H

#include <sys/types.h>
#include "common/base.h"

/* RLIMIT_NOFILE, soft to hard: each heap is a descriptor, each session six. */
void rt_raise_files(void);

/*
 * SCHED_FIFO for this thread. Threads it makes from now on, io_uring's among them, are SCHED_OTHER
 * (SCHED_RESET_ON_FORK); so before any other thread is made. 0, or -errno (logged).
 */
int rt_set_priority(int priority);

/*
 * A thread of ours (0: the calling one) becomes one that works in the background: SCHED_BATCH, so
 * it never preempts when it wakes up, and nice, so it yields when a CPU is short, but is not
 * starved. Never fails visibly: it is a favour to others.
 */
void rt_background(pid_t tid);

/*
 * May this process lock as much memory as it likes (CAP_IPC_LOCK, or no RLIMIT_MEMLOCK)? Raises the
 * soft limit.
 */
bool rt_may_lock(void);

/* mlockall of all the daemon has and will have, on fault. 0, or -errno (logged). */
int rt_lock_memory(void);

#endif
