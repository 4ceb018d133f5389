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

#include "client/rseq_arrays.h"
#include "client/rseq_rows.h"
#include "tests/client/interrupted.h"
#include "tests/pure/pure.h"

#define CPUS 3
#define KINDS 2
#define NUMBERS 200 /* blocks of which some are in arrays */
#define OPEN (UINT64_C(7) << 40 | RSEQ_OPEN_LIVES)
#define STEPS 20000
#define ROWS 5
#define MAX 6
#define ROWS_OPEN (UINT64_C(9) << 40 | CPUS)

static struct rseq_arrays arrays;
static struct wire_heads heads[CPUS];
static uint32_t slots[CPUS * WIRE_HEADS_KINDS * RSEQ_SLOTS];
static uint8_t marks[RSEQ_TURNED];
#define NUMBER_OF(unit) rseq_number(16 * (unit))
static struct wire_control control;
static uint8_t *const base = (uint8_t *)0x7000000000; /* nobody looks there */

static char room[sizeof(struct rseq_rows) + (RSEQ_ROW(ROWS) + 1) * sizeof(uint64_t)] __attribute__((__aligned__(128)));
static struct wire_heads row_heads[(ROWS + 1) / 2];
#define BLOCKS 400
#define BASE 0x100000
#define STRIDE 48
static _Atomic uint32_t words[BLOCKS];

static struct rseq_rows *rows(void)
{
	return (struct rseq_rows *)(void *)room;
}

/* What rows have. */
static uint64_t row_block(uint64_t number)
{
	return BASE + number * STRIDE;
}

/* What a call is about, and what it says. */
static struct {
	uint32_t cpu, kind, row;
	uint64_t open, number, entry;
	void *block;
	enum rseq_result result;
	bool r;
} now;

static void call_pop(void)
{
	now.r = rseq_pop(&arrays, RSEQ_MARK_MIN + now.kind, now.open, &now.number);
}

static void call_push(void)
{
	now.r = rseq_push(&arrays, RSEQ_MARK_MIN + now.kind, now.open, now.number);
}

static void call_alloc(void)
{
	now.result = rseq_alloc(&arrays, now.open, RSEQ_MARK_MIN + now.kind, &now.block);
}

