/*
 * roundtrip.c: what a request costs, beside the same bytes over the same kind of socket with
 * nothing behind it
 */
#include "bench/bench.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "client/link.h"
#include "heapclient/rt_heap.h"

#define TRIPS 20000
#define BINDS 300
#define SEGMENT (1 << 20)
#define CPU 0

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* ---- the smallest request ---- */

static pid_t echo_start(int *fd)
{
	int s[2];
	char frame[64];
	pid_t pid;

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) < 0 ? -errno : 0, "socketpair");
	pid = fork();
	must(pid < 0 ? -errno : 0, "fork");
	if (pid == 0) {
		(void)close(s[0]);
		while (recv(s[1], frame, sizeof(frame), 0) == sizeof(frame))
			(void)send(s[1], frame, sizeof(frame), MSG_NOSIGNAL);
		_exit(0);
	}
	(void)close(s[1]);
	*fd = s[0];
	return pid;
}

static void echo_stop(pid_t pid, int fd)
{
	(void)close(fd);
	(void)waitpid(pid, NULL, 0);
}

static double echo_trips(int fd)
{
	char frame[64] = { 0 };
	uint64_t t = now_ns();

	for (int i = 0; i < TRIPS; i++) {
		(void)send(fd, frame, sizeof(frame), MSG_NOSIGNAL);
		(void)recv(fd, frame, sizeof(frame), 0);
	}
	return (double)(now_ns() - t) / TRIPS;
}

static double our_trips(int fd)
{
	uint64_t t = now_ns();

	for (uint32_t i = 0; i < TRIPS; i++)
		ping(fd, i + 1);
	return (double)(now_ns() - t) / TRIPS;
}

void bench_roundtrip(int argc, char **argv)
{
	struct figure f = { .n = rounds };
	struct link l;
	char problem[256];
	int fd;
	pid_t pid;

	(void)argc;
	(void)argv;
	must(link_open(&l, problem, sizeof(problem)), "connect");
	pin(0, CPU);
	pin(daemon_pid(l.call_fd), CPU);
	pid = echo_start(&fd); /* inherits the CPU */
	for (int i = 0; i < rounds; i++) {
		f.ours[i] = our_trips(l.call_fd);
		f.peer[i] = echo_trips(fd);
	}
	report("round trip of 64 bytes, same CPU", "ns", &f, "bare SEQPACKET echo");
	echo_stop(pid, fd);
	link_close(&l);
}

/* ---- bind + map ---- */

/* Hands the memfd to whoever asks. */
static void give_fd(int sock, int memfd)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = { .buf = { 0 } };
	char frame[128] = { 0 };
	struct iovec iov = { frame, sizeof(frame) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &memfd, sizeof(int));
	while (recv(sock, frame, sizeof(frame), 0) > 0)
		(void)sendmsg(sock, &msg, MSG_NOSIGNAL);
}

static pid_t giver_start(int *fd)
{
	int s[2];
	pid_t pid;

	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) < 0 ? -errno : 0, "socketpair");
	pid = fork();
	must(pid < 0 ? -errno : 0, "fork");
	if (pid == 0) {
		int memfd = memfd_create("peer", MFD_CLOEXEC);

		(void)close(s[0]);
		if (memfd >= 0 && posix_fallocate(memfd, 0, SEGMENT) == 0)
			give_fd(s[1], memfd);
		_exit(0);
	}
	(void)close(s[1]);
	*fd = s[0];
	return pid;
}

static uint64_t bare_attach(int sock)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control;
	char frame[128] = { 0 };
	struct iovec iov = { frame, sizeof(frame) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	uint64_t t = now_ns();
	struct cmsghdr *c;
	int memfd;
	void *p;

	(void)send(sock, frame, sizeof(frame), MSG_NOSIGNAL);
	must(recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) < 0 ? -errno : 0, "recvmsg");
	c = CMSG_FIRSTHDR(&msg);
	if (!c)
		exit(1);
	memcpy(&memfd, CMSG_DATA(c), sizeof(int));
	p = mmap(NULL, SEGMENT, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	must(madvise(p, SEGMENT, MADV_POPULATE_WRITE) < 0 ? -errno : 0, "populate");
	(void)close(memfd);
	t = now_ns() - t;
	(void)munmap(p, SEGMENT);
	return t;
}

