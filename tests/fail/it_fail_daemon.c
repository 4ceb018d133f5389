/*
 * Story: each call of the daemon fails once, at its first, its second, … time
 *
 * heapd is a build of its own (fail.h). For each function and each N the scene is played loosely while the Nth call
 * fails, until the scene passes without the failure being reached. After each: the bystander has noticed nothing, the
 * daemon has no session, heap, byte, descriptor or mapping more than before, and the same scene passes strictly.
 * FAIL_ONLY=NAME in the environment: only that function. FAIL_TELL=1: says what failed how.
 */
#include "tests/fail/play.h"
#include "tests/story/raw.h"
#include "tests/story/steps.h"

/*
 * Under a sanitizer every call would take minutes: every few. What the address sanitizer looks for may be behind any of them;
 * for the other one it is enough that each function fails once or twice: threads meet in few places.
 */
#ifdef __SANITIZE_THREAD__
#define STRIDE fail_stride(47)
#define TURN 4
#else
#define STRIDE fail_stride(STORY_SANITIZED ? 11 : 1)
#define TURN 1
#endif

static void fail_one(const struct fail_row *row, uint64_t n, bool lasting, bool *reached)
{
	struct play p;

	play_begin(&p, true);
	p.lasting = lasting;
	fail_arm(heapd_pid(), row, n, lasting);
	play_scene(&p);
	play_end(&p);
	*reached = fail_disarm() > 0;
	if (getenv("FAIL_TELL") && *reached)
		print_message("%s %llu %s:%s\n", row->name, (unsigned long long)n, strerrorname_np(row->error),
			      p.errors[0] ? p.errors : " nothing was to be seen");
	if (!*reached && p.n_errors) {
		print_error("%s failed without reason:%s\n", row->name, p.errors);
		fail();
	}
	daemon_is_as_before();
	bystander_is_well();
	if (!*reached)
		return;
	play_strictly();
	daemon_is_as_before();
}

static uint64_t n_failed;

static void fail_each(const struct fail_row *row)
{
	bool reached = true;
	uint64_t n = 1;

	for (; reached && n <= fail_calls(row); n += STRIDE) {
		fail_one(row, n, false, &reached);
		n_failed += reached;
	}
	assert_true(!reached || fail_calls(row) < FAIL_CALLS_MAX);
	print_message("%-28s %-14s %llu calls\n", row->name, strerrorname_np(row->error),
		      (unsigned long long)(n - STRIDE - 1));
}

static void begin(const char *config)
{
	n_failed = 0;
	log_allow("a client cannot connect");
	log_allow("client dropped");
	log_allow("libevent:");
	log_allow("memory could not be committed");
	log_allow("io_uring is refused");
	heapd_start(config);
	stage_set();
}

/* A test in which nothing failed has tested nothing. */
static void end(uint64_t least)
{
	bystander_leaves();
	assert_true(n_failed >= least || getenv("FAIL_ONLY"));
}

/* From the Nth call on none goes well, until the scene is over. What the daemon cannot answer without is left out. */
static void for_good(void)
{
	static const char *const names[] = {
		"malloc", "calloc", "realloc", "aligned_alloc", "mmap64", "memfd_create", "ftruncate64", "fcntl64",
		"open64", "pread64", "socketpair", "getsockopt", "event_new", "epoll_ctl", "event_add",
	};
	static const uint64_t from[] = { 1, 2, 4, 7, 12, 20, 33 };

	begin(PATIENT);
	for (size_t i = 0; i < fail_n_rows; i++)
		for (size_t k = 0; k < ARRAY_SIZE(names) * ARRAY_SIZE(from); k += TURN) {
			bool reached = false;

			if (!strcmp(names[k / ARRAY_SIZE(from)], fail_rows[i].name))
				fail_one(&fail_rows[i], from[k % ARRAY_SIZE(from)], true, &reached);
			n_failed += reached;
		}
	end(40 / TURN);
}

static void fail_rows_from(size_t first, size_t step)
{
	const char *only = getenv("FAIL_ONLY");

	begin(PATIENT);
	for (size_t i = first; i < fail_n_rows; i += step)
		if (!only || !strcmp(only, fail_rows[i].name))
			fail_each(&fail_rows[i]);
	end(40 / STRIDE);
}

/* What io_uring's threads do otherwise, and ours do here. */
static void without_io_uring(void)
{
	static const char *const names[] = { "fallocate64", "madvise", "mmap64", "mlock2", "malloc" };

	begin(PATIENT "io_uring = no\n");
	for (size_t k = 0; k < ARRAY_SIZE(names); k++)
		for (size_t i = 0; i < fail_n_rows; i++)
			if (!strcmp(names[k], fail_rows[i].name))
				fail_each(&fail_rows[i]);
	end(30 / STRIDE);
}

/* In parts, since each test has its own daemon and its own deadline. */
#define PART(n) static void part_##n(void) { fail_rows_from(n, 4); }
PART(0) PART(1) PART(2) PART(3)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(part_0), STORY(part_1), STORY(part_2), STORY(part_3), STORY(without_io_uring),
		STORY(for_good),
	};

	if (fail_open() < 0)
		return 99;
	return cmocka_run_group_tests_name("fail-daemon", tests, NULL, NULL);
}
