/*
 * test_rseq.c: sequences as the kernel restarts them
 *
 * Where there are no sequences (another processor, a sanitizer, GLIBC_TUNABLES) all is refused, and that is
 * tested instead. That a sequence is aborted is seen from inside: whoever is single-stepped takes a signal at
 * every instruction, so none of its sequences ends, and the handler finds it where aborts go.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sched.h>
#include <signal.h>

#include "client/mapping.h"
#include "client/rseq_arrays.h"
#include "tests/client/own_cpu.h"

#define KINDS 3
#define OPEN (RSEQ_OPEN_MIN + 0x1e00 + RSEQ_OPEN_LIVES)
#define NUMBERS 1000

#define HEADS_BYTES (WIRE_HEADS_CPUS * sizeof(struct wire_heads))

static struct rseq_arrays arrays;
static struct wire_heads *heads;
static uint8_t marks[RSEQ_TURNED];
#define NUMBER(unit) rseq_number(16 * (unit))
#define MARK(unit) marks[NUMBER(unit)]
static struct wire_control control;
static uint8_t *const base = (uint8_t *)0x7000000000; /* nobody looks there */

static int setup(void **state)
{
	uint32_t n = rseq_cpus();
	void *p;

	(void)state;
	if (!n)
		return 0;
	rseq_begin();
	memset(&arrays, 0, sizeof(arrays));
	memset(marks, 0, sizeof(marks));
	assert_int_equal(mapping_private(&p, HEADS_BYTES), 0);
	assert_int_equal(mapping_populate(p, HEADS_BYTES), 0);
	atomic_store(&arrays.heads, heads = p);
	assert_int_equal(mapping_private(&p, rseq_slots_size(n)), 0);
	assert_int_equal(mapping_populate(p, rseq_slots_size(n)), 0);
	atomic_store(&arrays.slots, (uint32_t *)p);
	atomic_store(&arrays.n_cpus, n);
	atomic_store(&arrays.marks, marks);
	atomic_store(&arrays.n_units, NUMBERS);
	arrays.base = base;
	for (uint32_t kind = 0; kind < KINDS; kind++)
		atomic_store(&arrays.max[kind], RSEQ_MAX(RSEQ_SLOTS));
	atomic_store(&control.state, STATE_LIVE);
	atomic_store(&arrays.control, &control);
	atomic_store(&arrays.gate, OPEN);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (!rseq_cpus())
		return 0;
	mapping_free(heads, HEADS_BYTES);
	mapping_free(atomic_load(&arrays.slots), rseq_slots_size(rseq_cpus()));
	return 0;
}

/* A preemption is possible, and unlikely: so it is tried again. */
static bool pushes(uint32_t kind, uint64_t open, uint64_t number)
{
	bool r = false;

	for (int i = 0; i < 10 && !r; i++)
		r = rseq_push(&arrays, RSEQ_MARK_MIN + kind, open, number);
	return r;
}

static bool pops(uint32_t kind, uint64_t open, uint64_t *number)
{
	bool r = false;

	for (int i = 0; i < 10 && !r; i++)
		r = rseq_pop(&arrays, RSEQ_MARK_MIN + kind, open, number);
	return r;
}

static enum rseq_result allocs(uint32_t kind, uint64_t open, void **block)
{
	enum rseq_result r = RSEQ_NOT;

	for (int i = 0; i < 10 && r == RSEQ_NOT; i++)
		r = rseq_alloc(&arrays, open, RSEQ_MARK_MIN + kind, block);
	return r;
}

static enum rseq_result frees(uint64_t open, const void *block)
{
	enum rseq_result r = RSEQ_NOT;

	for (int i = 0; i < 10 && r == RSEQ_NOT; i++)
		r = rseq_free(&arrays, open, block);
	return r;
}

static uint32_t count_of(uint32_t cpu, uint32_t kind)
{
	return RSEQ_ARRAY_COUNT(atomic_load(rseq_head(&arrays, cpu, kind)));
}

