/* The event loop, and the heap of deadlines below it. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <cmocka.h>
#include "daemon/loop.h"
#include "daemon/timers.h"

/* ---- timers.c against a sorted model ---- */

#define N_TIMERS 64

static uint64_t random_state = 42;

static uint32_t random_below(uint32_t n)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % n;
}

static void test_timers_model(void **state)
{
	struct timers ts = TIMERS_NULL;
	struct timer t[N_TIMERS];

	(void)state;
	for (int i = 0; i < N_TIMERS; i++) {
		t[i] = (struct timer)TIMER_NULL;
		assert_int_equal(0, timers_reserve(&ts));
	}
	for (int step = 0; step < 100000; step++) {
		struct timer *it = &t[random_below(N_TIMERS)], *first = NULL;

		if (random_below(3))
			timers_set(&ts, it, random_below(100));
		else
			timers_unset(&ts, it);
		assert_int_equal(0, timers_check(&ts));
		for (int i = 0; i < N_TIMERS; i++)
			if (t[i].place != TIMER_UNSET && (!first || t[i].at_ns < first->at_ns))
				first = &t[i];
		assert_int_equal(!first, !timers_first(&ts));
		if (first)
			assert_int_equal(first->at_ns, timers_first(&ts)->at_ns);
	}
	for (int i = 0; i < N_TIMERS; i++) {
		timers_unset(&ts, &t[i]);
		timers_unreserve(&ts);
	}
	assert_null(timers_first(&ts));
	timers_deinit(&ts);
	timers_deinit(&ts);
}

static void test_timers_check_sees(void **state)
{
	struct timers ts = TIMERS_NULL;
	struct timer a = TIMER_NULL, b = TIMER_NULL;

	(void)state;
	assert_int_equal(0, timers_reserve(&ts));
	assert_int_equal(0, timers_reserve(&ts));
	timers_set(&ts, &a, 1);
	timers_set(&ts, &b, 2);
	a.at_ns = 3;
	assert_int_equal(-EUCLEAN, timers_check(&ts));
	a.at_ns = 1;
	b.place = 0;
	assert_int_equal(-EUCLEAN, timers_check(&ts));
	timers_deinit(&ts);
}

/* ---- the loop ---- */

struct world {
	struct loop *loop;
	struct loop_io *io[2];
	struct loop_timer *timer[3];
	struct loop_signal *signal;
	int fd[2];
	int calls[3];
	char order[16];
	uint64_t armed_ns, ran_ns;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w || loop_new(&w->loop) < 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		w->fd[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (w->fd[i] < 0)
			return -1;
	}
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 2; i++) {
		loop_io_free(w->io[i]);
		close_fd(&w->fd[i]);
	}
	for (int i = 0; i < 3; i++)
		loop_timer_free(w->timer[i]);
	loop_signal_free(w->signal);
	loop_free(w->loop);
	free(w);
	return 0;
}

static void ready(int fd)
{
	const uint64_t one = 1;

	assert_int_equal(sizeof(one), write(fd, &one, sizeof(one)));
}

static void stop(void *ctx)
{
	struct world *w = ctx;

	loop_stop(w->loop);
}

/* The loop runs for so long, however idle. */
static void run_for(struct world *w, uint64_t ns)
{
	struct loop_timer *end;

	assert_int_equal(0, loop_timer_new(&end, w->loop, stop, w));
	assert_int_equal(0, loop_timer_set(end, ns));
	assert_int_equal(0, loop_run(w->loop));
	loop_timer_free(end);
}

static void read_one(void *ctx, unsigned what)
{
	struct world *w = ctx;
	uint64_t n;

	assert_int_equal(LOOP_READ, what);
	assert_int_equal(sizeof(n), read(w->fd[0], &n, sizeof(n)));
	w->calls[0]++;
}

static void test_io_level_triggered(void **state)
{
	struct world *w = *state;

	assert_int_equal(0, loop_io_new(&w->io[0], w->loop, w->fd[0], LOOP_READ, read_one, w));
	run_for(w, 2 * NSEC_PER_MSEC);
	assert_int_equal(0, w->calls[0]);
	ready(w->fd[0]);
	run_for(w, 2 * NSEC_PER_MSEC);
	assert_int_equal(1, w->calls[0]);

	assert_int_equal(0, loop_io_set(w->io[0], 0)); /* paused: nothing is lost */
	ready(w->fd[0]);
	run_for(w, 2 * NSEC_PER_MSEC);
	assert_int_equal(1, w->calls[0]);
	assert_int_equal(0, loop_io_set(w->io[0], LOOP_READ));
	run_for(w, 2 * NSEC_PER_MSEC);
	assert_int_equal(2, w->calls[0]);
}

