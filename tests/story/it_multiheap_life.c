/*
 * Story: the shared multi-heap through ends of heapd and of its process, forks, and many threads
 */
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "tests/story/multiheap.h"

#define BYTES 65536

static void it_goes_on_without_the_daemon(void)
{
	struct lane *l;

	heapd_start("");
	l = lane_with_pool();
	own_memory(l, 0, BYTES, false);
	EXPECT(0, do_add_own(l, CACHED, 0, 0, BYTES));
	EXPECT(0, do_add(l, UNCACHED, 1, BYTES));
	EXPECT(0, do_take(l, 2, UNCACHED, 100));
	EXPECT(0, fill_block(l, 2, 100));
	heapd_kill();
	for (int round = 0; round < 2; round++) {
		EXPECT(0, check_block(l, 2, 2, 100));
		EXPECT(0, do_give(l, 2));
		EXPECT(0, do_take(l, 2, UNCACHED, BYTES));
		EXPECT(0, do_give(l, 2));
		EXPECT(0, do_take(l, 2, UNCACHED, 100));
		EXPECT(0, fill_block(l, 2, 100));
		EXPECT(0, do_take(l, 3, CACHED, 4096));
		EXPECT(0, do_give(l, 3));
		EXPECT(-EALREADY, do_pool_init(l));
		if (round == 1)
			break;
		EXPECT(-ECONNREFUSED, do_add(l, CACHED, 4, BYTES));
		own_memory(l, 5, BYTES, false);
		EXPECT(-ECONNREFUSED, do_add_own(l, CACHED, 5, 0, BYTES));
		assert_non_null(strstr(last_problem(l).text, story_socket()));
		heapd_start("");
		EXPECT(0, do_add(l, CACHED, 4, BYTES)); /* the new one gives more */
		EXPECT(0, do_add_own(l, CACHED, 5, 0, BYTES));
		assert_int_equal(1, watch_place(0).order);
	}
}

static void the_dead_leave_nothing(void)
{
	struct wire_entry seen[REGIONS_SEEN];
	struct lane *l;

	heapd_start("");
	l = lane_with_pool();
	own_memory(l, 0, BYTES, false);
	EXPECT(0, do_add_own(l, CACHED, 0, 0, BYTES));
	EXPECT(0, do_add(l, UNCACHED, 1, BYTES));
	assert_int_equal(2, watch_regions(seen));
	assert_int_equal(l->actor->pid, seen[0].pid);
	actor_kill(l->actor);
	UNTIL(watch_regions(seen) == 0);
}

static void a_child_starts_without(void)
{
	struct actor *parent = actor_new(1), *child;
	struct lane *p = &parent->lane[0], *c;
	struct wire_entry seen[REGIONS_SEEN];

	heapd_start("");
	EXPECT(0, do_pool_init(p));
	own_memory(p, 0, BYTES, false);
	EXPECT(0, do_add_own(p, CACHED, 0, 0, BYTES));
	EXPECT(0, do_add(p, UNCACHED, 1, BYTES));
	EXPECT(0, do_take(p, 2, CACHED, 100));
	EXPECT(0, do_take(p, 3, UNCACHED, 100));
	EXPECT(0, fill_block(p, 3, 100));
	child = actor_fork(parent);
	c = &child->lane[0];
	EXPECT(-EINVAL, do_take(c, 4, CACHED, 64));
	EXPECT(-EINVAL, do_take_aligned(c, 4, UNCACHED, 64, 64));
	EXPECT(-EINVAL, do_add(c, CACHED, 4, BYTES));
	EXPECT(-EINVAL, do_add_own(c, CACHED, 0, 0, BYTES));
	EXPECT(0, do_give(c, 2));
	EXPECT(0, do_give(c, 3));
	EXPECT(0, check_block(c, 3, 3, 100)); /* what is mapped stays so */

	/* a pool of its own, in which its parent's memory may be a region again */
	EXPECT(0, do_pool_init(c));
	EXPECT(-ENOMEM, do_take(c, 4, CACHED, 64));
	EXPECT(0, do_add_own(c, CACHED, 0, 0, BYTES));
	EXPECT(0, do_add(c, UNCACHED, 5, BYTES));
	EXPECT(0, do_take(c, 4, CACHED, BYTES));
	assert_int_equal(4, watch_regions(seen));
	assert_int_equal(child->pid, seen[3].pid);
	actor_quit(child);
	UNTIL(watch_regions(seen) == 2);

	/* and the parent has noticed nothing */
	assert_int_equal(0, seen[0].bad_frees + seen[1].bad_frees);
	EXPECT(0, check_block(p, 3, 3, 100));
	EXPECT(0, do_give(p, 2));
	EXPECT(0, do_give(p, 3));
	EXPECT(0, do_take(p, 2, CACHED, BYTES));
	EXPECT(0, do_take(p, 3, UNCACHED, BYTES));
}

