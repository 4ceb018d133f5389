/*
 * Story: heapd is killed at each named point (daemon/point.h), and the next one goes on as if nothing had been
 *
 * The load (load.h) and visitors, which come, bind, create, change rights and end in every way, keep
 * heapd busy. It dies when it comes to the point under test for the nth time; the next one makes its
 * world of what was kept, and clients come back. Then all rest, and what heapd shows must be what they
 * hold, to the byte; every byte of the heap can be had, nothing is stored or shown that nobody has.
 * heapd audits itself all the time (dying.h): the world, the ledger, and that both agree. A point
 * that is never reached fails the test.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <heapclient/pt.h>
#include "tests/story/dying.h"
#include "tests/story/keeper.h"
#include "tests/story/load.h"
#include "tests/story/raw.h"

#define BYTES 65536
#define STORE 256u
#define NONE POINT_COUNT

enum { VISITS = LOAD_COUNTS, VISITOR_RESTS };

#define POINT_NAME_(name) #name,
static const char *const names[] = { POINTS(POINT_NAME_) LATE_POINTS(POINT_NAME_) "none" };

static struct dying *dying;
static struct lane *own; /* of the process that made the heap */

static void dying_new(void)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/points", story_dir());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(0, ftruncate(fd, sizeof(*dying)));
	dying = mmap(NULL, sizeof(*dying), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(dying != MAP_FAILED);
	(void)close(fd);
	atomic_store(&dying->point, -1);
	assert_int_equal(0, setenv("HEAPD_POINTS", path, 1));
}

static void dying_free(void)
{
	assert_int_equal(0, unsetenv("HEAPD_POINTS"));
	assert_int_equal(0, munmap(dying, sizeof(*dying)));
}

static void arm(enum point p, int more)
{
	atomic_store(&dying->more, more);
	atomic_store(&dying->point, (int)p);
}

static void disarm(void)
{
	atomic_store(&dying->point, -1);
}

/* ---- visitors ---- */

/* There may be no heapd to connect to; nothing else may go wrong. */
static void sane(int r, const char *what)
{
	if (r == 0 || r == -EWOULDBLOCK || r == -ETIMEDOUT || r == -ECONNREFUSED)
		return;
	(void)fprintf(stderr, "a visitor: %s: %s\n", what, strerror(-r));
	_exit(3);
}

static void change_rights(unsigned n)
{
	struct raw r = RAW_NULL;

	if (raw_connect(&r) == 0 && raw_hello(&r) == STATUS_OK)
		(void)raw_chmod(&r, "pool", n & 1 ? 0666 : 0660, UINT32_MAX);
	raw_close(&r);
}

/* A process of its own, which ends in one of three ways. */
static void visit(unsigned n)
{
	RT_HEAP h, local;
	void *p = NULL;
	int r = rt_heap_bind_timed(&h, "pool", MS(100)), ptno;

	sane(r, "bind");
	if (r == 0)
		sane(rt_heap_alloc(&h, 4096, MS(1), &p), "alloc");
	if (p)
		*(char *)p = 1;
	r = rt_heap_create(&local, NULL, 16384, H_FIFO);
	sane(r, "create");
	ptno = pt_create(64, 8);
	if (ptno < 0)
		sane(-errno, "pt_create");
	else if (!pt_getblock(ptno))
		_exit(4);
	change_rights(n);
	if (n % 3 == 0)
		(void)raise(SIGKILL);
	if (n % 3 == 1)
		_exit(0);
	if (r == 0)
		sane(rt_heap_unbind(&local), "unbind of a local heap");
	if (p)
		sane(rt_heap_free(&h, p), "free");
	_exit(0);
}

static void rest_with_the_others(void)
{
	uint64_t mode;

	while ((mode = atomic_load(&board->count[LOAD_MODE])) == LOAD_REST || mode == LOAD_DRAIN) {
		atomic_store(&board->count[VISITOR_RESTS], 1);
		(void)usleep(500);
	}
	atomic_store(&board->count[VISITOR_RESTS], 0);
}

/* In an actor that never uses the library itself. */
static int run_visits(struct step *s)
{
	int status = 0;

	for (s->n = 0; status == 0 && atomic_load(&board->count[LOAD_MODE]) != LOAD_STOP; s->n++) {
		pid_t pid = fork();

		if (pid == 0)
			visit((unsigned)s->n);
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			return -ECHILD;
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
			status = 0;
		atomic_fetch_add(&board->count[VISITS], 1);
		rest_with_the_others();
	}
	return status ? -EIO : 0;
}

/* ---- the test ---- */

static struct lane *visitor;

