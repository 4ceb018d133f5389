/*
 * trap.h: what proves that a path makes no system call and takes no page fault
 *
 * No system call: the thread is put under a seccomp filter that kills the process at anything but
 * exit_group. No page fault: the thread's own count, from the first operation on.
 */
#ifndef HEAPD_TESTS_STORY_TRAP_H
#define HEAPD_TESTS_STORY_TRAP_H

#include <stdint.h>

/* From here the calling thread may make exit_group alone; other threads do as they like. 0 or
 * -errno: filters are not permitted here. */
int forbid_system_calls(void);

/* Page faults of the calling thread so far. Call it twice before you believe it: the first call
 * touches what it needs itself. */
uint64_t count_faults(void);

#endif
