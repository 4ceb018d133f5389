/*
 * channel.c: one SOCK_SEQPACKET frame and its fds
 *
 * A frame lies in memory as it travels: header, then body, so one buffer serves sending and
 * receiving. Every fd the kernel hands us is either in the frame that we return or closed before we
 * return. Not here: what a frame means (codec.c), queues and readiness (the daemon's loop, the
 * client's session).
 */
#include "proto/channel.h"

#include <sys/socket.h>
#include <sys/uio.h>

_Static_assert(offsetof(struct frame, body) == sizeof(struct wire_header),
	       "a frame travels as it lies");
_Static_assert(sizeof(struct wire_header) + WIRE_BODY_MAX == WIRE_FRAME_MAX,
	       "header and body fill a frame");

/* Room for exactly WIRE_FDS_MAX fds: CMSG_LEN, not CMSG_SPACE, whose padding would let one more in.
 * */
#define CONTROL_SIZE CMSG_LEN(WIRE_FDS_MAX * sizeof(int))

union control {
	struct cmsghdr first;
	char bytes[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
};

void *frame_init(struct frame *f, uint16_t op, uint32_t id, uint32_t status, size_t length)
{
	assert(length <= WIRE_BODY_MAX && "a frame has one size limit");
	f->header = (struct wire_header){
		.length = (uint32_t)length,
		.op = op,
		.id = id,
		.status = status,
	};
	f->n_fds = 0;
	memset(f->body.bytes, 0, length);
	return f->body.bytes;
}

void frame_add_fd(struct frame *f, int fd)
{
	assert(f->n_fds < (int)WIRE_FDS_MAX && "no message has more fds");
	f->fds[f->n_fds++] = fd;
	f->header.n_fds = (uint16_t)f->n_fds;
}

void frame_close_fds(struct frame *f)
{
	for (int i = 0; i < f->n_fds; i++)
		close_fd(&f->fds[i]);
	f->n_fds = 0;
}

static struct iovec frame_iovec(const struct frame *f, size_t length)
{
	return (struct iovec){.iov_base = (void *)(uintptr_t)f, .iov_len = length};
}

static ssize_t send_with_fds(int fd, const struct frame *f, size_t length, int flags)
{
	union control control = {.bytes = {0}};
	struct iovec iov = frame_iovec(f, length);
	size_t bytes = (size_t)f->n_fds * sizeof(int);
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CMSG_SPACE(bytes),
	};

	control.first.cmsg_level = SOL_SOCKET;
	control.first.cmsg_type = SCM_RIGHTS;
	control.first.cmsg_len = CMSG_LEN(bytes);
	memcpy(CMSG_DATA(&control.first), f->fds, bytes);
	return sendmsg(fd, &msg, flags);
}

int channel_send(int fd, const struct frame *f, int flags)
{
	size_t length = sizeof(f->header) + f->header.length;
	ssize_t n;

	assert(f->header.length <= WIRE_BODY_MAX && f->header.n_fds == f->n_fds);
	flags |= MSG_NOSIGNAL;
	do {
		n = f->n_fds ? send_with_fds(fd, f, length, flags) : send(fd, f, length, flags);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* Moves the fds of a received message into the frame. Those that find no room are closed; returns
 * how many came. (The kernel passes at most what the control buffer holds; this does not rely on
 * it.) */
static int collect_fds(struct frame *f, struct msghdr *msg)
{
	int came = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		const unsigned char *data = CMSG_DATA(c);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); n > 0;
		     n--, data += sizeof(int)) {
			int fd;

			memcpy(&fd, data, sizeof(fd));
			came++;
			if (f->n_fds < (int)WIRE_FDS_MAX)
				f->fds[f->n_fds++] = fd;
			else
				close_fd(&fd);
		}
	}
	return came;
}

/* What one call of the kernel brought. */
struct arrival {
	ssize_t n; /* bytes; below 0: errno */
	int flags; /* MSG_TRUNC, MSG_CTRUNC */
	int fds;   /* how many came */
};

/* Is what came one whole frame? 0, -EPROTO, -EMFILE. */
static int check_whole(const struct frame *f, const struct arrival *a)
{
	size_t received = (size_t)a->n;

	if (received < sizeof(f->header) || (a->flags & MSG_TRUNC))
		return -EPROTO;
	if (f->header.length != received - sizeof(f->header))
		return -EPROTO;
	/* Fewer fds than announced although there was room for them: it is our own table that is
	 * full. */
	if ((a->flags & MSG_CTRUNC) && f->header.n_fds <= WIRE_FDS_MAX && a->fds < f->header.n_fds)
		return -EMFILE;
	if ((a->flags & MSG_CTRUNC) || f->header.n_fds != a->fds)
		return -EPROTO;
	return 0;
}

static struct arrival recv_with_fds(int fd, struct frame *f, int flags)
{
	struct iovec iov = frame_iovec(f, WIRE_FRAME_MAX);
	union control control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CONTROL_SIZE,
	};
	struct arrival a = {.n = recvmsg(fd, &msg, flags | MSG_CMSG_CLOEXEC)};

	a.flags = msg.msg_flags;
	a.fds = a.n < 0 ? 0 : collect_fds(f, &msg);
	return a;
}

/* With MSG_TRUNC a recv tells how long the message was. */
static struct arrival recv_bare(int fd, struct frame *f, int flags)
{
	struct arrival a = {.n = recv(fd, f, WIRE_FRAME_MAX, flags | MSG_TRUNC)};

	a.flags = a.n > (ssize_t)WIRE_FRAME_MAX ? MSG_TRUNC : 0;
	return a;
}

int channel_recv(int fd, struct frame *f, int flags)
{
	bool interruptible = (flags & CHANNEL_INTERRUPTIBLE) != 0;
	bool bare = (flags & CHANNEL_NO_FDS) != 0;
	struct arrival a;
	int r;

	f->n_fds = 0;
	flags &= ~(CHANNEL_INTERRUPTIBLE | CHANNEL_NO_FDS);
	do {
		a = bare ? recv_bare(fd, f, flags) : recv_with_fds(fd, f, flags);
	} while (a.n < 0 && errno == EINTR && !interruptible);
	if (a.n < 0)
		return -errno;
	r = a.n == 0 ? -ECONNRESET : check_whole(f, &a);
	if (r < 0)
		frame_close_fds(f);
	return r;
}
