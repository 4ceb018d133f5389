/*
 * Story: partitions through the deaths of others: a daemon that is killed, a process that forks or ends
 */
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "tests/story/it_pt.h"

#define BLOCKS 16

static void the_daemon_is_killed(void)
{
	struct lane *l = lane_new();

	heapd_start("");
	EXPECT(0, do_pt_create(l, 64, BLOCKS));
	EXPECT(1, do_pt_create(l, 64, BLOCKS));
	EXPECT(GOT, do_get(l, 0, 0));
	heapd_kill();

	/* works on, to the last block */
	EXPECT(BLOCKS - 1, do_take_all(l, 0, 1));
	EXPECT(0, do_pt(l, (struct step){ .run = run_pt_look, .n = BLOCKS, .size = 64, .mode = 64 }));
	EXPECT(-EBUSY, do_pt_destroy(l, 0));
	EXPECT(-ECONNREFUSED, do_pt_create(l, 64, 4));
	EXPECT(0, do_free_range(l, 0, 0, BLOCKS));
	EXPECT(0, do_put(l, 0, 0)); /* again */
	EXPECT(BLOCKS, do_take_all(l, 0, 0));
	EXPECT(EMPTY, do_get(l, 0, 100));

	/* and can be destroyed; the number is free for one of the next daemon */
	EXPECT(0, do_pt_destroy(l, 1));
	heapd_start("");
	EXPECT(1, do_pt_create(l, 32, 3));
	EXPECT(GOT, do_get(l, 1, 50));
	expect_seen(1, 1, 0);
	EXPECT(0, do_free_range(l, 0, 0, BLOCKS));
	EXPECT(0, do_pt_destroy(l, 0));
	EXPECT(0, do_pt_create(l, 32, 3));
	expect_seen(0, 0, 0);
}

static void the_daemon_ends_well(void)
{
	struct lane *l = lane_new();

	heapd_start("");
	EXPECT(0, do_pt_create(l, 64, BLOCKS));
	heapd_stop();
	EXPECT(BLOCKS, do_take_all(l, 0, 0));
	EXPECT(0, do_free_range(l, 0, 0, BLOCKS));
	EXPECT(0, do_pt_destroy(l, 0));
	EXPECT(-ECONNREFUSED, do_pt_create(l, 64, BLOCKS));
}

static void a_process_is_killed(void)
{
	struct actor *a = actor_new(1);

	heapd_start("");
	EXPECT(0, do_pt_create(&a->lane[0], 64, BLOCKS));
	EXPECT(1, do_pt_create(&a->lane[0], 64, BLOCKS));
	EXPECT(GOT, do_get(&a->lane[0], 0, 0));
	assert_int_equal(2, watch_stat().heaps);
	actor_kill(a);
	UNTIL(watch_stat().heaps == 0 && watch_stat().bytes == 0);
}

/* ---- fork ---- */

static void a_child_knows_none_of_its_parents(void)
{
	struct actor *parent = actor_new(1), *child;
	struct lane *p = &parent->lane[0], *c;

	heapd_start("");
	for (int i = 0; i < 8; i++)
		EXPECT(i, do_pt_create(p, 64, BLOCKS));
	EXPECT(0, do_pt_destroy(p, 7));
	EXPECT(GOT, do_get(p, 0, 0));
	EXPECT(0, put_text(p, 0, 0, "of the parent"));
	child = actor_fork(parent);
	c = &child->lane[0];
	for (int i = 0; i < 7; i++) {
		EXPECT(-EPERM, do_get(c, i, 1));
		EXPECT(0, do_put(c, i, 0)); /* its parent's block: nothing happens */
		EXPECT(0, do_ret(c, i, 0));
		EXPECT(-EPERM, do_pt_destroy(c, i));
	}
	EXPECT(-EBADF, do_get(c, 7, 1));
	EXPECT(-EBADF, do_pt_destroy(c, 7));
	expect_seen(0, 1, 0);
	assert_string_equal("of the parent", get_text(c, 0, 0).text);
	EXPECT(0, put_text(c, 0, 0, "of the child"));
	assert_string_equal("of the child", get_text(p, 0, 0).text);

	/* the parent is not disturbed */
	EXPECT(BLOCKS - 1, do_take_all(p, 0, 1));
	EXPECT(0, do_free_range(p, 0, 0, BLOCKS));
	for (int i = 0; i < 7; i++)
		EXPECT(0, do_pt_destroy(p, i));
}

