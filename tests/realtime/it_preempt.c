/*
 * Story: a thread that is preempted inside a call does not hold up a more urgent one
 *
 * Two threads of a process use one object, on one CPU. The low one is stopped inside a call by a
 * stepper: it does not run at all, which is what a preempted thread does while anything more urgent
 * runs. Then the high one makes the same call. Either it comes to its end without the low one, or
 * it waits for the library's lock, and then the low one is let go on, by steps that are counted, until
 * it gives the lock: at most as many as docs/realtime.md says. The first is tried with the low one at
 * its first instruction, its second, and so on to its last.
 *
 * That the scheduler lets it go on is another matter: the lock must inherit priority. A hog of middle
 * priority is on the same CPU (SCHED_FIFO, all three); without inheritance it would keep the low one
 * from ever giving the lock. The same with wake-ups at random instants, with no stepper around.
 * Nothing is judged by a clock: by instructions, by whose turn it was, by context switches.
 */
#include <inttypes.h>
#include <linux/futex.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include "tests/realtime/histories.h"
#include "tests/realtime/page.h"
#include "tests/realtime/paths.h"
#include "tests/realtime/stepper.h"
#include "tests/realtime/trap.h"
#include "tests/story/pool_steps.h"

#define LOW 0
#define HIGH 1
#define HOG 2
static const int priorities[] = { [LOW] = 10, [HIGH] = 30, [HOG] = 20 };

/* Rows of the page: of who holds a lock, and of who finds it held. */
#define HELD "while the lock is held"
#define LOOKS "finding the lock held, besides"
#define PLACES 100     /* in a call at which the low one is stopped; all, if it has no more */
#define COUNTED 12     /* of them the high one's own instructions are counted at one in so many */
#define WAKES 4000
#define ROW 60         /* blocks taken in a row, so that a CPU's blocks at hand run out now and then */
#define HOG_TURNS 100000000 /* how long a hog hogs when nobody stops it: long, but it ends */

/* On the board: what the threads of the actor tell each other. */
enum { STOP, DONE, GO, HOGGING, STARVED, INSIDE, MET, WAITED, MOST_WAITS, FAULTS, WRONG };

/* ---- in the actor ---- */

static bool is_set(int what)
{
	return atomic_load_explicit(&board->count[what], memory_order_acquire) != 0;
}

static void set(int what, uint64_t value)
{
	atomic_store_explicit(&board->count[what], value, memory_order_release);
}

static int run_prepare(struct step *s)
{
	return paths[s->slot].prepare();
}

/* A lane on that CPU. */
static int run_pin(struct step *s)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((size_t)s->n, &one);
	return sched_setaffinity(0, sizeof(one), &one) < 0 ? -errno : 0;
}

/*
 * Calls between marks, again and again: take (mode 0) or give (1) one block. .n is the random number
 * that says which.
 */
static int run_calls(struct step *s)
{
	const struct path *p = &paths[s->slot];
	void *block = NULL;
	bool right = true;
	size_t size;

	marking = MARKING_STEPS;
	while (!is_set(STOP)) {
		if (s->mode) {
			block = p->get(s->n, &size);
			mark_begin(0);
			right &= p->give(block, s->n);
		} else {
			mark_begin(0);
			block = p->get(s->n, &size);
		}
		if (s->value)
			set(DONE, 1);
		mark_end();
		right &= block != NULL;
		if (!s->mode)
			right &= p->give(block, s->n);
	}
	mark_last();
	return right ? 0 : -EIO;
}

/* Runs until the high one is done, or for long enough. */
static int run_hog(struct step *s)
{
	uint64_t turns = 0;

	(void)s;
	set(HOGGING, 1);
	while (!is_set(DONE) && turns < HOG_TURNS)
		turns += is_set(GO);
	return is_set(DONE) ? 0 : -ETIME;
}

/* ---- the table ---- */

