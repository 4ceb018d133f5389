/*
 * backing.c: see backing.h
 */
#include "daemon/backing.h"

#include <stdio.h>
#include "daemon/log.h"
#include "daemon/memfd.h"
#include "proto/status.h"

struct text {
	char at[sizeof("heapd:") + WIRE_NAME_SIZE];
};

/* What /proc/PID/maps shows. */
static struct text file_name(const char *name)
{
	struct text t;

	(void)snprintf(t.at, sizeof(t.at), "heapd:%.*s", (int)WIRE_NAME_MAX, name);
	return t;
}

static int open_memory(struct commit_job *job, const char *name, bool lock)
{
	job->lock = lock;
	return memfd_new(&job->fd, file_name(name).at, job->size);
}

static void tell_no_huge_pages(const struct commit_job *job, const char *name)
{
	log_limited(LOG_WARNING, "%s: no huge pages%s for %llu KiB", name,
		    job->huge_page ? " are free" : " of that size on this machine",
		    (unsigned long long)(job->size / 1024));
}

/* They are never swapped out, so there is nothing to lock. */
static int open_huge(struct commit_job *job, uint32_t *kind, const struct arena_wish *wish)
{
	const struct backing *b = wish->backing;
	uint64_t huge_page = b->huge_page;
	int r = memfd_new_huge(&job->fd, file_name(wish->name).at, &job->size, &huge_page);

	if (!r) {
		job->huge_page = huge_page;
		return 0;
	}
	if (r != -EOPNOTSUPP)
		return r;
	if (!b->fallback) {
		tell_no_huge_pages(job, wish->name);
		return STATUS_NO_MEMORY;
	}
	*kind = BACKING_MEMORY;
	return open_memory(job, wish->name, wish->lock);
}

int backing_open(struct commit_job *job, uint32_t *kind, const struct arena_wish *wish)
{
	const struct backing *b = wish->backing;

	*kind = b->kind;
	job->size = align_up(wish->size, HW_PAGE_SIZE);
	job->transparent = wish->transparent;
	switch (b->kind) {
	case BACKING_HUGE:
		return open_huge(job, kind, wish);
	case BACKING_DEVICE:
		return device_new(&job->device, wish->devices, b->path, job->size, wish->shared);
	case BACKING_OWN: /* its one page is nobody's */
		job->size = HW_PAGE_SIZE;
		return open_memory(job, wish->name, false);
	default:
		return open_memory(job, wish->name, wish->lock);
	}
}

/* fallocate of huge pages: ENOSPC if there are none, or not enough. */
int backing_fall_back(struct commit_job *job, struct committer *c, const char *name, bool fallback,
		      bool lock, int error)
{
	if (!job->huge_page || (error != -ENOSPC && error != -ENOMEM))
		return error;
	if (!fallback) {
		tell_no_huge_pages(job, name);
		return error;
	}
	commit_dispose(c, take_fd(&job->fd), NULL, job->size); /* it may have got some of them */
	job->huge_page = 0;
	return open_memory(job, name, lock);
}

int backing_status(const struct commit_job *job, const char *name, int error)
{
	const struct device *d = job->device;

	if (error == -EBUSY)
		return STATUS_BUSY;
	log_limited(LOG_WARNING, "%s: %s: %s", *name ? name : "a local heap", d->path,
		    d->why ? d->why : strerror(-error));
	return error == -ENOMEM ? STATUS_NO_MEMORY : STATUS_UNSUPPORTED;
}

void backing_close(struct commit_job *job, struct committer *c)
{
	struct device *d = take(job->device);

	if (!d) {
		commit_dispose(c, take_fd(&job->fd), take(job->map), job->size);
		return;
	}
	commit_close(c, take_fd(&job->fd));
	commit_close(c, take_fd(&d->read_fd));
	device_free(d);
}
