/*
 * story.c: the stage: folder, daemon, log, deadline
 *
 * The log's priorities are read from the prefixes that heapd writes for the journal: the test makes
 * $JOURNAL_STREAM name the log file, which is what heapd compares its stderr with.
 * The deadline is an alarm whose handler kills the actors and the daemon: whatever the test waits
 * for then ends, and the test fails by the assertion it is in. Should even that hang, a second
 * alarm ends the program.
 */
#include "tests/story/story.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "tests/story/actor.h"
#include "tests/story/keeper.h"
#include "tests/story/raw.h"

#define DEADLINE_S (60u * STORY_FACTOR)
#define N_ALLOWED 16

static struct {
	char dir[64];
	char socket[96], config[96], log[96];
	volatile pid_t heapd;
	int heapd_status;
	unsigned keep; /* descriptors that outlive it; 0: none */
	const char *allowed[N_ALLOWED];
	size_t n_allowed;
	const char *name;
	volatile sig_atomic_t timed_out;
	bool played; /* the test returned or was skipped */
	bool bad;    /* something beside its assertions went wrong */
} story;

/*
 * For the thread sanitizer, in test and actors. A child of a forked multi-threaded client starts
 * threads: that is one of the stories. Actors come and go by hundreds, so the end of each must not
 * take a second.
 */
__attribute__((__visibility__("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "die_after_fork=0:atexit_sleep_ms=20:second_deadlock_stack=1";
}

/* STORY_TEST=PATTERN in the environment: only the tests whose names match. */
__attribute__((__constructor__)) static void choose_tests(void)
{
	const char *pattern = getenv("STORY_TEST");

	if (pattern)
		cmocka_set_test_filter(pattern);
}

const char *story_dir(void)
{
	return story.dir;
}

const char *story_socket(void)
{
	return story.socket;
}

/* ---- deadline ---- */

static void on_deadline(int signo)
{
	static const char text[] = "story: the deadline is over, ending everything\n";
	pid_t pid = story.heapd;

	(void)signo;
	if (story.timed_out)
		_exit(124);
	story.timed_out = 1;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	actors_kill_all();
	if (pid > 0)
		(void)kill(pid, SIGKILL);
	(void)alarm(20);
}

void story_pause(const char *what, const char *file, int line)
{
	static const struct timespec moment = { .tv_nsec = 2000000 };

	if (story.timed_out) {
		print_error("%s:%d: never came true: %s\n", file, line, what);
		fail();
	}
	(void)nanosleep(&moment, NULL);
}

/* ---- log ---- */

/* What heapd says of the machine, and of its own lines, in any story. */
static const char *const usual[] = {
	"locked into RAM",
	"committing memory through a thread",
	"lines like the next one were not logged",
};

static bool is_allowed(const char *line)
{
	for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
		if (strstr(line, usual[i]))
			return true;
	for (size_t i = 0; i < story.n_allowed; i++)
		if (strstr(line, story.allowed[i]))
			return true;
	return false;
}

/* A line above info: "<N>" with N below 6, or one that is not heapd's own (a sanitizer's, an
 * assertion's). */
static bool is_alarming(const char *line)
{
	if (line[0] == '<' && line[1] >= '0' && line[1] <= '7' && line[2] == '>')
		return line[1] < '6';
	return line[0] != '\0' && line[0] != '\n';
}

static FILE *log_open(void)
{
	return fopen(story.log, "re");
}

static int log_check(void)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	int bad = 0;
	FILE *f = log_open();

	if (!f)
		return 0;
	while (getline(&line, &size, f) > 0)
		if (is_alarming(line) && !is_allowed(line)) {
			print_error("unexpected in heapd's log: %s", line);
			bad = -1;
		}
	(void)fclose(f);
	return bad;
}

static void log_print(void)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	FILE *f = log_open();

	if (!f)
		return;
	while (getline(&line, &size, f) > 0)
		print_error("  heapd: %s", line);
	(void)fclose(f);
}