static void test_first_in_first_out(void **state)
{
	uint64_t number = 0, head;
	uint32_t cpu;

	(void)state;
	needs_sequences();
	cpu = stay();
	for (uint32_t kind = 0; kind < KINDS; kind++) {
		assert_false(pops(kind, OPEN, &number));
		for (uint32_t i = 0; i < RSEQ_SLOTS; i++)
			assert_true(pushes(kind, OPEN, kind << 16 | i));
		assert_false(pushes(kind, OPEN, 0));
		assert_int_equal(RSEQ_SLOTS, count_of(cpu, kind));
	}
	for (uint32_t kind = 0; kind < KINDS; kind++) {
		for (uint32_t i = 0; i < RSEQ_SLOTS; i++) {
			assert_true(pops(kind, OPEN, &number));
			assert_int_equal(kind << 16 | i, number);
		}
		assert_false(pops(kind, OPEN, &number));
		/* so many gives, so many takes, and nothing of those that were refused */
		head = atomic_load(rseq_head(&arrays, cpu, kind));
		assert_int_equal(-RSEQ_ARRAY_GIVEN(head), RSEQ_SLOTS * RSEQ_STEP);
		assert_int_equal(-RSEQ_ARRAY_TAKEN(head), RSEQ_SLOTS * RSEQ_STEP);
	}
	atomic_store(&arrays.max[0], RSEQ_MAX(1));
	assert_true(pushes(0, OPEN, 5));
	assert_false(pushes(0, OPEN, 6));
}

static void test_other_gates(void **state)
{
	uint64_t number = 42;
	void *block = &number;

	(void)state;
	needs_sequences();
	(void)stay();
	assert_true(pushes(1, OPEN, 1));
	assert_false(pushes(1, OPEN + 1, 2));
	assert_false(pops(1, 0, &number));
	assert_false(pops(1, OPEN << 8, &number));
	atomic_store(&arrays.gate, OPEN | (uint64_t)1 << 60); /* all 64 bits count */
	assert_false(pops(1, OPEN, &number));
	assert_int_equal(allocs(1, OPEN, &block), RSEQ_NOT);
	atomic_store(&arrays.gate, OPEN);
	assert_int_equal(number, 42);
	assert_ptr_equal(block, &number);
	assert_int_equal(MARK(1), 0);
	assert_true(pops(1, OPEN, &number));
	assert_int_equal(number, 1);
	atomic_store(&arrays.n_cpus, 0); /* a CPU beyond those that were expected */
	assert_false(pushes(1, OPEN, 2));
	assert_false(pops(1, OPEN, &number));
}

static void test_blocks(void **state)
{
	void *block = NULL;

	(void)state;
	needs_sequences();
	(void)stay();
	assert_true(pushes(2, OPEN, NUMBER(NUMBERS - 1)));
	assert_int_equal(allocs(2, OPEN, &block), RSEQ_DONE);
	assert_ptr_equal(block, base + 16 * (NUMBERS - 1));
	assert_int_equal(MARK(NUMBERS - 1), RSEQ_MARK_MIN + 2);
	assert_int_equal(frees(OPEN, base + 16 * NUMBERS), RSEQ_NOT); /* behind the end */
	assert_int_equal(frees(OPEN, base - 16), RSEQ_NOT);
	assert_int_equal(frees(OPEN, base), RSEQ_NOT); /* nobody's */
	for (uint32_t i = 1; i < 16; i++)
		assert_int_equal(frees(OPEN, (uint8_t *)block + i), RSEQ_NOT);
	atomic_store(&control.state, STATE_DELETED);
	assert_int_equal(frees(OPEN, block), RSEQ_NOT);
	atomic_store(&control.state, STATE_LIVE);
	atomic_store(&arrays.max[2], 0);
	assert_int_equal(frees(OPEN, block), RSEQ_FULL);
	assert_int_equal(MARK(NUMBERS - 1), RSEQ_MARK_MIN + 2);
	atomic_store(&arrays.max[2], RSEQ_MAX(1));
	assert_int_equal(frees(OPEN, block), RSEQ_DONE);
	assert_int_equal(MARK(NUMBERS - 1), 0);
	assert_int_equal(frees(OPEN, block), RSEQ_NOT); /* twice */
	atomic_store(&control.state, STATE_DELETED);
	assert_int_equal(allocs(2, OPEN, &block), RSEQ_NOT);
	atomic_store(&control.state, STATE_LIVE);
	assert_int_equal(allocs(2, OPEN, &block), RSEQ_DONE);
}

