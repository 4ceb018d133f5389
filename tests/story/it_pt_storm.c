/*
 * Story: threads and signal handlers hammer partitions
 *
 * Each thread has a timer that interrupts it 20000 times a second, wherever it is: most of the time
 * inside the very calls, on the same partition. Handlers take blocks, keep some for a later one, pass
 * some on to other threads, and give blocks a second time, as the threads do.
 *
 * What must hold: nobody ever has a block that somebody else has (each stamps his, and looks before he
 * gives it); in the end every block is there exactly once; bad frees are counted to the last one.
 * In the other storms numbers are destroyed and created, and the process forks, meanwhile.
 * What happens is not the same in any two runs; only how long it lasts depends on the clock.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include "tests/story/it_pt.h"

#define THREADS 3
#define BLOCKS 64
#define LETTERS 8
#define KEEPS 4
#define PERIOD_NS 50000 /* 20 kHz, for each thread */
#define STORM_NS ((STORY_SANITIZED ? 1 : 10) * NSEC_PER_SEC)
#define LIVES (200 / STORY_FACTOR)

/* board->count */
enum { HANDLERS = 1, INSIDE, TAKES, DENIED, BAD, PASSED, CYCLES, BUSY };

struct player {
	uint64_t id; /* what a thread stamps; its handlers stamp id + 1 */
	uint64_t random;
	int partitions; /* plays with numbers below this */
	bool alone;     /* blocks are given by who took them, and no bad frees */
	pthread_t thread;
	timer_t timer;
	struct hold {
		uint64_t *block;
		int ptno;
	} keep[KEEPS]; /* the handlers' */
	volatile sig_atomic_t inside; /* a call */
	uint64_t handlers, hits;      /* the handlers count here alone */
	uint64_t takes, denied, passed, bad;
	int failed;
};

static __thread struct player *me;
static _Atomic(uint64_t *) mail[LETTERS]; /* blocks of partition 0 on their way to whoever looks first */
static atomic_bool over;
static atomic_int playing; /* threads that have come through their first call */

static uint64_t random_of(struct player *p)
{
	return p->random = p->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
}

static uint64_t *take_of(struct player *p, int ptno, uint64_t stamp)
{
	uint64_t *block = pt_getblock(ptno);

	if (!block) {
		p->denied++;
		return NULL;
	}
	p->takes++;
	if (*block) /* somebody has it */
		p->failed = -EIO;
	*block = stamp;
	return block;
}

static void give_by(struct player *p, int ptno, uint64_t *block, uint64_t stamp)
{
	if (*block != stamp)
		p->failed = -EIO;
	*block = 0;
	if (stamp & 2)
		pt_retblock(ptno, block);
	else
		pt_freeblock(ptno, block);
}

/* Puts it into somebody's box; what was there goes back. */
static void pass_on(struct player *p, uint64_t *block)
{
	uint64_t *other;

	*block = UINT64_MAX;
	other = atomic_exchange(&mail[(random_of(p) >> 40) % LETTERS], block);
	if (other)
		give_by(p, 0, other, UINT64_MAX);
	p->passed++;
}

/* Frees that no partition may believe, whatever runs beside them: into the middle of blocks, of others, of nothing. */
static void free_badly(struct player *p, uint64_t *block)
{
	pt_freeblock(0, (char *)block + 8);
	pt_freeblock(0, p);
	pt_retblock(0, NULL);
	(void)__atomic_fetch_add(&p->bad, 3, __ATOMIC_RELAXED); /* a handler may come in the middle */
}

/* The thread's own calls are interrupted, so it does nothing between them that a handler would not. */
static void play_once(struct player *p, uint64_t stamp, struct hold *keep, uint64_t random)
{
	struct hold *k = &keep[(random >> 33) % KEEPS];
	int ptno = (int)((random >> 50) % (unsigned int)p->partitions);

	if (k->block) {
		give_by(p, k->ptno, k->block, stamp);
		k->block = NULL;
		return;
	}
	*k = (struct hold){ .block = take_of(p, ptno, stamp), .ptno = ptno };
	if (!k->block || p->alone)
		return;
	if ((random >> 44) % 8 == 0)
		free_badly(p, k->block);
	if ((random >> 40) % 4 == 0) {
		pass_on(p, k->block);
		k->block = NULL;
	}
}

