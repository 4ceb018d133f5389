/*
 * What is not ordinary memory, through the real committer: devices in order and in nobody's way,
 * huge pages from a pool of their own.
 *
 * step_run is wrapped (--wrap): it writes down what ran, and a driver that takes its time is played.
 */
#include <ctype.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <cmocka.h>
#include "daemon/commit.h"
#include "daemon/device.h"
#include "daemon/log.h"
#include "daemon/memfd.h"
#include "daemon/step.h"

#define SIZE ((uint64_t)HW_PAGE_SIZE)
#define N_JOBS 4

struct world;

struct item {
	struct commit_job job; /* first */
	struct world *world;
	int n_done, result;
};

struct world {
	struct loop *loop;
	struct committer *committer;
	struct devices devices;
	struct item item[N_JOBS];
	unsigned n_done, n_wanted;
	char path[64];
};

/* ---- wrapped ---- */

static struct {
	char ran[32]; /* a letter for each step of a device's thread; in lower case: it ran on the loop's */
	_Atomic unsigned n;
	int slow;     /* a LOOK waits until this pipe says a byte; -1: none does */
} kernel;

int __real_step_run(struct step *s);
int __wrap_step_run(struct step *s);

static void note(char letter)
{
	if (gettid() == getpid())
		letter = (char)tolower(letter);
	kernel.ran[kernel.n++ % (sizeof(kernel.ran) - 1)] = letter;
}

int __wrap_step_run(struct step *s)
{
	char byte;

	if (s->kind == STEP_LOOK)
		note('L');
	else if (s->kind == STEP_OPEN)
		note('O');
	else if (s->kind == STEP_DISPOSE && !s->map)
		note('C');
	if (s->kind == STEP_LOOK && kernel.slow >= 0)
		assert_int_equal(1, read(kernel.slow, &byte, 1));
	return __real_step_run(s);
}

/* ---- helpers ---- */

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	int fd;

	if (!w || loop_new(&w->loop) < 0 || committer_new(&w->committer, w->loop, true) < 0)
		return -1;
	memset(&kernel, 0, sizeof(kernel));
	kernel.slow = -1;
	devices_init(&w->devices);
	strcpy(w->path, "/tmp/heapd-opener-XXXXXX");
	fd = mkstemp(w->path);
	if (fd < 0 || ftruncate(fd, (off_t)SIZE) < 0)
		return -1;
	close_fd(&fd);
	*state = w;
	return 0;
}

static void forget(struct world *w, int i)
{
	struct commit_job *job = &w->item[i].job;

	if (job->device)
		commit_close(w->committer, take_fd(&job->fd));
	else
		commit_dispose(w->committer, take_fd(&job->fd), job->map, job->size);
	job->device = device_free(job->device);
}

static int teardown(void **state)
{
	struct world *w = *state;

	committer_drain(w->committer);
	for (int i = 0; i < N_JOBS; i++)
		if (w->item[i].world)
			forget(w, i);
	committer_free(w->committer);
	loop_free(w->loop);
	(void)unlink(w->path);
	free(w);
	return 0;
}

static void done(struct commit_job *job, int result)
{
	struct item *it = (struct item *)job;
	struct world *w = it->world;

	it->n_done++;
	it->result = result;
	if (++w->n_done == w->n_wanted)
		loop_stop(w->loop);
}

static struct item *start_device(struct world *w, int i)
{
	struct item *it = &w->item[i];

	*it = (struct item){.world = w, .job = {.fd = -1, .size = SIZE, .lock = true, .done = done}};
	assert_int_equal(0, device_new(&it->job.device, &w->devices, w->path, SIZE, false));
	assert_int_equal(0, commit_start(w->committer, &it->job));
	assert_int_equal(0, it->n_done); /* never inside */
	return it;
}

static struct item *start_memory(struct world *w, int i, int fd, uint64_t size, uint64_t huge_page)
{
	struct item *it = &w->item[i];

