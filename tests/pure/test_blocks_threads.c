/*
 * test_blocks_threads.c: blocks under real threads
 *
 * Each thread takes, holds, gives, and gives again what is not its own any more. A block is stamped
 * by whoever has it, with plain stores: two owners at a time are seen in the stamp, and by a thread
 * sanitizer, for which to give a block must happen before to take it. In the end every block is
 * there once. In the second test one more thread closes and opens all the time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

#include "client/blocks_inline.h"
#include "pure.h"

#define THREADS 4
#define N 24
#define HOLDS 8
#define STRIDE 64
#ifdef __SANITIZE_THREAD__
#define ROUNDS 30000
#else
#define ROUNDS 600000
#endif

struct stage {
	struct blocks blocks;
	struct blocks_layout layout;
	_Atomic uint32_t link[N];
	uint64_t *memory;
	_Atomic bool over;
	_Atomic uint64_t takes, doubles, openings;
};

struct player {
	struct stage *stage;
	uint64_t id;
	uint64_t *held[HOLDS];
	uint32_t n;
	uint32_t gave_badly; /* answers -EINVAL to what was no block of ours */
};

static void take_one(struct player *p)
{
	void *block;
	int r = blocks_take(&p->stage->blocks, &block);

	if (r)
		return;
	must(*(uint64_t *)block == 0); /* nobody else's */
	*(uint64_t *)block = p->id;
	p->held[p->n++] = block;
	atomic_fetch_add(&p->stage->takes, 1);
}

static void give_one(struct player *p, uint32_t i)
{
	uint64_t *block = p->held[i];

	must(*block == p->id);
	*block = 0;
	p->held[i] = p->held[--p->n];
	must(blocks_give(&p->stage->blocks, block) == 0);
}

static void *play(void *arg)
{
	struct player *p = arg;
	struct rng r = test_rng(p->id);

	for (int i = 0; i < ROUNDS; i++) {
		uint32_t pick = rng_below(&r, 2 * HOLDS);

		if (pick == 0)
			p->gave_badly += blocks_give(&p->stage->blocks, (char *)p->stage->memory + 8) < 0;
		else if (pick < p->n)
			give_one(p, pick);
		else if (p->n < HOLDS)
			take_one(p);
	}
	while (p->n)
		give_one(p, 0);
	return NULL;
}

static struct stage *stage_new(void)
{
	struct stage *s = storage_new(sizeof(*s));

	s->memory = storage_new(N * STRIDE);
	s->layout = (struct blocks_layout){
		.stats = storage_new(1024), .link = s->link, .base = s->memory, .stride = STRIDE,
		.n = N, .serial = 1, .first_tag = 1,
	};
	blocks_open(&s->blocks, &s->layout);
	return s;
}

static void stage_free(struct stage *s)
{
	free(s->memory);
	free(s->layout.stats);
	free(s);
}

static void every_block_once(struct stage *s)
{
	bool seen[N] = { false };
	void *block;

	must(blocks_check(&s->blocks) == 0);
	must(s->layout.stats->vacant.n_free == N);
	for (int i = 0; i < N; i++) {
		size_t number;

		must(blocks_take(&s->blocks, &block) == 0);
		number = (size_t)((char *)block - (char *)s->memory) / STRIDE;
		must(number < N && !seen[number]);
		seen[number] = true;
	}
	must(blocks_take(&s->blocks, &block) == BLOCKS_EMPTY);
}

static uint32_t play_all(struct stage *s)
{
	struct player player[THREADS];
	pthread_t thread[THREADS];
	uint32_t bad = 0;

	(void)test_seed(); /* before there are threads */
	for (int i = 0; i < THREADS; i++) {
		player[i] = (struct player){ .stage = s, .id = (uint64_t)i + 1 };
		must(pthread_create(&thread[i], NULL, play, &player[i]) == 0);
	}
	for (int i = 0; i < THREADS; i++) {
		must(pthread_join(thread[i], NULL) == 0);
		bad += player[i].gave_badly;
	}
	return bad;
}

static void test_storm(void **state)
{
	struct stage *s = stage_new();
	uint32_t bad = play_all(s);

	(void)state;
	must(atomic_load(&s->takes) > ROUNDS / 4);
	must(s->layout.stats->bad_frees == bad);
	must(s->layout.stats->high <= N * STRIDE && s->layout.stats->high >= STRIDE);
	every_block_once(s);
	stage_free(s);
}