static void a_child_has_its_own(void)
{
	struct actor *parent = actor_new(1), *child;
	struct lane *p = &parent->lane[0], *c;

	heapd_start("");
	for (int i = 0; i < 8; i++)
		EXPECT(i, do_pt_create(p, 64, BLOCKS));
	EXPECT(BLOCKS, do_take_all(p, 0, 0));
	child = actor_fork(parent);
	c = &child->lane[0];
	EXPECT(0, do_pt_create(c, 4096, 5));
	EXPECT(5, do_take_all(c, 0, 100));
	EXPECT(-EPERM, do_get(c, 1, 0)); /* the others are still the parent's */
	EXPECT(0, do_put(c, 0, 0));      /* a block of the parent's is none of this one */
	EXPECT(EMPTY, do_get(c, 0, 0));
	EXPECT(0, do_free_range(p, 0, 0, BLOCKS));
	for (int i = 1; i < 8; i++)
		EXPECT(i, do_pt_create(c, 100, 2));
	EXPECT(-EAGAIN, do_pt_create(c, 100, 2));

	/* it outlives its parent */
	actor_quit(parent);
	UNTIL(watch_stat().heaps == 8);
	EXPECT(0, do_free_range(c, 0, 100, 5));
	EXPECT(5, do_take_all(c, 0, 100));
	expect_seen(0, 5, 1);
	actor_quit(child);
	UNTIL(watch_stat().heaps == 0);
}

/* A child that was made by a bare clone runs no handlers of fork. */
static int run_bare_clone(struct step *s)
{
	int status = 0;
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

	(void)s;
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		void *block;
		int bad = 0;

		errno = 0;
		bad |= pt_getblock(0) != NULL || errno != EPERM;
		pt_freeblock(0, self.block[0]);
		bad |= pt_destroy(0) != -1 || errno != EPERM;
		bad |= (pt_create(64, 2) != 0) << 1;
		block = pt_getblock(0);
		bad |= (!block || !pt_getblock(0) || pt_getblock(0)) << 2;
		_exit(bad);
	}
	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	return status ? -EIO : 0;
}

static void a_bare_clone(void)
{
	struct lane *l = lane_new();

	heapd_start("");
	EXPECT(0, do_pt_create(l, 64, BLOCKS));
	EXPECT(BLOCKS, do_take_all(l, 0, 0));
	if (STORY_TSAN)
		story_skip("a bare clone is more than the thread sanitizer can take");
	EXPECT(0, do_pt(l, (struct step){ .run = run_bare_clone }));
	expect_seen(0, BLOCKS, 0);
	EXPECT(0, do_free_range(l, 0, 0, BLOCKS));
	EXPECT(0, do_pt_destroy(l, 0));
}

/* ---- many lives of one number ---- */

static void a_number_lives_often(void)
{
	struct lane *l = lane_new();
	size_t fds;

	heapd_start("");
	EXPECT(0, do_pt_create(l, 64, BLOCKS));
	fds = heapd_fds();
	for (int i = 0; i < 300 / STORY_FACTOR; i++) {
		int n = 1 + i * 37 % 1500; /* more and fewer than ever before */

		EXPECT(1, do_pt_create(l, (size_t)(1 + i % 200), n));
		EXPECT(n, do_take_all(l, 1, 0));
		EXPECT(0, do_free_range(l, 1, 0, n));
		EXPECT(0, do_put(l, 1, 0));
		expect_seen(1, 0, 1);
		EXPECT(0, do_pt_destroy(l, 1));
	}
	UNTIL(heapd_fds() == fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(the_daemon_is_killed),
		STORY(the_daemon_ends_well),
		STORY(a_process_is_killed),
		STORY(a_child_knows_none_of_its_parents),
		STORY(a_child_has_its_own),
		STORY(a_bare_clone),
		STORY(a_number_lives_often),
	};

	return cmocka_run_group_tests_name("pt-life", tests, NULL, NULL);
}