/* A child that the library was not told of: no handler of fork has run. */
static int run_bare_clone(struct step *s)
{
	int status;
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		struct shared_multi_heap_region region = { CACHED, 0, 4096 };

		shared_multi_heap_free(self.block[s->slot]);
		_exit(shared_multi_heap_alloc(CACHED, 16) ? 1 :
		      shared_multi_heap_add(&region, NULL) == -EINVAL ? 0 : 2);
	}
	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	return status;
}

static void a_bare_clone_starts_without(void)
{
	struct lane *l;

	heapd_start("");
	l = lane_with_pool();
	EXPECT(0, do_add(l, CACHED, 0, BYTES));
	EXPECT(0, do_take(l, 1, CACHED, 100));
	EXPECT(0, lane_run(l, (struct step){ .run = run_bare_clone, .slot = 1 }).result);
	EXPECT(0, do_give(l, 1));
	assert_int_equal(0, watch_region(0).bad_frees);
}

/* ---- threads ---- */

/* Blocks of random sizes from the regions there are, each marked over its whole length. */
static int run_hammer(struct step *s)
{
	struct {
		uint8_t *p;
		size_t size;
	} live[16] = { { NULL, 0 } };
	uint64_t seed = (uint64_t)s->slot * 7919 + 1;
	uint8_t mark = (uint8_t)(s->slot + 1);

	for (uint64_t i = 0; !atomic_load(&board->count[0]) || i < s->n; i++) {
		size_t k, align;

		seed = seed * UINT64_C(6364136223846793005) + 1;
		k = (seed >> 33) % ARRAY_SIZE(live);
		align = (size_t)1 << ((seed >> 50) % 10);
		if (live[k].p) {
			for (size_t b = 0; b < live[k].size; b++)
				if (live[k].p[b] != mark)
					return -EIO;
			shared_multi_heap_free(live[k].p);
			live[k].p = NULL;
			continue;
		}
		live[k].size = 1 + (seed >> 40) % 1500;
		live[k].p = shared_multi_heap_aligned_alloc(
			(enum shared_multi_heap_attr)((seed >> 60) % 2), align, live[k].size);
		if (!live[k].p)
			continue;
		if ((uintptr_t)live[k].p % align)
			return -EFAULT;
		memset(live[k].p, mark, live[k].size);
		atomic_fetch_add(&board->count[1], 1);
	}
	for (size_t k = 0; k < ARRAY_SIZE(live); k++)
		shared_multi_heap_free(live[k].p);
	return 0;
}

static void start_hammers(struct actor *a, unsigned n)
{
	atomic_store(&board->count[0], 0);
	atomic_store(&board->count[1], 0);
	for (unsigned i = 1; i <= n; i++)
		lane_start(&a->lane[i], (struct step){ .run = run_hammer, .slot = (int)i,
						       .n = 100000 / STORY_FACTOR });
}

