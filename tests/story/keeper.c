/*
 * keeper.c: see keeper.h
 *
 * Two sockets in the test's folder: one takes datagrams from heapd, the other is connected to by
 * who wants to have all that is stored. The datagrams that are there are handled first.
 */
#include "tests/story/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "common/base.h"
#include "tests/story/actor.h"
#include "tests/story/raw.h"

#define STORED_MAX 4096
#define NAME_SIZE 32
#define BATCH 64
#define FIRST_FD 3

struct stored {
	int fd;
	char name[NAME_SIZE];
};

struct batch { /* on the way to a new heapd */
	uint32_t n;
	char name[BATCH][NAME_SIZE];
};

static struct {
	pid_t pid;
	char notify[96], fetch[96];
} keeper;

/* ---- messages with descriptors ---- */

union control {
	char bytes[CMSG_SPACE(BATCH * sizeof(int))];
	struct cmsghdr align;
};

static ssize_t send_with(int sock, const void *bytes, size_t size, const int *fds, uint32_t n)
{
	union control control = {.bytes = {0}};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n) {
		struct cmsghdr *c;

		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	}
	return sendmsg(sock, &msg, MSG_NOSIGNAL);
}

static ssize_t recv_with(int sock, void *bytes, size_t size, int *fds, uint32_t *n, int flags)
{
	union control control = {.bytes = {0}};
	struct iovec iov = {.iov_base = bytes, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	ssize_t got = recvmsg(sock, &msg, flags | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = got < 0 ? NULL : CMSG_FIRSTHDR(&msg);

	*n = 0;
	if (c && c->cmsg_type == SCM_RIGHTS) {
		*n = (uint32_t)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), *n * sizeof(int));
	}
	return got;
}

/* ---- the keeper's process ---- */

static struct stored stored[STORED_MAX];
static uint32_t n_stored;

static void store(const char *name, int *fds, uint32_t n)
{
	for (uint32_t i = 0; i < n && n_stored < STORED_MAX; i++) {
		stored[n_stored].fd = take_fd(&fds[i]);
		(void)snprintf(stored[n_stored++].name, NAME_SIZE, "%s", name);
	}
}

static void discard(const char *name)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < n_stored; i++) {
		if (strcmp(stored[i].name, name) == 0)
			close_fd(&stored[i].fd);
		else
			stored[kept++] = stored[i];
	}
	n_stored = kept;
}

static void handle(char *text, int *fds, uint32_t n)
{
	const char *name = strstr(text, "FDNAME=");
	char copy[NAME_SIZE] = "";

	if (name)
		(void)snprintf(copy, sizeof(copy), "%.*s", (int)strcspn(name + 7, "\n"), name + 7);
	if (strstr(text, "FDSTORE=1"))
		store(copy, fds, n);
	else if (strstr(text, "FDSTOREREMOVE=1"))
		discard(copy);
	else if (strcmp(text, "FORGET") == 0)
		while (n_stored)
			close_fd(&stored[--n_stored].fd);
	for (uint32_t i = 0; i < n; i++) /* a barrier's */
		close_fd(&fds[i]);
}

static void handle_all(int sock)
{
	char text[4096];
	int fds[BATCH];
	uint32_t n;
	ssize_t got;

	while ((got = recv_with(sock, text, sizeof(text) - 1, fds, &n, MSG_DONTWAIT)) >= 0) {
		text[got] = '\0';
		handle(text, fds, n);
	}
}

static void give_all(int listener)
{
	int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	for (uint32_t i = 0; sock >= 0 && i < n_stored; i += BATCH) {
		struct batch b = {.n = 0};
		int fds[BATCH];

		for (; b.n < BATCH && i + b.n < n_stored; b.n++) {
			fds[b.n] = stored[i + b.n].fd;
			memcpy(b.name[b.n], stored[i + b.n].name, NAME_SIZE);
		}
		if (send_with(sock, &b, sizeof(b), fds, b.n) < 0)
			break;
	}
	close_fd(&sock);
}

