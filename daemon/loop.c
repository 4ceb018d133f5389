/*
 * The event loop, on libevent's epoll backend
 *
 * Timers are our own (timers.c), on one timerfd: libevent's plain timers use the coarse clock (up
 * to 10 ms late, longer than the recall bound), its precise ones cost a system call in every turn.
 * Ours cost one when the soonest deadline comes nearer, and none otherwise.
 *
 * Invariant: if a timer is armed, either the timerfd is set to no later than the soonest deadline
 * or `turn`, an event that fires after the next poll, is pending.
 */
#include <event2/event.h>
#include <signal.h>
#include <sys/queue.h>
#include <sys/timerfd.h>
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/timers.h"

struct loop {
	struct event_base *base;
	struct timers timers;
	uint64_t alarm_ns; /* when the timerfd fires; UINT64_MAX: it does not */
	int timer_fd;
	struct event *alarm; /* the timerfd */
	struct event *turn;  /* deferred calls */
	struct event *next_dear;
	TAILQ_HEAD(, loop_io) dear; /* ready, and waiting for their turn */
	size_t n_handles;
	void (*on_activity)(void *ctx); /* NULL: nobody asks */
	void *activity_ctx;
};

struct loop_io {
	struct loop *loop;
	struct event *event;
	int fd;
	unsigned events;
	void (*fn)(void *ctx, unsigned ready);
	void *ctx;
	bool is_dear;
	unsigned waiting; /* what it is ready for, while it waits for its turn; 0: it does not wait */
	TAILQ_ENTRY(loop_io) dear_link;
};

struct loop_timer {
	struct loop *loop;
	struct timer timer;
	void (*fn)(void *ctx);
	void *ctx;
};

struct loop_signal {
	struct loop *loop;
	struct event *event;
	void (*fn)(void *ctx);
	void *ctx;
};

/* What libevent would print itself. The same failure also comes back as a result. */
static void on_libevent_log(int severity, const char *text)
{
	log_limited(severity == EVENT_LOG_DEBUG ? LOG_DEBUG : LOG_WARNING, "libevent: %s", text);
}

/* libevent tells failure by -1 and, if it was the kernel, errno. */
static int event_error(void)
{
	return errno ? -errno : -ENOMEM;
}

/* Makes sure that we wake up for the soonest timer. */
static int alarm_arm(struct loop *l)
{
	const struct timer *first = timers_first(&l->timers);
	struct itimerspec when = { 0 };

	if (!first || first->at_ns >= l->alarm_ns)
		return 0;
	if (first->at_ns <= now_ns()) {
		const struct timeval now = { 0 };

		errno = 0;
		return event_add(l->turn, &now) < 0 ? event_error() : 0;
	}
	when.it_value.tv_sec = (time_t)(first->at_ns / NSEC_PER_SEC);
	when.it_value.tv_nsec = (long)(first->at_ns % NSEC_PER_SEC);
	if (timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) < 0)
		return -errno;
	l->alarm_ns = first->at_ns;
	return 0;
}

/*
 * Runs what is due now. What a callback arms from here on is due later than `now`, so each turn
 * is finite.
 */
static void run_due(struct loop *l)
{
	uint64_t now = now_ns();
	struct timer *first;

	while ((first = timers_first(&l->timers)) && first->at_ns <= now) {
		struct loop_timer *t = container_of(first, struct loop_timer, timer);

		timers_unset(&l->timers, first);
		t->fn(t->ctx); /* may free t */
	}
	if (alarm_arm(l) < 0)
		event_active(l->turn, EV_TIMEOUT, 0); /* cannot sleep: come round again */
}

static void on_alarm(evutil_socket_t fd, _unused_ short what, void *ctx)
{
	struct loop *l = ctx;
	uint64_t n;

	if (read(fd, &n, sizeof(n)) == sizeof(n))
		l->alarm_ns = UINT64_MAX;
	run_due(l);
}

static void on_turn(_unused_ evutil_socket_t fd, _unused_ short what, void *ctx)
{
	run_due(ctx);
}

