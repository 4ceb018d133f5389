/*
 * Story: no hot path makes a system call or takes a page fault
 *
 * Every test is for each row of paths.c. No system call: the thread puts itself under a seccomp
 * filter that kills the process at anything but exit_group, makes ten million operations, and
 * exits. No page fault: the thread counts its own, from the very first operation of an object on
 * that nobody has used before; only the program's own text and data are brought in beforehand,
 * as mlockall() would (trap.h). Every byte of every block is written.
 */
#include <dirent.h>
#include <inttypes.h>
#include <sched.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "tests/realtime/paths.h"
#include "tests/realtime/trap.h"
#include "tests/story/pool_steps.h"

#define OPERATIONS 10000000
#define TOUCHING 500000

static void begin(void)
{
	if (STORY_SANITIZED)
		story_skip("a sanitizer makes system calls and faults of its own");
	heapd_start(PATIENT);
	pool_environment("16384");
}

static int number_of(const struct path *p)
{
	return (int)(p - paths);
}

static int run_prepare(struct step *s)
{
	return paths[s->slot].prepare();
}

/* The helper thread of a process; 0: it has none. */
static pid_t helper_of(pid_t pid)
{
	char path[96], name[32];
	struct dirent *e;
	pid_t tid = 0;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = opendir(path);
	while (d && !tid && (e = readdir(d))) {
		FILE *f;

		(void)snprintf(path, sizeof(path), "/proc/%d/task/%.20s/comm", (int)pid, e->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fgets(name, sizeof(name), f) && strcmp(name, "heapclient\n") == 0)
			tid = (pid_t)atoi(e->d_name);
		(void)fclose(f);
	}
	if (d)
		(void)closedir(d);
	return tid;
}

/* Whether it sleeps in poll without a time limit: it has nothing more to do by itself. */
static bool helper_rests(pid_t pid)
{
	unsigned long number, fds, n, timeout;
	pid_t tid = helper_of(pid);
	char path[96];
	int got;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", (int)pid, (int)tid);
	f = tid ? fopen(path, "re") : NULL;
	if (!f)
		return false;
	got = fscanf(f, "%lu %lx %lx %lx", &number, &fds, &n, &timeout); /* or the word "running" */
	(void)fclose(f);
#ifdef SYS_poll
	if (got == 4 && number == SYS_poll)
		return (int)timeout == -1;
#endif
	return got == 4 && number == SYS_ppoll && timeout == 0;
}

/*
 * The other process has been given what it asked for and, a moment later, what it likes to have
 * ahead of need. Until then a helper thread may be met at the heap's lock, which is a system call.
 * It is over when both helpers rest, and still do after the daemon has done what they had sent.
 */
static void until_content(struct actor *a, struct actor *b)
{
	RT_HEAP_INFO info;
	bool content;

	do {
		UNTIL(helper_rests(a->pid) && helper_rests(b->pid));
		EXPECT(0, do_inquire(&b->lane[0], 0, &info));
		content = helper_rests(a->pid) && helper_rests(b->pid);
	} while (!content);
}

/* An actor with the object of that path, with nothing done in it yet. */
static struct actor *actor_with(const struct path *p)
{
	struct actor *a = actor_new(2), *b;

	EXPECT(0, lane_run(&a->lane[0], (struct step){ .run = run_prepare, .slot = number_of(p) })
			  .result);
	if (p->beside) {
		b = actor_new(1);
		EXPECT(0, do_bind(&b->lane[0], 0, "pool"));
		EXPECT(0, do_alloc(&b->lane[0], 0, 0, 100000, SECONDS(50)));
		until_content(a, b);
	}
	return a;
}

/* ---- no system call ---- */

/* The last blocks of another CPU take a membarrier (pt.3); there are none where nobody was. */
static int stay_on_this_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)sched_getcpu(), &set);
	return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}

/* An object that is emptied is used on one CPU, lest its last blocks be at hand of another one: to call
 * those in is a system call. */
static void stay_here(const struct path *p)
{
	cpu_set_t one;

	if (!p->may_fail)
		return;
	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	(void)sched_setaffinity(0, sizeof(one), &one);
}