static const struct couple {
	const char *text, *path;
	int mode;        /* of run_calls */
	uint64_t random; /* what is taken */
	enum call call;
} couples[] = {
	{ "rt_heap_alloc", "a local heap", 0, 1 << 10 | 2, CALL_HEAP_ALLOC },
	{ "rt_heap_free", "a local heap", 1, 1 << 10 | 2, CALL_HEAP_FREE },
	{ "rt_heap_alloc of a run", "a named heap", 0, 1, CALL_HEAP_ALLOC_RUN },
	{ "rt_heap_free of a run", "a named heap", 1, 1, CALL_HEAP_FREE_RUN },
	{ "pt_getblock", "a partition", 0, 1, CALL_PT_GET },
	{ "pt_freeblock", "a partition", 1, 1, CALL_PT_FREE },
	{ "shared_multi_heap_alloc", "the shared multi-heap", 0, 1 << 10 | 2 << 5 | 1,
	  CALL_REGION_ALLOC },
	{ "shared_multi_heap_free", "the shared multi-heap", 1, 1 << 10 | 2 << 5 | 1,
	  CALL_REGION_FREE },
	{ "k_malloc", "the heap memory pool", 0, 100 << 8 | 1 << 4 | 2, CALL_POOL_MALLOC },
	{ "k_free", "the heap memory pool", 1, 100 << 8 | 1 << 4 | 1, CALL_POOL_FREE },
};

static int path_of(const struct couple *c)
{
	int i = 0;

	while (strcmp(paths[i].name, c->path) != 0)
		i++;
	return i;
}

/* ---- the stage ---- */

struct scene {
	const struct couple *couple;
	struct actor *actor;
	struct stepper low, high;
	uint64_t places, blocked, most_held, most_counted;
};

static cpu_set_t cpus; /* that the test may use */

static void begin(struct scene *sc, const struct couple *c)
{
	if (STORY_SANITIZED)
		story_skip("a sanitizer has instructions and locks of its own");
	if (!CPU_COUNT(&cpus))
		assert_int_equal(0, sched_getaffinity(0, sizeof(cpus), &cpus));
	assert_int_equal(0, sched_setaffinity(0, sizeof(cpus), &cpus));
	heapd_start("");
	pool_environment("16384");
	*sc = (struct scene){ .couple = c, .actor = actor_new(3) };
	EXPECT(0, lane_run(&sc->actor->lane[0],
			   (struct step){ .run = run_prepare, .slot = path_of(c) })
			  .result);
}

static void pin(struct scene *sc, int cpu)
{
	for (int i = LOW; i <= HOG; i++)
		EXPECT(0, lane_run(&sc->actor->lane[i], (struct step){ .run = run_pin, .n = (uint64_t)cpu })
				  .result);
}

/* Real-time priorities, or the test is skipped. */
static void become_urgent(struct scene *sc)
{
	for (int i = LOW; i <= HOG; i++)
		if (set_priority(&sc->actor->lane[i], priorities[i]) < 0)
			story_skip("SCHED_FIFO is not permitted here");
}

/* The actor's CPU, which the test leaves: a hog shall not keep the test from running. */
static int cpu_apart(void)
{
	cpu_set_t all = cpus;
	int cpu = -1;

	if (CPU_COUNT(&all) < 2)
		story_skip("one CPU is not enough: the test would starve as well");
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET((size_t)i, &all))
			cpu = i;
	CPU_CLR((size_t)cpu, &all);
	assert_int_equal(0, sched_setaffinity(0, sizeof(all), &all));
	return cpu;
}

static void begin_calls(struct scene *sc)
{
	struct step s = { .run = run_calls, .slot = path_of(sc->couple), .mode = sc->couple->mode,
			  .n = sc->couple->random };

	if (stepper_attach(&sc->low, sc->actor->lane[LOW].tid) < 0 ||
	    stepper_attach(&sc->high, sc->actor->lane[HIGH].tid) < 0)
		story_skip("ptrace is not permitted here");
	lane_start(&sc->actor->lane[LOW], s);
	s.value = 1;
	lane_start(&sc->actor->lane[HIGH], s);
}

/* Both are somewhere between calls. */
static void end_calls(struct scene *sc)
{
	set(STOP, 1);
	while (stepper_run(&sc->high) != MARK_LAST)
		;
	stepper_detach(&sc->high);
	EXPECT(0, lane_result(&sc->actor->lane[HIGH]));
	while (stepper_run(&sc->low) != MARK_LAST)
		;
	stepper_detach(&sc->low);
	EXPECT(0, lane_result(&sc->actor->lane[LOW]));
}

