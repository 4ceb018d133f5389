/*
 * test_sequences.c: each sequence's own instructions, in a thread that plays the kernel
 *
 * Model: some CPUs that are only said to be there, a simple model of what they have at hand, and random calls that must
 * do what the model does. Then each sequence is interrupted before each of its instructions, in all states that
 * matter, and must have done all or nothing, on the CPU that it says. It runs where nobody registered the thread
 * (GLIBC_TUNABLES=glibc.pthread.rseq=0, qemu-user); elsewhere and where there are no sequences it is a skip.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "client/rseq_rows.h"
#include "tests/client/interrupted.h"
#include "tests/pure/pure.h"

#define CPUS 3
#define KINDS 2
#define OPEN (UINT64_C(7) << 40 | 5)
#define STEPS 20000
#define ROWS 5
#define MAX 6

static struct rseq_arrays arrays;
static struct wire_heads heads[CPUS];
static uint32_t slots[CPUS * KINDS * RSEQ_SLOTS];

static char room[sizeof(struct rseq_rows) + CPUS * 128] __attribute__((__aligned__(128)));
static struct wire_heads row_heads[(ROWS + 1) / 2];
static uint64_t entries[ROWS * RSEQ_ROW_ENTRIES];

static struct rseq_rows *rows(void)
{
	return (struct rseq_rows *)(void *)room;
}

/* What a call is about, and what it says. */
static struct {
	uint32_t cpu, kind, max, number, row;
	uint64_t open, entry;
	bool r;
} now;

static void call_take(void)
{
	now.r = rseq_take(&arrays, now.kind, now.open, &now.number);
}

static void call_give(void)
{
	now.r = rseq_give(&arrays, now.kind, now.open, now.max, now.number);
}

static void call_take_row(void)
{
	now.r = rseq_take_row(rows(), &now.entry);
}

static void call_give_row(void)
{
	now.r = rseq_give_row(rows(), now.entry);
}

static void call_change_row(void)
{
	now.r = rseq_change_row(rows(), &now.row);
}

static void begin(void)
{
	memset(heads, 0, sizeof(heads));
	memset(slots, 0xff, sizeof(slots));
	atomic_store(&arrays.heads, heads);
	atomic_store(&arrays.slots, slots);
	atomic_store(&arrays.n_cpus, CPUS);
	atomic_store(&arrays.n_kinds, KINDS);
	atomic_store(&arrays.gate, OPEN);
	memset(room, 0, sizeof(room));
	memset(row_heads, 0, sizeof(row_heads));
	memset(entries, 0xff, sizeof(entries));
	atomic_store(&rows()->heads, row_heads);
	atomic_store(&rows()->entries, entries);
	atomic_store(&rows()->n_cpus, CPUS);
	atomic_store(&rows()->n_rows, ROWS);
	atomic_store(&rows()->max, MAX);
	atomic_store(&rows()->gate, UINT64_C(9) << 32);
	for (uint32_t cpu = 0; cpu < CPUS; cpu++)
		atomic_store(&rows()->current[cpu].at, RSEQ_ROW(cpu));
}

static int setup(void **state)
{
	(void)state;
	if (can_pretend())
		begin();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (can_pretend())
		pretend_cpu(UINT32_MAX);
	return 0;
}

static void needs_pretence(void)
{
	if (!can_pretend())
		skip();
}

/* ---- a model ---- */

struct stack {
	uint64_t number[RSEQ_SLOTS];
	uint32_t n, changes;
};

static bool model_give(struct stack *s, uint64_t number, uint32_t max)
{
	if (s->n >= max)
		return false;
	s->number[s->n++] = number;
	s->changes++;
	return true;
}

static bool model_take(struct stack *s, uint64_t *number)
{
	if (!s->n)
		return false;
	*number = s->number[--s->n];
	s->changes++;
	return true;
}

static void same_head(const struct stack *s, uint64_t head)
{
	assert_int_equal(s->n, RSEQ_COUNT(head));
	assert_int_equal(s->changes, head >> 16);
}