/* The filter is this thread's; the helper thread may do as it likes. */
static int run_without_system_calls(struct step *s)
{
	int r;

	stay_here(&paths[s->slot]);
	bring_program(false);
	r = paths[s->slot].one_cpu ? stay_on_this_cpu() : 0;
	if (r == 0)
		r = forbid_system_calls();
	if (r)
		return r;
	atomic_store(&board->count[0], 1);
	if (s->mode)
		(void)syscall(SYS_getppid); /* the trial of the trap */
	atomic_store(&board->count[1], path_churn(&paths[s->slot], OPERATIONS, false));
	atomic_store(&board->count[2], 1);
	(void)syscall(SYS_exit_group, 0);
	return 0;
}

/* How the actor ended. */
static int run_in_the_trap(const struct path *p, bool trial)
{
	struct actor *a;
	int status;

	begin();
	a = actor_with(p);
	lane_start(&a->lane[0], (struct step){ .run = run_without_system_calls,
					       .slot = number_of(p), .mode = trial });
	status = actor_wait(a);
	if (!atomic_load(&board->count[0]))
		story_skip("seccomp filters are not permitted here");
	return status;
}

static void the_trap_works(const void *p)
{
	int status = run_in_the_trap(p, true);

	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	assert_int_equal(0, atomic_load(&board->count[2]));
}

static void no_system_call(const void *p)
{
	int status = run_in_the_trap(p, false);

	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(1, atomic_load(&board->count[2]));
	assert_int_equal(0, atomic_load(&board->count[1]));
}

/* ---- no page fault ---- */

static int count(struct step *s, bool forked)
{
	uint64_t before, bad;

	bring_program(forked);
	(void)count_faults();
	before = count_faults();
	bad = path_churn(&paths[s->slot], TOUCHING, true);
	s->value = count_faults() - before;
	return bad ? -EIO : 0;
}

static int run_counting_faults(struct step *s)
{
	return count(s, false);
}

/* The same with a child that has just been forked, and lives as long as it takes. */
static int run_counting_faults_forked(struct step *s)
{
	int hold[2], r;
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
	r = count(s, true);
	(void)close(hold[1]);
	(void)waitpid(pid, NULL, 0);
	return r;
}

/*
 * The kernel itself may take a page of the thread away now and then (migration, compaction), so one
 * clean run of three is enough: a fault of ours would be in each of them, because each has a new
 * process and a new object.
 */
static void expect_no_fault(const struct path *p, int (*run)(struct step *s), unsigned lane)
{
	uint64_t faults = UINT64_MAX;

	begin();
	for (int i = 0; i < 3 && faults; i++) {
		struct actor *a = actor_with(p);
		struct step s = lane_run(&a->lane[lane],
					 (struct step){ .run = run, .slot = number_of(p) });

		EXPECT(0, s.result);
		faults = s.value;
		if (i < 2 && faults) { /* again with a new heap of that name */
			print_message("%" PRIu64 " faults, once more\n", faults);
			(void)do_delete(&a->lane[0], 0);
		}
	}
	assert_int_equal(0, faults);
}

static void no_fault(const void *p)
{
	expect_no_fault(p, run_counting_faults, 0);
}

static void no_fault_in_another_thread(const void *p)
{
	expect_no_fault(p, run_counting_faults, 1);
}

static void no_fault_after_a_fork(const void *p)
{
	expect_no_fault(p, run_counting_faults_forked, 0);
}

/* ---- every test with every path ---- */

static const struct trial {
	const char *name;
	void (*test)(const void *path);
} trials[] = {
	{ "the_trap_works", the_trap_works },
	{ "no_system_call", no_system_call },
	{ "no_fault", no_fault },
	{ "no_fault_in_another_thread", no_fault_in_another_thread },
	{ "no_fault_after_a_fork", no_fault_after_a_fork },
};

int main(void)
{
	static struct story_case cases[ARRAY_SIZE(trials) * 16];
	static struct CMUnitTest tests[ARRAY_SIZE(cases)];
	static char names[ARRAY_SIZE(cases)][96];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(trials); i++)
		for (size_t k = 0; k < n_paths; k++, n++) {
			(void)snprintf(names[n], sizeof(names[n]), "%s: %s", trials[i].name,
				       paths[k].name);
			cases[n] = (struct story_case){ trials[i].test, &paths[k] };
			tests[n] = (struct CMUnitTest)STORY_CASE(names[n], &cases[n]);
		}
	return _cmocka_run_group_tests("trap", tests, n, NULL, NULL);
}