static void call(struct loop_io *io, unsigned ready)
{
	if (unlikely(io->loop->on_activity))
		take(io->loop->on_activity)(io->loop->activity_ctx);
	io->fn(io->ctx, ready); /* may free io */
}

/* ---- dear descriptors ---- */

/* It does not wait for its turn any more. */
static void leave_turn(struct loop_io *io)
{
	if (io->waiting)
		TAILQ_REMOVE(&io->loop->dear, io, dear_link);
	io->waiting = 0;
}

/* One, and then the others are polled before the next one. */
static void on_dear(_unused_ evutil_socket_t fd, _unused_ short what, void *ctx)
{
	const struct timeval now = { 0 };
	struct loop *l = ctx;
	struct loop_io *io = TAILQ_FIRST(&l->dear);
	unsigned ready;

	if (!io)
		return;
	ready = io->waiting;
	leave_turn(io);
	if (!TAILQ_EMPTY(&l->dear) && event_add(l->next_dear, &now) < 0)
		event_active(l->next_dear, EV_TIMEOUT, 0); /* no memory: without a poll in between */
	call(io, ready);
}

/* It stays polled: what is ready and waits only makes the turns short, of which there are some to come anyway. */
static void wait_for_turn(struct loop_io *io, unsigned ready)
{
	if (!io->waiting) {
		TAILQ_INSERT_TAIL(&io->loop->dear, io, dear_link);
		event_active(io->loop->next_dear, EV_TIMEOUT, 0);
	}
	io->waiting = ready;
}

static void on_io(_unused_ evutil_socket_t fd, short what, void *ctx)
{
	struct loop_io *io = ctx;
	unsigned ready = 0;

	if (what & EV_READ)
		ready |= LOOP_READ;
	if (what & EV_WRITE)
		ready |= LOOP_WRITE;
	if (io->is_dear)
		wait_for_turn(io, ready);
	else
		call(io, ready);
}

/* ---- the loop ---- */

struct loop *loop_free(struct loop *l)
{
	if (!l)
		return NULL;
	assert(!l->n_handles && "handles go before their loop");
	if (l->turn)
		event_free(l->turn);
	if (l->next_dear)
		event_free(l->next_dear);
	if (l->alarm)
		event_free(l->alarm);
	if (l->base)
		event_base_free(l->base);
	timers_deinit(&l->timers);
	close_fd(&l->timer_fd);
	free(l);
	return NULL;
}

static void loop_freep(struct loop **l)
{
	loop_free(*l);
}

int loop_new(struct loop **out)
{
	_cleanup_(loop_freep) struct loop *l = calloc(1, sizeof(*l));
	struct event_config *config;

	if (!l)
		return -ENOMEM;
	event_set_log_callback(on_libevent_log);
	l->timer_fd = -1;
	l->alarm_ns = UINT64_MAX;
	TAILQ_INIT(&l->dear);
	config = event_config_new();
	if (!config)
		return -ENOMEM;
	/* one thread, and nobody else's environment variables decide the backend */
	(void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV |
						    EVENT_BASE_FLAG_NO_CACHE_TIME);
	errno = 0;
	l->base = event_base_new_with_config(config);
	event_config_free(config);
	if (!l->base)
		return event_error();
	l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (l->timer_fd < 0)
		return -errno;
	errno = 0;
	l->alarm = event_new(l->base, l->timer_fd, EV_READ | EV_PERSIST, on_alarm, l);
	l->turn = event_new(l->base, -1, 0, on_turn, l);
	l->next_dear = event_new(l->base, -1, 0, on_dear, l);
	if (!l->alarm || !l->turn || !l->next_dear || event_add(l->alarm, NULL) < 0)
		return event_error();
	*out = take(l);
	return 0;
}

int loop_run(struct loop *l)
{
	errno = 0;
	if (event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0)
		return errno ? -errno : -EIO;
	return 0;
}

void loop_stop(struct loop *l)
{
	(void)event_base_loopexit(l->base, NULL);
}

/* ---- descriptors ---- */

void loop_on_activity(struct loop *l, void (*fn)(void *ctx), void *ctx)
{
	l->on_activity = fn;
	l->activity_ctx = ctx;
}

