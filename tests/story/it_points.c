/*
 * it_points.c: a process is killed, or stopped for a while, at each named point of the library (client/point.h), and
 * nothing is lost
 *
 * Two processes work one small heap as hard as they can: they allocate, wait, free, free each other's blocks, create, bind,
 * delete. One of them (the victim) kills itself when it comes to the point under test for the nth time. Afterwards
 * the survivor must be able to have every byte of the heap, no waiter may be left, and the daemon goes on. Stopped instead of
 * killed (SIGSTOP, as by a debugger), it must not keep the survivor from going on, and goes on itself with all that it
 * had. A point that is never reached fails the test.
 *
 * This test links the library's test build; its processes never touch the shared one.
 */
#include "story.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "client/hand.h"
#include "client/point.h"
#include "heapclient/rt_heap.h"
#include "raw.h"

#define PAGES 32
#define HELD 24
#define GIFTS 8
#define CLAIMED ((size_t)1 << 63)

/* Between the processes: what the survivor leaves for the victim to free, and when to stop. */
struct stage {
	_Atomic size_t gift[GIFTS]; /* offset + 1; 0: none */
	atomic_bool stop;
	atomic_bool victim_gone; /* what it has sent is at the daemon, or never will be */
	atomic_bool ready;
	_Atomic uint32_t steps; /* of the survivor */
};

static struct stage *stage;
static int kill_at = -1, kill_pass, kill_by = SIGKILL;
static _Atomic int passes;

void point_reached(enum point p)
{
	if ((int)p == kill_at && atomic_fetch_add(&passes, 1) == kill_pass)
		(void)raise(kill_by);
}

static const char *const names[] = {
#define POINT_NAME(name) #name,
	POINTS(POINT_NAME)
};

struct worker {
	RT_HEAP heap;
	unsigned seed;
	bool gives, takes;
	void *held[HELD];
};

static unsigned roll(struct worker *w, unsigned n)
{
	w->seed = w->seed * 1664525u + 1013904223u;
	return (w->seed >> 16) % n;
}

/* A result that no crash of another process may cause. */
static void sane(int r, const char *what)
{
	if (r == 0 || r == -EWOULDBLOCK || r == -ETIMEDOUT)
		return;
	(void)fprintf(stderr, "survivor or victim: %s: %s\n", what, strerror(-r));
	_exit(3);
}

static void leave_gift(struct worker *w, void **slot)
{
	size_t offset, none = 0;

	sane(rt_heap_offset(&w->heap, *slot, &offset), "offset");
	if (atomic_compare_exchange_strong(&stage->gift[roll(w, GIFTS)], &none, offset + 1))
		*slot = NULL;
}

static void take_gift(struct worker *w)
{
	_Atomic size_t *gift = &stage->gift[roll(w, GIFTS)];
	size_t offset = atomic_load(gift);
	void *p;

	/* one of our threads only; it stays marked until it is freed, so that the survivor knows if we die */
	if (!offset || (offset & CLAIMED) || !atomic_compare_exchange_strong(gift, &offset, offset | CLAIMED))
		return;
	sane(rt_heap_pointer(&w->heap, offset - 1, &p), "pointer");
	sane(rt_heap_free(&w->heap, p), "free of a gift");
	atomic_store(gift, 0);
}

static void step(struct worker *w)
{
	static const size_t sizes[] = { 64, 512, 4096, 4096, 8192, 16384 };
	static const RTIME timeouts[] = { TM_NONBLOCK, 1000000, 3000000 };
	void **slot = &w->held[roll(w, HELD)];

	if (w->takes)
		take_gift(w);
	if (!*slot) {
		sane(rt_heap_alloc(&w->heap, sizes[roll(w, ARRAY_SIZE(sizes))], timeouts[roll(w, 3)], slot), "alloc");
		if (*slot)
			*(char *)*slot = 1;
	} else if (w->gives && roll(w, 3) == 0) {
		leave_gift(w, slot);
	} else {
		sane(rt_heap_free(&w->heap, *slot), "free");
		*slot = NULL;
	}
}

static void *worker_main(void *arg)
{
	const struct worker *w = arg;

	while (!atomic_load(&stage->stop)) {
		step(arg);
		atomic_fetch_add(&stage->steps, w->gives); /* only survivors give */
	}
	return NULL;
}

static void free_held(struct worker *w)
{
	for (size_t i = 0; i < HELD; i++) {
		if (w->held[i])
			sane(rt_heap_free(&w->heap, w->held[i]), "last free");
		w->held[i] = NULL;
	}
}

