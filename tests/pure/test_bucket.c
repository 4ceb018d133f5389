/*
 * test_bucket.c: the block allocator, sentence by sentence: blocks, sizes, frees, counters
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "bucket_model.h"
#include "pure.h"

static void test_page_size(void **state)
{
	(void)state;
	assert_int_equal(9, bucket_page_shift(1));
	assert_int_equal(9, bucket_page_shift(BUCKET_SMALL_HEAP_MAX));
	assert_int_equal(12, bucket_page_shift(BUCKET_SMALL_HEAP_MAX + 1));
	assert_int_equal(12, bucket_page_shift(UINT64_MAX));
}

/* The example of the reference: 16384 bytes are two blocks of 8192 or four of 4096, no more. */
static void test_reference_capacity(void **state)
{
	struct bucket_model *m = model_new_full(4);

	(void)state;
	assert_int_equal(2, model_fill(m, 8192));
	model_free_all(m);
	assert_int_equal(4, model_fill(m, 4096));
	model_free_all(m);
	assert_int_equal(1, model_fill(m, 16384));
	assert_int_equal(0, model_fill(m, 1));
	model_free_all(m);
	assert_int_equal(1, model_fill(m, 8193)); /* whole pages: 8704 bytes */
	assert_int_equal(15, model_fill(m, 512));
	model_done(m);
}

/* A heap of N bytes hands out N bytes, in blocks of any one size, whatever happened before. */
static void exact_capacity(uint32_t n_hw, struct rng *r)
{
	struct bucket_model *m = model_new_full(n_hw);
	uint64_t bytes = n_hw * HW_PAGE_SIZE;

	for (int round = 0; round < 3; round++) {
		for (uint64_t size = 16; size <= bytes; size *= 2) {
			assert_int_equal(bytes / size, model_fill(m, size));
			assert_int_equal(bytes / size * size, m->stats->used);
			assert_int_equal(size, bucket_cost(&m->h, size));
			assert_int_equal(
			    size,
			    bucket_cost(&m->h, size / 2 + 1 + (size > m->page ? size / 2 - 1 : 0)));
			while (m->n_blocks)
				model_free_block(m, rng_below(r, m->n_blocks));
		}
		for (int i = 0; i < 1000; i++) {
			if (rng_below(r, 3) && m->n_blocks)
				model_free_block(m, rng_below(r, m->n_blocks));
			else
				(void)model_alloc(m, rng_skewed(r, (uint32_t)bytes));
		}
		model_free_all(m);
	}
	assert_int_equal(1, model_fill(m, bytes));
	model_done(m);
}

static void test_exact_capacity(void **state)
{
	static const uint32_t sizes[] = { 1, 2, 4, 16, 17, 32 };
	struct rng r = test_rng(1);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		exact_capacity(sizes[i], &r);
}

/* 4 KiB serve several sizes at once: that is what small pages are for. */
static void test_small_heap_mixes(void **state)
{
	struct bucket_model *m = model_new_full(1);

	(void)state;
	for (uint64_t size = 16; size <= 512; size *= 2)
		assert_int_not_equal(NO_BLOCK, model_alloc(m, size));
	assert_int_not_equal(NO_BLOCK, model_alloc(m, 1024)); /* the two pages that are left */
	assert_int_equal(NO_BLOCK, model_alloc(m, 513));
	assert_int_equal(NO_BLOCK, model_alloc(m, 512));
	assert_int_not_equal(NO_BLOCK, model_alloc(m, 0x40));
	assert_int_not_equal(NO_BLOCK, model_alloc(m, 0x80));
	model_done(m);
}