static void call_free(void)
{
#if defined(__x86_64__)
	uint8_t one = 1;

	__asm__ volatile("shrb $1, %0" : "+q"(one) : : "cc"); /* the flags that a claim would leave */
#endif
	now.result = rseq_free(&arrays, now.open, now.block);
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
	memset(marks, 0, sizeof(marks));
	rseq_begin();
	atomic_store(&arrays.heads, heads);
	atomic_store(&arrays.slots, slots);
	atomic_store(&arrays.n_cpus, CPUS);
	for (uint32_t kind = 0; kind < KINDS; kind++)
		atomic_store(&arrays.max[kind], RSEQ_MAX(MAX));
	atomic_store(&arrays.marks, marks);
	atomic_store(&arrays.n_units, NUMBERS);
	arrays.base = base;
	atomic_store(&control.state, STATE_LIVE);
	atomic_store(&arrays.control, &control);
	atomic_store(&arrays.gate, OPEN);
	memset(room, 0, sizeof(room));
	memset(row_heads, 0, sizeof(row_heads));
	memset(rows()->entries, 0xff, RSEQ_ROW(ROWS) * sizeof(uint64_t));
	for (int i = 0; i < BLOCKS; i++)
		atomic_store(&words[i], RSEQ_PLACE | RSEQ_ROW(ROWS)); /* all are out */
	atomic_store(&rows()->base, BASE);
	atomic_store(&rows()->reciprocal, rseq_row_reciprocal(STRIDE));
	atomic_store(&rows()->n, BLOCKS);
	atomic_store(&rows()->word, words);
	atomic_store(&rows()->life, 0x12340000);
	atomic_store(&rows()->heads, row_heads);
	atomic_store(&rows()->n_cpus, CPUS);
	atomic_store(&rows()->n_rows, ROWS);
	atomic_store(&rows()->max, MAX);
	atomic_store(&rows()->gate, ROWS_OPEN);
	for (uint32_t cpu = 0; cpu < CPUS; cpu++)
		atomic_store(&rows()->current[cpu].at, RSEQ_ROW_AT(cpu));
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

static void same_rows(struct stack model[ROWS])
{
	for (uint32_t row = 0; row < ROWS; row++) {
		same_head(&model[row], atomic_load(rseq_row_head(row_heads, row)));
		for (uint32_t i = 0; i < model[row].n; i++)
			assert_int_equal(model[row].number[i], rows()->entries[RSEQ_ROW(row) + i]);
	}
}

/* One in 16 calls finds the gate otherwise than it wants it, or a CPU beyond those that are expected. */
static bool is_refused(struct rng *r)
{
	uint32_t cpu = rng_below(r, CPUS + 1);

	now.cpu = cpu;
	now.open = OPEN + (rng_below(r, 16) ? 0 : UINT64_C(1) << rng_below(r, 64));
	atomic_store(&rows()->gate, now.open == OPEN ? ROWS_OPEN : UINT64_C(1) << (16 + rng_below(r, 48)));
	pretend_cpu(cpu == CPUS && rng_below(r, 2) ? UINT32_MAX : cpu);
	return cpu == CPUS || now.open != OPEN;
}

/* An array, and who has the blocks. */
struct ring {
	uint64_t number[MAX];
	uint32_t n, given;
};

static struct {
	struct ring ring[CPUS][KINDS];
	uint8_t mark[RSEQ_TURNED]; /* by number; 0: in an array, or nowhere */
	bool is_somewhere[RSEQ_TURNED];
} blocks;

static bool ring_push(struct ring *r, uint64_t number)
{
	if (r->n == MAX)
		return false;
	r->number[r->n++] = number;
	r->given++;
	blocks.is_somewhere[number] = true;
	return true;
}

static bool ring_pop(struct ring *r, uint64_t *number)
{
	if (!r->n)
		return false;
	*number = r->number[0];
	memmove(r->number, r->number + 1, --r->n * sizeof(r->number[0]));
	blocks.is_somewhere[*number] = false;
	return true;
}

static void same_arrays(void)
{
	for (uint32_t cpu = 0; cpu < CPUS; cpu++)
		for (uint32_t kind = 0; kind < KINDS; kind++) {
			const struct ring *r = &blocks.ring[cpu][kind];
			uint64_t head = atomic_load(rseq_head(&arrays, cpu, kind));

			assert_int_equal(r->n, RSEQ_ARRAY_COUNT(head));
			assert_int_equal(r->given * RSEQ_STEP, -RSEQ_ARRAY_GIVEN(head));
			for (uint32_t i = 0; i < r->n; i++)
				assert_int_equal(r->number[i], *rseq_slot(&arrays, cpu, kind, RSEQ_ARRAY_TAKEN(head) - i * RSEQ_STEP));
		}
	assert_memory_equal(blocks.mark, marks, sizeof(marks));
}

static void step_array(struct rng *r, bool refused, bool fill)
{
	struct ring *ring = &blocks.ring[refused ? 0 : now.cpu][now.kind];
	uint64_t number = NUMBER_OF(rng_below(r, NUMBERS));
	bool should;

	now.number = number;
	if (fill && blocks.is_somewhere[number])
		return;
	should = !refused && (fill ? ring_push(ring, number) : ring_pop(ring, &number));
	(fill ? call_push : call_pop)();
	assert_int_equal(should, now.r);
	assert_int_equal(now.number, number);
}

static void step_alloc(bool refused)
{
	uint64_t number = UINT64_MAX;

	now.block = NULL;
	if (!refused && ring_pop(&blocks.ring[now.cpu][now.kind], &number)) {
		blocks.is_somewhere[number] = true;
		blocks.mark[number] = (uint8_t)(RSEQ_MARK_MIN + now.kind);
	}
	call_alloc();
	assert_int_equal(now.result, number != UINT64_MAX ? RSEQ_DONE : RSEQ_NOT);
	assert_ptr_equal(now.block, number != UINT64_MAX ? base + rseq_offset(number) : NULL);
}

/* Often a block that somebody has, but also others, and what is none. */
static void step_free(struct rng *r, bool refused)
{
	uint64_t unit = rng_below(r, NUMBERS), offset;
	enum rseq_result should = RSEQ_NOT;

	for (int i = 0; i < NUMBERS && !blocks.mark[NUMBER_OF(unit)] && rng_below(r, 32); i++)
		unit = (unit + 1) % NUMBERS;
	offset = 16 * unit + (rng_below(r, 8) ? 0 : rng_below(r, 16));
	if (rng_below(r, 16) == 0)
		offset = rng_next(r);
	now.block = (void *)((uintptr_t)base + offset);
	if (!refused && offset < 16 * NUMBERS && offset % 16 == 0 && blocks.mark[rseq_number(offset)]) {
		struct ring *ring = &blocks.ring[now.cpu][blocks.mark[rseq_number(offset)] - RSEQ_MARK_MIN];

		should = ring_push(ring, rseq_number(offset)) ? RSEQ_DONE : RSEQ_FULL;
		if (should == RSEQ_DONE)
			blocks.mark[rseq_number(offset)] = 0;
	}
	call_free();
	assert_int_equal(now.result, should);
}

static void test_arrays(void **state)
{
	struct rng r = {test_seed()};
	uint32_t done = 0;

	(void)state;
	needs_pretence();
	memset(&blocks, 0, sizeof(blocks));
	for (int i = 0; i < STEPS; i++) {
		bool refused = is_refused(&r), grows = i / 500 % 2 == 0;
		uint32_t what = rng_below(&r, 8);

		now.kind = rng_below(&r, KINDS);
		if (what < 4) {
			step_array(&r, refused, (rng_below(&r, 4) == 0) != grows);
			done += now.r;
			same_arrays();
			continue;
		}
		if (rng_below(&r, 16) == 0) {
			atomic_store(&control.state, STATE_DELETED);
			refused = true;
		}
		if ((rng_below(&r, 4) == 0) != grows)
			step_alloc(refused);
		else
			step_free(&r, refused);
		atomic_store(&control.state, STATE_LIVE);
		done += now.result == RSEQ_DONE;
		same_arrays();
	}
	assert_true(done > STEPS / 4);
}

static bool is_at_hand(const struct stack model[ROWS], uint64_t what)
{
	for (uint32_t row = 0; row < ROWS; row++)
		for (uint32_t i = 0; i < model[row].n; i++)
			if (model[row].number[i] == what)
				return true;
	return false;
}

/* A block, mostly one that is out; or else something that is refused, where sequences know. */
static uint64_t any_block(struct rng *r, const struct stack model[ROWS])
{
	uint64_t what;

	if (!RSEQ_STRICT && rng_below(r, 8) == 0) {
		if (rng_below(r, 2))
			return row_block(rng_below(r, BLOCKS)) + 1 + rng_below(r, STRIDE - 1);
		return row_block(rng_below(r, 2) ? BLOCKS + rng_next(r) % (1 << 20) : -1 - rng_next(r) % (1 << 10));
	}
	do
		what = row_block(rng_below(r, BLOCKS));
	while (RSEQ_STRICT && is_at_hand(model, what));
	return what;
}

/* It was put into another row, and its entry still stands there: only the long way finds out whether that is old. */
static bool is_unsure(uint64_t what, uint32_t row)
{
	uint32_t index = RSEQ_PLACE_INDEX(atomic_load(&words[(what - BASE) / STRIDE]));

	return !RSEQ_STRICT && index / RSEQ_ROW_ENTRIES != row && rows()->entries[index] == what;
}

static bool is_given(const struct stack model[ROWS], uint64_t what, uint32_t row)
{
	return what >= BASE && what < row_block(BLOCKS) && (what - BASE) % STRIDE == 0 && !is_at_hand(model, what) &&
	       !is_unsure(what, row);
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
		uint64_t entry = any_block(&r, model);
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
			should = should && (give ? is_given(model, entry, current[now.cpu]) && model_give(s, entry, MAX)
						: model_take(s, &entry));
			(give ? call_give_row : call_take_row)();
			assert_int_equal(now.entry, entry);
		}
		assert_int_equal(should, now.r);
		same_rows(model);
		for (uint32_t cpu = 0; cpu < CPUS; cpu++)
			assert_int_equal(RSEQ_ROW_AT(current[cpu]), atomic_load(&rows()->current[cpu].at));
		done += should;
	}
	assert_true(done > STEPS / 4);
}

