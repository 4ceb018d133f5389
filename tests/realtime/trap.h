/*
 * trap.h: what proves that a path makes no system call and takes no page fault
 *
 * No system call: the thread is put under a seccomp filter that kills the process at anything but
 * exit_group. No page fault: the thread's own count, from the first operation on.
 */
#ifndef HEAPD_TESTS_REALTIME_TRAP_H
#define HEAPD_TESTS_REALTIME_TRAP_H

#include <stdbool.h>
#include <stdint.h>

/* From here the calling thread may make exit_group alone; other threads do as they like. 0 or
 * -errno: filters are not permitted here. */
int forbid_system_calls(void);

/* Page faults of the calling thread so far. */
uint64_t count_faults(void);

/*
 * Brings in what is the program's own: the text and the data of all that is loaded, the library's
 * included, and some of the calling thread's stack. What mlockall() does, but nothing that was
 * mapped later is touched: no arena, no metadata. After a fork, which shares a program's data with
 * its child, it does not help the library.
 */
void bring_program(bool forked);

#endif
