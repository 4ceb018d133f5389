/*
 * Story: limits are hit, of the system and of the configuration
 *
 * A refusal is an errno for the one that asked, nothing is left of the attempt, everybody else goes
 * on, and what was refused works as soon as there is room again.
 */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define BYTES 16384
#define USER 65001
#define OTHER 65002

/* ---- descriptors of the client ---- */

/* Leaves room for n more descriptors; RLIM_INFINITY: as many as before. */
static int run_leave_fds(struct step *s)
{
	static rlim_t before;
	struct rlimit limit;
	int next = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

	if (next < 0 && errno != EMFILE)
		return -errno;
	if (next >= 0)
		(void)close(next);
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	if (!before)
		before = limit.rlim_cur;
	limit.rlim_cur = s->n == RLIM_INFINITY ? before : (rlim_t)next + s->n;
	return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}

static void leave_fds(struct lane *l, uint64_t n)
{
	EXPECT(0, lane_run(l, (struct step){ .run = run_leave_fds, .n = n }).result);
}

static void a_client_without_descriptors_cannot_connect(void)
{
	bool worked = false;

	heapd_start("");
	for (uint64_t room = 0; room < 12 && !worked; room++) {
		struct actor *a = actor_new(1);
		struct lane *l = &a->lane[0];
		int r;

		leave_fds(l, room);
		r = do_create(l, 0, "small", BYTES, H_FIFO);
		worked = r == 0;
		if (!worked)
			EXPECT(-EMFILE, r);
		if (room == 0)
			EXPECT(-EMFILE, r);
		leave_fds(l, RLIM_INFINITY);
		if (!worked)
			EXPECT(0, do_create(l, 0, "small", BYTES, H_FIFO));
		EXPECT(0, do_alloc(l, 0, 0, BYTES, TM_NONBLOCK));
		EXPECT(0, do_delete(l, 0));
		actor_quit(a);
		UNTIL(watch_stat().heaps == 0 && watch_stat().sessions == 1);
	}
	assert_true(worked);
}

static void a_connected_client_without_descriptors(void)
{
	struct lane *l = lane_new(), *other = lane_new();
	RT_HEAP_INFO info;

	heapd_start(PATIENT);
	EXPECT(0, do_create(l, 0, "mine", BYTES, H_FIFO));
	EXPECT(0, do_create(other, 0, "theirs", BYTES, H_FIFO));
	for (int i = 0; i < 5; i++) {
		leave_fds(l, 0);
		EXPECT(-EMFILE, do_create(l, 1, "more", BYTES, H_FIFO));
		EXPECT(-EMFILE, do_create(l, 1, NULL, BYTES, H_FIFO));
		EXPECT(-EMFILE, do_bind(l, 1, "theirs"));
		EXPECT(-EMFILE, do_bind_timed(l, 1, "theirs", TM_NONBLOCK));
		/* what it has works on, the session lives, and nothing is left of the attempts */
		EXPECT(0, do_bind(l, 2, "mine"));
		EXPECT(0, do_unbind(l, 2));
		EXPECT(0, do_alloc(l, 0, 0, BYTES, TM_NONBLOCK));
		EXPECT(0, do_inquire(l, 0, &info));
		EXPECT(0, do_free(l, 0, 0));
		assert_int_equal(1, watch_bound("theirs"));
		UNTIL(watch_stat().heaps == 2);
		leave_fds(l, RLIM_INFINITY);
		EXPECT(0, do_create(l, 1, "more", BYTES, H_FIFO));
		EXPECT(0, do_bind(l, 3, "theirs"));
		EXPECT(0, do_alloc(l, 3, 0, BYTES, TM_NONBLOCK));
		EXPECT(0, do_delete(l, 1));
		EXPECT(0, do_unbind(l, 1));
		EXPECT(0, do_unbind(l, 3));
		UNTIL(watch_stat().heaps == 2);
	}
}