/* A heap of its own: blocks at hand, too many of them, and then all of it is needed. */
static void work_alone(void)
{
	static void *block[128];
	RT_HEAP h;
	void *p;
	int r = 0;

	sane(rt_heap_create(&h, NULL, 256 * 1024, H_FIFO), "create alone");
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(block); i++)
			sane(rt_heap_alloc(&h, 64, TM_NONBLOCK, &block[i]), "alloc alone");
		for (size_t i = 0; i < ARRAY_SIZE(block); i++)
			sane(rt_heap_free(&h, block[i]), "free alone");
	}
	while (r == 0)
		r = rt_heap_alloc(&h, 4096, TM_NONBLOCK, &p);
	sane(r, "the last one alone");
	sane(rt_heap_unbind(&h), "unbind alone");
}

/* Heaps come and go, binds wait in vain. */
static void *life_main(void *arg)
{
	RT_HEAP h;
	int r;

	(void)arg;
	while (!atomic_load(&stage->stop)) {
		sane(rt_heap_bind_timed(&h, "never", 1000000), "bind to nothing");
		work_alone();
		r = rt_heap_create(&h, "brief", 8192, H_FIFO);
		if (r == -EEXIST) /* an earlier victim's: a named heap outlives its creator */
			r = rt_heap_bind(&h, "brief");
		sane(r, "create");
		sane(rt_heap_delete(&h), "delete");
		sane(rt_heap_unbind(&h), "unbind");
	}
	return NULL;
}

static void victim(enum point p, int pass)
{
	struct worker w[2] = { { .seed = 1, .takes = true }, { .seed = 2 } }; /* one taker: a gift is freed once */
	pthread_t thread[3];

	kill_at = (int)p;
	kill_pass = pass;
	while (!atomic_load(&stage->ready))
		(void)usleep(1000);
	for (size_t i = 0; i < 2; i++) {
		sane(rt_heap_bind(&w[i].heap, "pool"), "bind");
		(void)pthread_create(&thread[i], NULL, worker_main, &w[i]);
	}
	(void)pthread_create(&thread[2], NULL, life_main, NULL);
	if (kill_by == SIGKILL) {
		(void)sleep(20 * STORY_FACTOR);
		_exit(1); /* the point was not reached */
	}
	for (size_t i = 0; i < 3; i++)
		(void)pthread_join(thread[i], NULL);
	for (size_t i = 0; i < 2; i++)
		free_held(&w[i]);
	_exit(0);
}

/* Waits until the victim has gone, and what it freed of ours is freed: the end of a creation comes behind that. */
static void settle(void)
{
	RT_HEAP local;

	while (!atomic_load(&stage->victim_gone))
		(void)usleep(1000);
	sane(rt_heap_create(&local, NULL, 4096, H_FIFO), "create");
	sane(rt_heap_unbind(&local), "unbind");
}

/* What the victim was given: it may have freed it before it died, and then it may be one of ours again. */
static void sweep_gifts(struct worker *w, size_t n)
{
	for (size_t i = 0; i < GIFTS; i++) {
		size_t offset = atomic_load(&stage->gift[i]) & ~CLAIMED;
		bool ours = false;
		void *p;
		int r;

		if (!offset)
			continue;
		sane(rt_heap_pointer(&w->heap, offset - 1, &p), "pointer");
		for (size_t j = 0; j < n * HELD; j++)
			ours = ours || w[j / HELD].held[j % HELD] == p;
		if (ours)
			continue;
		r = rt_heap_free(&w->heap, p);
		if (r != -EINVAL)
			sane(r, "free of a gift that was not taken");
	}
}

static void all_is_there(RT_HEAP *h)
{
	RT_HEAP_INFO info;
	void *p;
	int r;

	for (int i = 0; i < PAGES; i++) {
		r = rt_heap_alloc(h, 4096, (RTIME)20 * NSEC_PER_SEC, &p);
		if (r < 0) {
			(void)fprintf(stderr, "page %d of %d: %s\n", i + 1, PAGES, strerror(-r));
			_exit(4);
		}
	}
	if (rt_heap_alloc(h, 1, TM_NONBLOCK, &p) != -EWOULDBLOCK)
		_exit(5);
	sane(rt_heap_inquire(h, &info), "inquire");
	if (info.usedmem != PAGES * 4096 || info.nwaiters != 0) {
		(void)fprintf(stderr, "used %zu, %d waiters\n", info.usedmem, info.nwaiters);
		_exit(6);
	}
}

/* A named heap outlives its creator, who may have died before he could delete it. */
static void delete_leftover(void)
{
	RT_HEAP h;
	int r = rt_heap_bind_timed(&h, "brief", TM_NONBLOCK);

	if (r == 0)
		sane(rt_heap_delete(&h), "delete what the victim left");
	else
		sane(r, "bind to what the victim left");
}

