/*
 * session_helper.c: the helper thread: it alone reads events, and sees to it that the session comes
 * back
 */
#include "client/session_internal.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "proto/codec.h"

#define HELPER_STACK (256 * 1024)

static __thread bool is_helper;

bool session_is_helper(void)
{
	return is_helper;
}

/* EV_BOUND: to the thread that waits for it. An event for nobody: its fds are closed with the frame. */
static void take_bound(struct session *s, struct frame *f, int result)
{
	struct pending *p;

	lock_take(&s->pending_lock);
	p = pending_find(s, f->header.id);
	if (p) {
		session_tie(s, f);
		p->frame = *f;
		f->n_fds = 0; /* they are p's now */
		pending_finish(s, p, result);
	}
	lock_give(&s->pending_lock);
}

/* One event, read and handled. 0; -EAGAIN: there is none, now; another -errno ends the link. */
static int read_event(struct session *s)
{
	struct frame f;
	int r = channel_recv(s->io.event_fd, &f, MSG_DONTWAIT);

	if (r == -EMFILE) { /* its fd found no room here: the thread that asked undoes what came with it */
		take_bound(s, &f, r);
		return 0;
	}
	if (channel_is_short(r)) {
		link_pause(); /* it lies there still */
		return -EAGAIN;
	}
	if (r < 0)
		return r;
	r = codec_check_answer(&f, CODEC_EVENT, NULL);
	if (r == 0 && f.header.op == EV_BOUND)
		take_bound(s, &f, 0);
	else if (r == 0)
		session_handler()->event(s, &f);
	frame_close_fds(&f);
	return r;
}

/*
 * Reads all events that are there. 0, or the error that ends the link. A daemon that died had
 * perhaps not read all of ours: the socket says so once, and goes on with what it has for us.
 */
static int read_events(struct session *s)
{
	bool told = false;
	int r;

	do {
		lock_take(&s->event_lock);
		r = read_event(s);
		lock_give(&s->event_lock);
		if (r == -ECONNRESET && !told) {
			told = true;
			r = 0;
		}
	} while (r == 0);
	return r == -EAGAIN ? 0 : r;
}

void session_read_events(struct session *s)
{
	(void)read_events(s);
}

void session_settle_events(struct session *s)
{
	lock_take(&s->event_lock);
	lock_give(&s->event_lock);
}

/* As far as it runs already, and this process may. */
static void helper_set_priority(struct session *s)
{
	int32_t priority = atomic_load(&s->helper_priority);
	struct sched_param param = { .sched_priority = priority < 99 ? priority : 99 };
	pid_t tid = atomic_load(&s->helper_tid);

	if (priority > 0 && tid > 0 && session_is_up(s))
		(void)sched_setscheduler(tid, SCHED_FIFO, &param);
}

void session_raise(struct session *s, int32_t priority)
{
	int32_t now = atomic_load_explicit(&s->helper_priority, memory_order_relaxed);

	while (priority > now) {
		if (!atomic_compare_exchange_weak(&s->helper_priority, &now, priority))
			continue;
		helper_set_priority(s);
		return;
	}
}

/* Until the link breaks. */
static void serve(struct session *s)
{
	int wait_ms = -1;

	for (;;) {
		struct pollfd fds[2] = {
			{ .fd = s->io.event_fd, .events = POLLIN },
			{ .fd = s->kick_fd, .events = POLLIN },
		};
		uint64_t kicks;

		if (poll(fds, ARRAY_SIZE(fds), wait_ms) < 0) {
			if (errno != EINTR && errno != ENOMEM && errno != EAGAIN)
				return;
			if (errno != EINTR)
				link_pause();
			continue;
		}
		if ((fds[1].revents & POLLIN) && read(s->kick_fd, &kicks, sizeof(kicks)) < 0 && errno != EAGAIN)
			return;
		if (fds[0].revents && read_events(s) < 0)
			return;
		wait_ms = session_handler()->tick(s);
	}
}

static void end_all_pending(struct session *s)
{
	struct pending *p;

	lock_take(&s->pending_lock);
	while ((p = TAILQ_FIRST(&s->pending)))
		pending_finish(s, p, -ECONNREFUSED);
	lock_give(&s->pending_lock);
}

static void *helper_main(void *arg)
{
	struct session *s = arg;

	is_helper = true;
	(void)pthread_setname_np(pthread_self(), "heapclient");
	atomic_store(&s->helper_tid, (pid_t)syscall(SYS_gettid));
	helper_set_priority(s);
	do {
		serve(s);
		session_break(s);
	} while (session_return(s));
	end_all_pending(s);
	session_handler()->down(s);
	session_unref(s);
	return NULL;
}

/* All signals stay with the program's own threads. */
int session_helper_start(struct session *s)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t all, old;
	int r;

	(void)sigfillset(&all);
	r = pthread_attr_init(&attr);
	if (r != 0)
		return -r;
	(void)pthread_attr_setstacksize(&attr, HELPER_STACK);
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	session_ref(s);
	r = pthread_create(&thread, &attr, helper_main, s);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	(void)pthread_attr_destroy(&attr);
	if (r != 0)
		session_unref(s);
	return r == EAGAIN ? -ENOMEM : -r; /* too many threads; EAGAIN would be "would block" to the caller */
}