static int make_socket(const char *path, int type)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
	    (type == SOCK_SEQPACKET && listen(fd, 8) < 0))
		_exit(1);
	return fd;
}

static void keeper_main(int notify, int fetch)
{
	struct pollfd fds[2] = {{.fd = notify, .events = POLLIN}, {.fd = fetch, .events = POLLIN}};

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)alarm(0);
	actors_forget();
	watch_close();
	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			_exit(1);
		handle_all(notify);
		if (fds[1].revents)
			give_all(fetch);
	}
}

/* ---- the test's side ---- */

void keeper_start(const char *dir)
{
	int notify, fetch;

	(void)snprintf(keeper.notify, sizeof(keeper.notify), "%s/notify", dir);
	(void)snprintf(keeper.fetch, sizeof(keeper.fetch), "%s/fetch", dir);
	notify = make_socket(keeper.notify, SOCK_DGRAM);
	fetch = make_socket(keeper.fetch, SOCK_SEQPACKET);
	(void)fflush(NULL);
	keeper.pid = fork();
	if (keeper.pid == 0)
		keeper_main(notify, fetch);
	close_fd(&notify);
	close_fd(&fetch);
}

void keeper_stop(void)
{
	int status;

	if (keeper.pid <= 0)
		return;
	(void)kill(keeper.pid, SIGKILL);
	while (waitpid(keeper.pid, &status, 0) < 0 && errno == EINTR)
		;
	keeper.pid = 0;
}

/* It has all that it was sent so far, then. */
void keeper_pause(bool on)
{
	int status;

	assert_int_equal(0, kill(keeper.pid, on ? SIGSTOP : SIGCONT));
	assert_int_equal(keeper.pid, waitpid(keeper.pid, &status, on ? WUNTRACED : WCONTINUED));
}

void keeper_forget(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", keeper.notify);
	assert_true(sendto(sock, "FORGET", 6, 0, (const struct sockaddr *)&to, sizeof(to)) == 6);
	close_fd(&sock);
}

static int connect_to_keeper(void)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	(void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", keeper.fetch);
	if (sock < 0 || connect(sock, (const struct sockaddr *)&to, sizeof(to)) < 0)
		_exit(126);
	return sock;
}

size_t keeper_count(void)
{
	int sock = connect_to_keeper();
	struct batch b;
	int fds[BATCH];
	uint32_t n;
	size_t count = 0;

	while (recv_with(sock, &b, sizeof(b), fds, &n, 0) > 0)
		for (count += n; n > 0; n--)
			close_fd(&fds[n - 1]);
	close_fd(&sock);
	return count;
}

void keeper_hand_over(unsigned max)
{
	static char names[STORED_MAX * NAME_SIZE];
	int sock = connect_to_keeper(), all[STORED_MAX], count = 0;
	size_t at = 0;
	struct batch b;
	char text[32];
	uint32_t n;

	while (recv_with(sock, &b, sizeof(b), &all[count], &n, 0) > 0)
		for (uint32_t i = 0; i < n; i++)
			at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s", count++ ? ":" : "",
					       b.name[i]);
	close_fd(&sock);
	for (int i = 0; i < count; i++) /* out of the way of the places where they shall be */
		all[i] = fcntl(all[i], F_DUPFD_CLOEXEC, FIRST_FD + count);
	for (int i = 0; i < count; i++)
		if (dup2(all[i], FIRST_FD + i) < 0)
			_exit(126);
	(void)setenv("NOTIFY_SOCKET", keeper.notify, 1);
	(void)snprintf(text, sizeof(text), "%u", max);
	(void)setenv("FDSTORE", text, 1);
	if (!count)
		return;
	(void)setenv("LISTEN_FDNAMES", names, 1);
	(void)snprintf(text, sizeof(text), "%d", count);
	(void)setenv("LISTEN_FDS", text, 1);
	(void)snprintf(text, sizeof(text), "%d", (int)getpid());
	(void)setenv("LISTEN_PID", text, 1);
}
