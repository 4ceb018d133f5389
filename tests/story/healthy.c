/*
 * healthy.c: the good peer
 */
#include "tests/story/healthy.h"

#include "tests/story/raw.h"
#include "tests/story/steps.h"

static struct actor *healthy;
static size_t fds_before;
uint64_t healthy_dropped;

/* Its second thread allocates, frees and inquires until it is told to stop. */
static int run_healthy(struct step *s)
{
	(void)s;
	while (!atomic_load(&board->count[1])) {
		RT_HEAP_INFO info;
		void *block;
		int r = rt_heap_alloc(&self.heap[0], 40000, SECONDS(50), &block);

		if (r == 0) {
			memset(block, 7, 40000);
			r = rt_heap_free(&self.heap[0], block);
		}
		if (r == 0)
			r = rt_heap_inquire(&self.heap[0], &info);
		if (r)
			return r;
		atomic_fetch_add(&board->count[0], 1);
	}
	return 0;
}

void healthy_begin(void)
{
	healthy = actor_new(2);
	log_allow("dropped");
	heapd_start("");
	EXPECT(0, do_create(&healthy->lane[0], 0, "pool", HEALTHY_BYTES, H_FIFO));
	healthy_dropped = watch_stat().dropped;
	fds_before = heapd_fds();
	lane_start(&healthy->lane[1], (struct step){ .run = run_healthy });
}

void still_healthy(void)
{
	uint64_t n = atomic_load(&board->count[0]);

	UNTIL(atomic_load(&board->count[0]) > n + 10);
	assert_false(lane_done(&healthy->lane[1]));
}

void healthy_end(void)
{
	still_healthy();
	atomic_store(&board->count[1], 1);
	EXPECT(0, lane_result(&healthy->lane[1]));
	UNTIL(watch_stat().sessions == 2 && heapd_fds() == fds_before);
	assert_int_equal(1, watch_bound("pool"));
	EXPECT(0, do_alloc(&healthy->lane[0], 0, 0, HEALTHY_BYTES, TM_NONBLOCK));
}

struct lane *healthy_lane(void)
{
	return &healthy->lane[0];
}