/* A request costs the next power of two up to a page, then whole pages. */
static void test_cost(void **state)
{
	struct bucket_model *small = model_new_full(1), *large = model_new_full(17);

	(void)state;
	assert_int_equal(16, bucket_cost(&small->h, 1));
	assert_int_equal(16, bucket_cost(&small->h, 16));
	assert_int_equal(32, bucket_cost(&small->h, 17));
	assert_int_equal(512, bucket_cost(&small->h, 257));
	assert_int_equal(1024, bucket_cost(&small->h, 513));
	assert_int_equal(4096, bucket_cost(&large->h, 2049));
	assert_int_equal(8192, bucket_cost(&large->h, 4097));
	assert_int_equal(12288, bucket_cost(&large->h, 8193));
	assert_int_equal(UINT64_MAX, bucket_cost(&large->h, UINT64_MAX));
	assert_int_equal(UINT64_MAX, bucket_cost(&small->h, UINT64_MAX - 1));
	assert_int_equal(1, bucket_hw_pages(&small->h, 1));
	assert_int_equal(1, bucket_hw_pages(&small->h, 4096));
	assert_int_equal(2, bucket_hw_pages(&small->h, 4097));
	assert_int_equal(1, bucket_hw_pages(&large->h, 4096));
	assert_int_equal(3, bucket_hw_pages(&large->h, 8193));
	assert_int_equal(UINT32_MAX, bucket_hw_pages(&large->h, UINT64_MAX));
	model_done(small);
	model_done(large);
}

/* Nothing that cannot be is served: no bytes, more than there are, more than a number holds. */
static void test_impossible(void **state)
{
	static const uint64_t too_much[] = {
	    0,
	    17 * HW_PAGE_SIZE + 1,
	    UINT32_MAX,
	    UINT64_C(1) << 44,
	    UINT64_C(1) << 63,
	    UINT64_MAX - 1,
	    UINT64_MAX,
	};
	struct bucket_model *m = model_new_full(17);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(too_much); i++) {
		assert_int_equal(NO_BLOCK, model_alloc(m, too_much[i]));
		assert_int_equal(NO_BLOCK, model_alloc_aligned(m, too_much[i], 16));
		assert_int_equal(NO_BLOCK, model_alloc_aligned(m, too_much[i], UINT64_C(1) << 63));
	}
	assert_int_not_equal(NO_BLOCK, model_alloc(m, 17 * HW_PAGE_SIZE));
	model_done(m);
}

/* "hardware pages that surely serve a request" do, from the most awkward of places. */
static void test_hw_pages_serve(void **state)
{
	(void)state;
	for (int small = 0; small < 2; small++) {
		for (uint64_t size = 1; size < 40000; size += 1 + size / 5) {
			struct bucket_model *m = model_new(30, small ? 9 : 12);
			uint32_t n = bucket_hw_pages(&m->h, size);

			model_insert(m, 7, n);
			assert_int_not_equal(NO_BLOCK, model_alloc(m, size));
			if (n > 1) {
				model_free_all(m);
				model_reclaim(m, 0, 100, 100);
				model_insert(m, 7, n - 1);
				assert_int_equal(NO_BLOCK, model_alloc(m, size));
			}
			model_done(m);
		}
	}
}

/* Every offset that is not the start of a live block is refused, counted, and changes nothing. */
static void test_bad_frees(void **state)
{
	(void)state;
	for (int small = 0; small < 2; small++) {
		struct bucket_model *m = model_new(8, small ? 9 : 12);
		uint64_t bytes = 8 * HW_PAGE_SIZE;

		model_insert(m, 1, 6); /* the first and the last are not ours */
		assert_int_not_equal(NO_BLOCK, model_alloc(m, 3 * HW_PAGE_SIZE));
		assert_int_not_equal(NO_BLOCK, model_alloc(m, 16));
		assert_int_not_equal(NO_BLOCK, model_alloc(m, 48));
		assert_int_not_equal(NO_BLOCK, model_alloc(m, m->page));
		assert_int_not_equal(NO_BLOCK, model_alloc(m, 48));
		model_free_block(m, 2); /* the first of 48: never again */
		for (uint64_t offset = 0; offset < bytes + 10000; offset += 1 + (offset % 3)) {
			bool live = false;

			for (uint32_t i = 0; i < m->n_blocks; i++)
				live |= m->blocks[i].offset == offset;
			if (!live)
				model_free_at(m, offset);
		}
		model_free_at(m, UINT64_MAX);
		model_free_at(m, UINT64_MAX - 15);
		for (uint32_t i = 0; i < m->n_blocks; i++) /* right but for one high bit */
			for (uint32_t bit = 20; bit < 64; bit++)
				model_free_at(m, m->blocks[i].offset | UINT64_C(1) << bit);
		assert_int_equal(4, m->n_blocks);
		model_free_all(m);
		for (uint64_t offset = 0; offset < bytes;
		     offset += 16) /* twice, and what never was */
			model_free_at(m, offset);
		assert_int_equal(-EINVAL,
				 bucket_free(&m->h, 4096, NULL)); /* pages_free may be NULL */
		m->bad_frees++;
		model_done(m);
	}
}

