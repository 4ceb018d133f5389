/*
 * Committing memory: every test runs once with the ring and once with the worker thread
 *
 * ring_push and step_run are wrapped (--wrap), so that a kernel that refuses an operation, or fails
 * one in the middle, can be played.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <cmocka.h>
#include "common/thp.h"
#include "daemon/commit.h"
#include "daemon/log.h"
#include "daemon/ring.h"
#include "daemon/rt.h"
#include "daemon/worker.h"

#define MIB (UINT64_C(1) << 20)
#define N_JOBS 8

struct world;

struct item {
	struct commit_job job; /* first */
	struct world *world;
	int n_done, result;
	unsigned order; /* which done() it was */
};

struct world {
	struct loop *loop;
	struct committer *committer;
	struct item item[N_JOBS];
	unsigned n_done, n_wanted;
	struct commit_job *cancel; /* by the first done() */
};

/* ---- wrapped: what the kernel does ---- */

static struct {
	int ring_error;         /* every step through the ring ends with it */
	int step_error;         /* every step of this kind by the worker ends with it, */
	enum step_kind step_kind;
	unsigned step_after;    /* after so many */
	int fill_error;         /* every STEP_FILL, by ring or worker, ends with it, */
	unsigned fill_after;    /* after so many */
	unsigned n_advised, n_filled; /* tries */
	unsigned n_interrupted; /* so many steps end with -EINTR first */
	unsigned n_ring, n_steps;
	_Atomic bool disposes_nothing; /* for now: disposal waits */
	struct loop *loop;
} kernel;

int __real_ring_push(struct ring *r, struct step *s);
int __wrap_ring_push(struct ring *r, struct step *s);
int __real_step_run(struct step *s);
int __wrap_step_run(struct step *s);

struct played {
	struct step *step;
	struct loop_timer *timer;
};

static void play_done(void *ctx)
{
	struct played *p = ctx;
	struct step *s = p->step;

	loop_timer_free(p->timer);
	free(p);
	s->done(s);
}

static int fill_error(const struct step *s)
{
	if (s->kind == STEP_FILL && kernel.n_filled++ >= kernel.fill_after)
		return kernel.fill_error;
	return 0;
}

int __wrap_ring_push(struct ring *r, struct step *s)
{
	struct played *p;
	int error = 0;

	kernel.n_ring++;
	if (kernel.n_interrupted) {
		kernel.n_interrupted--;
		error = -EINTR;
	} else if ((error = fill_error(s))) {
		/* so it ends */
	} else if (kernel.ring_error) {
		error = kernel.ring_error;
	}
	if (!error)
		return __real_ring_push(r, s);
	p = malloc(sizeof(*p));
	assert_non_null(p);
	p->step = s;
	s->result = error;
	assert_int_equal(0, loop_timer_new(&p->timer, kernel.loop, play_done, p));
	assert_int_equal(0, loop_timer_set(p->timer, 0));
	return 0;
}

int __wrap_step_run(struct step *s)
{
	int r;

	while (s->kind == STEP_DISPOSE && kernel.disposes_nothing)
		(void)usleep(200);
	if (s->kind == STEP_UNMAP || s->kind == STEP_DISPOSE)
		return __real_step_run(s);
	kernel.n_steps++;
	kernel.n_advised += s->kind == STEP_ADVISE;
	if (kernel.n_interrupted) {
		kernel.n_interrupted--;
		return -EINTR;
	}
	r = fill_error(s);
	if (r)
		return r;
	if (kernel.step_error && s->kind == kernel.step_kind) {
		if (!kernel.step_after)
			return kernel.step_error;
		kernel.step_after--;
	}
	return __real_step_run(s);
}

/* ---- helpers ---- */

static int setup_with(void **state, bool ring)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w || loop_new(&w->loop) < 0 || committer_new(&w->committer, w->loop, ring) < 0)
		return -1;
	memset(&kernel, 0, sizeof(kernel));
	kernel.loop = w->loop;
	for (int i = 0; i < N_JOBS; i++)
		w->item[i].job.fd = -1;
	*state = w;
	return 0;
}

static int setup_ring(void **state)
{
	return setup_with(state, true);
}

static int setup_worker(void **state)
{
	return setup_with(state, false);
}

static int teardown(void **state)
{
	struct world *w = *state;

	kernel.disposes_nothing = false; /* a test that failed may have left it so */
	for (int i = 0; i < N_JOBS; i++)
		commit_dispose(w->committer, take_fd(&w->item[i].job.fd), w->item[i].job.map, w->item[i].job.size);
	committer_free(w->committer);
	loop_free(w->loop);
	free(w);
	return 0;
}

