/*
 * The socket that a daemon makes itself: one of two wins, a dead one's is replaced, nothing else
 * is.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <cmocka.h>
#include "daemon/log.h"
#include "daemon/socket.h"

struct world {
	char dir[64], path[96], lock[104];
	struct socket_file a, b;
	int fd_a, fd_b;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	*w = (struct world){ .a = SOCKET_FILE_NULL, .b = SOCKET_FILE_NULL, .fd_a = -1, .fd_b = -1 };
	strcpy(w->dir, "/tmp/heapd-test-XXXXXX");
	if (!mkdtemp(w->dir))
		return -1;
	(void)snprintf(w->path, sizeof(w->path), "%s/s", w->dir);
	(void)snprintf(w->lock, sizeof(w->lock), "%s.lock", w->path);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	socket_file_deinit(&w->a);
	socket_file_deinit(&w->b);
	close_fd(&w->fd_a);
	close_fd(&w->fd_b);
	(void)unlink(w->path);
	(void)unlink(w->lock);
	assert_int_equal(0, rmdir(w->dir)); /* nothing is left behind */
	free(w);
	return 0;
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, path);
	return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
}

static bool there(const char *path)
{
	struct stat st;

	return !lstat(path, &st);
}

static void test_listens(void **state)
{
	struct world *w = *state;
	struct stat st;

	assert_int_equal(0, socket_file_listen(&w->a, w->path, 0640, &w->fd_a));
	assert_int_equal(0, connect_to(w->path));
	assert_int_equal(0, stat(w->path, &st));
	assert_int_equal(0640, st.st_mode & 07777);
	assert_int_equal(0, stat(w->lock, &st));
	assert_int_equal(0600, st.st_mode & 07777);
	assert_true(fcntl(w->fd_a, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(w->fd_a, F_GETFL) & O_NONBLOCK);
	socket_file_deinit(&w->a);
	assert_false(there(w->path));
	assert_false(there(w->lock));
	socket_file_deinit(&w->a);
}

static void test_second_is_refused(void **state)
{
	struct world *w = *state;

	assert_int_equal(0, socket_file_listen(&w->a, w->path, 0666, &w->fd_a));
	assert_int_equal(-EADDRINUSE, socket_file_listen(&w->b, w->path, 0666, &w->fd_b));
	socket_file_deinit(&w->b); /* takes nothing of the first one's away */
	assert_true(there(w->path) && there(w->lock));
	assert_int_equal(0, connect_to(w->path));
	socket_file_deinit(&w->a);
	close_fd(&w->fd_a);
	assert_int_equal(0, socket_file_listen(&w->b, w->path, 0666, &w->fd_b));
}

static void test_dead_one_is_replaced(void **state)
{
	struct world *w = *state;
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		int r = socket_file_listen(&w->a, w->path, 0666, &w->fd_a);

		_exit(r ? 1 : 0); /* as by SIGKILL: nothing is cleaned up */
	}
	assert_int_equal(pid, waitpid(pid, &status, 0));
	assert_int_equal(0, status);
	assert_true(there(w->path) && there(w->lock));
	assert_int_equal(-ECONNREFUSED, connect_to(w->path));
	assert_int_equal(0, socket_file_listen(&w->b, w->path, 0666, &w->fd_b));
	assert_int_equal(0, connect_to(w->path));
}

/* Somebody who knows nothing of the lock listens there: systemd for heapd.socket. */
static void test_foreign_listener_is_left_alone(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct world *w = *state;
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, w->path);
	assert_int_equal(0, bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
	assert_int_equal(0, listen(fd, 0));
	assert_int_equal(-EADDRINUSE, socket_file_listen(&w->a, w->path, 0666, &w->fd_a));
	assert_true(there(w->path));
	socket_file_deinit(&w->a);
	/* that look has filled its backlog: a daemon too busy to accept is alive too */
	assert_int_equal(-EADDRINUSE, socket_file_listen(&w->a, w->path, 0666, &w->fd_a));
	assert_true(there(w->path));
	(void)unlink(w->path);
}

static void test_other_files_are_left_alone(void **state)
{
	struct world *w = *state;
	int fd = open(w->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	close_fd(&fd);
	assert_int_equal(-EEXIST, socket_file_listen(&w->a, w->path, 0666, &w->fd_a));
	socket_file_deinit(&w->a);
	assert_true(there(w->path));
	assert_false(there(w->lock));
	(void)unlink(w->path);
	assert_int_equal(0, symlink("/nonexistent/other", w->path));
	assert_int_equal(-EEXIST, socket_file_listen(&w->a, w->path, 0666, &w->fd_a));
	assert_true(there(w->path));
}

/* What was put in the place of our socket meanwhile is not ours to remove. */
static void test_removes_only_its_own(void **state)
{
	struct world *w = *state;
	int fd;

	assert_int_equal(0, socket_file_listen(&w->a, w->path, 0666, &w->fd_a));
	assert_int_equal(0, unlink(w->path));
	fd = open(w->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	close_fd(&fd);
	socket_file_deinit(&w->a);
	assert_true(there(w->path));
	assert_false(there(w->lock));
}

/*
 * The lock's file was removed by a predecessor after we opened it: what we locked is nobody's lock.
 */
static void test_lock_is_the_file_of_that_name(void **state)
{
	struct world *w = *state;
	int old = open(w->lock, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

	assert_int_equal(0, flock(old, LOCK_EX));
	assert_int_equal(-EADDRINUSE, socket_file_listen(&w->a, w->path, 0666, &w->fd_a));
	socket_file_deinit(&w->a);
	assert_int_equal(0, unlink(w->lock));
	assert_int_equal(0, socket_file_listen(&w->a, w->path, 0666, &w->fd_a)); /* a new one, whoever holds the old */
	close_fd(&old);
}

static void test_bad_paths(void **state)
{
	char text[200];
	struct world *w = *state;

	memset(text, 'x', sizeof(text));
	text[0] = '/';
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(-ENAMETOOLONG, socket_file_listen(&w->a, text, 0666, &w->fd_a));
	assert_int_equal(-ENOENT, socket_file_listen(&w->a, "/nonexistent/s", 0666, &w->fd_a));
	assert_int_equal(-1, w->fd_a);
}

#define SOCKET_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SOCKET_TEST(test_listens),
		SOCKET_TEST(test_second_is_refused),
		SOCKET_TEST(test_dead_one_is_replaced),
		SOCKET_TEST(test_foreign_listener_is_left_alone),
		SOCKET_TEST(test_other_files_are_left_alone),
		SOCKET_TEST(test_removes_only_its_own),
		SOCKET_TEST(test_lock_is_the_file_of_that_name),
		SOCKET_TEST(test_bad_paths),
	};

	log_init(false);
	return cmocka_run_group_tests_name("socket", tests, NULL, NULL);
}
