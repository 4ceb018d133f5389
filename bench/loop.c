/*
 * loop.c: pairs of alloc and free and nothing else, for a tracer
 *
 * Exits right after the loop, so that strace or perf sees what the loop adds to a run of N = 0.
 * What a pair costs beside other allocators is work_pair.c's business.
 */
#include "bench/bench.h"

#include "heapclient/rt_heap.h"

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
