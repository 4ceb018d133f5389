/*
 * Story: no call of a hot path takes more instructions than docs/realtime.md says
 *
 * A process goes through the histories (histories.h) and the instructions of each call are counted:
 * the very instructions, not a mean. The bound is the page's. Two ways:
 *
 * - Callgrind: fast enough for heaps of all sizes, with few and many blocks. It has no restartable
 *   sequences, so it counts what the library does without them.
 * - Steps (stepper.h), where there are such sequences: a smaller choice of histories, each once as if
 *   nobody interrupted, and once with every sequence interrupted before its last instruction, for as
 *   often as it is tried.
 *
 * In the environment: REALTIME_PRINT=1 prints rows for the page, REALTIME_LARGE=1 adds a heap of 8 GiB.
 */
#include <inttypes.h>
#include <sched.h>
#include <sys/wait.h>
#include "tests/realtime/histories.h"
#include "tests/realtime/marks.h"
#include "tests/realtime/page.h"
#include "tests/realtime/stepper.h"
#include "tests/story/pool_steps.h"

#define COUNTS 16384
#define THIN 4 /* one step costs as much as thousands of instructions */

struct trial {
	const char *text;
	int (*history)(const struct trial *t);
	const char *name; /* of a heap; NULL: local */
	size_t bytes;     /* of a heap */
	uint32_t blocks;
	bool steps;       /* has sequences, and is worth the time of stepping */
	bool large;
};

/* What has been found in all trials of one way. */
static struct {
	uint64_t n, worst;
	char history[MARK_TEXT_SIZE];
	uint32_t times[COUNTS]; /* how often it took so many */
} found[2][CALL_COUNT];
enum way { WAY_PLAIN, WAY_SEQUENCES };
static const char *const way_names[] = { "without sequences", "with sequences" };

/* ---- what is tried, in a process of its own ---- */

static int heap_trial(const struct trial *t)
{
	return history_of_heap(t->name, t->bytes, t->blocks);
}

static int partition_trial(const struct trial *t)
{
	return history_of_partition((int)t->blocks);
}

static int regions_trial(const struct trial *t)
{
	(void)t;
	return history_of_regions();
}

static int pool_trial(const struct trial *t)
{
	(void)t;
	return history_of_pool();
}

static const struct trial trials[] = {
	{ "heap of 64 KiB, 10 blocks", heap_trial, NULL, (size_t)64 << 10, 10, false, false },
	{ "heap of 64 KiB, 1,000 blocks", heap_trial, "named", (size_t)64 << 10, 1000, false, false },
	{ "heap of 1 MiB, 1,000 blocks", heap_trial, NULL, (size_t)1 << 20, 1000, false, false },
	{ "heap of 64 MiB, 10 blocks", heap_trial, "named", (size_t)64 << 20, 10, true, false },
	{ "heap of 64 MiB, 100,000 blocks", heap_trial, NULL, (size_t)64 << 20, 100000, false, false },
	{ "heap of 1 GiB, 100,000 blocks", heap_trial, "named", (size_t)1 << 30, 100000, false, false },
	{ "heap of 8 GiB, 100,000 blocks", heap_trial, NULL, (size_t)8 << 30, 100000, true, true },
	{ "partition of 10 blocks", partition_trial, NULL, 0, 10, true, false },
	{ "partition of 100,000 blocks", partition_trial, NULL, 0, 100000, true, false },
	{ "sixteen regions", regions_trial, NULL, 0, 0, false, false },
	{ "the pool", pool_trial, NULL, 0, 0, false, false },
};

/* ---- what was found ---- */

/* usually: it counts for what is usual, too. */
static void note(enum way way, enum call call, const char *history, uint64_t n, bool usually)
{
	found[way][call].n += usually;
	found[way][call].times[min_u64(n, COUNTS - 1)] += usually;
	if (n <= found[way][call].worst)
		return;
	found[way][call].worst = n;
	(void)snprintf(found[way][call].history, MARK_TEXT_SIZE, "%s", history);
}

