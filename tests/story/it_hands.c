/*
 * Story: blocks at hand for each CPU are nobody's, and so everybody's
 *
 * Two threads, each on a CPU of its own where there are two, take and free until both CPUs have
 * blocks at hand. Nothing of that may be seen from outside: exact capacity, exact figures, double
 * frees, waiters, recalls, the largest block; and signals at 10 kHz change nothing. Played
 * a second time where sequences are forbidden (tests/story/meson.build): it must all be the same.
 */
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define BYTES ((size_t)1 << 20)
#define MANY 256 /* blocks of a size: arrays get full and empty on the way */
#define RING 64

enum { DONE, INTERRUPTED, HEAD, TAIL }; /* on the board */

static void *ring[RING]; /* in the actor: between two of its lanes */

static int run_stay(struct step *s)
{
	cpu_set_t all, one;
	int cpu = 0, nth = s->slot;

	if (sched_getaffinity(0, sizeof(all), &all) < 0)
		return -errno;
	for (nth %= CPU_COUNT(&all); !CPU_ISSET((size_t)cpu, &all) || nth-- > 0; cpu++)
		;
	CPU_ZERO(&one);
	CPU_SET((size_t)cpu, &one);
	return sched_setaffinity(0, sizeof(one), &one) < 0 ? -errno : 0;
}

/* Lanes 0 and 1 on two CPUs; the others anywhere. */
static struct actor *actor_on_two_cpus(unsigned lanes)
{
	struct actor *a = actor_new(lanes);

	for (int i = 0; i < 2; i++)
		EXPECT(0, lane_run(&a->lane[i], (struct step){ .run = run_stay, .slot = i }).result);
	return a;
}

/* Blocks of every size up to a page, many at a time, and all of them back. */
static int run_warm_up(struct step *s)
{
	void *p[MANY];
	int r = 0;

	for (int round = 0; round < 8; round++)
		for (size_t size = 16; size <= 4096 && r == 0; size *= 2) {
			size_t n = size > 512 ? 16 : MANY;

			for (size_t i = 0; i < n && r == 0; i++)
				r = rt_heap_alloc(&self.heap[s->heap], size, TM_NONBLOCK, &p[i]);
			for (size_t i = 0; i < n && r == 0; i++)
				r = rt_heap_free(&self.heap[s->heap], p[i]);
		}
	return r;
}

static void warm_up(struct actor *a)
{
	for (int i = 0; i < 2; i++)
		lane_start(&a->lane[i], (struct step){ .run = run_warm_up });
	for (int i = 0; i < 2; i++)
		EXPECT(0, lane_result(&a->lane[i]));
}

static void expect_used(struct actor *a, size_t bytes)
{
	RT_HEAP_INFO info;

	EXPECT(0, do_inquire(&a->lane[0], 0, &info));
	assert_int_equal(bytes, info.usedmem);
	assert_int_equal(0, info.nwaiters);
}

static void capacity_of(const char *name)
{
	struct actor *a = actor_on_two_cpus(3);

	heapd_start(PATIENT);
	EXPECT(0, do_create(&a->lane[0], 0, name, BYTES, H_FIFO));
	for (size_t size = 512; size <= 4096; size *= 2) {
		int n = (int)(BYTES / size);

		warm_up(a);
		expect_used(a, 0);
		/* some by one CPU, the rest by another one */
		EXPECT(n / 3, take_all(&a->lane[0], 0, 0, size, n / 3).result);
		expect_used(a, (size_t)(n / 3) * size);
		EXPECT(n - n / 3, take_all(&a->lane[1], 0, n / 3, size, n).result);
		expect_used(a, BYTES);
		EXPECT(-EWOULDBLOCK, do_alloc(&a->lane[0], 0, 4000, 1, TM_NONBLOCK));
		EXPECT(0, free_range(&a->lane[0], 0, n / 2, n - n / 2));
		EXPECT(0, free_range(&a->lane[1], 0, 0, n / 2));
		expect_used(a, 0);
	}
	warm_up(a);
	EXPECT(0, do_alloc(&a->lane[2], 0, 0, BYTES, TM_NONBLOCK));
	expect_used(a, BYTES);
	EXPECT(0, do_free(&a->lane[1], 0, 0));
	expect_used(a, 0);
}

