/*
 * Story: a thread that is preempted inside a call does not hold up a more urgent one
 *
 * Two threads of a process use one object, on one CPU. The low one is stopped inside a call by a
 * stepper: it does not run at all, which is what a preempted thread does while anything more urgent
 * runs. Then the high one makes the same call. Either it comes to its end without the low one, or
 * it waits for the library's lock, and then the low one is let go on, by steps that are counted, until
 * it gives the lock: at most as many as docs/realtime.md says. The first is tried with the low one at
 * its first instruction, its second, and so on to its last.
 * That the scheduler lets it go on is another matter: it_inherit.c. Nothing is judged by a clock.
 */
#include <inttypes.h>
#include "config-heapd.h"
#include "tests/realtime/page.h"
#include "tests/realtime/scene.h"

/* A row of the page: of who finds a lock held. */
#define LOOKS "finding the lock held, besides"

#define PLACES 100      /* in a call at which the low one is stopped; all, if it has no more */
#define PLACES_LONG 20  /* in one of thousands of instructions */
#define PLACES_SLOW 12  /* in one of tens of thousands */
#define COUNTED 12      /* of them the high one's own instructions are counted at one in so many */

static void at_every_instruction(const void *arg)
{
	const struct couple *c = arg;
	uint64_t bound, held, stride, length;
	struct scene sc;
	cpu_set_t one;

	scene_begin(&sc, c);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one); /* beside the actor: quicker, and nobody hogs */
	scene_pin(&sc, sched_getcpu());
	assert_int_equal(0, sched_setaffinity(0, sizeof(one), &one));
	bound = page_call_bound(c->call);
	held = page_bound(c->held ? c->held : HELD);
	scene_begin_calls(&sc);
	assert_int_equal(MARK_BEGIN, stepper_run(&sc.low));
	assert_int_equal(MARK_END, stepper_run(&sc.low)); /* the first one has more to do */
	assert_int_equal(MARK_BEGIN, stepper_run(&sc.low));
	length = scene_count_low(&sc); /* and its sequences are known from now on */
	if (c->interrupted) {
		sc.low.sequences = SEQUENCES_ABORT;
		assert_int_equal(MARK_BEGIN, stepper_run(&sc.low));
		length = scene_count_low(&sc);
	}
	stride = length / (c->lock_free ? PLACES : c->low ? PLACES_SLOW : c->before ? PLACES_LONG : PLACES) + 1;
	for (uint64_t place = 0; scene_place_low(&sc, place); place += stride, sc.places++) {
		if (c->lock_free || sc.places % COUNTED == 0)
			scene_count_high(&sc);
		else
			scene_run_high(&sc);
		assert_int_equal(MARK_END, stepper_run(&sc.low));
	}
	assert_int_equal(MARK_END, stepper_run(&sc.high)); /* at the last place the low one was through */
	scene_end_calls(&sc);
	print_message("%" PRIu64 " places in %" PRIu64 " instructions, the lock was held at %" PRIu64
		      ", for %" PRIu64 " more at most; %" PRIu64 " of the urgent one at most, %" PRIu64 " barriers\n",
		      sc.places, length, sc.blocked, sc.most_held, sc.most_counted, sc.gathered);
	assert_true(sc.places >= 10);
	assert_true((sc.barriers > 0) == (c->barrier && own_rseq_area()));
	assert_true((sc.gathered > 0) == c->gathers);
	assert_true((sc.low.aborted > 0) == c->interrupted);
	assert_true(length >= c->least);
	assert_true(!c->lock_free || !sc.blocked);
	assert_true(sc.most_held <= held);
	assert_true(sc.most_counted <= bound + (sc.blocked ? page_bound(LOOKS) : 0));
}

int main(void)
{
	static const struct {
		const struct couple *couple;
		const size_t *n;
	} all[] = { { couples, &n_couples }, { slow_couples, &n_slow_couples }, { partition_couples, &n_partition_couples } };
	static struct story_case cases[50];
	static struct CMUnitTest tests[ARRAY_SIZE(cases)];
	static char names[ARRAY_SIZE(cases)][96];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		for (size_t k = 0; k < *all[i].n; k++) {
			const struct couple *c = &all[i].couple[k];

			if ((c->at_hand && !own_rseq_area()) || (c->interrupted && STRICT_FREES))
				continue; /* nothing is at hand; or no free holds the gate */
			if (n == ARRAY_SIZE(cases))
				abort(); /* no other is left out */
			(void)snprintf(names[n], sizeof(names[n]), "at_every_instruction: %s", c->text);
			cases[n] = (struct story_case){ at_every_instruction, c };
			tests[n] = (struct CMUnitTest)STORY_CASE(names[n], &cases[n]);
			tests[n++].teardown_func = scene_end;
		}
	return _cmocka_run_group_tests("preempt", tests, n, NULL, NULL);
}
