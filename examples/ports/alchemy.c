/*
 * alchemy.c: every way to wait for memory, and a single-block heap, as a source for Xenomai 3's
 * Alchemy has it
 *
 * Tasks are threads here, and rt_timer_read() is clock_gettime(CLOCK_MONOTONIC), which is the
 * clock it read there.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <alchemy/heap.h>

#define ONE_MS 1000000ULL
#define A_MINUTE (60 * 1000 * ONE_MS)

static RT_HEAP heap;

static void check(int err, const char *what)
{
	if (err) {
		fprintf(stderr, "%s: %s\n", what, strerror(-err));
		exit(1);
	}
}

static const char *word(int err)
{
	return err == 0		     ? "given"
	       : err == -EWOULDBLOCK ? "EWOULDBLOCK"
	       : err == -ETIMEDOUT   ? "ETIMEDOUT"
				     : strerror(-err);
}

static RTIME now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (RTIME)ts.tv_sec * 1000000000ULL + (RTIME)ts.tv_nsec;
}

static struct timespec at(RTIME date)
{
	struct timespec ts = {.tv_sec = (time_t)(date / 1000000000ULL),
			      .tv_nsec = (long)(date % 1000000000ULL)};

	return ts;
}

/* On a heap with nothing free. */
static void refused(void)
{
	struct timespec zero = {0, 0}, past = {0, 1}, soon = at(now() + ONE_MS);
	void *p;

	printf("full, timed, {0, 0}: %s\n", word(rt_heap_alloc_timed(&heap, 4096, &zero, &p)));
	printf("full, timed, a time that has passed: %s\n",
	       word(rt_heap_alloc_timed(&heap, 4096, &past, &p)));
	printf("full, timed, in a millisecond: %s\n",
	       word(rt_heap_alloc_timed(&heap, 4096, &soon, &p)));
	printf("full, until, TM_NONBLOCK: %s\n",
	       word(rt_heap_alloc_until(&heap, 4096, TM_NONBLOCK, &p)));
	printf("full, until, in a millisecond: %s\n",
	       word(rt_heap_alloc_until(&heap, 4096, now() + ONE_MS, &p)));
	printf("full, for a millisecond: %s\n", word(rt_heap_alloc(&heap, 4096, ONE_MS, &p)));
}

/* Frees what it is given once somebody waits for memory. */
static void *helper(void *block)
{
	RT_HEAP_INFO info;

	do {
		check(rt_heap_inquire(&heap, &info), "rt_heap_inquire");
	} while (info.nwaiters == 0);
	check(rt_heap_free(&heap, block), "rt_heap_free");
	return NULL;
}

/* One block goes to and fro: the helper frees it while the main task waits in the given way. */
static void served(void *block, int way)
{
	static const char *const ways[] = {"timed, NULL", "timed, in a minute",
					   "until, TM_INFINITE", "until, in a minute",
					   "for a minute"};
	struct timespec later = at(now() + A_MINUTE);
	pthread_t task;
	void *p;
	int err;

	if (pthread_create(&task, NULL, helper, block) != 0)
		exit(1);
	switch (way) {
	case 0:
		err = rt_heap_alloc_timed(&heap, 4096, NULL, &p);
		break;
	case 1:
		err = rt_heap_alloc_timed(&heap, 4096, &later, &p);
		break;
	case 2:
		err = rt_heap_alloc_until(&heap, 4096, RT_TIME_INFINITE, &p);
		break;
	case 3:
		err = rt_heap_alloc_until(&heap, 4096, now() + A_MINUTE, &p);
		break;
	default:
		err = rt_heap_alloc(&heap, 4096, A_MINUTE, &p);
		break;
	}
	pthread_join(task, NULL);
	printf("freed while waiting, %s: %s, the same block: %s\n", ways[way], word(err),
	       p == block ? "yes" : "no");
}

static void single_block(void)
{
	RT_HEAP other, again;
	void *p, *q;

	check(rt_heap_create(&other, "area", 10000, H_SINGLE), "rt_heap_create");
	check(rt_heap_bind(&again, "area", TM_NONBLOCK), "rt_heap_bind");
	check(rt_heap_alloc(&other, 0, TM_NONBLOCK, &p), "rt_heap_alloc");
	strcpy(p, "written through one descriptor");
	check(rt_heap_alloc(&again, 10000, TM_NONBLOCK, &q), "rt_heap_alloc");
	printf("single block: %s, read through another\n", (char *)q);
	check(rt_heap_unbind(&again), "rt_heap_unbind");
	check(rt_heap_delete(&other), "rt_heap_delete");
	printf("single block, bound after it was deleted: %s\n",
	       word(rt_heap_bind(&again, "area", ONE_MS)));
}

int main(void)
{
	void *block;

	check(rt_heap_create(&heap, NULL, 4096, H_PRIO), "rt_heap_create");
	check(rt_heap_alloc(&heap, 4096, TM_NONBLOCK, &block), "rt_heap_alloc");
	refused();
	for (int way = 0; way < 5; way++)
		served(block, way);
	check(rt_heap_free(&heap, block), "rt_heap_free");
	single_block();
	check(rt_heap_delete(&heap), "rt_heap_delete");
	return 0;
}
