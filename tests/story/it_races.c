/*
 * it_races.c: what happens in one moment, made to happen one after the other
 *
 * Processes of the library's test build stop at a named point (client/point.h) where a gate is shut, until the test has let the
 * other side of the race go by. So each of these ways two things can meet is tried every time: a waiter that gives up
 * while its block is on its way (in the process, at the daemon, or in between), a reply that comes behind its event, pages
 * that come when nobody knows them yet. Always: no block is lost, none is there twice, nobody waits on for what is there.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include "client/point.h"
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define PAGE 4096
#define PAGES 8
#define BYTES (PAGES * PAGE)

enum { A, B, N_ROLES };

static struct {
	atomic_bool shut[N_ROLES][POINT_COUNT];
	_Atomic uint32_t there[N_ROLES][POINT_COUNT]; /* threads that wait at it */
} *gates;

static int role = -1;

void point_reached(enum point p)
{
	if (role < 0)
		return; /* no actor, or one that never stops */
	if (!atomic_load(&gates->shut[role][p]))
		return;
	atomic_fetch_add(&gates->there[role][p], 1);
	while (atomic_load(&gates->shut[role][p]))
		(void)usleep(200);
	atomic_fetch_sub(&gates->there[role][p], 1);
}

static void shut(int who, enum point p)
{
	atomic_store(&gates->shut[who][p], true);
}

static void open_gate(int who, enum point p)
{
	atomic_store(&gates->shut[who][p], false);
	UNTIL(atomic_load(&gates->there[who][p]) == 0);
}

static void until_there(int who, enum point p)
{
	UNTIL(atomic_load(&gates->there[who][p]) > 0);
}

static int take_role(const void *arg)
{
	role = *(const int *)arg;
	return 0;
}

static struct actor *a, *b;