/* A loop of one alloc and one free makes no pages and ends none, at any fill of the bucket. */
static void test_warm_page(void **state)
{
	(void)state;
	for (uint64_t size = 16; size <= 4096; size *= 2) {
		struct bucket_model *m = model_new_full(64);

		for (uint32_t live = 0; live <= 2 * m->page / size; live++) {
			uint32_t changes = 0, pages = 0;

			for (int i = 0; i < 20; i++) {
				assert_int_not_equal(NO_BLOCK, model_alloc(m, size));
				model_free_block(m, m->n_blocks - 1);
				changes += m->h.pages.n_used != pages;
				pages = m->h.pages.n_used;
			}
			assert_in_range(changes, 0, 1); /* the first may */
			assert_int_not_equal(NO_BLOCK, model_alloc(m, size));
		}
		model_done(m);
	}
}

/* "a page comes and goes only once in as many operations as it has blocks": whatever the order of
 * allocs and frees, here at random around every fill. */
static void test_pages_change_seldom(void **state)
{
	struct rng r = test_rng(2);

	(void)state;
	for (uint64_t size = 16; size <= 4096; size *= 4) {
		struct bucket_model *m = model_new_full(200);
		uint64_t per_page = m->page / size, ops = 0, ended = 0;

		for (int i = 0; i < 20000; i++, ops++) {
			uint32_t aim = (uint32_t)(per_page * (3 + i / 4000));

			if (rng_below(&r, 2 * aim) >= m->n_blocks)
				(void)model_alloc(m, size);
			else
				model_free_block(m, rng_below(&r, m->n_blocks));
		}
		for (uint32_t b = 0; b < BUCKET_COUNT; b++)
			ended += m->stats->bucket[b].could_free;
		assert_true(ended <= ops / per_page + 1);
		model_done(m);
	}
}

static uint64_t page_of(const struct bucket_model *m, uint64_t offset)
{
	return offset / m->page;
}

/* Each shelf has pages of its own, and its blocks come back to them. */
static void test_shelves(void **state)
{
	struct bucket_model *m = model_new_full(200);
	uint64_t first[BUCKET_SHELVES];

	(void)state;
	for (uint32_t cpu = 0; cpu < BUCKET_SHELVES; cpu++) {
		model_shelf(m, cpu);
		first[cpu] = model_alloc(m, 64);
		for (uint32_t other = 0; other < cpu; other++)
			assert_true(page_of(m, first[cpu]) != page_of(m, first[other]));
		if (cpu == 0) /* a page's worth free elsewhere would be enough for all */
			for (int i = 0; i < 62; i++)
				assert_int_equal(page_of(m, first[0]), page_of(m, model_alloc(m, 64)));
		else
			for (int i = 0; i < 60; i++)
				assert_int_equal(page_of(m, first[cpu]), page_of(m, model_alloc(m, 64)));
	}
	model_shelf(m, 0);
	model_free_at(m, first[3]); /* whoever frees it */
	model_shelf(m, 3);
	assert_int_equal(first[3], model_alloc(m, 64));
	model_same(m);
	model_free_all(m);
	model_done(m);
}

