/*
 * Two inboxes: what is to run, what has run. Behind each an eventfd: one the thread sleeps on, one
 * that is in the loop.
 *
 * Invariant: a step is in one inbox, or being run, or with its owner. An inbox that is not empty
 * has an eventfd that is not zero, or somebody who has read it and has yet to look.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include "daemon/inbox.h"
#include "daemon/rt.h"
#include "daemon/worker.h"

struct worker {
	pthread_t thread;
	bool started;
	struct inbox todo, ran;
	_Atomic bool stop; /* end when todo is empty */
	int todo_fd, ran_fd;
	struct loop_io *io;
	char name[16];
};

/* An eventfd that is full is readable all the same. */
static void ring_bell(int fd)
{
	const uint64_t one = 1;
	ssize_t n = write(fd, &one, sizeof(one));

	assert((n == sizeof(one) || errno == EAGAIN) && "an eventfd takes a 1");
	(void)n;
}

static void hear_bell(int fd)
{
	uint64_t n;
	ssize_t r;

	do
		r = read(fd, &n, sizeof(n));
	while (r < 0 && errno == EINTR);
}

static void run_all(struct worker *w, struct step *s)
{
	while (s) {
		struct step *next = s->next;

		s->result = step_run(s);
		inbox_push(&w->ran, s); /* no longer ours */
		ring_bell(w->ran_fd);
		s = next;
	}
}

static void *run(void *ctx)
{
	struct worker *w = ctx;

	(void)pthread_setname_np(pthread_self(), w->name);
	rt_background(0);
	for (;;) {
		/* first the flag: what was pushed before it was set is then in the inbox */
		bool stop = atomic_load_explicit(&w->stop, memory_order_acquire);
		struct step *s = inbox_take(&w->todo);

		if (s)
			run_all(w, s);
		else if (stop)
			return NULL;
		else
			hear_bell(w->todo_fd);
	}
}

/* A done() may push new steps; when they have run the bell rings again. */
static void deliver(struct worker *w)
{
	struct step *s = inbox_take(&w->ran);

	while (s) {
		struct step *next = s->next;

		s->done(s); /* may free s */
		s = next;
	}
}

static void on_ran(void *ctx, _unused_ unsigned ready)
{
	struct worker *w = ctx;

	hear_bell(w->ran_fd);
	deliver(w);
}

void worker_push(struct worker *w, struct step *s)
{
	inbox_push(&w->todo, s);
	ring_bell(w->todo_fd);
}

static void join(struct worker *w)
{
	atomic_store_explicit(&w->stop, true, memory_order_release);
	ring_bell(w->todo_fd);
	(void)pthread_join(w->thread, NULL);
}

struct worker *worker_free(struct worker *w)
{
	if (!w)
		return NULL;
	if (w->started) {
		join(w);
		deliver(w);
		assert(!inbox_take(&w->todo) && "no step is pushed from the done() of a last one");
	}
	loop_io_free(w->io);
	close_fd(&w->todo_fd);
	close_fd(&w->ran_fd);
	free(w);
	return NULL;
}

static void worker_freep(struct worker **w)
{
	worker_free(*w);
}

/* A new thread inherits the mask: none of the daemon's signals shall end up in it. */
static int start(struct worker *w)
{
	sigset_t all, before;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&w->thread, NULL, run, w);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	w->started = !r;
	return r;
}

int worker_new(struct worker **out, struct loop *l, const char *name)
{
	_cleanup_(worker_freep) struct worker *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->todo_fd = w->ran_fd = -1;
	strncpy(w->name, name, sizeof(w->name) - 1);
	w->todo_fd = eventfd(0, EFD_CLOEXEC); /* blocking: the thread sleeps on it */
	if (w->todo_fd < 0)
		return -errno;
	w->ran_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->ran_fd < 0)
		return -errno;
	r = loop_io_new(&w->io, l, w->ran_fd, LOOP_READ, on_ran, w);
	if (r < 0)
		return r;
	r = start(w);
	if (r < 0)
		return r;
	*out = take(w);
	return 0;
}
