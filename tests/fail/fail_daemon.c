/*
 * fail_daemon.c: what only the daemon calls
 *
 * libevent's own memory goes through the wrapped allocator as well (event_set_mem_functions), and its calls of epoll
 * come here, since a program's function stands before a library's. Not under the thread sanitizer, which wants to see
 * epoll itself.
 */
#include "tests/fail/fail.h"

#include <errno.h>
#include <event2/event.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "config-heapd.h"

void *__wrap_malloc(size_t n);
void *__wrap_realloc(void *p, size_t n);

__attribute__((__constructor__)) static void begin(void)
{
	fail_begin();
	event_set_mem_functions(__wrap_malloc, __wrap_realloc, free);
}

#define WRAP(type, name, params, args, failure) \
	type __real_##name params; \
	type __wrap_##name params; \
	type __wrap_##name params \
	{ \
		return fail_now(#name) ? (failure) : __real_##name args; \
	}

WRAP(struct event_config *, event_config_new, (void), (), NULL)
WRAP(struct event_base *, event_base_new_with_config, (const struct event_config *c), (c), NULL)
WRAP(struct event *, event_new, (struct event_base *b, evutil_socket_t fd, short what, event_callback_fn fn, void *ctx),
     (b, fd, what, fn, ctx), NULL)
WRAP(int, event_add, (struct event *e, const struct timeval *t), (e, t), -1)

#if HAVE_URING
struct io_uring;
WRAP(int, io_uring_queue_init, (unsigned n, struct io_uring *r, unsigned flags), (n, r, flags), -errno)
WRAP(int, io_uring_register_eventfd, (struct io_uring *r, int fd), (r, fd), -errno)
WRAP(int, io_uring_submit, (struct io_uring *r), (r), -errno)
WRAP(int, io_uring_submit_and_wait, (struct io_uring *r, unsigned n), (r, n), -errno)
#endif

/* The daemon calls it for pidfd_open alone, and others never have more than three arguments. */
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	va_list args;
	long a, b, c;

	va_start(args, number);
	a = va_arg(args, long);
	b = va_arg(args, long);
	c = va_arg(args, long);
	va_end(args);
	return number == SYS_pidfd_open && fail_now("pidfd_open") ? -1 : __real_syscall(number, a, b, c);
}

#if !defined(__SANITIZE_THREAD__)
#define EXPORT __attribute__((__visibility__("default")))

EXPORT int epoll_ctl(int ep, int op, int fd, struct epoll_event *e)
{
	return fail_now("epoll_ctl") ? -1 : (int)__real_syscall(SYS_epoll_ctl, ep, op, fd, e);
}

EXPORT int epoll_wait(int ep, struct epoll_event *events, int n, int ms)
{
	return fail_now("epoll_wait") ? -1 : (int)__real_syscall(SYS_epoll_pwait, ep, events, n, ms, NULL, 8);
}
#endif
