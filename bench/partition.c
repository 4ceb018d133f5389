/*
 * partition.c: get + put of a 64-byte block: one thread alone, and two threads on the same partition
 */
#include "bench/pools.h"

#include <pthread.h>
#include <stdio.h>

#include "heapclient/pt.h"

#define PAIRS 1000000
#define THREADS_MAX 2

static int ptno;

static int begin_ours(void)
{
	ptno = pt_create(POOL_SIZE, POOL_BLOCKS);
	return ptno < 0 ? -errno : 0;
}

static void *take_ours(void)
{
	return pt_getblock(ptno);
}

static void give_ours(void *block)
{
	pt_freeblock(ptno, block);
}

static const struct pool ours = { .begin = begin_ours, .get = take_ours, .put = give_ours };

struct runner {
	const struct pool *pool;
	pthread_barrier_t *start;
	int cpu;
	double ns;         /* a pair */
};

static void *run(void *arg)
{
	struct runner *r = arg;
	const struct pool *pool = r->pool;
	uint64_t t;

	pin(0, r->cpu);
	must(pool->enter ? pool->enter() : 0, pool->name);
	(void)pthread_barrier_wait(r->start);
	t = now_ns();
	for (int i = 0; i < PAIRS; i++) {
		void *block = pool->get();

		must(block ? 0 : -ENOMEM, "a block");
		pool->put(block);
	}
	r->ns = (double)(now_ns() - t) / PAIRS;
	if (pool->leave)
		pool->leave();
	return NULL;
}

/* Nanoseconds of a pair while n threads, each on a CPU of its own, do nothing else. */
static double pairs(const struct pool *pool, int n)
{
	struct runner runner[THREADS_MAX];
	pthread_t thread[THREADS_MAX];
	pthread_barrier_t start;
	double sum = 0;

	(void)pthread_barrier_init(&start, NULL, (unsigned int)n);
	for (int i = 0; i < n; i++) {
		runner[i] = (struct runner){ .pool = pool, .start = &start, .cpu = i };
		must(-pthread_create(&thread[i], NULL, run, &runner[i]), "thread");
	}
	for (int i = 0; i < n; i++) {
		(void)pthread_join(thread[i], NULL);
		sum += runner[i].ns;
	}
	(void)pthread_barrier_destroy(&start);
	return sum / n;
}

void bench_partition(int argc, char **argv)
{
	static const struct pool *const peers[] = {
		&pool_treiber,
#ifdef HAVE_DPDK
		&pool_dpdk,
#endif
	};

	(void)argc;
	(void)argv;
	must(ours.begin(), "pt_create");
	for (size_t p = 0; p < ARRAY_SIZE(peers); p++)
		must(peers[p]->begin(), peers[p]->name);
	for (int n = 1; n <= THREADS_MAX; n++) {
		struct figure f[ARRAY_SIZE(peers)] = { { .n = ROUNDS } };
		char what[64];

		(void)snprintf(what, sizeof(what), "get + put of 64 bytes, %d thread%s", n, n > 1 ? "s" : "");
		for (int i = 0; i < ROUNDS; i++)
			for (size_t p = 0; p < ARRAY_SIZE(peers); p++) {
				f[p].n = ROUNDS;
				f[p].ours[i] = pairs(&ours, n);
				f[p].peer[i] = pairs(peers[p], n);
			}
		for (size_t p = 0; p < ARRAY_SIZE(peers); p++)
			report(what, "ns", &f[p], peers[p]->name);
	}
	must(pt_destroy(ptno) < 0 ? -errno : 0, "pt_destroy");
}
