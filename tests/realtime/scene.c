/*
 * scene.c: see scene.h
 */
#include "tests/realtime/scene.h"

#include <inttypes.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include "tests/realtime/marks.h"
#include "tests/story/pool_steps.h"

#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif

#define UNENDING 200000 /* instructions: a call of the high one that has more waits for the low one, and turns round */

const struct couple couples[] = {
	{ .text = "rt_heap_alloc", .path = "a local heap", .random = 1 << 10 | 2,
	  .call = CALL_HEAP_ALLOC },
	{ .text = "the first rt_heap_alloc of a heap", .path = "a local heap", .random = 1 << 10 | 2,
	  .call = CALL_HEAP_ALLOC, .before = renew_heap },
	{ .text = "rt_heap_free", .path = "a local heap", .gives = true, .random = 1 << 10 | 2,
	  .call = CALL_HEAP_FREE },
	{ .text = "rt_heap_alloc of a run", .path = "a named heap", .random = 1,
	  .call = CALL_HEAP_ALLOC_RUN },
	{ .text = "rt_heap_free of a run", .path = "a named heap", .gives = true, .random = 1,
	  .call = CALL_HEAP_FREE_RUN },
	{ .text = "pt_getblock", .path = "a partition", .random = 1,
	  .call = CALL_PT_GET, .lock_free = true },
	{ .text = "pt_freeblock", .path = "a partition", .gives = true, .random = 1,
	  .call = CALL_PT_FREE, .lock_free = true },
	{ .text = "shared_multi_heap_alloc", .path = "the shared multi-heap", .random = 1 << 10 | 2 << 5 | 1,
	  .call = CALL_REGION_ALLOC },
	{ .text = "shared_multi_heap_free", .path = "the shared multi-heap", .gives = true, .random = 1 << 10 | 2 << 5 | 1,
	  .call = CALL_REGION_FREE },
	{ .text = "k_malloc", .path = "the heap memory pool", .random = 100 << 8 | 1 << 4 | 2,
	  .call = CALL_POOL_MALLOC },
	{ .text = "k_free", .path = "the heap memory pool", .gives = true, .random = 100 << 8 | 1 << 4 | 1,
	  .call = CALL_POOL_FREE },
};
const size_t n_couples = ARRAY_SIZE(couples);

int path_of(const struct couple *c)
{
	int i = 0;

	while (strcmp(paths[i].name, c->path) != 0)
		i++;
	return i;
}

/* ---- in the actor ---- */

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

int renew_heap(void)
{
	int r = rt_heap_delete(&self.heap[0]);

	if (r == 0)
		r = rt_heap_unbind(&self.heap[0]);
	return r ? r : rt_heap_create(&self.heap[0], NULL, (size_t)4 << 20, H_FIFO);
}

/*
 * Calls between marks, again and again, as .n (the address of a couple) says. .value: it is the high one.
 */
static int run_calls(struct step *s)
{
	const struct couple *c = (const struct couple *)(uintptr_t)s->n; /* a fork's addresses are its parent's */
	const struct path *p = &paths[path_of(c)];
	void *block = NULL;
	bool right = true;
	size_t size;

	marking = MARKING_STEPS;
	while (!is_set(STOP)) {
		if (c->before && !s->value)
			right &= c->before() == 0;
		if (c->low && !s->value) {
			mark_begin(0);
			right &= c->low();
			mark_end();
			continue;
		}
		if (c->gives)
			block = p->get(c->random, &size);
		if (s->value)
			set(READY, 1);
		if (c->gives) {
			mark_begin(0);
			right &= p->give(block, c->random);
		} else {
			mark_begin(0);
			block = p->get(c->random, &size);
		}
		if (s->value)
			set(DONE, 1);
		mark_end();
		right &= block || c->refused;
		if (!c->gives && block)
			right &= p->give(block, c->random);
	}
	mark_last();
	return right ? 0 : -EIO;
}

/* ---- in the test ---- */

cpu_set_t scene_cpus;

void scene_begin(struct scene *sc, const struct couple *c)
{
	if (STORY_SANITIZED)
		story_skip("a sanitizer has instructions and locks of its own");
	if (!CPU_COUNT(&scene_cpus))
		assert_int_equal(0, sched_getaffinity(0, sizeof(scene_cpus), &scene_cpus));
	if (c->two_cpus && CPU_COUNT(&scene_cpus) < 2)
		story_skip("what lies at hand of another CPU needs another CPU");
	assert_int_equal(0, sched_setaffinity(0, sizeof(scene_cpus), &scene_cpus));
	(void)alarm(STEPPING_S);
	heapd_start("");
	pool_environment("16384");
	*sc = (struct scene){ .couple = c, .actor = actor_new(3) };
	EXPECT(0, lane_run(&sc->actor->lane[0],
			   (struct step){ .run = run_prepare, .slot = path_of(c) })
			  .result);
}

