/*
 * test_regions_random.c: regions in random steps beside a model, and by several threads at once
 *
 * The model knows of each region its allocator pages, how many blocks of which size live in each,
 * and which 16 bytes are taken. From that it says for each region whether it can serve a request: a
 * block may come from no region behind one that can, and from none that cannot. Aligned requests
 * beyond a page are the exception: a fragmented region may miss them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "client/regions.h"
#include "tests/pure/pure.h"

#define UNIT 16u
#define HERE ((uintptr_t)0x200000000000) /* nothing is mapped here */
#define LIVE_MAX 20000

enum answer { NO, MAYBE, YES };

struct cut {
	uint64_t size; /* of its blocks while it has live ones */
	uint32_t live;
	bool large;
};

struct twin { /* of a region */
	uint32_t attribute;
	uintptr_t addr, first, end;
	uint64_t size, page, used;
	uint32_t n_pages, bad_frees;
	struct cut *cut;
	uint8_t *taken;
};

struct block {
	uintptr_t addr;
	uint64_t bytes;
	uint32_t region;
};

static struct regions rs;
static struct wire_stats *stats;
static struct twin twin[REGIONS_MAX];
static struct block live[LIVE_MAX];
static uint32_t n_regions, n_live;

/* ---- the model ---- */

static uint64_t block_bytes(const struct twin *t, uint64_t align, uint64_t size)
{
	uint64_t bytes = UNIT, least = max_u64(size, align);

	if (least > t->page)
		return div_round_up(size, t->page) * t->page;
	while (bytes < least)
		bytes *= 2;
	return bytes;
}

/* Whether a run of that many empty pages is there, one that starts at a multiple of align. */
static bool has_run(const struct twin *t, uint64_t pages, uint64_t align)
{
	uint64_t n = 0;

	for (uint32_t i = t->n_pages; i-- > 0;) {
		n = t->cut[i].live ? 0 : n + 1;
		if (n >= pages && ((t->first + i * t->page) & (align - 1)) == 0)
			return true;
	}
	return false;
}

static bool has_partial(const struct twin *t, uint64_t bytes)
{
	for (uint32_t i = 0; i < t->n_pages; i++) {
		const struct cut *c = &t->cut[i];

		if (c->live && !c->large && c->size == bytes && c->live < t->page / bytes)
			return true;
	}
	return false;
}

static enum answer can_serve(const struct twin *t, uint64_t align, uint64_t size)
{
	uint64_t bytes = block_bytes(t, align, size);

	if (size == 0)
		return NO;
	if (max_u64(size, align) <= t->page)
		return has_partial(t, bytes) || has_run(t, 1, 1) ? YES : NO;
	if (!has_run(t, bytes / t->page, align))
		return NO;
	if (align <= t->page)
		return YES;
	/* wherever so long a run lies, the block fits */
	return has_run(t, (bytes + align) / t->page - 1, 1) ? YES : MAYBE;
}

static uint32_t region_at(uintptr_t addr)
{
	for (uint32_t i = 0; i < n_regions; i++)
		if (addr >= twin[i].addr && addr - twin[i].addr < twin[i].size)
			return i;
	return REGIONS_MAX;
}

static void mark(struct twin *t, const struct block *b, bool large, bool taken)
{
	uint64_t from = b->addr - t->first;
	uint32_t end = (uint32_t)((from + b->bytes - 1) / t->page);

	for (uint64_t u = from / UNIT; u < (from + b->bytes) / UNIT; u++) {
		must(t->taken[u] != taken); /* nobody else's */
		t->taken[u] = taken;
	}
	for (uint32_t i = (uint32_t)(from / t->page); i <= end; i++) {
		struct cut *c = &t->cut[i];

		must(!taken || !c->live || (!large && !c->large && c->size == b->bytes));
		if (taken)
			*c = (struct cut){ b->bytes, c->live + 1, large };
		else
			c->live--;
	}
	t->used += taken ? b->bytes : -b->bytes;
}

/* ---- steps ---- */

