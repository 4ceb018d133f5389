/*
 * memfd.h: anonymous files that clients may hold but not bend
 *
 * Sealed against growing, shrinking and further seals, not executable where the kernel knows how,
 * closed on exec, and 0600: a memfd is born 0777, so that a reader could otherwise open it anew for
 * writing through /proc.
 */
#ifndef HEAPD_DAEMON_MEMFD_H
#define HEAPD_DAEMON_MEMFD_H

#include "common/base.h"

/*
 * The name is for people (/proc/PID/maps). 0 and *fd, the caller's; -EMFILE, -ENFILE, -ENOMEM,
 * another -errno.
 */
int memfd_new(int *fd, const char *name, uint64_t size);

/*
 * The same of huge pages. *huge_page: their size in bytes, a power of two, or 0: the system's; and
 * *size: rounded up to whole ones. Both are out too. 0 and *fd; -EOPNOTSUPP: this system has no
 * such pages (some may be in use, or none be free: fallocate tells); -EMFILE, -ENFILE, -ENOMEM,
 * another -errno.
 */
int memfd_new_huge(int *fd, const char *name, uint64_t *size, uint64_t *huge_page);

/*
 * Another descriptor of the same file, O_RDONLY, the caller's. 0; -EMFILE, -ENFILE, -ENOENT (no
 * /proc), another -errno. May open what is no memfd, too: then it blocks as open() does.
 */
int memfd_reopen_read(int *out, int fd);

#endif
