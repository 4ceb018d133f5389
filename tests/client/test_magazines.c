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

static struct magazines *m;
static struct wire_heads *heads;

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
	magazines_begin(m, 7, heads, MAX);
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

static uint32_t count_bits(const _Atomic uint64_t *set)
{
	uint32_t n = 0;

	for (size_t i = 0; i < MAGAZINES_ROWS / 64; i++)
		n += (uint32_t)__builtin_popcountll(atomic_load(&set[i]));
	return n;
}

/* All rows are filled through one CPU, and emptied: what is given last is taken first. */
static void test_rows_change_hands(void **state)
{
	static bool seen[MAGAZINES_ROWS * MAX];
	uint64_t entry = 0, n = 0;
	uint32_t rows, cpus;

	(void)state;
	needs_sequences();
	(void)stay();
	cpus = rseq_cpus();
	rows = magazines_rows(cpus);
	assert_int_equal(rows - cpus, count_bits(m->none));
	assert_false(TRY(magazines_take(m, &entry)));
	assert_false(TRY(magazines_refill(m)));
	do {
		for (int i = 0; i < MAX; i++, n++)
			assert_true(TRY(magazines_give(m, n | UINT64_C(0xabcd) << 48)));
		assert_false(TRY(magazines_give(m, n)));
	} while (TRY(magazines_relieve(m)));
	assert_int_equal(n, (uint64_t)MAX * (rows - cpus + 1)); /* all but what other CPUs work on */
	assert_int_equal(n, magazines_sum(m));
	assert_int_equal(0, count_bits(m->none));
	assert_int_equal(rows - cpus, count_bits(m->some));
	memset(seen, 0, sizeof(seen));
	for (uint64_t left = n; left; left--) {
		assert_true(TRY(magazines_take(m, &entry)) ||
			    (TRY(magazines_refill(m)) && TRY(magazines_take(m, &entry))));
		assert_int_equal(entry >> 48, 0xabcd);
		entry &= 0xffffffff;
		assert_true(entry < n && !seen[entry]);
		if (left == n)
			assert_int_equal(entry, n - 1);
		seen[entry] = true;
	}
	assert_false(TRY(magazines_take(m, &entry)));
	assert_int_equal(0, magazines_sum(m));
}

static void test_closers(void **state)
{
	uint64_t entry, sum, again;

	(void)state;
	needs_sequences();
	(void)stay();
	assert_true(magazines_look(m, &sum) && magazines_look(m, &again) && sum == again);
	assert_true(TRY(magazines_give(m, 9)) && TRY(magazines_take(m, &entry)));
	assert_true(magazines_look(m, &again) && sum != again);
	for (uint64_t i = 0; i < 3; i++)
		assert_true(TRY(magazines_give(m, i)));
	assert_false(magazines_look(m, &sum));

	assert_int_equal(magazines_close(m), 0);
	assert_false(TRY(magazines_give(m, 3)) || TRY(magazines_take(m, &entry)) || TRY(magazines_relieve(m)));
	assert_true(magazines_steal(m, 7, &entry));
	assert_int_equal(entry, 2);
	assert_false(magazines_steal(m, 8, &entry)); /* another life's */
	assert_int_equal(2, magazines_sum(m));

	/* a second closer, who leaves it shut; the first does not open it either */
	assert_int_equal(magazines_close(m), 0);
	magazines_leave(m, true);
	magazines_reopen(m);
	assert_false(TRY(magazines_take(m, &entry)));
	magazines_leave(m, false);
	assert_false(TRY(magazines_take(m, &entry)));
	magazines_reopen(m);
	assert_true(TRY(magazines_take(m, &entry)));
	assert_int_equal(entry, 1);

	/* a life that ends while another closer stays */
	assert_int_equal(magazines_close(m), 0);
	assert_int_equal(magazines_close(m), 0);
	magazines_end(m);
	assert_int_equal(0, magazines_sum(m));
	assert_false(magazines_steal(m, 7, &entry));
	magazines_leave(m, true);
	magazines_begin(m, 8, heads, MAX);
	assert_false(TRY(magazines_give(m, 5)));
	magazines_leave(m, false);
	magazines_reopen(m);
	assert_true(TRY(magazines_give(m, 5)));
	assert_int_equal(1, magazines_sum(m));
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
	uint64_t entry = 42;
	uint32_t loose;

	(void)state;
	needs_sequences();
	(void)stay();
	assert_true(TRY(magazines_give(m, 1)));
	loose = count_bits(m->none);
	assert_int_equal(sigaction(SIGTRAP, &sa, &old), 0);
	n_aborts = n_traps = 0;
	trap_begin();
	took = magazines_take(m, &entry);
	gave = magazines_give(m, 2);
	relieved = magazines_relieve(m);
	trap_end();
	assert_int_equal(sigaction(SIGTRAP, &old, NULL), 0);
	assert_false(took || gave || relieved);
	assert_true(n_traps > 30);
	assert_int_equal(n_aborts, 3);
	assert_int_equal(entry, 42);
	assert_int_equal(1, magazines_sum(m));
	assert_int_equal(loose, count_bits(m->none)); /* what was taken for the change is back */
	assert_true(TRY(magazines_take(m, &entry)));
	assert_int_equal(entry, 1);
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
	uint64_t entry;

	if (magazines_take(m, &entry) || (magazines_refill(m) && magazines_take(m, &entry))) {
		number = (uint32_t)entry;
		atomic_fetch_add_explicit(&storm_takes, 1, memory_order_relaxed);
	} else if (!spare_take(&number)) {
		return;
	}
	hold(number, who);
	if (who % 3 == 0 || (!magazines_give(m, number) && (!magazines_relieve(m) || !magazines_give(m, number))))
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
	uint64_t number;

	while (!atomic_load(&over)) {
		must(magazines_close(m) == 0);
		if (magazines_steal(m, 7, &number)) {
			hold((uint32_t)number, 99);
			spare_put((uint32_t)number);
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
	uint64_t entry;
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
	while (magazines_steal(m, 7, &entry) ? (number = (uint32_t)entry, true) : spare_take(&number)) {
		assert_true(number < NUMBERS && !seen[number]);
		seen[number] = true;
		n++;
	}
	assert_int_equal(n, NUMBERS);
	assert_int_equal(magazines_rows(rseq_cpus()) - rseq_cpus(), count_bits(m->some) + count_bits(m->none));
}

static void test_none(void **state)
{
	struct magazines *empty = zeroed(sizeof(*empty));
	uint64_t entry;

	(void)state;
	if (getenv("TEST_NO_RSEQ"))
		assert_int_equal(0, rseq_cpus());
	assert_false(magazines_take(empty, &entry));
	assert_false(magazines_give(empty, 1));
	assert_false(magazines_refill(empty) || magazines_relieve(empty));
	mapping_free(empty, sizeof(*empty));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rows_change_hands, setup, teardown),
		cmocka_unit_test_setup_teardown(test_closers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interrupted_at_every_instruction, setup, teardown),
		cmocka_unit_test_setup_teardown(test_storm, setup, teardown),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests_name("magazines", tests, NULL, NULL);
}