static void done(struct commit_job *job, int result)
{
	struct item *it = (struct item *)job;
	struct world *w = it->world;

	it->n_done++;
	it->result = result;
	it->order = ++w->n_done;
	if (w->cancel)
		commit_cancel(w->committer, take(w->cancel));
	if (w->n_done == w->n_wanted)
		loop_stop(w->loop);
}

static struct item *prepare(struct world *w, int i, uint64_t size, bool lock)
{
	struct item *it = &w->item[i];

	*it = (struct item){ .world = w };
	it->job = (struct commit_job){ .fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING),
				       .size = size, .lock = lock, .done = done };
	assert_true(it->job.fd >= 0);
	assert_int_equal(0, ftruncate(it->job.fd, (off_t)size));
	return it;
}

static struct item *start_transparent(struct world *w, int i, uint64_t size, bool lock)
{
	struct item *it = prepare(w, i, size, lock);

	it->job.transparent = true;
	assert_int_equal(0, commit_start(w->committer, &it->job));
	return it;
}

static struct item *start(struct world *w, int i, uint64_t size, bool lock)
{
	struct item *it = prepare(w, i, size, lock);

	assert_int_equal(0, commit_start(w->committer, &it->job));
	assert_int_equal(0, it->n_done); /* never inside commit_start */
	return it;
}

static void run_until(struct world *w, unsigned n)
{
	w->n_wanted = n;
	if (w->n_done < n)
		assert_int_equal(0, loop_run(w->loop));
	assert_int_equal(n, w->n_done);
}

/* A few turns more: a second done() would show. */
static void linger(struct world *w)
{
	struct loop_timer *t;

	w->n_wanted = 0;
	assert_int_equal(0, loop_timer_new(&t, w->loop, (void (*)(void *))loop_stop, w->loop));
	assert_int_equal(0, loop_timer_set(t, 5 * NSEC_PER_MSEC));
	assert_int_equal(0, loop_run(w->loop));
	loop_timer_free(t);
}

static uint64_t committed(int fd)
{
	struct stat st;

	assert_int_equal(0, fstat(fd, &st));
	return (uint64_t)st.st_blocks * 512;
}

/* A "Key:  123 kB" of the mapping that starts at map. */
static uint64_t smaps(const void *map, const char *key)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[512], want[32];
	unsigned long long kb = 0;
	bool here = false, found = false;

	assert_non_null(f);
	(void)snprintf(want, sizeof(want), "%lx-", (unsigned long)map);
	while (!found && fgets(line, sizeof(line), f)) {
		if (!here)
			here = !strncmp(line, want, strlen(want));
		else if (!strncmp(line, key, strlen(key)))
			found = sscanf(line + strlen(key), " %llu", &kb) == 1;
	}
	(void)fclose(f);
	assert_true(found);
	return kb * 1024;
}

/* How much of a file lies in huge pages: a mapping of it, filled, tells. */
static uint64_t huge_bytes(int fd, uint64_t size)
{
	void *map = thp_map(size, PROT_READ, fd);
	uint64_t n;

	assert_true(map != MAP_FAILED);
	assert_int_equal(0, madvise(map, size, MADV_POPULATE_READ));
	n = smaps(map, "ShmemPmdMapped:");
	(void)munmap(map, size);
	return n;
}

/* Does the kernel give some to a mapping that asks? Only so may a test expect them. */
static bool gives_huge_pages(void)
{
	_cleanup_fd_ int fd = memfd_create("trial", MFD_CLOEXEC);
	void *map;
	bool gives;

	assert_true(fd >= 0);
	assert_int_equal(0, ftruncate(fd, 4 * MIB));
	map = thp_map(4 * MIB, PROT_READ, fd);
	assert_true(map != MAP_FAILED);
	gives = !madvise(map, 4 * MIB, MADV_HUGEPAGE) && !madvise(map, 4 * MIB, MADV_POPULATE_READ) &&
		smaps(map, "ShmemPmdMapped:") == 4 * MIB;
	(void)munmap(map, 4 * MIB);
	if (!gives)
		print_message("this kernel gives no transparent huge pages to memfds that ask (shmem_enabled)\n");
	return gives;
}

/* Mappings of the files of prepare(). */
static unsigned n_mapped(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, "/memfd:test ") != NULL;
	(void)fclose(f);
	return n;
}

/* Those of them that still ask for huge pages: what khugepaged would look at. */
static unsigned n_asking(void)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[512];
	unsigned long long begin, end;
	unsigned n = 0;
	bool here = false;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx-%llx ", &begin, &end) == 2)
			here = strstr(line, "/memfd:test ");
		else if (here && !strncmp(line, "VmFlags:", 8))
			n += strstr(line, " hg") != NULL;
	}
	(void)fclose(f);
	return n;
}

