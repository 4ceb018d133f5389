/*
 * test_blocks_hand.c: blocks at hand of several CPUs, against a model
 *
 * One thread is on one CPU and then on another, as random numbers will; between any two calls another closer
 * may be in the middle of its work, so that the gate is shut, or the gate stays shut without one. Whatever is at
 * hand wherever: a take finds a block exactly when the model has one, nobody gets what is out, doubles and
 * strangers are refused, and what the daemon would tell is exact.
 * (The orders within calls: test_blocks_steps.c.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "client/blocks_inline.h"
#include "pure.h"
#include "sequences.h"

#define CPUS 5
#define N_MAX 600

static struct {
	struct blocks blocks;
	struct blocks_layout layout;
	struct wire_stats *stats;
	struct wire_heads *heads;
	struct magazines *magazines;
	struct sequence sequence;
	_Atomic uint32_t link[N_MAX];
	bool out[N_MAX];
	uint32_t n_out, bad, closers;
} w;

struct sequence *sequence_now(void)
{
	return &w.sequence;
}

struct sequence *sequence_at(int i)
{
	return i ? NULL : &w.sequence;
}

void blocks_step(void);

void blocks_step(void)
{
}

#define BASE ((char *)0x100000)

static uint64_t serial; /* of the last opening */

static void begin(uint32_t n, uint64_t stride, uint32_t row_max)
{
	if (!w.magazines) {
		w.magazines = storage_new(magazines_size(CPUS));
		w.heads = storage_new(magazines_rows(CPUS) / RSEQ_ROWS_EACH * sizeof(*w.heads));
		w.stats = storage_new(sizeof(*w.stats));
		magazines_init(w.magazines, CPUS);
		atomic_store(&w.blocks.at_hand, w.magazines);
	}
	w.layout = (struct blocks_layout){
		.stats = w.stats, .link = w.link, .base = BASE, .stride = stride, .n = n, .serial = ++serial,
		.first_tag = w.stats->vacant.tag + 1, .heads = w.heads, .row_max = row_max,
	};
	w.stats->high = w.stats->bad_frees = w.bad = 0;
	blocks_open(&w.blocks, &w.layout);
}

static uint32_t number(const void *block)
{
	uint64_t offset = (uint64_t)((const char *)block - BASE);

	must(offset % w.layout.stride == 0 && offset / w.layout.stride < w.layout.n);
	return (uint32_t)(offset / w.layout.stride);
}

static void take_one(void)
{
	void *block = NULL;
	int r = blocks_take(&w.blocks, &block);

	if (w.n_out == w.layout.n) {
		must(r == BLOCKS_EMPTY);
		return;
	}
	must(r == 0 && !w.out[number(block)]);
	w.out[number(block)] = true;
	w.n_out++;
}

static void give_one(uint32_t i)
{
	int r = blocks_give(&w.blocks, BASE + i * w.layout.stride);

	must(r == (w.out[i] ? 0 : -EINVAL));
	w.n_out -= w.out[i];
	w.bad += !w.out[i];
	w.out[i] = false;
	if (r == 0) {
		must(blocks_give(&w.blocks, BASE + i * w.layout.stride) == -EINVAL);
		w.bad++;
	}
}

/* Another thread comes to close, or goes; it may leave the gate shut. */
static void closer(struct rng *r)
{
	if (w.closers && rng_below(r, 2)) {
		magazines_leave(w.magazines, rng_below(r, 3) == 0);
		w.closers--;
	} else if (w.closers < 3) {
		must(magazines_close(w.magazines) == 0);
		w.closers++;
	}
}

static void same(void)
{
	must(blocks_check(&w.blocks) == 0);
	must(w.stats->vacant.n_free + magazines_sum(w.magazines) == w.layout.n - w.n_out);
	must(w.stats->high >= w.n_out * w.layout.stride && w.stats->high <= w.layout.n * w.layout.stride);
	must(w.stats->bad_frees == w.bad);
}

static void close_it(bool possible)
{
	uint64_t tag;
	int r = blocks_close(&w.blocks, &tag);

	must(r == (possible ? 0 : -EBUSY));
	if (!possible)
		return;
	must(magazines_sum(w.magazines) == 0);
	while (w.closers) {
		magazines_leave(w.magazines, false);
		w.closers--;
	}
}