static void count_write(void *ctx, unsigned what)
{
	struct world *w = ctx;

	w->calls[what & LOOP_READ ? 1 : 0]++;
	if (w->calls[0] == 3)
		assert_int_equal(0, loop_io_set(w->io[0], LOOP_READ)); /* from inside its own callback */
}

static void test_io_write(void **state)
{
	struct world *w = *state;

	assert_int_equal(0, loop_io_new(&w->io[0], w->loop, w->fd[0], LOOP_READ | LOOP_WRITE, count_write, w));
	run_for(w, 2 * NSEC_PER_MSEC);
	assert_int_equal(3, w->calls[0]);
	assert_int_equal(0, w->calls[1]);
}

static void hang_up(void *ctx, unsigned what)
{
	struct world *w = ctx;

	assert_int_equal(LOOP_READ, what);
	w->calls[0]++;
	w->io[0] = loop_io_free(w->io[0]);
	loop_stop(w->loop);
}

static void test_io_hang_up_is_ready(void **state)
{
	struct world *w = *state;
	int p[2];

	assert_int_equal(0, pipe2(p, O_CLOEXEC));
	assert_int_equal(0, loop_io_new(&w->io[0], w->loop, p[0], LOOP_READ, hang_up, w));
	close_fd(&p[1]);
	run_for(w, NSEC_PER_SEC);
	assert_int_equal(1, w->calls[0]);
	close_fd(&p[0]);
}

/* Both are ready; whichever comes first frees both. The other must not run. */
static void free_both(void *ctx, _unused_ unsigned what)
{
	struct world *w = ctx;

	w->calls[0]++;
	w->io[0] = loop_io_free(w->io[0]);
	w->io[1] = loop_io_free(w->io[1]);
}

static void test_io_freed_by_another(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 2; i++) {
		ready(w->fd[i]);
		assert_int_equal(0, loop_io_new(&w->io[i], w->loop, w->fd[i], LOOP_READ, free_both, w));
	}
	run_for(w, 2 * NSEC_PER_MSEC);
	assert_int_equal(1, w->calls[0]);
}

static void test_io_bad_fd(void **state)
{
	struct world *w = *state;
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	assert_true(file >= 0);
	assert_int_equal(-EPERM, loop_io_new(&w->io[0], w->loop, file, LOOP_READ, read_one, w));
	assert_null(w->io[0]);
	close_fd(&file);
}

static void append(struct world *w, char c)
{
	w->order[strlen(w->order)] = c;
}

static void say_a(void *ctx) { append(ctx, 'a'); }
static void say_b(void *ctx) { append(ctx, 'b'); }
static void say_c(void *ctx) { append(ctx, 'c'); }

static void test_timers_in_order(void **state)
{
	struct world *w = *state;
	void (*const say[])(void *) = { say_a, say_b, say_c };

	for (int i = 0; i < 3; i++)
		assert_int_equal(0, loop_timer_new(&w->timer[i], w->loop, say[i], w));
	assert_int_equal(0, loop_timer_set(w->timer[0], 3 * NSEC_PER_MSEC));
	assert_int_equal(0, loop_timer_set(w->timer[1], NSEC_PER_MSEC));
	assert_int_equal(0, loop_timer_set(w->timer[2], 2 * NSEC_PER_MSEC));
	run_for(w, 20 * NSEC_PER_MSEC);
	assert_string_equal("bca", w->order);

	assert_int_equal(0, loop_timer_set(w->timer[0], NSEC_PER_MSEC));
	assert_int_equal(0, loop_timer_set(w->timer[1], NSEC_PER_MSEC));
	loop_timer_unset(w->timer[0]);
	assert_int_equal(0, loop_timer_set(w->timer[1], 2 * NSEC_PER_MSEC)); /* anew: runs once */
	assert_int_equal(0, loop_timer_set(w->timer[2], UINT64_MAX));        /* never */
	run_for(w, 20 * NSEC_PER_MSEC);
	assert_string_equal("bcab", w->order);
}

static void note_time(void *ctx)
{
	struct world *w = ctx;

	w->ran_ns = now_ns();
	loop_stop(w->loop);
}

/* Never early; and the coarse clock's 4 to 10 ms would show in the best of several. */
static void test_timer_is_precise(void **state)
{
	struct world *w = *state;
	uint64_t best = UINT64_MAX;

	assert_int_equal(0, loop_timer_new(&w->timer[0], w->loop, note_time, w));
	for (int i = 0; i < 20; i++) {
		w->armed_ns = now_ns();
		assert_int_equal(0, loop_timer_set(w->timer[0], 1500000));
		assert_int_equal(0, loop_run(w->loop));
		assert_true(w->ran_ns - w->armed_ns >= 1500000);
		best = min_u64(best, w->ran_ns - w->armed_ns);
	}
	assert_true(best < 2500000);
}

