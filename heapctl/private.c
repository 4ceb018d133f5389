/*
 * private.c: a heapd of one's own, on a socket in a temporary folder
 */
#include "heapctl/private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "heapctl/options.h"

#define START_NS (20 * NSEC_PER_SEC)
#define STOP_NS (5 * NSEC_PER_SEC)
#define POLL_NS (5 * NSEC_PER_MSEC)

static void pause_briefly(void)
{
	const struct timespec ts = {.tv_nsec = (long)POLL_NS};

	(void)nanosleep(&ts, NULL);
}

/* ---- the program ---- */

static bool beside(char path[PATH_MAX], const char *dir, const char *relative)
{
	int n = snprintf(path, PATH_MAX, "%s/%s", dir, relative);

	return n > 0 && n < PATH_MAX && access(path, X_OK) == 0;
}

static bool in_path(char path[PATH_MAX])
{
	const char *at = getenv("PATH");

	while (at && *at) {
		int length = (int)strcspn(at, ":");
		int n = snprintf(path, PATH_MAX, "%.*s/heapd", length, at);

		if (length && n < PATH_MAX && access(path, X_OK) == 0)
			return true;
		at += length + (at[length] == ':');
	}
	return false;
}

/* Beside this program: in its own folder (installed together), in sbin, or where a build puts it.
 * */
static void find_program(char path[PATH_MAX])
{
	static const char *const places[] = {"heapd", "../sbin/heapd", "../daemon/heapd"};
	const char *set = getenv("HEAPD");
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (set && *set) {
		if (access(set, X_OK) != 0 || snprintf(path, PATH_MAX, "%s", set) >= PATH_MAX)
			fail("HEAPD=%s: %s", set, strerror(errno));
		return;
	}
	self[n > 0 ? n : 0] = '\0';
	if (strrchr(self, '/'))
		*strrchr(self, '/') = '\0';
	for (size_t i = 0; n > 0 && i < ARRAY_SIZE(places); i++)
		if (beside(path, self, places[i]))
			return;
	if (!in_path(path) && !beside(path, HEAPD_SBINDIR, "heapd"))
		fail("cannot find heapd: set HEAPD to its path");
}

/* ---- the folder ---- */

static bool try_folder(struct private *p, const char *parent)
{
	int n = parent && *parent
			? snprintf(p->dir, sizeof(p->dir), "%s/heapctl-run.XXXXXX", parent)
			: -1;

	/* room for the longest name in it */
	return n > 0 && n + (int)sizeof("/heapd.sock") < LINK_PATH_SIZE && mkdtemp(p->dir);
}

static void make_folder(struct private *p)
{
	if (!try_folder(p, getenv("XDG_RUNTIME_DIR")) && !try_folder(p, getenv("TMPDIR")) &&
	    !try_folder(p, "/tmp"))
		fail("cannot make a temporary folder: %s", strerror(errno));
	(void)snprintf(p->socket, sizeof(p->socket), "%.*s/heapd.sock", (int)strlen(p->dir),
		       p->dir);
	(void)snprintf(p->log, sizeof(p->log), "%.*s/log", (int)strlen(p->dir), p->dir);
}

/* The folder is ours alone, so whatever is in it (a socket, its lock, the log) was left by the
 * heapd. */
static void remove_folder(struct private *p)
{
	DIR *dir = opendir(p->dir);
	const struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			(void)unlinkat(dirfd(dir), e->d_name, 0);
	if (dir)
		(void)closedir(dir);
	if (rmdir(p->dir) < 0)
		(void)fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, p->dir,
			      strerror(errno));
}

/* ---- the process ---- */

/* In the child. A process group of its own: what the terminal sends is for the command. */
static _Noreturn void become_heapd(const struct private *p, const char *program, const char *config,
				   bool verbose, pid_t parent)
{
	sigset_t none;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int log = verbose ? dup(STDERR_FILENO)
			  : open(p->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	(void)setpgid(0, 0);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	/* this command's own manager, if it has one, has no business with the daemon */
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDNAMES");
	(void)unsetenv("JOURNAL_STREAM");
	if (null < 0 || log < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0 ||
	    dup2(log, STDERR_FILENO) < 0)
		_exit(EXIT_FAILURE);
	(void)execl(program, "heapd", "--foreground", "--socket", p->socket, "--config",
		    config ? config : "/dev/null", (char *)NULL);
	(void)dprintf(STDERR_FILENO, "%s: %s\n", program, strerror(errno));
	_exit(EXIT_FAILURE);
}

static void show_log(const struct private *p)
{
	FILE *f = fopen(p->log, "re");
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		(void)fputs(line, stderr);
	if (f)
		(void)fclose(f);
}

static const char *describe(int status, char *out, size_t size)
{
	if (WIFSIGNALED(status))
		(void)snprintf(out, size, "killed by signal %d", WTERMSIG(status));
	else
		(void)snprintf(out, size, "exit status %d", WEXITSTATUS(status));
	return out;
}

void private_ended(struct private *p, int status)
{
	char text[64];

	p->pid = 0;
	show_log(p);
	(void)fprintf(stderr, "%s: the private heapd has ended: %s\n",
		      program_invocation_short_name, describe(status, text, sizeof(text)));
}

static bool has_ended(struct private *p, int *status)
{
	return waitpid(p->pid, status, WNOHANG) == p->pid;
}

static bool answers(const struct private *p, char *problem, size_t size)
{
	struct link l;
	bool yes = link_open_at(&l, p->socket, problem, size) == 0;

	link_close(&l);
	return yes;
}

void private_start(struct private *p, const char *config, bool verbose)
{
	pid_t parent = getpid();
	char program[PATH_MAX], problem[512] = "";
	uint64_t deadline;
	int status;

	find_program(program);
	make_folder(p);
	p->pid = fork();
	if (p->pid == 0)
		become_heapd(p, program, config, verbose, parent);
	deadline = now_ns() + START_NS;
	while (p->pid > 0 && !answers(p, problem, sizeof(problem))) {
		if (has_ended(p, &status)) {
			private_ended(p, status);
			remove_folder(p);
			exit(EXIT_FAILURE);
		}
		if (now_ns() > deadline) {
			private_stop(p);
			fail("the private heapd does not answer: %s", problem);
		}
		pause_briefly();
	}
	if (p->pid < 0) {
		remove_folder(p);
		fail("cannot start heapd: %s", strerror(errno));
	}
}

void private_stop(struct private *p)
{
	uint64_t deadline = now_ns() + STOP_NS;
	int status = 0;

	if (p->pid > 0) {
		(void)kill(p->pid, SIGTERM);
		while (!has_ended(p, &status) && now_ns() < deadline)
			pause_briefly();
		if (now_ns() >= deadline && kill(p->pid, SIGKILL) == 0)
			(void)waitpid(p->pid, &status, 0);
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			private_ended(p, status);
		p->pid = 0;
	}
	remove_folder(p);
}
