/*
 * arena_adopt.c: the memory of a heap that a daemon before had
 *
 * It is committed, and its processes go on with it, whether we can lock it into RAM again or not.
 * Where the machine is too short for that just now (of memory for our page tables, or for pages that
 * were swapped out meanwhile), a line says so, and it is tried again every RELOCK_NS. What we may not
 * do at all (commit.c) is told by the committer, once, and not tried again.
 */
#include "daemon/arena.h"

#include <sys/stat.h>
#include "daemon/log.h"
#include "proto/codec.h"

#define RELOCK_NS (NSEC_PER_SEC / 2)

static void relock(void *ctx);

static void relock_later(struct arena *a, int error)
{
	int r = 0;

	if (!a->told_unlocked)
		log_limited(LOG_WARNING, "heap \"%s\", %llu KiB, is not locked into RAM again yet: %s", a->name,
			    (unsigned long long)(a->job.size / 1024), strerror(-error));
	a->told_unlocked = true;
	if (!a->relock)
		r = loop_timer_new(&a->relock, committer_loop(a->committer), relock, a);
	if (!r)
		r = loop_timer_set(a->relock, RELOCK_NS);
	if (r < 0)
		log_limited(LOG_WARNING, "and stays so: %s", strerror(-r));
}

static void relocked(void *ctx, int result)
{
	struct arena *a = ctx;

	if (result == -ECANCELED)
		return; /* the daemon ends */
	if (result < 0) {
		relock_later(a, result);
		return;
	}
	if (a->told_unlocked && a->job.locked)
		log_info("heap \"%s\" is locked into RAM again", a->name);
	a->relock = loop_timer_free(a->relock);
}

static void relock(void *ctx)
{
	struct arena *a = ctx;
	int r = arena_commit(a, relocked, a);

	if (r < 0 && r != -ECANCELED)
		relock_later(a, r);
}

static int adopt_file(struct arena *a, struct devices *ds, const struct arena_rest *rest)
{
	struct stat st;

	a->job.fd = rest->fd;
	a->job.size = rest->size;
	a->backing = rest->backing;
	if (rest->backing == BACKING_DEVICE)
		return device_adopt(&a->job.device, ds, rest->fd, rest->read_fd, rest->size);
	if (fstat(rest->fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) && (uint64_t)st.st_size == rest->size ? 0 : -EUCLEAN;
}

static void arena_disposep(struct arena **a)
{
	arena_dispose(*a);
}

int arena_adopt(struct arena **out, struct committer *c, struct accounts *as, struct devices *ds,
		uid_t uid, const struct arena_rest *rest)
{
	_cleanup_(arena_disposep) struct arena *a = calloc(1, sizeof(*a));
	int fd = rest->fd, read_fd = rest->read_fd, r;

	if (!a) {
		close_fd(&fd);
		close_fd(&read_fd);
		return -ENOMEM;
	}
	a->committer = c;
	a->job.fd = -1;
	a->lock = rest->lock && rest->backing == BACKING_MEMORY;
	name_copy(a->name, rest->name);
	r = charge_retake(&a->heap, as, uid, RESOURCE_HEAPS, 1);
	if (!r)
		r = charge_retake(&a->bytes, as, uid, RESOURCE_BYTES, rest->size);
	if (r < 0) {
		close_fd(&fd);
		close_fd(&read_fd);
		return r;
	}
	r = adopt_file(a, ds, rest);
	if (r < 0)
		return r;
	a->job.present = true;
	a->job.lock = a->lock;
	if (a->lock)
		relock(a);
	*out = take(a);
	return 0;
}
