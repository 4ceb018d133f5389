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
#ifndef MFD_HUGE_SHIFT
#define MFD_HUGE_SHIFT 26
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

/* Of that size from here to its end. */
static int fix(int fd, uint64_t size)
{
	if (fchmod(fd, 0600) < 0 || ftruncate(fd, (off_t)size) < 0)
		return -errno;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return -errno;
	return 0;
}

int memfd_new(int *out, const char *name, uint64_t size)
{
	_cleanup_fd_ int fd = create(name);
	int r = fd < 0 ? fd : fix(fd, size);

	if (r < 0)
		return r;
	*out = take_fd(&fd);
	return 0;
}

/* What the kernel says when there are no such pages differs with why there are none. */
static int create_huge(const char *name, uint64_t huge_page)
{
	const unsigned shift = huge_page ? (unsigned)__builtin_ctzll(huge_page) : 0;
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB |
			       shift << MFD_HUGE_SHIFT;
	int fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, flags);
	if (fd >= 0)
		return fd;
	return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : -EOPNOTSUPP;
}

int memfd_new_huge(int *out, const char *name, uint64_t *size, uint64_t *huge_page)
{
	_cleanup_fd_ int fd = create_huge(name, *huge_page);
	struct stat stat;
	int r;

	if (fd < 0)
		return fd;
	if (fstat(fd, &stat) < 0)
		return -errno;
	*huge_page = (uint64_t)stat.st_blksize; /* of hugetlbfs: the page's size */
	*size = align_up(*size, *huge_page);
	r = fix(fd, *size);
	if (r < 0)
		return r;
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