static void survivor(void)
{
	struct worker w[2] = { { .seed = 3, .gives = true }, { .seed = 4, .gives = true } };
	pthread_t thread[2];

	sane(rt_heap_create(&w[0].heap, "pool", PAGES * 4096, H_FIFO), "create");
	w[1].heap = w[0].heap;
	for (size_t i = 0; i < 2; i++)
		(void)pthread_create(&thread[i], NULL, worker_main, &w[i]);
	atomic_store(&stage->ready, true);
	for (size_t i = 0; i < 2; i++)
		(void)pthread_join(thread[i], NULL);
	settle();
	sweep_gifts(w, 2);
	for (size_t i = 0; i < 2; i++)
		free_held(&w[i]);
	all_is_there(&w[0].heap);
	delete_leftover();
	sane(rt_heap_delete(&w[0].heap), "delete");
	_exit(0);
}

static void die_at(enum point p, int pass)
{
	pid_t dying, living;
	int status;

	stage = mmap(NULL, sizeof(*stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(stage != MAP_FAILED);
	living = fork();
	if (living == 0)
		survivor();
	dying = fork();
	if (dying == 0)
		victim(p, pass);
	assert_int_equal(waitpid(dying, &status, 0), dying);
	UNTIL(watch_stat().sessions <= 2); /* the survivor's, ours */
	atomic_store(&stage->victim_gone, true);
	atomic_store(&stage->stop, true);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		print_error("point %s: the victim ended with status %x\n", names[p], status);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(waitpid(living, &status, 0), living);
	if (status)
		print_error("point %s: the survivor ended with status %x\n", names[p], status);
	assert_int_equal(status, 0);
	assert_int_equal(munmap(stage, sizeof(*stage)), 0);
}

/* Without sequences, or with very many CPUs, nothing is at hand in a heap as small as ours. */
static bool is_passed(enum point p)
{
	return strncmp(names[p], "HAND_", 5) != 0 || hand_cpus((uint64_t)PAGES * 4096) > 0;
}

static void killed_at_every_point(void)
{
	size_t fds;

	heapd_start(PATIENT);
	UNTIL(watch_stat().sessions == 1); /* ours, which stays */
	fds = heapd_fds();
	for (int pass = 0; pass < 3; pass++)
		for (int p = 0; p < (int)ARRAY_SIZE(names); p++)
			if (is_passed((enum point)p))
				die_at((enum point)p, pass * pass * 2); /* the 1st, 3rd, 9th time */
	UNTIL(heapd_fds() <= fds + 1); /* the last victim may have left "brief" */
	heapd_stop();
}

static void stop_at(enum point p)
{
	uint32_t steps;
	pid_t stopped, living;
	int status;

	stage = mmap(NULL, sizeof(*stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(stage != MAP_FAILED);
	living = fork();
	if (living == 0)
		survivor();
	stopped = fork();
	if (stopped == 0)
		victim(p, 2);
	assert_int_equal(waitpid(stopped, &status, WUNTRACED), stopped);
	if (!WIFSTOPPED(status))
		print_error("point %s: the victim ended with status %x\n", names[p], status);
	assert_true(WIFSTOPPED(status));
	/* each of them may wait for a thread that is stopped, and gives up */
	steps = atomic_load(&stage->steps);
	UNTIL(atomic_load(&stage->steps) - steps > 40);
	assert_int_equal(kill(stopped, SIGCONT), 0);
	steps = atomic_load(&stage->steps);
	UNTIL(atomic_load(&stage->steps) - steps > 40);
	atomic_store(&stage->stop, true);
	assert_int_equal(waitpid(stopped, &status, 0), stopped);
	UNTIL(watch_stat().sessions <= 2);
	atomic_store(&stage->victim_gone, true);
	if (status)
		print_error("point %s: the victim ended with status %x\n", names[p], status);
	assert_int_equal(status, 0);
	assert_int_equal(waitpid(living, &status, 0), living);
	if (status)
		print_error("point %s: the survivor ended with status %x\n", names[p], status);
	assert_int_equal(status, 0);
	assert_int_equal(munmap(stage, sizeof(*stage)), 0);
}

static void stopped_at_every_point(void)
{
	size_t fds;

	heapd_start(""); /* with the recall bound that it has */
	UNTIL(watch_stat().sessions == 1);
	fds = heapd_fds();
	kill_by = SIGSTOP;
	for (int p = 0; p < (int)ARRAY_SIZE(names); p++)
		if (is_passed((enum point)p))
			stop_at((enum point)p);
	UNTIL(heapd_fds() <= fds + 1);
	heapd_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(killed_at_every_point),
		STORY(stopped_at_every_point),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
