/*
 * Story: each call of the daemon fails once while it starts
 *
 * Then one of two things: it starts all the same, with less (no io_uring, say) or with a connection lost, and the
 * scene passes; or it ends with status 1 and a line that says what failed and why, and leaves nothing behind that the
 * next start would stumble over.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "tests/fail/play.h"
#include "tests/story/raw.h"

#define STRIDE fail_stride(STORY_SANITIZED ? 11 : 1)

static char log_path[128];

static pid_t start(const char *config)
{
	const char *exe = getenv("HEAPD");
	_cleanup_fd_ int log = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	pid_t pid;

	assert_non_null(exe);
	assert_true(log >= 0);
	(void)fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(log, STDERR_FILENO);
		(void)execl(exe, "heapd", "--foreground", "--config", config, "--socket", story_socket(), (char *)NULL);
		_exit(127);
	}
	return pid;
}

static bool answers(void)
{
	struct raw r = RAW_NULL;
	bool yes = raw_connect(&r) == 0 && raw_hello(&r) == STATUS_OK;

	raw_close(&r);
	return yes;
}

/* Waits for the one or the other. true: it has ended, with that status. */
static bool has_ended(pid_t pid, int *status)
{
	for (;;) {
		if (waitpid(pid, status, WNOHANG) == pid)
			return true;
		if (answers())
			return false;
		story_pause("heapd answers or ends", __FILE__, __LINE__);
	}
}

/* The last line that it wrote. */
static void read_line(char *line, int size)
{
	FILE *f = fopen(log_path, "re");
	char next[256];

	line[0] = '\0';
	assert_non_null(f);
	while (fgets(next, sizeof(next), f))
		(void)snprintf(line, (size_t)size, "%s", next);
	(void)fclose(f);
	line[strcspn(line, "\n")] = '\0';
}

static bool start_once(const struct fail_row *row, uint64_t n, const char *config)
{
	char line[256];
	int status;
	pid_t pid;
	bool reached, ended;

	fail_arm_next(row, n, false);
	pid = start(config);
	ended = has_ended(pid, &status);
	reached = fail_disarm() > 0;
	if (!ended) {
		play_strictly();
		assert_int_equal(0, kill(pid, SIGTERM));
		assert_int_equal(pid, waitpid(pid, &status, 0));
	}
	read_line(line, sizeof(line));
	if (getenv("FAIL_TELL") && ended)
		print_message("%s %llu %s: %s\n", row->name, (unsigned long long)n, strerrorname_np(row->error), line);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != (ended ? 1 : 0) || !line[0] || (ended && !reached)) {
		print_error("%s %llu %s: wait status 0x%x, last line: %s\n", row->name, (unsigned long long)n,
			    strerrorname_np(row->error), status, line);
		fail();
	}
	return reached;
}

static void start_often(size_t first, size_t step, const char *text)
{
	const char *only = getenv("FAIL_ONLY");
	uint64_t n_failed = 0;
	char config[128];
	FILE *f;

	(void)snprintf(log_path, sizeof(log_path), "%s/start.log", story_dir());
	(void)snprintf(config, sizeof(config), "%s/start.conf", story_dir());
	f = fopen(config, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(0, fclose(f));
	for (size_t i = first; i < fail_n_rows; i += step) {
		bool reached = true;
		uint64_t n = 1;

		if (only && strcmp(only, fail_rows[i].name) != 0)
			continue;
		for (; reached && n <= fail_calls(&fail_rows[i]); n += STRIDE) {
			reached = start_once(&fail_rows[i], n, config);
			n_failed += reached;
		}
		assert_true(!reached || fail_calls(&fail_rows[i]) < FAIL_CALLS_MAX);
		print_message("%-28s %-14s %llu calls\n", fail_rows[i].name, strerrorname_np(fail_rows[i].error),
			      (unsigned long long)(n - STRIDE - 1));
	}
	assert_true(n_failed + 1 > 10 / STRIDE || only);
}

#define TEXT PATIENT "[limits \"65001\"]\nheaps = 100\n[heap \"x*\"]\nmode = 0660\n[region \"one\"]\nsize = 64K\n"

#define PART(n) static void part_##n(void) { start_often(n, 4, TEXT); }
PART(0) PART(1) PART(2) PART(3)

int main(void)
{
	const struct CMUnitTest tests[] = { STORY(part_0), STORY(part_1), STORY(part_2), STORY(part_3) };

	if (fail_open() < 0)
		return 99;
	return cmocka_run_group_tests_name("fail-start", tests, NULL, NULL);
}