static bool all_well(void)
{
	if (lane_done(visitor))
		EXPECT(0, lane_result(visitor));
	return load_is_well();
}

static void begin(void)
{
	dying_new();
	heapd_keep(STORE);
	heapd_start(PATIENT);
	own = lane_new();
	visitor = lane_new();
	EXPECT(0, do_create(own, 0, "pool", BYTES, H_FIFO));
	load_begin("pool");
	lane_start(visitor, (struct step){ .run = run_visits });
}

static void all_go_on(void)
{
	uint64_t n = atomic_load(&board->count[VISITS]);

	load_goes_on();
	UNTIL(all_well() && atomic_load(&board->count[VISITS]) > n);
}

/* Who is there, what they hold, what is stored: and nothing else. */
static void nothing_is_lost(void)
{
	uint64_t held = load_rest(), audits = atomic_load(&dying->audits);
	struct wire_entry e;

	UNTIL(atomic_load(&board->count[VISITOR_RESTS]));
	UNTIL(watch_stat().heaps == 1 && watch_bound("pool") == LOAD_PROCESSES + 1);
	UNTIL(watch_heap("pool", &e) == STATUS_OK && e.used == held + load_gift());
	assert_int_equal(0, e.n_waiters);
	assert_int_equal(0, e.n_parked);
	UNTIL(keeper_count() == 1 + 1 + 3 * (LOAD_PROCESSES + 1));
	load_drain();
	load_take_gift(own, 0);
	EXPECT(0, do_alloc(own, 0, 0, BYTES, SECONDS(30)));
	EXPECT(0, do_free(own, 0, 0));
	UNTIL(watch_heap("pool", &e) == STATUS_OK && e.used == 0);
	assert_true(atomic_load(&dying->audits) > audits);
	load_resume();
}

/* What went wrong since then was at that point. */
static void tell(enum point p, int more, enum point before)
{
	print_message("%s, after %d times%s%s\n", names[p], more, before == NONE ? "" : ", behind ",
		      before == NONE ? "" : names[before]);
}

static void end(void)
{
	disarm();
	load_end();
	EXPECT(0, lane_result(visitor));
	load_take_gift(own, 0);
	EXPECT(0, do_alloc(own, 0, 0, BYTES, SECONDS(30)));
	heapd_stop();
	dying_free();
}

/* In the midst of its work. */
static void killed_at_work(void)
{
	begin();
	/* How often it came there before is nothing to a sanitizer: each point once. */
	for (int pass = 0; pass < (STORY_SANITIZED ? 1 : 3); pass++)
		for (enum point p = 0; p < POINT_REVIVE_HEAPS; p++) {
			tell(p, pass * pass * 2, NONE);
			arm(p, pass * pass * 2); /* the 1st, 3rd, 9th time */
			UNTIL(all_well() && heapd_killed());
			disarm();
			heapd_start(PATIENT);
			all_go_on();
			nothing_is_lost();
		}
	end();
}

/* It dies, the next one dies at that point while it begins. False: it did not come there. */
static bool dies_again(enum point p, int more, enum point before)
{
	uint64_t lives;

	if (before == NONE) {
		heapd_kill();
	} else {
		arm(before, 0);
		UNTIL(all_well() && heapd_killed());
	}
	arm(p, more);
	if (!heapd_start_dying(PATIENT))
		return true;
	lives = atomic_load(&board->count[LOAD_LIVES]);
	UNTIL(all_well() && (heapd_killed() || atomic_load(&board->count[LOAD_LIVES]) > lives + 10));
	return !heapd_pid();
}

