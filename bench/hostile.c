/*
 * hostile.c: the p99 of an honest client's round trip beside peers that take all they can
 *
 * The daemon has a CPU to itself; the honest client, at real-time priority, and the hostile ones, without, run on the rest of the
 * machine, as fast as they can. Give the daemon a real-time priority too (heapd.conf), else other load counts. One way to be hostile
 * at a time, one hostile process and then several. The first way never talks to the daemon: what it costs the client is the
 * scheduler's doing, and what the others cost beyond that is the daemon's.
 *
 * With "together" as its argument all of them share one CPU. With "ordinary" the client has no real-time priority.
 */
#include "bench/bench.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "client/link.h"
#include "proto/codec.h"

#define TRIPS 5000
#define PERIOD_NS 100000 /* one trip in each, as a control loop does */
#define CPU 0
#define PEERS_MAX 16

static struct link connect_link(void)
{
	struct link l;
	char problem[256];

	must(link_open(&l, problem, sizeof(problem)), "connect");
	return l;
}

/* Requests whose replies are never read: the socket is full after a while, then another one. */
static void never_reads(void)
{
	for (;;) {
		struct link l = connect_link();
		struct frame f;

		(void)frame_init(&f, OP_STAT, 1, 0, 0);
		for (int full = 0; full < 100;)
			if (channel_send(l.call_fd, &f, MSG_DONTWAIT) < 0) {
				full++;
				(void)sched_yield();
			}
		link_close(&l);
	}
}

static void asks_all_the_time(void)
{
	struct link l = connect_link();

	for (uint32_t i = 1;; i++) {
		struct frame f;

		(void)frame_init(&f, OP_LIST, i, 0, sizeof(struct wire_target));
		must(link_call(l.call_fd, &f), "LIST");
	}
}

static void comes_and_goes(void)
{
	for (;;) {
		struct link l = connect_link();

		link_close(&l);
	}
}

static void creates_and_deletes(void)
{
	struct link l = connect_link();

	for (uint32_t i = 1;; i += 2) {
		struct frame f;
		struct wire_create *create = frame_init(&f, OP_CREATE, i, 0, sizeof(*create));
		uint64_t id;

		create->size = HW_PAGE_SIZE;
		create->kind = KIND_HEAP;
		create->perm = WIRE_PERM_DEFAULT;
		create->gid = WIRE_GID_DEFAULT;
		must(link_call(l.call_fd, &f), "CREATE");
		must(channel_recv(l.event_fd, &f, 0), "BOUND");
		id = FRAME_BODY(&f, struct wire_bound)->heap;
		frame_close_fds(&f);
		((struct wire_heap *)frame_init(&f, OP_UNBIND, i + 1, 0, sizeof(struct wire_heap)))->heap = id;
		must(link_call(l.call_fd, &f), "UNBIND");
	}
}

static void parks_binds(void)
{
	for (;;) {
		struct link l = connect_link();

		for (uint32_t i = 1; i < 4000; i++) {
			struct frame f;
			struct wire_bind *b = frame_init(&f, OP_BIND, i, 0, sizeof(*b));

			(void)snprintf(b->name, sizeof(b->name), "never-%u", (unsigned)i);
			b->access = ACCESS_BEST;
			must(link_call(l.call_fd, &f), "BIND");
		}
		link_close(&l);
	}
}

static void burns_cpu(void)
{
	for (volatile uint64_t i = 0;; i++)
		;
}

static void sends_garbage(void)
{
	for (;;) {
		struct link l = connect_link();

		(void)send(l.call_fd, "garbage garbage garbage", 23, MSG_NOSIGNAL);
		link_close(&l);
	}
}

static const struct {
	const char *what;
	void (*run)(void);
} ways[] = {
	{ "a mere hog", burns_cpu },
	{ "requests, replies unread", never_reads },
	{ "LIST all the time", asks_all_the_time },
	{ "connect and go", comes_and_goes },
	{ "create and delete", creates_and_deletes },
	{ "binds of what never comes", parks_binds },
	{ "garbage", sends_garbage },
};

static uint64_t *trips;

/* The p99 of so many round trips, in us. They are far enough apart that the client itself is no load. */
static double p99(int call_fd)
{
	for (uint32_t i = 0; i < TRIPS; i++) {
		const struct timespec rest = { .tv_nsec = PERIOD_NS };
		uint64_t t;

		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &rest, NULL);
		t = now_ns();
		ping(call_fd, i + 1);
		trips[i] = now_ns() - t;
	}
	return (double)percentile(trips, TRIPS, 99) / 1e3;
}

static double beside(int call_fd, void (*run)(void), int n, const cpu_set_t *elsewhere)
{
	pid_t pid[PEERS_MAX];
	double r;

	for (int i = 0; i < n; i++) {
		pid[i] = fork();
		must(pid[i] < 0 ? -errno : 0, "fork");
		if (pid[i] == 0) {
			const struct sched_param none = { .sched_priority = 0 };

			(void)sched_setscheduler(0, SCHED_OTHER, &none);
			(void)sched_setaffinity(0, sizeof(*elsewhere), elsewhere);
			run();
		}
	}
	r = p99(call_fd);
	for (int i = 0; i < n; i++) {
		(void)kill(pid[i], SIGKILL);
		(void)waitpid(pid[i], NULL, 0);
	}
	return r;
}

static bool has_word(int argc, char **argv, const char *word)
{
	for (int i = 0; i < argc; i++)
		if (strcmp(argv[i], word) == 0)
			return true;
	return false;
}

void bench_hostile(int argc, char **argv)
{
	bool together = has_word(argc, argv, "together"), ordinary = has_word(argc, argv, "ordinary");
	struct link l = connect_link();
	cpu_set_t elsewhere;
	double idle;

	if (sched_getaffinity(0, sizeof(elsewhere), &elsewhere) < 0)
		CPU_ZERO(&elsewhere);
	CPU_CLR(CPU, &elsewhere);
	if (together) {
		CPU_ZERO(&elsewhere);
		CPU_SET(CPU, &elsewhere);
	}
	trips = calloc(TRIPS, sizeof(*trips));
	must(trips ? 0 : -ENOMEM, "memory");
	(void)sched_setaffinity(0, sizeof(elsewhere), &elsewhere);
	pin(daemon_pid(l.call_fd), CPU);
	if (!ordinary && !fifo(10))
		printf("not at real-time priority: other load of the machine counts\n");
	(void)p99(l.call_fd);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		double one, many;

		idle = p99(l.call_fd);
		one = beside(l.call_fd, ways[i].run, 1, &elsewhere);
		many = beside(l.call_fd, ways[i].run, PEERS_MAX, &elsewhere);
		printf("p99 of a round trip beside %-26s idle %6.1f us  one %6.1f us (%4.1f)  %d of them %6.1f us (%4.1f)\n",
		       ways[i].what, idle, one, one / idle, PEERS_MAX, many, many / idle);
		(void)fflush(stdout);
	}
	free(trips);
	link_close(&l);
}