static void all_of_a_local_heap(void)
{
	capacity_of(NULL);
}

static void all_of_a_named_heap(void)
{
	capacity_of("pool");
}

/* A thread waits for the last block, which lies at hand of another CPU, or comes back there. */
/* More descriptors than have the short way: each takes what another one has freed, and an unbound one is none. */
#define DESCRIPTORS 40

static int run_many_descriptors(struct step *s)
{
	RT_HEAP many[DESCRIPTORS], old;
	void *p[DESCRIPTORS];
	int r = 0;

	(void)s;
	for (int i = 0; i < DESCRIPTORS; i++)
		if (rt_heap_bind(&many[i], "many") < 0)
			return -EBADF;
	for (int round = 0; round < 1000 && r == 0; round++) {
		for (int i = 0; i < DESCRIPTORS && r == 0; i++)
			r = rt_heap_alloc(&many[i], 100, TM_NONBLOCK, &p[i]);
		for (int i = 0; i < DESCRIPTORS && r == 0; i++)
			r = rt_heap_free(&many[(i + round) % DESCRIPTORS], p[i]);
	}
	for (int i = 0; i < DESCRIPTORS && r == 0; i++) {
		old = many[i];
		r = rt_heap_unbind(&many[i]);
		if (r == 0 && (rt_heap_alloc(&old, 100, TM_NONBLOCK, &p[0]) != -EINVAL || rt_heap_free(&old, p[0]) != -EINVAL))
			return -ENOTRECOVERABLE;
	}
	return r;
}

static void many_descriptors(void)
{
	struct actor *a = actor_on_two_cpus(2);

	heapd_start(PATIENT);
	EXPECT(0, do_create(&a->lane[0], 0, "many", BYTES, H_PRIO));
	for (int i = 0; i < 2; i++)
		lane_start(&a->lane[i], (struct step){ .run = run_many_descriptors });
	for (int i = 0; i < 2; i++)
		EXPECT(0, lane_result(&a->lane[i]));
	expect_used(a, 0);
}

static void waiters_come_first(void)
{
	struct actor *a = actor_on_two_cpus(3);
	int n = (int)(BYTES / 2048);

	heapd_start("");
	EXPECT(0, do_create(&a->lane[0], 0, NULL, BYTES, H_FIFO));
	for (int round = 0; round < 20; round++) {
		warm_up(a);
		EXPECT(n, take_all(&a->lane[0], 0, 0, 2048, n).result);
		lane_start(&a->lane[2], step_alloc(0, n, 2000, TM_INFINITE));
		until_inquired(&a->lane[0], 0, 1);
		EXPECT(0, do_free(&a->lane[1], 0, round));
		EXPECT(0, lane_result(&a->lane[2]));
		expect_used(a, BYTES);
		EXPECT(0, do_free(&a->lane[1], 0, n));
		EXPECT(0, free_range(&a->lane[1], 0, 0, round));
		EXPECT(0, free_range(&a->lane[0], 0, round + 1, n - round - 1));
		expect_used(a, 0);
	}
}

