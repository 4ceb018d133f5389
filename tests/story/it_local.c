/*
 * Story: a heap of one process, and its many threads
 */
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define BYTES (64 * 4096)
#define LIVE 24

/*
 * Takes and frees blocks of random sizes, waiting when the heap is full, and writes its mark over
 * the whole of each: a byte that two threads own shows at the free.
 */
static int run_hammer(struct step *s)
{
	uint64_t seed = (uint64_t)s->slot * 7919 + 1;
	struct {
		uint8_t *p;
		size_t size;
	} live[LIVE] = { { NULL, 0 } };

	for (uint64_t i = 0; i < s->n + LIVE; i++) {
		size_t k = (seed = seed * UINT64_C(6364136223846793005) + 1) >> 33;
		uint8_t mark = (uint8_t)(s->slot + 1);
		int r;

		k = i < s->n ? k % LIVE : i - s->n;
		if (live[k].p) {
			for (size_t b = 0; b < live[k].size; b++)
				if (live[k].p[b] != mark)
					return -EIO;
			r = rt_heap_free(&self.heap[s->heap], live[k].p);
			if (r)
				return r;
			live[k].p = NULL;
		} else if (i < s->n) {
			void *p;

			live[k].size = ((size_t)1 << (4 + (seed >> 40) % 10)) - (seed >> 50) % 8;
			/* a bound on the wait, or threads that each hold much could wait for each
			 * other for ever */
			r = rt_heap_alloc(&self.heap[s->heap], live[k].size, NSEC_PER_MSEC, &p);
			if (r == -ETIMEDOUT)
				continue;
			if (r)
				return r;
			if ((uintptr_t)p % 16)
				return -EFAULT;
			live[k].p = p;
			memset(p, mark, live[k].size);
		}
	}
	return 0;
}

static void hammer(const char *name, size_t size)
{
	struct actor *a = actor_new(7);
	RT_HEAP_INFO info;

	heapd_start("");
	EXPECT(0, do_create(&a->lane[0], 0, name, size, H_PRIO));
	for (int i = 1; i < 7; i++)
		lane_start(
			&a->lane[i],
			(struct step){ .run = run_hammer, .slot = i, .n = 40000 / STORY_FACTOR });
	for (int i = 1; i < 7; i++)
		EXPECT(0, lane_result(&a->lane[i]));
	EXPECT(0, do_inquire(&a->lane[0], 0, &info));
	assert_int_equal(0, info.usedmem);
	assert_int_equal(0, info.nwaiters);
	EXPECT(0, do_alloc(&a->lane[0], 0, 0, size, TM_NONBLOCK));
}

static void many_threads(void)
{
	hammer(NULL, BYTES);
}

static void many_threads_and_little_memory(void)
{
	hammer(NULL, 16 * 4096);
}

static void many_threads_in_a_named_heap(void)
{
	hammer("pool", BYTES);
}

/* Several processes at it, too; recalls and frees cross. */
static void many_threads_of_many_processes(void)
{
	struct actor *a[3];
	RT_HEAP_INFO info;

	heapd_start("");
	for (int i = 0; i < 3; i++) {
		a[i] = actor_new(3);
		EXPECT(0, i ? do_bind(&a[i]->lane[0], 0, "pool") :
			      do_create(&a[i]->lane[0], 0, "pool", BYTES, H_PRIO));
	}
	for (int i = 0; i < 3; i++)
		for (int k = 1; k < 3; k++)
			lane_start(&a[i]->lane[k], (struct step){ .run = run_hammer,
								  .slot = 3 * i + k,
								  .n = 30000 / STORY_FACTOR });
	for (int i = 0; i < 3; i++)
		for (int k = 1; k < 3; k++)
			EXPECT(0, lane_result(&a[i]->lane[k]));
	EXPECT(0, do_inquire(&a[1]->lane[0], 0, &info));
	assert_int_equal(0, info.usedmem);
	assert_int_equal(0, info.nwaiters);
	assert_int_equal(0, watch_parked("pool"));
	assert_int_equal(0, watch_bad_frees("pool"));
	for (int i = 0; i < 3; i++) {
		EXPECT(0, do_alloc(&a[i]->lane[0], 0, 0, BYTES, SECONDS(50)));
		EXPECT(0, do_free(&a[i]->lane[0], 0, 0));
	}
}