/* The median. */
static uint64_t usual(enum way way, enum call call)
{
	uint64_t seen = 0, n = 0;

	for (; n < COUNTS - 1; n++) {
		seen += found[way][call].times[n];
		if (2 * seen > found[way][call].n)
			break;
	}
	return n;
}

static void expect_bounds(enum way way)
{
	bool kept = true;

	for (int c = 0; c < CALL_COUNT; c++) {
		uint64_t bound = page_call_bound((enum call)c);

		if (found[way][c].worst <= bound)
			continue;
		print_error("%s took %" PRIu64 " instructions %s (%s); docs/realtime.md says %" PRIu64
			    " at most\n",
			    call_names[c], found[way][c].worst, way_names[way], found[way][c].history,
			    bound);
		kept = false;
	}
	assert_true(kept);
}

static uint64_t memory_available(void)
{
	uint64_t kib = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");

	while (f && fgets(line, sizeof(line), f))
		(void)sscanf(line, "MemAvailable: %" SCNu64, &kib);
	if (f)
		(void)fclose(f);
	return kib * 1024;
}

static void begin(const struct trial *t)
{
	if (STORY_SANITIZED)
		story_skip("a sanitizer has instructions of its own");
#ifndef __OPTIMIZE__
	story_skip("a build without optimisation has no bounds");
#endif
	if (t->large && !getenv("REALTIME_LARGE"))
		story_skip("takes long; REALTIME_LARGE=1 asks for it");
	if (memory_available() < 2 * t->bytes + ((uint64_t)1 << 28))
		story_skip("not enough memory");
	(void)alarm(STEPPING_S); /* valgrind is as slow, and the memory of a large one is written several times */
	heapd_start("");
	pool_environment("16384");
}

/* ---- callgrind ---- */

static const char *program; /* this one */

/* In a child: the trial under valgrind. */
static void exec_callgrind(const struct trial *t, const char *file)
{
	char number[16], out[160];

	(void)snprintf(number, sizeof(number), "%zu", (size_t)(t - trials));
	(void)snprintf(out, sizeof(out), "--callgrind-out-file=%s", file);
	actors_forget();
	(void)execlp("valgrind", "valgrind", "-q", "--tool=callgrind", "--collect-atstart=no",
		     "--combine-dumps=yes", out, program, number, (char *)NULL);
	_exit(127);
}

/* One part of the file for each call: "desc: Trigger: Client Request: TEXT", later "totals: N". */
static size_t read_callgrind(const char *file)
{
	static const char request[] = "desc: Trigger: Client Request: ";
	_cleanup_free_ char *line = NULL;
	char history[MARK_TEXT_SIZE] = "";
	size_t size = 0, parts = 0;
	FILE *f = fopen(file, "re");
	uint64_t n;
	int call = -1;

	assert_non_null(f);
	while (getline(&line, &size, f) > 0) {
		if (strncmp(line, request, sizeof(request) - 1) == 0 &&
		    sscanf(line + sizeof(request) - 1, "%d %79[^\n]", &call, history) != 2)
			call = -1;
		if (call < 0 || call >= CALL_COUNT || sscanf(line, "totals: %" SCNu64, &n) != 1)
			continue;
		note(WAY_PLAIN, (enum call)call, history, n, true);
		call = -1;
		parts++;
	}
	(void)fclose(f);
	return parts;
}

static void counted_by_callgrind(const void *arg)
{
	const struct trial *t = arg;
	char file[128];
	pid_t pid;
	int status;

	begin(t);
	(void)snprintf(file, sizeof(file), "%s/callgrind.out", story_dir());
	(void)fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		exec_callgrind(t, file);
	assert_int_equal(pid, waitpid(pid, &status, 0));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		story_skip("valgrind is not installed");
	assert_int_equal(0, status);
	assert_true(read_callgrind(file) > 100);
	expect_bounds(WAY_PLAIN);
}

/* ---- steps ---- */

static const struct trial *trial; /* of the actors, which inherit it */

static int run_history(struct step *s)
{
	marking = MARKING_STEPS;
	history_thin = THIN;
	s->result = trial->history(trial);
	mark_last();
	return s->result;
}