/* A shelf fetches: the page that is warm, whoever had it; then while there are enough free blocks elsewhere; at last because there is no page. */
static void test_shelves_fetch(void **state)
{
	struct bucket_model *m = model_new_full(200);
	uint64_t offset;

	(void)state;
	offset = model_alloc(m, 1024);
	model_free_block(m, 0);
	model_shelf(m, 1);
	assert_int_equal(page_of(m, offset), page_of(m, model_alloc(m, 1024)));

	for (int i = 1; i < 64; i++) /* 16 pages of 4 blocks */
		assert_int_not_equal(NO_BLOCK, model_alloc(m, 1024));
	assert_int_equal(16, m->stats->bucket[6].pages);
	for (uint64_t page = 0; page < 12; page++) /* one of each of 12 pages: 16 / 8 + 1 pages' worth */
		model_free_at(m, (199 - page) * HW_PAGE_SIZE);
	model_shelf(m, 2);
	assert_int_not_equal(NO_BLOCK, model_alloc(m, 1024));
	assert_int_equal(16, m->stats->bucket[6].pages); /* fetched */
	assert_int_not_equal(NO_BLOCK, model_alloc(m, 1024));
	assert_int_equal(17, m->stats->bucket[6].pages); /* new: 11 are too few */
	model_same(m);

	assert_int_equal(183, model_fill(m, 4096)); /* all the others, and the warm ones */
	assert_int_equal(3 + 11, model_fill(m, 1024));
	model_same(m);
	model_free_all(m);
	model_done(m);
}

#define LOTS_PAGES 602u /* the last lot is half a one */

/* No lot has pages of two shelves, and what a shelf gave back it gets before another does. */
static void test_lots(void **state)
{
	struct bucket_model *m = model_new_full(LOTS_PAGES);
	uint32_t whose[LOTS_PAGES / BUCKET_LOT + 1] = { 0 };
	uint64_t page, given_back[3];

	(void)state;
	for (uint32_t i = 0; i < 250; i++) { /* in turns, and not evenly */
		uint32_t cpu = i % 5 % 3;

		model_shelf(m, cpu);
		page = page_of(m, model_alloc(m, 4096));
		assert_true(page < LOTS_PAGES && (!whose[page / BUCKET_LOT] || whose[page / BUCKET_LOT] == cpu + 1));
		whose[page / BUCKET_LOT] = cpu + 1;
		assert_true(page + i + 1 + 3 * BUCKET_LOT >= LOTS_PAGES); /* all of a lot is used before another is begun */
		given_back[cpu] = page;
	}
	model_same(m);
	for (uint32_t cpu = 0; cpu < 3; cpu++) { /* the first one stays with the bucket */
		model_free_at(m, given_back[cpu] * HW_PAGE_SIZE);
		model_same(m);
	}
	model_shelf(m, 2);
	assert_int_equal(given_back[0], page_of(m, model_alloc(m, 4096)));
	assert_int_equal(given_back[2], page_of(m, model_alloc(m, 4096)));
	assert_int_equal(LOTS_PAGES - 249, model_fill(m, 4096)); /* at last any page will do */
	assert_int_equal(NO_BLOCK, model_alloc(m, 4096));
	model_same(m);
	model_free_all(m);
	model_done(m);
}

/* Holes in others' lots are left alone while little of what is free is in holes, and then they are filled. */
static void test_lots_holes(void **state)
{
	static const uint32_t holes[] = { 10, 60 }; /* of 3 pages */
	struct bucket_model *m;
	uint64_t page;

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(holes); k++) {
		m = model_new_full(1200);
		for (int i = 0; i < 600; i++)
			assert_int_not_equal(NO_BLOCK, model_alloc(m, 4096));
		model_free_at(m, 1199 * HW_PAGE_SIZE); /* it stays with the bucket */
		for (uint32_t i = 0; i < holes[k]; i++)
			for (page = 602; page < 605; page++)
				model_free_at(m, (page + 8 * i) * HW_PAGE_SIZE);
		model_shelf(m, 2);
		assert_int_equal(1199, page_of(m, model_alloc(m, 4096)));
		page = page_of(m, model_alloc(m, 4096));
		assert_true(k == 0 ? page == 599 : page > 600);
		model_shelf(m, 1);
		for (uint64_t i = 0; i < BUCKET_LOT; i++) { /* behind the lot that another has at the end; or not */
			page = page_of(m, model_alloc(m, 4096));
			assert_true(k == 0 ? page == 600 - BUCKET_LOT - 1 - i : page > 600);
		}
		model_same(m);
		model_done(m);
	}
}