static void same_arrays(struct stack model[CPUS][KINDS])
{
	for (uint32_t cpu = 0; cpu < CPUS; cpu++)
		for (uint32_t kind = 0; kind < KINDS; kind++) {
			const struct stack *s = &model[cpu][kind];

			same_head(s, atomic_load(rseq_head(&arrays, cpu, kind)));
			for (uint32_t i = 0; i < s->n; i++)
				assert_int_equal(s->number[i], rseq_slots(&arrays, cpu, kind)[i]);
		}
}

static void same_rows(struct stack model[ROWS])
{
	for (uint32_t row = 0; row < ROWS; row++) {
		same_head(&model[row], atomic_load(rseq_row_head(row_heads, row)));
		for (uint32_t i = 0; i < model[row].n; i++)
			assert_int_equal(model[row].number[i], entries[RSEQ_ROW(row) + i]);
	}
}

/* One in 16 calls finds the gate otherwise than it wants it, or a CPU beyond those that are expected. */
static bool is_refused(struct rng *r)
{
	uint32_t cpu = rng_below(r, CPUS + 1);

	now.cpu = cpu;
	now.open = OPEN + (rng_below(r, 16) ? 0 : UINT64_C(1) << rng_below(r, 64));
	atomic_store(&rows()->gate, now.open == OPEN ? UINT64_C(9) << 32 : UINT64_C(1) << rng_below(r, 32));
	pretend_cpu(cpu == CPUS && rng_below(r, 2) ? UINT32_MAX : cpu);
	return cpu == CPUS || now.open != OPEN;
}

static void test_arrays(void **state)
{
	static struct stack model[CPUS][KINDS];
	struct rng r = {test_seed()};
	uint32_t done = 0;

	(void)state;
	needs_pretence();
	memset(model, 0, sizeof(model));
	for (int i = 0; i < STEPS; i++) {
		bool refused = is_refused(&r), give = (i / 500 + (rng_below(&r, 4) == 0)) % 2 == 0, should;
		uint64_t number = rng_next(&r) & UINT32_MAX;
		struct stack *s;

		now.kind = rng_below(&r, KINDS);
		now.max = rng_below(&r, 8) ? RSEQ_SLOTS : rng_below(&r, RSEQ_SLOTS);
		now.number = (uint32_t)number;
		s = &model[refused ? 0 : now.cpu][now.kind];
		should = !refused && (give ? model_give(s, number, now.max) : model_take(s, &number));
		(give ? call_give : call_take)();
		assert_int_equal(should, now.r);
		assert_int_equal(now.number, number);
		same_arrays(model);
		done += should;
	}
	assert_true(done > STEPS / 4);
}

static void test_rows(void **state)
{
	static struct stack model[ROWS];
	uint32_t current[ROWS] = {0, 1, 2, 3, 4}; /* of each CPU; behind those the loose ones */
	struct rng r = {test_seed() + 1};
	uint32_t done = 0;

	(void)state;
	needs_pretence();
	memset(model, 0, sizeof(model));
	for (int i = 0; i < STEPS; i++) {
		bool refused = is_refused(&r), give = (i / 50 + (rng_below(&r, 4) == 0)) % 2 == 0, should = !refused;
		uint64_t entry = rng_next(&r);
		struct stack *s = &model[current[refused ? 0 : now.cpu]];
		uint32_t loose = CPUS + rng_below(&r, ROWS - CPUS), row;

		if (rng_below(&r, 8) == 0) {
			row = now.row = current[loose];
			if (should) {
				current[loose] = current[now.cpu];
				current[now.cpu] = row;
				row = current[loose];
			}
			call_change_row();
			assert_int_equal(now.row, row);
		} else {
			now.entry = entry;
			should = should && (give ? model_give(s, entry, MAX) : model_take(s, &entry));
			(give ? call_give_row : call_take_row)();
			assert_int_equal(now.entry, entry);
		}
		assert_int_equal(should, now.r);
		same_rows(model);
		for (uint32_t cpu = 0; cpu < CPUS; cpu++)
			assert_int_equal(RSEQ_ROW(current[cpu]), atomic_load(&rows()->current[cpu].at));
		done += should;
	}
	assert_true(done > STEPS / 4);
}