static void again(void *ctx)
{
	struct world *w = ctx;

	w->calls[1]++;
	assert_int_equal(0, loop_timer_set(w->timer[0], 0));
	if (w->calls[1] == 2)
		ready(w->fd[0]);
	if (w->calls[0])
		loop_stop(w->loop);
}

static void test_deferred_call_does_not_starve(void **state)
{
	struct world *w = *state;

	assert_int_equal(0, loop_io_new(&w->io[0], w->loop, w->fd[0], LOOP_READ, read_one, w));
	assert_int_equal(0, loop_timer_new(&w->timer[0], w->loop, again, w));
	assert_int_equal(0, loop_timer_set(w->timer[0], 0));
	assert_int_equal(0, loop_run(w->loop));
	assert_int_equal(1, w->calls[0]);
	assert_true(w->calls[1] <= 5); /* one turn for each */
}

/* A sooner timer while the alarm is set for a later one, and the other way round. */
static void arm_sooner(void *ctx)
{
	struct world *w = ctx;

	append(w, 'x');
	assert_int_equal(0, loop_timer_set(w->timer[1], NSEC_PER_MSEC));
}

static void say_c_and_stop(void *ctx)
{
	append(ctx, 'c');
	stop(ctx);
}

static void test_timer_sooner_than_alarm(void **state)
{
	struct world *w = *state;

	assert_int_equal(0, loop_timer_new(&w->timer[0], w->loop, arm_sooner, w));
	assert_int_equal(0, loop_timer_new(&w->timer[1], w->loop, say_b, w));
	assert_int_equal(0, loop_timer_new(&w->timer[2], w->loop, say_c_and_stop, w));
	assert_int_equal(0, loop_timer_set(w->timer[2], NSEC_PER_SEC));
	assert_int_equal(0, loop_timer_set(w->timer[0], NSEC_PER_MSEC));
	run_for(w, 15 * NSEC_PER_MSEC);
	assert_string_equal("xb", w->order);
	assert_int_equal(0, loop_run(w->loop));
	assert_string_equal("xbc", w->order);
}

static void free_self_and_next(void *ctx)
{
	struct world *w = ctx;

	append(w, 'f');
	w->timer[0] = loop_timer_free(w->timer[0]);
	w->timer[1] = loop_timer_free(w->timer[1]);
}

static void test_timer_freed_in_callback(void **state)
{
	struct world *w = *state;

	assert_int_equal(0, loop_timer_new(&w->timer[0], w->loop, free_self_and_next, w));
	assert_int_equal(0, loop_timer_new(&w->timer[1], w->loop, say_b, w));
	assert_int_equal(0, loop_timer_set(w->timer[0], 0));
	assert_int_equal(0, loop_timer_set(w->timer[1], 0));
	run_for(w, 2 * NSEC_PER_MSEC);
	assert_string_equal("f", w->order);
}

static void on_signal(void *ctx)
{
	struct world *w = ctx;

	w->calls[0]++;
	w->signal = loop_signal_free(w->signal);
	loop_stop(w->loop);
}

static void test_signal(void **state)
{
	struct world *w = *state;

	assert_int_equal(0, loop_signal_new(&w->signal, w->loop, SIGUSR1, on_signal, w));
	assert_int_equal(0, raise(SIGUSR1));
	assert_int_equal(0, w->calls[0]); /* not in the handler */
	run_for(w, NSEC_PER_SEC);
	assert_int_equal(1, w->calls[0]);
}

static void count_activity(void *ctx)
{
	struct world *w = ctx;

	assert_int_equal(0, w->calls[0]); /* before the callback */
	w->calls[1]++;
}

static void test_activity_once(void **state)
{
	struct world *w = *state;

	assert_int_equal(0, loop_io_new(&w->io[0], w->loop, w->fd[0], LOOP_READ, read_one, w));
	loop_on_activity(w->loop, count_activity, w);
	run_for(w, 2 * NSEC_PER_MSEC); /* timers are no activity */
	assert_int_equal(0, w->calls[1]);
	for (int i = 0; i < 2; i++) {
		ready(w->fd[0]);
		run_for(w, 2 * NSEC_PER_MSEC);
	}
	assert_int_equal(2, w->calls[0]);
	assert_int_equal(1, w->calls[1]);
}

/* ---- dear descriptors ---- */