/* A run of as many pages as a lot that are of two lots is none to begin a lot in. */
static void test_lots_begin(void **state)
{
	struct bucket_model *m = model_new_full(2400);

	(void)state;
	for (int i = 0; i < 600; i++)
		assert_int_not_equal(NO_BLOCK, model_alloc(m, 4096));
	model_free_at(m, 2399 * HW_PAGE_SIZE);
	for (uint64_t page = 1800 + BUCKET_LOT / 2; page < 1800 + 10 * 2 * BUCKET_LOT; page += 2 * BUCKET_LOT)
		for (uint64_t i = 0; i < BUCKET_LOT; i++)
			model_free_at(m, (page + i) * HW_PAGE_SIZE);
	model_shelf(m, 1);
	assert_int_equal(2399, page_of(m, model_alloc(m, 4096)));
	assert_int_equal(1799, page_of(m, model_alloc(m, 4096)));
	model_same(m);
	model_done(m);
}

/* A page of the shelf's own lot is cut from an end of its run too; and from the last end if the lot is nobody's any more. */
static void test_lots_ends(void **state)
{
	struct bucket_model *m = model_new_full(400);
	uint64_t page;

	(void)state;
	model_shelf(m, 0);
	assert_int_equal(400, model_fill(m, 4096)); /* page 0 was the last one */
	for (page = 399; page > 0; page--)
		model_free_at(m, page * HW_PAGE_SIZE);
	assert_int_equal(399, page_of(m, model_alloc(m, 4096))); /* it stayed with the bucket */
	assert_int_equal(1, page_of(m, model_alloc(m, 4096)));
	assert_int_equal(397, pages_longest(&m->h.pages));
	model_free_at(m, 0);
	model_free_at(m, HW_PAGE_SIZE);
	assert_int_equal(0, page_of(m, model_alloc(m, 4096)));
	model_free_at(m, 0);
	assert_int_not_equal(NO_BLOCK, model_alloc(m, 2 * HW_PAGE_SIZE)); /* what is warm is given up */
	assert_int_equal(398, page_of(m, model_alloc(m, 4096)));
	model_same(m);
	model_done(m);

	m = model_new_full(400); /* nobody says a shelf: it is always the last end */
	assert_int_equal(400, model_fill(m, 4096));
	for (page = 399; page > 0; page--)
		model_free_at(m, page * HW_PAGE_SIZE);
	assert_int_equal(399, page_of(m, model_alloc(m, 4096)));
	assert_int_equal(398, page_of(m, model_alloc(m, 4096)));
	model_same(m);
	model_done(m);
}

/* All shelves have all sizes: still almost all that is free is one run. */
static void test_lots_grow(void **state)
{
	struct bucket_model *m = model_new_full(4096);
	struct rng r = test_rng(7);

	(void)state;
	while (m->h.pages.n_used < 4096 * 45 / 100) {
		model_shelf(m, rng_below(&r, BUCKET_SHELVES));
		assert_int_not_equal(NO_BLOCK, model_alloc(m, UINT64_C(16) << rng_below(&r, 6)));
	}
	assert_true(pages_longest(&m->h.pages) > m->h.pages.n_free * 7 / 8);
	model_same(m);
	model_done(m);
}

/* Two shelves, blocks of all sizes that come and go: what is free does not fall to pieces. */
static void test_lots_churn(void **state)
{
	struct bucket_model *m = model_new_full(2048);
	struct rng r = test_rng(8);

	(void)state;
	while (m->h.pages.n_used < 2048 * 45 / 100) {
		model_shelf(m, rng_below(&r, 2));
		assert_int_not_equal(NO_BLOCK, model_alloc(m, 16 + rng_below(&r, 4081)));
	}
	for (int i = 0; i < 300000; i++) {
		model_free_block(m, rng_below(&r, (uint32_t)m->n_blocks));
		model_shelf(m, rng_below(&r, 2));
		assert_int_not_equal(NO_BLOCK, model_alloc(m, 16 + rng_below(&r, 4081)));
	}
	assert_true(pages_longest(&m->h.pages) > m->h.pages.n_free * 3 / 4);
	model_same(m);
	model_done(m);
}

