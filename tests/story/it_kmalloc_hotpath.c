/*
 * Story: once there is a pool, k_malloc and k_free make no system call and take no page fault
 *
 * As it_hotpath.c: a seccomp filter that kills the process at anything but exit_group, and the
 * thread's own count of faults from the first operation on, touching every byte of every block.
 */
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "tests/story/pool_steps.h"
#include "tests/story/trap.h"

#define LIVE 64

/* A random mix of all sizes over a set of live blocks, each written all over. The failures that are
 * wrong. */
static uint64_t churn(uint64_t n)
{
	static void *live[LIVE];
	uint64_t seed = 7, bad = 0;

	for (uint64_t i = 0; i < n; i++) {
		size_t k, size;

		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		k = (seed >> 33) % LIVE;
		if (live[k]) {
			k_free(live[k]);
			k_free(i % 16 ? NULL : (char *)live[k] + 8); /* a bad one, too */
			live[k] = NULL;
			continue;
		}
		size = (seed >> 45) % ((size_t)48 << 2 * ((seed >> 40) % 5));
		live[k] = i % 8 ? k_malloc(size) : k_calloc(1, size);
		if (live[k])
			memset(live[k], 1, size);
	}
	for (size_t k = 0; k < LIVE; k++) {
		k_free(live[k]);
		live[k] = NULL;
	}
	live[0] = k_aligned_alloc(4096, 16368); /* all of it is one block again */
	bad += !live[0];
	k_free(live[0]);
	live[0] = NULL;
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
	atomic_store(&board->count[1], churn(s->n));
	atomic_store(&board->count[2], 1);
	(void)syscall(SYS_exit_group, 0);
	return 0;
}

static void no_system_call(bool trial)
{
	struct actor *a;
	int status;

	if (STORY_SANITIZED)
		story_skip("a sanitizer makes system calls and faults of its own");
	heapd_start("");
	pool_environment("16384");
	a = actor_new(1);
	EXPECT(0, do_k_init(&a->lane[0]));
	lane_start(&a->lane[0],
		   (struct step){.run = run_without_system_calls, .n = 1000000, .mode = trial});
	status = actor_wait(a);
	if (!atomic_load(&board->count[0]))
		story_skip("seccomp filters are not permitted here");
	if (trial) {
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
		return;
	}
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(1, atomic_load(&board->count[2]));
	assert_int_equal(0, atomic_load(&board->count[1]));
}

static void the_trap_works(void)
{
	no_system_call(true);
}

static void no_system_call_at_all(void)
{
	no_system_call(false);
}

static int run_counting_faults(struct step *s)
{
	struct rusage before, after;
	uint64_t bad;

	(void)churn(0); /* the code, and the table of live blocks; of the pool, one block that is
			   not touched */
	(void)getrusage(RUSAGE_THREAD, &before);
	(void)getrusage(RUSAGE_THREAD, &after);
	(void)getrusage(RUSAGE_THREAD, &before);
	bad = churn(s->n);
	(void)getrusage(RUSAGE_THREAD, &after);
	s->value =
	    (uint64_t)(after.ru_minflt - before.ru_minflt + after.ru_majflt - before.ru_majflt);
	return bad ? -EIO : 0;
}

/* One clean run of three is enough, as it_hotpath.c says: the kernel may take a page away for its
 * own reasons. */
static void no_page_fault(void)
{
	uint64_t faults = UINT64_MAX;

	if (STORY_SANITIZED)
		story_skip("a sanitizer makes system calls and faults of its own");
	heapd_start("");
	pool_environment("16384");
	for (int i = 0; i < 3 && faults; i++) {
		struct actor *a = actor_new(1);
		struct step s;

		EXPECT(0, do_k_init(&a->lane[0]));
		s = lane_run(&a->lane[0], (struct step){.run = run_counting_faults, .n = 1000000});
		EXPECT(0, s.result);
		faults = s.value;
		actor_quit(a);
	}
	assert_int_equal(0, faults);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STORY(the_trap_works),
	    STORY(no_system_call_at_all),
	    STORY(no_page_fault),
	};

	return cmocka_run_group_tests_name("kmalloc_hotpath", tests, NULL, NULL);
}