/* ---- tests ---- */

static void test_commits(void **state)
{
	const uint64_t sizes[] = { HW_PAGE_SIZE, MIB, 8 * MIB, 20 * MIB + HW_PAGE_SIZE };
	struct world *w = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct item *it = start(w, (int)i, sizes[i], false);

		assert_int_equal(1, committer_jobs(w->committer));
		run_until(w, i + 1);
		assert_int_equal(0, it->result);
		assert_null(it->job.map);
		assert_false(it->job.locked);
		assert_int_equal(sizes[i], committed(it->job.fd));
		assert_int_equal(0, committer_jobs(w->committer));
	}
	linger(w);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
		assert_int_equal(1, w->item[i].n_done);
	assert_int_equal(committer_uses_io_uring(w->committer), kernel.n_ring > 0);
	assert_int_equal(committer_uses_io_uring(w->committer), kernel.n_steps == 0);
}

static void test_locks(void **state)
{
	struct world *w = *state;
	struct item *it;

	if (!rt_may_lock())
		skip();
	it = start(w, 0, 12 * MIB + HW_PAGE_SIZE, true);
	run_until(w, 1);
	assert_int_equal(0, it->result);
	assert_true(it->job.locked);
	assert_non_null(it->job.map);
	assert_int_equal(it->job.size, smaps(it->job.map, "Locked:"));
	assert_int_equal(it->job.size, smaps(it->job.map, "Rss:"));
	for (uint64_t i = 0; i < it->job.size; i += HW_PAGE_SIZE)
		assert_int_equal(0, ((const char *)it->job.map)[i]);
}

/* 5 MiB are two huge pages and 1 MiB of ordinary ones. What asked for them is not left. */
static void huge_pages(struct world *w, bool lock)
{
	const uint64_t size = 5 * MIB;
	struct item *it = start_transparent(w, 0, size, lock);

	kernel.disposes_nothing = true; /* it may take long until what asked for them is gone */
	run_until(w, 1);
	assert_int_equal(lock ? 2 : 1, n_mapped());
	assert_int_equal(0, n_asking());
	kernel.disposes_nothing = false;
	assert_int_equal(0, it->result);
	assert_int_equal(1, kernel.n_advised);
	assert_int_equal(size, committed(it->job.fd));
	assert_int_equal(4 * MIB, huge_bytes(it->job.fd, size));
	assert_int_equal(lock, it->job.locked);
	w->committer = committer_free(w->committer); /* has disposed of all */
	assert_int_equal(lock ? 1 : 0, n_mapped());
	if (lock) {
		assert_int_equal(4 * MIB, smaps(it->job.map, "ShmemPmdMapped:"));
		assert_int_equal(size, smaps(it->job.map, "Locked:"));
	}
	assert_int_equal(0, committer_new(&w->committer, w->loop, false));
}

static void test_huge_pages(void **state)
{
	if (!gives_huge_pages())
		skip();
	huge_pages(*state, false);
}

/* What is committed stays, whatever the kernel wants back: it is there as fallocate would have left it. */
static void test_huge_pages_stay(void **state)
{
	struct world *w = *state;
	struct item *it = start_transparent(w, 0, 4 * MIB, false);
	void *map;

	run_until(w, 1);
	assert_int_equal(0, it->result);
	w->committer = committer_free(w->committer); /* nobody maps it but us */
	assert_int_equal(4 * MIB, committed(it->job.fd));
	map = thp_map(4 * MIB, PROT_READ, it->job.fd);
	assert_true(map != MAP_FAILED);
	assert_int_equal(0, madvise(map, 4 * MIB, MADV_POPULATE_READ));
	assert_int_equal(0, madvise(map, 4 * MIB, MADV_PAGEOUT));
	(void)munmap(map, 4 * MIB);
	assert_int_equal(4 * MIB, committed(it->job.fd));
	assert_int_equal(0, committer_new(&w->committer, w->loop, false));
}

static void test_huge_pages_locked(void **state)
{
	if (!gives_huge_pages() || !rt_may_lock())
		skip();
	huge_pages(*state, true);
}

/* Nobody asks for those of who does not want them, has no use for them, or is there already. */
static void test_huge_pages_not_asked_for(void **state)
{
	struct world *w = *state;
	struct item *it = start(w, 0, 5 * MIB, false);

	run_until(w, 1);
	it = start_transparent(w, 1, 2 * MIB - HW_PAGE_SIZE, false);
	run_until(w, 2);
	assert_int_equal(0, it->result);
	it = prepare(w, 2, 4 * MIB, true);
	it->job.transparent = it->job.present = true;
	assert_int_equal(0, ftruncate(it->job.fd, 0));
	assert_int_equal(0, ftruncate(it->job.fd, 4 * MIB));
	assert_int_equal(0, commit_start(w->committer, &it->job));
	run_until(w, 3);
	assert_int_equal(0, kernel.n_advised + kernel.n_filled);
}

