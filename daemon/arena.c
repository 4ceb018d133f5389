/*
 * arena.c: see arena.h
 */
#include "daemon/arena.h"

#include <stdio.h>
#include "daemon/memfd.h"
#include "proto/wire.h"

static void arena_free(struct arena *a)
{
	if (a->job.fd >= 0)
		commit_dispose(a->committer, take_fd(&a->job.fd), a->job.map, a->job.size);
	charge_deinit(&a->bytes);
	charge_deinit(&a->heap);
	free(a);
}

static void arena_freep(struct arena **a)
{
	if (*a)
		arena_free(*a);
}

static int make_file(struct arena *a, const char *name)
{
	char text[sizeof("heapd:") + WIRE_NAME_SIZE];

	(void)snprintf(text, sizeof(text), "heapd:%.*s", (int)WIRE_NAME_MAX, name);
	return memfd_new(&a->job.fd, text, a->job.size);
}

int arena_new(struct arena **out, struct committer *c, struct accounts *as, uid_t uid,
	      const char *name, uint64_t size)
{
	_cleanup_(arena_freep) struct arena *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	a->committer = c;
	a->job.fd = -1;
	a->job.size = size;
	r = charge_take(&a->heap, as, uid, RESOURCE_HEAPS, 1);
	if (!r)
		r = charge_take(&a->bytes, as, uid, RESOURCE_BYTES, size);
	if (!r)
		r = make_file(a, name);
	if (r)
		return r;
	*out = take(a);
	return 0;
}

static void committed(struct commit_job *job, int result)
{
	struct arena *a = container_of(job, struct arena, job);

	a->committing = false;
	if (a->disposed)
		arena_free(a);
	else
		a->ready(a->ctx, result);
}

int arena_commit(struct arena *a, bool lock, void (*ready)(void *ctx, int result), void *ctx)
{
	int r;

	a->ready = ready;
	a->ctx = ctx;
	a->job.lock = lock;
	a->job.done = committed;
	a->committing = true;
	r = commit_start(a->committer, &a->job);
	if (r < 0)
		a->committing = false;
	return r;
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

int arena_fd(const struct arena *a, bool writable, int *fd, int *opened)
{
	int r;

	*opened = -1;
	if (!writable) {
		r = memfd_reopen_read(opened, a->job.fd);
		if (r < 0)
			return r;
	}
	*fd = writable ? a->job.fd : *opened;
	return 0;
}
