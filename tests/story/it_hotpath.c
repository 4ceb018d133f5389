/*
 * Story: alloc and free that need not wait make no system call and take no page fault
 *
 * No system call: the thread puts itself under a seccomp filter that kills the process at anything
 * but exit_group, runs the loop, and exits. No page fault: the thread counts its own by getrusage,
 * from the first operation on, touching every byte of every block.
 */
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "tests/story/raw.h"
#include "tests/story/steps.h"
#include "tests/story/trap.h"

#define BYTES ((size_t)4 << 20)
#define LIVE 256

/* A random mix of sizes up to 16 KiB over a set of live blocks, at most 1/8 of the heap. The number
 * of failures. */
static uint64_t churn(RT_HEAP *heap, uint64_t n, bool touch)
{
	static void *live[LIVE];
	uint64_t seed = 99, bad = 0;

	for (uint64_t i = 0; i < n; i++) {
		size_t k, size;

		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		k = (seed >> 33) % LIVE;
		if (live[k]) {
			bad += rt_heap_free(heap, live[k]) != 0;
			live[k] = NULL;
			continue;
		}
		size = (size_t)1 << (4 + (seed >> 45) % 8);
		if ((seed >> 55) % 64 == 0)
			size = 16384;
		if (rt_heap_alloc(heap, size, TM_NONBLOCK, &live[k]))
			bad++;
		else if (touch)
			memset(live[k], 1, size);
	}
	for (size_t k = 0; k < LIVE; k++)
		if (live[k]) {
			bad += rt_heap_free(heap, live[k]) != 0;
			live[k] = NULL;
		}
	return bad;
}

/* The filter is this thread's; the helper thread may do as it likes. */
static int run_without_system_calls(struct step *s)
{
	int r = forbid_system_calls();

	if (r)
		return r;
	atomic_store(&board->count[0], 1);
	if (s->mode)
		(void)syscall(SYS_getppid); /* the trial of the trap */
	atomic_store(&board->count[1], churn(&self.heap[0], s->n, false));
	atomic_store(&board->count[2], 1);
	(void)syscall(SYS_exit_group, 0);
	return 0;
}

/* Runs the loop in an actor that has a heap already; it must come to its end. */
static void expect_no_system_call(struct actor *a, bool trial)
{
	int status;

	atomic_store(&board->count[2], 0);
	lane_start(&a->lane[0],
		   (struct step){ .run = run_without_system_calls, .n = 1000000, .mode = trial });
	status = actor_wait(a);
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

static void needs_plain_build(void)
{
	if (STORY_SANITIZED)
		story_skip("a sanitizer makes system calls and faults of its own");
}

static void the_trap_works(void)
{
	struct actor *a = actor_new(1);

	needs_plain_build();
	heapd_start("");
	EXPECT(0, do_create(&a->lane[0], 0, NULL, BYTES, H_FIFO));
	expect_no_system_call(a, true);
}

static void no_system_call_in_a_local_heap(void)
{
	struct actor *a = actor_new(1);

	needs_plain_build();
	heapd_start("");
	EXPECT(0, do_create(&a->lane[0], 0, NULL, BYTES, H_FIFO));
	expect_no_system_call(a, false);
}

static void no_system_call_in_a_named_heap(void)
{
	struct actor *a = actor_new(1);

	needs_plain_build();
	heapd_start("");
	EXPECT(0, do_create(&a->lane[0], 0, "pool", BYTES, H_PRIO));
	expect_no_system_call(a, false);
}

/*
 * The other process has been given what it asked for and, a moment later, what it likes to have
 * ahead of need. Until then a helper thread may be met at the heap's lock, which is a system call.
 */
static void until_content(void)
{
	(void)usleep(300000); /* its helper looks again every 5 ms, for 200 ms */
}

/* Another process is bound, has its share and is content. */
static void no_system_call_beside_another_process(void)
{
	struct actor *a = actor_new(1);
	struct lane *b = lane_new();

	needs_plain_build();
	heapd_start(PATIENT);
	EXPECT(0, do_create(&a->lane[0], 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_bind(b, 0, "pool"));
	EXPECT(0, do_alloc(b, 0, 0, 100000, SECONDS(50)));
	until_content();
	expect_no_system_call(a, false);
}

static int run_counting_faults(struct step *s)
{
	struct rusage before, after;
	uint64_t bad;

	memset(s->text, 0, sizeof(s->text));
	/* also: the structures' and the code's own pages are there */
	(void)getrusage(RUSAGE_THREAD, &before);
	(void)getrusage(RUSAGE_THREAD, &after);
	bad = churn(&self.heap[1], 2000, true); /* the code and the table of live blocks */
	(void)getrusage(RUSAGE_THREAD, &before);
	bad += churn(&self.heap[0], s->n, true);
	(void)getrusage(RUSAGE_THREAD, &after);
	s->value =
		(uint64_t)(after.ru_minflt - before.ru_minflt + after.ru_majflt - before.ru_majflt);
	return bad ? -EIO : 0;
}

/*
 * The kernel itself may take a page of the thread away now and then (migration, compaction), so one
 * clean run of three is enough: a fault of ours would be in each of them, because each has a new
 * process and a new heap.
 */
static void no_fault_in(const char *name, bool other)
{
	uint64_t faults = UINT64_MAX;

	needs_plain_build();
	heapd_start(PATIENT);
	for (int i = 0; i < 3 && faults; i++) {
		struct actor *a = actor_new(1), *b = NULL;
		struct step s;

		EXPECT(0, do_create(&a->lane[0], 1, NULL, BYTES, H_FIFO));
		EXPECT(0, do_create(&a->lane[0], 0, name, BYTES, H_FIFO));
		if (other) {
			b = actor_new(1);
			EXPECT(0, do_bind(&b->lane[0], 0, name));
			EXPECT(0, do_alloc(&b->lane[0], 0, 0, 100000, SECONDS(50)));
		}
		s = lane_run(&a->lane[0],
			     (struct step){ .run = run_counting_faults, .n = 1000000 });
		EXPECT(0, s.result);
		faults = s.value;
		EXPECT(0, do_delete(&a->lane[0], 0));
		actor_quit(a);
		if (b)
			actor_quit(b);
	}
	assert_int_equal(0, faults);
}

static void no_fault_in_a_local_heap(void)
{
	no_fault_in(NULL, false);
}

static void no_fault_in_a_named_heap(void)
{
	no_fault_in("pool", false);
}

static void no_fault_beside_another_process(void)
{
	no_fault_in("pool", true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(the_trap_works),
		STORY(no_system_call_in_a_local_heap),
		STORY(no_system_call_in_a_named_heap),
		STORY(no_system_call_beside_another_process),
		STORY(no_fault_in_a_local_heap),
		STORY(no_fault_in_a_named_heap),
		STORY(no_fault_beside_another_process),
	};

	return cmocka_run_group_tests_name("hotpath", tests, NULL, NULL);
}