/* Nothing of it is a failure: not the setting, not the mapping, not the first page or a later one. */
static void test_no_huge_pages(void **state)
{
	const int errors[] = { -EOPNOTSUPP, -ENOMEM, -EINVAL, -EAGAIN, -EFAULT };
	const bool ring = committer_uses_io_uring(((struct world *)*state)->committer);
	struct world *w = *state;
	struct item *it;

	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
		kernel.step_kind = STEP_ADVISE;
		kernel.step_error = errors[i];
		kernel.step_after = 0;
		it = start_transparent(w, (int)i, 6 * MIB, i & 1);
		run_until(w, i + 1);
		assert_int_equal(0, it->result);
		assert_int_equal(6 * MIB, committed(it->job.fd));
	}
	assert_true(kernel.n_advised >= ARRAY_SIZE(errors));
	assert_int_equal(0, kernel.n_filled);
	assert_int_equal(ring, committer_uses_io_uring(w->committer));
}

static void test_huge_pages_run_out(void **state)
{
	const int errors[] = { -ENOMEM, -EFAULT, -EINVAL, -EPERM, -EINTR };
	const bool ring = committer_uses_io_uring(((struct world *)*state)->committer);
	struct world *w = *state;

	if (!gives_huge_pages())
		skip();
	for (unsigned i = 0; i < ARRAY_SIZE(errors); i++) {
		struct item *it;

		kernel.fill_error = errors[i];
		kernel.fill_after = kernel.n_filled + 1;
		it = start_transparent(w, (int)i, 6 * MIB, false);
		run_until(w, i + 1);
		assert_int_equal(0, it->result);
		assert_int_equal(6 * MIB, committed(it->job.fd));
		assert_int_equal(2 * MIB, huge_bytes(it->job.fd, 6 * MIB));
		if (errors[i] != -EINTR)
			assert_int_equal(kernel.fill_after + 1, kernel.n_filled); /* not asked again */
	}
	assert_int_equal(ring, committer_uses_io_uring(w->committer));
	w->committer = committer_free(w->committer);
	assert_int_equal(0, n_mapped());
	assert_int_equal(0, committer_new(&w->committer, w->loop, false));
}

/* That the end of it fails does not matter either. */
static void test_huge_pages_asked_for_to_the_end(void **state)
{
	struct world *w = *state;
	struct item *it;

	kernel.step_kind = STEP_UNADVISE;
	kernel.step_error = -ENOMEM;
	it = start_transparent(w, 0, 4 * MIB, true);
	run_until(w, 1);
	assert_int_equal(0, it->result);
	assert_int_equal(4 * MIB, committed(it->job.fd));
	assert_int_equal(rt_may_lock(), it->job.locked);
	w->committer = committer_free(w->committer);
	assert_int_equal(it->job.locked ? 1 : 0, n_mapped());
	assert_int_equal(0, committer_new(&w->committer, w->loop, false));
}

/* Cancelled after some of them, by a small one that took its turn between. */
static void test_huge_pages_cancelled(void **state)
{
	struct world *w = *state;
	struct item *large = start_transparent(w, 0, 64 * MIB, true);

	start(w, 1, 4 * HW_PAGE_SIZE, false);
	w->cancel = &large->job;
	run_until(w, 2);
	assert_int_equal(2, large->order);
	assert_int_equal(-ECANCELED, large->result);
	assert_null(large->job.map);
	assert_true(committed(large->job.fd) < 64 * MIB);
	w->committer = committer_free(w->committer);
	assert_int_equal(0, n_mapped());
	assert_int_equal(0, committer_new(&w->committer, w->loop, false));
}

/* What is short while huge pages are filled is short for fallocate too, and it says so. */
static void test_huge_pages_beyond_the_end(void **state)
{
	struct world *w = *state;
	struct item *it = prepare(w, 0, 8 * MIB, false);

	assert_int_equal(0, ftruncate(it->job.fd, 4 * MIB));
	assert_int_equal(0, fcntl(it->job.fd, F_ADD_SEALS, F_SEAL_GROW));
	it->job.transparent = true;
	assert_int_equal(0, commit_start(w->committer, &it->job));
	run_until(w, 1);
	assert_int_equal(-EPERM, it->result);
	assert_int_equal(4 * MIB, committed(it->job.fd));
}

