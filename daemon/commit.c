/*
 * Jobs, cut into steps
 *
 * What a job does is its course (course.h). Jobs that can go on stand in a queue; at most WIDTH
 * steps are in flight. A step that ends puts its job at the end of the queue, so jobs take turns.
 *
 * Steps of ALLOCATE and POPULATE go to the ring, if there is one; all others to a worker thread.
 * Disposal has a thread of its own: closing the last descriptor of 8 GiB takes half a second. While
 * it is far behind no job goes on: who makes heaps faster than they can be thrown away waits, and
 * what is thrown away and not gone yet is bounded. The ring may be refused late (a seccomp filter, a
 * kernel setting): a step that fails with an error that may mean so is run again by the worker. If
 * it goes well there, the ring is done for.
 *
 * Invariant: a job is in the queue, or has exactly one step in flight, or its done() has run.
 */
#include <sys/queue.h>
#include "daemon/commit.h"
#include "daemon/course.h"
#include "daemon/log.h"
#include "daemon/memory.h"
#include "daemon/opener.h"
#include "daemon/ring.h"
#include "daemon/step.h"
#include "daemon/worker.h"

/*
 * Steps in flight. One keeps one CPU busy, in the background: measured on two CPUs, the p99 of
 * others' round trips does not move. More would end sooner and be in everybody's way.
 */
#define WIDTH 1
#define INTERRUPTED_MAX 100

struct task {
	TAILQ_ENTRY(task) link; /* jobs that can go on */
	LIST_ENTRY(task) all;
	struct committer *committer;
	struct commit_job *job;
	struct step step;
	struct course course;
	uint64_t claimed;              /* of free memory, not allocated yet */
	unsigned interrupted;
	bool by_worker; /* the step is the worker's second try of what the ring failed */
	int ring_error; /* as which it failed */
	bool cancelled;
};

struct committer {
	struct ring *ring;      /* NULL: none, or refused */
	struct ring *old_ring;  /* refused, may have steps in flight yet */
	struct worker *worker;
	struct worker *disposer;
	struct loop *loop;
	struct opener opener;   /* devices */
	struct memory memory;
	TAILQ_HEAD(, task) queue;
	LIST_HEAD(, task) tasks;
	unsigned n_tasks, in_flight;
	unsigned n_disposals; /* under way */
	bool told_unlocked;
	bool closing; /* committer_drain: no new jobs */
};

static void pump(struct committer *c);

/* ---- disposal ---- */

struct disposal {
	struct step step;
	struct committer *committer;
};

static void disposed(struct step *s)
{
	struct disposal *d = container_of(s, struct disposal, step);
	struct committer *c = d->committer;

	free(d);
	c->n_disposals--;
	pump(c);
}

static void dispose(struct committer *c, int fd, void *map, uint64_t size)
{
	struct step now = { .kind = STEP_DISPOSE, .fd = fd, .map = map, .length = size };
	struct disposal *d = malloc(sizeof(*d));

	if (!d) {
		(void)step_run(&now); /* better to block than to leak */
		return;
	}
	*d = (struct disposal){ .step = now, .committer = c };
	d->step.done = disposed;
	c->n_disposals++;
	worker_push(c->disposer, &d->step);
}

void commit_dispose(struct committer *c, int fd, void *map, uint64_t size)
{
	if (fd >= 0 || map)
		dispose(c, fd, map, size);
}

void commit_close(struct committer *c, int fd)
{
	if (fd >= 0)
		opener_close(&c->opener, fd);
}

/* ---- one task ---- */

static void advised_end(struct task *t)
{
	if (t->course.advised)
		dispose(t->committer, -1, take(t->course.advised), course_advised_size(t->job));
}

static void task_finish(struct task *t, int result)
{
	struct committer *c = t->committer;
	struct commit_job *job = t->job;

	memory_settle(&c->memory, t->claimed);
	advised_end(t);
	if (result < 0 && t->course.map)
		dispose(c, -1, take(t->course.map), job->size);
	job->map = t->course.map;
	job->locked = job->map;
	job->private_ = NULL;
	LIST_REMOVE(t, all);
	c->n_tasks--;
	free(t);
	job->done(job, result);
}

