/*
 * fail.h: the Nth call of a function fails
 *
 * Model: heapd and the library are linked a second time with -Wl,--wrap for every function of the table, so that
 * their calls come to fail.c (and, for what only the daemon uses, fail_daemon.c). One page (plan.c), shared by the test and the
 * process under test, is the plan: which process, which function, which call of it counted from the arming, and the
 * errno. A process that is not the plan's, or has none, is passed through to the real function.
 *
 * Invariant: a call that is made to fail has no effect at all, as if the kernel or libc had refused it: a real
 * function is called, or the error is told, never both.
 * Not here: what must come of it (play.h has the scenario, it_fail_*.c the judgement).
 */
#ifndef HEAPD_TESTS_FAIL_FAIL_H
#define HEAPD_TESTS_FAIL_FAIL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Function and errno; what has two plausible errors has two rows. EINVAL and ENOPROTOOPT are an older kernel's, which
 * does not know what it is asked for. Names are the linker's (64-bit offsets).
 */
#define FAIL_COMMON(X) \
	X(malloc, ENOMEM) \
	X(calloc, ENOMEM) \
	X(realloc, ENOMEM) \
	X(reallocarray, ENOMEM) \
	X(aligned_alloc, ENOMEM) \
	X(strdup, ENOMEM) \
	X(strndup, ENOMEM) \
	X(asprintf, ENOMEM) \
	X(mmap64, ENOMEM) \
	X(madvise, ENOMEM) \
	X(madvise, EFAULT) \
	X(madvise, EINVAL) \
	X(mlock, ENOMEM) \
	X(mlock2, ENOMEM) \
	X(fallocate64, ENOSPC) \
	X(memfd_create, EMFILE) \
	X(memfd_create, ENFILE) \
	X(memfd_create, EINVAL) \
	X(ftruncate64, ENOMEM) \
	X(fchmod, EIO) \
	X(fcntl64, EMFILE) \
	X(open64, EMFILE) \
	X(fopen64, EMFILE) \
	X(pread64, EIO) \
	X(socket, EMFILE) \
	X(socket, ENFILE) \
	X(socketpair, EMFILE) \
	X(accept4, EMFILE) \
	X(accept4, ENOBUFS) \
	X(getsockopt, ENOBUFS) \
	X(getsockopt, EMFILE) \
	X(getsockopt, ENOPROTOOPT) \
	X(setsockopt, ENOMEM) \
	X(connect, ENOMEM) \
	X(send, ENOBUFS) \
	X(send, EINTR) \
	X(sendmsg, ENOBUFS) \
	X(sendmsg, ETOOMANYREFS) \
	X(recv, ENOMEM) \
	X(recv, EINTR) \
	X(recvmsg, ENOMEM) \
	X(recvmsg, EINTR) \
	X(poll, ENOMEM) \
	X(poll, EINTR) \
	X(eventfd, EMFILE) \
	X(eventfd, ENFILE) \
	X(timerfd_create, EMFILE) \
	X(timerfd_settime, ENOMEM) \
	X(pthread_create, EAGAIN) \
	X(pthread_attr_init, ENOMEM)

/* Of the daemon alone: its libraries, and epoll as libevent calls it. */
#define FAIL_DAEMON(X) \
	X(pidfd_open, EMFILE) \
	X(epoll_ctl, ENOMEM) \
	X(epoll_ctl, ENOSPC) \
	X(epoll_wait, EINTR) \
	X(event_config_new, ENOMEM) \
	X(event_base_new_with_config, ENOMEM) \
	X(event_new, ENOMEM) \
	X(event_add, ENOMEM) \
	X(io_uring_queue_init, ENOMEM) \
	X(io_uring_queue_init, EPERM) \
	X(io_uring_queue_init, ENOSYS) \
	X(io_uring_register_eventfd, ENOMEM) \
	X(io_uring_submit, EAGAIN) \
	X(io_uring_submit, EPERM) \
	X(io_uring_submit_and_wait, EAGAIN)

struct fail_row {
	const char *name;
	int error;
};

extern const struct fail_row fail_rows[];
extern const size_t fail_n_rows;

/* ---- the test's side ---- */

/* Makes the plan, which processes forked or started from now on share. Call once. 0, -errno. */
int fail_open(void);

/* From now on the nth call (from 1) of that function in that process fails; lasting: and all after it. */
void fail_arm(pid_t pid, const struct fail_row *row, uint64_t nth, bool lasting);

/* For a process to come: the first one that runs a program (fail_begin) is the plan's. */
void fail_arm_next(const struct fail_row *row, uint64_t nth, bool lasting);

/*
 * Up to which call of a function it makes sense to go: FAIL_CALLS_MAX, which is never reached, or, for one that waits
 * and so is called more often by a slower machine, the first ones.
 */
#define FAIL_CALLS_MAX 3000
uint64_t fail_calls(const struct fail_row *row);

/* Of how many calls one is tried: $FAIL_STRIDE, or what the test says. */
uint64_t fail_stride(uint64_t usual);

/* Ends it. How often a call was made to fail. */
uint64_t fail_disarm(void);

/* ---- the side under test ---- */

void fail_begin(void);            /* a program starts: finds the plan that it inherited, if any */
bool fail_now(const char *name);  /* shall this call fail? Then errno is set. From any thread */

#endif