/* What one process has at hand another one gets, if it needs it. */
static void recalled(void)
{
	struct actor *a = actor_on_two_cpus(3), *b = actor_new(1);

	heapd_start(PATIENT);
	EXPECT(0, do_create(&a->lane[0], 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_bind(&b->lane[0], 0, "pool"));
	for (int round = 0; round < 10; round++) {
		warm_up(a);
		EXPECT(0, do_alloc(&b->lane[0], 0, 0, BYTES, TM_NONBLOCK));
		expect_used(a, BYTES);
		EXPECT(-EWOULDBLOCK, do_alloc(&a->lane[0], 0, 0, 16, TM_NONBLOCK));
		EXPECT(0, do_free(&b->lane[0], 0, 0));
	}
	warm_up(a);
	EXPECT(0, do_delete(&b->lane[0], 0));
	for (int i = 0; i < 2; i++) {
		EXPECT(-EIDRM, do_alloc(&a->lane[i], 0, 0, 64, TM_NONBLOCK));
		EXPECT(-EIDRM, do_alloc(&a->lane[i], 0, 0, 4096, TM_NONBLOCK));
	}
}

/* Freed twice, whoever frees, and wherever the block lies; inside a block; a heap that is no more. */
static void bad_frees(void)
{
	struct actor *a = actor_on_two_cpus(2);
	uint32_t n = 0;

	heapd_start("");
	EXPECT(0, do_create(&a->lane[0], 0, "pool", BYTES, H_FIFO));
	warm_up(a);
	for (size_t size = 16; size <= 16384; size *= 2)
		for (int k = 0; k < 4; k++) {
			struct lane *first = &a->lane[k & 1], *second = &a->lane[k >> 1];

			EXPECT(0, do_alloc(first, 0, 0, size, TM_NONBLOCK));
			EXPECT(0, shift_block(first, 1, 0, 0));
			EXPECT(0, shift_block(first, 2, 0, 8));
			EXPECT(0, shift_block(first, 3, 0, (long)size / 2));
			EXPECT(-EINVAL, do_free(second, 0, 2));
			if (size > 16)
				EXPECT(-EINVAL, do_free(second, 0, 3));
			EXPECT(0, do_free(first, 0, 0));
			EXPECT(-EINVAL, do_free(second, 0, 1));
			n += size > 16 ? 3 : 2;
		}
	assert_int_equal(n, watch_bad_frees("pool"));
	expect_used(a, 0);
	EXPECT(0, do_alloc(&a->lane[0], 0, 0, 64, TM_NONBLOCK));
	EXPECT(0, do_unbind(&a->lane[1], 0));
	EXPECT(-EINVAL, do_free(&a->lane[0], 0, 0));
	EXPECT(-EINVAL, do_alloc(&a->lane[0], 0, 0, 64, TM_NONBLOCK));
}

/* ---- a storm ---- */

static void on_tick(int signo)
{
	(void)signo;
	atomic_fetch_add_explicit(&board->count[INTERRUPTED], 1, memory_order_relaxed);
}

/* SIGUSR2 for this thread 10,000 times a second. */
static int tick(timer_t *t)
{
	struct sigaction sa = { .sa_handler = on_tick, .sa_flags = SA_RESTART };
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2 };
	struct itimerspec every = { .it_interval.tv_nsec = 100000, .it_value.tv_nsec = 100000 };

	ev._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	if (sigaction(SIGUSR2, &sa, NULL) < 0 || timer_create(CLOCK_MONOTONIC, &ev, t) < 0 ||
	    timer_settime(*t, 0, &every, NULL) < 0)
		return -errno;
	return 0;
}

/* Takes, writes, looks, frees, and now and then twice; what a lane frees the other one may have taken. */
static int run_storm(struct step *s)
{
	uint64_t seed = (uint64_t)s->slot + 77, bad = 0;
	timer_t timer;
	int r = tick(&timer);

	for (uint64_t i = 0; i < s->n && r == 0; i++) {
		uint64_t *p;
		void *was;

		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		r = rt_heap_alloc(&self.heap[0], (size_t)16 << (seed >> 40 & 7), TM_NONBLOCK, (void **)&p);
		if (r)
			break;
		*p = (uintptr_t)p;
		was = __atomic_exchange_n(&ring[seed >> 50 & (RING - 1)], p, __ATOMIC_ACQ_REL);
		if (!was)
			continue;
		if (*(uint64_t *)was != (uintptr_t)was)
			return -EIO;
		*(uint64_t *)was = 0;
		r = rt_heap_free(&self.heap[0], was);
		bad += r != 0;
	}
	(void)timer_delete(timer);
	return r ? r : bad ? -EPROTO : 0;
}