/* A small heap has no lots: eight shelves cost it no long run. */
static void test_lots_small(void **state)
{
	struct bucket_model *m = model_new_full(BUCKET_ROOMY - 1);

	(void)state;
	for (uint32_t cpu = 0; cpu < BUCKET_SHELVES; cpu++) {
		model_shelf(m, cpu);
		assert_int_not_equal(NO_BLOCK, model_alloc(m, 4096));
	}
	assert_int_equal(0, model_alloc(m, (BUCKET_ROOMY - 1 - BUCKET_SHELVES) * HW_PAGE_SIZE));
	model_same(m);
	model_done(m);
}

/* Small pages know no shelves, and a small heap of which some is in use no page that need not be. */
static void test_shelves_small(void **state)
{
	struct bucket_model *m = model_new_full(1);
	uint64_t first;

	(void)state;
	first = model_alloc(m, 256);
	model_shelf(m, 1);
	assert_int_equal(page_of(m, first), page_of(m, model_alloc(m, 256)));
	assert_int_not_equal(NO_BLOCK, model_alloc(m, 3584)); /* all the others, in one run */
	model_same(m);
	model_done(m);

	m = model_new_full(24);
	for (uint64_t size = 16; size <= 64; size *= 2) {
		model_shelf(m, 0);
		assert_int_not_equal(NO_BLOCK, model_alloc(m, size));
		model_shelf(m, 1);
		assert_int_not_equal(NO_BLOCK, model_alloc(m, size));
	}
	/* 16 and 32: a page each; of 64 the fifth page is out, and a sixth one need not be */
	assert_int_equal(5, m->h.pages.n_used);
	model_same(m);
	model_done(m);
}

/* Warm pages are given up before any request fails: of another bucket, for a block, for a run. */
static void test_warm_given_up(void **state)
{
	struct bucket_model *m = model_new_full(1);

	(void)state;
	for (uint64_t size = 16; size <= 512; size *= 2)
		assert_int_not_equal(NO_BLOCK, model_alloc(m, size));
	model_free_all(m);
	assert_int_equal(6, m->h.pages.n_used); /* one warm for each */
	assert_int_equal(1, bucket_free_hw(&m->h));
	assert_int_equal(1, model_fill(m, 4096));
	assert_int_equal(0, m->stats->bucket[0].pages);
	model_free_all(m);
	assert_int_equal(8, model_fill(m, 512));
	model_free_all(m);
	assert_int_equal(256, model_fill(m, 16));
	model_done(m);
}

/* A failing request gives them up too, though it does not help. */
static void test_warm_given_up_by_failure(void **state)
{
	struct bucket_model *m = model_new_full(2);

	(void)state;
	assert_int_not_equal(NO_BLOCK, model_alloc(m, 16));
	assert_int_not_equal(NO_BLOCK, model_alloc(m, 32));
	model_free_block(m, 0);
	assert_int_equal(2, m->h.pages.n_used);
	assert_int_equal(NO_BLOCK, model_alloc(m, 2 * HW_PAGE_SIZE));
	assert_int_equal(1, m->h.pages.n_used);
	model_done(m);
}

/* Small blocks that come and stay leave the space for large ones in one piece, and warm pages do
 * too. */
static void test_small_and_large_apart(void **state)
{
	struct bucket_model *m = model_new_full(4);

	(void)state;
	assert_int_not_equal(NO_BLOCK, model_alloc(m, 64));
	assert_int_equal(0, model_alloc(m, 8192));
	model_free_block(m, 0);
	assert_int_equal(8192, model_alloc(m, 8192));
	model_free_all(m);
	assert_int_not_equal(NO_BLOCK, model_alloc(m, 64));
	assert_int_equal(31, m->blocks[0].offset / 512);
	assert_int_equal(0, model_alloc(m, 31 * 512));
	model_done(m);
}

