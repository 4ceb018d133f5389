/*
 * pure.h: what the tests of the pure allocators share
 *
 * Random numbers from one seed that is printed and can be given back (HEAPD_TEST_SEED), longer runs
 * by a factor (HEAPD_TEST_FACTOR), a check that also works where cmocka is not (the fuzzer), and
 * storage that dies when anything is touched that was not announced.
 */
#ifndef HEAPD_TESTS_PURE_H
#define HEAPD_TESTS_PURE_H

#include "common/base.h"

#include <stdio.h>
#include <sys/mman.h>

/* Ends the program: a broken model has no next step. */
#define must(cond)                                                                               \
	do {                                                                                     \
		if (!(cond)) {                                                                   \
			fprintf(stderr, "%s:%d: %s: not so: %s\n", __FILE__, __LINE__, __func__, \
				#cond);                                                          \
			abort();                                                                 \
		}                                                                                \
	} while (0)

struct rng {
	uint64_t state;
};

/* splitmix64 */
static inline uint64_t rng_next(struct rng *r)
{
	uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* 0 .. n-1; n > 0 */
static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)(rng_next(r) % n);
}

/* Small numbers often, large ones sometimes: 1 .. max. */
static inline uint32_t rng_skewed(struct rng *r, uint32_t max)
{
	uint32_t limit = 1u << rng_below(r, 32);

	return 1 + rng_below(r, limit < max ? limit : max);
}

/* The program's seed, printed when first asked for. */
static inline uint64_t test_seed(void)
{
	static uint64_t seed;
	const char *given = getenv("HEAPD_TEST_SEED");

	if (seed)
		return seed;
	seed = given ? strtoull(given, NULL, 0) : now_ns() % 1000000007;
	seed += seed == 0;
	printf("HEAPD_TEST_SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	return seed;
}

static inline struct rng test_rng(uint64_t what)
{
	return (struct rng){ test_seed() + what * 1000003 };
}

static inline uint64_t test_factor(void)
{
	const char *given = getenv("HEAPD_TEST_FACTOR");

	return given ? strtoull(given, NULL, 0) : 1;
}

/* Zeroed storage, of exactly so many bytes as far as a sanitizer is concerned, aligned as all metadata. */
static inline void *storage_new(size_t bytes)
{
	void *p = NULL;

	must(posix_memalign(&p, 128, bytes) == 0);
	return memset(p, 0, bytes);
}

/* Storage that may not be touched at all, until guard_touch() allows a part. NULL: no room. */
static inline void *guard_new(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static inline void guard_touch(void *ctx, void *addr, size_t bytes)
{
	uintptr_t from = (uintptr_t)addr & ~(HW_PAGE_SIZE - 1);
	uintptr_t to = align_up((uintptr_t)addr + bytes, HW_PAGE_SIZE);

	if (ctx)
		++*(unsigned int *)ctx;
	must(bytes > 0);
	must(mprotect((void *)from, to - from, PROT_READ | PROT_WRITE) == 0);
}

#endif