/* One large and then small ones: each of these is done before the large one. */
static void test_small_does_not_wait(void **state)
{
	struct world *w = *state;
	struct item *large = start(w, 0, 512 * MIB, false);

	for (int i = 1; i < N_JOBS; i++)
		start(w, i, HW_PAGE_SIZE, false);
	run_until(w, N_JOBS);
	assert_int_equal(N_JOBS, large->order);
	assert_int_equal(512 * MIB, committed(large->job.fd));
}

static void test_cancel_in_the_middle(void **state)
{
	struct world *w = *state;
	struct item *large = start(w, 0, 512 * MIB, false);

	start(w, 1, HW_PAGE_SIZE, false);
	w->cancel = &large->job;
	run_until(w, 2);
	assert_int_equal(-ECANCELED, large->result);
	assert_null(large->job.map);
	assert_true(committed(large->job.fd) > 0);
	assert_true(committed(large->job.fd) < 512 * MIB);
	linger(w);
	assert_int_equal(1, large->n_done);
	commit_cancel(w->committer, &large->job); /* too late: nothing happens */
	linger(w);
	assert_int_equal(1, large->n_done);
}

static void test_cancel_at_once(void **state)
{
	struct world *w = *state;
	struct item *it = start(w, 0, 64 * MIB, true);

	commit_cancel(w->committer, &it->job);
	assert_int_equal(0, it->n_done);
	run_until(w, 1);
	assert_int_equal(-ECANCELED, it->result);
	assert_null(it->job.map);
}

static void test_free_ends_jobs(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < N_JOBS; i++)
		start(w, i, 64 * MIB, i & 1);
	w->committer = committer_free(w->committer);
	for (int i = 0; i < N_JOBS; i++) {
		assert_int_equal(1, w->item[i].n_done);
		assert_int_equal(-ECANCELED, w->item[i].result);
		assert_null(w->item[i].job.map);
		close_fd(&w->item[i].job.fd);
	}
	assert_int_equal(0, committer_new(&w->committer, w->loop, false)); /* for teardown */
}

static void test_drained(void **state)
{
	struct world *w = *state;
	struct item *it = start(w, 0, 64 * MIB, false);

	committer_drain(w->committer);
	assert_int_equal(1, it->n_done);
	assert_int_equal(-ECANCELED, commit_start(w->committer, &it->job));
	committer_drain(w->committer);
	assert_int_equal(1, it->n_done);
}

static void test_bad_sizes(void **state)
{
	const uint64_t sizes[] = { 0, 1, HW_PAGE_SIZE + 1, UINT64_MAX & ~(HW_PAGE_SIZE - 1) };
	struct world *w = *state;
	struct item *it = prepare(w, 0, HW_PAGE_SIZE, false);

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		it->job.size = sizes[i];
		assert_int_equal(-EINVAL, commit_start(w->committer, &it->job));
	}
	it->job.size = UINT64_C(1) << 50;
	assert_int_equal(-ENOMEM, commit_start(w->committer, &it->job)); /* more than any machine has */
	it->job.size = 0;
	linger(w);
	assert_int_equal(0, it->n_done);
}

/* Smaller than the job says, and sealed: its own fault, not the ring's. */
static void test_tiny_sealed_memfd(void **state)
{
	struct world *w = *state;
	struct item *it = prepare(w, 0, 16 * MIB, true);
	bool ring = committer_uses_io_uring(w->committer);

	assert_int_equal(0, ftruncate(it->job.fd, 9 * MIB));
	assert_int_equal(0, fcntl(it->job.fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK));
	assert_int_equal(0, commit_start(w->committer, &it->job));
	run_until(w, 1);
	assert_int_equal(-EPERM, it->result);
	assert_null(it->job.map);
	assert_int_equal(8 * MIB, committed(it->job.fd));
	assert_int_equal(ring, committer_uses_io_uring(w->committer));
	start(w, 1, MIB, false);
	run_until(w, 2);
	assert_int_equal(0, w->item[1].result);
}

static void test_bad_fd(void **state)
{
	struct world *w = *state;
	struct item *it = prepare(w, 0, MIB, false);

	close_fd(&it->job.fd);
	assert_int_equal(0, commit_start(w->committer, &it->job));
	run_until(w, 1);
	assert_int_equal(-EBADF, it->result);
}

static void test_kernel_short_in_the_middle(void **state)
{
	struct world *w = *state;
	struct item *it;

	kernel.ring_error = kernel.step_error = -ENOSPC;
	kernel.step_kind = STEP_FALLOCATE;
	kernel.step_after = 2;
	it = start(w, 0, 64 * MIB, true);
	run_until(w, 1);
	assert_int_equal(-ENOSPC, it->result);
	assert_null(it->job.map);
	linger(w);
	assert_int_equal(1, it->n_done);
}

