/*
 * passing.c: see passing.h
 *
 * A peek has room for the sender's credentials and nothing else: SO_PASSCRED makes the kernel
 * attach them to each message, so that an empty message is told from the end of the file, and
 * MSG_CTRUNC means descriptors. A peek only borrows them: the message keeps its own references.
 */
#include "daemon/passing.h"

#include <sys/socket.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

/* 208 KiB of buffer, and no message costs less than 512 bytes of it. */
#define CLEAN_MAX 1024

static bool lets_through(int fd)
{
	int on = 1;
	socklen_t size = sizeof(on);

	return getsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &on, &size) < 0 || on;
}

static int set(int fd, int option, int on)
{
	return setsockopt(fd, SOL_SOCKET, option, &on, sizeof(on)) < 0 ? -errno : 0;
}

static bool wary(int fd)
{
	(void)set(fd, SO_PASSCRED, 1);
	return true;
}

bool passing_forbid(int fd)
{
	if (!lets_through(fd))
		return false; /* it was born so */
	(void)set(fd, SO_PASSRIGHTS, 0);
	return wary(fd);
}

bool passing_forbid_early(int fd)
{
	return set(fd, SO_PASSRIGHTS, 0) < 0 ? wary(fd) : false;
}

int passing_peek(int fd)
{
	union {
		struct cmsghdr first;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct msghdr m = { .msg_control = control.bytes, .msg_controllen = CMSG_LEN(sizeof(struct ucred)) };

	if (recvmsg(fd, &m, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
		return -errno;
	if (m.msg_flags & MSG_CTRUNC)
		return 1;
	return m.msg_controllen ? 0 : -ECONNRESET;
}

bool passing_still_wary(int fd)
{
	if (lets_through(fd) || passing_peek(fd) != -EAGAIN)
		return true;
	(void)set(fd, SO_PASSCRED, 0);
	return false;
}

bool passing_clean(int fd)
{
	for (int i = 0; i < CLEAN_MAX; i++) {
		int r = passing_peek(fd);

		if (r)
			return r < 0;
		(void)!recv(fd, NULL, 0, MSG_DONTWAIT);
	}
	return false;
}