/* The event with the memory comes while there is no room for it. */
static void a_parked_bind_without_descriptors(void)
{
	struct actor *a = actor_new(2);
	struct lane *l = &a->lane[0], *other = lane_new();

	heapd_start(PATIENT);
	EXPECT(0, do_create(l, 0, "mine", BYTES, H_FIFO));
	lane_start(&a->lane[1], step_bind(1, "late"));
	UNTIL(watch_stat().parked_binds == 1);
	leave_fds(l, 0);
	EXPECT(0, do_create(other, 0, "late", BYTES, H_FIFO));
	EXPECT(-EMFILE, lane_result(&a->lane[1]));
	UNTIL(watch_bound("late") == 1);
	leave_fds(l, RLIM_INFINITY);
	EXPECT(0, do_bind(l, 1, "late"));
	EXPECT(0, do_alloc(l, 1, 0, 4096, SECONDS(50)));
	EXPECT(0, do_alloc(l, 0, 1, BYTES, TM_NONBLOCK));
}

/* ---- descriptors of the daemon ---- */

#define CROWD 80

static void a_daemon_without_descriptors(void)
{
	struct actor *late = actor_new(1);
	struct lane *l = lane_new();
	struct raw crowd[CROWD];
	RT_HEAP_INFO info;
	size_t fds;
	int r, heap;

	log_allow("file descriptors");
	log_allow("Too many open files");
	heapd_start_limited("", 100);
	EXPECT(0, do_create(l, 0, "mine", BYTES, H_FIFO));
	(void)watch_stat();
	fds = heapd_fds();
	for (int i = 0; i < CROWD; i++) {
		crowd[i] = (struct raw)RAW_NULL;
		if (raw_connect(&crowd[i]) < 0)
			break;
	}
	for (int i = 0; i < CROWD; i++)
		if (crowd[i].call >= 0) {
			struct timeval soon = { .tv_usec = 20000 };

			(void)setsockopt(crowd[i].call, SOL_SOCKET, SO_RCVTIMEO, &soon,
					 sizeof(soon));
			(void)raw_hello(&crowd[i]);
		}
	UNTIL(heapd_fds() >= 90);

	/* those who are in go on; who wants more is told */
	EXPECT(0, do_alloc(l, 0, 0, BYTES, TM_NONBLOCK));
	EXPECT(0, do_inquire(l, 0, &info));
	EXPECT(0, do_free(l, 0, 0));
	/* each heap takes a descriptor of the daemon: at last there is none */
	for (heap = 1; heap < 20; heap++) {
		r = do_create(l, heap, NULL, BYTES, H_FIFO);
		if (r)
			break;
	}
	EXPECT(-EMFILE, r);
	EXPECT(0, do_alloc(l, 0, 0, BYTES, TM_NONBLOCK));
	EXPECT(0, do_free(l, 0, 0));
	r = do_create(&late->lane[0], 0, "late", BYTES, H_FIFO);
	assert_true(r == 0 || r == -EMFILE || r == -ECONNREFUSED || r == -ETIMEDOUT);

	for (int i = 0; i < CROWD; i++)
		raw_close(&crowd[i]);
	actor_quit(late);
	while (--heap > 0)
		EXPECT(0, do_unbind(l, heap));
	UNTIL(watch_stat().sessions == 2);
	if (watch_exists("late"))
		assert_int_equal(0, watch_bound("late"));
	else
		UNTIL(heapd_fds() == fds);
	EXPECT(0, do_create(l, 1, "again", BYTES, H_FIFO));
	EXPECT(0, do_bind(lane_new(), 0, "again"));
}

/* ---- quotas ---- */

static void sessions_of_users(void)
{
	struct actor *first, *second;
	struct lane *third, *other = lane_new_as(OTHER, OTHER), *root = lane_new();

	log_allow("a quota of this user");
	heapd_start("[limits]\nsessions = 2\n");
	first = actor_new_as(1, USER, USER);
	second = actor_new_as(1, USER, USER);
	third = lane_new_as(USER, USER);
	EXPECT(0, do_create(&first->lane[0], 0, "first", BYTES, H_FIFO));
	EXPECT(0, do_create(&second->lane[0], 0, NULL, BYTES, H_FIFO));
	EXPECT(-EDQUOT, do_create(third, 0, "third", BYTES, H_FIFO));
	EXPECT(-EDQUOT, do_bind(third, 0, "first"));
	EXPECT(-EDQUOT, do_bind_timed(third, 0, "first", TM_NONBLOCK));
	assert_string_not_equal("", last_problem(third).text);
	EXPECT(0, do_create(other, 0, "other", BYTES, H_FIFO));
	EXPECT(0, do_create(root, 0, "root", BYTES, H_FIFO));
	assert_true(watch_stat().refused >= 3);
	actor_quit(second);
	UNTIL(do_create(third, 0, "third", BYTES, H_FIFO) == 0);
	actor_kill(first);
	UNTIL(do_create(lane_new_as(USER, USER), 0, "fourth", BYTES, H_FIFO) != -EDQUOT);
}