static int run_clear_up(struct step *s)
{
	int r = 0;

	(void)s;
	for (int i = 0; i < RING && r == 0; i++)
		if (ring[i])
			r = rt_heap_free(&self.heap[0], take(ring[i]));
	return r;
}

static void signals_at_any_instruction(void)
{
	struct actor *a = actor_on_two_cpus(3);

	heapd_start("");
	EXPECT(0, do_create(&a->lane[0], 0, "pool", BYTES, H_FIFO));
	for (int i = 0; i < 3; i++)
		lane_start(&a->lane[i], (struct step){ .run = run_storm, .slot = i, .n = 3000000 / STORY_FACTOR });
	for (int i = 0; i < 3; i++)
		EXPECT(0, lane_result(&a->lane[i]));
	assert_true(atomic_load(&board->count[INTERRUPTED]) > 0);
	EXPECT(0, lane_run(&a->lane[2], (struct step){ .run = run_clear_up }).result);
	expect_used(a, 0);
	assert_int_equal(0, watch_bad_frees("pool"));
	EXPECT(0, do_alloc(&a->lane[0], 0, 0, BYTES, TM_NONBLOCK));
}

/* ---- one makes, one ends ---- */

static int run_make(struct step *s)
{
	for (uint64_t i = 0; i < s->n; i++) {
		uint64_t *p;
		int r = rt_heap_alloc(&self.heap[0], 64, SECONDS(50), (void **)&p);

		if (r)
			return r;
		*p = i;
		while (i - atomic_load(&board->count[TAIL]) >= RING)
			(void)sched_yield();
		ring[i % RING] = p;
		atomic_store(&board->count[HEAD], i + 1);
	}
	return 0;
}

static int run_end(struct step *s)
{
	for (uint64_t i = 0; i < s->n; i++) {
		uint64_t *p;
		int r;

		while (atomic_load(&board->count[HEAD]) == i)
			(void)sched_yield();
		p = ring[i % RING];
		r = *p == i ? rt_heap_free(&self.heap[0], p) : -EIO;
		if (r)
			return r;
		atomic_store(&board->count[TAIL], i + 1);
	}
	return 0;
}

/* Arrays run empty on one CPU and over on the other; also in a heap that is nearly as small as what is under way. */
static void from_cpu_to_cpu(void)
{
	static const size_t sizes[] = { BYTES, 64 * 1024 };
	struct actor *a = actor_on_two_cpus(2);

	heapd_start("");
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t n = 200000 / STORY_FACTOR;

		atomic_store(&board->count[HEAD], 0);
		atomic_store(&board->count[TAIL], 0);
		EXPECT(0, do_create(&a->lane[0], 0, NULL, sizes[i], H_FIFO));
		lane_start(&a->lane[0], (struct step){ .run = run_make, .n = n });
		lane_start(&a->lane[1], (struct step){ .run = run_end, .n = n });
		EXPECT(0, lane_result(&a->lane[0]));
		EXPECT(0, lane_result(&a->lane[1]));
		expect_used(a, 0);
		EXPECT(0, do_alloc(&a->lane[0], 0, 0, sizes[i], TM_NONBLOCK));
		EXPECT(0, do_unbind(&a->lane[0], 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(all_of_a_local_heap),  STORY(all_of_a_named_heap),
		STORY(waiters_come_first),   STORY(recalled),
		STORY(bad_frees),	     STORY(from_cpu_to_cpu),
		STORY(many_descriptors),
		STORY(signals_at_any_instruction),
	};

	return cmocka_run_group_tests_name("story-hands", tests, NULL, NULL);
}
