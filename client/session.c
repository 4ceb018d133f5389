/*
 * session.c: see session.h
 *
 * Locks, in the order in which they may nest: sessions.lock (which sessions exist, which is current), s->event_lock (the
 * helper reads and handles an event, the handler taking the layer above's locks), s->call_lock (the call socket and the
 * areas), s->pending_lock. The layer above may hold its own locks around session_post, session_kick and
 * session_raise, which take none of them.
 */
#include "client/session.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "client/areas.h"
#include "client/cancel.h"
#include "client/link.h"
#include "client/lock.h"
#include "proto/codec.h"

#define HELPER_STACK (256 * 1024)

struct session {
	LIST_ENTRY(session) link;
	_Atomic uint32_t refs;
	_Atomic bool down;
	struct link io;
	int kick_fd;
	_Atomic pid_t helper_tid; /* 0 until it runs. By tid, for the thread may be gone when somebody asks for it */
	_Atomic int32_t helper_priority;
	_Atomic uint32_t next_id;
	struct lock event_lock;
	struct lock call_lock;
	struct areas areas;
	struct lock pending_lock;
	TAILQ_HEAD(, pending) pending;
};

static struct {
	struct lock lock;
	struct session *current; /* holds a reference */
	LIST_HEAD(, session) all;
	const struct session_handler *handler;
} sessions;

static pthread_once_t sessions_once = PTHREAD_ONCE_INIT;
static __thread char problem[256];

static void sessions_init(void)
{
	lock_init(&sessions.lock);
	LIST_INIT(&sessions.all);
}

void session_set_handler(const struct session_handler *handler)
{
	(void)pthread_once(&sessions_once, sessions_init);
	sessions.handler = handler;
}

const char *session_problem(void)
{
	return problem;
}

void session_set_problem(const char *text)
{
	(void)snprintf(problem, sizeof(problem), "%s", text);
}

bool session_is_up(const struct session *s)
{
	return !atomic_load_explicit(&s->down, memory_order_acquire);
}

uint64_t session_max_heap(const struct session *s)
{
	return s->io.welcome.max_heap;
}

struct session *session_ref(struct session *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

static void session_free(struct session *s)
{
	areas_deinit(&s->areas);
	close_fd(&s->kick_fd);
	link_close(&s->io);
	free(s);
}

void session_unref(struct session *s)
{
	if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	lock_take(&sessions.lock);
	LIST_REMOVE(s, link);
	lock_give(&sessions.lock);
	session_free(s);
}

/* ---- going down ---- */

/* From any thread: no more calls; the helper notices the end of the event socket and does the rest. */
static void session_hang_up(struct session *s)
{
	atomic_store_explicit(&s->down, true, memory_order_release);
	(void)shutdown(s->io.call_fd, SHUT_RDWR);
	(void)shutdown(s->io.event_fd, SHUT_RDWR);
}

static void pending_end(struct pending *p, int result)
{
	const _Atomic uint32_t *word = &p->done;

	p->result = result;
	atomic_store_explicit(&p->done, 1, memory_order_release);
	futex_wake(word, 1); /* p may be gone: only its address is used */
}

static void end_all_pending(struct session *s)
{
	struct pending *p;

	lock_take(&s->pending_lock);
	while ((p = TAILQ_FIRST(&s->pending))) {
		TAILQ_REMOVE(&s->pending, p, link);
		pending_end(p, -ECONNREFUSED);
	}
	lock_give(&s->pending_lock);
}

/* ---- the helper thread ---- */

/* EV_BOUND: to the thread that waits for it. An event for nobody: its fds are closed with the frame. */
static void take_bound(struct session *s, struct frame *f, int result)
{
	struct pending *p;

	lock_take(&s->pending_lock);
	TAILQ_FOREACH(p, &s->pending, link) {
		if (p->id == f->header.id)
			break;
	}
	if (p) {
		TAILQ_REMOVE(&s->pending, p, link);
		p->frame = *f;
		f->n_fds = 0; /* they are p's now */
		pending_end(p, result);
	}
	lock_give(&s->pending_lock);
}

/* One event, read and handled. 0; -EAGAIN: there is none, now; another -errno ends the session. */
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
		sessions.handler->event(s, &f);
	frame_close_fds(&f);
	return r;
}

