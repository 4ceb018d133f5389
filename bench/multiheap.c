/*
 * multiheap.c: alloc + free of one block of the shared multi-heap
 *
 * The first region of an attribute, and the last of eight whose others are full.
 */
#include "bench/bench.h"

#include <stdio.h>

#include "heapclient/shared_multi_heap.h"

#define PAIRS 1000000
#define FIRST SMH_REG_ATTR_CACHEABLE    /* one region */
#define LAST SMH_REG_ATTR_NON_CACHEABLE /* eight */

static double ours(enum shared_multi_heap_attr attr, size_t size)
{
	uint64_t t = now_ns();

	for (int i = 0; i < PAIRS; i++) {
		void *p = shared_multi_heap_alloc(attr, size);

		must(p ? 0 : -ENOMEM, "alloc");
		shared_multi_heap_free(p);
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

static void add(enum shared_multi_heap_attr attr, size_t size)
{
	struct shared_multi_heap_region region = { .attr = attr, .addr = 0, .size = size };

	must(shared_multi_heap_add(&region, NULL), "add");
}

void bench_multiheap(int argc, char **argv)
{
	struct figure first = { .n = rounds }, last = { .n = rounds };

	(void)argc;
	(void)argv;
	must(shared_multi_heap_pool_init(), "pool_init");
	add(FIRST, 16 << 20);
	for (int i = 0; i < 7; i++) {
		add(LAST, 4096);
		must(shared_multi_heap_alloc(LAST, 4096) ? 0 : -ENOMEM, "fill");
	}
	add(LAST, 16 << 20);
	for (int i = 0; i < rounds; i++) {
		first.ours[i] = ours(FIRST, 64);
		first.peer[i] = peer(64);
		last.ours[i] = ours(LAST, 64);
		last.peer[i] = first.peer[i];
	}
	report("multi-heap: alloc + free of 64 bytes", "ns", &first, "malloc + free");
	report("the same, seven full regions before", "ns", &last, "malloc + free");
}