static void waiters_are_handed_blocks(void)
{
	struct actor *a = actor_new(5);

	heapd_start("");
	EXPECT(0, do_create(&a->lane[0], 0, NULL, 4096, H_FIFO));
	for (int round = 0; round < 30; round++) {
		EXPECT(0, do_alloc(&a->lane[0], 0, 0, 4096, TM_NONBLOCK));
		for (int i = 1; i < 5; i++) {
			lane_start(&a->lane[i], step_alloc(0, i, 1024, TM_INFINITE));
			until_inquired(&a->lane[0], 0, i);
		}
		EXPECT(0, do_free(&a->lane[0], 0, 0));
		for (int i = 1; i < 5; i++)
			EXPECT(0, lane_result(&a->lane[i]));
		EXPECT(-EWOULDBLOCK, do_alloc(&a->lane[0], 0, 0, 16, TM_NONBLOCK));
		EXPECT(0, free_range(&a->lane[0], 0, 1, 4));
	}
}

static void a_local_heap_is_nobody_elses(void)
{
	struct lane *l = lane_new(), *other = lane_new();

	heapd_start("");
	EXPECT(0, do_create(l, 0, NULL, BYTES, H_FIFO));
	EXPECT(0, do_create(l, 1, "", BYTES, H_FIFO));
	EXPECT(0, do_create(other, 0, "", BYTES, H_FIFO)); /* no name, no clash */
	EXPECT(-EINVAL, do_bind(other, 1, ""));
	EXPECT(-EINVAL, do_bind(other, 1, NULL));
	assert_int_equal(3, watch_stat().heaps);
}

static void it_ends_with_its_process(void)
{
	struct actor *a = actor_new(1), *b = actor_new(1);

	heapd_start("");
	EXPECT(0, do_create(&a->lane[0], 0, NULL, BYTES, H_FIFO));
	EXPECT(0, do_create(&a->lane[0], 1, NULL, BYTES, H_SINGLE));
	EXPECT(0, do_create(&b->lane[0], 0, NULL, BYTES, H_FIFO));
	EXPECT(0, do_alloc(&a->lane[0], 0, 0, 100, TM_NONBLOCK));
	assert_int_equal(3, watch_stat().heaps);
	actor_quit(a);
	UNTIL(watch_stat().heaps == 1);
	actor_kill(b);
	UNTIL(watch_stat().heaps == 0 && watch_stat().bytes == 0);
}

static void it_ends_with_its_last_descriptor(void)
{
	struct lane *l = lane_new();

	heapd_start("");
	EXPECT(0, do_create(l, 0, NULL, BYTES, H_FIFO));
	EXPECT(0, do_create(l, 1, NULL, BYTES, H_SINGLE));
	EXPECT(0, do_alloc(l, 0, 0, 100, TM_NONBLOCK));
	EXPECT(0, do_unbind(l, 0));
	EXPECT(0, do_unbind(l, 1));
	UNTIL(watch_stat().heaps == 0 && watch_stat().bytes == 0);
	EXPECT(-EINVAL, do_alloc(l, 0, 0, 100, TM_NONBLOCK));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(many_threads),
		STORY(many_threads_and_little_memory),
		STORY(many_threads_in_a_named_heap),
		STORY(many_threads_of_many_processes),
		STORY(waiters_are_handed_blocks),
		STORY(a_local_heap_is_nobody_elses),
		STORY(it_ends_with_its_process),
		STORY(it_ends_with_its_last_descriptor),
	};

	return cmocka_run_group_tests_name("local", tests, NULL, NULL);
}
