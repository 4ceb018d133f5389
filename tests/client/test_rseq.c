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
#include "client/rseq.h"
#include "tests/client/own_cpu.h"

#define KINDS 3
#define OPEN 7777u

#define HEADS_BYTES (WIRE_HEADS_CPUS * sizeof(struct wire_heads))

static struct rseq_arrays arrays;
static struct wire_heads *heads;

static int setup(void **state)
{
	uint32_t n = rseq_cpus();
	void *p;

	(void)state;
	if (!n)
		return 0;
	memset(&arrays, 0, sizeof(arrays));
	assert_int_equal(mapping_private(&p, HEADS_BYTES), 0);
	assert_int_equal(mapping_populate(p, HEADS_BYTES), 0);
	atomic_store(&arrays.heads, heads = p);
	assert_int_equal(mapping_private(&p, rseq_slots_size(n, KINDS)), 0);
	assert_int_equal(mapping_populate(p, rseq_slots_size(n, KINDS)), 0);
	atomic_store(&arrays.slots, (uint32_t *)p);
	atomic_store(&arrays.n_cpus, n);
	atomic_store(&arrays.n_kinds, KINDS);
	atomic_store(&arrays.gate, OPEN);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (!rseq_cpus())
		return 0;
	mapping_free(heads, HEADS_BYTES);
	mapping_free(atomic_load(&arrays.slots), rseq_slots_size(rseq_cpus(), KINDS));
	return 0;
}

/* A preemption in each of RSEQ_TRIES tries is possible, and unlikely: so it is tried again. */
static bool gives(uint32_t kind, uint64_t open, uint32_t max, uint32_t number)
{
	bool r = false;

	for (int i = 0; i < 10 && !r; i++)
		r = rseq_give(&arrays, kind, open, max, number);
	return r;
}

static bool takes(uint32_t kind, uint64_t open, uint32_t *number)
{
	bool r = false;

	for (int i = 0; i < 10 && !r; i++)
		r = rseq_take(&arrays, kind, open, number);
	return r;
}

static void test_last_in_first_out(void **state)
{
	uint32_t number = 0, cpu;

	(void)state;
	needs_sequences();
	cpu = stay();
	for (uint32_t kind = 0; kind < KINDS; kind++) {
		assert_false(takes(kind, OPEN, &number));
		for (uint32_t i = 0; i < RSEQ_SLOTS; i++)
			assert_true(gives(kind, OPEN, RSEQ_SLOTS, kind << 16 | i));
		assert_false(gives(kind, OPEN, RSEQ_SLOTS, 0));
		assert_int_equal(RSEQ_SLOTS, RSEQ_COUNT(atomic_load(rseq_head(&arrays, cpu, kind))));
	}
	for (uint32_t kind = 0; kind < KINDS; kind++) {
		for (uint32_t i = RSEQ_SLOTS; i-- > 0;) {
			assert_true(takes(kind, OPEN, &number));
			assert_int_equal(kind << 16 | i, number);
		}
		assert_false(takes(kind, OPEN, &number));
		/* so many gives, so many takes, and nothing of those that were refused */
		assert_int_equal(2 * RSEQ_SLOTS, atomic_load(rseq_head(&arrays, cpu, kind)) >> 16);
	}
	assert_true(gives(0, OPEN, 1, 5));
	assert_false(gives(0, OPEN, 1, 6));
}

static void test_other_gates(void **state)
{
	uint32_t number = 42;

	(void)state;
	needs_sequences();
	(void)stay();
	assert_true(gives(1, OPEN, 4, 1));
	assert_false(gives(1, OPEN + 1, 4, 2));
	assert_false(takes(1, 0, &number));
	assert_false(takes(1, OPEN << 8, &number));
	atomic_store(&arrays.gate, OPEN | (uint64_t)1 << 60); /* all 64 bits count */
	assert_false(takes(1, OPEN, &number));
	atomic_store(&arrays.gate, OPEN);
	assert_int_equal(number, 42);
	assert_true(takes(1, OPEN, &number));
	assert_int_equal(number, 1);
	atomic_store(&arrays.n_cpus, 0); /* a CPU beyond those that were expected */
	assert_false(gives(1, OPEN, 4, 2));
	assert_false(takes(1, OPEN, &number));
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
	uint32_t number = 42, cpu;
	bool took, gave;

	(void)state;
	needs_sequences();
	cpu = stay();
	assert_true(gives(0, OPEN, 4, 1));
	assert_int_equal(sigaction(SIGTRAP, &sa, &old), 0);
	n_aborts = n_traps = 0;
	trap_begin();
	took = rseq_take(&arrays, 0, OPEN, &number);
	gave = rseq_give(&arrays, 0, OPEN, 4, 2);
	trap_end();
	assert_int_equal(sigaction(SIGTRAP, &old, NULL), 0);
	assert_false(took);
	assert_false(gave);
	assert_true(n_traps > 20);
	assert_int_equal(n_aborts, 2 * RSEQ_TRIES);
	assert_int_equal(number, 42);
	assert_int_equal(1, RSEQ_COUNT(atomic_load(rseq_head(&arrays, cpu, 0))));
	assert_int_equal(1, atomic_load(rseq_head(&arrays, cpu, 0)) >> 16);
	assert_true(takes(0, OPEN, &number));
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
	uint32_t number = 0;

	(void)state;
	if (getenv("TEST_NO_RSEQ"))
		assert_int_equal(0, rseq_cpus());
	if (rseq_cpus())
		skip();
	assert_false(rseq_take(&arrays, 0, 0, &number)); /* 0 is what the gate is */
	assert_false(rseq_give(&arrays, 0, 0, 4, 1));
	assert_true(rseq_barrier() < 0 || RSEQ_HERE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_last_in_first_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_gates, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interrupted_at_every_instruction, setup, teardown),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests_name("rseq", tests, NULL, NULL);
}