	*it = (struct item){
		.world = w,
		.job = {.fd = fd, .size = size, .huge_page = huge_page, .done = done},
	};
	assert_int_equal(0, commit_start(w->committer, &it->job));
	return it;
}

static void run_until(struct world *w, unsigned n)
{
	w->n_wanted = n;
	if (w->n_done < n)
		assert_int_equal(0, loop_run(w->loop));
	assert_int_equal(n, w->n_done);
}

/* ---- devices ---- */

static void looked_at_taken_opened(void **state)
{
	struct world *w = *state;
	struct item *it = start_device(w, 0);

	assert_int_equal(1, committer_jobs(w->committer));
	run_until(w, 1);
	assert_int_equal(0, it->result);
	assert_int_equal(0, committer_jobs(w->committer));
	assert_true(it->job.fd >= 0);
	assert_int_equal(-1, it->job.device->fd); /* the job has it now */
	assert_null(it->job.map);
	assert_false(it->job.locked);
	assert_string_equal("LO", kernel.ran);
}

/* A busy device is not opened: that would mean something to it. */
static void a_busy_one_is_not_opened(void **state)
{
	struct world *w = *state;
	struct item *first = start_device(w, 0), *second = start_device(w, 1);

	run_until(w, 2);
	assert_int_equal(0, first->result);
	assert_int_equal(-EBUSY, second->result);
	assert_int_equal(-1, second->job.fd);
	assert_ptr_equal(strchr(kernel.ran, 'O'), strrchr(kernel.ran, 'O')); /* one */
	assert_int_equal(3, strlen(kernel.ran));
}

/* Given back, and asked for by the next: closed, then opened. */
static void closed_before_it_is_opened(void **state)
{
	struct world *w = *state;
	struct item *it;

	(void)start_device(w, 0);
	run_until(w, 1);
	forget(w, 0);
	w->item[0].world = NULL;
	it = start_device(w, 1);
	run_until(w, 2);
	assert_int_equal(0, it->result);
	assert_string_equal("LOCLO", kernel.ran);
}

/* A driver that takes its time is in nobody's way who wants memory. */
static void a_slow_one(void **state)
{
	struct world *w = *state;
	struct item *slow, *memory;
	int pipe_[2], fd = -1;

	assert_int_equal(0, pipe2(pipe_, O_CLOEXEC));
	kernel.slow = pipe_[0];
	slow = start_device(w, 0);
	assert_int_equal(0, memfd_new(&fd, "test", SIZE));
	memory = start_memory(w, 1, fd, SIZE, 0);
	run_until(w, 1);
	assert_int_equal(0, memory->result);
	assert_int_equal(0, slow->n_done);
	assert_int_equal(1, write(pipe_[1], "x", 1));
	run_until(w, 2);
	assert_int_equal(0, slow->result);
	close_fd(&pipe_[0]);
	close_fd(&pipe_[1]);
}

static void cancelled(void **state)
{
	struct world *w = *state;
	struct item *it = start_device(w, 0);

	commit_cancel(w->committer, &it->job);
	run_until(w, 1);
	assert_int_equal(-ECANCELED, it->result);
	assert_int_equal(-1, it->job.fd);
	assert_false(it->job.device->taken);
	assert_string_equal("L", kernel.ran);
	commit_cancel(w->committer, &it->job); /* too late: nothing happens */
}

static void not_there(void **state)
{
	struct world *w = *state;
	struct item *it;

	assert_int_equal(0, unlink(w->path));
	it = start_device(w, 0);
	run_until(w, 1);
	assert_int_equal(-ENOENT, it->result);
	assert_string_equal("L", kernel.ran);
}

static void the_end(void **state)
{
	struct world *w = *state;
	struct item *a = start_device(w, 0), *b = start_device(w, 1);

	committer_drain(w->committer);
	assert_int_equal(1, a->n_done);
	assert_int_equal(1, b->n_done);
	assert_int_equal(-ECANCELED, a->result);
	assert_int_equal(-ECANCELED, b->result);
	assert_int_equal(-ECANCELED, commit_start(w->committer, &a->job));
}

