/*
 * test_regions.c: regions of several kinds: what fits where, in which order, and that nothing of
 * them is touched
 *
 * Most regions here are addresses where nothing is mapped: whoever reads or writes a region's
 * memory dies. The random test has a model: for each region its pages, each with the size of block
 * it is cut into and how many live; from that it tells, by looking at everything, which region must
 * serve a request.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/resource.h>

#include "client/regions.h"
#include "tests/pure/pure.h"

#define CACHED WIRE_CACHEABLE
#define UNCACHED WIRE_NON_CACHEABLE
#define GIB (UINT64_C(1) << 30)
#define HERE ((uintptr_t)0x100000000000) /* unmapped, and aligned to all we try */

static struct regions rs;
static struct wire_stats *stats; /* REGIONS_MAX of them */

static int set_up(void **state)
{
	(void)state;
	stats = storage_new(REGIONS_MAX * sizeof(*stats));
	regions_init(&rs);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	regions_deinit(&rs);
	free(stats);
	return 0;
}

static int add(uint32_t attribute, uintptr_t addr, uint64_t size)
{
	return regions_add(&rs, attribute, addr, size, &stats[atomic_load(&rs.n)]);
}

static uintptr_t alloc(uint32_t attribute, uint64_t align, uint64_t size)
{
	return (uintptr_t)regions_alloc(&rs, attribute, align, size);
}

static void assert_sound(void)
{
	assert_int_equal(regions_check(&rs), 0);
}

/* ---- what a region is ---- */

static void test_two_sizes_in_4_kib(void **state)
{
	uintptr_t a, b;

	(void)state;
	assert_int_equal(add(CACHED, HERE, 4096), 0);
	a = alloc(CACHED, 1, 0x40);
	b = alloc(CACHED, 1, 0x80);
	assert_true(a >= HERE && a + 0x40 <= HERE + 4096);
	assert_true(b >= HERE && b + 0x80 <= HERE + 4096);
	assert_true(a + 0x40 <= b || b + 0x80 <= a);
	assert_int_equal(regions_free(&rs, a), 0);
	assert_int_equal(regions_free(&rs, b), 0);

	/* to the last byte, of any size */
	for (uint64_t size = 16; size <= 4096; size *= 2) {
		uintptr_t block[256 + 1];
		size_t n = 0;

		while ((block[n] = alloc(CACHED, 1, size)))
			n++;
		assert_int_equal(n, 4096 / size);
		while (n)
			assert_int_equal(regions_free(&rs, block[--n]), 0);
		assert_sound();
	}
}

