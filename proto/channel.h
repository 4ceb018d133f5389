/*
 * channel.h: one SOCK_SEQPACKET frame and its fds
 *
 * Transport only: knows frames, headers and fds, never what an opcode means. Works on any connected
 * SOCK_SEQPACKET fd, blocking or not; owns none of them.
 * Invariant: a received frame is whole (MSG_TRUNC and MSG_CTRUNC are -EPROTO, and the fds that did
 * arrive are closed), its header's length and n_fds agree with what came.
 */
#ifndef HEAPD_PROTO_CHANNEL_H
#define HEAPD_PROTO_CHANNEL_H

#include "common/base.h"
#include "proto/wire.h"

/* A frame as received or to be sent. Plain storage, about 4 KiB: the caller's, on the stack or in a
 * queue. */
struct frame {
	struct wire_header header;
	union {
		uint8_t bytes[WIRE_BODY_MAX];
		uint64_t align_;
	} body;
	int fds[WIRE_FDS_MAX]; /* received: ours to close (frame_close_fds) or to take (take_fd) */
	int n_fds;
};

#define FRAME_BODY(frame, type) ((type *)(void *)(frame)->body.bytes)

/* Header set, body's first length bytes zeroed, no fds. length <= WIRE_BODY_MAX (asserted). Returns
 * the body. */
void *frame_init(struct frame *f, uint16_t op, uint32_t id, uint32_t status, size_t length);

/* Adds an fd to be sent. It stays the caller's. */
void frame_add_fd(struct frame *f, int fd);

/* Closes fds that were received and not taken. Safe twice. */
void frame_close_fds(struct frame *f);

/* Sends one frame. 0; -EAGAIN (socket full, nothing sent); -EPIPE, -ECONNRESET (peer gone);
 * -ETOOMANYREFS (too many fds of this user are on their way; nothing sent); other -errno. Never SIGPIPE, restarts on EINTR. flags: 0 or MSG_DONTWAIT. */
int channel_send(int fd, const struct frame *f, int flags);

/* Whether an error of channel_send or channel_recv says that the kernel had no memory for it just now: nothing was
 * sent or taken, and the same call may go well the next time. */
static inline bool channel_is_short(int r)
{
	return r == -ENOMEM || r == -ENOBUFS;
}

/* Receives one frame. 0; -EAGAIN; -ECONNRESET (peer gone, also by plain end of file); -EPROTO (see
 * above); -EMFILE (this process is out of descriptors: the frame's fds are lost and closed, its
 * header and body are good, so that what came with them can be undone); -EINTR only if flags has
 * CHANNEL_INTERRUPTIBLE; other -errno. On failure the frame holds no fds. Bytes of the body beyond
 * header.length are not written. flags: MSG_DONTWAIT and what is below, or 0. */
#define CHANNEL_INTERRUPTIBLE 0x10000000 /* no MSG_* of the kernel has this value; it stays here */
/* No fds are expected: to ask the kernel for none is cheaper. Those that come are dropped by it, in
 * this thread, which may block: only for a socket that lets none through, or a peer that is
 * trusted. A frame that announces some is -EPROTO. */
#define CHANNEL_NO_FDS 0x01000000 /* the same */
int channel_recv(int fd, struct frame *f, int flags);

#endif
