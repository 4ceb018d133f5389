/*
 * fail.c: functions of libc, which fail when the plan says so
 */
#include "tests/fail/fail.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WRAP(type, name, params, args, failure) \
	type __real_##name params; \
	type __wrap_##name params; \
	type __wrap_##name params \
	{ \
		return fail_now(#name) ? (failure) : __real_##name args; \
	}

WRAP(void *, malloc, (size_t n), (n), NULL)
WRAP(void *, calloc, (size_t n, size_t size), (n, size), NULL)
WRAP(void *, realloc, (void *p, size_t n), (p, n), NULL)
WRAP(void *, reallocarray, (void *p, size_t n, size_t size), (p, n, size), NULL)
WRAP(void *, aligned_alloc, (size_t align, size_t n), (align, n), NULL)
WRAP(char *, strdup, (const char *s), (s), NULL)
WRAP(char *, strndup, (const char *s, size_t n), (s, n), NULL)
WRAP(void *, mmap64, (void *at, size_t n, int prot, int flags, int fd, off_t offset),
     (at, n, prot, flags, fd, offset), MAP_FAILED)
WRAP(int, madvise, (void *at, size_t n, int advice), (at, n, advice), -1)
WRAP(int, mlock, (const void *at, size_t n), (at, n), -1)
WRAP(int, mlock2, (const void *at, size_t n, unsigned flags), (at, n, flags), -1)
WRAP(int, fallocate64, (int fd, int mode, off_t offset, off_t n), (fd, mode, offset, n), -1)
WRAP(int, memfd_create, (const char *name, unsigned flags), (name, flags), -1)
WRAP(int, ftruncate64, (int fd, off_t n), (fd, n), -1)
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode), -1)
WRAP(FILE *, fopen64, (const char *path, const char *mode), (path, mode), NULL)
WRAP(ssize_t, pread64, (int fd, void *to, size_t n, off_t at), (fd, to, n, at), -1)
WRAP(int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1)
WRAP(int, socketpair, (int domain, int type, int protocol, int *fds), (domain, type, protocol, fds), -1)
WRAP(int, accept4, (int fd, void *from, void *n, int flags), (fd, from, n, flags), -1)
WRAP(int, getsockopt, (int fd, int level, int name, void *to, void *n), (fd, level, name, to, n), -1)
WRAP(int, setsockopt, (int fd, int level, int name, const void *to, unsigned n), (fd, level, name, to, n), -1)
WRAP(int, connect, (int fd, const void *to, unsigned n), (fd, to, n), -1)
WRAP(ssize_t, send, (int fd, const void *from, size_t n, int flags), (fd, from, n, flags), -1)
WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *m, int flags), (fd, m, flags), -1)
WRAP(ssize_t, recv, (int fd, void *to, size_t n, int flags), (fd, to, n, flags), -1)
WRAP(ssize_t, recvmsg, (int fd, struct msghdr *m, int flags), (fd, m, flags), -1)
WRAP(int, poll, (struct pollfd *fds, nfds_t n, int ms), (fds, n, ms), -1)
WRAP(int, eventfd, (unsigned n, int flags), (n, flags), -1)
WRAP(int, timerfd_create, (int clock, int flags), (clock, flags), -1)
WRAP(int, timerfd_settime, (int fd, int flags, const void *when, void *old), (fd, flags, when, old), -1)
WRAP(int, pthread_create, (pthread_t *t, const pthread_attr_t *a, void *(*run)(void *), void *ctx),
     (t, a, run, ctx), errno)
WRAP(int, pthread_attr_init, (pthread_attr_t *a), (a), errno)

__attribute__((__format__(__printf__, 2, 3)))
int __wrap_asprintf(char **out, const char *format, ...);
int __wrap_asprintf(char **out, const char *format, ...)
{
	va_list args;
	int r;

	if (fail_now("asprintf"))
		return -1;
	va_start(args, format);
	r = vasprintf(out, format, args);
	va_end(args);
	return r;
}

/* The third argument is a number or a pointer, or not there: it is passed on as it lies. */
int __real_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...)
{
	va_list args;
	long value;

	va_start(args, command);
	value = va_arg(args, long);
	va_end(args);
	return fail_now("fcntl64") ? -1 : __real_fcntl64(fd, command, value);
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
	va_list args;
	unsigned mode;

	va_start(args, flags);
	mode = va_arg(args, unsigned);
	va_end(args);
	return fail_now("open64") ? -1 : __real_open64(path, flags, mode);
}
