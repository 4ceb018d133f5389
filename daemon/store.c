/*
 * store.c: see store.h
 *
 * The protocol is that of sd_notify(3): a datagram of lines, descriptors beside it. It is spoken by
 * hand here since sd_pid_notify_with_fds() and sd_notify_barrier() may block.
 *
 * A sync is a BARRIER=1 with the writing end of a pipe: systemd closes it when it has handled all
 * that came before, and the reading end tells. One barrier is on its way at a time; who comes
 * meanwhile goes with the next.
 */
#include "daemon/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "daemon/log.h"
#include "daemon/point.h"
#include "daemon/socket.h"
#include "proto/channel.h"

#define RETRY_NS (20 * NSEC_PER_MSEC)
#define TEXT_SIZE 96

struct message {
	STAILQ_ENTRY(message) link;
	char text[TEXT_SIZE];
	int fds[STORE_FDS_MAX];
	uint32_t n_fds;
};

struct store {
	struct loop *loop;
	int fd;              /* to systemd */
	struct loop_io *io;  /* while messages wait */
	struct loop_timer *retry;
	uint32_t n, max;     /* descriptors in it */
	STAILQ_HEAD(, message) queue;
	TAILQ_HEAD(, store_wait) waits; /* those of the barrier on its way first */
	int pipe_fd;         /* -1: no barrier is on its way */
	uint64_t barrier;    /* the last one that was sent */
	struct loop_io *pipe_io;
};

/* ---- messages ---- */

static void fill_control(struct msghdr *msg, void *control, const int *fds, uint32_t n)
{
	struct cmsghdr *c;

	msg->msg_control = control;
	msg->msg_controllen = CMSG_SPACE(n * sizeof(int));
	c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
}

