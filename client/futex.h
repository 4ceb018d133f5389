/*
 * futex.h: one thread sleeps on one word until another changes it
 *
 * The only user of the futex system calls. Private futexes: never shared between processes.
 *
 * Why futex_waitv for timed waits: after a signal handler the kernel ends a timed FUTEX_WAIT with EINTR
 * whatever the handler's flags were, while futex_waitv (Linux 5.16) obeys SA_RESTART with a timeout as well, as
 * FUTEX_WAIT does without one. Where a sandbox or an old kernel refuses it, timed waits end with -EINTR after any
 * handler.
 */
#ifndef HEAPD_CLIENT_FUTEX_H
#define HEAPD_CLIENT_FUTEX_H

#include <stdatomic.h>
#include "common/base.h"

#define FOREVER UINT64_MAX

/*
 * Sleeps while *word is value, at most until deadline (nanoseconds of CLOCK_MONOTONIC, or FOREVER).
 * 0: woken, or the value had changed, or nothing at all (check the word again); -ETIMEDOUT;
 * -EINTR: a signal handler without SA_RESTART ran.
 */
int futex_wait(const _Atomic uint32_t *word, uint32_t value, uint64_t deadline);

/* Wakes at most n threads. The word's memory may be gone already: then it does nothing or wakes someone who checks again. */
void futex_wake(const _Atomic uint32_t *word, int n);

#endif
