/*
 * pair.c: alloc + free of one block
 */
#include "bench/bench.h"

#include <stdio.h>

#include "heapclient/rt_heap.h"

#define PAIRS 1000000

static double ours(RT_HEAP *h, size_t size)
{
	uint64_t t = now_ns();
	void *p;

	for (int i = 0; i < PAIRS; i++) {
		must(rt_heap_alloc(h, size, TM_NONBLOCK, &p), "alloc");
		must(rt_heap_free(h, p), "free");
	}
	return (double)(now_ns() - t) / PAIRS;
}

static double peer(size_t size)
{
	uint64_t t = now_ns();

	for (int i = 0; i < PAIRS; i++) {
		void *volatile p = malloc(size);

		free(p);
	}
	return (double)(now_ns() - t) / PAIRS;
}

void bench_pair(int argc, char **argv)
{
	static const size_t sizes[] = { 16, 64, 256, 1024, 4096, 16384 };
	RT_HEAP h;

	(void)argc;
	(void)argv;
	must(rt_heap_create(&h, NULL, 16 << 20, H_FIFO), "create");
	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		struct figure f = { .n = ROUNDS };
		char what[64];

		for (int i = 0; i < ROUNDS; i++) {
			f.ours[i] = ours(&h, sizes[s]);
			f.peer[i] = peer(sizes[s]);
		}
		(void)snprintf(what, sizeof(what), "alloc + free of %zu bytes", sizes[s]);
		report(what, "ns", &f, "malloc + free");
	}
	must(rt_heap_delete(&h), "delete");
	must(rt_heap_unbind(&h), "unbind");
}

/* Exits right after the loop, so that a tracer sees what the loop adds to a run of N = 0. */
void bench_loop(int argc, char **argv)
{
	long n = argc > 0 ? atol(argv[0]) : 10000000;
	RT_HEAP h;
	void *p;

	must(rt_heap_create(&h, NULL, 16 << 20, H_FIFO), "create");
	for (long i = 0; i < n; i++) {
		must(rt_heap_alloc(&h, 64, TM_INFINITE, &p), "alloc");
		must(rt_heap_free(&h, p), "free");
	}
	_exit(0);
}
