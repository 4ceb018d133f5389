/*
 * Story: heapd dies or is replaced, and what it kept goes on
 */
#include <signal.h>
#include "tests/story/keeper.h"
#include "tests/story/load.h"
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define BYTES 65536
#define STORE 256u

/* As systemd would, at once. */
static void again(void)
{
	heapd_kill();
	heapd_start(PATIENT);
}

/* Nobody asks, nothing is parked: heaps, contents and grants are there as before. */
static void a_named_heap_goes_on(void)
{
	struct actor *a = actor_new(2);
	struct lane *l = &a->lane[0], *other = lane_new();
	RT_HEAP_INFO info;

	heapd_keep(STORE);
	heapd_start(PATIENT);
	EXPECT(0, do_create(l, 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_create(l, 1, "segment", BYTES, H_SHARED));
	EXPECT(0, do_create(l, 2, NULL, BYTES, H_FIFO));
	EXPECT(0, do_alloc(l, 0, 0, 8192, TM_NONBLOCK));
	EXPECT(0, do_alloc(l, 1, 1, 0, TM_NONBLOCK));
	EXPECT(0, do_alloc(l, 2, 2, 8192, TM_NONBLOCK));
	EXPECT(0, put_text(l, 1, 100, "what was written"));
	EXPECT(0, do_bind(other, 0, "pool"));
	EXPECT(0, do_alloc(other, 0, 3, 8192, TM_NONBLOCK));
	again();

	EXPECT(0, do_inquire(l, 0, &info));
	assert_int_equal(16384, info.usedmem);
	EXPECT(0, check_block(l, 0, 0, 8192));
	EXPECT(0, check_block(other, 3, 3, 8192));
	EXPECT(0, do_free(l, 0, 0));
	EXPECT(0, do_free(other, 0, 3));
	EXPECT(0, do_alloc(l, 0, 4, BYTES, SECONDS(30))); /* all of it, the other's pages too */
	EXPECT(0, do_free(l, 0, 4));
	EXPECT(0, check_block(l, 2, 2, 8192));
	EXPECT(0, do_free(l, 2, 2));
	EXPECT(0, do_alloc(l, 2, 2, BYTES, TM_NONBLOCK));
	EXPECT(0, do_bind(other, 1, "segment"));
	EXPECT(0, do_alloc(other, 1, 5, 0, TM_NONBLOCK));
	assert_string_equal("what was written", get_text(other, 5, 100).text);
	EXPECT(-EEXIST, do_create(other, 2, "pool", BYTES, H_FIFO));
	EXPECT(0, do_delete(l, 0));
	EXPECT(-EIDRM, do_alloc(other, 0, 3, 64, TM_NONBLOCK));
	EXPECT(0, do_create(other, 2, "pool", BYTES, H_FIFO));
}

/* ---- what was under way ---- */

static void waiters_are_served(void)
{
	struct actor *a = actor_new(4);
	struct lane *holder = lane_new(), *maker = lane_new();

	heapd_keep(STORE);
	heapd_start(PATIENT);
	EXPECT(0, do_create(holder, 0, "pool", BYTES, H_PRIO));
	EXPECT(0, do_bind(&a->lane[0], 0, "pool"));
	EXPECT(0, do_alloc(holder, 0, 0, BYTES, TM_NONBLOCK));
	lane_start(&a->lane[0], step_alloc(0, 0, 64, TM_INFINITE));
	lane_start(&a->lane[1], step_alloc(0, 1, 8192, SECONDS(1000)));
	lane_start(&a->lane[2], step_bind(1, "later"));
	lane_start(&a->lane[3], step_bind_timed(2, "never", SECONDS(2)));
	UNTIL(watch_parked("pool") == 2 && watch_stat().parked_binds == 2);
	for (int i = 0; i < 3; i++) {
		again();
		UNTIL(watch_parked("pool") == 2 && watch_stat().parked_binds >= 1);
	}
	EXPECT(0, do_free(holder, 0, 0));
	EXPECT(0, lane_result(&a->lane[0]));
	EXPECT(0, lane_result(&a->lane[1]));
	EXPECT(0, do_create(maker, 0, "later", BYTES, H_SHARED));
	EXPECT(0, lane_result(&a->lane[2]));
	EXPECT(-ETIMEDOUT, lane_result(&a->lane[3]));
	UNTIL(watch_waiters("pool") == 0 && watch_parked("pool") == 0);
}

/* Calls that find no daemon wait for the next one. */
static void calls_wait(void)
{
	struct actor *a = actor_new(5);
	struct lane *l = &a->lane[0];
	RT_HEAP_INFO info;

	heapd_keep(STORE);
	heapd_start(PATIENT);
	EXPECT(0, do_create(l, 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_create(l, 1, "other", BYTES, H_FIFO));
	heapd_kill();
	EXPECT(0, do_alloc(l, 0, 0, 64, TM_NONBLOCK)); /* needs nobody */
	EXPECT(0, do_free(l, 0, 0));
	lane_start(&a->lane[1], step_create(2, "new", BYTES, H_SHARED));
	lane_start(&a->lane[2], step_bind_timed(3, "nobody", TM_NONBLOCK));
	lane_start(&a->lane[3], step_bind_timed(4, "nobody", MS(10)));
	EXPECT(-ETIMEDOUT, lane_result(&a->lane[3])); /* its own time is over sooner */
	assert_false(lane_done(&a->lane[1]));
	heapd_start(PATIENT);
	EXPECT(0, lane_result(&a->lane[1]));
	EXPECT(-EWOULDBLOCK, lane_result(&a->lane[2]));
	EXPECT(0, do_inquire(l, 0, &info));
	EXPECT(0, do_delete(l, 1));
}

/* ---- the first bind of a session ---- */

/* Nobody is told that he is bound before systemd has what a daemon needs to know him. */
static void a_first_bind_is_safe(void)
{
	struct actor *a = actor_new(2);
	struct lane *l = lane_new(), *second = lane_new(), *third = lane_new();

	heapd_keep(STORE);
	heapd_start(PATIENT);
	EXPECT(0, do_create(l, 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_create(l, 1, "other", BYTES, H_FIFO));
	(void)keeper_count();
	keeper_pause(true);
	lane_start(&a->lane[0], step_bind(0, "pool"));
	EXPECT(-ETIMEDOUT, do_bind_timed(&a->lane[1], 1, "pool", MS(20)));
	lane_start(second, step_bind(0, "other"));
	lane_start(third, step_bind(0, "later"));
	UNTIL(watch_stat().parked_binds == 3);
	assert_int_equal(1, watch_bound("pool"));
	assert_int_equal(1, watch_bound("other"));
	EXPECT(0, do_delete(l, 1)); /* whose own binding is safe */
	keeper_pause(false);
	EXPECT(0, lane_result(&a->lane[0]));
	UNTIL(watch_stat().parked_binds == 2); /* one's heap has gone meanwhile: it waits for another */
	EXPECT(0, do_unbind(l, 1));
	EXPECT(0, do_create(l, 1, "other", BYTES, H_FIFO));
	EXPECT(0, do_create(l, 2, "later", BYTES, H_FIFO));
	EXPECT(0, lane_result(second));
	EXPECT(0, lane_result(third));
	/* and it is true */
	again();
	EXPECT(0, do_alloc(&a->lane[0], 0, 0, BYTES, SECONDS(30)));
	EXPECT(0, do_alloc(second, 0, 0, BYTES, SECONDS(30)));
	EXPECT(0, do_alloc(third, 0, 0, BYTES, SECONDS(30)));
	UNTIL(watch_stat().parked_binds == 0);
}

/* systemd takes nothing any more, for a while: who will not wait is told so. */
static void a_bind_that_must_not_wait(void)
{
	struct lane *l = lane_new(), *other = lane_new(), *many[24];
	char name[32];

	heapd_keep(STORE);
	heapd_start(PATIENT);
	EXPECT(0, do_create(l, 0, "pool", BYTES, H_FIFO));
	(void)keeper_count();
	keeper_pause(true);
	for (int i = 0; i < 24; i++) {
		many[i] = lane_new();
		(void)snprintf(name, sizeof(name), "n%d", i);
		lane_start(many[i], step_create(0, name, 4096, H_FIFO));
	}
	(void)sleep(1);
	EXPECT(-EWOULDBLOCK, do_bind_timed(other, 0, "pool", TM_NONBLOCK)); /* waiting would last until the story's deadline */
	keeper_pause(false);
	for (int i = 0; i < 24; i++)
		EXPECT(0, lane_result(many[i]));
}

/* Who will not wait has his descriptors on their way, which is as good, should heapd die right then. */
static void a_first_bind_in_a_hurry(void)
{
	struct lane *l = lane_new(), *other = lane_new();

	heapd_keep(STORE);
	heapd_start(PATIENT);
	EXPECT(0, do_create(l, 0, "pool", BYTES, H_FIFO));
	(void)keeper_count();
	keeper_pause(true);
	EXPECT(0, do_bind_timed(other, 0, "pool", TM_NONBLOCK));
	heapd_kill();
	keeper_pause(false);
	heapd_start(PATIENT);
	EXPECT(0, do_alloc(other, 0, 0, BYTES, SECONDS(30)));
	EXPECT(-EWOULDBLOCK, do_alloc(l, 0, 0, 64, TM_NONBLOCK));
	EXPECT(0, do_free(other, 0, 0));
}

/* It dies before it can tell: the next one knows the session, or binds anew; nobody is told what is not so. */
static void killed_before_the_first_bind(void)
{
	struct lane *l = lane_new(), *other = lane_new();

	heapd_keep(STORE);
	heapd_start(PATIENT);
	EXPECT(0, do_create(l, 0, "pool", BYTES, H_FIFO));
	(void)keeper_count();
	keeper_pause(true);
	lane_start(other, step_bind(0, "pool"));
	UNTIL(watch_stat().parked_binds == 1);
	heapd_kill();
	keeper_pause(false);
	heapd_start(PATIENT);
	EXPECT(0, lane_result(other));
	EXPECT(0, do_alloc(other, 0, 0, BYTES, SECONDS(30)));
	again();
	EXPECT(0, check_block(other, 0, 0, BYTES));
	EXPECT(0, do_free(other, 0, 0));
	assert_int_equal(2, watch_bound("pool"));
}

/* ---- frees of others' blocks ---- */

#define GIVEN 900

/* What was answered reaches the holder, which does not read until heapd has died; the rest was refused. */
static void frees_for_one_who_is_stopped(void)
{
	struct actor *a = actor_new(1);
	struct lane *l = lane_new();
	size_t offset[GIVEN];
	RT_HEAP_INFO info;
	int n = 0, r = 0;

	heapd_keep(STORE);
	heapd_start(PATIENT);
	EXPECT(0, do_create(&a->lane[0], 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_bind(l, 0, "pool"));
	assert_int_equal(GIVEN, take_all(&a->lane[0], 0, 0, 64, GIVEN).result);
	for (int i = 0; i < GIVEN; i++)
		EXPECT(0, do_offset(&a->lane[0], 0, i, &offset[i]));
	actor_stop(a);
	for (; n < GIVEN; n++) {
		EXPECT(0, do_pointer(l, 0, n, offset[n]));
		r = do_free(l, 0, n);
		if (r)
			break;
	}
	EXPECT(-EAGAIN, r);
	assert_in_range(n, 50, GIVEN - 1);
	again();
	actor_continue(a);
	for (;;) { /* each of them, and none of the others */
		EXPECT(0, do_inquire(&a->lane[0], 0, &info));
		assert_true(info.usedmem >= (size_t)(GIVEN - n) * 64);
		if (info.usedmem == (size_t)(GIVEN - n) * 64)
			break;
		story_pause("what was freed is free", __FILE__, __LINE__);
	}
	EXPECT(0, free_range(&a->lane[0], 0, n, GIVEN - n));
	EXPECT(0, do_alloc(l, 0, 0, BYTES, SECONDS(30)));
	assert_int_equal(0, watch_bad_frees("pool"));
}

/* ---- who is not there any more, or was never known ---- */

static void a_client_that_died_meanwhile(void)
{
	struct actor *a = actor_new(1);
	struct lane *l = lane_new();
	size_t stored;

	heapd_keep(STORE);
	heapd_start(PATIENT);
	EXPECT(0, do_create(l, 0, "pool", BYTES, H_FIFO));
	stored = keeper_count();
	EXPECT(0, do_bind(&a->lane[0], 0, "pool"));
	EXPECT(0, do_create(&a->lane[0], 1, NULL, BYTES, H_FIFO));
	EXPECT(0, do_alloc(&a->lane[0], 0, 0, 16384, SECONDS(30)));
	heapd_kill();
	actor_kill(a);
	heapd_start(PATIENT);
	EXPECT(0, do_alloc(l, 0, 0, BYTES, SECONDS(30)));
	UNTIL(watch_bound("pool") == 1 && watch_stat().heaps == 1);
	UNTIL(keeper_count() == stored); /* its descriptors have gone too */
}

/* It is alive and does not come back: what it holds stays its. */
static void a_client_that_is_stopped(void)
{
	struct actor *a = actor_new(1);
	struct lane *l = lane_new();

	heapd_keep(STORE);
	heapd_start("");
	EXPECT(0, do_create(&a->lane[0], 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_alloc(&a->lane[0], 0, 0, BYTES, TM_NONBLOCK));
	EXPECT(0, do_bind(l, 0, "pool"));
	actor_stop(a);
	again();
	EXPECT(-EWOULDBLOCK, do_alloc(l, 0, 0, 64, TM_NONBLOCK));
	lane_start(l, step_alloc(0, 0, 64, TM_INFINITE));
	UNTIL(watch_parked("pool") == 1);
	again();
	UNTIL(watch_parked("pool") == 1);
	actor_continue(a);
	EXPECT(0, check_block(&a->lane[0], 0, 0, BYTES));
	EXPECT(0, do_free(&a->lane[0], 0, 0));
	EXPECT(0, lane_result(l));
}

/* The store was emptied, as by systemctl stop and start: then it is as without one. */
static void a_daemon_that_knows_nobody(void)
{
	struct actor *a = actor_new(3);
	struct lane *l = &a->lane[0];

	heapd_keep(STORE);
	heapd_start(PATIENT);
	EXPECT(0, do_create(l, 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_create(l, 1, NULL, BYTES, H_FIFO));
	EXPECT(0, do_alloc(l, 0, 0, BYTES, TM_NONBLOCK));
	EXPECT(0, do_alloc(l, 1, 1, 4096, TM_NONBLOCK));
	lane_start(&a->lane[1], step_alloc(0, 2, 64, TM_INFINITE));
	lane_start(&a->lane[2], step_bind(2, "later"));
	UNTIL(watch_stat().parked_binds == 1);
	heapd_kill();
	keeper_forget();
	heapd_start(PATIENT);
	EXPECT(-EIDRM, lane_result(&a->lane[1]));
	EXPECT(-EIDRM, do_alloc(l, 0, 2, 64, TM_NONBLOCK));
	EXPECT(0, check_block(l, 0, 0, BYTES)); /* no SIGBUS */
	EXPECT(0, do_free(l, 1, 1));
	EXPECT(0, do_alloc(l, 1, 1, BYTES, TM_NONBLOCK));
	EXPECT(0, do_create(l, 3, "later", BYTES, H_SHARED));
	EXPECT(0, lane_result(&a->lane[2]));
}

/* Nobody comes at all: calls end within their bound, waiters with them. */
static void no_daemon_comes(void)
{
	struct actor *a = actor_new(2);
	struct step s;

	heapd_keep(STORE);
	heapd_start(PATIENT);
	EXPECT(0, do_create(&a->lane[0], 0, "pool", 8192, H_FIFO));
	EXPECT(0, do_alloc(&a->lane[0], 0, 0, 8192, TM_NONBLOCK));
	lane_start(&a->lane[1], step_alloc(0, 1, 64, TM_INFINITE));
	UNTIL(watch_waiters("pool") == 1);
	heapd_kill();
	s = lane_run(&a->lane[0], step_create(1, "more", BYTES, H_FIFO));
	EXPECT(-ECONNREFUSED, s.result);
	EXPECT(-EIDRM, lane_result(&a->lane[1]));
	EXPECT(-EIDRM, do_alloc(&a->lane[0], 0, 1, 64, TM_NONBLOCK));
}

/* Another process cannot have a session for the asking. */
static void a_thief(void)
{
	struct lane *l = lane_new();
	struct raw r = RAW_NULL;
	struct wire_hello *hello;
	struct frame f;

	heapd_keep(STORE);
	heapd_start(PATIENT);
	EXPECT(0, do_create(l, 0, "pool", BYTES, H_FIFO));
	heapd_kill();
	actor_stop(l->actor); /* it shall not be back before us */
	heapd_start(PATIENT);
	for (uint64_t session = 0; session < 20; session++) {
		EXPECT(0, raw_connect(&r));
		hello = frame_init(&f, OP_HELLO, 0, 0, sizeof(*hello));
		hello->version = WIRE_VERSION;
		hello->resume = session + 1;
		EXPECT(STATUS_MISSING, raw_call(&r, &f));
		assert_true(raw_hung_up(r.call));
		raw_close(&r);
	}
	actor_continue(l->actor);
	EXPECT(0, do_delete(l, 0));
}

/* ---- a link that breaks while a session comes back ---- */

static int resume_by_hand(struct raw *r, uint64_t session)
{
	struct frame f;
	struct wire_hello *hello;
	int status;

	EXPECT(0, raw_connect(r));
	hello = frame_init(&f, OP_HELLO, 0, 0, sizeof(*hello));
	hello->version = WIRE_VERSION;
	hello->features = WIRE_FEATURE_BASE | WIRE_FEATURE_KEPT;
	hello->resume = session;
	status = raw_call(r, &f);
	if (status == STATUS_OK)
		r->event = take_fd(&f.fds[0]);
	frame_close_fds(&f);
	return status;
}

static int tell_by_hand(struct raw *r, uint64_t heap, uint32_t flags)
{
	struct frame f;
	struct wire_resume *body = frame_init(&f, OP_RESUME, 0, 0, sizeof(*body));

	body->heap = heap;
	body->flags = flags;
	return raw_call(r, &f);
}

/* Whatever it is that has gone wrong: it may try again, also before heapd has seen the end of the first link. */
static void a_return_that_is_broken_off(void)
{
	struct raw r = RAW_NULL, other = RAW_NULL;
	struct wire_bound bound;
	uint64_t session;
	int fd = -1;

	heapd_keep(STORE);
	heapd_start(PATIENT);
	raw_open(&r);
	EXPECT(STATUS_OK, raw_create(&r, "mine", BYTES, 0, &bound, &fd));
	session = r.welcome.session;
	heapd_kill();
	raw_close(&r);
	heapd_start(PATIENT);
	for (int i = 0; i < 20; i++) {
		EXPECT(STATUS_OK, resume_by_hand(&r, session));
		if (i % 2)
			EXPECT(STATUS_OK, tell_by_hand(&r, bound.heap, i % 4 == 1 ? WIRE_RESUME_ALL : WIRE_RESUME_MORE));
		if (i % 5 == 4)
			close_fd(&r.event);
		raw_close(&r);
		assert_int_equal(BYTES, watch_granted("mine"));
	}
	EXPECT(STATUS_OK, resume_by_hand(&r, session));
	EXPECT(STATUS_OK, tell_by_hand(&r, bound.heap, WIRE_RESUME_ALL));
	EXPECT(STATUS_OK, resume_by_hand(&other, session));
	assert_true(raw_hung_up(r.call));
	EXPECT(STATUS_OK, tell_by_hand(&other, bound.heap, WIRE_RESUME_ALL));
	EXPECT(STATUS_OK, tell_by_hand(&other, 0, WIRE_RESUME_END));
	assert_int_equal(BYTES, watch_granted("mine"));
	assert_int_equal(1, watch_bound("mine"));
	raw_close(&r);
	EXPECT(STATUS_OK, raw_connect(&r));
	raw_close(&r);
	/* who is back is not absent: it cannot be had once more, and ends with its link */
	EXPECT(STATUS_MISSING, resume_by_hand(&r, session));
	raw_close(&r);
	raw_close(&other);
	UNTIL(watch_bound("mine") == 0 && watch_granted("mine") == 0);
	close_fd(&fd);
}

/* ---- a full store ---- */

static void a_full_store(void)
{
	struct lane *l = lane_new();
	unsigned n = 0;
	char name[32];
	int r = 0;

	log_allow("fd store is full");
	heapd_keep(24);
	heapd_start(PATIENT);
	while (r == 0) {
		(void)snprintf(name, sizeof(name), "heap%u", n);
		r = do_create(l, (int)n, name, BYTES, H_SHARED);
		n += r == 0;
	}
	EXPECT(-EDQUOT, r);
	assert_in_range(n, 15, 20); /* the ledger, three for the session; a device may need two */
	assert_true(log_has("fd store is full"));
	assert_in_range(keeper_count(), n + 4, 24);
	again();
	assert_int_equal(n, watch_stat().heaps);
	EXPECT(-EDQUOT, do_create(l, (int)n, "more", BYTES, H_SHARED));
	EXPECT(0, do_delete(l, 0));
	EXPECT(0, do_unbind(l, 0));
	EXPECT(0, do_delete(l, 1));
	EXPECT(0, do_unbind(l, 1));
	EXPECT(0, do_create(l, 0, "more", BYTES, H_SHARED));
}

/* ---- under load ---- */

static void many_restarts(unsigned n, bool terminate)
{
	struct lane *l = lane_new();

	heapd_keep(STORE);
	heapd_start(PATIENT);
	EXPECT(0, do_create(l, 0, "pool", BYTES, H_FIFO));
	load_begin("pool");
	for (unsigned i = 0; i < n; i++) {
		load_goes_on();
		if (terminate)
			heapd_stop();
		else
			heapd_kill();
		heapd_start(PATIENT);
	}
	load_goes_on();
	load_end();
	load_take_gift(l, 0);
	/* not a byte is lost, nobody waits, and nothing is stored that nobody has */
	EXPECT(0, do_alloc(l, 0, 0, BYTES, SECONDS(30)));
	assert_int_equal(0, watch_waiters("pool"));
	assert_int_equal(0, watch_parked("pool"));
	UNTIL(watch_stat().heaps == 1);
	UNTIL(keeper_count() == 1 + 1 + 3 * (LOAD_PROCESSES + 1));
}

static void a_hundred_restarts(void)
{
	many_restarts(100 / STORY_FACTOR, false);
}

/* As systemctl restart does. */
static void restarts_by_sigterm(void)
{
	many_restarts(30 / STORY_FACTOR, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_named_heap_goes_on),
		STORY(waiters_are_served),
		STORY(calls_wait),
		STORY(a_first_bind_is_safe),
		STORY(a_first_bind_in_a_hurry),
		STORY(a_bind_that_must_not_wait),
		STORY(killed_before_the_first_bind),
		STORY(frees_for_one_who_is_stopped),
		STORY(a_client_that_died_meanwhile),
		STORY(a_client_that_is_stopped),
		STORY(a_daemon_that_knows_nobody),
		STORY(no_daemon_comes),
		STORY(a_thief),
		STORY(a_return_that_is_broken_off),
		STORY(a_full_store),
		STORY(a_hundred_restarts),
		STORY(restarts_by_sigterm),
	};

	return cmocka_run_group_tests_name("restart", tests, NULL, NULL);
}
