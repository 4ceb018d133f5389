/*
 * Story: a process binds to a heap that does not exist yet
 */
#include "proto/codec.h"
#include "tests/story/raw.h"
#include "tests/story/steps.h"

static void bind_waits_for_creation(void)
{
	struct lane *binder = lane_new(), *maker = lane_new();

	heapd_start("");
	lane_start(binder, step_bind(0, "late"));
	UNTIL(watch_stat().parked_binds == 1);
	assert_false(lane_done(binder));
	EXPECT(0, do_create(maker, 0, "late", 65536, H_SHARED));
	EXPECT(0, lane_result(binder));
	assert_int_equal(0, watch_stat().parked_binds);
	assert_int_equal(2, watch_bound("late"));

	EXPECT(0, do_alloc(maker, 0, 1, 65536, TM_NONBLOCK));
	EXPECT(0, do_alloc(binder, 0, 2, 0, TM_NONBLOCK));
	EXPECT(0, check_block(binder, 2, 1, 65536));
}

static void bind_waits_for_its_own_name(void)
{
	struct lane *binder = lane_new(), *maker = lane_new();

	heapd_start("");
	lane_start(binder, step_bind(0, "mine"));
	UNTIL(watch_stat().parked_binds == 1);
	EXPECT(0, do_create(maker, 0, "other", 4096, H_FIFO));
	EXPECT(0, do_create(maker, 1, "mine.", 4096, H_FIFO));
	EXPECT(0, do_create(maker, 2, "min", 4096, H_FIFO));
	assert_int_equal(1, watch_stat().parked_binds);
	assert_false(lane_done(binder));
	EXPECT(0, do_create(maker, 3, "mine", 4096, H_FIFO));
	EXPECT(0, lane_result(binder));
}

static void bind_waits_for_the_daemon(void)
{
	struct lane *binder = lane_new(), *maker = lane_new();

	lane_start(binder, step_bind(0, "early"));
	for (int i = 0; i < 20; i++)
		story_pause("the binder is well inside its wait", __FILE__, __LINE__);
	assert_false(lane_done(binder));
	heapd_start("");
	UNTIL(watch_stat().parked_binds == 1);
	EXPECT(0, do_create(maker, 0, "early", 4096, H_FIFO));
	EXPECT(0, lane_result(binder));
	EXPECT(0, do_unbind(binder, 0));
}

static void bind_outlives_a_daemon(void)
{
	struct lane *binder = lane_new(), *maker = lane_new();

	heapd_start("");
	lane_start(binder, step_bind(0, "patient"));
	UNTIL(watch_stat().parked_binds == 1);
	heapd_stop();
	heapd_start("");
	UNTIL(watch_stat().parked_binds == 1);
	EXPECT(0, do_create(maker, 0, "patient", 4096, H_FIFO));
	EXPECT(0, lane_result(binder));
}

static void all_who_wait_are_bound(void)
{
	struct actor *a[3];
	struct lane *maker = lane_new();

	heapd_start("");
	for (int i = 0; i < 3; i++) {
		a[i] = actor_new(3);
		for (int k = 0; k < 3; k++)
			lane_start(&a[i]->lane[k], step_bind(k, "popular"));
	}
	UNTIL(watch_stat().parked_binds >= 3);
	EXPECT(0, do_create(maker, 0, "popular", 16384, H_SHARED));
	EXPECT(0, do_alloc(maker, 0, 0, 0, TM_NONBLOCK));
	EXPECT(0, put_text(maker, 0, 100, "hello"));
	for (int i = 0; i < 3; i++)
		for (int k = 0; k < 3; k++)
			EXPECT(0, lane_result(&a[i]->lane[k]));
	assert_int_equal(4, watch_bound("popular"));
	for (int i = 0; i < 3; i++)
		for (int k = 0; k < 3; k++) {
			EXPECT(0, do_alloc(&a[i]->lane[k], k, k, 0, TM_NONBLOCK));
			assert_string_equal("hello", get_text(&a[i]->lane[k], k, 100).text);
		}
}

static void bind_waits_until_memory_is_committed(void)
{
	struct lane *binder = lane_new();
	struct raw maker = RAW_NULL;
	struct wire_bound bound;

	heapd_start("");
	raw_open(&maker);
	lane_start(binder, step_bind(0, "large"));
	EXPECT(STATUS_OK, raw_create(&maker, "large", UINT64_C(128) << 20,
				     WIRE_MODE_MAPPABLE | WIRE_MODE_SINGLE, &bound, NULL));
	EXPECT(0, lane_result(binder));
	EXPECT(0, do_alloc(binder, 0, 0, 0, TM_NONBLOCK));
	raw_close(&maker);
}

