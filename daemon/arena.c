/*
 * arena.c: see arena.h
 */
#include "daemon/arena.h"

#include "daemon/log.h"
#include "daemon/memfd.h"
#include "proto/codec.h"

static void arena_free(struct arena *a)
{
	loop_timer_free(a->relock);
	backing_close(&a->job, a->committer);
	charge_deinit(&a->bytes);
	charge_deinit(&a->heap);
	free(a);
}

static void arena_freep(struct arena **a)
{
	if (*a)
		arena_free(*a);
}

int arena_new(struct arena **out, struct committer *c, struct accounts *as, uid_t uid,
	      const struct arena_wish *wish)
{
	_cleanup_(arena_freep) struct arena *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	a->committer = c;
	a->job.fd = -1;
	a->fallback = wish->backing->fallback;
	a->lock = wish->lock;
	name_copy(a->name, wish->name);
	r = charge_take(&a->heap, as, uid, RESOURCE_HEAPS, 1);
	if (!r)
		r = backing_open(&a->job, &a->backing, wish);
	if (r < 0)
		return arena_status(a, r); /* whatever the kernel says, it is no fault of who asks */
	if (!r)
		r = charge_take(&a->bytes, as, uid, RESOURCE_BYTES, a->job.size);
	if (r)
		return r;
	a->fell_back = a->backing != wish->backing->kind;
	*out = take(a);
	return 0;
}

/* Another try with ordinary memory. 0: it is under way; or the result. */
static int fall_back(struct arena *a, int result)
{
	int r = backing_fall_back(&a->job, a->committer, a->name, a->fallback, a->lock, result);

	if (r)
		return r;
	a->backing = BACKING_MEMORY;
	a->fell_back = true;
	return commit_start(a->committer, &a->job);
}

static void committed(struct commit_job *job, int result)
{
	struct arena *a = container_of(job, struct arena, job);

	if (result < 0 && !a->disposed) {
		result = fall_back(a, result);
		if (!result)
			return;
	}
	a->committing = false;
	if (a->disposed)
		arena_free(a);
	else
		a->ready(a->ctx, result);
}

int arena_commit(struct arena *a, void (*ready)(void *ctx, int result), void *ctx)
{
	int r;

	a->ready = ready;
	a->ctx = ctx;
	a->job.done = committed;
	a->committing = true;
	r = commit_start(a->committer, &a->job);
	if (r < 0)
		a->committing = false;
	return r;
}

int arena_status(const struct arena *a, int error)
{
	switch (error) {
	case -ECANCELED:
		return STATUS_CANCELLED; /* the daemon ends */
	case -EMFILE:
	case -ENFILE:
		return STATUS_NO_FILES;
	}
	if (a->job.device)
		return backing_status(&a->job, a->name, error);
	if (error != -ENOMEM && error != -ENOSPC)
		log_limited(LOG_WARNING, "memory could not be committed: %s", strerror(-error));
	return STATUS_NO_MEMORY;
}

struct arena *arena_dispose(struct arena *a)
{
	if (!a)
		return NULL;
	if (!a->committing) {
		arena_free(a);
		return NULL;
	}
	a->disposed = true;
	commit_cancel(a->committer, &a->job);
	return NULL;
}

/* What is a device has been opened for reading when it was opened, or never is. */
int arena_fd(const struct arena *a, bool writable, int *fd, int *opened)
{
	const struct device *d = a->job.device;
	int r = 0;

	*opened = -1;
	if (writable) {
		*fd = a->job.fd;
	} else if (d) {
		*fd = d->read_fd;
		r = d->read_fd < 0 ? -EACCES : 0;
	} else {
		r = memfd_reopen_read(opened, a->job.fd);
		*fd = *opened;
	}
	return r;
}
