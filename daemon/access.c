/*
 * access.c: see access.h
 */
#include "daemon/access.h"

#include <sys/socket.h>
#include <sys/syscall.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

_Static_assert((ACCESS_READ | ACCESS_WRITE) == ACCESS_BEST, "accesses are bits");

/*
 * The kernel tells how many there are when the buffer is too small. They cannot change: it is a
 * snapshot.
 */
static int read_groups(struct credentials *c, int fd)
{
	socklen_t size = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0)
		return 0;
	if (errno == ENODATA || errno == ENOPROTOOPT)
		return 0;
	if (errno != ERANGE)
		return -errno;
	c->groups = malloc(size);
	if (!c->groups)
		return -ENOMEM;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, c->groups, &size) < 0)
		return -errno;
	c->n_groups = (uint32_t)(size / sizeof(gid_t));
	return 0;
}

int credentials_read(struct credentials *c, int fd)
{
	struct ucred ucred;
	socklen_t size = sizeof(ucred);
	int r;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &size) < 0)
		return -errno;
	c->pid = ucred.pid;
	c->uid = ucred.uid;
	c->gid = ucred.gid;
	r = read_groups(c, fd);
	if (r < 0)
		credentials_deinit(c);
	return r;
}

void credentials_deinit(struct credentials *c)
{
	free(c->groups);
	*c = (struct credentials)CREDENTIALS_NULL;
}

/*
 * Kernels before 6.5 do not know SO_PEERPIDFD. pidfd_open then: should the client have died and its
 * pid be another's already, we watch a stranger. The session still ends when its sockets do; only a
 * child that inherited them could keep it alive for longer.
 */
int credentials_pidfd(const struct credentials *c, int fd)
{
	int pidfd = -1;
	socklen_t size = sizeof(pidfd);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0)
		return pidfd;
	if (errno != ENOPROTOOPT)
		return -errno;
	if (c->pid <= 0)
		return -ENODATA;
	pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	return pidfd < 0 ? -errno : pidfd;
}

bool credentials_in_group(const struct credentials *c, gid_t gid)
{
	for (uint32_t i = 0; i < c->n_groups; i++)
		if (c->groups[i] == gid)
			return true;
	return c->gid == gid;
}

uint32_t access_granted(const struct credentials *c, uid_t uid, gid_t gid, uint32_t perm)
{
	uint32_t bits = perm & 06;

	if (c->uid == 0)
		return ACCESS_READ | ACCESS_WRITE;
	if (c->uid == uid)
		bits = perm >> 6 & 06;
	else if (credentials_in_group(c, gid))
		bits = perm >> 3 & 06;
	return (bits & 04 ? (uint32_t)ACCESS_READ : 0) | (bits & 02 ? (uint32_t)ACCESS_WRITE : 0);
}

uint32_t access_chosen(uint32_t granted, uint32_t asked)
{
	uint32_t both = granted & asked;

	return both & ACCESS_WRITE ? ACCESS_WRITE : both;
}