/* ---- interrupted ---- */

static uint32_t filled; /* numbers in each array and row before a call */
static bool shut;

static void prepare(void)
{
	begin();
	for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
		pretend_cpu(cpu);
		for (uint32_t i = 0; i < filled; i++)
			must(rseq_give(&arrays, 0, OPEN, RSEQ_SLOTS, cpu * 100 + i) &&
			     rseq_give_row(rows(), cpu * 100 + i));
	}
	pretend_cpu(0);
	now.kind = 0;
	now.max = MAX;
	now.open = OPEN;
	now.number = 77;
	now.entry = 77;
	now.row = 3;
	if (shut) {
		atomic_store(&arrays.gate, OPEN + 1);
		atomic_store(&rows()->gate, 1);
	}
}

/* Of the array or row of that CPU after a call. */
static uint64_t head_of(uint32_t cpu, bool of_rows)
{
	return of_rows ? atomic_load(rseq_row_head(row_heads, cpu)) : atomic_load(rseq_head(&arrays, cpu, 0));
}

/* moved: it goes on on CPU 1. What happens to one CPU happens whole, and to one CPU. */
static void look_after(void (*call)(void), uint32_t moved)
{
	bool of_rows = call == call_take_row || call == call_give_row, give = call == call_give || call == call_give_row;
	uint32_t change = now.r ? 1 : 0, at = moved; /* a call that was interrupted and happened, did so then */

	if (call == call_change_row) {
		assert_false(now.r);
		assert_int_equal(now.row, 3);
		for (uint32_t cpu = 0; cpu < CPUS; cpu++)
			assert_int_equal(RSEQ_ROW(cpu), atomic_load(&rows()->current[cpu].at));
		return;
	}
	if (of_rows)
		assert_false(now.r); /* they are tried once */
	else
		assert_int_equal(now.r, !shut && (give ? filled < MAX : filled > 0));
	for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
		uint32_t n = cpu == at ? (give ? filled + change : filled - change) : filled;

		assert_int_equal(n, RSEQ_COUNT(head_of(cpu, of_rows)));
		assert_int_equal(filled + (cpu == at ? change : 0), head_of(cpu, of_rows) >> 16);
		for (uint32_t i = 0; i < n; i++) {
			uint64_t should = give && i == filled ? 77 : cpu * 100 + i;

			assert_int_equal(should, of_rows ? entries[RSEQ_ROW(cpu) + i] : rseq_slots(&arrays, cpu, 0)[i]);
		}
	}
	if (!give && now.r)
		assert_int_equal(now.number, at * 100 + filled - 1);
	else
		assert_int_equal(of_rows ? now.entry : now.number, 77);
}

static void test_interrupted(void **state)
{
	static void (*const calls[])(void) = {call_take, call_give, call_take_row, call_give_row, call_change_row};

	(void)state;
	needs_pretence();
	for (size_t c = 0; c < ARRAY_SIZE(calls); c++)
		for (uint32_t moved = 0; moved < 2; moved++) {
			uint32_t most = 0;

			for (uint32_t i = 0; i < 6; i++) {
				uint32_t n = 0;

				filled = i / 2 * (MAX / 2); /* none, some, full */
				shut = i % 2;
				for (; interrupted_at(n, moved, prepare, calls[c]); n++)
					look_after(calls[c], moved);
				most = n > most ? n : most;
			}
			assert_true(most >= (calls[c] == call_change_row ? 7 : 11)); /* it has so many */
		}
}

/* Between the look at the CPU and the beginning, outside of the sequence. */
static void test_moved_before(void **state)
{
	(void)state;
	needs_pretence();
	filled = 1;
	shut = false;
	prepare();
	pretend_moved(0, 1);
	call_take();
	assert_false(now.r);
	call_give();
	assert_false(now.r);
	assert_int_equal(now.number, 77);
	for (uint32_t cpu = 0; cpu < CPUS; cpu++)
		assert_int_equal(0x10001, head_of(cpu, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_arrays, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interrupted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_moved_before, setup, teardown),
	};

	return cmocka_run_group_tests_name("sequences", tests, NULL, NULL);
}