/* populate fails after the mapping was made: it must not be left. */
static void test_populate_fails(void **state)
{
	struct world *w = *state;
	struct item *it;

	if (!rt_may_lock())
		skip();
	kernel.step_error = -EFAULT;
	kernel.step_kind = STEP_POPULATE;
	kernel.step_after = 1;
	it = start(w, 0, 8 * MIB, true);
	run_until(w, 1);
	assert_int_equal(-ENOMEM, it->result);
	assert_null(it->job.map);
	assert_false(it->job.locked);
}

static void test_interrupted(void **state)
{
	struct world *w = *state;
	struct item *it;

	kernel.n_interrupted = 10;
	it = start(w, 0, 64 * MIB, false);
	run_until(w, 1);
	assert_int_equal(0, it->result);
	assert_int_equal(64 * MIB, committed(it->job.fd));

	kernel.n_interrupted = 1000; /* not for ever */
	it = start(w, 1, HW_PAGE_SIZE, false);
	run_until(w, 2);
	assert_int_equal(-EINTR, it->result);
	kernel.n_interrupted = 0;
}

static void test_ring_refused_late(void **state)
{
	struct world *w = *state;

	if (!committer_uses_io_uring(w->committer))
		skip();
	kernel.ring_error = -EPERM;
	start(w, 0, 32 * MIB, false);
	start(w, 1, 32 * MIB, false);
	run_until(w, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(0, w->item[i].result);
		assert_int_equal(32 * MIB, committed(w->item[i].job.fd));
	}
	assert_false(committer_uses_io_uring(w->committer));
	assert_true(kernel.n_ring <= 2);
}

static void test_dispose(void **state)
{
	struct world *w = *state;
	struct item *it = start(w, 0, 16 * MIB, true);
	int fd;
	void *map;

	run_until(w, 1);
	fd = it->job.fd;
	map = it->job.map;
	commit_dispose(w->committer, take_fd(&it->job.fd), take(it->job.map), it->job.size);
	commit_dispose(w->committer, -1, NULL, 0); /* nothing */
	w->committer = committer_free(w->committer);
	assert_int_equal(-1, fcntl(fd, F_GETFD));
	if (map) {
		unsigned char in_core;

		assert_int_equal(-1, mincore(map, HW_PAGE_SIZE, &in_core));
		assert_int_equal(ENOMEM, errno);
		assert_int_equal(-1, mincore((char *)map + 16 * MIB - HW_PAGE_SIZE, HW_PAGE_SIZE, &in_core));
	}
	assert_int_equal(0, committer_new(&w->committer, w->loop, false));
}

/* Nobody makes arenas faster than they are disposed of. */
static void test_disposal_is_behind(void **state)
{
	struct world *w = *state;
	struct item *it;

	kernel.disposes_nothing = true;
	for (int i = 0; i <= COMMIT_DISPOSALS_MAX; i++)
		commit_dispose(w->committer, memfd_create("test", MFD_CLOEXEC), NULL, HW_PAGE_SIZE);
	it = start(w, 0, MIB, false);
	linger(w);
	assert_int_equal(0, it->n_done);
	assert_int_equal(0, kernel.n_ring + kernel.n_steps);
	kernel.disposes_nothing = false;
	run_until(w, 1);
	assert_int_equal(0, it->result);

	/* and who is cancelled meanwhile, or at the end, ends */
	kernel.disposes_nothing = true;
	for (int i = 0; i <= COMMIT_DISPOSALS_MAX; i++)
		commit_dispose(w->committer, memfd_create("test", MFD_CLOEXEC), NULL, HW_PAGE_SIZE);
	it = start(w, 1, MIB, false);
	committer_drain(w->committer);
	assert_int_equal(1, it->n_done);
	assert_int_equal(-ECANCELED, it->result);
	kernel.disposes_nothing = false;
}

/*
 * Jobs that start jobs and end others, a few hundred of them, with random sizes and cancellations.
 */
static void test_many(void **state)
{
	struct world *w = *state;
	unsigned n = 0, seed = 7;

	for (int round = 0; round < 40; round++) {
		for (int i = 0; i < N_JOBS; i++)
			(rand_r(&seed) & 1 ? start : start_transparent)(
				w, i, (1 + (uint64_t)rand_r(&seed) % 3000) * HW_PAGE_SIZE, rand_r(&seed) & 1);
		if (round & 1)
			commit_cancel(w->committer, &w->item[rand_r(&seed) % N_JOBS].job);
		run_until(w, n += N_JOBS);
		for (int i = 0; i < N_JOBS; i++) {
			struct commit_job *job = &w->item[i].job;

			assert_int_equal(1, w->item[i].n_done);
			if (w->item[i].result) {
				assert_int_equal(-ECANCELED, w->item[i].result);
				assert_null(job->map);
			} else {
				assert_int_equal(job->size, committed(job->fd));
			}
			commit_dispose(w->committer, take_fd(&job->fd), take(job->map), job->size);
		}
	}
	assert_int_equal(0, committer_jobs(w->committer));
}