/* 0; -EAGAIN; another -errno. */
static int say(const struct store *s, const char *text, const int *fds, uint32_t n)
{
	union {
		char bytes[CMSG_SPACE(STORE_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = {.bytes = {0}};
	struct iovec iov = {.iov_base = (char *)(uintptr_t)text, .iov_len = strlen(text)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n)
		fill_control(&msg, control.bytes, fds, n);
	return sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void message_free(struct message *m)
{
	for (uint32_t i = 0; i < m->n_fds; i++)
		close_fd(&m->fds[i]);
	free(m);
}

static int enqueue(struct store *s, const char *text, const int *fds, uint32_t n)
{
	struct message *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	(void)snprintf(m->text, sizeof(m->text), "%s", text);
	for (; m->n_fds < n; m->n_fds++) {
		m->fds[m->n_fds] = fcntl(fds[m->n_fds], F_DUPFD_CLOEXEC, 3);
		if (m->fds[m->n_fds] < 0) {
			int r = -errno;

			message_free(m);
			return r;
		}
	}
	STAILQ_INSERT_TAIL(&s->queue, m, link);
	(void)loop_io_set(s->io, LOOP_WRITE);
	return 0;
}

static void lost(int r)
{
	log_limited(LOG_WARNING, "systemd does not take what is to be stored: %s", strerror(-r));
}

/* Sends it, or keeps it until it can be sent. 0, or it will never be: -errno. */
static int tell(struct store *s, const char *text, const int *fds, uint32_t n)
{
	int r = STAILQ_EMPTY(&s->queue) ? say(s, text, fds, n) : -EAGAIN;

	if (r == -EAGAIN)
		r = enqueue(s, text, fds, n);
	if (r < 0)
		lost(r);
	return r;
}

static void on_writable(void *ctx, _unused_ unsigned ready)
{
	struct store *s = ctx;
	struct message *m;

	while ((m = STAILQ_FIRST(&s->queue))) {
		int r = say(s, m->text, m->fds, m->n_fds);

		if (r == -EAGAIN || channel_is_short(r) || r == -ETOOMANYREFS)
			return; /* in the next turn, or the one after: what follows it must not overtake it */
		if (r < 0)
			lost(r);
		STAILQ_REMOVE_HEAD(&s->queue, link);
		message_free(m);
	}
	(void)loop_io_set(s->io, 0);
}

/* ---- barriers ---- */

static void barrier_send(struct store *s);

static void barrier_over(struct store *s)
{
	uint64_t over = s->barrier;
	struct store_wait *w;

	POINT(BARRIER_OVER);
	s->pipe_io = loop_io_free(s->pipe_io);
	close_fd(&s->pipe_fd);
	while ((w = TAILQ_FIRST(&s->waits)) && w->barrier && w->barrier <= over) {
		TAILQ_REMOVE(&s->waits, w, link);
		w->store = NULL;
		w->fn(w->ctx); /* may free w, or wait anew */
	}
	if (!TAILQ_EMPTY(&s->waits))
		barrier_send(s);
}

static void on_barrier(void *ctx, _unused_ unsigned ready)
{
	barrier_over(ctx);
}

static int barrier_try(struct store *s)
{
	_cleanup_fd_ int theirs = -1;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	s->pipe_fd = fds[0];
	theirs = fds[1];
	r = loop_io_new(&s->pipe_io, s->loop, s->pipe_fd, LOOP_READ, on_barrier, s);
	if (!r)
		r = tell(s, "BARRIER=1", &theirs, 1);
	if (r < 0) {
		s->pipe_io = loop_io_free(s->pipe_io);
		close_fd(&s->pipe_fd);
	}
	return r;
}

static void barrier_send(struct store *s)
{
	struct store_wait *w;

	if (s->pipe_fd >= 0)
		return;
	if (barrier_try(s) < 0) {
		(void)loop_timer_set(s->retry, RETRY_NS);
		return;
	}
	POINT(BARRIER_SENT);
	s->barrier++;
	TAILQ_FOREACH(w, &s->waits, link) {
		if (!w->barrier)
			w->barrier = s->barrier;
	}
}

static void on_retry(void *ctx)
{
	struct store *s = ctx;

	if (!TAILQ_EMPTY(&s->waits))
		barrier_send(s);
}

void store_sync(struct store *s, struct store_wait *w, void (*fn)(void *ctx), void *ctx)
{
	assert(!w->store && "it waits once");
	*w = (struct store_wait){.store = s, .fn = fn, .ctx = ctx};
	TAILQ_INSERT_TAIL(&s->waits, w, link);
	barrier_send(s);
}

void store_unwait(struct store_wait *w)
{
	struct store *s = take(w->store);

	if (s)
		TAILQ_REMOVE(&s->waits, w, link);
}

/* ---- what is in it ---- */

bool store_has_room(const struct store *s, uint32_t n)
{
	return s->n <= s->max && n <= s->max - s->n;
}

uint32_t store_max(const struct store *s)
{
	return s->max;
}

void store_count(struct store *s, uint32_t n)
{
	s->n += n;
}

void store_uncount(struct store *s, uint32_t n)
{
	s->n -= (uint32_t)min_u64(n, s->n);
}

int store_add(struct store *s, const char *name, const int *fds, uint32_t n)
{
	char text[TEXT_SIZE];
	int r;

	assert(n <= STORE_FDS_MAX && strlen(name) <= STORE_NAME_MAX);
	/* FDPOLL=0: systemd must not take a pidfd that has something to say for a broken one */
	(void)snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
	r = tell(s, text, fds, n);
	POINT(STORE_SENT);
	return r;
}

void store_remove(struct store *s, const char *name, uint32_t n)
{
	char text[TEXT_SIZE];

	(void)snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	if (!tell(s, text, NULL, 0))
		store_uncount(s, n);
	POINT(REMOVE_SENT);
}

bool store_is_sent(const struct store *s)
{
	return STAILQ_EMPTY(&s->queue);
}

/* ---- making ---- */

static uint32_t max_from(const char *name)
{
	const char *text = getenv(name);
	char *end;
	unsigned long n;

	if (!text || *text < '0' || *text > '9')
		return 0;
	n = strtoul(text, &end, 10);
	return *end ? 0 : (uint32_t)min_u64(n, UINT32_MAX);
}

struct store *store_free(struct store *s)
{
	struct store_wait *w;
	struct message *m;

	if (!s)
		return NULL;
	while ((w = TAILQ_FIRST(&s->waits)))
		store_unwait(w);
	while ((m = STAILQ_FIRST(&s->queue))) {
		STAILQ_REMOVE_HEAD(&s->queue, link);
		message_free(m);
	}
	loop_io_free(s->io);
	loop_io_free(s->pipe_io);
	loop_timer_free(s->retry);
	close_fd(&s->pipe_fd);
	close_fd(&s->fd);
	free(s);
	return NULL;
}

static void store_freep(struct store **s)
{
	store_free(*s);
}

int store_new(struct store **out, struct loop *l)
{
	_cleanup_(store_freep) struct store *s = NULL;
	const char *path = getenv("NOTIFY_SOCKET");
	uint32_t max = max_from("FDSTORE");
	int r;

	*out = NULL;
	if (!max)
		max = max_from("HEAPD_FD_STORE");
	if (!max || !path)
		return 0;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	*s = (struct store){.loop = l, .fd = -1, .pipe_fd = -1, .max = max};
	STAILQ_INIT(&s->queue);
	TAILQ_INIT(&s->waits);
	r = socket_connect(&s->fd, path);
	if (!r)
		r = loop_io_new(&s->io, l, s->fd, 0, on_writable, s);
	if (!r)
		r = loop_timer_new(&s->retry, l, on_retry, s);
	if (r < 0)
		return r;
	*out = take(s);
	return 0;
}