/* ---- interrupted ---- */

static uint32_t filled; /* numbers in each array and row before a call */
static bool shut;

#define UNIT 77 /* somebody has the block there, of kind 0 */
#define NUMBER NUMBER_OF(UNIT)

static void prepare(void)
{
	begin();
	for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
		pretend_cpu(cpu);
		for (uint32_t i = 0; i < filled; i++)
			must(rseq_push(&arrays, RSEQ_MARK_MIN, OPEN, 5 + cpu * 10 + i) &&
			     rseq_give_row(rows(), row_block(5 + cpu * 10 + i)));
	}
	marks[NUMBER] = RSEQ_MARK_MIN;
	pretend_cpu(0);
	now.kind = 0;
	now.open = OPEN;
	now.number = NUMBER;
	now.block = base + 16 * UNIT;
	now.entry = row_block(UNIT);
	now.row = 3;
	if (shut) {
		atomic_store(&arrays.gate, OPEN + 1);
		atomic_store(&rows()->gate, ROWS_OPEN - CPUS);
	}
}

/* The arrays are as prepare() leaves them, but that the first number may have been taken from CPU 0's. */
static void same_as_prepared(bool taken)
{
	for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
		uint64_t head = atomic_load(rseq_head(&arrays, cpu, 0));
		uint32_t first = cpu == 0 && taken;

		assert_int_equal(RSEQ_ARRAY_COUNT(head), filled - first);
		assert_int_equal(RSEQ_ARRAY_GIVEN(head), -filled * RSEQ_STEP);
		for (uint32_t i = first; i < filled; i++)
			assert_int_equal(*rseq_slot(&arrays, cpu, 0, -i * RSEQ_STEP), 5 + cpu * 10 + i);
	}
}