/* What is given back after the end is closed all the same. */
static void closing_after_the_end(void **state)
{
	struct world *w = *state;
	struct item *it = start_device(w, 0);
	int fd;

	run_until(w, 1);
	committer_drain(w->committer);
	fd = it->job.fd;
	commit_close(w->committer, take_fd(&it->job.fd));
	assert_int_equal(-1, fcntl(fd, F_GETFD));
}

/* ---- huge pages ---- */

#define POOL "/proc/sys/vm/nr_hugepages"

static long pool_size(void)
{
	FILE *f = fopen(POOL, "re");
	long n = -1;

	if (f && fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f)
		(void)fclose(f);
	return n;
}

static bool set_pool(long n)
{
	FILE *f = fopen(POOL, "we");
	bool good = f && fprintf(f, "%ld\n", n) > 0;

	if (f)
		good &= fclose(f) == 0;
	return good && pool_size() >= n;
}

/* A machine that has none lends us some: how many it had before; -1: it cannot. */
static long borrow(long n)
{
	long before = pool_size();

	if (before < 0 || !set_pool(before + n)) {
		(void)set_pool(before);
		print_message("skipped: no huge pages to be had (" POOL ")\n");
		return -1;
	}
	return before;
}

static void huge_pages(void **state)
{
	struct world *w = *state;
	uint64_t size = HW_PAGE_SIZE, page = 0;
	long before = borrow(4);
	struct item *it;
	struct stat stat;
	int fd = -1;
	char *p;

	if (before < 0)
		skip();
	assert_int_equal(0, memfd_new_huge(&fd, "test", &size, &page));
	assert_int_equal(page, size);
	assert_true(page > HW_PAGE_SIZE && !(page & (page - 1)));
	close_fd(&fd);
	size = 2 * page + 1;
	assert_int_equal(0, memfd_new_huge(&fd, "test", &size, &page));
	assert_int_equal(3 * page, size);
	it = start_memory(w, 0, fd, size, page);
	run_until(w, 1);
	assert_int_equal(0, fstat(fd, &stat));
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED) {
		memset(p, 0x5a, size); /* all of it is there: no SIGBUS */
		(void)munmap(p, size);
	}
	forget(w, 0);
	w->item[0].world = NULL;
	committer_drain(w->committer);
	assert_true(set_pool(before));
	assert_int_equal(0, it->result);
	assert_ptr_not_equal(MAP_FAILED, p);
	assert_int_equal(size, (uint64_t)stat.st_blocks * 512);
}

/* More than the pool has, by far: an error, not a wait, nor somebody's end. */
static void no_more_huge_pages(void **state)
{
	struct world *w = *state;
	uint64_t size = UINT64_C(1) << 46, page = 0;
	struct item *it;
	int fd = -1, r = memfd_new_huge(&fd, "test", &size, &page);

	if (r == -EOPNOTSUPP) {
		print_message("skipped: this kernel has no huge pages\n");
		skip();
	}
	assert_int_equal(0, r);
	it = start_memory(w, 0, fd, size, page); /* memory_claim would have refused so much */
	run_until(w, 1);
	assert_true(it->result == -ENOSPC || it->result == -ENOMEM);
}

static void no_such_huge_pages(_unused_ void **state)
{
	uint64_t size = SIZE, page = UINT64_C(1) << 36;
	int fd = -1;

	assert_int_equal(-EOPNOTSUPP, memfd_new_huge(&fd, "test", &size, &page));
	assert_int_equal(-1, fd);
	assert_int_equal(SIZE, size);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(looked_at_taken_opened),
		TEST(a_busy_one_is_not_opened),
		TEST(closed_before_it_is_opened),
		TEST(a_slow_one),
		TEST(cancelled),
		TEST(not_there),
		TEST(the_end),
		TEST(closing_after_the_end),
		TEST(huge_pages),
		TEST(no_more_huge_pages),
		TEST(no_such_huge_pages),
	};

	log_init(false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