/* While it makes its world of what was kept, and its clients come back. */
static void killed_at_the_beginning(void)
{
	static const struct {
		enum point p, before;
		int more;
	} row[] = {
		{ POINT_REVIVE_HEAPS, NONE, 0 },
		{ POINT_REVIVE_SESSIONS, NONE, 0 },
		{ POINT_REVIVE_BINDINGS, NONE, 0 },
		{ POINT_REVIVED, NONE, 0 },
		{ POINT_RESUME_FOUND, NONE, 0 },
		{ POINT_RESUME_FOUND, NONE, 2 },
		{ POINT_RESUME_TOLD, NONE, 0 },
		{ POINT_RESUME_TOLD, NONE, 3 },
		{ POINT_RESUME_OVER, NONE, 0 },
		{ POINT_RESUME_OVER, NONE, 2 },
		{ POINT_REPLY_DUE, NONE, 1 }, /* the answers to HELLO and RESUME */
		{ POINT_REPLY_SENT, NONE, 2 },
		{ POINT_REVIVE_WORD, POINT_BINDING_DROPPED, 0 },
		{ POINT_REVIVE_WORD, POINT_SESSION_DROPPED, 0 },
		{ POINT_REVIVE_WORD, POINT_SESSION_DROPPED, 1 },
		{ POINT_REVIVE_HEAP_DROPPED, POINT_HEAP_WRITTEN, 0 },
		{ POINT_REVIVE_HEAP_DROPPED, POINT_HEAP_SAFE, 0 },
		{ POINT_REVIVE_REST, POINT_HEAP_DROPPED, 0 },
		{ POINT_REVIVE_REST, POINT_HEAP_STORED, 0 },
		{ POINT_REVIVE_REST, POINT_SESSION_STORED, 0 },
		{ POINT_REVIVE_REST, POINT_SESSION_DROPPED, 0 },
		{ POINT_RESUME_FREED, POINT_RETURN_CAME, 0 },
		{ POINT_RESUME_FREED, POINT_GRANT_DONE, 0 },
		{ POINT_RESUME_UNBOUND, POINT_BINDING_WRITTEN, 0 },
		{ POINT_RESUME_UNBOUND, POINT_HEAP_LIVE, 0 },
		{ POINT_RETURN_DONE, POINT_RETURN_CAME, 0 }, /* of what is not told */
		{ POINT_BINDING_DROPPED, POINT_BINDING_WRITTEN, 0 },
	};

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		tell(row[i].p, row[i].more, row[i].before);
		UNTIL(dies_again(row[i].p, row[i].more, row[i].before));
		disarm();
		heapd_start(PATIENT);
		all_go_on();
		nothing_is_lost();
	}
	end();
}

/* ---- frees that are sent again ---- */

static int run_free(struct step *s)
{
	int r;

	while ((r = rt_heap_free(&self.heap[s->heap], self.block[s->slot])) == -EAGAIN)
		(void)usleep(1000);
	return r;
}

static struct step step_free_surely(int heap, int slot)
{
	return (struct step){ .run = run_free, .heap = heap, .slot = slot };
}

/* Takes all that there is until it is the place of slot 0, for slot 2, and gives the others back. */
static int run_place(struct step *s)
{
	const int first = 100;
	int n = 0, r;

	s->value = 0;
	do {
		r = rt_heap_alloc(&self.heap[0], 64, TM_NONBLOCK, &self.block[first + n]);
		if (r == 0 && self.block[first + n] == self.block[0])
			self.block[2] = self.block[first + n];
		else if (r == 0)
			n++;
		s->value = self.block[2] == self.block[0];
	} while (r == 0 && !s->value);
	r = r == -EWOULDBLOCK ? 0 : r;
	while (r == 0 && n)
		r = rt_heap_free(&self.heap[0], self.block[first + --n]);
	return r;
}

/*
 * Waits, in the holder, until the block of slot 0 is free. There is no heapd to ask; nor may the holder ask for
 * memory that it has not, so it shall have all of the heap.
 */
static void take_its_place(struct lane *holder)
{
	struct step s = { .run = run_place };

	EXPECT(0, forget_block(holder, 2));
	for (;;) {
		struct step done = lane_run(holder, s);

		EXPECT(0, done.result);
		if (done.value)
			return;
		story_pause("what was freed is free", __FILE__, __LINE__);
	}
}

/* Bound to the holder's heap, and knows where its block is: in the same slot. */
static void shown(struct lane *l, struct lane *holder, int slot)
{
	size_t offset;

	EXPECT(0, do_offset(holder, 0, slot, &offset));
	EXPECT(0, do_pointer(l, 0, slot, offset));
}

/*
 * heapd dies behind a free that it has passed on. Before its sender says it again the page has gone to
 * a third process, which has a block at that very place: it is not freed.
 */
static void a_free_comes_late(enum point p)
{
	struct lane *holder = lane_new(), *sender = lane_new(), *third = lane_new();

	print_message("%s\n", names[p]);
	heapd_start(PATIENT);
	EXPECT(0, do_create(holder, 0, "late", 8192, H_FIFO));
	EXPECT(0, do_bind(sender, 0, "late"));
	EXPECT(0, do_bind(third, 0, "late"));
	EXPECT(0, do_alloc(holder, 0, 0, 8192, TM_NONBLOCK));
	shown(sender, holder, 0);
	arm(p, 0);
	lane_start(sender, step_free_surely(0, 0));
	UNTIL(heapd_killed());
	disarm();
	actor_stop(sender->actor);
	heapd_start(PATIENT);
	if (p == POINT_FREE_WRITTEN) { /* nobody knows of it yet */
		actor_continue(sender->actor);
		EXPECT(0, lane_result(sender));
		EXPECT(0, do_alloc(third, 0, 1, 8192, SECONDS(30)));
	} else {
		EXPECT(0, do_alloc(third, 0, 1, 8192, SECONDS(30)));
		actor_continue(sender->actor);
		EXPECT(0, lane_result(sender));
	}
	EXPECT(-EWOULDBLOCK, do_alloc(holder, 0, 2, 16, TM_NONBLOCK)); /* behind whatever was sent to the third */
	EXPECT(0, check_block(third, 1, 1, 8192));
	assert_int_equal(0, watch_bad_frees("late"));
	EXPECT(0, do_free(third, 0, 1)); /* so it had not been freed */
	EXPECT(0, do_delete(holder, 0));
	actor_quit(holder->actor);
	actor_quit(sender->actor);
	actor_quit(third->actor);
	heapd_stop();
}

