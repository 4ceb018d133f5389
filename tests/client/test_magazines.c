/*
 * test_magazines.c: what CPUs have at hand, with real sequences: rows that change hands, closers, handlers
 *
 * Where there are no sequences (another processor, a sanitizer, GLIBC_TUNABLES) all is refused, and that is
 * tested instead. The storm's threads are interrupted 20000 times a second, wherever they are, by handlers that do
 * the same; somebody closes and steals all the time. Every number must be in one hand at a time, and there once in
 * the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "client/magazines.h"
#include "client/mapping.h"
#include "tests/pure/pure.h"
#include "tests/client/own_cpu.h"

#define MAX 8
#define HEADS_SIZE align_up(WIRE_HEADS_CPUS * sizeof(struct wire_heads) * 2, HW_PAGE_SIZE)

#define BASE 0x100000
#define STRIDE 48
#define BLOCKS (MAGAZINES_ROWS * MAX + 100)

static struct magazines *m;
static struct wire_heads *heads;
static _Atomic uint32_t word[BLOCKS];

static uint64_t block(uint64_t number)
{
	return BASE + number * STRIDE;
}

static uint64_t number_of(uint64_t found)
{
	assert_true(found >= BASE && (found - BASE) % STRIDE == 0 && (found - BASE) / STRIDE < BLOCKS);
	return (found - BASE) / STRIDE;
}

static void begin(uint64_t serial)
{
	struct magazines_life life = {
		.serial = serial, .heads = heads, .max = MAX, .n = BLOCKS, .base = BASE, .stride = STRIDE, .word = word,
	};

	magazines_begin(m, &life);
	for (uint32_t i = 0; i < BLOCKS; i++)
		atomic_store(&word[i], magazines_nowhere(m, serial)); /* all are out */
}

static void *zeroed(size_t size)
{
	void *p;

	assert_int_equal(mapping_private(&p, size), 0);
	assert_int_equal(mapping_populate(p, size), 0);
	return p;
}

static int setup(void **state)
{
	uint32_t n = rseq_cpus();

	(void)state;
	if (!n)
		return 0;
	m = zeroed(magazines_size(n));
	heads = zeroed(HEADS_SIZE);
	magazines_init(m, n);
	begin(7);
	magazines_reopen(m);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (!rseq_cpus())
		return 0;
	mapping_free(heads, HEADS_SIZE);
	mapping_free(m, magazines_size(rseq_cpus()));
	return 0;
}

/* A preemption in one try is possible, in ten it is not. */
#define TRY(call) \
	({ \
		bool r_ = false; \
		for (int i_ = 0; i_ < 10 && !r_; i_++) \
			r_ = (call); \
		r_; \
	})

static uint32_t count_bits(enum magazines_set set)
{
	uint32_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(m->rows.loose); i++)
		n += (uint32_t)__builtin_popcountll(atomic_load(&m->rows.loose[i].set[set]));
	return n;
}

/* All rows are filled through one CPU, and emptied: what is given last is taken first. */
static void test_rows_change_hands(void **state)
{
	static bool seen[BLOCKS];
	uint64_t found = 0, n = 0;
	uint32_t rows, cpus;

	(void)state;
	needs_sequences();
	(void)stay();
	cpus = rseq_cpus();
	rows = magazines_rows(cpus);
	assert_int_equal(rows - cpus, count_bits(MAGAZINES_NONE));
	assert_false(TRY(magazines_take(m, &found)));
	assert_false(TRY(magazines_refill(m)));
	do {
		for (int i = 0; i < MAX; i++, n++)
			assert_true(TRY(magazines_give(m, block(n))));
		assert_false(TRY(magazines_give(m, block(n))));
	} while (TRY(magazines_relieve(m)));
	assert_int_equal(n, (uint64_t)MAX * (rows - cpus + 1)); /* all but what other CPUs work on */
	assert_int_equal(n, magazines_sum(m));
	assert_int_equal(0, count_bits(MAGAZINES_NONE));
	assert_int_equal(rows - cpus, count_bits(MAGAZINES_SOME));
	memset(seen, 0, sizeof(seen));
	for (uint64_t left = n; left; left--) {
		assert_true(TRY(magazines_take(m, &found)) ||
			    (TRY(magazines_refill(m)) && TRY(magazines_take(m, &found))));
		found = number_of(found);
		assert_true(found < n && !seen[found]);
		if (left == n)
			assert_int_equal(found, n - 1);
		seen[found] = true;
	}
	assert_false(TRY(magazines_take(m, &found)));
	assert_int_equal(0, magazines_sum(m));
}