static void timed_binds_end(void)
{
	struct lane *l = lane_new();
	struct step s;

	heapd_start("");
	EXPECT(-EWOULDBLOCK, do_bind_timed(l, 0, "nobody", TM_NONBLOCK));
	s = lane_run(l, step_bind_timed(0, "nobody", MS(30)));
	EXPECT(-ETIMEDOUT, s.result);
	assert_true(s.took_ns >= MS(30));
	assert_int_equal(0, watch_stat().parked_binds);
	EXPECT(-EINVAL, do_unbind(l, 0));

	/* A name that comes in time. The largest finite timeout is no overflow. */
	lane_start(l, step_bind_timed(0, "somebody", TM_NONBLOCK - 1));
	UNTIL(watch_stat().parked_binds == 1);
	EXPECT(0, do_create(lane_new(), 0, "somebody", 4096, H_FIFO));
	EXPECT(0, lane_result(l));

	/* One that is there needs no time. */
	EXPECT(0, do_bind_timed(l, 1, "somebody", TM_NONBLOCK));
	EXPECT(0, do_bind_timed(l, 2, "somebody", 1));
	EXPECT(0, do_bind_timed(l, 3, "somebody", TM_INFINITE));
}

static void timed_binds_end_without_a_daemon(void)
{
	struct lane *l = lane_new();
	struct step s;

	EXPECT(-ECONNREFUSED, do_bind_timed(l, 0, "nobody", TM_NONBLOCK));
	s = lane_run(l, step_bind_timed(0, "nobody", MS(30)));
	EXPECT(-ETIMEDOUT, s.result);
	assert_true(s.took_ns >= MS(30));
}

static void a_dead_binder_leaves_nothing(void)
{
	struct actor *binder = actor_new(1);
	struct lane *maker = lane_new();

	heapd_start("");
	lane_start(&binder->lane[0], step_bind(0, "never"));
	UNTIL(watch_stat().parked_binds == 1);
	actor_kill(binder);
	UNTIL(watch_stat().parked_binds == 0);
	EXPECT(0, do_create(maker, 0, "never", 4096, H_FIFO));
	assert_int_equal(1, watch_bound("never"));
}

/* In which order four parked binds of these priorities are served when a heap of that mode comes.
 */
static void expect_bind_order(uint32_t mode, const uint32_t order[4])
{
	static const int32_t priority[4] = { 1, 50, 10, 50 };
	struct raw waits, creates;
	struct wire_bound bound;
	struct frame f;
	int fd = -1;

	raw_open(&waits);
	raw_open(&creates);
	for (uint32_t i = 0; i < 4; i++) {
		struct wire_bind *body = frame_init(&f, OP_BIND, 0, 0, sizeof(*body));

		name_copy(body->name, "ordered");
		body->access = ACCESS_WRITE;
		body->priority = priority[i];
		assert_int_equal(STATUS_PARKED, raw_call(&waits, &f));
	}
	assert_int_equal(STATUS_OK, raw_create(&creates, "ordered", 4096, mode, &bound, &fd));
	close_fd(&fd);
	for (uint32_t i = 0, first = 0; i < 4; i++) {
		assert_int_equal(0, raw_event(&waits, &f));
		assert_int_equal(EV_BOUND, f.header.op);
		assert_int_equal(i == 0 ? STATUS_OK : STATUS_BOUND, f.header.status);
		frame_close_fds(&f);
		if (i == 0)
			first = f.header.id - order[0]; /* ids are consecutive */
		assert_int_equal(first + order[i], f.header.id);
	}
	assert_int_equal(STATUS_OK, raw_delete(&creates, "ordered"));
	raw_close(&waits);
	raw_close(&creates);
}

static void binds_are_served_in_order(void)
{
	heapd_start("");
	expect_bind_order(0, (const uint32_t[]){ 0, 1, 2, 3 });
	expect_bind_order(WIRE_MODE_PRIO, (const uint32_t[]){ 1, 3, 2, 0 });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(bind_waits_for_creation),
		STORY(bind_waits_for_its_own_name),
		STORY(bind_waits_for_the_daemon),
		STORY(bind_outlives_a_daemon),
		STORY(all_who_wait_are_bound),
		STORY(binds_are_served_in_order),
		STORY(bind_waits_until_memory_is_committed),
		STORY(timed_binds_end),
		STORY(timed_binds_end_without_a_daemon),
		STORY(a_dead_binder_leaves_nothing),
	};

	return cmocka_run_group_tests_name("bind", tests, NULL, NULL);
}
