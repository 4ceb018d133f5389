/*
 * memfd.c: see memfd.h
 */
#include "daemon/memfd.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x8u
#endif

/* Kernels before 6.3 do not know MFD_NOEXEC_SEAL and say EINVAL. */
static int create(const char *name)
{
	static unsigned noexec = MFD_NOEXEC_SEAL;
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | noexec);

	if (fd < 0 && errno == EINVAL && noexec) {
		noexec = 0;
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	}
	return fd < 0 ? -errno : fd;
}

int memfd_new(int *out, const char *name, uint64_t size)
{
	_cleanup_fd_ int fd = create(name);

	if (fd < 0)
		return fd;
	if (fchmod(fd, 0600) < 0 || ftruncate(fd, (off_t)size) < 0)
		return -errno;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return -errno;
	*out = take_fd(&fd);
	return 0;
}

int memfd_reopen_read(int *out, int fd)
{
	char path[32];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = open(path, O_RDONLY | O_CLOEXEC);
	if (r < 0)
		return -errno;
	*out = r;
	return 0;
}