static void step_alloc(uint32_t attribute, uint64_t align, uint64_t size)
{
	uintptr_t p = (uintptr_t)regions_alloc(&rs, attribute, align, size);
	uint32_t at = p ? region_at(p) : n_regions;
	struct twin *t = &twin[at];
	struct block b;

	must(!p || (at < n_regions && t->attribute == attribute));
	for (uint32_t i = 0; i < at; i++)
		must(twin[i].attribute != attribute || can_serve(&twin[i], align, size) != YES);
	if (!p)
		return;
	must(can_serve(t, align, size) != NO);
	b = (struct block){ p, block_bytes(t, align, size), at };
	must((p & (align - 1)) == 0 && (p & (min_u64(b.bytes, t->page) - 1)) == 0);
	must(p >= t->first && b.bytes <= t->end - p);
	mark(t, &b, max_u64(size, align) > t->page, true);
	must(n_live < LIVE_MAX);
	live[n_live++] = b;
}

static void step_free(uint32_t i)
{
	struct block b = live[i];

	must(regions_free(&rs, b.addr) == 0);
	live[i] = live[--n_live];
	mark(&twin[b.region], &b, false, false);
}

static void step_bad_free(uintptr_t addr)
{
	uint32_t at = region_at(addr);

	for (uint32_t i = 0; i < n_live; i++)
		if (live[i].addr == addr)
			return; /* it is a good one */
	must(regions_free(&rs, addr) == -EINVAL);
	twin[at < n_regions ? at : 0].bad_frees++;
}

static void same(void)
{
	must(regions_check(&rs) == 0);
	for (uint32_t i = 0; i < n_regions; i++) {
		must(stats[i].used == twin[i].used);
		must(stats[i].bad_frees == twin[i].bad_frees);
	}
}

static uint64_t random_align(struct rng *r)
{
	return rng_below(r, 3) ? 1 : UINT64_C(1) << rng_below(r, 19);
}

static void step(struct rng *r, uint32_t max_size, uint32_t lean)
{
	uint32_t pick = rng_below(r, 100);

	if (pick < 5) {
		uintptr_t near = n_live ? live[rng_below(r, n_live)].addr : HERE;

		step_bad_free(near + rng_below(r, 200) - 100);
		step_bad_free(HERE + rng_next(r) % 0x1000000);
	} else if (pick < 5 + lean && n_live < LIVE_MAX) {
		step_alloc(rng_below(r, WIRE_ATTRIBUTES), random_align(r),
			   rng_skewed(r, max_size) - (rng_below(r, 50) == 0));
	} else if (n_live) {
		step_free(rng_below(r, n_live));
	}
}

/* ---- regions ---- */

/* Of any size, alignment and attribute, here and there, some side by side. */
static void add_regions(struct rng *r)
{
	uintptr_t at = HERE + rng_below(r, 10000);
	uint32_t n_of[WIRE_ATTRIBUTES] = { 0 };

	for (uint32_t want = 2 + rng_below(r, 7); n_regions < want;) {
		struct twin *t = &twin[n_regions];
		uint32_t attribute = rng_below(r, WIRE_ATTRIBUTES);
		uint64_t size = rng_below(r, 2) ? 4096 * (1 + rng_below(r, 3)) : rng_skewed(r, 300000);
		uint64_t page = size <= 65536 ? 512 : 4096;
		bool holds = align_up(at, page) < ((at + size) & ~(page - 1));

		must(regions_add(&rs, attribute, at, size, &stats[n_regions]) ==
		     (holds ? 0 : -EINVAL));
		if (!holds)
			continue;
		*t = (struct twin){
			.attribute = attribute,
			.addr = at,
			.size = size,
			.page = page,
			.first = align_up(at, page),
			.end = (at + size) & ~(page - 1),
		};
		t->n_pages = (uint32_t)((t->end - t->first) / page);
		t->cut = calloc(t->n_pages, sizeof(*t->cut));
		t->taken = calloc((t->end - t->first) / UNIT, 1);
		must(t->cut && t->taken);
		must(stats[n_regions].place.order == n_of[attribute]++);
		must(regions_add(&rs, attribute, at + size - 1, 65536, stats) == -EINVAL);
		n_regions++;
		at += size + (rng_below(r, 2) ? 0 : rng_below(r, 100000));
	}
}

