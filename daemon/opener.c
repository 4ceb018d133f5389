/*
 * opener.c: see opener.h
 */
#include "daemon/opener.h"

#include "daemon/commit.h"
#include "daemon/device.h"

struct opening {
	LIST_ENTRY(opening) link;
	struct opener *opener;
	struct commit_job *job;
	struct step step;
	bool cancelled;
};

static void finish(struct opening *p, int result)
{
	struct commit_job *job = p->job;

	if (!result)
		job->fd = take_fd(&job->device->fd);
	job->private_ = NULL;
	LIST_REMOVE(p, link);
	p->opener->n--;
	free(p);
	job->done(job, result);
}

/* It has been looked at: 0, and it is to be opened; or the job's result. */
static int taken(struct opening *p)
{
	return p->cancelled ? -ECANCELED : device_take(p->job->device);
}

static void on_step(struct step *s)
{
	struct opening *p = s->owner;
	int r = s->result;

	if (r || s->kind == STEP_OPEN) {
		finish(p, r);
		return;
	}
	r = taken(p);
	if (r) {
		finish(p, r);
		return;
	}
	s->kind = STEP_OPEN;
	worker_push(p->opener->worker, s);
}

int opener_start(struct opener *o, struct commit_job *job)
{
	struct opening *p;
	int r = o->worker ? 0 : worker_new(&o->worker, o->loop, "heapd-device");

	if (r < 0)
		return r;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->opener = o;
	p->job = job;
	p->step = (struct step){
		.kind = STEP_LOOK, .fd = -1, .device = job->device, .done = on_step, .owner = p};
	job->private_ = p;
	LIST_INSERT_HEAD(&o->all, p, link);
	o->n++;
	worker_push(o->worker, &p->step);
	return 0;
}

void opener_cancel(_unused_ struct opener *o, struct commit_job *job)
{
	struct opening *p = job->private_;

	if (p)
		p->cancelled = true;
}

/* ---- closing ---- */

static void closed(struct step *s)
{
	free(s);
}

void opener_close(struct opener *o, int fd)
{
	struct step now = {.kind = STEP_DISPOSE, .fd = fd};
	struct step *s = o->worker ? malloc(sizeof(*s)) : NULL;

	if (!s) {
		(void)step_run(&now);
		return;
	}
	*s = now;
	s->done = closed;
	worker_push(o->worker, s);
}

void opener_init(struct opener *o, struct loop *l)
{
	*o = (struct opener){.loop = l};
	LIST_INIT(&o->all);
}

void opener_drain(struct opener *o)
{
	struct opening *p;

	LIST_FOREACH(p, &o->all, link)
		p->cancelled = true;
	worker_free(take(o->worker));
	assert(!o->n && "every job had a step in flight");
}