static void empty_hands(struct player *p, uint64_t stamp, struct hold *keep)
{
	for (int i = 0; i < KEEPS; i++)
		if (keep[i].block)
			give_by(p, keep[i].ptno, keep[i].block, stamp);
}

static void on_timer(int signo)
{
	struct player *p = me;
	int saved = errno;

	(void)signo;
	if (!p)
		return;
	p->handlers++;
	p->hits += p->inside != 0;
	play_once(p, p->id + 1, p->keep, random_of(p) * UINT64_C(0x9e3779b97f4a7c15));
	errno = saved;
}

static int timer_begin(struct player *p)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN };
	struct itimerspec period = { { 0, PERIOD_NS }, { 0, PERIOD_NS } };

	event._sigev_un._tid = gettid();
	if (timer_create(CLOCK_MONOTONIC, &event, &p->timer) < 0)
		return -errno;
	return timer_settime(p->timer, 0, &period, NULL) < 0 ? -errno : 0;
}

/* No handler runs in this thread any more. */
static void timer_end(struct player *p)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGRTMIN);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)timer_delete(p->timer);
}

static void *play(void *arg)
{
	struct player *p = arg;
	struct hold keep[KEEPS] = { { NULL, 0 } };
	uint64_t random = p->id;

	me = p;
	p->failed = timer_begin(p);
	if (p->failed)
		atomic_fetch_add(&playing, 1); /* for nobody to wait for */
	for (uint64_t i = 0; !atomic_load_explicit(&over, memory_order_relaxed) && !p->failed; i++) {
		random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		p->inside = 1;
		play_once(p, p->id, keep, random);
		p->inside = 0;
		if (i == 0)
			atomic_fetch_add(&playing, 1);
		if (p->alone && i % (STORY_TSAN ? 32 : 256) == 0) { /* so that there are moments without a block out: now, while it rests */
			empty_hands(p, p->id, keep);
			memset(keep, 0, sizeof(keep));
		}
		if (STORY_TSAN && i % 16 == 0)
			(void)usleep(0); /* the sanitizer delivers signals at such calls only */
		else if (p->alone && i % 64 == 0)
			(void)sched_yield();
	}
	timer_end(p);
	empty_hands(p, p->id, keep);
	empty_hands(p, p->id + 1, p->keep);
	return NULL;
}

static struct player player[THREADS];

static int storm_begin(int partitions, bool alone)
{
	struct sigaction sa = { .sa_handler = on_timer, .sa_flags = SA_RESTART };

	if (sigaction(SIGRTMIN, &sa, NULL) < 0)
		return -errno;
	for (uint64_t i = 0; i < THREADS; i++) {
		player[i] = (struct player){ .id = (i + 1) << 8 | (i & 1) << 1, .random = i + 77,
					     .partitions = partitions, .alone = alone };
		if (pthread_create(&player[i].thread, NULL, play, &player[i]))
			return -EAGAIN;
	}
	while (atomic_load(&playing) < THREADS)
		(void)usleep(1000);
	return 0;
}

static int storm_end(void)
{
	int r = 0;

	atomic_store(&over, true);
	for (int i = 0; i < THREADS; i++) {
		struct player *p = &player[i];

		(void)pthread_join(p->thread, NULL);
		r = p->failed ? p->failed : r;
		atomic_fetch_add(&board->count[HANDLERS], p->handlers);
		atomic_fetch_add(&board->count[INSIDE], p->hits);
		atomic_fetch_add(&board->count[TAKES], p->takes);
		atomic_fetch_add(&board->count[DENIED], p->denied);
		atomic_fetch_add(&board->count[PASSED], p->passed);
		atomic_fetch_add(&board->count[BAD], p->bad);
	}
	for (int i = 0; i < LETTERS; i++) {
		uint64_t *block = atomic_exchange(&mail[i], NULL);

		if (block)
			give_by(&player[0], 0, block, UINT64_MAX);
	}
	return r ? r : player[0].failed;
}