static void test_random(void **state)
{
	struct rng r = test_rng(20);

	(void)state;
	for (uint64_t round = 0; round < 60 * test_factor(); round++) {
		static const uint32_t limits[] = { 16, 100, 600, 5000, 100000 };
		uint32_t limit = 0, lean = 0;

		regions_init(&rs);
		stats = storage_new(REGIONS_MAX * sizeof(*stats));
		n_regions = n_live = 0;
		add_regions(&r);
		for (uint32_t k = 0; k < 6000; k++) {
			if (k % 1000 == 0) {
				limit = limits[rng_below(&r, ARRAY_SIZE(limits))];
				lean = 30 + rng_below(&r, 50);
			}
			step(&r, limit, lean);
			if (k % 16 == 0)
				same();
		}
		while (n_live)
			step_free(n_live - 1);
		same();
		regions_deinit(&rs);
		for (uint32_t i = 0; i < n_regions; i++) {
			free(twin[i].cut);
			free(twin[i].taken);
		}
		free(stats);
	}
}

/* ---- threads ---- */

#define THREADS 4
#define SLOTS 64
#define TURNS 200000u

/* A block that is nobody's: the next thread that comes takes it, checks it and frees it. */
static _Atomic uintptr_t shelf[SLOTS];
static _Atomic uint64_t bad, begun;
static _Atomic uint32_t complete; /* 1: all regions are there */

/* A block says in its first and last byte who wrote it last. */
static void stamp(uintptr_t p, uint32_t size, uint8_t value)
{
	*(uint8_t *)p = value;
	((uint8_t *)p)[size - 1] = value;
	*(uint32_t *)(p + 4) = size;
}

static bool stamped(uintptr_t p)
{
	const uint8_t *b = (const uint8_t *)p;
	uint32_t size = *(const uint32_t *)(p + 4);

	return size >= UNIT && b[0] == b[size - 1];
}

static void *run_thread(void *arg)
{
	struct rng r = test_rng((uintptr_t)arg);

	atomic_fetch_add(&begun, 1);
	for (uint32_t k = 0; k < TURNS; k += atomic_load(&complete)) {
		uint32_t size = UNIT + rng_skewed(&r, 2000);
		uint64_t align = rng_below(&r, 4) ? 1 : UINT64_C(16) << rng_below(&r, 8);
		uintptr_t p = (uintptr_t)regions_alloc(&rs, rng_below(&r, 2), align, size), old;

		if (p) {
			atomic_fetch_add(&bad, (p & (align - 1)) != 0);
			stamp(p, size, (uint8_t)rng_next(&r));
		}
		old = atomic_exchange(&shelf[rng_below(&r, SLOTS)], p);
		if (old) {
			atomic_fetch_add(&bad, !stamped(old));
			atomic_fetch_add(&bad, regions_free(&rs, old) != 0);
		}
	}
	return NULL;
}

/* Real memory this time. While they work the table grows: who finds a new region may use it. */
static void test_threads(void **state)
{
	static _Alignas(4096) char memory[4][10000];
	pthread_t thread[THREADS];

	(void)state;
	regions_init(&rs);
	stats = storage_new(REGIONS_MAX * sizeof(*stats));
	n_regions = 0;
	must(regions_add(&rs, 0, (uintptr_t)memory[0], sizeof(memory[0]), &stats[0]) == 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		must(pthread_create(&thread[i], NULL, run_thread, (void *)(i + 1)) == 0);
	while (atomic_load(&begun) < THREADS)
		;
	for (uint32_t i = 1; i < 4; i++)
		must(regions_add(&rs, i % 2, (uintptr_t)memory[i], sizeof(memory[i]), &stats[i]) == 0);
	atomic_store(&complete, 1);
	for (uintptr_t i = 0; i < THREADS; i++)
		must(pthread_join(thread[i], NULL) == 0);
	assert_int_equal(atomic_load(&bad), 0);
	for (size_t i = 0; i < SLOTS; i++)
		if (shelf[i])
			must(regions_free(&rs, shelf[i]) == 0);
	assert_int_equal(regions_check(&rs), 0);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(stats[i].used, 0);
		assert_int_equal(stats[i].bad_frees, 0);
		assert_true(stats[i].high > 0); /* each served somebody */
	}
	regions_deinit(&rs);
	free(stats);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests_name("regions-random", tests, NULL, NULL);
}
