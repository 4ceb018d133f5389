/*
 * passing.h: descriptors that a peer sends although nobody asked for any
 *
 * Model: the last close of a descriptor may wait for ever (a TCP socket that lingers, a file whose
 * server does not answer), and it need not be received for that: a message that is thrown away
 * drops its descriptors in the thread that throws it away. So the loop must neither receive nor
 * throw away a message that brings some.
 * - Linux 6.16 and later refuse to send them to a socket that says so (SO_PASSRIGHTS): the sender
 *   gets EPERM, and nothing ever comes. What was accepted from a listener that said so does too.
 * - On older kernels a socket is *wary*: each message is peeked at before it is received. One that
 *   brings descriptors ends its peer, whose socket is kept as it is, unread and open, until the
 *   daemon ends; its user stays charged for the session (peer.c), so this is bounded by the quota.
 *
 * Not here: what is done with the peer. Never blocks.
 */
#ifndef HEAPD_DAEMON_PASSING_H
#define HEAPD_DAEMON_PASSING_H

#include "common/base.h"

/*
 * From now on the kernel lets no descriptors through to this socket, nor to those accepted from it.
 * Returns whether the socket is to be treated as wary: the kernel cannot, or could not be told
 * before the other side was there.
 */
bool passing_forbid(int fd);

/* A socketpair of ours, before its other end is given away; or a listener. Returns the same. */
bool passing_forbid_early(int fd);

/* The next message: 1: brings descriptors; 0: does not; -EAGAIN: there is none; -ECONNRESET: none will come; -errno. */
int passing_peek(int fd);

/* After a message was received from a wary socket: whether it still is one. */
bool passing_still_wary(int fd);

/*
 * Throws away what is unread on a wary socket that is to be closed. false: descriptors are among it,
 * or too much came: it must not be closed. At most CLEAN_MAX messages, more than a socket's buffer has.
 */
bool passing_clean(int fd);

#endif
