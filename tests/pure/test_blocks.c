/*
 * test_blocks.c: blocks of one size, beside the plainest model of them
 *
 * The model is an array of numbers, used as a stack, and a flag for each block. After each step
 * the auditor looks, and everything that can be seen is compared. What may not be touched lies
 * in storage that ends the test when it is: the memory of the blocks themselves is not there at all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "client/blocks_inline.h"
#include "pure.h"

struct model {
	struct blocks *b;
	struct blocks_layout layout;
	uint32_t *stack; /* numbers; the top is the last */
	bool *out;
	uint32_t n_free;
	uint32_t bad;
	uint64_t high;
};

static uint64_t serials;

/* An address space that no machine has: only its numbers are used. */
#define NOWHERE ((void *)(uintptr_t)0x10000)

static void *memory_of(uint64_t bytes)
{
	return bytes >> 40 ? NOWHERE : guard_new(align_up(bytes, HW_PAGE_SIZE));
}

/* Blocks of memory that nobody may touch. stats may have been used before, up to that tag. */
static void model_open(struct model *m, struct wire_stats *stats, uint64_t stride, uint32_t n,
		       uint64_t last_tag)
{
	*m = (struct model){
		.b = storage_new(sizeof(*m->b)),
		.stack = storage_new(n * sizeof(uint32_t)),
		.out = storage_new(n),
		.n_free = n,
		.layout = {
			.stats = stats,
			.link = storage_new(n * sizeof(uint32_t)),
			.base = memory_of(stride * n),
			.stride = stride,
			.n = n,
			.serial = ++serials,
			.first_tag = last_tag + 1,
		},
	};
	must(m->layout.base);
	for (uint32_t first = 0, i = n; first < BLOCKS_APART; first++) /* the first is handed out first */
		for (uint32_t number = first; number < n; number += BLOCKS_APART)
			m->stack[--i] = number;
	blocks_open(m->b, &m->layout);
}

static void model_free(struct model *m)
{
	if (m->layout.base != NOWHERE)
		(void)munmap(m->layout.base, align_up(m->layout.stride * m->layout.n, HW_PAGE_SIZE));
	free((void *)m->layout.link);
	free(m->stack);
	free(m->out);
	free(m->b);
}

static void *address(const struct model *m, uint64_t number)
{
	return (char *)m->layout.base + number * m->layout.stride;
}

static void model_same(const struct model *m)
{
	const struct wire_stats *s = m->layout.stats;

	must(blocks_check(m->b) == 0);
	must(s->vacant.n_free == m->n_free);
	must(s->high == m->high);
	must(s->bad_frees == m->bad);
}

static void model_take(struct model *m)
{
	void *block = &serials;
	uint64_t tag = m->layout.stats->vacant.tag;
	int r = blocks_take(m->b, &block);

	if (m->n_free == 0) {
		must(r == BLOCKS_EMPTY && block == &serials);
		must(m->layout.stats->vacant.tag == tag);
		return;
	}
	must(r == 0 && block == address(m, m->stack[--m->n_free]));
	must(m->layout.stats->vacant.tag == tag + 1);
	m->out[m->stack[m->n_free]] = true;
	m->high = max_u64(m->high, (m->layout.n - m->n_free) * m->layout.stride);
}

/* Whatever the address is. */
static void model_give(struct model *m, const void *block)
{
	uint64_t offset = (uintptr_t)block - (uintptr_t)m->layout.base;
	uint64_t number = offset / m->layout.stride;
	bool good = offset % m->layout.stride == 0 && number < m->layout.n && m->out[number];

	must(blocks_give(m->b, block) == (good ? 0 : -EINVAL));
	if (!good) {
		m->bad++;
		return;
	}
	m->out[number] = false;
	m->stack[m->n_free++] = (uint32_t)number;
}

static void model_close(struct model *m, bool wanted)
{
	uint64_t tag = 0;
	int r = blocks_close(m->b, &tag);

	if (!wanted) {
		must(r == -EBUSY && tag == 0);
		return;
	}
	must(r == 0 && tag > 0 && tag == m->layout.stats->vacant.tag);
	must(m->layout.stats->vacant.n_free == m->layout.n);
}

/* ---- tests ---- */

static const uint64_t strides[] = { 16, 32, 48, 64, 80, 112, 128, 192, 320, 4096, 4160, 12288, 1000000 };

static void test_each_block_once(void **state)
{
	struct wire_stats *stats = storage_new(sizeof(*stats));

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(strides); s++)
		for (uint32_t n = 1; n <= 33; n += 4) {
			struct model m;

			memset(stats, 0, sizeof(*stats));
			model_open(&m, stats, strides[s], n, 0);
			for (uint32_t i = 0; i <= n; i++) {
				model_take(&m);
				model_same(&m);
			}
			for (uint32_t i = 0; i < n; i++) {
				if (m.n_free < n)
					model_close(&m, false);
				model_give(&m, address(&m, (i * 7) % n));
				if (m.out[i])
					model_give(&m, address(&m, i));
				model_same(&m);
			}
			for (uint32_t i = 0; i < n; i++)
				if (m.out[i])
					model_give(&m, address(&m, i));
			model_same(&m);
			model_close(&m, true);
			model_free(&m);
		}
	free(stats);
}

