/*
 * socket.h: the listening socket of a daemon that systemd did not give one
 *
 * Model: PATH.lock is held (flock) as long as the daemon lives, so of two daemons that start at the
 * same moment one wins; a socket file whose lock we got and that nobody listens on is a dead
 * daemon's, and is replaced.
 */
#ifndef HEAPD_DAEMON_SOCKET_H
#define HEAPD_DAEMON_SOCKET_H

#include <sys/stat.h>
#include "common/base.h"

struct socket_file {
	char *path;    /* NULL: none */
	char *lock_path;
	int lock_fd;
	bool locked;
	dev_t dev; /* of the socket file: what we remove at the end must be it */
	ino_t ino;
};

#define SOCKET_FILE_NULL { .lock_fd = -1 }

/*
 * Where to listen if nobody said: /run/heapd if we may write there, else $XDG_RUNTIME_DIR/heapd;
 * the directory is made. 0 and a path for free(); -errno (logged).
 */
int socket_default_path(char **out);

/*
 * 0 and *fd: listening, SOCK_SEQPACKET, non-blocking, close-on-exec, the caller's. -EADDRINUSE (a
 * daemon is running), -ENAMETOOLONG, -EEXIST (the path is something else), another -errno; all
 * logged. Sets the umask for a moment: before there are threads.
 */
int socket_file_listen(struct socket_file *s, const char *path, mode_t mode, int *fd);

/* Removes the socket and the lock, if they are still ours. Safe twice. */
void socket_file_deinit(struct socket_file *s);

/*
 * A datagram socket connected to path ('@' first: in the abstract namespace), which never blocks. 0 and *out, the
 * caller's; -EINVAL (no such path), another -errno.
 */
int socket_connect(int *out, const char *path);

#endif
