/*
 * Story: processes die by SIGKILL, whatever they hold and wherever they are
 *
 * The measure is always the same: afterwards the survivors can have every byte of the heap,
 * exactly, and the daemon holds no session, binding, parked request or descriptor more than before.
 */
#include <signal.h>
#include "proto/codec.h"
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define PAGES 64
#define BYTES (PAGES * 4096)

/* The survivor takes everything, page by page and in one piece. */
static void expect_all_for(struct lane *l)
{
	struct step s = take_all(l, 0, 0, 4096, PAGES + 1);

	assert_int_equal(PAGES, s.result);
	assert_int_equal(EWOULDBLOCK, s.value);
	EXPECT(0, free_range(l, 0, 0, PAGES));
	EXPECT(0, do_alloc(l, 0, 0, BYTES, TM_NONBLOCK));
	EXPECT(0, do_free(l, 0, 0));
}

static void pages_come_back(void)
{
	struct actor *a = actor_new(1);
	struct lane *b = lane_new();

	heapd_start(PATIENT);
	EXPECT(0, do_create(&a->lane[0], 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_bind(b, 0, "pool"));
	EXPECT(PAGES / 2, take_all(&a->lane[0], 0, 0, 4096, PAGES / 2).result);
	EXPECT(100, take_all(&a->lane[0], 0, 1000, 24, 100).result);
	EXPECT(-EWOULDBLOCK, do_alloc(b, 0, 0, BYTES, TM_NONBLOCK));
	actor_kill(a);
	UNTIL(watch_bound("pool") == 1);
	expect_all_for(b);
}

static void a_waiter_gets_the_pages_of_the_dead(void)
{
	struct actor *a = actor_new(1);
	struct lane *b = lane_new(), *c = lane_new();

	heapd_start(PATIENT);
	EXPECT(0, do_create(&a->lane[0], 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_bind(b, 0, "pool"));
	EXPECT(0, do_bind(c, 0, "pool"));
	EXPECT(0, do_alloc(&a->lane[0], 0, 0, BYTES, TM_NONBLOCK));
	lane_start(b, step_alloc(0, 0, BYTES / 2, TM_INFINITE));
	UNTIL(watch_parked("pool") == 1);
	lane_start(c, step_alloc(0, 0, BYTES / 2, TM_INFINITE));
	UNTIL(watch_parked("pool") == 2);
	actor_kill(a);
	EXPECT(0, lane_result(b));
	EXPECT(0, lane_result(c));
}

/* Also when it is stopped: it dies without ever running again. */
static void a_stopped_process_is_killed(void)
{
	struct actor *a = actor_new(1);
	struct lane *b = lane_new();

	heapd_start(PATIENT);
	EXPECT(0, do_create(&a->lane[0], 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_bind(b, 0, "pool"));
	actor_stop(a);
	lane_start(b, step_alloc(0, 0, BYTES, TM_INFINITE));
	UNTIL(watch_parked("pool") == 1);
	actor_kill(a);
	EXPECT(0, lane_result(b));
}

static void a_dead_waiter_is_forgotten(void)
{
	struct actor *dead = actor_new(3);
	struct lane *holder = lane_new(), *b = lane_new();

	heapd_start(PATIENT);
	EXPECT(0, do_create(holder, 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_bind(&dead->lane[0], 0, "pool"));
	EXPECT(0, do_bind(b, 0, "pool"));
	EXPECT(0, do_alloc(holder, 0, 0, BYTES, TM_NONBLOCK));
	lane_start(&dead->lane[1], step_alloc(0, 1, BYTES, TM_INFINITE));
	lane_start(&dead->lane[2], step_alloc(0, 2, 64, SECONDS(1000)));
	lane_start(&dead->lane[0], step_bind(1, "nothing"));
	UNTIL(watch_parked("pool") == 2 && watch_stat().parked_binds == 1);
	lane_start(b, step_alloc(0, 1, BYTES, TM_INFINITE));
	UNTIL(watch_parked("pool") == 3);
	actor_kill(dead);
	UNTIL(watch_parked("pool") == 1 && watch_stat().parked_binds == 0);
	until_inquired(holder, 0, 1);
	EXPECT(0, do_free(holder, 0, 0));
	EXPECT(0, lane_result(b));
}

static void local_heaps_and_segments_of_the_dead(void)
{
	struct actor *a = actor_new(1);
	struct lane *b = lane_new();
	struct wire_stat before, after;

	heapd_start("");
	before = watch_stat();
	EXPECT(0, do_create(&a->lane[0], 0, NULL, BYTES, H_FIFO));
	EXPECT(0, do_create(&a->lane[0], 1, NULL, BYTES, H_SINGLE));
	EXPECT(0, do_create(&a->lane[0], 2, "segment", BYTES, H_SHARED));
	EXPECT(0, do_alloc(&a->lane[0], 2, 9, BYTES, TM_NONBLOCK));
	assert_int_equal(before.heaps + 3, watch_stat().heaps);
	actor_kill(a);
	UNTIL(watch_stat().heaps == before.heaps + 1);
	EXPECT(0, do_bind_timed(b, 0, "segment", TM_NONBLOCK));
	EXPECT(0, do_alloc(b, 0, 0, 0, TM_NONBLOCK));
	EXPECT(0, check_block(b, 0, 9, BYTES));
	EXPECT(0, do_delete(b, 0));
	EXPECT(0, do_unbind(b, 0));
	UNTIL(watch_stat().heaps == before.heaps);
	after = watch_stat();
	assert_int_equal(before.bytes, after.bytes);
}

/* ---- at random moments ---- */

static uint32_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33);
}

/* Everything at once, until killed. Unexpected results are counted on the board. */
static int run_storm(struct step *s)
{
	uint64_t seed = s->n;
	void *block[32] = { NULL };

	for (;;) {
		uint32_t what = next_random(&seed), i = next_random(&seed) % ARRAY_SIZE(block);
		int r;

		atomic_fetch_add(&board->count[0], 1);
		if (what % 64 == 0) {
			RT_HEAP heap;

			r = rt_heap_bind_timed(&heap, "nothing", NSEC_PER_MSEC / 5);
			if (r != -ETIMEDOUT)
				break;
		} else if (what % 64 == 1) {
			RT_HEAP heap;

			r = rt_heap_create(&heap, what & 64 ? NULL : "storm", 8192,
					   what & 128 ? H_FIFO : H_SINGLE);
			if (r == 0)
				r = rt_heap_delete(&heap);
			if (r == 0)
				r = rt_heap_unbind(&heap);
			if (r && r != -EEXIST)
				break;
		} else if (block[i]) {
			r = rt_heap_free(&self.heap[0], block[i]);
			block[i] = NULL;
			if (r)
				break;
		} else {
			size_t size = (size_t)1 << (4 + what % 11);

			r = rt_heap_alloc(&self.heap[0], size,
					  what & 1024 ? TM_NONBLOCK : NSEC_PER_MSEC / 5, &block[i]);
			if (r && r != -EWOULDBLOCK && r != -ETIMEDOUT)
				break;
			if (r == 0)
				memset(block[i], 1, size);
		}
	}
	atomic_fetch_add(&board->count[1], 1);
	return 0;
}

static void killed_at_random(void)
{
	struct lane *survivor = lane_new();
	uint64_t seed = 7;
	size_t fds;

	heapd_start("[daemon]\nrecall = 50ms\n");
	EXPECT(0, do_create(survivor, 0, "pool", BYTES, H_PRIO));
	(void)watch_stat();
	fds = heapd_fds();
	for (int round = 0; round < 60 / STORY_FACTOR; round++) {
		struct actor *a[3];
		uint64_t until;

		for (int i = 0; i < 3; i++) {
			a[i] = actor_new(3);
			EXPECT(0, do_bind(&a[i]->lane[0], 0, "pool"));
			lane_start(&a[i]->lane[1],
				   (struct step){ .run = run_storm, .n = next_random(&seed) });
			lane_start(&a[i]->lane[2],
				   (struct step){ .run = run_storm, .n = next_random(&seed) });
		}
		until = atomic_load(&board->count[0]) + next_random(&seed) % 20000;
		UNTIL(atomic_load(&board->count[0]) >= until);
		for (int i = 0; i < 3; i++)
			actor_kill(a[i]);
		assert_int_equal(0, atomic_load(&board->count[1]));
		UNTIL(watch_bound("pool") == 1 && watch_stat().sessions == 2);
		assert_int_equal(0, watch_parked("pool"));
		assert_int_equal(0, watch_stat().parked_binds);
		if (watch_exists("storm")) { /* a named heap outlives its creator */
			EXPECT(0, do_bind(survivor, 1, "storm"));
			EXPECT(0, do_delete(survivor, 1));
			EXPECT(0, do_unbind(survivor, 1));
		}
		/* a wait: TM_NONBLOCK may meet the recall bound, which is short here */
		EXPECT(0, do_alloc(survivor, 0, 0, BYTES, SECONDS(60)));
		EXPECT(0, do_free(survivor, 0, 0));
		UNTIL(watch_stat().heaps == 1 && watch_stat().bytes == BYTES);
	}
	UNTIL(heapd_fds() == fds);
}

/* ---- at chosen states of the protocol ---- */

static struct lane *survivor;
static size_t fds_before;

static void begin_states(void)
{
	heapd_start(PATIENT);
	survivor = lane_new();
	EXPECT(0, do_create(survivor, 0, "pool", BYTES, H_FIFO));
	(void)watch_stat();
	fds_before = heapd_fds();
}

/* After every way to go: nothing of the peer is left. */
static void end_state(void)
{
	UNTIL(watch_stat().sessions == 2 && heapd_fds() == fds_before);
	assert_int_equal(1, watch_bound("pool"));
	assert_int_equal(0, watch_parked("pool"));
	assert_int_equal(0, watch_stat().parked_binds);
	expect_all_for(survivor);
}

static void frame_refill(struct frame *f, uint64_t heap, uint32_t pages)
{
	struct wire_refill *refill = frame_init(f, OP_REFILL, 0, 0, sizeof(*refill));

	refill->heap = heap;
	refill->since_ns = now_ns();
	refill->size = pages * HW_PAGE_SIZE;
	refill->pages = pages;
	refill->tid = (uint32_t)gettid();
}

static void gone_after_connect_or_hello(void)
{
	struct raw r = RAW_NULL;
	struct frame f;
	struct wire_hello *hello;

	begin_states();
	EXPECT(0, raw_connect(&r));
	raw_close(&r);
	end_state();

	/* HELLO sent, its reply never read */
	EXPECT(0, raw_connect(&r));
	hello = frame_init(&f, OP_HELLO, 1, 0, sizeof(*hello));
	hello->version = WIRE_VERSION;
	hello->features = WIRE_FEATURE_BASE;
	EXPECT(0, channel_send(r.call, &f, 0));
	raw_close(&r);
	end_state();

	raw_open(&r);
	raw_close(&r);
	end_state();
}

/* Either socket ends the session. */
static void gone_by_one_socket(void)
{
	struct raw r = RAW_NULL;

	begin_states();
	for (int which = 0; which < 2; which++) {
		struct wire_bound bound;
		int fd;

		raw_open(&r);
		EXPECT(STATUS_OK, raw_bind(&r, "pool", ACCESS_WRITE, &bound, &fd));
		close_fd(which ? &r.event : &r.call);
		UNTIL(watch_bound("pool") == 1);
		assert_true(raw_hung_up(which ? r.call : r.event));
		close_fd(&fd);
		raw_close(&r);
		end_state();
	}
}

static void gone_with_pages_and_an_unanswered_recall(void)
{
	struct raw r = RAW_NULL;
	struct wire_bound bound;
	struct frame f;

	begin_states();
	raw_open(&r);
	EXPECT(STATUS_OK, raw_bind(&r, "pool", ACCESS_WRITE, &bound, NULL));
	frame_refill(&f, bound.heap, PAGES);
	if (raw_call(&r, &f) == STATUS_PARKED)
		do
			EXPECT(0, raw_event(&r, &f));
		while (f.header.op != EV_GRANT);
	UNTIL(watch_granted("pool") == BYTES);
	lane_start(survivor, step_alloc(0, 0, 4096, TM_INFINITE));
	do
		EXPECT(0, raw_event(&r, &f));
	while (f.header.op != EV_RECALL); /* urgent or not: one at a time */
	assert_false(lane_done(survivor));
	raw_close(&r);
	EXPECT(0, lane_result(survivor));
	EXPECT(0, do_free(survivor, 0, 0));
	end_state();
}

static void gone_while_parked(void)
{
	struct raw r = RAW_NULL;
	struct wire_bound bound;
	struct wire_bind *bind;
	struct frame f;

	begin_states();
	EXPECT(0, do_alloc(survivor, 0, 0, BYTES, TM_NONBLOCK));
	raw_open(&r);
	EXPECT(STATUS_OK, raw_bind(&r, "pool", ACCESS_WRITE, &bound, NULL));
	frame_refill(&f, bound.heap, 1);
	EXPECT(STATUS_PARKED, raw_call(&r, &f));
	frame_refill(&f, bound.heap, PAGES);
	EXPECT(STATUS_PARKED, raw_call(&r, &f));
	bind = frame_init(&f, OP_BIND, 0, 0, sizeof(*bind));
	name_copy(bind->name, "nothing");
	bind->access = ACCESS_BEST;
	EXPECT(STATUS_PARKED, raw_call(&r, &f));
	assert_int_equal(2, watch_parked("pool"));
	raw_close(&r);
	UNTIL(watch_bound("pool") == 1);
	EXPECT(0, do_free(survivor, 0, 0));
	end_state();
}

static void gone_while_its_heap_is_committed(void)
{
	struct raw r = RAW_NULL;
	struct wire_create *create;
	struct frame f;

	begin_states();
	for (int named = 0; named < 2; named++)
		for (int i = 0; i < 5; i++) {
			raw_open(&r);
			create = frame_init(&f, OP_CREATE, 0, 0, sizeof(*create));
			name_copy(create->name, named ? "unborn" : "");
			create->size = UINT64_C(64) << 20;
			create->mode = WIRE_MODE_SINGLE;
			create->kind = KIND_SEGMENT;
			create->perm = WIRE_PERM_DEFAULT;
			create->gid = WIRE_GID_DEFAULT;
			EXPECT(STATUS_PARKED, raw_call(&r, &f));
			raw_close(&r);
			UNTIL(watch_stat().commits == 0 && watch_stat().sessions == 2);
			/* whether or not it came to be, it is whole: to be bound and deleted */
			if (watch_exists("unborn")) {
				EXPECT(0, do_bind_timed(survivor, 1, "unborn", TM_NONBLOCK));
				EXPECT(0, do_delete(survivor, 1));
				EXPECT(0, do_unbind(survivor, 1));
			}
			UNTIL(watch_stat().heaps == 1 && watch_stat().bytes == BYTES);
		}
	end_state();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(pages_come_back),
		STORY(a_waiter_gets_the_pages_of_the_dead),
		STORY(a_stopped_process_is_killed),
		STORY(a_dead_waiter_is_forgotten),
		STORY(local_heaps_and_segments_of_the_dead),
		STORY(killed_at_random),
		STORY(gone_after_connect_or_hello),
		STORY(gone_by_one_socket),
		STORY(gone_with_pages_and_an_unanswered_recall),
		STORY(gone_while_parked),
		STORY(gone_while_its_heap_is_committed),
	};

	return cmocka_run_group_tests_name("kill", tests, NULL, NULL);
}