void loop_io_dear(struct loop_io *io, bool is_dear)
{
	io->is_dear = is_dear;
}

int loop_io_set(struct loop_io *io, unsigned events)
{
	short what = EV_PERSIST;

	if (events == io->events)
		return 0;
	leave_turn(io);
	if (events & LOOP_READ)
		what |= EV_READ;
	if (events & LOOP_WRITE)
		what |= EV_WRITE;
	errno = 0;
	if (io->events && event_del(io->event) < 0)
		return event_error();
	io->events = 0;
	if (!events)
		return 0;
	if (event_assign(io->event, io->loop->base, io->fd, what, on_io, io) < 0 ||
	    event_add(io->event, NULL) < 0)
		return event_error();
	io->events = events;
	return 0;
}

struct loop_io *loop_io_free(struct loop_io *io)
{
	if (!io)
		return NULL;
	leave_turn(io);
	io->loop->n_handles--;
	event_free(io->event);
	free(io);
	return NULL;
}

int loop_io_new(struct loop_io **out, struct loop *l, int fd, unsigned events,
		void (*fn)(void *ctx, unsigned ready), void *ctx)
{
	struct loop_io *io = malloc(sizeof(*io));
	int r;

	if (!io)
		return -ENOMEM;
	*io = (struct loop_io){ .loop = l, .fd = fd, .fn = fn, .ctx = ctx };
	io->event = event_new(l->base, fd, EV_READ | EV_PERSIST, on_io, io);
	if (!io->event) {
		free(io);
		return -ENOMEM;
	}
	l->n_handles++;
	r = loop_io_set(io, events);
	if (r < 0) {
		loop_io_free(io);
		return r;
	}
	*out = io;
	return 0;
}

/* ---- timers ---- */

int loop_timer_new(struct loop_timer **out, struct loop *l, void (*fn)(void *ctx), void *ctx)
{
	struct loop_timer *t = malloc(sizeof(*t));

	if (!t)
		return -ENOMEM;
	if (timers_reserve(&l->timers) < 0) {
		free(t);
		return -ENOMEM;
	}
	*t = (struct loop_timer){ .loop = l, .timer = TIMER_NULL, .fn = fn, .ctx = ctx };
	l->n_handles++;
	*out = t;
	return 0;
}

int loop_timer_set(struct loop_timer *t, uint64_t in_ns)
{
	uint64_t now = now_ns();

	timers_set(&t->loop->timers, &t->timer, in_ns > UINT64_MAX - 1 - now ? UINT64_MAX - 1 : now + in_ns);
	return alarm_arm(t->loop);
}

void loop_timer_unset(struct loop_timer *t)
{
	timers_unset(&t->loop->timers, &t->timer);
}

struct loop_timer *loop_timer_free(struct loop_timer *t)
{
	if (!t)
		return NULL;
	timers_unset(&t->loop->timers, &t->timer);
	timers_unreserve(&t->loop->timers);
	t->loop->n_handles--;
	free(t);
	return NULL;
}

/* ---- signals ---- */

static void on_signal(_unused_ evutil_socket_t fd, _unused_ short what, void *ctx)
{
	struct loop_signal *s = ctx;

	s->fn(s->ctx); /* may free s */
}

struct loop_signal *loop_signal_free(struct loop_signal *s)
{
	if (!s)
		return NULL;
	s->loop->n_handles--;
	event_free(s->event);
	free(s);
	return NULL;
}

int loop_signal_new(struct loop_signal **out, struct loop *l, int signo, void (*fn)(void *ctx), void *ctx)
{
	struct loop_signal *s = malloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	*s = (struct loop_signal){ .loop = l, .fn = fn, .ctx = ctx };
	errno = 0;
	s->event = evsignal_new(l->base, signo, on_signal, s);
	if (!s->event || evsignal_add(s->event, NULL) < 0) {
		int r = event_error();

		if (s->event)
			event_free(s->event);
		free(s);
		return r;
	}
	l->n_handles++;
	*out = s;
	return 0;
}