/* Appends a letter to the order; the last place ends the loop. */
static void note(struct world *w, char letter)
{
	size_t n = strlen(w->order);

	if (n + 1 < sizeof(w->order))
		w->order[n] = letter;
	if (n + 2 >= sizeof(w->order))
		loop_stop(w->loop);
}

static void note_a(void *ctx, _unused_ unsigned what)
{
	note(ctx, 'a');
}

static void note_b(void *ctx, _unused_ unsigned what)
{
	note(ctx, 'b');
}

static void note_cheap(void *ctx, _unused_ unsigned what)
{
	note(ctx, '.');
}

/* All are ready all the time: the dear ones in turn, and never one right behind another. */
static void test_dear_one_in_a_turn(void **state)
{
	struct world *w = *state;
	struct loop_io *cheap;
	int fd = eventfd(1, EFD_CLOEXEC);

	assert_int_equal(0, loop_io_new(&w->io[0], w->loop, w->fd[0], LOOP_READ, note_a, w));
	assert_int_equal(0, loop_io_new(&w->io[1], w->loop, w->fd[1], LOOP_READ, note_b, w));
	assert_int_equal(0, loop_io_new(&cheap, w->loop, fd, LOOP_READ, note_cheap, w));
	loop_io_dear(w->io[0], true);
	loop_io_dear(w->io[1], true);
	ready(w->fd[0]);
	ready(w->fd[1]);
	run_for(w, NSEC_PER_SEC);
	assert_int_equal(sizeof(w->order) - 1, strlen(w->order));
	for (size_t i = 1; i < strlen(w->order); i++)
		assert_true(w->order[i - 1] == '.' || w->order[i] == '.');
	assert_null(strstr(w->order, "a.a."));
	assert_null(strstr(w->order, "b.b."));
	assert_non_null(strchr(w->order, 'a'));
	assert_non_null(strchr(w->order, 'b'));
	loop_io_free(cheap);
	close_fd(&fd);
}

/* The first to come sees the other wait, and frees or pauses it. */
static void free_the_other(void *ctx, _unused_ unsigned what)
{
	struct world *w = ctx;

	w->calls[0]++;
	w->io[1] = loop_io_free(w->io[1]);
	assert_int_equal(0, loop_io_set(w->io[0], 0));
}

static void pause_the_other(void *ctx, _unused_ unsigned what)
{
	struct world *w = ctx;

	w->calls[0]++;
	assert_int_equal(0, loop_io_set(w->io[1], 0));
	assert_int_equal(0, loop_io_set(w->io[0], 0));
}

static void must_not_run(void *ctx, _unused_ unsigned what)
{
	struct world *w = ctx;

	w->calls[1]++;
}

static void dear_and_the_other(struct world *w, void (*first)(void *ctx, unsigned what))
{
	assert_int_equal(0, loop_io_new(&w->io[0], w->loop, w->fd[0], LOOP_READ, first, w));
	assert_int_equal(0, loop_io_new(&w->io[1], w->loop, w->fd[1], LOOP_READ, must_not_run, w));
	loop_io_dear(w->io[0], true);
	loop_io_dear(w->io[1], true);
	ready(w->fd[0]);
	ready(w->fd[1]);
	run_for(w, 5 * NSEC_PER_MSEC);
	assert_int_equal(1, w->calls[0]);
	assert_int_equal(0, w->calls[1]);
}

static void test_dear_freed_while_it_waits(void **state)
{
	dear_and_the_other(*state, free_the_other);
}

static void test_dear_paused_while_it_waits(void **state)
{
	struct world *w = *state;

	dear_and_the_other(w, pause_the_other);
	assert_int_equal(0, loop_io_set(w->io[1], LOOP_READ)); /* nothing was lost */
	loop_io_dear(w->io[1], false);
	run_for(w, 2 * NSEC_PER_MSEC);
	assert_true(w->calls[1] > 0);
}

#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timers_model),
		cmocka_unit_test(test_timers_check_sees),
		LOOP_TEST(test_io_level_triggered),
		LOOP_TEST(test_io_write),
		LOOP_TEST(test_io_hang_up_is_ready),
		LOOP_TEST(test_io_freed_by_another),
		LOOP_TEST(test_io_bad_fd),
		LOOP_TEST(test_timers_in_order),
		LOOP_TEST(test_timer_is_precise),
		LOOP_TEST(test_deferred_call_does_not_starve),
		LOOP_TEST(test_timer_sooner_than_alarm),
		LOOP_TEST(test_timer_freed_in_callback),
		LOOP_TEST(test_signal),
		LOOP_TEST(test_activity_once),
		LOOP_TEST(test_dear_one_in_a_turn),
		LOOP_TEST(test_dear_freed_while_it_waits),
		LOOP_TEST(test_dear_paused_while_it_waits),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
