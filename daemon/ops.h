/*
 * ops.h: what requests mean; request in, reply out, no socket
 *
 * One table row for each opcode holds every precondition of its handler (what the request is about,
 * whether it must be bound, for writing, alive). Frames have passed codec_check_request before they
 * come here.
 *
 * A handler returns 0 (the reply is filled in), a positive status (the reply is that and nothing
 * else), or a failure. Shortness of memory or descriptors is answered to whoever asked; any other
 * failure means that the peer broke the protocol: it is dropped.
 */
#ifndef HEAPD_DAEMON_OPS_H
#define HEAPD_DAEMON_OPS_H

#include "daemon/world.h"
#include "proto/codec.h"

struct reply {
	struct frame frame; /* its fds are others' */
	int opened; /* one of them that was opened for it: the caller closes it when the frame is
		       sent; -1 */
};

/*
 * A request on the call socket, but for HELLO. 0; OPS_MORE: a piece of it is done, call again with the same frame,
 * some time later, before any other of that session; or -errno: drop the peer.
 */
#define OPS_MORE 0x10000 /* no enum status */
int ops_call(struct world *w, struct session *s, const struct frame *in, struct reply *reply);

/* A frame on the event socket: RETURN. 0, or -errno: drop the peer. */
int ops_event(struct world *w, struct session *s, const struct frame *in);

/*
 * The reply or event has the descriptor of a heap that was bound just now, and could not be sent:
 * the session is bound to it no more, as if it had not asked.
 */
void bound_unsent(struct session *s, const struct frame *f);

/* STATUS_NO_MEMORY or STATUS_NO_FILES for an -errno that says so; else the -errno. */
int status_of_shortage(int r);

/* A piece of the parked binds of names that have become live. */
void binds_serve(struct world *w);

/*
 * A heap that is committing goes, and its name; the CREATE that waits for it ends without an event.
 */
void creation_drop(struct world *w, struct heap *h);

#endif