/* Whenever all blocks happen to be there: another opening, of another number of blocks. */
static void *reopen(void *arg)
{
	struct stage *s = arg;
	uint64_t tag;

	while (!atomic_load(&s->over)) {
		if (blocks_close(&s->blocks, &tag) < 0)
			continue;
		s->layout.first_tag = tag + 1;
		s->layout.serial++;
		s->layout.n = 1 + (uint32_t)(s->layout.serial % N);
		blocks_open(&s->blocks, &s->layout);
		atomic_fetch_add(&s->openings, 1);
	}
	return NULL;
}

/* Holds nothing for long, so that there are moments without any block out. */
static void *visit(void *arg)
{
	struct player *p = arg;
	struct rng r = test_rng(p->id + 100);

	/* on a busy machine all rounds may fall into one moment when it is closed: then go on */
	for (int i = 0; i < ROUNDS || !atomic_load(&p->stage->takes); i++) {
		take_one(p);
		if (rng_below(&r, 4) == 0)
			take_one(p);
		while (p->n)
			give_one(p, 0);
		(void)blocks_give(&p->stage->blocks, (char *)p->stage->memory + 8);
	}
	return NULL;
}

static void test_storm_of_openings(void **state)
{
	struct player player[2];
	pthread_t thread[2], other;
	struct stage *s = stage_new();
	uint64_t tag;

	(void)state;
	must(pthread_create(&other, NULL, reopen, s) == 0);
	for (int i = 0; i < 2; i++) {
		player[i] = (struct player){ .stage = s, .id = (uint64_t)i + 1 };
		must(pthread_create(&thread[i], NULL, visit, &player[i]) == 0);
	}
	for (int i = 0; i < 2; i++)
		must(pthread_join(thread[i], NULL) == 0);
	while (atomic_load(&s->openings) < 3)
		; /* nobody else runs: each attempt succeeds */
	atomic_store(&s->over, true);
	must(pthread_join(other, NULL) == 0);
	must(atomic_load(&s->takes) > 0);
	must(blocks_check(&s->blocks) == 0);
	must(blocks_close(&s->blocks, &tag) == 0);
	s->layout.first_tag = tag + 1;
	s->layout.serial++;
	s->layout.n = N;
	blocks_open(&s->blocks, &s->layout);
	every_block_once(s);
	stage_free(s);
}

/* Of many gives of one block at the same instant exactly one is believed: where that is paid for. */
#if !RSEQ_HERE || STRICT_FREES || defined(TEST_STRICT_FREES)
#define STRICT 1
#else
#define STRICT 0
#endif

struct double_give {
	struct stage *stage;
	void *_Atomic block;
	_Atomic uint32_t turn, done;
	_Atomic uint32_t believed;
};

static void *give_the_same(void *arg)
{
	struct double_give *d = arg;

	for (uint32_t turn = 1; turn <= ROUNDS / 20; turn++) {
		while (atomic_load(&d->turn) != turn)
			(void)sched_yield();
		atomic_fetch_add(&d->believed, blocks_give(&d->stage->blocks, atomic_load(&d->block)) == 0);
		atomic_fetch_add(&d->done, 1);
	}
	return NULL;
}

static void test_racing_double_gives(void **state)
{
	struct double_give d = { .stage = NULL };
	pthread_t thread[2];
	void *block;

	(void)state;
	if (!STRICT)
		skip();
	d.stage = stage_new();
	for (int i = 0; i < 2; i++)
		must(pthread_create(&thread[i], NULL, give_the_same, &d) == 0);
	for (uint32_t turn = 1; turn <= ROUNDS / 20; turn++) {
		must(blocks_take(&d.stage->blocks, &block) == 0);
		atomic_store(&d.block, block);
		atomic_store(&d.turn, turn);
		while (atomic_load(&d.done) != 2 * turn)
			(void)sched_yield();
		must(atomic_load(&d.believed) == turn);
	}
	for (int i = 0; i < 2; i++)
		must(pthread_join(thread[i], NULL) == 0);
	must(d.stage->layout.stats->bad_frees == ROUNDS / 20);
	every_block_once(d.stage);
	stage_free(d.stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_storm),
		cmocka_unit_test(test_storm_of_openings),
		cmocka_unit_test(test_racing_double_gives),
	};

	return cmocka_run_group_tests_name("blocks-threads", tests, NULL, NULL);
}