void scene_pin(struct scene *sc, int cpu)
{
	for (int i = LOW; i <= HOG; i++)
		EXPECT(0, lane_run(&sc->actor->lane[i], (struct step){ .run = run_pin, .n = (uint64_t)cpu })
				  .result);
}

void scene_begin_calls(struct scene *sc)
{
	struct step s = { .run = run_calls, .n = (uint64_t)(uintptr_t)sc->couple };

	if (stepper_attach(&sc->low, sc->actor->lane[LOW].tid) < 0 ||
	    stepper_attach(&sc->high, sc->actor->lane[HIGH].tid) < 0)
		story_skip("ptrace is not permitted here");
	s.value = 1;
	lane_start(&sc->actor->lane[HIGH], s);
	UNTIL(is_set(READY)); /* it has the block that it gives back first, whatever the low one takes */
	s.value = 0;
	lane_start(&sc->actor->lane[LOW], s);
}

void scene_end_calls(struct scene *sc)
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

uint64_t scene_count_low(struct scene *sc)
{
	struct stepper_call call;
	uint64_t n = 0;

	do {
		sc->barriers += stepper_at_call(&sc->low, &call) && call.number == SYS_membarrier;
		n++;
	} while (stepper_step(&sc->low));
	return n;
}

bool scene_place_low(struct scene *sc, uint64_t place)
{
	assert_int_equal(MARK_BEGIN, stepper_run(&sc->high));
	assert_int_equal(MARK_BEGIN, stepper_run(&sc->low));
	for (uint64_t i = 0; i < place; i++)
		if (!stepper_step(&sc->low))
			return false;
	stepper_preempt(&sc->low);
	return true;
}

static uint64_t futex_command(const struct stepper_call *call)
{
	return call->number == SYS_futex ? call->args[1] & (uint64_t)FUTEX_CMD_MASK : UINT64_MAX;
}

/* The high one waits for the lock: its priority is inherited, or this is no such call. */
static void expect_inheriting(const struct stepper_call *call)
{
	uint64_t command = futex_command(call);

	if (command != FUTEX_LOCK_PI && command != FUTEX_LOCK_PI2)
		print_error("system call %" PRIu64 " (futex command %" PRIu64 ") in a hot path\n",
			    call->number, command);
	assert_true(command == FUTEX_LOCK_PI || command == FUTEX_LOCK_PI2);
}

/* The high one sleeps. The low one goes on until it has given the lock; a barrier may be on its way. */
static void let_low_give(struct scene *sc)
{
	struct stepper_call call;
	uint64_t n = 0;

	UNTIL(stepper_sleeps(&sc->high));
	while (!stepper_at_call(&sc->low, &call) || (sc->couple->barrier && call.number == SYS_membarrier)) {
		assert_true(stepper_step(&sc->low));
		n++;
	}
	assert_int_equal(FUTEX_UNLOCK_PI, futex_command(&call));
	assert_true(stepper_step(&sc->low));
	if (n > sc->most_held)
		sc->most_held = n;
	sc->blocked++;
}

/* The high one is before a system call: whether it is the one barrier that a call of its couple may make. */
static bool gathers(struct scene *sc, const struct stepper_call *call, unsigned *barriers)
{
	if (!sc->couple->gathers || call->number != SYS_membarrier)
		return false;
	sc->gathered++;
	assert_int_equal(0, (*barriers)++);
	return true;
}

/* The high one's call, at full speed but for system calls. */
void scene_run_high(struct scene *sc)
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
void scene_count_high(struct scene *sc)
{
	struct stepper_call call;
	unsigned barriers = 0;
	uint64_t n = 0;

	do {
		while (stepper_at_call(&sc->high, &call)) {
			stepper_start(&sc->high);
			if (!gathers(sc, &call, &barriers) && futex_command(&call) != FUTEX_UNLOCK_PI) {
				expect_inheriting(&call);
				let_low_give(sc);
			}
			stepper_finish(&sc->high);
			n++;
		}
		assert_true(n++ < UNENDING);
	} while (stepper_step(&sc->high));
	if (n > sc->most_counted)
		sc->most_counted = n;
}

int scene_end(void **state)
{
	stepper_abandon();
	return story_end(state);
}