/* On one CPU, with the actor: who is stepped through a sequence must not be moved; and it is quicker. */
static void stay_here(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	assert_int_equal(0, sched_setaffinity(0, sizeof(one), &one));
}

static void step_through(const struct trial *t, enum sequences sequences)
{
	struct stepper s;
	struct actor *a;
	enum mark m;

	trial = t;
	a = actor_new(1);
	if (stepper_attach(&s, a->lane[0].tid) < 0)
		story_skip("ptrace is not permitted here");
	s.sequences = sequences;
	lane_start(&a->lane[0], (struct step){ .run = run_history });
	while ((m = stepper_run(&s)) == MARK_BEGIN) {
		uint64_t value = s.value;

		note(WAY_SEQUENCES, MARK_CALL(value), MARK_HISTORY(value), stepper_count(&s),
		     sequences == SEQUENCES_PASS);
	}
	assert_int_equal(MARK_LAST, m);
	stepper_detach(&s);
	EXPECT(0, lane_result(&a->lane[0]));
	actor_quit(a);
}

static void counted_by_steps(const void *arg)
{
	const struct trial *t = arg;

	if (!own_rseq_area())
		story_skip("no restartable sequences here: callgrind has counted all there is");
	begin(t);
	stay_here();
	step_through(t, SEQUENCES_PASS);
	step_through(t, SEQUENCES_ABORT);
	expect_bounds(WAY_SEQUENCES);
}

/* ---- all of it ---- */

/* What has no sequences is not stepped through. */
static bool is_measured(enum way way, enum call call)
{
	return way == WAY_PLAIN || call < CALL_REGION_ALLOC;
}

/* Of a way that was tried at all, each call has been measured; and what could be written down. */
static void every_call_was_measured(void)
{
	for (int way = WAY_PLAIN; way <= WAY_SEQUENCES; way++) {
		bool tried = false;

		for (int c = 0; c < CALL_COUNT; c++)
			tried = tried || found[way][c].n;
		for (int c = 0; tried && c < CALL_COUNT; c++) {
			if (!is_measured((enum way)way, (enum call)c))
				continue;
			if (!found[way][c].n)
				print_error("never measured: %s\n", call_names[c]);
			assert_true(found[way][c].n > 0);
			if (getenv("REALTIME_PRINT"))
				print_message("%s, %s: usual %" PRIu64 ", worst %" PRIu64
					      " (%s), %" PRIu64 " calls\n",
					      way_names[way], call_names[c], usual((enum way)way, (enum call)c),
					      found[way][c].worst, found[way][c].history,
					      found[way][c].n);
		}
	}
}

/* This program under valgrind: one trial, by its number. */
static int run_trial(const char *number)
{
	const struct trial *t = &trials[atoi(number)];

	marking = MARKING_CALLGRIND;
	return t->history(t) < 0;
}

/* Before the stage is taken down, nobody is stopped any more. */
static int end(void **state)
{
	stepper_abandon();
	return story_end(state);
}

int main(int argc, char **argv)
{
	static struct story_case cases[2 * ARRAY_SIZE(trials)];
	static struct CMUnitTest tests[ARRAY_SIZE(cases) + 1];
	static char names[ARRAY_SIZE(cases)][96];
	size_t n = 0;

	program = argv[0];
	if (argc > 1)
		return run_trial(argv[1]);
	for (int way = WAY_PLAIN; way <= WAY_SEQUENCES; way++)
		for (size_t i = 0; i < ARRAY_SIZE(trials); i++) {
			if (way == WAY_SEQUENCES && !trials[i].steps)
				continue;
			(void)snprintf(names[n], sizeof(names[n]), "%s: %s", way_names[way],
				       trials[i].text);
			cases[n] = (struct story_case){
				way == WAY_PLAIN ? counted_by_callgrind : counted_by_steps, &trials[i] };
			tests[n] = (struct CMUnitTest)STORY_CASE(names[n], &cases[n]);
			tests[n].teardown_func = end;
			n++;
		}
	tests[n] = (struct CMUnitTest)STORY(every_call_was_measured);
	return _cmocka_run_group_tests("bounds", tests, n + 1, NULL, NULL);
}
