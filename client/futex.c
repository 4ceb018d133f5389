/*
 * futex.c: see futex.h. Nothing here keeps state but whether the kernel knows futex_waitv.
 */
#include "client/futex.h"

#include <linux/futex.h>
#include <limits.h>
#include <sys/syscall.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

static atomic_bool no_waitv;

static int wait_forever(const _Atomic uint32_t *word, uint32_t value)
{
	long r = syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, value, NULL, NULL,
			 FUTEX_BITSET_MATCH_ANY);

	return r < 0 ? -errno : 0;
}

static int wait_until_plain(const _Atomic uint32_t *word, uint32_t value, const struct timespec *ts)
{
	/* FUTEX_WAIT_BITSET takes an absolute time of CLOCK_MONOTONIC */
	long r = syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, value, ts, NULL,
			 FUTEX_BITSET_MATCH_ANY);

	return r < 0 ? -errno : 0;
}

static int wait_until(const _Atomic uint32_t *word, uint32_t value, uint64_t deadline)
{
	struct timespec ts = {
		.tv_sec = (time_t)(deadline / NSEC_PER_SEC),
		.tv_nsec = (long)(deadline % NSEC_PER_SEC),
	};
	struct futex_waitv waitv = {
		.val = value,
		.uaddr = (uintptr_t)word,
		.flags = FUTEX_32 | FUTEX_PRIVATE_FLAG,
	};

	if (!atomic_load_explicit(&no_waitv, memory_order_relaxed)) {
		if (syscall(SYS_futex_waitv, &waitv, 1, 0, &ts, CLOCK_MONOTONIC) >= 0)
			return 0;
		if (errno != ENOSYS && errno != EPERM && errno != EINVAL)
			return -errno;
		atomic_store_explicit(&no_waitv, true, memory_order_relaxed);
	}
	return wait_until_plain(word, value, &ts);
}

int futex_wait(const _Atomic uint32_t *word, uint32_t value, uint64_t deadline)
{
	int r = deadline == FOREVER ? wait_forever(word, value) : wait_until(word, value, deadline);

	return r == -EAGAIN ? 0 : r;
}

void futex_wake(const _Atomic uint32_t *word, int n)
{
	(void)syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, n, NULL, NULL, 0);
}