static void test_closers(void **state)
{
	uint64_t found, sum, again;

	(void)state;
	needs_sequences();
	(void)stay();
	assert_true(magazines_look(m, &sum) && magazines_look(m, &again) && sum == again);
	assert_true(TRY(magazines_give(m, block(9))) && TRY(magazines_take(m, &found)));
	assert_true(magazines_look(m, &again) && sum != again);
	for (uint64_t i = 0; i < 3; i++)
		assert_true(TRY(magazines_give(m, block(i))));
	assert_false(magazines_look(m, &sum));

	assert_int_equal(magazines_close(m), 0);
	assert_false(TRY(magazines_give(m, block(3))) || TRY(magazines_take(m, &found)) || TRY(magazines_relieve(m)));
	assert_true(magazines_steal(m, 7, &found));
	assert_int_equal(found, block(2));
	assert_false(magazines_steal(m, 8, &found)); /* another life's */
	assert_int_equal(2, magazines_sum(m));

	/* a second closer, who leaves it shut; the first does not open it either */
	assert_int_equal(magazines_close(m), 0);
	magazines_leave(m, true);
	magazines_reopen(m);
	assert_false(TRY(magazines_take(m, &found)));
	magazines_leave(m, false);
	assert_false(TRY(magazines_take(m, &found)));
	magazines_reopen(m);
	assert_true(TRY(magazines_take(m, &found)));
	assert_int_equal(found, block(1));

	/* a life that ends while another closer stays */
	assert_int_equal(magazines_close(m), 0);
	assert_int_equal(magazines_close(m), 0);
	magazines_end(m);
	assert_int_equal(0, magazines_sum(m));
	assert_false(magazines_steal(m, 7, &found));
	magazines_leave(m, true);
	begin(8);
	assert_false(TRY(magazines_give(m, block(5))));
	magazines_leave(m, false);
	magazines_reopen(m);
	assert_true(TRY(magazines_give(m, block(5))));
	assert_int_equal(1, magazines_sum(m));
}

/* Whatever is not a block that is out is refused, wherever it is at hand; and nothing changes. */
static void refused(uint64_t what)
{
	uint64_t sum = magazines_sum(m);

	assert_false(TRY(magazines_give(m, what)));
	assert_int_equal(sum, magazines_sum(m));
}

static void test_only_what_is_out(void **state)
{
	uint64_t found;

	(void)state;
	needs_sequences();
	if (RSEQ_STRICT)
		skip(); /* who gives looks */
	(void)stay();
	for (uint64_t i = 0; i < 3; i++)
		assert_true(TRY(magazines_give(m, block(i))));
	for (uint64_t at = block(0) - 2 * STRIDE; at < block(5); at++)
		if (at < BASE || (at - BASE) % STRIDE || at < block(3))
			refused(at);
	refused(0);
	refused(UINT64_MAX);
	refused(block(BLOCKS));
	refused(block(UINT64_C(1) << 40));
	for (uint32_t w = 0; w < 3; w++) { /* it is in a stack, or claimed */
		atomic_store(&word[3], w == 2 ? RSEQ_PLACE - 1 : w);
		refused(block(3));
	}
	/* given in another order than taken: what is above the count is out, although it still stands there */
	assert_true(TRY(magazines_take(m, &found)) && found == block(2));
	assert_true(TRY(magazines_take(m, &found)) && found == block(1));
	assert_true(TRY(magazines_give(m, block(2))));
	refused(block(2));
	assert_true(TRY(magazines_give(m, block(1))));
	refused(block(1));
	refused(block(0));
	/* in a row that this CPU has no more */
	for (uint64_t i = 3; i < 3 + MAX - 3; i++) {
		atomic_store(&word[i], magazines_nowhere(m, 7));
		assert_true(TRY(magazines_give(m, block(i))));
	}
	assert_true(TRY(magazines_relieve(m)));
	for (uint64_t i = 0; i < MAX; i++)
		refused(block(i));
	assert_true(TRY(magazines_give(m, block(MAX))));
	refused(block(MAX));
	assert_true(magazines_has(m, atomic_load(&word[0]), block(0)));
	assert_false(magazines_has(m, atomic_load(&word[0]), block(1)));
	assert_false(magazines_has(m, atomic_load(&word[MAX + 1]), block(MAX + 1)));
}