/* The holder freed it, and comes back when the sender has already been told once that it is too early. */
static void a_free_comes_early(void)
{
	struct lane *holder = lane_new(), *sender = lane_new(), *third = lane_new();

	dying_new();
	heapd_keep(STORE);
	heapd_start(PATIENT);
	EXPECT(0, do_create(holder, 0, "early", 8192, H_FIFO));
	EXPECT(0, do_bind(sender, 0, "early"));
	EXPECT(0, do_bind(third, 0, "early"));
	EXPECT(0, do_alloc(holder, 0, 0, 8192, TM_NONBLOCK));
	shown(sender, holder, 0);
	arm(POINT_FREE_DELIVERED, 0);
	lane_start(sender, step_free_surely(0, 0));
	UNTIL(heapd_killed());
	disarm();
	(void)usleep(100000); /* it is freed there */
	actor_stop(holder->actor);
	lane_start(third, step_alloc(0, 1, 8192, SECONDS(30)));
	heapd_start(PATIENT);
	(void)usleep(300000); /* the sender says it again, in vain; the third waits */
	actor_continue(holder->actor);
	EXPECT(0, lane_result(third));
	EXPECT(0, lane_result(sender));
	EXPECT(-EWOULDBLOCK, do_alloc(holder, 0, 2, 16, TM_NONBLOCK));
	EXPECT(0, do_free(third, 0, 1)); /* so it had not been freed */
	assert_int_equal(0, watch_bad_frees("early"));
	actor_quit(holder->actor);
	actor_quit(sender->actor);
	actor_quit(third->actor);
	heapd_stop();
	dying_free();
}

static void frees_that_come_late(void)
{
	dying_new();
	heapd_keep(STORE);
	a_free_comes_late(POINT_FREE_WRITTEN);
	a_free_comes_late(POINT_FREE_DELIVERED);
	a_free_comes_late(POINT_FREE_TOLD);
	dying_free();
}

/* Two threads free blocks of another's: whichever speaks first to the new heapd, none is freed twice. */
static void frees_of_two_threads(void)
{
	struct lane *holder = lane_new();
	struct actor *sender = actor_new(2);
	RT_HEAP_INFO info;

	dying_new();
	heapd_keep(STORE);
	heapd_start(PATIENT);
	EXPECT(0, do_create(holder, 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_bind(&sender->lane[0], 0, "pool"));
	for (int i = 0; i < 12; i++) {
		EXPECT(0, do_alloc(holder, 0, 0, 64, TM_NONBLOCK));
		EXPECT(0, do_alloc(holder, 0, 1, 4096, TM_NONBLOCK));
		shown(&sender->lane[0], holder, 0);
		shown(&sender->lane[0], holder, 1);
		arm(i % 2 ? POINT_FREE_DELIVERED : POINT_FREE_TOLD, 0);
		lane_start(&sender->lane[0], step_free_surely(0, 0));
		UNTIL(heapd_killed());
		disarm();
		take_its_place(holder);
		lane_start(&sender->lane[1], step_free_surely(0, 1));
		heapd_start(PATIENT);
		EXPECT(0, lane_result(&sender->lane[0]));
		EXPECT(0, lane_result(&sender->lane[1]));
		EXPECT(0, do_create(holder, 1, NULL, 4096, H_FIFO)); /* told behind what was sent to it before */
		EXPECT(0, do_unbind(holder, 1));
		EXPECT(0, do_inquire(holder, 0, &info));
		assert_int_equal(64, info.usedmem);
		assert_int_equal(0, watch_bad_frees("pool"));
		EXPECT(0, do_free(holder, 0, 2));
	}
	heapd_stop();
	dying_free();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(killed_at_work),
		STORY(killed_at_the_beginning),
		STORY(a_free_comes_early),
		STORY(frees_that_come_late),
		STORY(frees_of_two_threads),
	};

	return cmocka_run_group_tests_name("heapd-points", tests, NULL, NULL);
}
