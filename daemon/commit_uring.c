/*
 * Steps through io_uring; the only user of liburing
 *
 * fallocate and madvise are always passed to the kernel's own threads for this ring (io-wq), so a
 * submission returns at once. Completions come through an eventfd in the loop.
 *
 * Whether the kernel really lets us shows only in the results: the setup may succeed and an
 * operation be refused. commit.c draws the conclusion.
 */
#include <dirent.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include "daemon/ring.h"
#include "daemon/rt.h"

#define DEPTH 8

struct ring {
	struct io_uring uring;
	bool made;
	bool broken; /* a submission failed */
	unsigned in_flight;
	int event_fd;
	struct loop_io *io;
};

/* Calls done() of all that has completed. A done() may push again. */
static void reap(struct ring *r)
{
	struct io_uring_cqe *cqe;

	while (!io_uring_peek_cqe(&r->uring, &cqe)) {
		struct step *s = io_uring_cqe_get_data(cqe);

		s->result = cqe->res < 0 ? cqe->res : 0;
		io_uring_cqe_seen(&r->uring, cqe);
		r->in_flight--;
		s->done(s); /* may free s */
	}
}

static void on_event(void *ctx, _unused_ unsigned ready)
{
	struct ring *r = ctx;
	uint64_t n;

	if (read(r->event_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		return;
	reap(r);
}

static void prepare(struct io_uring_sqe *sqe, struct step *s)
{
	if (s->kind == STEP_FALLOCATE)
		io_uring_prep_fallocate(sqe, s->fd, 0, (off_t)s->offset, (off_t)s->length);
	else
		io_uring_prep_madvise(sqe, (char *)s->map + s->offset, (off_t)s->length,
				      MADV_POPULATE_READ);
	io_uring_sqe_set_data(sqe, s);
}

int ring_push(struct ring *r, struct step *s)
{
	struct io_uring_sqe *sqe;
	int n;

	if (s->kind != STEP_FILL && s->kind != STEP_FALLOCATE && s->kind != STEP_POPULATE)
		return -EINVAL;
	if (r->broken)
		return -EIO;
	sqe = r->in_flight < DEPTH ? io_uring_get_sqe(&r->uring) : NULL;
	if (!sqe)
		return -EBUSY;
	prepare(sqe, s);
	n = io_uring_submit(&r->uring);
	if (n != 1) {
		r->broken = true; /* the entry stays in the queue: nothing may be submitted after it */
		return n < 0 ? n : -EIO;
	}
	r->in_flight++;
	return 0;
}

struct ring *ring_free(struct ring *r)
{
	struct io_uring_cqe *cqe;

	if (!r)
		return NULL;
	while (r->in_flight) {
		int e = io_uring_wait_cqe(&r->uring, &cqe);

		assert((!e || e == -EINTR || e == -EAGAIN) && "a ring with work in flight can be waited for");
		reap(r);
	}
	if (r->made)
		io_uring_queue_exit(&r->uring);
	loop_io_free(r->io);
	close_fd(&r->event_fd);
	free(r);
	return NULL;
}

/*
 * The kernel's threads for the ring are its own, but scheduled as ours: they inherit from this one.
 * The first stays for good, so it is enough to look for it once it is there.
 */
static void send_to_background(void)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *e;

	while (tasks && (e = readdir(tasks))) {
		char path[sizeof("/proc/self/task//comm") + sizeof(e->d_name)], comm[16] = "";
		_cleanup_fd_ int fd = -1;

		(void)snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && read(fd, comm, sizeof(comm) - 1) > 0 && !strncmp(comm, "iou-wrk-", 8))
			rt_background((pid_t)strtol(e->d_name, NULL, 10));
	}
	if (tasks)
		(void)closedir(tasks);
}

/*
 * One operation for a trial: shows early if they are refused, and brings the kernel's thread to
 * life.
 */
static int try_out(struct ring *r)
{
	_cleanup_fd_ int fd = memfd_create("heapd-trial", MFD_CLOEXEC);
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->uring);
	struct io_uring_cqe *cqe;
	int e;

	if (fd < 0)
		return -errno;
	if (!sqe)
		return -EBUSY;
	io_uring_prep_fallocate(sqe, fd, 0, 0, (off_t)HW_PAGE_SIZE);
	e = io_uring_submit_and_wait(&r->uring, 1);
	if (e < 0)
		return e;
	e = io_uring_wait_cqe(&r->uring, &cqe);
	if (e < 0)
		return e;
	e = cqe->res;
	io_uring_cqe_seen(&r->uring, cqe);
	if (!e)
		send_to_background();
	return e;
}

static void ring_freep(struct ring **r)
{
	ring_free(*r);
}

int ring_new(struct ring **out, struct loop *l)
{
	_cleanup_(ring_freep) struct ring *r = calloc(1, sizeof(*r));
	unsigned workers[2] = { 1, 1 }; /* bounded ones (our operations) and unbounded ones */
	int e;

	if (!r)
		return -ENOMEM;
	r->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->event_fd < 0)
		return -errno;
	e = io_uring_queue_init(DEPTH, &r->uring, 0);
	if (e < 0)
		return e;
	r->made = true;
	(void)io_uring_register_iowq_max_workers(&r->uring, workers); /* since 5.15; else the kernel's own bound */
	e = try_out(r);
	if (e < 0)
		return e;
	e = io_uring_register_eventfd(&r->uring, r->event_fd);
	if (e < 0)
		return e;
	e = loop_io_new(&r->io, l, r->event_fd, LOOP_READ, on_event, r);
	if (e < 0)
		return e;
	*out = take(r);
	return 0;
}