void log_allow(const char *text)
{
	assert_true(story.n_allowed < N_ALLOWED);
	story.allowed[story.n_allowed++] = text;
}

bool log_has(const char *text)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	bool found = false;
	FILE *f = log_open();

	if (!f)
		return false;
	while (!found && getline(&line, &size, f) > 0)
		found = strstr(line, text) != NULL;
	(void)fclose(f);
	return found;
}

/* ---- heapd ---- */

/* In the forked child: becomes heapd. */
static void heapd_exec(int log, int (*prepare)(void))
{
	const char *exe = getenv("HEAPD");
	struct stat st;
	char journal[64];

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)fstat(log, &st);
	(void)snprintf(journal, sizeof(journal), "%ju:%ju", (uintmax_t)st.st_dev,
		       (uintmax_t)st.st_ino);
	(void)setenv("JOURNAL_STREAM", journal, 1);
	(void)unsetenv("NOTIFY_SOCKET");
	(void)dup2(log, STDERR_FILENO);
	(void)dup2(log, STDOUT_FILENO);
	if (story.keep)
		keeper_hand_over(story.keep);
	if (prepare && prepare() < 0) {
		(void)dprintf(STDERR_FILENO, "<2>heapd could not be prepared: %s\n", strerror(errno));
		_exit(126);
	}
	(void)execl(exe ? exe : "heapd", "heapd", "--config", story.config, "--socket",
		    story.socket, (char *)NULL);
	(void)dprintf(STDERR_FILENO, "<2>exec %s: %s\n", exe ? exe : "heapd", strerror(errno));
	_exit(127);
}

static bool heapd_answers(void)
{
	struct raw r = RAW_NULL;
	int status = -ECONNREFUSED;

	if (raw_connect(&r) == 0)
		status = raw_hello(&r);
	raw_close(&r);
	return status == STATUS_OK;
}

/* Reaps it if it has ended. */
static bool heapd_ended(int flags)
{
	int status;
	pid_t pid = story.heapd;

	if (waitpid(pid, &status, flags) != pid)
		return false;
	story.heapd = 0;
	story.heapd_status = status;
	return true;
}

static void heapd_spawn(const char *config, int (*prepare)(void))
{
	FILE *f = fopen(story.config, "we");
	_cleanup_fd_ int log = open(story.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	pid_t pid;

	assert_int_equal(0, story.heapd);
	assert_non_null(f);
	assert_true(log >= 0);
	assert_true(fputs(config, f) >= 0);
	assert_int_equal(0, fclose(f));
	(void)fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		heapd_exec(log, prepare);
	story.heapd = pid;
}

void heapd_start_prepared(const char *config, int (*prepare)(void))
{
	heapd_spawn(config, prepare);
	while (!heapd_answers()) {
		if (heapd_ended(WNOHANG)) {
			print_error("heapd ended at once, wait status 0x%x\n", story.heapd_status);
			fail();
		}
		story_pause("heapd answers", __FILE__, __LINE__);
	}
}

bool heapd_killed(void)
{
	if (!heapd_ended(WNOHANG))
		return false;
	watch_close();
	if (!WIFSIGNALED(story.heapd_status) || WTERMSIG(story.heapd_status) != SIGKILL) {
		print_error("heapd ended with wait status 0x%x\n", story.heapd_status);
		fail();
	}
	return true;
}

bool heapd_start_dying(const char *config)
{
	heapd_spawn(config, NULL);
	while (!heapd_answers()) {
		if (heapd_killed())
			return false;
		story_pause("heapd answers, or dies", __FILE__, __LINE__);
	}
	return true;
}

static rlim_t limit_of_files;

static int limit_files(void)
{
	struct rlimit limit = { limit_of_files, limit_of_files };

	return setrlimit(RLIMIT_NOFILE, &limit);
}

void heapd_start_limited(const char *config, rlim_t nofile)
{
	limit_of_files = nofile;
	heapd_start_prepared(config, limit_files);
}

void heapd_keep(unsigned max)
{
	story.keep = max;
	keeper_start(story.dir);
}

void heapd_start(const char *config)
{
	heapd_start_prepared(config, NULL);
}

pid_t heapd_pid(void)
{
	return story.heapd;
}

static int heapd_end(void)
{
	watch_close();
	if (!story.heapd)
		return 0;
	(void)kill(story.heapd, SIGTERM);
	while (!heapd_ended(0))
		;
	if (!WIFEXITED(story.heapd_status) || WEXITSTATUS(story.heapd_status) != 0) {
		print_error("heapd ended by SIGTERM with wait status 0x%x\n", story.heapd_status);
		return -1;
	}
	return 0;
}

void heapd_stop(void)
{
	int ended = heapd_end(), logged = log_check();

	assert_int_equal(0, ended);
	assert_int_equal(0, logged);
}

void heapd_kill(void)
{
	watch_close();
	assert_true(story.heapd > 0);
	assert_int_equal(0, kill(story.heapd, SIGKILL));
	while (!heapd_ended(0))
		;
}

size_t heapd_fds(void)
{
	char path[64];
	size_t n = 0;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)story.heapd);
	d = opendir(path);
	assert_non_null(d);
	for (struct dirent *e = readdir(d); e; e = readdir(d))
		n += e->d_name[0] != '.';
	(void)closedir(d);
	return n;
}

