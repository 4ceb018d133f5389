/*
 * link.h: one blocking connection to heapd
 *
 * Model: a link is the four descriptors and the welcome that a HELLO exchange brings. Nothing runs
 * behind it: no thread, no lock, no state but what is in the struct. The library's session stands
 * on it, and so does heapctl, which needs no events.
 *
 * Invariant: a link is open (all four descriptors >= 0, version checked) or closed (all -1).
 * Not here: locking, request ids, reading events, reconnecting (client/session.c).
 */
#ifndef HEAPD_CLIENT_LINK_H
#define HEAPD_CLIENT_LINK_H

#include "proto/channel.h"

#define LINK_PATHS_MAX 2
#define LINK_PATH_SIZE 108 /* sun_path of struct sockaddr_un */

struct link {
	int call_fd;    /* blocking; requests and replies */
	int event_fd;   /* events; RETURN */
	int stats_fd;   /* the statistics area, read-write */
	int control_fd; /* the control area, read-only */
	struct wire_welcome welcome;
	char path[LINK_PATH_SIZE]; /* where it was found */
};

#define LINK_NULL {.call_fd = -1, .event_fd = -1, .stats_fd = -1, .control_fd = -1}

/* Where to look for the daemon, in this order. */
struct link_paths {
	size_t n;
	char path[LINK_PATHS_MAX][LINK_PATH_SIZE];
};

/*
 * The rules of heapclient.h: $HEAPD_SOCKET alone if it is set and not empty, else the system's
 * socket, then $XDG_RUNTIME_DIR/heapd/heapd.sock. The environment counts only in programs that are
 * not set-user-ID. A path that fits no socket address is left out, so n may be 0. Reads the
 * environment: not while another thread writes it.
 */
void link_find_paths(struct link_paths *paths);

/*
 * Connects to the first daemon found and says HELLO. On success *l is open and the caller's to
 * close. On failure *l is closed and problem (size bytes, may be 0) holds one line for people.
 *
 * Blocks until the daemon has answered, at most LINK_HELLO_NS for each of connecting and greeting.
 *
 * -ECONNREFUSED     no daemon there (also: no socket, no such path, it hung up)
 * -EPROTONOSUPPORT  a daemon of another protocol version; problem names both
 * -EACCES           the socket's mode bits, or the daemon, deny this user
 * -EDQUOT           this user has too many sessions
 * -EMFILE           out of file descriptors, here (or on the machine) or at the daemon
 * -ETIMEDOUT        it does not answer
 * -EPROTO           what answered is no heapd
 * -ENOMEM           and other errors of socket() and connect()
 */
int link_open(struct link *l, char *problem, size_t size);

/* The same at one path. -ENAMETOOLONG if it fits no socket address. */
int link_open_at(struct link *l, const char *path, char *problem, size_t size);

/*
 * The same for a session that this process had at a daemon before. -ENOENT: it is not known there. The
 * welcome's session is that one.
 */
int link_resume(struct link *l, const char *path, uint64_t session);

#define LINK_HELLO_NS (5 * NSEC_PER_SEC)

/* Safe twice, and on LINK_NULL. Keeps errno. */
void link_close(struct link *l);

/*
 * One request and its reply, in the same frame. The caller has set everything (the id too) and sees
 * to it that no other thread uses the socket meanwhile. Blocks until the daemon replies. Not
 * interrupted by signals.
 *
 * 0        the frame is the reply, checked by the codec and for its id; its status is the caller's
 *          to look at, its fds are the caller's
 * -EMFILE  the reply came, but this process has no room for its fds, which are lost. Header and
 *          body are the reply's. The link goes on.
 * others   the link is of no use any more: -EPIPE or -ECONNRESET (the daemon is gone), -EPROTO
 *          (nonsense), -ENOMEM or -ENOBUFS (the kernel has no memory for a message, for a tenth of
 *          a second now)
 */
int link_call(int call_fd, struct frame *f);

/* Sleeps a millisecond: the kernel had no memory for a message (channel_is_short), and may have some then. */
void link_pause(void);

#endif