/* What is interrupted has not happened; or the block is in the caller's hands, and nowhere else. Which. */
static enum rseq_result look_after_array(void (*call)(void))
{
	enum rseq_result r = call == call_alloc || call == call_free ? now.result : RSEQ_NOT;
	bool held = r == RSEQ_HELD;

	if (call == call_pop || call == call_push) {
		assert_false(now.r);
		assert_int_equal(now.number, NUMBER);
	}
	assert_true(r == RSEQ_NOT || held);
	same_as_prepared(held && call == call_alloc);
	for (uint32_t i = 0; i < RSEQ_TURNED; i++)
		assert_int_equal(marks[i], i == NUMBER && !(held && call == call_free) ? RSEQ_MARK_MIN : 0);
	if (held)
		assert_true(!shut && (call == call_alloc ? filled > 0 : filled < MAX));
	/* the first of CPU 0's */
	assert_ptr_equal(now.block, held && call == call_alloc ? (void *)(uintptr_t)5 : base + 16 * UNIT);
	return r;
}

static void test_interrupted_arrays(void **state)
{
	static void (*const calls[])(void) = {call_pop, call_push, call_alloc, call_free};

	(void)state;
	needs_pretence();
	for (size_t c = 0; c < ARRAY_SIZE(calls); c++)
		for (uint32_t moved = 0; moved < 2; moved++) {
			uint32_t most = 0, n_held = 0;

			for (uint32_t i = 0; i < 6; i++) {
				uint32_t n = 0;
				bool held = false;

				filled = i / 2 * (MAX / 2); /* none, some, full */
				shut = i % 2;
				for (; interrupted_at(n, moved, prepare, calls[c]); n++) {
					bool was_held = held;

					held = look_after_array(calls[c]) == RSEQ_HELD;
					assert_true(held || !was_held); /* it stays so */
					n_held += held;
				}
				most = n > most ? n : most;
			}
			assert_true(most >= 14); /* it has so many */
			assert_int_equal(n_held > 0, calls[c] == call_alloc || calls[c] == call_free);
		}
}

/* What happens to one CPU happens whole, and to one CPU; rows are tried once. */
static void look_after_row(void (*call)(void), uint32_t moved)
{
	bool unsure;

	assert_false(now.r);
	assert_int_equal(now.row, 3);
	assert_int_equal(now.entry, row_block(UNIT));
	for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
		uint64_t head = atomic_load(rseq_row_head(row_heads, cpu));

		if (call == call_change_row)
			assert_int_equal(RSEQ_ROW_AT(cpu), atomic_load(&rows()->current[cpu].at));
		assert_int_equal(filled, RSEQ_COUNT(head));
		assert_int_equal(filled, head >> 16);
		for (uint32_t i = 0; i < filled; i++)
			assert_int_equal(row_block(5 + cpu * 10 + i), rows()->entries[RSEQ_ROW(cpu) + i]);
	}
	if (call != call_give_row || RSEQ_STRICT)
		return;
	unsure = is_unsure(now.entry, moved);
	call(); /* what the interrupted one has left behind means nothing: the block is out, once */
	assert_int_equal(now.r, !shut && filled < MAX && !unsure);
	call();
	assert_false(now.r);
}

static void test_interrupted_rows(void **state)
{
	static void (*const calls[])(void) = {call_take_row, call_give_row, call_change_row};

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
					look_after_row(calls[c], moved);
				most = n > most ? n : most;
			}
			assert_true(most >= (calls[c] == call_change_row ? 5 : 11)); /* it has so many */
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_arrays, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interrupted_arrays, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interrupted_rows, setup, teardown),
	};

	return cmocka_run_group_tests_name("sequences", tests, NULL, NULL);
}