/* ---- begin, play, end ---- */

int story_begin(void **state)
{
	struct sigaction deadline = { .sa_handler = on_deadline };

	(void)state;
	memset(&story, 0, sizeof(story));
	(void)snprintf(story.dir, sizeof(story.dir), "/tmp/heapd-story-XXXXXX");
	if (!mkdtemp(story.dir) || chmod(story.dir, 0755) < 0)
		return -1;
	(void)snprintf(story.socket, sizeof(story.socket), "%s/heapd.sock", story.dir);
	(void)snprintf(story.config, sizeof(story.config), "%s/heapd.conf", story.dir);
	(void)snprintf(story.log, sizeof(story.log), "%s/log", story.dir);
	(void)setenv("HEAPD_SOCKET", story.socket, 1);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	(void)sigaction(SIGALRM, &deadline, NULL);
	(void)alarm(DEADLINE_S);
	actors_begin();
	return 0;
}

void story_play(void **state)
{
	void (*test)(void) = (void (*)(void))*state;

	test();
	story.played = true;
}

void story_play_case(void **state)
{
	const struct story_case *c = *state;

	c->test(c->arg);
	story.played = true;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int story_end(void **state)
{
	int actors = actors_end(), ended = heapd_end(), logged = log_check();
	int r = actors < 0 || ended < 0 || logged < 0 || story.timed_out ? -1 : 0;

	(void)state;
	(void)alarm(0);
	keeper_stop();
	if (r < 0 || !story.played)
		log_print();
	(void)nftw(story.dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	return r;
}

void story_skip(const char *why)
{
	print_message("skipped: %s\n", why);
	story.played = true;
	skip();
	abort(); /* skip() does not return, but does not say so */
}

void story_needs_root(void)
{
	if (geteuid() != 0)
		story_skip("needs root, to become other users");
}

/* ---- expectations ---- */

static const char *result_text(int r, char *buf, size_t size)
{
	const char *name = r < 0 ? strerrorname_np(-r) : NULL;

	if (name)
		(void)snprintf(buf, size, "-%s", name);
	else
		(void)snprintf(buf, size, "%d", r);
	return buf;
}

int story_expect(int wanted, int got, const char *call, const char *file, int line)
{
	char a[32], b[32];

	if (wanted == got)
		return got;
	print_error("%s:%d: %s\n  gave %s, not %s\n", file, line, call,
		    result_text(got, a, sizeof(a)), result_text(wanted, b, sizeof(b)));
	fail();
	return got;
}