static void task_enqueue(struct task *t)
{
	TAILQ_INSERT_TAIL(&t->committer->queue, t, link);
}

static void settle(struct task *t, uint64_t allocated)
{
	uint64_t n = min_u64(allocated, t->claimed);

	memory_settle(&t->committer->memory, n);
	t->claimed -= n;
}

/* The step went well: what comes next? */
static void task_advance(struct task *t)
{
	t->interrupted = 0;
	if (t->step.kind == STEP_FALLOCATE)
		settle(t, t->step.length);
	course_advance(&t->course, t->job, &t->step);
	if (t->course.phase > UNADVISE)
		advised_end(t);
}

/* ---- errors of steps ---- */

static bool may_mean_refused(int error)
{
	switch (error) {
	case -EINVAL:
	case -EOPNOTSUPP:
	case -ENOSYS:
	case -EPERM:
	case -EACCES:
	case -EBADF:
	case -EIO:
		return true;
	default:
		return false;
	}
}

/*
 * Without CAP_IPC_LOCK, beyond RLIMIT_MEMLOCK: EPERM when the limit is 0, ENOMEM or EAGAIN above
 * it.
 */
static bool means_may_not_lock(int error)
{
	return error == -EPERM || error == -ENOMEM || error == -EAGAIN;
}

static void ring_drop(struct committer *c, int error)
{
	if (!c->ring)
		return;
	log_notice("io_uring is refused (%s): committing memory through a thread", strerror(-error));
	c->old_ring = take(c->ring);
}

/* The arena is committed; it is only not locked. */
static void go_unlocked(struct task *t, int error)
{
	if (!t->committer->told_unlocked)
		log_notice("arenas are not locked into RAM: %s; heapd needs CAP_IPC_LOCK or a larger "
			   "RLIMIT_MEMLOCK",
			   strerror(-error));
	t->committer->told_unlocked = true;
	t->course.phase = FINISHED;
}

/* No huge pages: that is no failure. */
static void go_ordinary(struct task *t)
{
	t->interrupted = 0;
	course_go_ordinary(&t->course, t->job);
	if (t->course.phase > UNADVISE)
		advised_end(t);
}

static bool suits_ring(const struct task *t)
{
	return t->course.phase == ALLOCATE || t->course.phase == POPULATE;
}

static void step_done(struct step *s);

static void task_submit(struct task *t)
{
	struct committer *c = t->committer;
	int r;

	c->in_flight++;
	t->step.done = step_done;
	if (c->ring && suits_ring(t) && !t->by_worker) {
		r = ring_push(c->ring, &t->step);
		if (!r)
			return;
		ring_drop(c, r);
	}
	worker_push(c->worker, &t->step);
}

/* Decides after a step. 0: go on; or the job's result. */
static int task_judge(struct task *t)
{
	struct committer *c = t->committer;
	int r = t->step.result;

	if (!r) {
		if (t->by_worker)
			ring_drop(c, t->ring_error);
		t->by_worker = false;
		task_advance(t);
		return 0;
	}
	if ((r == -EINTR || (r == -EAGAIN && t->course.phase != MAP)) && t->interrupted++ < INTERRUPTED_MAX)
		return 0; /* the same again */
	if (course_attempts(&t->step)) {
		go_ordinary(t);
		return 0;
	}
	if (t->course.phase == MAP && means_may_not_lock(r)) {
		go_unlocked(t, r);
		return 0;
	}
	if (suits_ring(t) && !t->by_worker && c->ring && may_mean_refused(r)) {
		t->by_worker = true;
		t->ring_error = r;
		return 0;
	}
	return r == -EFAULT ? -ENOMEM : r; /* populate says EFAULT where an access would be a SIGBUS */
}