static void begin(const char *config)
{
	static const int roles[N_ROLES] = { A, B };

	if (!gates)
		gates = mmap(NULL, sizeof(*gates), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(gates != MAP_FAILED);
	memset(gates, 0, sizeof(*gates));
	heapd_start(config);
	a = actor_new_prepared(4, take_role, &roles[A]);
	b = actor_new_prepared(3, take_role, &roles[B]);
}

static struct lane *lane_a(int i)
{
	return &a->lane[i];
}

static struct lane *lane_b(int i)
{
	return &b->lane[i];
}

/* "pool" in both, the first of which has all pages. */
static void share_pool(struct lane *first, struct lane *second)
{
	EXPECT(0, do_create(first, 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_bind(second, 0, "pool"));
}

static void expect_used(struct lane *l, size_t bytes)
{
	RT_HEAP_INFO info;

	EXPECT(0, do_inquire(l, 0, &info));
	assert_int_equal(bytes, info.usedmem);
	assert_int_equal(0, info.nwaiters);
}

/* Nothing is held any more: each can have everything, and the daemon waits for nobody. */
static void expect_all_for_each(void)
{
	assert_int_equal(0, watch_parked("pool"));
	for (int i = 0; i < 2; i++) {
		struct lane *l = i ? lane_b(0) : lane_a(0);

		expect_used(l, 0);
		EXPECT(PAGES, take_all(l, 0, 100, PAGE, PAGES + 1).result);
		expect_used(l, BYTES);
		EXPECT(0, free_range(l, 0, 100, PAGES));
		EXPECT(0, do_alloc(l, 0, 100, BYTES, TM_NONBLOCK));
		EXPECT(0, do_free(l, 0, 100));
	}
	assert_int_equal(0, watch_bad_frees("pool"));
}

/* ---- a waiter gives up while it is served ---- */

/* Its time is over; before it can leave the queue, another thread of its process hands it the block. */
static void timeout_and_a_free_beside_it(void)
{
	begin(PATIENT);
	share_pool(lane_a(0), lane_b(0));
	EXPECT(0, do_alloc(lane_a(0), 0, 0, BYTES, TM_NONBLOCK));
	shut(A, POINT_ALLOC_WOKEN);
	lane_start(lane_a(1), step_alloc(0, 1, BYTES, MS(1)));
	until_there(A, POINT_ALLOC_WOKEN);
	EXPECT(0, do_free(lane_a(0), 0, 0));
	UNTIL(watch_waiters("pool") == 0);
	open_gate(A, POINT_ALLOC_WOKEN);
	EXPECT(0, lane_result(lane_a(1)));
	expect_used(lane_a(0), BYTES);
	EXPECT(0, check_block(lane_a(0), 1, 1, BYTES));
	EXPECT(0, do_free(lane_a(0), 0, 1));
	expect_all_for_each();
}

/* The same, by a signal. */
static void signal_and_a_free_beside_it(void)
{
	begin(PATIENT);
	share_pool(lane_a(0), lane_b(0));
	EXPECT(0, catch_signal(lane_a(0), false));
	EXPECT(0, do_alloc(lane_a(0), 0, 0, BYTES, TM_NONBLOCK));
	lane_start(lane_a(1), step_alloc(0, 1, BYTES, TM_INFINITE));
	until_inquired(lane_a(0), 0, 1);
	shut(A, POINT_ALLOC_WOKEN);
	while (atomic_load(&gates->there[A][POINT_ALLOC_WOKEN]) == 0) { /* it may not sleep yet */
		lane_signal(lane_a(1), SIGUSR1);
		story_pause("the signal interrupts", __FILE__, __LINE__);
	}
	EXPECT(0, do_free(lane_a(0), 0, 0));
	UNTIL(watch_waiters("pool") == 0);
	open_gate(A, POINT_ALLOC_WOKEN);
	EXPECT(0, lane_result(lane_a(1)));
	expect_used(lane_a(0), BYTES);
	EXPECT(0, do_free(lane_a(0), 0, 1));
	expect_all_for_each();
}

/* The pages come from another process, through the daemon. */
static void timeout_and_a_grant(void)
{
	begin(PATIENT);
	share_pool(lane_b(0), lane_a(0));
	EXPECT(0, do_alloc(lane_b(0), 0, 0, BYTES, TM_NONBLOCK));
	shut(A, POINT_ALLOC_WOKEN);
	lane_start(lane_a(1), step_alloc(0, 1, BYTES, MS(20)));
	until_there(A, POINT_ALLOC_WOKEN);
	EXPECT(0, do_free(lane_b(0), 0, 0));
	UNTIL(watch_waiters("pool") == 0 && watch_parked("pool") == 0);
	open_gate(A, POINT_ALLOC_WOKEN);
	EXPECT(0, lane_result(lane_a(1)));
	expect_used(lane_b(0), BYTES);
	EXPECT(0, do_free(lane_a(0), 0, 1));
	expect_all_for_each();
}

/* It has left the queue, and its request at the daemon is granted before that hears of it: the pages stay, free. */
static void a_grant_for_one_who_has_left(void)
{
	begin(PATIENT);
	share_pool(lane_b(0), lane_a(0));
	EXPECT(0, do_alloc(lane_b(0), 0, 0, BYTES, TM_NONBLOCK));
	shut(A, POINT_ALLOC_CANCEL);
	lane_start(lane_a(1), step_alloc(0, 1, BYTES, MS(1)));
	until_there(A, POINT_ALLOC_CANCEL);
	assert_int_equal(1, watch_parked("pool"));
	EXPECT(0, do_free(lane_b(0), 0, 0));
	UNTIL(watch_parked("pool") == 0); /* granted: CANCEL will be too late */
	open_gate(A, POINT_ALLOC_CANCEL);
	EXPECT(-ETIMEDOUT, lane_result(lane_a(1)));
	assert_int_equal(0, block_address(lane_a(0), 1));
	expect_all_for_each();
}

/* Served before its request is even sent: that is taken back. */
static void served_before_it_has_asked(void)
{
	begin(PATIENT);
	share_pool(lane_a(0), lane_b(0));
	EXPECT(PAGES, take_all(lane_a(0), 0, 0, PAGE, PAGES).result);
	EXPECT(0, do_free(lane_a(0), 0, 0));
	EXPECT(0, do_alloc(lane_b(0), 0, 0, PAGE, TM_NONBLOCK)); /* a page moved: asking makes sense */
	shut(A, POINT_ALLOC_QUEUED);
	lane_start(lane_a(1), step_alloc(0, 20, PAGE, TM_INFINITE));
	until_there(A, POINT_ALLOC_QUEUED);
	EXPECT(0, do_free(lane_a(0), 0, 1));
	UNTIL(watch_waiters("pool") == 0);
	assert_int_equal(0, watch_parked("pool"));
	open_gate(A, POINT_ALLOC_QUEUED);
	EXPECT(0, lane_result(lane_a(1)));
	assert_int_equal(0, watch_parked("pool"));
	expect_used(lane_a(0), (PAGES - 1) * PAGE + PAGE);
	EXPECT(0, do_free(lane_a(0), 0, 20));
	EXPECT(0, free_range(lane_a(0), 0, 2, PAGES - 2));
	EXPECT(0, do_free(lane_b(0), 0, 0));
	expect_all_for_each();
}

/* Handed over and not woken: its own clock wakes it, and it is gone when the wake comes. */
static void gone_before_it_is_woken(void)
{
	begin(PATIENT);
	share_pool(lane_a(0), lane_b(0));
	EXPECT(0, do_alloc(lane_a(0), 0, 0, BYTES, TM_NONBLOCK));
	lane_start(lane_a(1), step_alloc(0, 1, BYTES, MS(100)));
	UNTIL(watch_waiters("pool") == 1 || lane_done(lane_a(1)));
	shut(A, POINT_FREE_SERVED);
	lane_start(lane_a(0), step_free(0, 0));
	if (lane_result(lane_a(1)) == 0) { /* else the machine was slow: there was no hand-off */
		until_there(A, POINT_FREE_SERVED);
		EXPECT(0, check_block(lane_a(1), 1, 1, BYTES));
		EXPECT(0, do_free(lane_a(1), 0, 1));
	}
	open_gate(A, POINT_FREE_SERVED);
	EXPECT(0, lane_result(lane_a(0)));
	expect_all_for_each();
}

/* A thread that is cancelled while it waits: it has its block, and ends at a cancellation point of its own. */
static void *wait_and_be_cancelled(void *arg)
{
	struct step *s = arg;

	s->result = rt_heap_alloc(&self.heap[0], BYTES, TM_INFINITE, &self.block[1]);
	pthread_testcancel();
	return NULL;
}

static int run_cancel(struct step *s)
{
	RT_HEAP_INFO info;
	pthread_t thread;
	void *end;
	int r;

	s->result = 1;
	(void)pthread_create(&thread, NULL, wait_and_be_cancelled, s);
	do
		r = rt_heap_inquire(&self.heap[0], &info);
	while (r == 0 && info.nwaiters == 0);
	(void)pthread_cancel(thread);
	if (s->mode)
		(void)usleep(5000); /* it may act on it too early, or not */
	if (r == 0)
		r = rt_heap_free(&self.heap[0], self.block[0]);
	(void)pthread_join(thread, &end);
	return r ? r : end != PTHREAD_CANCELED ? -EIO : s->result;
}

static void cancelled_while_it_waits(void)
{
	begin(PATIENT);
	share_pool(lane_a(0), lane_b(0));
	for (int i = 0; i < 2; i++) {
		EXPECT(0, do_alloc(lane_a(0), 0, 0, BYTES, TM_NONBLOCK));
		EXPECT(0, lane_run(lane_a(0), (struct step){ .run = run_cancel, .mode = i }).result);
		expect_used(lane_b(0), BYTES);
		EXPECT(0, do_free(lane_a(0), 0, 1));
	}
	expect_all_for_each();
}

static int run_exit(struct step *s)
{
	(void)s;
	_exit(0);
}

/* exit() while the helper has just handed a block to a thread that does not know it yet. */
static void exit_at_the_hand_off(void)
{
	begin(PATIENT);
	share_pool(lane_b(0), lane_a(0));
	EXPECT(0, do_alloc(lane_b(0), 0, 0, BYTES, TM_NONBLOCK));
	lane_start(lane_a(1), step_alloc(0, 1, BYTES, TM_INFINITE));
	UNTIL(watch_parked("pool") == 1);
	shut(A, POINT_GRANT_SERVED);
	EXPECT(0, do_free(lane_b(0), 0, 0));
	until_there(A, POINT_GRANT_SERVED);
	lane_start(lane_a(2), (struct step){ .run = run_exit });
	assert_int_equal(0, actor_wait(a));
	UNTIL(watch_bound("pool") == 1);
	EXPECT(0, do_alloc(lane_b(0), 0, 0, BYTES, SECONDS(60)));
	expect_used(lane_b(0), BYTES);
}

/* ---- requests and answers that overtake each other ---- */

/* EV_BOUND is there before the reply that says the bind is parked has been read. */
static void an_event_before_its_reply(void)
{
	begin("");
	EXPECT(0, do_create(lane_a(0), 0, NULL, BYTES, H_FIFO)); /* a session */
	shut(A, POINT_CALL_SENT);
	lane_start(lane_a(1), step_bind(1, "later"));
	until_there(A, POINT_CALL_SENT);
	UNTIL(watch_stat().parked_binds == 1);
	EXPECT(0, do_create(lane_b(0), 1, "later", BYTES, H_FIFO));
	UNTIL(watch_bound("later") == 2);
	(void)usleep(10000); /* so that the helper has read it; if not, it is another order, also right */
	open_gate(A, POINT_CALL_SENT);
	EXPECT(0, lane_result(lane_a(1)));
	EXPECT(0, do_alloc(lane_a(1), 1, 1, BYTES, SECONDS(60)));
	EXPECT(0, do_free(lane_a(1), 1, 1));
	EXPECT(0, do_alloc(lane_b(0), 1, 1, BYTES, SECONDS(60)));
}

/* The heap comes while the bind gives up: it is bound, or it is not, for both sides. */
static void a_bind_that_gives_up(void)
{
	begin("");
	shut(A, POINT_BIND_WOKEN);
	lane_start(lane_a(1), step_bind_timed(1, "later", MS(1)));
	until_there(A, POINT_BIND_WOKEN);
	EXPECT(0, do_create(lane_b(0), 1, "later", BYTES, H_FIFO));
	UNTIL(watch_bound("later") == 2);
	open_gate(A, POINT_BIND_WOKEN);
	EXPECT(0, lane_result(lane_a(1)));
	EXPECT(0, do_unbind(lane_a(1), 1));
	UNTIL(watch_bound("later") == 1);
	EXPECT(0, do_alloc(lane_b(0), 1, 1, BYTES, SECONDS(60)));

	lane_start(lane_a(1), step_bind_timed(2, "never", MS(1)));
	EXPECT(-ETIMEDOUT, lane_result(lane_a(1)));
	assert_int_equal(0, watch_stat().parked_binds);
}

/* The helper asks in the name of a thread that gives up before the request is sent: it is taken back. */
static void asked_for_one_who_has_left(void)
{
	begin(PATIENT);
	EXPECT(0, catch_signal(lane_a(0), false));
	EXPECT(0, do_create(lane_a(0), 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_alloc(lane_a(0), 0, 0, BYTES, TM_NONBLOCK));
	lane_start(lane_a(1), step_alloc(0, 1, PAGE, TM_INFINITE)); /* alone: nobody to ask */
	until_inquired(lane_a(0), 0, 1);
	shut(A, POINT_OTHER_PARKS);
	EXPECT(0, do_bind(lane_b(0), 0, "pool"));
	lane_start(lane_b(1), step_alloc(0, 1, BYTES, TM_INFINITE)); /* a recall: the helper sees its waiter */
	until_there(A, POINT_OTHER_PARKS);
	while (!lane_done(lane_a(1))) {
		lane_signal(lane_a(1), SIGUSR1);
		story_pause("the signal ends the wait", __FILE__, __LINE__);
	}
	EXPECT(-EINTR, lane_result(lane_a(1)));
	assert_int_equal(1, watch_parked("pool"));
	shut(A, POINT_CALL_SENT);
	open_gate(A, POINT_OTHER_PARKS);
	until_there(A, POINT_CALL_SENT);
	UNTIL(watch_parked("pool") == 2);
	open_gate(A, POINT_CALL_SENT);
	UNTIL(watch_parked("pool") == 1);
	EXPECT(0, do_free(lane_a(0), 0, 0));
	EXPECT(0, lane_result(lane_b(1)));
	EXPECT(0, do_free(lane_b(1), 0, 1));
	expect_all_for_each();
}

/* Recalled before the process can find the heap of which it has all pages: it makes up for it. */
static void recalled_before_it_is_known(void)
{
	begin(PATIENT);
	shut(A, POINT_ATTACH_MAPPED);
	lane_start(lane_a(1), step_create(0, "pool", BYTES, H_FIFO));
	until_there(A, POINT_ATTACH_MAPPED);
	shut(A, POINT_RECALL_SENT);
	EXPECT(0, do_bind(lane_b(0), 0, "pool"));
	lane_start(lane_b(1), step_alloc(0, 1, BYTES, TM_INFINITE));
	until_there(A, POINT_RECALL_SENT);
	open_gate(A, POINT_RECALL_SENT);
	assert_int_equal(1, watch_parked("pool"));
	assert_false(lane_done(lane_b(1)));
	open_gate(A, POINT_ATTACH_MAPPED);
	EXPECT(0, lane_result(lane_a(1)));
	EXPECT(0, lane_result(lane_b(1)));
	EXPECT(0, do_free(lane_b(1), 0, 1));
	expect_all_for_each();
}

/* Takes .n pages, one by one, and waits for each. */
static int run_take_patiently(struct step *s)
{
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < s->n; i++)
		r = rt_heap_alloc(&self.heap[0], PAGE, TM_INFINITE, &self.block[s->slot + (int)i]);
	return r;
}

/*
 * Recalled when granted pages are on their way to its allocator: they are given back when they come. (Of 32 pages each of the
 * two may have got four ahead of need; so the reply brings the eight that A asks for, and some more.)
 */
static void recalled_before_the_pages_are_known(void)
{
	struct actor *c;

	begin(PATIENT);
	c = actor_new(1);
	EXPECT(0, do_create(&c->lane[0], 0, "pool", 4 * BYTES, H_FIFO));
	EXPECT(0, do_alloc(&c->lane[0], 0, 0, 4 * BYTES, TM_NONBLOCK));
	EXPECT(0, do_bind(lane_a(0), 0, "pool"));
	EXPECT(0, do_bind(lane_b(0), 0, "pool"));
	actor_kill(c); /* now all pages are free, at the daemon */
	UNTIL(watch_bound("pool") == 2);
	shut(A, POINT_ALLOC_ANSWERED);
	shut(A, POINT_RECALL_SENT);
	lane_start(lane_a(1), step_alloc(0, 1, BYTES, TM_INFINITE));
	until_there(A, POINT_ALLOC_ANSWERED);
	lane_start(lane_b(1), (struct step){ .run = run_take_patiently, .n = 3 * PAGES, .slot = 200 });
	until_there(A, POINT_RECALL_SENT);
	open_gate(A, POINT_RECALL_SENT);
	UNTIL(watch_parked("pool") == 1);
	assert_false(lane_done(lane_b(1)));
	open_gate(A, POINT_ALLOC_ANSWERED);
	EXPECT(0, lane_result(lane_a(1)));
	EXPECT(0, lane_result(lane_b(1))); /* although A keeps its block */
	expect_used(lane_a(0), 4 * BYTES);
	EXPECT(0, do_free(lane_a(0), 0, 1));
	EXPECT(0, do_alloc(lane_a(0), 0, 1, BYTES, SECONDS(30)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(timeout_and_a_free_beside_it),
		STORY(signal_and_a_free_beside_it),
		STORY(timeout_and_a_grant),
		STORY(a_grant_for_one_who_has_left),
		STORY(served_before_it_has_asked),
		STORY(gone_before_it_is_woken),
		STORY(cancelled_while_it_waits),
		STORY(exit_at_the_hand_off),
		STORY(an_event_before_its_reply),
		STORY(a_bind_that_gives_up),
		STORY(asked_for_one_who_has_left),
		STORY(recalled_before_it_is_known),
		STORY(recalled_before_the_pages_are_known),
	};

	return cmocka_run_group_tests_name("races", tests, NULL, NULL);
}
