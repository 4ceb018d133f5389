/*
 * Story: to take and to give a block makes no system call and takes no page fault, from the first one on
 *
 * As it_hotpath.c: no system call, for a seccomp filter would kill the process; no page fault, for
 * the thread counts its own. Faults are counted over the first use of every block of a new
 * partition, each touched over its whole length; once more right after a fork, which must not leave
 * link words to be copied.
 */
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "tests/story/it_pt.h"
#include "tests/story/trap.h"

#define BLOCKS 100000 /* their links alone are 98 pages */
#define SIZE 64

/* So many at once, in two steps each: all blocks go through many hands. */
static uint64_t churn(int ptno, uint64_t rounds, uint64_t n)
{
	static void *held[BLOCKS];
	uint64_t bad = 0;

	for (uint64_t k = 0; k < rounds; k++) {
		for (uint64_t i = 0; i < n; i++) {
			held[i] = pt_getblock(ptno);
			if (held[i])
				memset(held[i], (int)k, SIZE);
			bad += !held[i];
		}
		if (n == BLOCKS)
			bad += pt_getblock(ptno) != NULL; /* that it is empty is no system call either */
		for (uint64_t i = 0; i < n; i++) {
			pt_freeblock(ptno, held[i]);
			pt_retblock(ptno, (char *)held[i] + 1); /* nor is a bad free */
		}
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
	atomic_store(&board->count[1], churn(0, 5, BLOCKS));
	atomic_store(&board->count[2], 1);
	(void)syscall(SYS_exit_group, 0);
	return 0;
}

static void needs_plain_build(void)
{
	if (STORY_SANITIZED)
		story_skip("a sanitizer makes system calls and faults of its own");
}

static void no_system_call(void)
{
	needs_plain_build();
	heapd_start("");
	for (int trial = 1; trial >= 0; trial--) {
		struct actor *a = actor_new(1);
		int status;

		EXPECT(0, do_pt_create(&a->lane[0], SIZE, BLOCKS));
		lane_start(&a->lane[0], (struct step){ .run = run_without_system_calls, .mode = trial });
		status = actor_wait(a);
		if (!atomic_load(&board->count[0]))
			story_skip("seccomp filters are not permitted here");
		if (trial) {
			assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
			assert_int_equal(0, atomic_load(&board->count[2]));
		} else {
			assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
			assert_int_equal(1, atomic_load(&board->count[2]));
			assert_int_equal(0, atomic_load(&board->count[1]));
		}
	}
}

static uint64_t faults(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_THREAD, &u);
	return (uint64_t)u.ru_minflt + (uint64_t)u.ru_majflt;
}

/* The faults of the first round in partition 0; another one, 1, has brought code and stack. */
static int run_counting_faults(struct step *s)
{
	uint64_t before, bad = 0;

	if (s->mode) { /* with a child that has just been forked and stays as long as it takes */
		int hold[2];
		pid_t pid;
		char c;

		if (pipe(hold) < 0)
			return -errno;
		pid = fork();
		if (pid < 0)
			return -errno;
		if (pid == 0) {
			(void)close(hold[1]);
			(void)!read(hold[0], &c, 1);
			_exit(0);
		}
		(void)close(hold[0]);
		bad += churn(1, 2, BLOCKS);
		before = faults();
		before = faults();
		bad += churn(0, 1, BLOCKS);
		s->value = faults() - before;
		(void)close(hold[1]);
		(void)waitpid(pid, NULL, 0);
		return bad ? -EIO : 0;
	}
	bad += churn(1, 2, BLOCKS);
	before = faults();
	before = faults();
	bad += churn(0, s->n, BLOCKS);
	s->value = faults() - before;
	return bad ? -EIO : 0;
}

/* The kernel may take a page away now and then, so one clean run of three is enough. */
static void expect_no_fault(bool forked)
{
	uint64_t n = UINT64_MAX;

	needs_plain_build();
	heapd_start("");
	for (int i = 0; i < 3 && n; i++) {
		struct actor *a = actor_new(1);
		struct step s;

		EXPECT(0, do_pt_create(&a->lane[0], SIZE, BLOCKS));
		EXPECT(1, do_pt_create(&a->lane[0], SIZE, BLOCKS));
		s = lane_run(&a->lane[0],
			     (struct step){ .run = run_counting_faults, .n = 10, .mode = forked });
		EXPECT(0, s.result);
		n = s.value;
		actor_quit(a);
	}
	assert_int_equal(0, n);
}

static void no_fault(void)
{
	expect_no_fault(false);
}

static void no_fault_after_a_fork(void)
{
	expect_no_fault(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(no_system_call),
		STORY(no_fault),
		STORY(no_fault_after_a_fork),
	};

	return cmocka_run_group_tests_name("pt-hotpath", tests, NULL, NULL);
}