/* Exactly n blocks, each once; then none. */
static int every_block_once(int ptno, int n)
{
	int got = 0;

	for (uint64_t *block; (block = pt_getblock(ptno)); got++) {
		if (got == n || *block)
			return -EEXIST;
		*block = 1; /* it would be seen again */
		self.block[got] = block;
	}
	for (int i = 0; i < got; i++) {
		*(uint64_t *)self.block[i] = 0;
		pt_freeblock(ptno, self.block[i]);
	}
	return got == n ? 0 : -ENOENT;
}

/* ---- one partition ---- */

static int run_storm(struct step *s)
{
	uint64_t end;
	int r = storm_begin(1, false);

	if (r)
		return r;
	end = now_ns() + s->n;
	while (now_ns() < end)
		(void)usleep(10000);
	s->value = now_ns() - end + s->n;
	r = storm_end();
	return r ? r : every_block_once(0, BLOCKS);
}

static void print_figures(uint64_t took_ns)
{
	double seconds = (double)took_ns / (double)NSEC_PER_SEC;

	print_message("  %.1f s, %d threads: %.0f handlers a second and thread (asked for: %d), %.0f %% of them inside the calls\n",
		      seconds, THREADS, (double)atomic_load(&board->count[HANDLERS]) / seconds / THREADS,
		      (int)(NSEC_PER_SEC / PERIOD_NS),
		      100.0 * (double)atomic_load(&board->count[INSIDE]) /
			      (double)max_u64(atomic_load(&board->count[HANDLERS]), 1));
	print_message("  %.1f million blocks taken, %.1f million times empty, %.1f million passed on, %.1f million bad frees\n",
		      (double)atomic_load(&board->count[TAKES]) / 1e6, (double)atomic_load(&board->count[DENIED]) / 1e6,
		      (double)atomic_load(&board->count[PASSED]) / 1e6, (double)atomic_load(&board->count[BAD]) / 1e6);
}

static void threads_and_handlers(void)
{
	struct lane *l = lane_new();
	struct step s;

	heapd_start("");
	EXPECT(0, do_pt_create(l, 64, BLOCKS));
	/* fewer than all hands could hold: it is empty at times */
	assert_true(BLOCKS > THREADS * KEEPS);
	s = lane_run(l, (struct step){ .run = run_storm, .n = STORM_NS });
	EXPECT(0, s.result);
	print_figures(s.value);
	assert_true(atomic_load(&board->count[HANDLERS]) > 0);
	if (!STORY_TSAN)
		assert_true(atomic_load(&board->count[INSIDE]) > 0);
	assert_true(atomic_load(&board->count[TAKES]) > 0 && atomic_load(&board->count[PASSED]) > 0);
	expect_seen(0, 0, (uint32_t)atomic_load(&board->count[BAD]));
	EXPECT(0, do_pt_destroy(l, 0));
}

/* The same where there are fewer blocks than hands. */
static void threads_and_handlers_run_dry(void)
{
	struct lane *l = lane_new();

	heapd_start("");
	EXPECT(0, do_pt_create(l, 64, 3));
	EXPECT(-ENOENT, lane_run(l, (struct step){ .run = run_storm, .n = NSEC_PER_SEC / STORY_FACTOR }).result);
	assert_true(atomic_load(&board->count[DENIED]) > 0);
	expect_seen(0, 0, (uint32_t)atomic_load(&board->count[BAD]));
	EXPECT(3, do_take_all(l, 0, 0));
	EXPECT(0, do_free_range(l, 0, 0, 3));
	EXPECT(0, do_pt_destroy(l, 0));
}

/* ---- numbers that come and go under it ---- */

