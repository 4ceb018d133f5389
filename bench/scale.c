/*
 * scale.c: many heaps, many processes: does the cost of one more stay the same, and what memory does it take?
 */
#include "bench/bench.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "client/link.h"
#include "heapclient/rt_heap.h"

/* Pss of a process in KiB; 0 where it cannot be read. */
static double pss_kib(pid_t pid)
{
	char path[64], line[256];
	double kib = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "Pss:", 4) == 0)
			kib = strtod(line + 4, NULL);
	}
	(void)fclose(f);
	return kib;
}

static void many_heaps(int n, pid_t pid)
{
	RT_HEAP *h = calloc((size_t)n, sizeof(*h));
	double before = pss_kib(pid);
	int step = n / 10 ? n / 10 : 1;
	uint64_t t = now_ns();

	must(h ? 0 : -ENOMEM, "memory");
	for (int i = 0; i < n; i++) {
		char name[64], what[64];

		(void)snprintf(name, sizeof(name), "scale-%d", i);
		must(rt_heap_create(&h[i], name, 4096, H_FIFO), "create");
		if ((i + 1) % step)
			continue;
		(void)snprintf(what, sizeof(what), "create, heaps %d to %d", i + 2 - step, i + 1);
		report_value(what, "us each", (double)(now_ns() - t) / step / 1e3);
		t = now_ns();
	}
	report_value("heapd: memory of one more 4 KiB heap", "KiB (Pss, its page included)",
		     (pss_kib(pid) - before) / n);
	t = now_ns();
	for (int i = 0; i < n; i++) {
		must(rt_heap_delete(&h[i]), "delete");
		must(rt_heap_unbind(&h[i]), "unbind");
	}
	report_value("delete + unbind", "us each", (double)(now_ns() - t) / n / 1e3);
	free(h);
}

/* Binds, says so, and stays until its socket ends. */
static void binder(int sock)
{
	RT_HEAP h;
	char c = 'b';

	must(rt_heap_bind(&h, "scale-all"), "bind");
	(void)!write(sock, &c, 1);
	(void)!read(sock, &c, 1);
	_exit(0);
}

static void many_processes(int n, int *sock, pid_t *pid)
{
	uint64_t t = now_ns();
	int step = n / 10 ? n / 10 : 1;
	char c;

	for (int i = 0; i < n; i++) {
		int s[2];
		char what[64];

		must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) < 0 ? -errno : 0, "socketpair");
		pid[i] = fork();
		must(pid[i] < 0 ? -errno : 0, "fork");
		if (pid[i] == 0) {
			for (int j = 0; j < i; j++)
				(void)close(sock[j]);
			(void)close(s[0]);
			binder(s[1]);
		}
		(void)close(s[1]);
		sock[i] = s[0];
		must(read(s[0], &c, 1) == 1 ? 0 : -EIO, "a process that binds");
		if ((i + 1) % step)
			continue;
		(void)snprintf(what, sizeof(what), "fork + bind, processes %d to %d", i + 2 - step, i + 1);
		report_value(what, "us each", (double)(now_ns() - t) / step / 1e3);
		t = now_ns();
	}
}

static void run_processes(int n, pid_t daemon)
{
	int *sock = calloc((size_t)n, sizeof(*sock));
	pid_t *pid = calloc((size_t)n, sizeof(*pid)), owner;
	double before = pss_kib(daemon);
	int s[2];
	char c = 'c';

	must(sock && pid ? 0 : -ENOMEM, "memory");
	/* the segment is made by a process of its own, so that this one never uses the library before it forks */
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s) < 0 ? -errno : 0, "socketpair");
	owner = fork();
	if (owner == 0) {
		RT_HEAP h;

		must(rt_heap_create(&h, "scale-all", 1 << 20, H_SHARED), "create");
		(void)!write(s[1], &c, 1);
		(void)!read(s[1], &c, 1);
		must(rt_heap_delete(&h), "delete");
		_exit(0);
	}
	(void)!read(s[0], &c, 1);
	many_processes(n, sock, pid);
	report_value("heapd: memory of one more process", "KiB (Pss)", (pss_kib(daemon) - before) / n);
	for (int i = 0; i < n; i++) {
		(void)close(sock[i]);
		(void)waitpid(pid[i], NULL, 0);
	}
	(void)shutdown(s[0], SHUT_RDWR);
	(void)waitpid(owner, NULL, 0);
	free(sock);
	free(pid);
}

void bench_scale(int argc, char **argv)
{
	int heaps = argc > 0 ? atoi(argv[0]) : 10000, processes = argc > 1 ? atoi(argv[1]) : 1000;
	struct rlimit files;
	char problem[256];
	struct link l;
	pid_t pid;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	must(link_open(&l, problem, sizeof(problem)), "connect");
	pid = daemon_pid(l.call_fd);
	report_value("heapd: memory when idle", "KiB (Pss)", pss_kib(pid));
	run_processes(processes, pid);
	many_heaps(heaps, pid);
	link_close(&l);
}