/* Reads all events that are there. 0, or the error that ends the session. */
static int read_events(struct session *s)
{
	int r;

	do {
		lock_take(&s->event_lock);
		r = read_event(s);
		lock_give(&s->event_lock);
	} while (r == 0);
	return r == -EAGAIN ? 0 : r;
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

static void *helper_main(void *arg)
{
	struct session *s = arg;
	int wait_ms = -1;

	(void)pthread_setname_np(pthread_self(), "heapclient");
	atomic_store(&s->helper_tid, (pid_t)syscall(SYS_gettid));
	helper_set_priority(s);
	for (;;) {
		struct pollfd fds[2] = {
			{ .fd = s->io.event_fd, .events = POLLIN },
			{ .fd = s->kick_fd, .events = POLLIN },
		};
		uint64_t kicks;

		if (poll(fds, ARRAY_SIZE(fds), wait_ms) < 0) {
			if (errno != EINTR && errno != ENOMEM && errno != EAGAIN)
				break;
			if (errno != EINTR)
				link_pause();
			continue;
		}
		if ((fds[1].revents & POLLIN) && read(s->kick_fd, &kicks, sizeof(kicks)) < 0 && errno != EAGAIN)
			break;
		if (fds[0].revents && read_events(s) < 0)
			break;
		wait_ms = sessions.handler->tick(s);
	}
	session_hang_up(s);
	end_all_pending(s);
	sessions.handler->down(s);
	session_unref(s);
	return NULL;
}

/* All signals stay with the program's own threads. */
static int helper_start(struct session *s)
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

void session_kick(struct session *s)
{
	uint64_t one = 1;

	if (write(s->kick_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is kicked already */
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

/* ---- making one ---- */

static int session_new(struct session **out)
{
	struct session *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->kick_fd = -1;
	r = link_open(&s->io, problem, sizeof(problem));
	if (r < 0) {
		free(s);
		/* who listens and is no heapd, or does not answer, is as good as nobody; the problem's text tells which */
		return r == -EPROTO || r == -ETIMEDOUT ? -ECONNREFUSED : r;
	}
	atomic_init(&s->refs, 1);
	atomic_init(&s->next_id, 1);
	lock_init(&s->event_lock);
	lock_init(&s->call_lock);
	lock_init(&s->pending_lock);
	TAILQ_INIT(&s->pending);
	areas_init(&s->areas, s->io.control_fd, s->io.stats_fd, s->io.welcome.n_slots);
	s->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = s->kick_fd >= 0 ? helper_start(s) : errno == ENOMEM ? -ENOMEM : -EMFILE;
	if (r < 0) {
		(void)snprintf(problem, sizeof(problem), "no helper thread: %s", strerror(-r));
		session_free(s);
		return r;
	}
	*out = s;
	return 0;
}

int session_get(struct session **out)
{
	_no_cancel_ int cancel = cancel_disable();
	struct session *old = NULL;
	int r = 0;

	(void)pthread_once(&sessions_once, sessions_init);
	lock_take(&sessions.lock);
	if (sessions.current && !session_is_up(sessions.current))
		old = take(sessions.current);
	if (!sessions.current) {
		r = session_new(&sessions.current);
		if (r == 0)
			LIST_INSERT_HEAD(&sessions.all, sessions.current, link);
	}
	if (r == 0) {
		problem[0] = '\0';
		*out = session_ref(sessions.current);
	}
	lock_give(&sessions.lock);
	session_unref(old);
	return r;
}

void session_forget_all(void)
{
	struct session *s;

	lock_init(&sessions.lock);
	LIST_FOREACH(s, &sessions.all, link) {
		atomic_store(&s->down, true);
		close_fd(&s->kick_fd);
		link_close(&s->io);
	}
	/* their memory may be in any state (another thread of the parent was in the middle of something): leave it */
	LIST_INIT(&sessions.all);
	sessions.current = NULL;
}

/* ---- calls ---- */

uint32_t session_new_id(struct session *s)
{
	uint32_t id = atomic_fetch_add_explicit(&s->next_id, 1, memory_order_relaxed);

	return id ? id : atomic_fetch_add_explicit(&s->next_id, 1, memory_order_relaxed);
}

int session_call_id(struct session *s, struct frame *f, uint32_t id)
{
	_no_cancel_ int cancel = cancel_disable();
	int r = -ECONNREFUSED;

	f->header.id = id;
	lock_take(&s->call_lock);
	if (session_is_up(s))
		r = link_call(s->io.call_fd, f);
	lock_give(&s->call_lock);
	if (r >= 0 || r == -EMFILE)
		return r;
	session_hang_up(s);
	return -ECONNREFUSED;
}

int session_call(struct session *s, struct frame *f)
{
	return session_call_id(s, f, session_new_id(s));
}

int session_post(struct session *s, const struct frame *f)
{
	int r = session_is_up(s) ? channel_send(s->io.event_fd, f, MSG_DONTWAIT) : -ECONNREFUSED;

	if (channel_is_short(r))
		return -EAGAIN;
	return r < 0 && r != -EAGAIN ? -ECONNREFUSED : r;
}

void session_wait_writable(struct session *s)
{
	struct pollfd fd = { .fd = s->io.event_fd, .events = POLLOUT };

	/* at once: it was the kernel that had no memory */
	if (poll(&fd, 1, 100) != 0)
		link_pause();
}

static void pending_add(struct session *s, struct pending *p)
{
	lock_take(&s->pending_lock);
	TAILQ_INSERT_TAIL(&s->pending, p, link);
	lock_give(&s->pending_lock);
}

/* Off the list, unless its end is in it already. Whether it was still there. */
static bool pending_remove(struct session *s, struct pending *p)
{
	bool there;

	lock_take(&s->pending_lock);
	there = !atomic_load_explicit(&p->done, memory_order_acquire);
	if (there)
		TAILQ_REMOVE(&s->pending, p, link);
	lock_give(&s->pending_lock);
	return there;
}

int session_start(struct session *s, struct pending *p)
{
	struct frame reply = p->frame; /* the event may be stored in p before the reply is read */
	int r;

	p->id = session_new_id(s);
	p->result = 0;
	atomic_init(&p->done, 0);
	pending_add(s, p);
	r = session_call_id(s, &reply, p->id);
	if (r == 0 && reply.header.status == STATUS_PARKED)
		return STATUS_PARKED;
	if (!pending_remove(s, p))
		frame_close_fds(&p->frame); /* an event came, and the session broke before its PARKED did */
	p->frame = reply;
	return r;
}

int session_await(struct session *s, struct pending *p, uint64_t deadline, bool interruptible)
{
	int r;

	(void)s;
	while (!atomic_load_explicit(&p->done, memory_order_acquire)) {
		r = futex_wait(&p->done, 0, deadline);
		if (r == -ETIMEDOUT || (r == -EINTR && interruptible)) {
			if (atomic_load_explicit(&p->done, memory_order_acquire))
				break;
			return r;
		}
	}
	return p->result;
}

int session_cancel(struct session *s, struct pending *p)
{
	struct frame f;
	struct wire_cancel *body = frame_init(&f, OP_CANCEL, 0, 0, sizeof(*body));
	int r;

	body->id = p->id;
	r = session_call(s, &f);
	if (r == 0 && f.header.status == STATUS_OK && pending_remove(s, p))
		return -ECANCELED;
	/* LATE: the event is on its way. Down: the helper ends it, or has. */
	r = session_await(s, p, FOREVER, false);
	return r == -ECONNREFUSED ? -ECANCELED : r;
}

int session_slot(struct session *s, uint32_t slot, const struct wire_control **control, struct wire_stats **stats)
{
	int r;

	lock_take(&s->call_lock);
	r = areas_slot(&s->areas, slot, control, stats);
	lock_give(&s->call_lock);
	return r;
}
