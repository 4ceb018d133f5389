/*
 * notify.h: what systemd tells us and what we tell it; the only user of sd-daemon
 *
 * Without libsystemd, or started by hand, everything here does nothing and says so by its result.
 */
#ifndef HEAPD_DAEMON_NOTIFY_H
#define HEAPD_DAEMON_NOTIFY_H

#include "common/base.h"

#define NOTIFY_NAME_SIZE 16

struct notify_fd { /* of the fd store */
	int fd;
	char name[NOTIFY_NAME_SIZE];
};

/*
 * The listening SOCK_SEQPACKET sockets systemd passed, in fds (the caller's from here,
 * close-on-exec and non-blocking); $LISTEN_FDS is unset. Their number; 0: none; -ENOTSOCK or
 * -EPROTOTYPE: one is something else; -E2BIG: more than max; other -errno.
 * What comes under a name that is_stored() knows is none of these: *stored has it, for free(), its fds
 * the caller's, close-on-exec.
 */
int notify_sockets(int *fds, size_t max, bool (*is_stored)(const char *name),
		   struct notify_fd **stored, size_t *n_stored);

void notify_ready(void);
void notify_reloading(void); /* notify_ready() must follow */
void notify_stopping(void);
void notify_status(const char *text); /* one line for people */

/* How often systemd wants to hear of us, in ns; 0: it does not watch. */
uint64_t notify_watchdog_ns(void);
void notify_watchdog(void);

#endif
