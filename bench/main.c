/*
 * main.c: heap-bench [--json] [--rounds N] MEASUREMENT [ARGUMENTS]: runs one measurement, or
 * "quick" ones
 *
 * --json prints each row as one JSON object on a line.
 */
#include "bench/bench.h"

#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "client/link.h"

static const struct {
	const char *name;
	void (*run)(int argc, char **argv);
	bool quick;
	const char *what;
} measurements[] = {
	{ "kmalloc", bench_kmalloc, true, "k_malloc + k_free, beside malloc and free" },
	{ "multiheap", bench_multiheap, true, "the same of the shared multi-heap" },
	{ "roundtrip", bench_roundtrip, true, "the smallest request, beside a bare SEQPACKET echo" },
	{ "bind", bench_bind, true, "bind + map of 1 MiB, beside a bare memfd over SCM_RIGHTS" },
	{ "create", bench_create, true, "create a heap of 1 MiB, beside a bare memfd" },
	{ "handoff", bench_handoff, true, "free to waiter running, one CPU, beside a bare futex" },
	{ "commit", bench_commit, true, "p99 of a round trip while 4 GiB are committed [BYTES]" },
	{ "hostile", bench_hostile, false, "p99 of a round trip beside peers that take all they can [together] [ordinary]" },
	{ "scale", bench_scale, false, "many heaps, many processes [HEAPS [PROCESSES]]" },
	{ "loop", bench_loop, false, "N pairs and nothing else, for strace or perf [N]" },
};

int rounds = ROUNDS_MAX;
static bool json;

static int compare_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), compare_double);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

uint64_t percentile(uint64_t *v, size_t n, double p)
{
	size_t at = (size_t)((double)n * p / 100);

	qsort(v, n, sizeof(*v), compare_u64);
	return v[at < n ? at : n - 1];
}

void report(const char *what, const char *unit, const struct figure *f, const char *peer)
{
	struct figure sorted = *f;
	double ratio[ROUNDS_MAX];

	if (!peer) {
		report_value(what, unit, median(sorted.ours, f->n));
		return;
	}
	for (int i = 0; i < f->n; i++)
		ratio[i] = f->ours[i] / f->peer[i];
	if (json) {
		printf("{\"what\": \"%s\", \"unit\": \"%s\", \"ours\": %.3f, \"peer\": %.3f, "
		       "\"beside\": \"%s\", \"ratio\": %.4f}\n", what, unit,
		       median(sorted.ours, f->n), median(sorted.peer, f->n), peer, median(ratio, f->n));
		(void)fflush(stdout);
		return;
	}
	printf("%-44s %10.1f %-3s %10.1f  %-24s %5.2f\n", what, median(sorted.ours, f->n), unit,
	       median(sorted.peer, f->n), peer, median(ratio, f->n));
	(void)fflush(stdout);
}

void report_value(const char *what, const char *unit, double value)
{
	if (json)
		printf("{\"what\": \"%s\", \"unit\": \"%s\", \"ours\": %.3f}\n", what, unit, value);
	else
		printf("%-44s %10.1f %s\n", what, value, unit);
	(void)fflush(stdout);
}

void pin(pid_t pid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(pid, sizeof(set), &set) < 0)
		perror("heap-bench: cannot pin");
}

bool fifo(int priority)
{
	struct sched_param param = { .sched_priority = priority };

	return sched_setscheduler(0, SCHED_FIFO, &param) == 0;
}

void must(int r, const char *what)
{
	if (r >= 0)
		return;
	(void)fprintf(stderr, "heap-bench: %s: %s\n", what, strerror(-r));
	exit(1);
}

pid_t daemon_pid(int call_fd)
{
	struct ucred cred;
	socklen_t size = sizeof(cred);

	must(getsockopt(call_fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0 ? -errno : 0, "SO_PEERCRED");
	return cred.pid;
}

void ping(int call_fd, uint32_t id)
{
	struct frame f;

	(void)frame_init(&f, OP_PING, id, 0, sizeof(struct wire_ping));
	must(link_call(call_fd, &f), "PING");
}

/* In a process of its own: what it does to its priority and its CPU ends with it. */
static int run_apart(void (*run)(int argc, char **argv), int argc, char **argv)
{
	int status = 1;
	pid_t pid;

	(void)fflush(stdout);
	pid = fork();
	must(pid < 0 ? -errno : 0, "fork");
	if (pid == 0) {
		run(argc, argv);
		exit(0);
	}
	(void)waitpid(pid, &status, 0);
	return status != 0;
}

/* How many words of argv are options; -1: not understood. */
static int parse(int argc, char **argv)
{
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--json") == 0)
			json = true;
		else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
			rounds = atoi(argv[++i]);
		else
			return -1;
	}
	return rounds >= 1 && rounds <= ROUNDS_MAX ? i - 1 : -1;
}

int main(int argc, char **argv)
{
	int r = parse(argc, argv);

	if (r < 0) {
		(void)fprintf(stderr, "usage: heap-bench [--json] [--rounds 1-%d] MEASUREMENT [ARGUMENTS]\n",
			      ROUNDS_MAX);
		return 2;
	}
	argc -= r;
	argv += r;
	r = 0;

	if (argc < 2) {
		for (size_t i = 0; i < ARRAY_SIZE(measurements); i++)
			printf("%-10s %s\n", measurements[i].name, measurements[i].what);
		return 2;
	}
	for (size_t i = 0; i < ARRAY_SIZE(measurements); i++) {
		if (strcmp(argv[1], measurements[i].name) == 0) {
			return run_apart(measurements[i].run, argc - 2, argv + 2);
		}
		if (strcmp(argv[1], "quick") == 0 && measurements[i].quick)
			r |= run_apart(measurements[i].run, 0, NULL);
	}
	if (strcmp(argv[1], "quick") == 0)
		return r;
	(void)fprintf(stderr, "heap-bench: no measurement '%s'\n", argv[1]);
	return 2;
}
