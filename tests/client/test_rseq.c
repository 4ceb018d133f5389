/*
 * test_rseq.c: sequences as the kernel restarts them, and closers
 *
 * Where there are no sequences (another processor, a sanitizer, GLIBC_TUNABLES) all is refused, and that is
 * tested instead. That a sequence is aborted is seen from inside: whoever is single-stepped takes a signal at
 * every instruction, so none of its sequences ends, and the handler finds it where aborts go.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <ucontext.h>

#include "client/cpucache.h"
#include "client/mapping.h"
#include "tests/pure/pure.h"

#define KINDS 3
#define OPEN cpucache_open_value(7)

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
	cpucache_begin(&arrays, 7);
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

static void needs_sequences(void)
{
	if (!rseq_cpus())
		skip();
}

/* On a CPU of ours, so that one array is worked. Which one. */
static uint32_t stay(void)
{
	cpu_set_t set;
	int cpu = sched_getcpu();

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
	return (uint32_t)cpu;
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
		assert_int_equal(RSEQ_SLOTS, cpucache_sum(&arrays, kind));
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
	assert_false(takes(1, cpucache_open_value(8), &number));
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

static void test_closers(void **state)
{
	uint32_t number = 0, cpu;
	uint64_t sum, again;

	(void)state;
	needs_sequences();
	cpu = stay();
	for (uint32_t i = 0; i < 3; i++)
		assert_true(gives(2, OPEN, 4, i));
	assert_false(cpucache_look(&arrays, 2, &sum));
	assert_true(cpucache_look(&arrays, 1, &sum) && cpucache_look(&arrays, 1, &again) && sum == again);
	assert_true(gives(1, OPEN, 4, 9) && takes(1, OPEN, &number));
	assert_true(cpucache_look(&arrays, 1, &again) && sum != again);

	assert_int_equal(cpucache_close(&arrays), 0);
	assert_false(gives(2, OPEN, 4, 3) || takes(2, OPEN, &number));
	assert_true(cpucache_steal(&arrays, 2, 7, &number));
	assert_int_equal(number, 2);
	assert_false(cpucache_steal(&arrays, 2, 8, &number)); /* another life's */
	assert_false(cpucache_steal(&arrays, 1, 7, &number));
	assert_int_equal(2, cpucache_sum(&arrays, 2));

	/* a second closer, who leaves it shut; the first does not open it either */
	assert_int_equal(cpucache_close(&arrays), 0);
	cpucache_leave(&arrays, true);
	cpucache_reopen(&arrays);
	assert_false(takes(2, OPEN, &number));
	cpucache_leave(&arrays, false);
	assert_false(takes(2, OPEN, &number));
	cpucache_reopen(&arrays);
	assert_true(takes(2, OPEN, &number));
	assert_int_equal(number, 1);

	/* a life that ends while another closer stays */
	assert_int_equal(cpucache_close(&arrays), 0);
	assert_int_equal(cpucache_close(&arrays), 0);
	cpucache_end(&arrays);
	assert_int_equal(0, cpucache_sum(&arrays, 2));
	assert_false(cpucache_steal(&arrays, 2, 7, &number));
	cpucache_leave(&arrays, true);
	cpucache_begin(&arrays, 8);
	assert_false(gives(2, cpucache_open_value(8), 4, 5));
	cpucache_leave(&arrays, false);
	cpucache_reopen(&arrays);
	assert_true(gives(2, cpucache_open_value(8), 4, 5));
	assert_int_equal(1, RSEQ_COUNT(atomic_load(rseq_head(&arrays, cpu, 2))));
	assert_false(takes(2, OPEN, &number));
}

/* ---- aborts ---- */

#if defined(__x86_64__)
#define TRAP_FLAG 0x100

static volatile sig_atomic_t n_traps, n_aborts;

static void on_trap(int signo, siginfo_t *info, void *context)
{
	const ucontext_t *u = context;
	uint32_t before;

	(void)signo, (void)info;
	memcpy(&before, (const char *)u->uc_mcontext.gregs[REG_RIP] - 4, sizeof(before));
	n_traps++;
	n_aborts += before == 0x53053053;
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

/* ---- a storm ---- */

#define NUMBERS 64
#define THREADS 3
#define PERIOD_NS 50000
#define ROUNDS 3000000

static _Atomic uint32_t owner[NUMBERS]; /* 0: nobody has it in hand */
static _Atomic uint32_t spare[NUMBERS]; /* numbers + 1 outside the arrays */
static _Atomic uint64_t storm_aborts, storm_takes, storm_steals;
static __thread uint32_t my_id;
static atomic_bool over;

static void spare_put(uint32_t number)
{
	for (uint32_t i = 0;; i = (i + 1) % NUMBERS) {
		uint32_t none = 0;

		if (atomic_compare_exchange_strong(&spare[i], &none, number + 1))
			return;
	}
}

static bool spare_take(uint32_t *number)
{
	for (uint32_t i = 0; i < NUMBERS; i++) {
		uint32_t found = atomic_exchange(&spare[i], 0);

		if (found) {
			*number = found - 1;
			return true;
		}
	}
	return false;
}

static void hold(uint32_t number, uint32_t who)
{
	must(number < NUMBERS);
	must(atomic_exchange(&owner[number], who) == 0);
	must(atomic_exchange(&owner[number], 0) == who);
}

static void pass(uint32_t who)
{
	uint32_t number = 0;

	if (rseq_take(&arrays, 0, OPEN, &number))
		atomic_fetch_add_explicit(&storm_takes, 1, memory_order_relaxed);
	else if (!spare_take(&number))
		return;
	hold(number, who);
	if (!rseq_give(&arrays, 0, OPEN, 8, number))
		spare_put(number);
}

static void on_timer(int signo, siginfo_t *info, void *context)
{
	const ucontext_t *u = context;
	uint32_t before;

	(void)signo, (void)info;
	if (!my_id)
		return;
	memcpy(&before, (const char *)u->uc_mcontext.gregs[REG_RIP] - 4, sizeof(before));
	if (before == 0x53053053)
		atomic_fetch_add(&storm_aborts, 1);
	pass(my_id + 100);
}

static void *play(void *arg)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN};
	struct itimerspec period = {{0, PERIOD_NS}, {0, PERIOD_NS}};
	timer_t timer;

	my_id = (uint32_t)(uintptr_t)arg;
	event._sigev_un._tid = gettid();
	must(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	must(timer_settime(timer, 0, &period, NULL) == 0);
	for (int i = 0; i < ROUNDS || !atomic_load_explicit(&storm_aborts, memory_order_relaxed); i++)
		pass(my_id);
	must(timer_delete(timer) == 0);
	return NULL;
}

static void *disturb(void *arg)
{
	uint32_t number = 0;

	while (!atomic_load(&over)) {
		must(cpucache_close(&arrays) == 0);
		if (cpucache_steal(&arrays, 0, 7, &number)) {
			hold(number, 99);
			spare_put(number);
			atomic_fetch_add(&storm_steals, 1);
		}
		cpucache_leave(&arrays, false);
		(void)usleep(200);
	}
	return arg;
}

static void test_storm(void **state)
{
	struct sigaction sa = {.sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_RESTART};
	pthread_t thread[THREADS], closer;
	bool seen[NUMBERS] = {false};
	uint32_t number, n = 0;

	(void)state;
	needs_sequences();
	for (uint32_t i = 0; i < NUMBERS; i++)
		atomic_store(&spare[i], i + 1);
	assert_int_equal(sigaction(SIGRTMIN, &sa, NULL), 0);
	assert_int_equal(pthread_create(&closer, NULL, disturb, NULL), 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, play, (void *)(i + 1)), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	atomic_store(&over, true);
	assert_int_equal(pthread_join(closer, NULL), 0);
	print_message("  %llu takes, %llu aborts by handlers, %llu stolen\n", (unsigned long long)storm_takes,
		      (unsigned long long)storm_aborts, (unsigned long long)storm_steals);
	assert_true(storm_takes > 0 && storm_aborts > 0);

	assert_int_equal(cpucache_close(&arrays), 0);
	while (cpucache_steal(&arrays, 0, 7, &number) || spare_take(&number)) {
		assert_true(number < NUMBERS && !seen[number]);
		seen[number] = true;
		n++;
	}
	assert_int_equal(n, NUMBERS);
}
#else
static void test_interrupted_at_every_instruction(void **state)
{
	(void)state;
	skip();
}

static void test_storm(void **state)
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
		cmocka_unit_test_setup_teardown(test_closers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interrupted_at_every_instruction, setup, teardown),
		cmocka_unit_test_setup_teardown(test_storm, setup, teardown),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests_name("rseq", tests, NULL, NULL);
}