static void step_done(struct step *s)
{
	struct task *t = s->owner;
	struct committer *c = t->committer;
	int r = task_judge(t);

	c->in_flight--;
	if (!r && t->course.phase != FINISHED) {
		if (!t->cancelled)
			task_enqueue(t);
		else
			r = -ECANCELED;
	}
	if (r < 0 || t->course.phase == FINISHED)
		task_finish(t, r);
	pump(c);
}

static void pump(struct committer *c)
{
	struct task *t;

	while (c->in_flight < WIDTH && c->n_disposals <= COMMIT_DISPOSALS_MAX && (t = TAILQ_FIRST(&c->queue))) {
		TAILQ_REMOVE(&c->queue, t, link);
		course_next(&t->course, t->job, &t->step);
		task_submit(t);
	}
}

/* ---- the committer ---- */

int commit_start(struct committer *c, struct commit_job *job)
{
	struct task *t;
	uint64_t claim;
	int r;

	job->map = NULL;
	job->locked = false;
	job->private_ = NULL;
	if (!job->size || job->size % max_u64(HW_PAGE_SIZE, job->huge_page) || job->size > INT64_MAX)
		return -EINVAL;
	if (job->present && !job->lock)
		return -EINVAL;
	if (c->closing)
		return -ECANCELED;
	if (job->device)
		return opener_start(&c->opener, job);
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	claim = job->huge_page || job->present ? 0 : job->size;
	r = claim ? memory_claim(&c->memory, claim) : 0;
	if (r < 0) {
		free(t);
		return r;
	}
	t->claimed = claim;
	course_init(&t->course, job);
	t->committer = c;
	t->job = job;
	t->step.fd = job->fd;
	t->step.owner = t;
	job->private_ = t;
	LIST_INSERT_HEAD(&c->tasks, t, all);
	c->n_tasks++;
	task_enqueue(t);
	pump(c);
	return 0;
}

/*
 * A waiting task ends after its next step, not here: done() never runs inside a call of the
 * owner's. That is soon, since steps are short and the queue moves on.
 */
void commit_cancel(struct committer *c, struct commit_job *job)
{
	struct task *t = job->private_;

	if (job->device) {
		opener_cancel(&c->opener, job);
		return;
	}
	if (t)
		t->cancelled = true;
}

struct loop *committer_loop(const struct committer *c)
{
	return c->loop;
}

bool committer_uses_io_uring(const struct committer *c)
{
	return c->ring;
}

unsigned committer_jobs(const struct committer *c)
{
	return c->n_tasks + c->opener.n;
}

static void cancel_all(struct committer *c)
{
	struct task *t;

	LIST_FOREACH(t, &c->tasks, all)
		t->cancelled = true;
	while ((t = TAILQ_FIRST(&c->queue))) {
		TAILQ_REMOVE(&c->queue, t, link);
		task_finish(t, -ECANCELED);
	}
}

void committer_drain(struct committer *c)
{
	c->closing = true;
	cancel_all(c);
	opener_drain(&c->opener);
	ring_free(take(c->old_ring));
	ring_free(take(c->ring));
	worker_free(take(c->worker));
	assert(!c->n_tasks && "every task was queued or in flight");
}

struct committer *committer_free(struct committer *c)
{
	if (!c)
		return NULL;
	committer_drain(c);
	worker_free(take(c->disposer)); /* last: what the done()s disposed of */
	memory_deinit(&c->memory);
	free(c);
	return NULL;
}

static void committer_freep(struct committer **c)
{
	committer_free(*c);
}

int committer_new(struct committer **out, struct loop *l, bool want_io_uring)
{
	_cleanup_(committer_freep) struct committer *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->loop = l;
	TAILQ_INIT(&c->queue);
	LIST_INIT(&c->tasks);
	opener_init(&c->opener, l);
	memory_init(&c->memory);
	r = worker_new(&c->worker, l, "heapd-commit");
	if (r < 0)
		return r;
	r = worker_new(&c->disposer, l, "heapd-dispose");
	if (r < 0)
		return r;
	r = want_io_uring ? ring_new(&c->ring, l) : 0;
	if (r < 0)
		log_notice("no io_uring (%s): committing memory through a thread", strerror(-r));
	*out = take(c);
	return 0;
}