/* Every address around and in a piece, for every stride: only those of blocks that are out are taken. */
static void test_every_address(void **state)
{
	struct wire_stats *stats = storage_new(sizeof(*stats));

	(void)state;
	for (uint64_t stride = 16; stride <= 400; stride += 16) {
		const uint32_t n = 7;
		struct model m;

		memset(stats, 0, sizeof(*stats));
		model_open(&m, stats, stride, n, 0);
		for (uint32_t i = 0; i < n - 1; i++)
			model_take(&m); /* the last one stays: it is free all the time */
		for (int64_t at = -1000; at < (int64_t)(stride * n) + 1000; at++)
			model_give(&m, (char *)m.layout.base + at);
		must(m.n_free == n);
		model_same(&m);
		model_close(&m, true);
		model_free(&m);
	}
	free(stats);
}

static void test_far_addresses(void **state)
{
	struct wire_stats *stats = storage_new(sizeof(*stats));
	struct rng r = test_rng(11);
	struct model m;

	(void)state;
	model_open(&m, stats, 48, 1000, 0);
	for (int i = 0; i < 1000; i++)
		model_take(&m);
	model_give(&m, NULL);
	model_give(&m, (void *)UINTPTR_MAX);
	model_give(&m, (char *)m.layout.base + 48 * 1000);
	model_give(&m, (char *)m.layout.base - 48);
	for (int i = 0; i < 64; i++) /* what a shift or an overflow could take for a block */
		model_give(&m, (void *)((uintptr_t)m.layout.base + ((uintptr_t)1 << i)));
	for (uint64_t i = 0; i < 1000000 * test_factor(); i++)
		model_give(&m, (void *)(uintptr_t)rng_next(&r));
	model_same(&m);
	model_free(&m);
	free(stats);
}

static void random_steps(uint64_t stride, uint32_t n, uint64_t steps, struct wire_stats *stats, struct rng *r,
			 uint64_t *last_tag)
{
	uint32_t lean = 50;
	struct model m;

	memset(stats, 0, offsetof(struct wire_stats, vacant)); /* the slot keeps its tags */
	model_open(&m, stats, stride, n, *last_tag);
	for (uint64_t k = 0; k < steps; k++) {
		if (k % 500 == 0)
			lean = 20 + rng_below(r, 60);
		if (rng_below(r, 100) < lean)
			model_take(&m);
		else if (rng_below(r, 10))
			model_give(&m, address(&m, rng_below(r, n))); /* half of them are free already */
		else
			model_give(&m, (char *)m.layout.base + (int64_t)rng_below(r, (uint32_t)(stride * n) + 100) - 50);
		if (rng_below(r, 100) == 0 && m.n_free < n)
			model_close(&m, false);
		if (k % (1 + n / 8) == 0)
			model_same(&m);
	}
	for (uint32_t i = 0; i < n; i++)
		if (m.out[i])
			model_give(&m, address(&m, i));
	model_same(&m);
	model_close(&m, true);
	*last_tag = stats->vacant.tag;
	model_free(&m);
}

static void test_random(void **state)
{
	struct wire_stats *stats = storage_new(sizeof(*stats));
	static const uint32_t counts[] = { 1, 2, 3, 5, 8, 17, 64, 1000 };
	struct rng r = test_rng(12);
	uint64_t last_tag = 0;

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(strides); s++)
		for (size_t c = 0; c < ARRAY_SIZE(counts); c++)
			random_steps(strides[s], counts[c], 20000 * test_factor(), stats, &r, &last_tag);
	free(stats);
}

static void test_closed(void **state)
{
	struct wire_stats *stats = storage_new(sizeof(*stats));
	struct blocks never = { .serial = 0 };
	void *block = &never;
	uint64_t tag = 0;
	struct model m;

	(void)state;
	must(blocks_take(&never, &block) == -EBADF && block == &never);
	must(blocks_give(&never, &never) == -EBADF);
	must(blocks_close(&never, &tag) == -EBADF && tag == 0);
	must(blocks_check(&never) == -EBADF);

	model_open(&m, stats, 64, 3, 0);
	model_close(&m, true);
	must(blocks_take(m.b, &block) == -EBADF && block == &never);
	must(blocks_give(m.b, m.layout.base) == -EBADF);
	must(blocks_close(m.b, &tag) == -EBADF && tag == 0);
	must(stats->bad_frees == 0);

	/* and open again, with other figures */
	m.layout.stride = 48;
	m.layout.n = 2;
	m.layout.serial = ++serials;
	m.layout.first_tag = stats->vacant.tag + 1;
	blocks_open(m.b, &m.layout);
	must(blocks_check(m.b) == 0);
	must(blocks_take(m.b, &block) == 0 && block == m.layout.base);
	must(blocks_take(m.b, &block) == 0 && block == (char *)m.layout.base + 48);
	must(blocks_take(m.b, &block) == BLOCKS_EMPTY);
	model_free(&m);
	free(stats);
}

