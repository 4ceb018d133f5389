/*
 * status.h: how a request ended, in one enum for both sides
 *
 * A status is an answer: the daemon did its work and this is what came out. It travels in every
 * reply and event, and only the interface skins turn it into an errno (status_errno). Failures
 * (-errno: the peer broke the protocol, the kernel refused) never travel; they end the peer.
 */
#ifndef HEAPD_PROTO_STATUS_H
#define HEAPD_PROTO_STATUS_H

#include <stdint.h>

enum status {
	STATUS_OK = 0,
	STATUS_PARKED,      /* -EINPROGRESS: the answer comes later, as an event with the request's id */
	STATUS_EXISTS,      /* -EEXIST: the name is taken */
	STATUS_MISSING,     /* -ENOENT: no such heap */
	STATUS_DENIED,      /* -EACCES: mode bits, or not allowed to create */
	STATUS_NOT_OWNER,   /* -EPERM: only the owner or root may */
	STATUS_QUOTA,       /* -EDQUOT: a limit of this user */
	STATUS_NO_MEMORY,   /* -ENOMEM: the machine, or more than the heap could ever hold */
	STATUS_INVALID,     /* -EINVAL: an argument */
	STATUS_NAME_TOO_LONG, /* -ENAMETOOLONG */
	STATUS_REMOVED,     /* -EIDRM: the heap was deleted */
	STATUS_WOULD_BLOCK, /* -EWOULDBLOCK */
	STATUS_TIMED_OUT,   /* -ETIMEDOUT */
	STATUS_UNSUPPORTED, /* -EOPNOTSUPP: no device backs it */
	STATUS_BOUND,       /* -EISCONN: this session is bound to it already; no fds come */
	STATUS_CANCELLED,   /* -ECANCELED */
	STATUS_LATE,        /* -EALREADY, to CANCEL: the event for that id is already on its way, or was never due */
	STATUS_VERSION,     /* -EPROTONOSUPPORT: the reply's body tells the daemon's version */
	STATUS_NO_FILES,    /* -EMFILE: the daemon is short of descriptors */
	STATUS_BUSY,        /* -EAGAIN: a queue is full; try later */
	STATUS_COUNT
};

/* 0 for STATUS_OK, the negative errno above for others; -EPROTO for a value out of the enum. */
int status_errno(uint32_t status);

/* A short lower-case text for people: "name exists". Never NULL. Static. */
const char *status_text(uint32_t status);

#endif
