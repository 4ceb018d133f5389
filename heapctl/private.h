/*
 * private.h: a heapd of one's own, on a socket in a temporary folder
 *
 * Invariant: between private_start and private_stop there are a process and a folder, afterwards
 * neither. The daemon gets SIGTERM from the kernel should this process be killed. Not here: the
 * command that uses it, signals (run.c).
 */
#ifndef HEAPD_HEAPCTL_PRIVATE_H
#define HEAPD_HEAPCTL_PRIVATE_H

#include <sys/types.h>
#include "client/link.h"

struct private {
	pid_t pid; /* 0: has ended */
	char dir[LINK_PATH_SIZE];
	char socket[LINK_PATH_SIZE];
	char log[LINK_PATH_SIZE];
};

/*
 * Finds heapd ($HEAPD, else beside this program, else in PATH, else where it was installed), starts
 * it and waits until it answers. config: its --config, or NULL for defaults, whatever this
 * machine's file says. verbose: its log goes to stderr, else to a file that is shown if it fails.
 * Ends the command through fail().
 */
void private_start(struct private *p, const char *config, bool verbose);

/* Notes that the process has ended (somebody reaped it). status as from waitpid. */
void private_ended(struct private *p, int status);

/* SIGTERM, SIGKILL after a few seconds; removes the folder. */
void private_stop(struct private *p);

#endif