static void test_what_is_refused(void **state)
{
	static const struct {
		uint32_t attribute;
		uintptr_t addr;
		uint64_t size;
	} bad[] = {
		{ WIRE_ATTRIBUTES, HERE, 4096 },
		{ UINT32_MAX, HERE, 4096 },
		{ CACHED, HERE, 0 },
		{ CACHED, HERE, 511 },               /* no page */
		{ CACHED, HERE + 1, 1022 },          /* no whole page */
		{ CACHED, UINTPTR_MAX - 4095, 4097 },
		{ CACHED, HERE, UINT64_MAX },
		{ CACHED, 0, UINT64_MAX - 1 },       /* more than the allocator counts */
		{ CACHED, HERE, UINT64_C(1) << 43 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(add(bad[i].attribute, bad[i].addr, bad[i].size), -EINVAL);
	assert_int_equal(atomic_load(&rs.n), 0);
	assert_null(regions_alloc(&rs, CACHED, 1, 16));
	assert_int_equal(regions_free(&rs, HERE), -EINVAL);
	assert_int_equal(add(CACHED, HERE + 1, 1023), 0); /* one whole page */
	assert_int_equal(stats[0].place.size, 512);
	assert_int_equal(alloc(CACHED, 1, 512), HERE + 512);
	assert_int_equal(alloc(CACHED, 1, 16), 0);
	assert_sound();
}

static void test_overlaps(void **state)
{
	static const struct {
		intptr_t at;
		uint64_t size;
		int result;
	} cases[] = {
		{ 0, 4096, -EINVAL },      { -4096, 4097, -EINVAL }, { 4095, 4096, -EINVAL },
		{ -4096, 65536, -EINVAL }, { 1024, 1024, -EINVAL },  { -4096, 4096, 0 },
		{ 4096, 4096, 0 },         { 8192, 4096, 0 },        { -8192, 4097, -EINVAL },
	};

	(void)state;
	assert_int_equal(add(CACHED, HERE, 4096), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t attribute = i % WIRE_ATTRIBUTES; /* it does not matter which */

		assert_int_equal(regions_accept(&rs, attribute, HERE + (uintptr_t)cases[i].at,
						cases[i].size), cases[i].result);
		assert_int_equal(add(attribute, HERE + (uintptr_t)cases[i].at, cases[i].size),
				 cases[i].result);
	}
	assert_int_equal(atomic_load(&rs.n), 4);
	assert_sound();
}

static void test_ninth(void **state)
{
	uintptr_t at = HERE;

	(void)state;
	for (uint32_t attribute = 0; attribute < WIRE_ATTRIBUTES; attribute++) {
		for (int i = 0; i < 8; i++, at += 4096)
			assert_int_equal(add(attribute, at, 4096), 0);
		assert_int_equal(regions_accept(&rs, attribute, 0, 4096), -ENOMEM);
		assert_int_equal(regions_accept(&rs, attribute, at, 4096), -ENOMEM);
	}
	/* all of them serve, each in its turn */
	for (uint32_t attribute = 0; attribute < WIRE_ATTRIBUTES; attribute++) {
		for (uintptr_t i = 0; i < 8; i++)
			assert_int_equal(alloc(attribute, 1, 4096),
					 HERE + (attribute * 8 + i) * 4096);
		assert_int_equal(alloc(attribute, 1, 16), 0);
	}
	assert_sound();
}

static void test_first_fit_in_order_and_kind(void **state)
{
	(void)state;
	/* added from high to low, so that neither address nor size decides */
	assert_int_equal(add(CACHED, HERE + 0x30000, 4096), 0);
	assert_int_equal(add(UNCACHED, HERE + 0x20000, 65536), 0);
	assert_int_equal(add(CACHED, HERE + 0x10000, 8192), 0);
	assert_int_equal(add(CACHED, HERE, 4096), 0);
	assert_int_equal(stats[0].place.order, 0);
	assert_int_equal(stats[1].place.order, 0);
	assert_int_equal(stats[2].place.order, 1);
	assert_int_equal(stats[3].place.order, 2);
	assert_int_equal(stats[1].place.attribute, UNCACHED);
	assert_int_equal(stats[2].place.addr, HERE + 0x10000);
	assert_int_equal(stats[2].place.size, 8192);

	assert_int_equal(alloc(CACHED, 1, 8192), HERE + 0x10000); /* only there */
	assert_int_equal(alloc(CACHED, 1, 4096), HERE + 0x30000);
	assert_int_equal(alloc(CACHED, 1, 4096), HERE);
	assert_int_equal(alloc(CACHED, 1, 16), 0); /* though there is 64 KiB of the other kind */
	assert_int_equal(regions_free(&rs, HERE + 0x30000), 0);
	assert_int_equal(regions_free(&rs, HERE), 0);
	assert_true(alloc(CACHED, 1, 16) >= HERE + 0x30000); /* the first again */
	assert_int_equal(alloc(UNCACHED, 1, 65537), 0);
	assert_int_equal(alloc(UNCACHED, 1, 65536), HERE + 0x20000);
	assert_int_equal(alloc(UNCACHED, 1, 0), 0);
	assert_int_equal(alloc(UNCACHED, 1, SIZE_MAX), 0);
	assert_sound();
}

/* ---- alignment ---- */

static bool holds_multiple(uintptr_t addr, uint64_t size, uint64_t page, uint64_t align)
{
	uintptr_t first = align_up(addr, page), end = (addr + size) & ~(page - 1);

	return align_up(first, align) < end;
}

/* Every power of two that has a multiple in the region is served while the region is empty. */
static void test_aligned(void **state)
{
	static const struct {
		uintptr_t addr;
		uint64_t size;
	} regions[] = {
		{ HERE, 4096 },
		{ HERE + 16, 4096 },
		{ HERE + 4096 - 16, 8192 },
		{ HERE + 0x12345678, 65536 },
		{ HERE + 0x12345678, 65537 },
		{ HERE + 0x7fffe000, 0x100000 },  /* holds a multiple of 2 GiB in its middle */
		{ HERE - 0x1000, 0x30000000 },
		{ HERE + 0x1000, 0x40000000 },
		{ HERE + 512, 512 },
		{ HERE + 0x123, 0x3fffffff },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(regions); i++) {
		uint64_t page = regions[i].size <= 65536 ? 512 : 4096;

		assert_int_equal(add(UNCACHED, regions[i].addr, regions[i].size), 0);
		for (uint64_t align = 1; align; align *= 2) {
			uintptr_t p = alloc(UNCACHED, align, 100);

			if (!holds_multiple(regions[i].addr, regions[i].size, page, align)) {
				assert_int_equal(p, 0);
				continue;
			}
			assert_int_not_equal(p, 0);
			assert_int_equal(p & (align - 1), 0);
			assert_true(p >= regions[i].addr);
			assert_true(p + 100 <= regions[i].addr + regions[i].size);
			assert_int_equal(regions_free(&rs, p), 0);
		}
		assert_sound();
		regions_deinit(&rs);
		memset(stats, 0, sizeof(*stats));
	}
}

/* Above 1 GiB of region: alignments up to 1 GiB, and no wrong answer beyond. */
static void test_aligned_in_a_huge_region(void **state)
{
	uintptr_t p, q, r;

	(void)state;
	assert_int_equal(add(CACHED, HERE + 0x1000, 3 * GIB), 0);
	p = alloc(CACHED, GIB, GIB);
	q = alloc(CACHED, GIB, 4096);
	r = alloc(CACHED, GIB, 4096);
	assert_int_equal(p, HERE + GIB);
	assert_int_equal(q, HERE + 2 * GIB);
	assert_int_equal(r, HERE + 3 * GIB);
	assert_int_equal(alloc(CACHED, GIB, 16), 0);
	assert_int_equal(regions_free(&rs, q), 0);
	assert_int_equal(alloc(CACHED, 2 * GIB, 16), 0);
	assert_sound();
}

/* ---- frees ---- */

static void test_bad_frees(void **state)
{
	uintptr_t p;

	(void)state;
	assert_int_equal(add(CACHED, HERE + 0x10010, 8192), 0); /* margins on both sides */
	assert_int_equal(add(UNCACHED, HERE, 4096), 0);
	p = alloc(UNCACHED, 1, 64);
	assert_int_equal(regions_free(&rs, p + 16), -EINVAL);
	assert_int_equal(regions_free(&rs, p + 1), -EINVAL);
	assert_int_equal(regions_free(&rs, HERE + 4095), -EINVAL);
	assert_int_equal(stats[1].bad_frees, 3);
	assert_int_equal(regions_free(&rs, p), 0);
	assert_int_equal(regions_free(&rs, p), -EINVAL);
	assert_int_equal(stats[1].bad_frees, 4);
	assert_int_equal(stats[0].bad_frees, 0);
	assert_int_equal(regions_free(&rs, HERE + 0x10010), -EINVAL); /* in the margins */
	assert_int_equal(regions_free(&rs, HERE + 0x1200f), -EINVAL);
	assert_int_equal(stats[0].bad_frees, 2);
	assert_int_equal(regions_free(&rs, HERE + 0x12010), -EINVAL); /* in none: the first */
	assert_int_equal(regions_free(&rs, HERE + 4096), -EINVAL);
	assert_int_equal(regions_free(&rs, 0), -EINVAL);
	assert_int_equal(regions_free(&rs, UINTPTR_MAX), -EINVAL);
	assert_int_equal(regions_free(&rs, (uintptr_t)&rs), -EINVAL);
	assert_int_equal(stats[0].bad_frees, 7);
	assert_int_equal(stats[0].used, 0);
	assert_int_equal(stats[1].used, 0);
	assert_sound();
}

/* ---- no page fault from the first operation on ---- */

static long faults(void)
{
	struct rusage now;

	(void)getrusage(RUSAGE_THREAD, &now);
	return now.ru_minflt + now.ru_majflt;
}

/*
 * Blocks all over a large region, into which whole pages of metadata belong; and bad frees, one of
 * them in the margin before it, where the allocator has pages and no metadata with backing: the
 * entry of page 4096 begins a page of metadata.
 */
static long faults_of_use(void)
{
	static uintptr_t block[4096];
	const uintptr_t at = HERE + 4096 * 4096 - 16;
	long before;

	assert_int_equal(add(CACHED, at, 256 << 20), 0);
	memset(block, 1, sizeof(block));
	(void)faults();
	before = faults();
	(void)regions_free(&rs, at);
	(void)regions_free(&rs, at + 12345);
	for (size_t i = 0; i < ARRAY_SIZE(block); i++)
		block[i] = alloc(CACHED, 1, i % 2 ? 16 : 60000);
	for (size_t i = 0; i < ARRAY_SIZE(block); i++)
		if (i % 3)
			(void)regions_free(&rs, block[i]);
	(void)alloc(CACHED, 1 << 20, 32 << 20);
	return faults() - before;
}

static void test_no_fault(void **state)
{
	long least = 1;

	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip();
#endif
	/* the kernel may take a page away now and then: one clean round of three is enough */
	for (int i = 0; i < 3 && least > 0; i++) {
		least = faults_of_use();
		assert_sound();
		regions_deinit(&rs);
		memset(stats, 0, sizeof(*stats));
	}
	assert_int_equal(least, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_two_sizes_in_4_kib),
		TEST(test_what_is_refused),
		TEST(test_overlaps),
		TEST(test_ninth),
		TEST(test_first_fit_in_order_and_kind),
		TEST(test_aligned),
		TEST(test_aligned_in_a_huge_region),
		TEST(test_bad_frees),
		TEST(test_no_fault),
	};

	return cmocka_run_group_tests_name("regions", tests, NULL, NULL);
}