/* Both at the beginning of a call, and then the low one `place` instructions further. False: its
 * call has no such place; it is at its end. */
static bool place_low(struct scene *sc, uint64_t place)
{
	assert_int_equal(MARK_BEGIN, stepper_run(&sc->high));
	assert_int_equal(MARK_BEGIN, stepper_run(&sc->low));
	for (uint64_t i = 0; i < place; i++)
		if (!stepper_step(&sc->low))
			return false;
	stepper_preempt(&sc->low);
	return true;
}

/* ---- at every instruction ---- */

static uint64_t futex_command(const struct stepper_call *call)
{
	return call->number == SYS_futex ? call->args[1] & (uint64_t)FUTEX_CMD_MASK : UINT64_MAX;
}

/* The high one waits for the lock: its priority is inherited, or this is no such call. */
static void expect_inheriting(const struct stepper_call *call)
{
	uint64_t command = futex_command(call);

	if (command != FUTEX_LOCK_PI && command != 13 /* FUTEX_LOCK_PI2 */)
		print_error("system call %" PRIu64 " (futex command %" PRIu64 ") in a hot path\n",
			    call->number, command);
	assert_true(command == FUTEX_LOCK_PI || command == 13);
}

/* The high one sleeps. The low one goes on until it has given the lock. */
static void let_low_give(struct scene *sc)
{
	struct stepper_call call;
	uint64_t n = 0;

	UNTIL(stepper_sleeps(&sc->high));
	while (!stepper_at_call(&sc->low, &call)) {
		assert_true(stepper_step(&sc->low));
		n++;
	}
	assert_int_equal(FUTEX_UNLOCK_PI, futex_command(&call));
	assert_true(stepper_step(&sc->low));
	if (n > sc->most_held)
		sc->most_held = n;
	sc->blocked++;
}

/* The high one's call, at full speed but for system calls. */
static void run_high(struct scene *sc)
{
	struct stepper_call call;

	for (;;) {
		stepper_depart(&sc->high);
		if (stepper_arrive(&sc->high, &call) == MARK_END)
			return;
		if (futex_command(&call) != FUTEX_UNLOCK_PI) {
			expect_inheriting(&call);
			stepper_depart(&sc->high);
			let_low_give(sc);
		} else {
			stepper_depart(&sc->high);
		}
		assert_int_equal(MARK_NONE, stepper_arrive(&sc->high, &call)); /* and back */
	}
}

/* The same by steps. */
static void count_high(struct scene *sc)
{
	struct stepper_call call;
	uint64_t n = 0;

	do {
		while (stepper_at_call(&sc->high, &call)) {
			stepper_start(&sc->high);
			if (futex_command(&call) != FUTEX_UNLOCK_PI) {
				expect_inheriting(&call);
				let_low_give(sc);
			}
			stepper_finish(&sc->high);
			n++;
		}
		n++;
	} while (stepper_step(&sc->high));
	if (n > sc->most_counted)
		sc->most_counted = n;
}