static uint64_t our_attach(void)
{
	RT_HEAP h;
	void *p;
	uint64_t t = now_ns();

	must(rt_heap_bind(&h, "bench-segment"), "bind");
	must(rt_heap_alloc(&h, 0, TM_NONBLOCK, &p), "alloc");
	t = now_ns() - t;
	must(rt_heap_unbind(&h), "unbind");
	return t;
}

void bench_bind(int argc, char **argv)
{
	struct figure f = { .n = rounds };
	struct link l;
	RT_HEAP h;
	char problem[256];
	int fd;
	pid_t pid;

	(void)argc;
	(void)argv;
	must(link_open(&l, problem, sizeof(problem)), "connect");
	pin(0, CPU);
	pin(daemon_pid(l.call_fd), CPU);
	pid = giver_start(&fd);
	must(rt_heap_create(&h, "bench-segment", SEGMENT, H_SHARED), "create");
	must(rt_heap_unbind(&h), "unbind");
	for (int i = 0; i < rounds; i++) {
		uint64_t ours[BINDS], peer[BINDS];

		for (int j = 0; j < BINDS; j++) {
			ours[j] = our_attach();
			peer[j] = bare_attach(fd);
		}
		f.ours[i] = (double)percentile(ours, BINDS, 50);
		f.peer[i] = (double)percentile(peer, BINDS, 50);
	}
	report("bind + map of 1 MiB, same CPU", "ns", &f, "bare memfd attach");
	must(rt_heap_bind(&h, "bench-segment"), "bind");
	must(rt_heap_delete(&h), "delete");
	echo_stop(pid, fd);
	link_close(&l);
}

/* ---- a round trip beside a large commit ---- */

static void commit_child(uint64_t bytes, int done)
{
	RT_HEAP h;

	must(rt_heap_create(&h, NULL, bytes, H_FIFO), "create");
	(void)!write(done, "x", 1);
	_exit(0);
}

/* Pings until fd is readable or n trips are done. Returns how many. */
static size_t trips_until(int call_fd, int fd, uint64_t *v, size_t n)
{
	size_t i = 0;
	char c;

	for (; i < n; i++) {
		uint64_t t = now_ns();

		ping(call_fd, (uint32_t)i + 1);
		v[i] = now_ns() - t;
		if (fd >= 0 && i % 16 == 0 && recv(fd, &c, 1, MSG_DONTWAIT) >= 0)
			break;
	}
	return i;
}

void bench_commit(int argc, char **argv)
{
	uint64_t bytes = argc > 0 ? strtoull(argv[0], NULL, 0) : UINT64_C(4) << 30;
	size_t max = 4000000, n;
	uint64_t *v = calloc(max, sizeof(*v)), idle50, idle99, busy50, busy99, idle_max, busy_max;
	struct link l;
	char problem[256], what[64];
	cpu_set_t all;
	int s[2];
	pid_t pid;

	must(v ? 0 : -ENOMEM, "memory");
	memset(v, 1, max * sizeof(*v));
	must(link_open(&l, problem, sizeof(problem)), "connect");
	/* both on one CPU, as the other round trips; who commits runs where it likes */
	if (sched_getaffinity(0, sizeof(all), &all) < 0)
		CPU_ZERO(&all);
	pin(0, CPU);
	pin(daemon_pid(l.call_fd), CPU);
	n = trips_until(l.call_fd, -1, v, 200000);
	idle50 = percentile(v, n, 50);
	idle99 = percentile(v, n, 99);
	idle_max = v[n - 1];
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, s) < 0 ? -errno : 0, "socketpair");
	pid = fork();
	must(pid < 0 ? -errno : 0, "fork");
	if (pid == 0) {
		(void)sched_setaffinity(0, sizeof(all), &all);
		commit_child(bytes, s[1]);
	}
	n = trips_until(l.call_fd, s[0], v, max);
	(void)waitpid(pid, NULL, 0);
	busy50 = percentile(v, n, 50);
	busy99 = percentile(v, n, 99);
	busy_max = v[n - 1];
	report_value("round trip, idle daemon, p50", "ns", (double)idle50);
	report_value("round trip, idle daemon, p99", "ns", (double)idle99);
	report_value("round trip, idle daemon, max", "ns", (double)idle_max);
	(void)snprintf(what, sizeof(what), "the same, %.1f GiB being committed",
		       (double)bytes / (double)(UINT64_C(1) << 30));
	report_value(what, "trips", (double)n);
	report_value("p50 while it is committed", "ns", (double)busy50);
	report_value("p99 while it is committed", "ns", (double)busy99);
	report_value("max while it is committed", "ns", (double)busy_max);
	link_close(&l);
	free(v);
}
