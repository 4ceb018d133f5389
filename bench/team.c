/*
 * team.c: the threads of a work (team.h)
 */
#include "bench/team.h"

#include <sched.h>
#include <sys/resource.h>

#include "bench/store.h"

struct team {
	pthread_barrier_t ready, start;
	uint64_t began;
};

static cpu_set_t may; /* of the process, at its start */

void team_begin(void)
{
	plan_must(sched_getaffinity(0, sizeof(may), &may) < 0 ? -errno : 0, "the CPUs that may be used");
}

/* The i-th CPU of those that this process may use; without so many, the last. */
static void pin_to(unsigned int index)
{
	cpu_set_t one;
	unsigned int seen = 0;

	CPU_ZERO(&one);
	for (int cpu = 0; cpu < CPU_SETSIZE && seen <= index; cpu++) {
		if (!CPU_ISSET(cpu, &may))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		seen++;
	}
	(void)pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
}

bool team_rt(bool on)
{
	struct sched_param param = { .sched_priority = on ? 50 : 0 };

	return pthread_setschedparam(pthread_self(), on ? SCHED_FIFO : SCHED_OTHER, &param) == 0;
}

static void *player_main(void *arg)
{
	struct player *p = arg;
	struct team *team = p->team;

	pin_to(p->index);
	plan_must(store_enter(), "a thread enters the store");
	if (p->prepare)
		p->prepare(p);
	(void)pthread_barrier_wait(&team->ready);
	(void)pthread_barrier_wait(&team->start); /* (the clock was read in between) */
	p->meter.began = now_ns();
	p->meter.deadline = team->began + p->plan->ms * NSEC_PER_MSEC;
	p->loop(p);
	p->meter.ended = now_ns();
	p->cpu = sched_getcpu();
	store_leave();
	return NULL;
}

/* How many different ones. */
static uint64_t cpus_of(const struct player *play, unsigned int n)
{
	cpu_set_t seen;

	CPU_ZERO(&seen);
	for (unsigned int i = 0; i < n; i++)
		CPU_SET((size_t)play[i].cpu, &seen);
	return (uint64_t)CPU_COUNT(&seen);
}

static void usage(struct outcome *out, int sign)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	out->faults += (uint64_t)(sign * (u.ru_minflt + u.ru_majflt));
	out->preempted += (uint64_t)(sign * u.ru_nivcsw);
}

void team_run(const struct plan *plan, struct player *play, struct outcome *out)
{
	unsigned int n = (unsigned int)plan->threads;
	const struct meter *m;
	struct team team;
	double ns = 0;

	*out = (struct outcome){ 0 };
	plan_must(-pthread_barrier_init(&team.ready, NULL, n + 1), "barrier");
	plan_must(-pthread_barrier_init(&team.start, NULL, n + 1), "barrier");
	for (unsigned int i = 0; i < n; i++) {
		play[i].plan = plan;
		play[i].team = &team;
		play[i].meter = (struct meter){ .limit = plan->pairs };
		plan_must(-pthread_create(&play[i].thread, NULL, player_main, &play[i]), "thread");
	}
	(void)pthread_barrier_wait(&team.ready);
	usage(out, -1);
	team.began = now_ns();
	(void)pthread_barrier_wait(&team.start);
	for (unsigned int i = 0; i < n; i++) {
		(void)pthread_join(play[i].thread, NULL);
		m = &play[i].meter;
		ns += (double)(m->ended - m->began) / (double)m->pairs;
		out->pairs += m->pairs;
	}
	usage(out, 1);
	out->ns = ns / n;
	out->cpus = cpus_of(play, n);
	(void)pthread_barrier_destroy(&team.ready);
	(void)pthread_barrier_destroy(&team.start);
}