static void at_every_instruction(const void *arg)
{
	const struct couple *c = arg;
	uint64_t bound, held, stride, length;
	struct scene sc;
	cpu_set_t one;

	begin(&sc, c);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one); /* beside the actor: quicker, and nobody hogs */
	pin(&sc, sched_getcpu());
	assert_int_equal(0, sched_setaffinity(0, sizeof(one), &one));
	bound = page_bound(call_names[c->call]);
	held = page_bound(HELD);
	begin_calls(&sc);
	assert_int_equal(MARK_BEGIN, stepper_run(&sc.high));
	assert_int_equal(MARK_END, stepper_run(&sc.high));
	assert_int_equal(MARK_BEGIN, stepper_run(&sc.low));
	assert_int_equal(MARK_END, stepper_run(&sc.low)); /* the first one has more to do */
	assert_int_equal(MARK_BEGIN, stepper_run(&sc.low));
	length = stepper_count(&sc.low);
	stride = length / PLACES + 1;
	for (uint64_t place = 0; place_low(&sc, place); place += stride, sc.places++) {
		if (sc.places % COUNTED == 0)
			count_high(&sc);
		else
			run_high(&sc);
		assert_int_equal(MARK_END, stepper_run(&sc.low));
	}
	assert_int_equal(MARK_END, stepper_run(&sc.high)); /* at the last place the low one was through */
	end_calls(&sc);
	print_message("%" PRIu64 " places in %" PRIu64 " instructions, the lock was held at %" PRIu64
		      ", for %" PRIu64 " more at most; %" PRIu64 " of the urgent one at most\n",
		      sc.places, length, sc.blocked, sc.most_held, sc.most_counted);
	assert_true(sc.places >= 10);
	assert_true(sc.most_held <= held);
	assert_true(sc.most_counted <= bound + (sc.blocked ? page_bound(LOOKS) : 0));
}

/* ---- with a hog ---- */

/* The first place at which the low one has the lock; UINT64_MAX: it never has. */
static uint64_t place_with_lock(struct scene *sc)
{
	for (uint64_t place = 0; place_low(sc, place); place += 5) {
		uint64_t blocked = sc->blocked;

		run_high(sc);
		assert_int_equal(MARK_END, stepper_run(&sc->low));
		if (sc->blocked > blocked)
			return place + 5; /* not at the very instruction that takes it */
	}
	assert_int_equal(MARK_END, stepper_run(&sc->high));
	return UINT64_MAX;
}

static void a_holder_inherits(const void *arg)
{
	const struct couple *c = arg;
	struct scene sc;
	uint64_t place;

	begin(&sc, c);
	pin(&sc, cpu_apart());
	become_urgent(&sc);
	begin_calls(&sc);
	place = place_with_lock(&sc);
	if (place == UINT64_MAX) {
		end_calls(&sc);
		story_skip("no lock in it");
	}
	assert_true(place_low(&sc, place));
	set(DONE, 0);
	stepper_leave(&sc.high);
	UNTIL(stepper_sleeps(&sc.high));
	lane_start(&sc.actor->lane[HOG], (struct step){ .run = run_hog });
	UNTIL(is_set(HOGGING));

	stepper_leave(&sc.low); /* may run; but will it, beside a hog? */
	set(GO, 1);
	EXPECT(0, lane_result(&sc.actor->lane[HOG])); /* -ETIME: the high one waited for the hog to end */

	assert_int_equal(MARK_END, stepper_run(&sc.high));
	assert_int_equal(MARK_END, stepper_run(&sc.low));
	end_calls(&sc);
}

/* ---- at random instants ---- */

static sem_t hog_wakes;

static int run_low(struct step *s)
{
	const struct path *p = &paths[s->slot];
	bool right = true;
	size_t size;

	while (!is_set(STOP)) {
		void *block[ROW] = { NULL };

		set(INSIDE, 1);
		for (int i = 0; i < ROW; i++)
			block[i] = p->get(s->n, &size);
		for (int i = 0; i < ROW; i++)
			right &= block[i] ? p->give(block[i], s->n) : p->may_fail;
		set(INSIDE, 0);
	}
	return right ? 0 : -EIO;
}

static int run_hog_often(struct step *s)
{
	(void)s;
	for (;;) {
		uint64_t turns = 0;

		while (sem_wait(&hog_wakes) < 0)
			;
		if (is_set(STOP))
			return 0;
		while (!is_set(DONE) && turns < HOG_TURNS)
			turns++;
		if (!is_set(DONE))
			set(STARVED, 1);
	}
}

static uint64_t times_waited(void)
{
	struct rusage now;

	(void)getrusage(RUSAGE_THREAD, &now);
	return (uint64_t)now.ru_nvcsw;
}