static void threads_and_a_pool_that_grows(void)
{
	struct actor *a = actor_new(6);
	struct lane *l = &a->lane[0];
	struct wire_entry seen[REGIONS_SEEN];

	heapd_start("");
	EXPECT(0, do_pool_init(l));
	own_memory(l, 0, BYTES, false);
	start_hammers(a, 5);
	for (unsigned i = 0; i < 4; i++) {
		EXPECT(0, do_add_own(l, i % 2, 0, i * 16384, 15000));
		EXPECT(0, do_add(l, i % 2, 1, 10000));
	}
	UNTIL(atomic_load(&board->count[1]) > 1000);
	atomic_store(&board->count[0], 1);
	for (unsigned i = 1; i <= 5; i++)
		EXPECT(0, lane_result(&a->lane[i]));
	assert_int_equal(8, watch_regions(seen));
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(0, seen[i].used);
		assert_int_equal(0, seen[i].bad_frees);
	}
}

/* fork while threads are in the middle of everything, locks held and all. */
static void fork_in_the_middle_of_work(void)
{
	heapd_start("");
	for (int round = 0; round < 10; round++) {
		struct actor *a = actor_new(4), *child;
		struct lane *l = &a->lane[0], *c;

		EXPECT(0, do_pool_init(l));
		EXPECT(0, do_add(l, CACHED, 0, 20000));
		EXPECT(0, do_add(l, UNCACHED, 1, 20000));
		start_hammers(a, 3);
		UNTIL(atomic_load(&board->count[1]) > 100);
		child = actor_fork(a);
		c = &child->lane[0];
		EXPECT(-EINVAL, do_take(c, 2, CACHED, 64));
		EXPECT(0, do_pool_init(c));
		EXPECT(0, do_add(c, CACHED, 3, BYTES));
		EXPECT(0, do_take(c, 2, CACHED, BYTES));
		atomic_store(&board->count[0], 1);
		for (unsigned i = 1; i <= 3; i++)
			EXPECT(0, lane_result(&a->lane[i]));
		actor_quit(child);
		actor_quit(a);
	}
}

static int run_add_slowly(struct step *s)
{
	struct shared_multi_heap_region region = { CACHED, 0, s->size };

	atomic_store(&board->count[2], 1);
	return shared_multi_heap_add(&region, NULL);
}

/* Whether the thread sleeps: the letter behind the name in its stat. */
static bool is_asleep(const struct lane *l)
{
	char path[64], line[256] = "";
	const char *end;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)l->actor->pid, l->tid);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	(void)fclose(f);
	end = strrchr(line, ')');
	return end && end[2] == 'S';
}

/* A thread of the parent waits for the daemon, with every lock that adding takes. */
static void fork_while_another_thread_adds(void)
{
	struct actor *a = actor_new(2), *child;
	struct lane *c;

	heapd_start("");
	EXPECT(0, do_pool_init(&a->lane[0]));
	assert_int_equal(0, kill(heapd_pid(), SIGSTOP));
	lane_start(&a->lane[1], (struct step){ .run = run_add_slowly, .size = BYTES });
	UNTIL(atomic_load(&board->count[2]) && is_asleep(&a->lane[1]));
	child = actor_fork(a);
	assert_false(lane_done(&a->lane[1]));
	assert_int_equal(0, kill(heapd_pid(), SIGCONT));
	c = &child->lane[0];
	EXPECT(0, do_pool_init(c));
	EXPECT(0, do_add(c, CACHED, 0, BYTES));
	EXPECT(0, do_take(c, 1, CACHED, BYTES));
	EXPECT(0, lane_result(&a->lane[1]));
	EXPECT(0, do_take(&a->lane[0], 1, CACHED, BYTES));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(it_goes_on_without_the_daemon),
		STORY(the_dead_leave_nothing),
		STORY(a_child_starts_without),
		STORY(a_bare_clone_starts_without),
		STORY(threads_and_a_pool_that_grows),
		STORY(fork_in_the_middle_of_work),
		STORY(fork_while_another_thread_adds),
	};

	return cmocka_run_group_tests_name("multiheap-life", tests, NULL, NULL);
}