/* ---- a signal at every instruction ---- */

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
	bool took, gave, relieved;
	uint64_t found = 42;
	uint32_t loose;

	(void)state;
	needs_sequences();
	(void)stay();
	assert_true(TRY(magazines_give(m, block(1))));
	loose = count_bits(MAGAZINES_NONE);
	assert_int_equal(sigaction(SIGTRAP, &sa, &old), 0);
	n_aborts = n_traps = 0;
	trap_begin();
	took = magazines_take(m, &found);
	gave = magazines_give(m, block(2));
	relieved = magazines_relieve(m);
	trap_end();
	assert_int_equal(sigaction(SIGTRAP, &old, NULL), 0);
	assert_false(took || gave || relieved);
	assert_true(n_traps > 30);
	assert_int_equal(n_aborts, 3);
	assert_int_equal(found, 42);
	assert_int_equal(1, magazines_sum(m));
	assert_int_equal(loose, count_bits(MAGAZINES_NONE)); /* what was taken for the change is back */
	assert_true(TRY(magazines_take(m, &found)));
	assert_int_equal(found, block(1));
}

#else
static void test_interrupted_at_every_instruction(void **state)
{
	(void)state;
	skip(); /* no trap flag; test_sequences.c does what can be done */
}
#endif

/* ---- a storm ---- */

#define NUMBERS 96
#define THREADS 3
#define PERIOD_NS 50000
#define ROUNDS 2000000

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
	uint32_t number;
	uint64_t found;

	if (magazines_take(m, &found) || (magazines_refill(m) && magazines_take(m, &found))) {
		number = (uint32_t)number_of(found);
		atomic_fetch_add_explicit(&storm_takes, 1, memory_order_relaxed);
	} else if (!spare_take(&number)) {
		return;
	}
	hold(number, who);
	if (who % 3 == 0 || (!magazines_give(m, block(number)) && (!magazines_relieve(m) || !magazines_give(m, block(number)))))
		spare_put(number);
}

static void on_timer(int signo, siginfo_t *info, void *context)
{
	(void)signo, (void)info;
	if (!my_id)
		return;
	if (was_aborted(context))
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
	uint64_t found;

	while (!atomic_load(&over)) {
		must(magazines_close(m) == 0);
		if (magazines_steal(m, 7, &found)) {
			hold((uint32_t)number_of(found), 99);
			spare_put((uint32_t)number_of(found));
			atomic_fetch_add(&storm_steals, 1);
		}
		magazines_leave(m, false);
		(void)usleep(200);
	}
	return arg;
}

static void test_storm(void **state)
{
	struct sigaction sa = {.sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_RESTART};
	pthread_t thread[THREADS], closer;
	bool seen[NUMBERS] = {false};
	uint64_t found;
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

	assert_int_equal(magazines_close(m), 0);
	while (magazines_steal(m, 7, &found) ? (number = (uint32_t)number_of(found), true) : spare_take(&number)) {
		assert_true(number < NUMBERS && !seen[number]);
		seen[number] = true;
		n++;
	}
	assert_int_equal(n, NUMBERS);
	assert_int_equal(magazines_rows(rseq_cpus()) - rseq_cpus(), count_bits(MAGAZINES_SOME) + count_bits(MAGAZINES_NONE));
}

static void test_none(void **state)
{
	struct magazines *empty = zeroed(sizeof(*empty));
	uint64_t found;

	(void)state;
	if (getenv("TEST_NO_RSEQ"))
		assert_int_equal(0, rseq_cpus());
	assert_false(magazines_take(empty, &found));
	assert_false(magazines_give(empty, 1));
	assert_false(magazines_refill(empty) || magazines_relieve(empty));
	mapping_free(empty, sizeof(*empty));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rows_change_hands, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_what_is_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interrupted_at_every_instruction, setup, teardown),
		cmocka_unit_test_setup_teardown(test_storm, setup, teardown),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests_name("magazines", tests, NULL, NULL);
}