static void test_random(void **state)
{
	static const uint32_t counts[] = {1, 7, 40, 150, N_MAX};
	struct rng r = test_rng(31);
	uint64_t at_hand = 0, relieved = 0;

	(void)state;
	for (int round = 0; round < 40; round++) {
		uint32_t n = counts[rng_below(&r, ARRAY_SIZE(counts))], lean = 50;
		bool quiet = round % 2;

		begin(n, 16u * (1 + rng_below(&r, 9)), 1 + rng_below(&r, RSEQ_ROW_ENTRIES));
		for (uint64_t k = 0; k < 20000 * test_factor(); k++) {
			if (k % 300 == 0)
				lean = 20 + rng_below(&r, 60);
			if (rng_below(&r, quiet ? 40 : 4) == 0)
				w.sequence.cpu = rng_below(&r, CPUS + 1); /* the last one has no row */
			if (!quiet && rng_below(&r, 20) == 0)
				closer(&r);
			if (rng_below(&r, 100) < lean)
				take_one();
			else
				give_one(rng_below(&r, n));
			if (rng_below(&r, 200) == 0 && w.n_out)
				close_it(false);
			at_hand += magazines_sum(w.magazines) > 0;
			if (k % 16)
				continue;
			same();
			for (size_t i = 0; i < ARRAY_SIZE(w.magazines->rows.loose); i++)
				relieved += atomic_load(&w.magazines->rows.loose[i].set[MAGAZINES_SOME]) != 0;
		}
		for (uint32_t i = 0; i < n; i++)
			if (w.out[i])
				give_one(i);
		same();
		close_it(true);
	}
	must(at_hand > 10000 && relieved > 0);
}

/* All blocks are at hand of one CPU, in its row and in loose ones; another one gets them all, to the last. */
static void test_nothing_hides(void **state)
{
	const uint32_t n = 300;

	(void)state;
	begin(n, 64, 4);
	w.sequence.cpu = 0;
	for (uint32_t i = 0; i < n; i++)
		take_one();
	for (uint32_t i = 0; i < n; i++)
		give_one(i);
	must(magazines_sum(w.magazines) == 4 * (magazines_rows(CPUS) - CPUS + 1));
	w.sequence.cpu = 3;
	for (uint32_t i = 0; i <= n; i++)
		take_one();
	must(w.n_out == n && magazines_sum(w.magazines) == 0);
	same();
	for (uint32_t i = 0; i < n; i++)
		give_one(i);
	must(RSEQ_GATE_CPUS(atomic_load(&w.magazines->rows.gate)) == CPUS); /* it has been opened again */
	close_it(true);
}

/* The gate has some bits of the serial: where they begin anew it stays shut for one opening, and blocks are to be had as ever. */
static void test_serials_wrap(void **state)
{
	const uint32_t n = 40;

	(void)state;
	w.sequence.cpu = 0;
	serial = (1 << 24) - 3;
	for (int i = 0; i < 5; i++) {
		begin(n, 64, 4);
		must((RSEQ_GATE_CPUS(atomic_load(&w.magazines->rows.gate)) == CPUS) == (serial != 1 << 24));
		must(!magazines_are_of(w.magazines, serial + 1) && magazines_are_of(w.magazines, serial));
		for (uint32_t k = 0; k <= n; k++)
			take_one();
		for (uint32_t k = 0; k < n; k++)
			give_one(k);
		same();
		close_it(true);
	}
}

/* The auditor finds what is wrong with what is at hand. */
static void test_auditor(void **state)
{
	uint64_t *entry;

	(void)state;
	begin(40, 64, 4);
	w.sequence.cpu = 0;
	take_one();
	take_one();
	give_one(0);
	same();
	entry = &w.magazines->rows.entries[2 * atomic_load(&w.magazines->rows.current[0].at)];
#define SPOILED(lvalue, value) \
	do { \
		__typeof__(lvalue + 0) was = (lvalue); \
		(lvalue) = (value); \
		must(blocks_check(&w.blocks) == -EUCLEAN); \
		(lvalue) = was; \
		must(blocks_check(&w.blocks) == 0); \
	} while (0)
	SPOILED(*entry, *entry + 1);
	SPOILED(*entry, *entry + 64);            /* another one */
	SPOILED(*entry, UINT64_MAX);
	SPOILED(w.magazines->rows.entries[RSEQ_ROW(w.magazines->rows.n_rows)], *entry); /* nowhere is a place of none */
	SPOILED(w.link[0], 0);                   /* nobody put it there, … */
	SPOILED(w.link[0], w.link[0] + 1);       /* … but elsewhere, or (strict) it is out */
	SPOILED(w.link[BLOCKS_APART], BLOCKS_CLAIMED);
	SPOILED(w.heads[0].head[0], w.heads[0].head[0] - 1);
	SPOILED(w.heads[2].head[8], w.heads[2].head[8] + 1);
	give_one(BLOCKS_APART); /* which was taken second */
	close_it(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_hides),
		cmocka_unit_test(test_serials_wrap),
		cmocka_unit_test(test_auditor),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests_name("blocks-hand", tests, NULL, NULL);
}