/* One call in the middle of whatever the low one does, with a hog that would run if it had to wait. */
static void call_once(const struct path *p, uint64_t random, void **block)
{
	uint64_t waited = times_waited(), waits;
	size_t size;

	if (*block) {
		if (!p->give(*block, random))
			set(WRONG, 1);
		*block = NULL;
	} else {
		*block = p->get(random, &size);
	}
	waits = times_waited() - waited;
	set(WAITED, atomic_load(&board->count[WAITED]) + waits);
	if (waits > atomic_load(&board->count[MOST_WAITS]))
		set(MOST_WAITS, waits);
}

static int run_high_often(struct step *s)
{
	const struct path *p = &paths[s->slot];
	struct timespec nap = { .tv_nsec = 0 };
	uint64_t seed = 3, faults;
	void *block[ROW] = { NULL };

	bring_program(false);
	set(FAULTS, 0); /* the board's page, too */
	(void)count_faults();
	faults = count_faults();
	for (int i = 0; i < 2 * WAKES && !is_set(STARVED); i++) {
		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		nap.tv_nsec = (long)(seed >> 40) % 50000;
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, NULL);
		set(MET, atomic_load(&board->count[MET]) + is_set(INSIDE));
		set(DONE, 0);
		(void)sem_post(&hog_wakes);
		call_once(p, s->n, &block[i % ROW]);
		set(DONE, 1);
	}
	set(FAULTS, count_faults() - faults);
	for (int i = 0; i < ROW; i++)
		if (block[i] && !p->give(block[i], s->n))
			set(WRONG, 1);
	set(STOP, 1);
	(void)sem_post(&hog_wakes);
	return 0;
}

static int run_hog_init(struct step *s)
{
	(void)s;
	return sem_init(&hog_wakes, 0, 0);
}

static void at_random_instants(const void *arg)
{
	const struct couple *c = arg;
	int (*const runs[])(struct step *s) = { [LOW] = run_low, [HIGH] = run_high_often,
						[HOG] = run_hog_often };
	struct scene sc;

	begin(&sc, c);
	EXPECT(0, lane_run(&sc.actor->lane[0], (struct step){ .run = run_hog_init }).result);
	pin(&sc, cpu_apart());
	become_urgent(&sc);
	for (int i = HOG; i >= LOW; i--)
		lane_start(&sc.actor->lane[i],
			   (struct step){ .run = runs[i], .slot = path_of(c), .n = c->random });
	for (int i = LOW; i <= HOG; i++)
		EXPECT(0, lane_result(&sc.actor->lane[i]));
	print_message("%d wake-ups, inside a call %" PRIu64 ", had to wait for the lock %" PRIu64 "\n",
		      2 * WAKES, atomic_load(&board->count[MET]), atomic_load(&board->count[WAITED]));
	assert_true(is_set(MET));
	assert_false(is_set(STARVED));
	assert_false(is_set(WRONG));
	assert_true(atomic_load(&board->count[MOST_WAITS]) <= 1);
	assert_int_equal(0, atomic_load(&board->count[FAULTS]));
}

/* Before the stage is taken down, nobody is stopped any more. */
static int end(void **state)
{
	stepper_abandon();
	return story_end(state);
}

/* ---- every test with every couple ---- */

int main(void)
{
	static const struct {
		const char *name;
		void (*test)(const void *couple);
	} trials[] = {
		{ "at_every_instruction", at_every_instruction },
		{ "a_holder_inherits", a_holder_inherits },
		{ "at_random_instants", at_random_instants },
	};
	static struct story_case cases[ARRAY_SIZE(trials) * ARRAY_SIZE(couples)];
	static struct CMUnitTest tests[ARRAY_SIZE(cases)];
	static char names[ARRAY_SIZE(cases)][96];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(trials); i++)
		for (size_t k = 0; k < ARRAY_SIZE(couples); k++) {
			if (trials[i].test == at_random_instants && couples[k].mode)
				continue; /* takes and gives anyway */
			(void)snprintf(names[n], sizeof(names[n]), "%s: %s", trials[i].name,
				       couples[k].text);
			cases[n] = (struct story_case){ trials[i].test, &couples[k] };
			tests[n] = (struct CMUnitTest)STORY_CASE(names[n], &cases[n]);
			tests[n].teardown_func = end;
			n++;
		}
	return _cmocka_run_group_tests("preempt", tests, n, NULL, NULL);
}