/* The paper's counters, with the meaning the BSD kernel gave them. */
static void test_counters(void **state)
{
	struct bucket_model *m = model_new_full(100);
	const struct wire_bucket *s = &m->stats->bucket[6]; /* 1024: four a page */

	(void)state;
	assert_int_equal(0, s->per_page); /* unused */
	for (int i = 0; i < 12; i++)
		assert_int_not_equal(NO_BLOCK, model_alloc(m, 1000));
	assert_int_equal(12, s->calls);
	assert_int_equal(4, s->per_page);
	assert_int_equal(4, s->high_water);
	assert_int_equal(3, s->pages);
	assert_int_equal(0, s->free);
	for (int i = 0; i < 4; i++)
		model_free_block(m, m->n_blocks - 1); /* a page: at the mark */
	assert_int_equal(0, s->could_free);
	assert_int_equal(3, s->pages);
	assert_int_equal(4, s->free);
	for (int i = 0; i < 3; i++)
		model_free_block(m, m->n_blocks - 1);
	assert_int_equal(0, s->could_free); /* above it, but no page is whole */
	assert_int_equal(7, s->free);
	model_free_block(m, m->n_blocks - 1);
	assert_int_equal(1, s->could_free);
	assert_int_equal(2, s->pages);
	assert_int_equal(4, s->free);
	assert_int_equal(12, s->calls);
	assert_int_equal(12 * 1024, m->stats->high);
	assert_int_equal(4 * 1024, m->stats->used);
	assert_int_not_equal(NO_BLOCK, model_alloc(m, 5000));
	assert_int_equal(8192, m->stats->large);
	model_done(m);
}

/* Free blocks scattered over other pages count against the mark as well. */
static void test_mark_counts_scattered(void **state)
{
	struct bucket_model *m = model_new_full(100);
	const struct wire_bucket *s = &m->stats->bucket[6];

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_int_not_equal(NO_BLOCK, model_alloc(m, 1024));
	for (uint64_t i = 96; i < 100; i++) /* one of each of four pages */
		model_free_at(m, i * HW_PAGE_SIZE);
	assert_int_equal(4, s->free);
	for (uint64_t i = 0; i < 4; i++) /* all of the fifth */
		model_free_at(m, 95 * HW_PAGE_SIZE + i * 1024);
	assert_int_equal(1, s->could_free);
	assert_int_equal(4, s->pages);
	model_done(m);
}

/* *pages_free: pages of 4096 tell exactly; small ones when the hardware page may be whole. */
static void test_pages_free(void **state)
{
	struct bucket_model *m = model_new_full(17);
	uint64_t offset;
	bool hw_free;

	(void)state;
	offset = model_alloc(m, 4096);
	assert_int_equal(0, bucket_free(&m->h, offset, &hw_free));
	assert_true(hw_free);
	model_free(m);

	m = model_new_full(1);
	offset = model_alloc(m, 16);
	assert_int_not_equal(NO_BLOCK, model_alloc(m, 512));
	assert_int_equal(0, bucket_free(&m->h, offset, &hw_free));
	assert_false(hw_free); /* seven small pages of eight */
	offset = m->blocks[1].offset;
	assert_int_equal(0, bucket_free(&m->h, offset, &hw_free));
	assert_true(hw_free);
	model_free(m);
}

static void test_alignment(void **state)
{
	(void)state;
	for (int small = 0; small < 2; small++) {
		struct bucket_model *m = model_new(200, small ? 9 : 12);

		model_insert(m, 3, 190);
		for (uint64_t align = 1; align <= 64 * HW_PAGE_SIZE; align *= 2) {
			for (uint64_t size = 1; size < 30000; size = size * 3 + 1) {
				assert_int_not_equal(NO_BLOCK, model_alloc_aligned(m, size, align));
				if (m->n_blocks > 1)
					model_free_block(m, 0);
			}
			model_same(m);
			model_free_all(m);
		}
		assert_int_equal(NO_BLOCK,
				 model_alloc_aligned(m, 1, 256 * HW_PAGE_SIZE)); /* 0 is not ours */
		model_reclaim(m, 0, 1000, 1000);
		model_insert(m, 0, 1);
		assert_int_equal(0, model_alloc_aligned(m, 1, UINT64_C(1) << 63));
		model_done(m);
	}
}