static int run_lives(struct step *s)
{
	int r = storm_begin(3, true); /* number 2 is none, most of the time */
	int n_now[2] = { 0 };         /* blocks of the others */

	for (uint64_t lives = 0; r == 0 && lives < s->n;) {
		int ptno = (int)(lives % 2), n = (int)(1 + lives * 7 % 300);

		if (pt_destroy(ptno) < 0) {
			if (errno != EBUSY)
				r = -errno;
			atomic_fetch_add(&board->count[BUSY], 1);
			(void)sched_yield();
			continue;
		}
		if (pt_create(64 + lives % 3 * 64, n) != ptno)
			r = errno ? -errno : -EPROTO;
		if (lives % 8 == 0 && pt_create(64, 5) == 2) {
			while (pt_destroy(2) < 0 && errno == EBUSY)
				(void)sched_yield();
		}
		n_now[ptno] = n;
		lives++;
	}
	if (r)
		(void)storm_end();
	else
		r = storm_end();
	for (int ptno = 0; r == 0 && ptno < 2; ptno++)
		r = every_block_once(ptno, n_now[ptno]);
	return r;
}

static void numbers_come_and_go(void)
{
	struct lane *l = lane_new();
	struct step s;

	heapd_start("");
	EXPECT(0, do_pt_create(l, 64, BLOCKS));
	EXPECT(1, do_pt_create(l, 64, BLOCKS));
	s = lane_run(l, (struct step){ .run = run_lives, .n = LIVES });
	EXPECT(0, s.result);
	print_message("  %d lives, %d times busy, %.1f million blocks taken\n", LIVES,
		      (int)atomic_load(&board->count[BUSY]), (double)atomic_load(&board->count[TAKES]) / 1e6);
	assert_true(atomic_load(&board->count[TAKES]) > 0);
	expect_seen(0, 0, 0);
	expect_seen(1, 0, 0);
	EXPECT(0, do_pt_destroy(l, 0));
	EXPECT(0, do_pt_destroy(l, 1));
	assert_int_equal(0, watch_stat().heaps);
}

/* ---- forks in the middle of it ---- */

static int child_of_storm(void)
{
	void *block;

	errno = 0;
	if (pt_getblock(0) || errno != EPERM || pt_destroy(0) != -1)
		return 1;
	for (int i = 0; i < LETTERS; i++) /* blocks of the parent */
		pt_freeblock(0, atomic_load(&mail[i]));
	if (pt_create(64, 1) != 0)
		return 2;
	block = pt_getblock(0);
	if (!block || pt_getblock(0))
		return 3;
	pt_freeblock(0, block);
	return pt_destroy(0) == 0 ? 0 : 4;
}

static int run_forks(struct step *s)
{
	int status = 0, r = storm_begin(1, false);

	for (uint64_t i = 0; r == 0 && i < s->n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			r = -errno;
		if (pid == 0)
			_exit(child_of_storm());
		if (pid > 0 && (waitpid(pid, &status, 0) != pid || status))
			r = -ECHILD;
	}
	s->value = (uint64_t)status;
	if (r) {
		(void)storm_end();
		return r;
	}
	r = storm_end();
	return r ? r : every_block_once(0, BLOCKS);
}

static void forks_in_the_middle(void)
{
	struct lane *l = lane_new();
	struct step s;

	heapd_start("");
	EXPECT(0, do_pt_create(l, 64, BLOCKS));
	s = lane_run(l, (struct step){ .run = run_forks, .n = 60 / STORY_FACTOR });
	if (s.result)
		print_error("a child's wait status: 0x%x\n", (unsigned int)s.value);
	EXPECT(0, s.result);
	expect_seen(0, 0, (uint32_t)atomic_load(&board->count[BAD]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(threads_and_handlers),
		STORY(threads_and_handlers_run_dry),
		STORY(numbers_come_and_go),
		STORY(forks_in_the_middle),
	};

	return cmocka_run_group_tests_name("pt-storm", tests, NULL, NULL);
}