/* ---- aborts ---- */

#if defined(__x86_64__)
#define TRAP_FLAG 0x100

static volatile sig_atomic_t n_traps, n_aborts;

static void on_trap(int signo, siginfo_t *info, void *context)
{
	(void)signo, (void)info;
	n_traps++;
	n_aborts += was_aborted(context);
}

static inline void trap_begin(void)
{
	__asm__ volatile("pushfq; orq %0, (%%rsp); popfq" : : "i"(TRAP_FLAG) : "memory", "cc");
}

static inline void trap_end(void)
{
	__asm__ volatile("pushfq; andq %0, (%%rsp); popfq" : : "i"(~TRAP_FLAG) : "memory", "cc");
}

static void test_interrupted_at_every_instruction(void **state)
{
	struct sigaction sa = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO}, old;
	uint64_t number = 42;
	enum rseq_result alloc, freed;
	void *block = NULL;
	bool popped, pushed;
	uint32_t cpu;

	(void)state;
	needs_sequences();
	cpu = stay();
	assert_true(pushes(0, OPEN, 1));
	MARK(2) = RSEQ_MARK_MIN;
	assert_int_equal(sigaction(SIGTRAP, &sa, &old), 0);
	n_aborts = n_traps = 0;
	trap_begin();
	popped = rseq_pop(&arrays, RSEQ_MARK_MIN, OPEN, &number);
	pushed = rseq_push(&arrays, RSEQ_MARK_MIN, OPEN, 2);
	alloc = rseq_alloc(&arrays, OPEN, RSEQ_MARK_MIN, &block);
	freed = rseq_free(&arrays, OPEN, base + 32);
	trap_end();
	assert_int_equal(sigaction(SIGTRAP, &old, NULL), 0);
	assert_false(popped || pushed);
	assert_int_equal(alloc, RSEQ_NOT);
	assert_int_equal(freed, RSEQ_NOT);
	assert_true(n_traps > 20);
	assert_int_equal(n_aborts, 4);
	assert_int_equal(number, 42);
	assert_int_equal(1, count_of(cpu, 0));
	assert_true(MARK(1) == 0 && MARK(2) == RSEQ_MARK_MIN);
	assert_true(pops(0, OPEN, &number));
	assert_int_equal(number, 1);
}

#else
static void test_interrupted_at_every_instruction(void **state)
{
	(void)state;
	skip();
}
#endif

static void test_none(void **state)
{
	uint64_t number = 0;
	void *block = NULL;

	(void)state;
	if (getenv("TEST_NO_RSEQ"))
		assert_int_equal(0, rseq_cpus());
	if (rseq_cpus())
		skip();
	rseq_begin();
	assert_false(rseq_pop(&arrays, RSEQ_MARK_MIN, 0, &number)); /* 0 is what the gate is */
	assert_false(rseq_push(&arrays, RSEQ_MARK_MIN, 0, 1));
	assert_int_equal(rseq_alloc(&arrays, RSEQ_OPEN_MIN, RSEQ_MARK_MIN, &block), RSEQ_NOT);
	assert_int_equal(rseq_free(&arrays, RSEQ_OPEN_MIN, base), RSEQ_NOT);
	assert_true(rseq_barrier() < 0 || RSEQ_HERE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_first_in_first_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_gates, setup, teardown),
		cmocka_unit_test_setup_teardown(test_blocks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interrupted_at_every_instruction, setup, teardown),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests_name("rseq", tests, NULL, NULL);
}
