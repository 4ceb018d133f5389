/*
 * handoff.c: from the call that frees to the waiter running, on one CPU
 *
 * The waiter is more urgent (SCHED_FIFO), so it runs as soon as it is woken; the peer is a bare
 * futex between the same two threads.
 */
#include "bench/bench.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include "client/futex.h"
#include "heapclient/rt_heap.h"

#define HANDOFFS 3000
#define CPU 0

struct scene {
	RT_HEAP heap;
	_Atomic uint32_t word;
	atomic_bool stop;
	_Atomic uint64_t running; /* when the waiter ran */
	_Atomic uint32_t turns;
	bool ours;
	void *block;              /* the waiter's */
};

static void *waiter_main(void *arg)
{
	struct scene *s = arg;

	pin(0, CPU);
	(void)fifo(20);
	while (!atomic_load(&s->stop)) {
		if (s->ours) {
			void *block;

			must(rt_heap_alloc(&s->heap, 4096, TM_INFINITE, &block), "alloc");
			s->block = block;
		} else {
			while (atomic_load(&s->word) == 0)
				(void)futex_wait(&s->word, 0, FOREVER);
			atomic_store(&s->word, 0);
		}
		atomic_store(&s->running, now_ns());
		atomic_fetch_add(&s->turns, 1);
	}
	return NULL;
}

static uint64_t one(struct scene *s, void **mine)
{
	uint32_t turn = atomic_load(&s->turns);
	uint64_t t = now_ns();

	if (s->ours) {
		must(rt_heap_free(&s->heap, *mine), "free");
	} else {
		atomic_store(&s->word, 1);
		futex_wake(&s->word, 1);
	}
	while (atomic_load(&s->turns) == turn)
		(void)sched_yield();
	*mine = s->block;
	return atomic_load(&s->running) - t;
}

static double run(bool ours)
{
	struct scene s = { .ours = ours };
	uint64_t v[HANDOFFS];
	pthread_t thread;
	void *mine = NULL;

	if (ours) {
		must(rt_heap_create(&s.heap, NULL, 4096, H_PRIO), "create");
		must(rt_heap_alloc(&s.heap, 4096, TM_NONBLOCK, &mine), "alloc");
	}
	must(-pthread_create(&thread, NULL, waiter_main, &s), "thread");
	/* the waiter preempts us once it is FIFO and waits by the time we run again */
	(void)usleep(20000);
	for (int i = 0; i < HANDOFFS; i++)
		v[i] = one(&s, &mine);
	atomic_store(&s.stop, true);
	(void)one(&s, &mine);
	(void)pthread_join(thread, NULL);
	if (ours) {
		must(rt_heap_delete(&s.heap), "delete");
		must(rt_heap_unbind(&s.heap), "unbind");
	}
	return (double)percentile(v, HANDOFFS, 50);
}

void bench_handoff(int argc, char **argv)
{
	struct figure f = { .n = rounds };

	(void)argc;
	(void)argv;
	pin(0, CPU);
	if (!fifo(10))
		(void)fprintf(stderr, "heap-bench: no SCHED_FIFO here: the hand-off includes a scheduler's choice\n");
	for (int i = 0; i < rounds; i++) {
		f.ours[i] = run(true);
		f.peer[i] = run(false);
	}
	report("free to waiter running, one CPU", "ns", &f, "bare futex");
}