/* ---- in a child, since it changes the process; forked while there are no threads ---- */

/* The child's exit status: 0 good, 77 cannot be tried here. */
static void in_child(int (*run)(bool ring), bool ring)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		_exit(run(ring));
	assert_int_equal(pid, waitpid(pid, &status, 0));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_true(WIFEXITED(status));
	assert_int_equal(0, WEXITSTATUS(status));
}

static int commit_one(bool ring, struct item *it, bool *ring_used)
{
	struct world w = { .n_wanted = 1 };

	memset(&kernel, 0, sizeof(kernel));
	if (loop_new(&w.loop) < 0 || committer_new(&w.committer, w.loop, ring) < 0)
		return 2;
	it->world = &w;
	it->job.fd = memfd_create("test", MFD_CLOEXEC);
	it->job.done = done;
	if (it->job.fd < 0 || ftruncate(it->job.fd, (off_t)it->job.size) < 0)
		return 3;
	if (commit_start(w.committer, &it->job) < 0 || loop_run(w.loop) < 0)
		return 4;
	*ring_used = committer_uses_io_uring(w.committer);
	committer_free(w.committer);
	loop_free(w.loop);
	return it->n_done == 1 ? 0 : 5;
}

/*
 * No CAP_IPC_LOCK and nothing to lock with: committed all the same, and it says that it is not
 * locked.
 */
static int run_memlock_0(bool ring)
{
	struct item it = { .job = { .size = 4 * MIB, .lock = true } };
	const struct rlimit none = { 0, 0 };
	bool ring_used;
	int r;

	if (setrlimit(RLIMIT_MEMLOCK, &none) < 0 || (!geteuid() && setresuid(65534, 65534, 65534) < 0) ||
	    rt_may_lock())
		return 77;
	r = commit_one(ring, &it, &ring_used);
	if (r)
		return r;
	if (it.result || it.job.locked || it.job.map)
		return 10;
	return committed(it.job.fd) == 4 * MIB ? 0 : 11;
}

static void test_memlock_0(void **state)
{
	(void)state;
	in_child(run_memlock_0, true);
	in_child(run_memlock_0, false);
}

/* A limit that is not 0, but too small. */
static int run_memlock_small(bool ring)
{
	struct item it = { .job = { .size = 4 * MIB, .lock = true } };
	const struct rlimit small = { 65536, 65536 };
	bool ring_used;
	int r;

	if (setrlimit(RLIMIT_MEMLOCK, &small) < 0 || (!geteuid() && setresuid(65534, 65534, 65534) < 0) ||
	    rt_may_lock())
		return 77;
	r = commit_one(ring, &it, &ring_used);
	return r ? r : it.result || it.job.locked || it.job.map ? 10 : 0;
}

static void test_memlock_small(void **state)
{
	(void)state;
	in_child(run_memlock_small, true);
	in_child(run_memlock_small, false);
}

/* A seccomp filter, as a container has it, fails io_uring_setup. */
static int run_seccomp(_unused_ bool ring)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = ARRAY_SIZE(code), .filter = code };
	struct item it = { .job = { .size = 20 * MIB } };
	bool ring_used;
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return 77;
	r = commit_one(true, &it, &ring_used);
	return r ? r : it.result || ring_used ? 10 : 0;
}

static void test_seccomp(void **state)
{
	(void)state;
	in_child(run_seccomp, true);
}

/* A file system with no room: the real -ENOSPC, in the middle of a job. */
static int run_no_space(bool ring)
{
	_cleanup_fd_ int fd = -1;
	struct world w = { .n_wanted = 1 };
	struct item it = { .world = &w, .job = { .size = 64 * MIB, .lock = true, .done = done } };
	char dir[] = "/tmp/heapd-test-XXXXXX", path[64];

	if (unshare(CLONE_NEWNS) < 0 || !mkdtemp(dir))
		return 77;
	if (syscall(SYS_mount, "none", "/", NULL, 1ul << 14 | 1ul << 18, NULL) < 0 || /* MS_REC, MS_PRIVATE */
	    syscall(SYS_mount, "tmpfs", dir, "tmpfs", 0ul, "size=20m") < 0) {
		(void)rmdir(dir);
		return 77;
	}
	(void)snprintf(path, sizeof(path), "%s/file", dir);
	it.job.fd = fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	(void)unlink(path);
	memset(&kernel, 0, sizeof(kernel));
	if (fd < 0 || loop_new(&w.loop) < 0 || committer_new(&w.committer, w.loop, ring) < 0)
		return 2;
	if (commit_start(w.committer, &it.job) < 0 || loop_run(w.loop) < 0)
		return 3;
	committer_free(w.committer);
	loop_free(w.loop);
	close_fd(&fd);
	(void)syscall(SYS_umount2, dir, 0ul);
	(void)rmdir(dir);
	return it.n_done == 1 && it.result == -ENOSPC && !it.job.map ? 0 : 10;
}