static void too_many_sessions(void)
{
	story_needs_root();
	sessions_of_users();
}

static void heaps_of_users(void)
{
	struct lane *l = lane_new_as(USER, USER), *other = lane_new_as(OTHER, OTHER);

	heapd_start("[limits]\nheaps = 3\n");
	EXPECT(0, do_create(l, 0, "a", BYTES, H_FIFO));
	EXPECT(0, do_create(l, 1, NULL, BYTES, H_FIFO));
	EXPECT(0, do_create(l, 2, "c", BYTES, H_SHARED));
	EXPECT(-EDQUOT, do_create(l, 3, "d", BYTES, H_FIFO));
	EXPECT(-EDQUOT, do_create(l, 3, NULL, BYTES, H_SINGLE));
	EXPECT(-EEXIST, do_create(l, 3, "a", BYTES, H_FIFO)); /* first things first */
	EXPECT(0, do_create(other, 0, "d", BYTES, H_FIFO));

	/* deleted, but still mapped: it still costs */
	EXPECT(0, do_delete(l, 0));
	EXPECT(0, do_unbind(l, 0));
	UNTIL(do_create(l, 0, "e", BYTES, H_FIFO) == 0);
	EXPECT(0, do_unbind(l, 1)); /* a local heap goes with its last descriptor */
	UNTIL(do_create(l, 1, NULL, BYTES, H_FIFO) == 0);
	EXPECT(-EDQUOT, do_create(l, 3, NULL, BYTES, H_FIFO));
}

static void too_many_heaps(void)
{
	story_needs_root();
	heaps_of_users();
}

static void bytes_of_users(void)
{
	struct actor *mine = actor_new_as(1, USER, USER);
	struct lane *l = &mine->lane[0], *other = lane_new_as(OTHER, OTHER), *again;

	heapd_start("[limits]\nbytes = 1M\n[limits \"65002\"]\nbytes = 2M\n");
	EXPECT(-EDQUOT, do_create(l, 0, "a", (1 << 20) + 1, H_FIFO)); /* rounded up to pages */
	EXPECT(0, do_create(l, 0, "a", 1 << 19, H_FIFO));
	EXPECT(0, do_create(l, 1, NULL, 1 << 19, H_FIFO));
	EXPECT(-EDQUOT, do_create(l, 2, "b", 1, H_FIFO));
	EXPECT(0, do_create(other, 0, "big", 2 << 20, H_FIFO));
	EXPECT(-EDQUOT, do_create(other, 1, NULL, 1, H_FIFO));
	EXPECT(0, do_unbind(l, 1));
	UNTIL(do_create(l, 1, NULL, 1 << 19, H_FIFO) == 0);

	/* a named heap costs its creator for as long as it lives */
	actor_quit(mine);
	again = lane_new_as(USER, USER);
	UNTIL(do_create(again, 0, NULL, 1 << 19, H_FIFO) == 0);
	EXPECT(-EDQUOT, do_create(again, 1, NULL, 1, H_FIFO));
	EXPECT(0, do_bind(again, 2, "a"));
	EXPECT(0, do_delete(again, 2));
	EXPECT(0, do_unbind(again, 2));
	UNTIL(do_create(again, 1, NULL, 1 << 19, H_FIFO) == 0);
}

static void too_many_bytes(void)
{
	story_needs_root();
	bytes_of_users();
}

