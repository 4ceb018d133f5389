/*
 * Story: a client forks
 */
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define BYTES 16384

static void inherited_descriptors_are_refused(void)
{
	struct actor *parent = actor_new(2), *child;
	struct lane *c;
	RT_HEAP_INFO info;
	size_t offset;

	heapd_start(PATIENT);
	EXPECT(0, do_create(&parent->lane[0], 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_create(&parent->lane[0], 1, NULL, BYTES, H_FIFO));
	EXPECT(0, do_create(&parent->lane[0], 2, "segment", BYTES, H_SHARED));
	EXPECT(0, do_alloc(&parent->lane[0], 0, 0, 100, TM_NONBLOCK));
	child = actor_fork(parent);
	c = &child->lane[0];
	for (int h = 0; h < 3; h++) {
		EXPECT(-EPERM, do_alloc(c, h, 9, h == 2 ? 0 : 64, TM_NONBLOCK));
		EXPECT(-EPERM, do_alloc(c, h, 9, h == 2 ? 0 : 64, TM_INFINITE));
		EXPECT(-EPERM, do_alloc_until(c, h, 9, h == 2 ? 0 : 64, 0));
		EXPECT(-EPERM, do_free(c, h, 0));
		EXPECT(-EPERM, do_inquire(c, h, &info));
		EXPECT(-EPERM, do_offset(c, h, 0, &offset));
		EXPECT(-EPERM, do_pointer(c, h, 9, 0));
		EXPECT(-EPERM, do_delete(c, h));
		EXPECT(-EPERM, do_unbind(c, h));
	}

	/* and all is as it was for the parent */
	EXPECT(0, check_block(&parent->lane[0], 0, 0, 100));
	EXPECT(0, do_free(&parent->lane[0], 0, 0));
	EXPECT(0, do_alloc(&parent->lane[0], 0, 0, BYTES, TM_NONBLOCK));
	EXPECT(0, do_alloc(&parent->lane[1], 1, 1, BYTES, TM_NONBLOCK));
	EXPECT(0, do_inquire(&parent->lane[0], 2, &info));
}

static void segments_stay_shared(void)
{
	struct actor *parent = actor_new(1), *child;

	heapd_start("");
	EXPECT(0, do_create(&parent->lane[0], 0, "segment", BYTES, H_SHARED));
	EXPECT(0, do_alloc(&parent->lane[0], 0, 2, BYTES, TM_NONBLOCK));
	child = actor_fork(parent);
	EXPECT(0, check_block(&child->lane[0], 2, 2, BYTES));
	EXPECT(0, put_text(&child->lane[0], 2, 9000, "from the child"));
	assert_string_equal("from the child", get_text(&parent->lane[0], 2, 9000).text);
	EXPECT(0, put_text(&parent->lane[0], 2, 0, "from the parent"));
	assert_string_equal("from the parent", get_text(&child->lane[0], 2, 0).text);

	/* also when the parent is gone */
	actor_quit(parent);
	UNTIL(watch_bound("segment") == 0);
	assert_string_equal("from the parent", get_text(&child->lane[0], 2, 0).text);
	EXPECT(0, put_text(&child->lane[0], 2, BYTES - 2, "x"));
}

static void the_child_is_a_client_of_its_own(void)
{
	struct actor *parent = actor_new(2), *child;
	struct lane *p, *c;
	size_t offset;

	heapd_start(PATIENT);
	p = &parent->lane[0];
	EXPECT(0, do_create(p, 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_alloc(p, 0, 0, 4096, TM_NONBLOCK));
	EXPECT(0, do_offset(p, 0, 0, &offset));
	child = actor_fork(parent);
	c = &child->lane[0];
	EXPECT(0, do_bind(c, 3, "pool"));
	assert_int_equal(2, watch_bound("pool"));
	EXPECT(0, do_alloc(c, 3, 5, 4096, TM_NONBLOCK));
	EXPECT(0, do_alloc(c, 3, 6, 8192, TM_NONBLOCK));
	EXPECT(-EWOULDBLOCK, do_alloc(p, 0, 1, 16, TM_NONBLOCK));
	EXPECT(-EWOULDBLOCK, do_alloc(c, 3, 7, 16, TM_NONBLOCK));

	/* it waits, and is served */
	lane_start(c, step_alloc(3, 7, 4096, TM_INFINITE));
	UNTIL(watch_parked("pool") == 1);
	EXPECT(0, do_free(p, 0, 0));
	EXPECT(0, lane_result(c));

	/* it creates, and the parent binds; it frees what the parent took */
	EXPECT(0, do_create(c, 4, "child", BYTES, H_FIFO));
	EXPECT(0, do_bind(p, 4, "child"));
	EXPECT(0, do_alloc(p, 4, 0, 64, TM_NONBLOCK));
	EXPECT(0, do_offset(p, 4, 0, &offset));
	EXPECT(0, do_pointer(c, 4, 0, offset));
	EXPECT(0, do_free(c, 4, 0));
	EXPECT(0, do_create(c, 5, NULL, BYTES, H_FIFO));
	EXPECT(0, do_alloc(c, 5, 8, BYTES, TM_NONBLOCK));
	EXPECT(-EPERM, do_alloc(c, 0, 1, 16, TM_NONBLOCK));
	actor_quit(child);
	UNTIL(watch_bound("pool") == 1);
	EXPECT(0, do_alloc(p, 0, 1, BYTES, TM_NONBLOCK));
}

/* The child holds copies of the parent's sockets; they must not keep the dead parent's pages. */
static void the_child_outlives_its_parent(void)
{
	struct actor *parent = actor_new(1), *child;
	struct lane *other = lane_new();

	heapd_start(PATIENT);
	EXPECT(0, do_create(&parent->lane[0], 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_bind(other, 0, "pool"));
	EXPECT(0, do_alloc(&parent->lane[0], 0, 0, BYTES, TM_NONBLOCK));
	child = actor_fork(parent);
	lane_start(other, step_alloc(0, 0, BYTES, TM_INFINITE));
	UNTIL(watch_parked("pool") == 1);
	actor_kill(parent);
	EXPECT(0, lane_result(other));
	UNTIL(watch_bound("pool") == 1);
	EXPECT(-EPERM, do_alloc(&child->lane[0], 0, 1, 16, TM_NONBLOCK));
	EXPECT(0, do_bind(&child->lane[0], 1, "pool"));
	EXPECT(-EWOULDBLOCK, do_alloc(&child->lane[0], 1, 1, 16, TM_NONBLOCK));
	EXPECT(0, do_free(other, 0, 0));
	EXPECT(0, do_alloc(&child->lane[0], 1, 1, 4096, TM_NONBLOCK));
}

static void the_parent_goes_on_while_its_child_dies(void)
{
	struct actor *parent = actor_new(2), *child;
	struct lane *other = lane_new();

	heapd_start(PATIENT);
	EXPECT(0, do_create(&parent->lane[0], 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_bind(other, 0, "pool"));
	EXPECT(0, do_alloc(other, 0, 0, BYTES, TM_NONBLOCK));
	/* waits through it all */
	lane_start(&parent->lane[1], step_alloc(0, 1, 4096, TM_INFINITE));
	UNTIL(watch_parked("pool") == 1);
	child = actor_fork(parent);
	EXPECT(-EPERM, do_unbind(&child->lane[0], 0));
	actor_quit(child);
	assert_int_equal(2, watch_bound("pool"));
	assert_int_equal(1, watch_parked("pool"));
	EXPECT(0, do_free(other, 0, 0));
	EXPECT(0, lane_result(&parent->lane[1]));
	EXPECT(0, do_alloc(&parent->lane[0], 0, 2, 8192, TM_NONBLOCK));
}

/* fork while other threads of the parent are in the middle of everything. */
static int run_churn(struct step *s)
{
	(void)s;
	while (!atomic_load(&board->count[1])) {
		void *block;
		int r = rt_heap_alloc(&self.heap[0], 64, TM_INFINITE, &block);

		if (r == 0)
			r = rt_heap_free(&self.heap[0], block);
		if (r == 0) {
			RT_HEAP heap;

			r = rt_heap_bind_timed(&heap, "pool", TM_NONBLOCK);
			/* the other thread waits in it */
			while (r == 0 && (r = rt_heap_unbind(&heap)) == -EBUSY)
				r = 0;
		}
		if (r)
			return r;
		atomic_fetch_add(&board->count[0], 1);
	}
	return 0;
}

static void fork_in_the_middle_of_work(void)
{
	heapd_start(PATIENT);
	for (int round = 0; round < 20; round++) {
		struct actor *parent = actor_new(3), *child;
		struct lane *c;

		atomic_store(&board->count[0], 0);
		atomic_store(&board->count[1], 0);
		EXPECT(0, do_create(&parent->lane[0], 0, "pool", BYTES, H_FIFO));
		lane_start(&parent->lane[1], (struct step){ .run = run_churn });
		lane_start(&parent->lane[2], (struct step){ .run = run_churn });
		UNTIL(atomic_load(&board->count[0]) > 20);
		child = actor_fork(parent);
		c = &child->lane[0];
		EXPECT(-EPERM, do_alloc(c, 0, 0, 64, TM_NONBLOCK));
		EXPECT(0, do_bind(c, 1, "pool"));
		EXPECT(0, do_alloc(c, 1, 0, 4096, SECONDS(50)));
		EXPECT(0, do_free(c, 1, 0));
		atomic_store(&board->count[1], 1);
		EXPECT(0, lane_result(&parent->lane[1]));
		EXPECT(0, lane_result(&parent->lane[2]));
		EXPECT(0, do_delete(&parent->lane[0], 0));
		actor_quit(child);
		actor_quit(parent);
	}
	UNTIL(watch_stat().heaps == 0 && watch_stat().sessions == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(inherited_descriptors_are_refused),
		STORY(segments_stay_shared),
		STORY(the_child_is_a_client_of_its_own),
		STORY(the_child_outlives_its_parent),
		STORY(the_parent_goes_on_while_its_child_dies),
		STORY(fork_in_the_middle_of_work),
	};

	return cmocka_run_group_tests_name("fork", tests, NULL, NULL);
}
