/*
 * heapd as a process: its command line, its signals, and what it tells a systemd that we play
 *
 * The notification socket, the passed sockets and the watchdog are systemd's protocol, spoken here
 * by hand; tests/system has the real one. $HEAPD is the daemon.
 */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <cmocka.h>
#include "config-heapd.h"
#include "common/base.h"

#define SOON_MS 20000 /* however slow the machine */

struct world {
	char dir[64], socket[96], notify[96], config[96];
	int notify_fd; /* what systemd would read */
	pid_t pid;
	char said[8192]; /* stderr of the last one that ended */
	int stderr_fd;
};

static int setup(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	strcpy(w->dir, "/tmp/heapd-test-XXXXXX");
	if (!mkdtemp(w->dir))
		return -1;
	(void)snprintf(w->socket, sizeof(w->socket), "%s/s", w->dir);
	(void)snprintf(w->notify, sizeof(w->notify), "%s/n", w->dir);
	(void)snprintf(w->config, sizeof(w->config), "%s/c", w->dir);
	w->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	strcpy(addr.sun_path, w->notify);
	if (w->notify_fd < 0 || bind(w->notify_fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -1;
	w->stderr_fd = memfd_create("stderr", MFD_CLOEXEC);
	*state = w;
	return w->stderr_fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	char lock[sizeof(w->socket) + sizeof(".lock")];

	if (w->pid > 0) {
		(void)kill(w->pid, SIGKILL);
		(void)waitpid(w->pid, NULL, 0);
	}
	close_fd(&w->notify_fd);
	close_fd(&w->stderr_fd);
	(void)unlink(w->notify);
	(void)unlink(w->config);
	(void)unlink(w->socket);
	(void)snprintf(lock, sizeof(lock), "%s.lock", w->socket);
	(void)unlink(lock);
	(void)rmdir(w->dir);
	free(w);
	return 0;
}

static void configure(struct world *w, const char *text)
{
	FILE *f = fopen(w->config, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(0, fclose(f));
}

/* In the child: heapd with these arguments; passed >= 0 becomes its descriptor 3. */
static void become_heapd(const struct world *w, const char *const *args, int passed)
{
	const char *path = getenv("HEAPD");
	char pid[16];

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(w->stderr_fd, STDERR_FILENO) < 0 || dup2(w->stderr_fd, STDOUT_FILENO) < 0)
		_exit(99);
	if (passed >= 0) {
		(void)snprintf(pid, sizeof(pid), "%d", getpid());
		(void)setenv("LISTEN_PID", pid, 1);
		(void)setenv("LISTEN_FDS", "1", 1);
		if (passed == 3 ? fcntl(3, F_SETFD, 0) < 0 : dup2(passed, 3) < 0)
			_exit(99);
	}
	execv(path, (char *const *)args);
	_exit(99);
}

static void start_with(struct world *w, int passed, const char *const *args)
{
	assert_int_equal(0, ftruncate(w->stderr_fd, 0));
	(void)lseek(w->stderr_fd, 0, SEEK_SET);
	w->pid = fork();
	assert_true(w->pid >= 0);
	if (!w->pid)
		become_heapd(w, args, passed);
}

#define START(w, ...) start_with(w, -1, (const char *const[]){ "heapd", __VA_ARGS__, NULL })

/* Its exit status, or minus the signal. */
static int end_of(struct world *w)
{
	int status;
	ssize_t n;

	assert_int_equal(w->pid, waitpid(w->pid, &status, 0));
	w->pid = 0;
	n = pread(w->stderr_fd, w->said, sizeof(w->said) - 1, 0);
	assert_true(n >= 0);
	w->said[n] = '\0';
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* The next notification, but for those that only tell status. */
static const char *told(struct world *w)
{
	static char text[512];
	struct pollfd p = { .fd = w->notify_fd, .events = POLLIN };
	ssize_t n;

	do {
		if (poll(&p, 1, SOON_MS) != 1)
			return "nothing";
		n = recv(w->notify_fd, text, sizeof(text) - 1, 0);
		assert_true(n > 0);
		text[n] = '\0';
	} while (!strncmp(text, "STATUS=", 7));
	return text;
}

static void start_notifying(struct world *w)
{
	(void)setenv("NOTIFY_SOCKET", w->notify, 1);
	START(w, "--config", w->config, "--socket", w->socket);
	(void)unsetenv("NOTIFY_SOCKET");
	assert_string_equal("READY=1", told(w));
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, path);
	return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
}

/* ---- tests ---- */

static void test_usage(void **state)
{
	struct world *w = *state;

	START(w, "--nonsense");
	assert_int_equal(2, end_of(w));
	START(w, "argument");
	assert_int_equal(2, end_of(w));
	START(w, "--config");
	assert_int_equal(2, end_of(w));
	START(w, "--version");
	assert_int_equal(0, end_of(w));
	assert_string_equal("heapd " HEAPD_VERSION "\n", w->said);
	START(w, "--help");
	assert_int_equal(0, end_of(w));
	assert_non_null(strstr(w->said, HEAPD_CONFIG_PATH));
}

static void test_check_config(void **state)
{
	struct world *w = *state;

	configure(w, "[daemon]\npriority = 5\n");
	START(w, "--check-config", "--config", w->config);
	assert_int_equal(0, end_of(w));
	assert_non_null(strstr(w->said, ": good\n"));
	configure(w, "[daemon]\npriority = 500\nfoo = 1\n");
	START(w, "--check-config", "--config", w->config);
	assert_int_equal(1, end_of(w));
	assert_non_null(strstr(w->said, "/c:2: priority = 500"));
	assert_non_null(strstr(w->said, "/c:3: unknown key foo"));
	START(w, "--config", w->config, "--socket", w->socket); /* and it does not start with it */
	assert_int_equal(1, end_of(w));
	START(w, "--check-config", "--config", "/nonexistent");
	assert_int_equal(1, end_of(w));
}

static void test_life(void **state)
{
	const int signals[] = { SIGTERM, SIGINT };
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		configure(w, "");
		start_notifying(w);
		assert_int_equal(0, connect_to(w->socket)); /* ready means: clients can connect */
		assert_int_equal(0, kill(w->pid, signals[i]));
		assert_string_equal("STOPPING=1", told(w));
		assert_int_equal(0, end_of(w));
		assert_int_equal(-ENOENT, connect_to(w->socket));
	}
}

static void test_reload(void **state)
{
	struct world *w = *state;
	unsigned long long usec, now;
	const char *text;

	configure(w, "");
	start_notifying(w);
	for (int i = 0; i < 2; i++) {
		configure(w, i ? "[daemon]\nlock_memory = yes\n" : "nonsense\n");
		now = now_ns() / 1000;
		assert_int_equal(0, kill(w->pid, SIGHUP));
		text = told(w);
		assert_int_equal(1, sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%llu", &usec));
		assert_true(usec >= now && usec <= now_ns() / 1000);
		assert_string_equal("READY=1", told(w));
		assert_int_equal(0, connect_to(w->socket));
	}
	assert_int_equal(0, kill(w->pid, SIGTERM));
	assert_int_equal(0, end_of(w));
	assert_non_null(strstr(w->said, "/c:1: expected [section]"));
	assert_non_null(strstr(w->said, "the configuration stays as it was"));
	assert_non_null(strstr(w->said, "configuration reloaded"));
	assert_non_null(strstr(w->said, "change with the next start only"));
}

/* A beat each half of the time: the third comes after one and a half, not sooner. */
static void test_watchdog(void **state)
{
	struct world *w = *state;
	uint64_t start = now_ns();

	configure(w, "");
	(void)setenv("WATCHDOG_USEC", "400000", 1);
	start_notifying(w);
	(void)unsetenv("WATCHDOG_USEC");
	for (int i = 0; i < 3; i++)
		assert_string_equal("WATCHDOG=1", told(w));
	assert_true(now_ns() - start >= 600 * NSEC_PER_MSEC);
	assert_int_equal(0, kill(w->pid, SIGTERM));
	assert_int_equal(0, end_of(w));
}

static void test_status(void **state)
{
	struct world *w = *state;
	struct pollfd p = { .fd = w->notify_fd, .events = POLLIN };
	char text[256];
	ssize_t n;

	configure(w, "");
	(void)setenv("NOTIFY_SOCKET", w->notify, 1);
	START(w, "--config", w->config, "--socket", w->socket);
	(void)unsetenv("NOTIFY_SOCKET");
	assert_int_equal(1, poll(&p, 1, SOON_MS));
	n = recv(w->notify_fd, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = '\0';
	assert_int_equal(0, strncmp(text, "STATUS=0 heaps", 14));
	assert_string_equal("READY=1", told(w));
	assert_int_equal(0, poll(&p, 1, 1500)); /* nothing happens: nothing is told */
}

static int make_socket(const char *path, int type, bool listening)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	(void)unlink(path);
	strcpy(addr.sun_path, path);
	assert_int_equal(0, bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
	if (listening)
		assert_int_equal(0, listen(fd, 16));
	return fd;
}

static void test_passed_socket(void **state)
{
	struct world *w = *state;
	int fd = make_socket(w->socket, SOCK_SEQPACKET, true);
	struct stat st;
	char lock[112];

	configure(w, "");
	(void)setenv("NOTIFY_SOCKET", w->notify, 1);
	start_with(w, fd, (const char *const[]){ "heapd", "--config", w->config, "--socket", "/nonexistent/s", NULL });
	(void)unsetenv("NOTIFY_SOCKET");
	assert_string_equal("READY=1", told(w)); /* --socket counts for nothing then */
	close_fd(&fd);
	assert_int_equal(0, connect_to(w->socket));
	assert_int_equal(0, kill(w->pid, SIGTERM));
	assert_int_equal(0, end_of(w));
	assert_int_equal(0, lstat(w->socket, &st)); /* it is systemd's to remove */
	(void)snprintf(lock, sizeof(lock), "%s.lock", w->socket);
	assert_int_equal(-1, lstat(lock, &st));
}

static void test_passed_something_else(void **state)
{
	struct world *w = *state;

	configure(w, "");
	for (int i = 0; i < 3; i++) {
		int fd = i == 0 ? make_socket(w->socket, SOCK_STREAM, true) :
			 i == 1 ? make_socket(w->socket, SOCK_SEQPACKET, false) :
				  open("/dev/null", O_RDWR | O_CLOEXEC);

		start_with(w, fd, (const char *const[]){ "heapd", "--config", w->config, NULL });
		assert_int_equal(1, end_of(w));
		assert_non_null(strstr(w->said, "not a listening SOCK_SEQPACKET socket"));
		close_fd(&fd);
	}
}

/* The journal's stream gets priorities, unless for people; another stderr gets the name. */
static void test_log_prefix(void **state)
{
	struct world *w = *state;
	char stream[64];
	struct stat st;

	configure(w, "nonsense\n");
	assert_int_equal(0, fstat(w->stderr_fd, &st));
	(void)snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	START(w, "--config", w->config);
	assert_int_equal(1, end_of(w));
	assert_int_equal(0, strncmp(w->said, "heapd: /", 8));
	(void)setenv("JOURNAL_STREAM", stream, 1);
	START(w, "--config", w->config);
	assert_int_equal(1, end_of(w));
	assert_int_equal(0, strncmp(w->said, "<3>/", 4));
	START(w, "--config", w->config, "--foreground");
	assert_int_equal(1, end_of(w));
	assert_int_equal(0, strncmp(w->said, "heapd: /", 8));
	(void)setenv("JOURNAL_STREAM", "1:2", 1); /* somebody else's */
	START(w, "--config", w->config);
	assert_int_equal(1, end_of(w));
	assert_int_equal(0, strncmp(w->said, "heapd: /", 8));
	(void)unsetenv("JOURNAL_STREAM");
}

/* A pipe that nobody reads, full: the daemon goes on all the same. */
static void test_log_never_blocks(void **state)
{
	struct world *w = *state;
	char rubbish[4096] = { 0 };
	int p[2], before = w->stderr_fd;

	assert_int_equal(0, pipe2(p, O_CLOEXEC | O_NONBLOCK));
	while (write(p[1], rubbish, sizeof(rubbish)) > 0)
		;
	assert_int_equal(0, fcntl(p[1], F_SETFL, 0)); /* a blocking one, as a shell gives */
	configure(w, "");
	w->stderr_fd = p[1];
	w->pid = fork();
	assert_true(w->pid >= 0);
	if (!w->pid) {
		(void)setenv("NOTIFY_SOCKET", w->notify, 1);
		become_heapd(w, (const char *const[]){ "heapd", "--config", w->config, "--socket", w->socket, NULL }, -1);
	}
	w->stderr_fd = before;
	assert_string_equal("READY=1", told(w));
	assert_int_equal(0, connect_to(w->socket));
	assert_int_equal(0, kill(w->pid, SIGHUP));
	assert_int_equal(0, strncmp("RELOADING=1", told(w), 11));
	assert_string_equal("READY=1", told(w));
	assert_int_equal(0, kill(w->pid, SIGTERM));
	assert_int_equal(0, end_of(w));
	close_fd(&p[0]);
	close_fd(&p[1]);
}

#define HEAPD_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		HEAPD_TEST(test_usage),
		HEAPD_TEST(test_check_config),
		HEAPD_TEST(test_life),
		HEAPD_TEST(test_reload),
		HEAPD_TEST(test_log_prefix),
		HEAPD_TEST(test_log_never_blocks),
		HEAPD_TEST(test_watchdog),
		HEAPD_TEST(test_status),
		HEAPD_TEST(test_passed_socket),
		HEAPD_TEST(test_passed_something_else),
	};

	if (!getenv("HEAPD")) {
		fprintf(stderr, "$HEAPD is not set\n");
		return 1;
	}
	return cmocka_run_group_tests_name("heapd", tests, NULL, NULL);
}
