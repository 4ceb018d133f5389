/*
 * Story: each call of the library fails once, in the process that uses it
 *
 * The actors have a library whose functions of libc are wrapped (fail.h); the daemon is the ordinary one. For each
 * function and each N the scene is played loosely while the Nth call in process A, or B, fails, and then strictly by
 * the same two processes. Then the process has no descriptor and no mapping more than one in which nothing
 * failed, the daemon knows of no heap that the process does not, and the bystander has noticed nothing.
 * FAIL_ONLY=NAME in the environment: only that function. FAIL_TELL=1: says what failed how.
 */
#include "tests/fail/play.h"
#include "tests/story/raw.h"

/* As in it_fail_daemon.c. */
#ifdef __SANITIZE_THREAD__
#define STRIDE fail_stride(47)
#define TURN 4
#else
#define STRIDE fail_stride(STORY_SANITIZED ? 11 : 1)
#define TURN 1
#endif

/* A pool of k_malloc, which stays as well. */
#define POOLS 1

static uint64_t n_failed;
static size_t fds_then, mappings_then; /* without the regions */

static struct actor *victim(struct play *p, bool second)
{
	return second ? p->b : p->a;
}

static size_t regions_of(const struct play *p, bool second)
{
	return second ? 0 : p->n_added;
}

/* What a process has in which nothing failed. */
static void measure(bool second)
{
	struct play p;

	play_begin(&p, false);
	play_scene(&p);
	play_scene(&p);
	fds_then = count_fds(victim(&p, second)->pid);
	mappings_then = count_mappings(victim(&p, second)->pid) - regions_of(&p, second);
	play_end(&p);
	daemon_is_as_before();
}

static void has_leaked_nothing(struct play *p, bool second)
{
	pid_t pid = victim(p, second)->pid;

	UNTIL(watch_stat().heaps == heaps_before() + p->n_added + POOLS);
	assert_int_equal(fds_then, count_fds(pid));
	assert_int_equal(mappings_then + regions_of(p, second), count_mappings(pid));
}

static void fail_one(const struct fail_row *row, uint64_t n, bool lasting, bool second, bool *reached)
{
	struct play p;

	play_begin(&p, true);
	p.lasting = lasting;
	fail_arm(victim(&p, second)->pid, row, n, lasting);
	play_scene(&p);
	*reached = fail_disarm() > 0;
	if (getenv("FAIL_TELL") && *reached)
		print_message("%c: %s %llu %s:%s\n", second ? 'B' : 'A', row->name, (unsigned long long)n,
			      strerrorname_np(row->error), p.errors[0] ? p.errors : " nothing was to be seen");
	if (!*reached && p.n_errors) {
		print_error("%s failed without reason:%s\n", row->name, p.errors);
		fail();
	}
	play_clean_up();
	p.loose = p.lasting = false;
	play_scene(&p);
	has_leaked_nothing(&p, second);
	play_end(&p);
	daemon_is_as_before();
	bystander_is_well();
}

static void fail_each(const struct fail_row *row, bool second)
{
	bool reached = true;
	uint64_t n = 1;

	for (; reached && n <= fail_calls(row); n += STRIDE) {
		fail_one(row, n, false, second, &reached);
		n_failed += reached;
	}
	assert_true(!reached || fail_calls(row) < FAIL_CALLS_MAX);
	if (n - STRIDE > 1)
		print_message("%c: %-25s %-14s %llu calls\n", second ? 'B' : 'A', row->name,
			      strerrorname_np(row->error), (unsigned long long)(n - STRIDE - 1));
}

static void fail_all(bool second, size_t first, size_t step)
{
	const char *only = getenv("FAIL_ONLY");

	n_failed = 0;
	heapd_start(PATIENT);
	stage_set();
	measure(second);
	for (size_t i = first; i < fail_n_rows; i += step)
		if (!only || !strcmp(only, fail_rows[i].name))
			fail_each(&fail_rows[i], second);
	bystander_leaves();
	assert_true(n_failed >= 20 / STRIDE || only); /* a test in which nothing failed has tested nothing */
}

/* From the Nth call on none goes well, until the scene is over. */
static void for_good(void)
{
	static const char *const names[] = {
		"calloc", "mmap64", "madvise", "socket", "setsockopt", "connect", "eventfd", "pthread_create",
	};
	static const uint64_t from[] = { 1, 2, 3, 5, 8, 12 };

	n_failed = 0;
	heapd_start(PATIENT);
	stage_set();
	measure(false);
	for (size_t i = 0; i < fail_n_rows; i++)
		for (size_t k = 0; k < ARRAY_SIZE(names) * ARRAY_SIZE(from); k += TURN) {
			bool reached = false;

			if (!strcmp(names[k / ARRAY_SIZE(from)], fail_rows[i].name))
				fail_one(&fail_rows[i], from[k % ARRAY_SIZE(from)], true, false, &reached);
			n_failed += reached;
		}
	bystander_leaves();
	assert_true(n_failed >= 20 / TURN);
}

static void in_the_process_that_creates_odd(void)
{
	fail_all(false, 1, 2);
}

static void in_the_process_that_creates_even(void)
{
	fail_all(false, 0, 2);
}

static void in_the_process_that_binds(void)
{
	fail_all(true, 0, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(in_the_process_that_creates_odd),
		STORY(in_the_process_that_creates_even),
		STORY(in_the_process_that_binds),
		STORY(for_good),
	};

	if (fail_open() < 0)
		return 99;
	return cmocka_run_group_tests_name("fail-library", tests, NULL, NULL);
}
