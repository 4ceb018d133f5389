/*
 * kmalloc.c: k_malloc + k_free of one block
 *
 * Beside a block that stays, so that a pair does not split the whole pool and merge it again; and
 * once alone, which is the worst case: four splits and four merges for a block of 64.
 */
#include "bench/bench.h"

#include <stdio.h>

#include "heapclient/k_malloc.h"

#define PAIRS 1000000

static double ours(size_t size)
{
	uint64_t t = now_ns();

	for (int i = 0; i < PAIRS; i++) {
		void *p = k_malloc(size);

		must(p ? 0 : -errno, "k_malloc");
		k_free(p);
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

static void compare(const char *what, size_t size)
{
	struct figure f = {.n = rounds};

	for (int i = 0; i < rounds; i++) {
		f.ours[i] = ours(size);
		f.peer[i] = peer(size);
	}
	report(what, "ns", &f, "malloc + free");
}

void bench_kmalloc(int argc, char **argv)
{
	static const size_t sizes[] = {48, 240, 1008, 4080};
	char what[64];

	(void)argc;
	(void)argv;
	must(setenv("CONFIG_HEAP_MEM_POOL_SIZE", "16384", 1) < 0 ? -errno : 0, "setenv");
	must(k_heap_mem_pool_init(), "k_heap_mem_pool_init");
	compare("k_malloc + k_free of 48 bytes, alone", 48);
	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		void *stays = k_malloc(sizes[s]);

		must(stays ? 0 : -errno, "k_malloc");
		(void)snprintf(what, sizeof(what), "k_malloc + k_free of %zu bytes", sizes[s]);
		compare(what, sizes[s]);
		k_free(stays);
	}
}
