/*
 * Story: alloc and free of the shared multi-heap make no system call and take no page fault, from
 * the first operation on
 *
 * Five regions of both attributes and both origins, some of them full, bad pointers among the good
 * ones. See trap.h for how it is proved.
 */
#include <sys/syscall.h>
#include <sys/wait.h>
#include "tests/story/multiheap.h"
#include "tests/story/trap.h"

#define LIVE 256
#define TURNS 300000
#define OWN_BYTES 300000

/* A random mix over a set of live blocks; a bad free now and then. How often it was wrong. touch:
 * every byte of a block of heapd's memory (own memory is its owner's business). */
static uint64_t churn(uint64_t turns, bool touch)
{
	static void *live[LIVE];
	uintptr_t own = (uintptr_t)self.block[0];
	uint64_t seed = 99, bad = 0;

	for (uint64_t i = 0; i < turns; i++) {
		enum shared_multi_heap_attr attr;
		size_t k, size, align;

		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		k = (seed >> 33) % LIVE;
		if ((seed >> 42) % 64 == 0)
			shared_multi_heap_free((char *)live + k); /* in no region */
		if (live[k]) {
			shared_multi_heap_free(live[k]);
			if ((seed >> 45) % 16 == 0)
				shared_multi_heap_free(live[k]);
			live[k] = NULL;
			continue;
		}
		attr = (seed >> 50) % 2 ? CACHED : UNCACHED;
		align = (size_t)1 << (seed >> 51) % 13;
		size = (size_t)1 << (4 + (seed >> 55) % 9);
		live[k] = (seed >> 60) % 2 ? shared_multi_heap_alloc(attr, size) :
					     shared_multi_heap_aligned_alloc(attr, align, size);
		bad += !live[k] && attr == CACHED; /* of the other kind there is little */
		if (live[k] && touch && (uintptr_t)live[k] - own >= OWN_BYTES)
			memset(live[k], 1, size);
	}
	for (size_t k = 0; k < LIVE; k++) {
		shared_multi_heap_free(live[k]);
		live[k] = NULL;
	}
	return bad;
}

static int run_without_system_calls(struct step *s)
{
	int r = forbid_system_calls();

	if (r)
		return r;
	atomic_store(&board->count[0], 1);
	if (s->mode)
		(void)syscall(SYS_getppid); /* the trial of the trap */
	atomic_store(&board->count[1], churn(TURNS, false));
	atomic_store(&board->count[2], 1);
	(void)syscall(SYS_exit_group, 0);
	return 0;
}

static int run_counting_faults(struct step *s)
{
	uint64_t before, bad;

	memset(s->text, 0, sizeof(s->text));
	/* the first call of a function that the linker has yet to find is no fault of ours */
	if (shared_multi_heap_alloc(SMH_REG_ATTR_NUM, 1) ||
	    shared_multi_heap_aligned_alloc(SMH_REG_ATTR_NUM, 1, 1))
		return -EPROTO;
	shared_multi_heap_free(NULL);
	(void)churn(0, false);
	(void)count_faults();
	before = count_faults();
	bad = churn(TURNS, true);
	s->value = count_faults() - before;
	return bad ? -EIO : 0;
}

static struct lane *lane_with_regions(void)
{
	struct lane *l = lane_new();

	EXPECT(0, do_pool_init(l));
	own_memory(l, 0, OWN_BYTES, false);
	EXPECT(0, do_add(l, CACHED, 1, 4096));
	EXPECT(0, do_add_own(l, CACHED, 0, 8, OWN_BYTES - 8));
	EXPECT(0, do_add(l, UNCACHED, 2, 20000));
	EXPECT(0, do_add(l, CACHED, 3, 4 << 20));
	EXPECT(0, do_add(l, UNCACHED, 4, 100000));
	return l;
}

static void needs_plain_build(void)
{
	if (STORY_SANITIZED)
		story_skip("a sanitizer makes system calls and faults of its own");
}

static void run_in_the_trap(bool trial)
{
	struct lane *l;
	int status;

	needs_plain_build();
	heapd_start("");
	l = lane_with_regions();
	lane_start(l, (struct step){ .run = run_without_system_calls, .mode = trial });
	status = actor_wait(l->actor);
	if (!atomic_load(&board->count[0]))
		story_skip("seccomp filters are not permitted here");
	if (trial) {
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
		assert_int_equal(0, atomic_load(&board->count[2]));
		return;
	}
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(1, atomic_load(&board->count[2]));
	assert_int_equal(0, atomic_load(&board->count[1]));
}

static void the_trap_works(void)
{
	run_in_the_trap(true);
}

static void no_system_call(void)
{
	run_in_the_trap(false);
}

/* The kernel itself may take a page of the thread away now and then: one clean run of three. */
static void no_fault(void)
{
	uint64_t faults = UINT64_MAX;

	needs_plain_build();
	heapd_start("");
	for (int i = 0; i < 3 && faults; i++) {
		struct lane *l = lane_with_regions();
		struct step s = lane_run(l, (struct step){ .run = run_counting_faults });

		EXPECT(0, s.result);
		faults = s.value;
		assert_true(watch_region(0).bad_frees > 0);
		actor_quit(l->actor);
	}
	assert_int_equal(0, faults);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(the_trap_works),
		STORY(no_system_call),
		STORY(no_fault),
	};

	return cmocka_run_group_tests_name("multiheap-hotpath", tests, NULL, NULL);
}