static void requests_of_users(void)
{
	struct actor *a = actor_new_as(4, USER, USER);
	struct lane *l = &a->lane[0], *holder = lane_new_as(USER, USER),
		    *other = lane_new_as(OTHER, OTHER);

	heapd_start("[limits]\nparked = 2\n");
	EXPECT(0, do_create(holder, 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_bind(l, 0, "pool"));
	EXPECT(0, do_alloc(holder, 0, 0, BYTES, TM_NONBLOCK));
	lane_start(&a->lane[1], step_bind(1, "late"));
	lane_start(&a->lane[2], step_alloc(0, 0, 64, TM_INFINITE));
	UNTIL(watch_stat().parked_binds == 1 && watch_stat().parked_refills == 1);
	EXPECT(-EDQUOT, do_bind(&a->lane[3], 2, "later"));
	EXPECT(-EDQUOT, do_alloc(&a->lane[3], 0, 1, 64, TM_INFINITE));
	EXPECT(-EDQUOT, do_alloc(&a->lane[3], 0, 1, 64, SECONDS(1000)));
	EXPECT(-EWOULDBLOCK, do_bind_timed(&a->lane[3], 2, "later", TM_NONBLOCK)); /* never parks */
	assert_int_equal(1, watch_waiters("pool"));
	lane_start(other, step_bind(0, "later"));
	UNTIL(watch_stat().parked_binds == 2);

	EXPECT(0, do_free(holder, 0, 0));
	EXPECT(0, lane_result(&a->lane[2]));
	lane_start(&a->lane[3], step_bind(2, "later"));
	UNTIL(watch_stat().parked_binds == 3);
	EXPECT(0, do_create(holder, 1, "late", BYTES, H_FIFO));
	EXPECT(0, lane_result(&a->lane[1]));
}

static void too_many_parked(void)
{
	story_needs_root();
	requests_of_users();
}

static void the_largest_heap(void)
{
	struct lane *l = lane_new();

	heapd_start("[heaps]\nmax_size = 1M\n");
	EXPECT(-EINVAL, do_create(l, 0, "big", (1 << 20) + 1, H_FIFO));
	EXPECT(-EINVAL, do_create(l, 0, "big", SIZE_MAX, H_FIFO));
	EXPECT(-EINVAL, do_create(l, 0, "big", SIZE_MAX - 4096, H_FIFO));
	EXPECT(-EINVAL, do_create(l, 0, NULL, SIZE_MAX / 2, H_FIFO));
	EXPECT(0, do_create(l, 0, "big", 1 << 20, H_FIFO));
	EXPECT(0, do_alloc(l, 0, 0, 1 << 20, TM_NONBLOCK));
}

static void root_has_no_quota(void)
{
	struct lane *l = lane_new();

	story_needs_root();
	heapd_start("[limits]\nheaps = 1\nbytes = 4K\nparked = 1\nsessions = 1\n");
	for (int i = 0; i < 10; i++)
		EXPECT(0, do_create(l, i, NULL, BYTES, H_FIFO));
}

/* No room for the mapping in this process: -ENOMEM, and no trace. */
static int run_limit_memory(struct step *s)
{
	struct rlimit limit = { s->n, RLIM_INFINITY };

	return setrlimit(RLIMIT_AS, &limit) < 0 ? -errno : 0;
}

static void no_room_for_the_mapping(void)
{
	const size_t large = (size_t)512 << 20;
	struct lane *l = lane_new(), *other = lane_new();

	if (STORY_SANITIZED)
		story_skip("a sanitizer's shadow memory does not fit an address space limit");
	heapd_start("");
	EXPECT(0, do_create(l, 0, "small", BYTES, H_FIFO));
	EXPECT(0, do_create(other, 0, "theirs", large / 2, H_SHARED));
	EXPECT(0, lane_run(l, (struct step){ .run = run_limit_memory, .n = (uint64_t)200 << 20 })
			  .result);
	EXPECT(-ENOMEM, do_create(l, 1, "large", large, H_FIFO));
	EXPECT(-ENOMEM, do_create(l, 1, NULL, large, H_SINGLE));
	EXPECT(-ENOMEM, do_bind(l, 1, "theirs"));
	assert_int_equal(1, watch_bound("theirs"));
	UNTIL(watch_stat().heaps == 2);
	EXPECT(0, do_alloc(l, 0, 0, BYTES, TM_NONBLOCK));
	EXPECT(0, lane_run(l, (struct step){ .run = run_limit_memory, .n = RLIM_INFINITY }).result);
	EXPECT(0, do_bind(l, 1, "theirs"));
	EXPECT(0, do_alloc(l, 1, 1, 0, TM_NONBLOCK));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_client_without_descriptors_cannot_connect),
		STORY(a_connected_client_without_descriptors),
		STORY(a_parked_bind_without_descriptors),
		STORY(a_daemon_without_descriptors),
		STORY(too_many_sessions),
		STORY(too_many_heaps),
		STORY(too_many_bytes),
		STORY(too_many_parked),
		STORY(the_largest_heap),
		STORY(root_has_no_quota),
		STORY(no_room_for_the_mapping),
	};

	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
