/*
 * Story: who holds a lock that a more urgent thread waits for inherits its priority
 *
 * Three threads of a process under SCHED_FIFO, on one CPU: the low one holds the library's lock, the high
 * one waits for it, and a hog of middle priority would keep the low one from ever giving it, if it
 * did not inherit. Once with the low one stopped just there (scene.h), and then with wake-ups at
 * random instants and no stepper around. Nothing is judged by a clock: by whose turn it was, and by
 * context switches.
 */
#include <inttypes.h>
#include <semaphore.h>
#include <sys/resource.h>
#include "tests/realtime/scene.h"
#include "tests/realtime/trap.h"

#define WAKES 8000
#define ROW 60              /* blocks taken in a row, so that what a CPU has at hand runs out now and then */
#define HOG_TURNS 100000000 /* how long a hog hogs when nobody stops it: long, but it ends */

static const int priorities[] = { [LOW] = 10, [HIGH] = 30, [HOG] = 20 };

/* ---- the stage ---- */

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
	cpu_set_t all = scene_cpus;
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

/* ---- with a hog ---- */

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

/* The first place at which the low one has the lock; UINT64_MAX: it never has. */
static uint64_t place_with_lock(struct scene *sc)
{
	for (uint64_t place = 0; scene_place_low(sc, place); place += 5) {
		uint64_t blocked = sc->blocked;

		scene_run_high(sc);
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

	scene_begin(&sc, c);
	scene_pin(&sc, cpu_apart());
	become_urgent(&sc);
	scene_begin_calls(&sc);
	place = place_with_lock(&sc);
	if (place == UINT64_MAX) {
		scene_end_calls(&sc);
		story_skip("no lock in it");
	}
	assert_true(scene_place_low(&sc, place));
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
	scene_end_calls(&sc);
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
	for (int i = 0; i < WAKES && !is_set(STARVED); i++) {
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

	scene_begin(&sc, c);
	EXPECT(0, lane_run(&sc.actor->lane[0], (struct step){ .run = run_hog_init }).result);
	scene_pin(&sc, cpu_apart());
	become_urgent(&sc);
	for (int i = HOG; i >= LOW; i--)
		lane_start(&sc.actor->lane[i],
			   (struct step){ .run = runs[i], .slot = path_of(c), .n = c->random });
	for (int i = LOW; i <= HOG; i++)
		EXPECT(0, lane_result(&sc.actor->lane[i]));
	print_message("%d wake-ups, inside a call %" PRIu64 ", had to wait for the lock %" PRIu64 "\n",
		      WAKES, atomic_load(&board->count[MET]), atomic_load(&board->count[WAITED]));
	assert_true(is_set(MET));
	assert_false(is_set(STARVED));
	assert_false(is_set(WRONG));
	assert_true(atomic_load(&board->count[MOST_WAITS]) <= 1);
	assert_int_equal(0, atomic_load(&board->count[FAULTS]));
}

int main(void)
{
	static const struct {
		const char *name;
		void (*test)(const void *couple);
	} trials[] = {
		{ "a_holder_inherits", a_holder_inherits },
		{ "at_random_instants", at_random_instants },
	};
	static struct story_case cases[32];
	static struct CMUnitTest tests[ARRAY_SIZE(cases)];
	static char names[ARRAY_SIZE(cases)][96];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(trials); i++)
		for (size_t k = 0; k < n_couples && n < ARRAY_SIZE(cases); k++) {
			bool random = trials[i].test == at_random_instants;

			if (random && (couples[k].gives || couples[k].before))
				continue; /* takes and gives anyway */
			(void)snprintf(names[n], sizeof(names[n]), "%s: %s", trials[i].name,
				       couples[k].text);
			cases[n] = (struct story_case){ trials[i].test, &couples[k] };
			tests[n] = (struct CMUnitTest)STORY_CASE(names[n], &cases[n]);
			tests[n].teardown_func = scene_end;
			n++;
		}
	return _cmocka_run_group_tests("inherit", tests, n, NULL, NULL);
}