static void test_no_space(void **state)
{
	(void)state;
	in_child(run_no_space, true);
	in_child(run_no_space, false);
}

/*
 * Counts the threads that the committer and its ring made (a sanitizer has some too): all, and
 * those with this policy.
 */
static void count_threads(int policy, int *all, int *with)
{
	*all = *with = 0;
	for (pid_t tid = getpid() + 1; tid < getpid() + 100; tid++) {
		char path[64], comm[16] = "";
		FILE *f;

		(void)snprintf(path, sizeof(path), "/proc/self/task/%d/comm", tid);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fgets(comm, sizeof(comm), f) && (!strncmp(comm, "heapd-", 6) || !strncmp(comm, "iou-wrk-", 8))) {
			++*all;
			*with += (sched_getscheduler(tid) & ~SCHED_RESET_ON_FORK) == policy;
		}
		(void)fclose(f);
	}
}

/*
 * Only the loop's thread is real-time; all others, io-wq's among them, get into the background
 * soon.
 */
static int run_priority(bool ring)
{
	struct world w = { 0 };
	struct item it = { .world = &w, .job = { .size = 64 * MIB, .done = done } };
	int all = 0, with = 0;

	if (rt_set_priority(1) < 0)
		return 77;
	memset(&kernel, 0, sizeof(kernel));
	it.job.fd = memfd_create("test", MFD_CLOEXEC);
	if (loop_new(&w.loop) < 0 || committer_new(&w.committer, w.loop, ring) < 0 || it.job.fd < 0 ||
	    commit_start(w.committer, &it.job) < 0)
		return 2;
	count_threads(SCHED_FIFO, &all, &with);
	if (with)
		return 10;
	for (int i = 0; i < 1000 && (with < all || all < (committer_uses_io_uring(w.committer) ? 3 : 2)); i++) {
		const struct timespec ms = { 0, NSEC_PER_MSEC };

		(void)nanosleep(&ms, NULL);
		count_threads(SCHED_BATCH, &all, &with);
	}
	if (with < all || all < 2 || sched_getscheduler(0) != (SCHED_FIFO | SCHED_RESET_ON_FORK))
		return 11;
	committer_free(w.committer);
	loop_free(w.loop);
	return 0;
}

static void test_priority(void **state)
{
	(void)state;
	in_child(run_priority, true);
	in_child(run_priority, false);
}

#define BOTH(f) \
	cmocka_unit_test_setup_teardown(f, setup_ring, teardown), \
		cmocka_unit_test_setup_teardown(f, setup_worker, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_commits),
		BOTH(test_locks),
		BOTH(test_huge_pages),
		BOTH(test_huge_pages_locked),
		BOTH(test_huge_pages_stay),
		BOTH(test_huge_pages_not_asked_for),
		BOTH(test_no_huge_pages),
		BOTH(test_huge_pages_run_out),
		BOTH(test_huge_pages_asked_for_to_the_end),
		BOTH(test_huge_pages_cancelled),
		BOTH(test_huge_pages_beyond_the_end),
		BOTH(test_small_does_not_wait),
		BOTH(test_cancel_in_the_middle),
		BOTH(test_cancel_at_once),
		BOTH(test_free_ends_jobs),
		BOTH(test_drained),
		BOTH(test_bad_sizes),
		BOTH(test_tiny_sealed_memfd),
		BOTH(test_bad_fd),
		BOTH(test_kernel_short_in_the_middle),
		cmocka_unit_test_setup_teardown(test_populate_fails, setup_worker, teardown),
		BOTH(test_interrupted),
		cmocka_unit_test_setup_teardown(test_ring_refused_late, setup_ring, teardown),
		BOTH(test_dispose),
		BOTH(test_disposal_is_behind),
		BOTH(test_many),
		cmocka_unit_test(test_memlock_0),
		cmocka_unit_test(test_memlock_small),
		cmocka_unit_test(test_seccomp),
		cmocka_unit_test(test_no_space),
		cmocka_unit_test(test_priority),
	};

	log_init(false);
	return cmocka_run_group_tests_name("commit", tests, NULL, NULL);
}
