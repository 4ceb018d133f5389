/*
 * Arenas of a daemon before, on a machine that is too short to lock them again at once
 *
 * memory_claim and step_run are wrapped (--wrap): the first always says that there is no memory left,
 * which is no reason, since the arena has its own; the second plays a kernel that is short.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/arena.h"
#include "daemon/memory.h"
#include "daemon/rt.h"
#include "daemon/step.h"

#define SIZE (UINT64_C(8) << 20)

static struct {
	enum step_kind kind;
	int error;
	_Atomic unsigned n; /* so many steps of that kind end with it */
	_Atomic unsigned n_allocated;
} kernel;

int __wrap_memory_claim(struct memory *m, uint64_t size);
int __wrap_memory_claim(_unused_ struct memory *m, _unused_ uint64_t size)
{
	return -ENOMEM;
}

int __real_step_run(struct step *s);
int __wrap_step_run(struct step *s);
int __wrap_step_run(struct step *s)
{
	kernel.n_allocated += s->kind == STEP_FALLOCATE;
	if (s->kind == kernel.kind && kernel.n) {
		kernel.n--;
		return kernel.error;
	}
	return __real_step_run(s);
}

static struct {
	struct loop *loop;
	struct committer *committer;
	struct config config;
	struct accounts accounts;
	struct devices devices;
	int log_fd, stderr_fd;
} t;

static int setup(_unused_ void **state)
{
	memset(&kernel, 0, sizeof(kernel));
	t.log_fd = memfd_create("log", MFD_CLOEXEC);
	t.stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (t.log_fd < 0 || t.stderr_fd < 0 || loop_new(&t.loop) < 0 ||
	    committer_new(&t.committer, t.loop, false) < 0)
		return -1;
	config_init(&t.config);
	accounts_init(&t.accounts, &t.config);
	devices_init(&t.devices);
	return dup2(t.log_fd, STDERR_FILENO) < 0 ? -1 : 0;
}

static int teardown(_unused_ void **state)
{
	(void)dup2(t.stderr_fd, STDERR_FILENO);
	close_fd(&t.log_fd);
	close_fd(&t.stderr_fd);
	committer_free(t.committer);
	accounts_deinit(&t.accounts);
	config_deinit(&t.config);
	loop_free(t.loop);
	return 0;
}

static unsigned lines_with(const char *text)
{
	static char log[16384];
	ssize_t size = pread(t.log_fd, log, sizeof(log) - 1, 0);
	unsigned n = 0;

	assert_true(size >= 0);
	log[size] = '\0';
	for (const char *at = log; (at = strstr(at, text)); at++)
		n++;
	return n;
}

static struct arena *adopt(void)
{
	struct arena_rest rest = {.name = "pool", .read_fd = -1, .size = SIZE, .backing = BACKING_MEMORY, .lock = true};
	struct arena *a;

	rest.fd = memfd_create("rest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(rest.fd >= 0);
	assert_int_equal(0, fallocate(rest.fd, 0, 0, SIZE));
	assert_int_equal(0, arena_adopt(&a, t.committer, &t.accounts, &t.devices, 0, &rest));
	return a;
}

static void tick(void *ctx)
{
	(void)ctx;
	loop_stop(t.loop);
}

/* Turns of the loop until it is so. */
static void run_until(bool (*is_so)(const struct arena *a), const struct arena *a)
{
	struct loop_timer *timer;

	assert_int_equal(0, loop_timer_new(&timer, t.loop, tick, NULL));
	while (!is_so(a)) {
		assert_int_equal(0, loop_timer_set(timer, NSEC_PER_MSEC));
		assert_int_equal(0, loop_run(t.loop));
	}
	loop_timer_free(timer);
}

static bool is_locked(const struct arena *a)
{
	return !a->committing && a->job.locked;
}

static bool waits(const struct arena *a)
{
	return !a->committing && a->relock;
}

static bool is_settled(const struct arena *a)
{
	return !a->committing;
}

static void needs_lock(void)
{
	if (!rt_may_lock())
		skip();
}

static void no_memory_is_left(_unused_ void **state)
{
	struct arena *a;

	needs_lock();
	a = adopt();
	run_until(is_locked, a);
	assert_int_equal(0, kernel.n_allocated);
	assert_int_equal(0, lines_with("locked"));
	arena_dispose(a);
}

static void short_for_a_while(_unused_ void **state)
{
	struct arena *a;

	needs_lock();
	kernel.kind = STEP_POPULATE;
	kernel.error = -ENOMEM;
	kernel.n = 2;
	a = adopt();
	run_until(waits, a);
	assert_false(a->job.locked);
	assert_null(a->job.map); /* nothing half done stays */
	assert_int_equal(1, lines_with("heap \"pool\", 8192 KiB, is not locked into RAM again yet: "));
	run_until(is_locked, a);
	assert_int_equal(0, kernel.n);
	assert_int_equal(1, lines_with("is not locked into RAM again yet"));
	assert_int_equal(1, lines_with("heap \"pool\" is locked into RAM again"));
	assert_null(a->relock);
	arena_dispose(a);
}

/* What is not allowed is not tried for ever. */
static void may_not(_unused_ void **state)
{
	struct arena *a;

	kernel.kind = STEP_MAP;
	kernel.error = -EPERM;
	kernel.n = UINT32_MAX;
	a = adopt();
	run_until(is_settled, a);
	assert_false(a->job.locked);
	assert_null(a->relock);
	assert_int_equal(1, UINT32_MAX - kernel.n);
	arena_dispose(a);
}

static void gone_meanwhile(_unused_ void **state)
{
	struct arena *a;

	needs_lock();
	kernel.kind = STEP_POPULATE;
	kernel.error = -EAGAIN;
	kernel.n = UINT32_MAX;
	a = adopt();
	arena_dispose(a); /* while it tries */
	a = adopt();
	run_until(waits, a);
	arena_dispose(a); /* while it waits */
	a = adopt();      /* the charge came back, too */
	arena_dispose(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(no_memory_is_left, setup, teardown),
		cmocka_unit_test_setup_teardown(short_for_a_while, setup, teardown),
		cmocka_unit_test_setup_teardown(may_not, setup, teardown),
		cmocka_unit_test_setup_teardown(gone_meanwhile, setup, teardown),
	};

	return cmocka_run_group_tests_name("adopt", tests, NULL, NULL);
}
