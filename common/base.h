/*
 * base.h: the few words that every file uses
 *
 * Cleanup by scope (_cleanup_), ownership moved on one line (take, take_fd), and arithmetic
 * that says what it does. Nothing here allocates, logs or keeps state.
 */
#ifndef HEAPD_COMMON_BASE_H
#define HEAPD_COMMON_BASE_H

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* (through void *: the member is in an object of that type, so it is aligned as one) */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#define _cleanup_(f) __attribute__((__cleanup__(f)))
#define _unused_ __attribute__((__unused__))
#define _printf_(fmt, first) __attribute__((__format__(__printf__, fmt, first)))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Moves a pointer out of an owning variable, which is NULL from then on. */
#define take(ptr) \
	({ \
		__typeof__(ptr) *take_from_ = &(ptr); \
		__typeof__(ptr) taken_ = *take_from_; \
		*take_from_ = NULL; \
		taken_; \
	})

/* The same for a file descriptor, which is -1 from then on. */
static inline int take_fd(int *fd)
{
	int r = *fd;

	*fd = -1;
	return r;
}

/* Closes *fd if it is open, keeps errno, leaves -1. Safe twice. */
static inline void close_fd(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
	errno = saved;
}

static inline void freep(void *p)
{
	free(*(void **)p);
}

#define _cleanup_fd_ _cleanup_(close_fd)
#define _cleanup_free_ _cleanup_(freep)

#define CACHE_LINE 64u /* bytes; a hint */

/* The hardware page: what the daemon grants. Both sides assert at start that the kernel agrees. */
#define HW_PAGE_SHIFT 12
#define HW_PAGE_SIZE ((size_t)1 << HW_PAGE_SHIFT)

#define NSEC_PER_SEC 1000000000ull
#define NSEC_PER_MSEC 1000000ull

static inline uint64_t div_round_up(uint64_t n, uint64_t d)
{
	return n / d + (n % d != 0);
}

/* Rounds up to a multiple of align (a power of two). The caller has ruled out overflow. */
static inline uint64_t align_up(uint64_t n, uint64_t align)
{
	return (n + align - 1) & ~(align - 1);
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Nanoseconds of CLOCK_MONOTONIC. A vDSO read, no system call. */
static inline uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* Built with the thread sanitizer. */
#if defined(__has_feature)
#define HAS_TSAN __has_feature(thread_sanitizer)
#elif defined(__SANITIZE_THREAD__)
#define HAS_TSAN 1
#else
#define HAS_TSAN 0
#endif

#endif