/* What a block's link says of an earlier opening is nothing to a later one. */
static void test_markers_differ(void **state)
{
	struct wire_stats *stats = storage_new(sizeof(*stats));
	struct model m;
	void *block;
	uint64_t tag;

	(void)state;
	for (uint64_t serial = 0x7ffffff0; serial < 0x80000010; serial++) { /* around where they wrap */
		uint32_t out;

		serials = serial;
		model_open(&m, stats, 16, 2, stats->vacant.tag);
		out = atomic_load(&m.b->out);
		must(out > BLOCKS_CLAIMED);
		must(blocks_take(m.b, &block) == 0);
		must(atomic_load(&m.layout.link[0]) == out);
		must(blocks_give(m.b, block) == 0 && blocks_close(m.b, &tag) == 0);
		m.layout.serial = ++serials;
		m.layout.first_tag = tag + 1;
		blocks_open(m.b, &m.layout);
		must(atomic_load(&m.b->out) != out);
		must(blocks_take(m.b, &block) == 0);
		atomic_store(&m.layout.link[0], out); /* as if it had stayed */
		must(blocks_give(m.b, block) == -EINVAL);
		model_free(&m);
	}
	free(stats);
}

/* The auditor finds what is wrong. */
static void test_auditor(void **state)
{
	struct wire_stats *stats = storage_new(sizeof(*stats));
	struct model m;
	void *block;

	(void)state;
	model_open(&m, stats, 16, 8, 0);
	must(blocks_take(m.b, &block) == 0 && blocks_take(m.b, &block) == 0);
	must(blocks_check(m.b) == 0);
#define SPOILED(lvalue, value) \
	do { \
		__typeof__(lvalue + 0) was = (lvalue); \
		(lvalue) = (value); \
		must(blocks_check(m.b) == -EUCLEAN); \
		(lvalue) = was; \
		must(blocks_check(m.b) == 0); \
	} while (0)
	SPOILED(m.layout.link[0], 3);                     /* out, and no marker */
	SPOILED(m.layout.link[0], BLOCKS_CLAIMED);        /* a give that never ended */
	SPOILED(m.layout.link[5], 4);                     /* a ring */
	SPOILED(m.layout.link[5], 0);                     /* too short */
	SPOILED(m.layout.link[7], 1);                     /* too long, into a block that is out */
	SPOILED(m.layout.link[4], 100);                   /* nowhere */
	SPOILED(m.layout.link[4], atomic_load(&m.b->out)); /* in the stack and out */
	SPOILED(stats->vacant.n_free, 5);
	SPOILED(stats->vacant.n_free, 7);
	SPOILED(stats->vacant.n_free, 9);
	SPOILED(stats->vacant.top, 4);
	SPOILED(stats->vacant.top, 0);
	SPOILED(stats->high, 16);
	model_free(&m);
	free(stats);
}

/*
 * A link that is none, as two gives of one block in one instant can leave it, ends the stack: what was below is lost, and no
 * number that is none is handed out or looked up. What is given from then on is handed out as ever.
 */
static void test_wild_link(void **state)
{
	const uint32_t n = 8;
	const uint32_t wild[] = {n + 1, BLOCKS_CLAIMED, BLOCKS_CLAIMED + 1, UINT32_MAX};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wild); i++) {
		struct wire_stats *stats = storage_new(sizeof(*stats));
		struct model m;
		void *block, *none = NULL;

		model_open(&m, stats, 16, n, 0);
		atomic_store(&m.layout.link[0], wild[i]);
		for (int k = 0; k < 2; k++) {
			must(blocks_take(m.b, &block) == 0 && block == address(&m, 0));
			must(blocks_take(m.b, &none) == BLOCKS_EMPTY && !none && stats->vacant.top == 0);
			must(blocks_give(m.b, block) == 0);
			must(blocks_give(m.b, block) == -EINVAL);
		}
		m.n_free = n;
		model_close(&m, true);
		model_free(&m);
		free(stats);
	}
}

/* More blocks than 32-bit arithmetic of bytes holds. */
static void test_large(void **state)
{
	struct wire_stats *stats = storage_new(sizeof(*stats));
	struct model m;

	(void)state;
	model_open(&m, stats, (uint64_t)1 << 36, 1000, 0);
	for (int i = 0; i < 1000; i++)
		model_take(&m);
	must(stats->high == (uint64_t)1000 << 36);
	for (uint32_t i = 1000; i-- > 0;) {
		model_give(&m, (char *)address(&m, i) + 16);
		model_give(&m, address(&m, i));
	}
	model_same(&m);
	model_close(&m, true);
	model_free(&m);
	free(stats);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_block_once),
		cmocka_unit_test(test_every_address),
		cmocka_unit_test(test_far_addresses),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_markers_differ),
		cmocka_unit_test(test_auditor),
		cmocka_unit_test(test_wild_link),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests_name("blocks", tests, NULL, NULL);
}