/* The auditor sees every counter, every free bit, every list and every tag that is off by one. */
static void test_check_sees(void **state)
{
	struct bucket_model *m = model_new_full(17);
	uint64_t *const counters[] = { &m->stats->used, &m->stats->large, &m->h.bucket[2].n_free };

	(void)state;
	for (int i = 0; i < 150; i++)
		assert_int_not_equal(NO_BLOCK, model_alloc(m, 64));
	assert_int_not_equal(NO_BLOCK, model_alloc(m, 10000));
	for (int i = 0; i < 100; i++)
		model_free_block(m, (uint32_t)i % m->n_blocks);
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
		++*counters[i];
		assert_int_equal(-EUCLEAN, bucket_check(&m->h));
		--*counters[i];
	}
	for (uint32_t page = 0; page < m->n_pages; page++) {
		struct page *p = &m->h.pages.page[page];

		if (m->cut[page].live == 0 || m->cut[page].large)
			continue;
		for (uint32_t bit = 0; bit < 256; bit++) {
			m->h.bits[bit / 64 * m->h.pages.n + page] ^= UINT64_C(1) << (bit % 64);
			assert_int_equal(-EUCLEAN, bucket_check(&m->h));
			m->h.bits[bit / 64 * m->h.pages.n + page] ^= UINT64_C(1) << (bit % 64);
		}
		for (uint32_t bit = 0; bit < 2 + 4 + 9 + 9; bit++) {
			p->kind_tag ^= 1u << bit;
			assert_int_equal(-EUCLEAN, bucket_check(&m->h));
			p->kind_tag ^= 1u << bit;
		}
		if (m->cut[page].live == 64)
			continue; /* full: in no ring */
		p->kind_tag ^= 1u << (2 + 4 + 9 + 9);
		assert_int_equal(-EUCLEAN, bucket_check(&m->h));
		p->kind_tag ^= 1u << (2 + 4 + 9 + 9);
		p->next ^= 1;
		assert_int_equal(-EUCLEAN, bucket_check(&m->h));
		p->next ^= 1;
		p->prev ^= 1;
		assert_int_equal(-EUCLEAN, bucket_check(&m->h));
		p->prev ^= 1;
	}
	m->h.bucket[2].n_pages++;
	assert_int_equal(-EUCLEAN, bucket_check(&m->h));
	m->h.bucket[2].n_pages--;
	m->h.bucket[2].list[1] = m->h.bucket[2].list[0]; /* in the ring of another shelf, too */
	assert_int_equal(-EUCLEAN, bucket_check(&m->h));
	m->h.bucket[2].list[0] = 0;
	assert_int_equal(-EUCLEAN, bucket_check(&m->h));
	m->h.bucket[2].list[1] = 0;
	assert_int_equal(-EUCLEAN, bucket_check(&m->h));
	model_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_page_size),
		cmocka_unit_test(test_reference_capacity),
		cmocka_unit_test(test_exact_capacity),
		cmocka_unit_test(test_small_heap_mixes),
		cmocka_unit_test(test_cost),
		cmocka_unit_test(test_impossible),
		cmocka_unit_test(test_hw_pages_serve),
		cmocka_unit_test(test_bad_frees),
		cmocka_unit_test(test_warm_page),
		cmocka_unit_test(test_pages_change_seldom),
		cmocka_unit_test(test_shelves),
		cmocka_unit_test(test_shelves_fetch),
		cmocka_unit_test(test_lots),
		cmocka_unit_test(test_lots_holes),
		cmocka_unit_test(test_lots_begin),
		cmocka_unit_test(test_lots_ends),
		cmocka_unit_test(test_lots_grow),
		cmocka_unit_test(test_lots_churn),
		cmocka_unit_test(test_lots_small),
		cmocka_unit_test(test_shelves_small),
		cmocka_unit_test(test_warm_given_up),
		cmocka_unit_test(test_warm_given_up_by_failure),
		cmocka_unit_test(test_small_and_large_apart),
		cmocka_unit_test(test_counters),
		cmocka_unit_test(test_mark_counts_scattered),
		cmocka_unit_test(test_pages_free),
		cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_check_sees),
	};

	return cmocka_run_group_tests_name("bucket", tests, NULL, NULL);
}
