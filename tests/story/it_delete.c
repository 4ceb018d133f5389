/*
 * Story: a heap is deleted while it is in use everywhere
 */
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define BYTES 16384

/* All that a descriptor of a deleted heap can still do. */
static void expect_removed(struct lane *l, int heap)
{
	RT_HEAP_INFO info;
	size_t offset;

	EXPECT(-EIDRM, do_alloc(l, heap, 20, 64, TM_NONBLOCK));
	EXPECT(-EIDRM, do_alloc(l, heap, 20, 64, TM_INFINITE));
	EXPECT(-EIDRM, do_alloc(l, heap, 20, 64, MS(10)));
	EXPECT(-EIDRM, do_alloc_until(l, heap, 20, 64, 0));
	EXPECT(-EIDRM, do_free(l, heap, 0));
	EXPECT(-EIDRM, do_inquire(l, heap, &info));
	EXPECT(-EIDRM, do_offset(l, heap, 0, &offset));
	EXPECT(-EIDRM, do_pointer(l, heap, 20, 0));
	EXPECT(-EIDRM, do_delete(l, heap));
}

static void all_waiters_return(void)
{
	struct actor *a[3];

	heapd_start(PATIENT);
	for (int i = 0; i < 3; i++) {
		a[i] = actor_new(4);
		if (i == 0)
			EXPECT(0, do_create(&a[0]->lane[0], 0, "doomed", BYTES, H_PRIO));
		else
			EXPECT(0, do_bind(&a[i]->lane[0], 0, "doomed"));
	}
	EXPECT(0, do_alloc(&a[1]->lane[0], 0, 0, BYTES / 2, TM_NONBLOCK));
	EXPECT(0, do_alloc(&a[2]->lane[0], 0, 0, BYTES / 2, TM_NONBLOCK));
	for (int i = 0; i < 3; i++)
		for (int k = 1; k < 4; k++) /* of all kinds */
			lane_start(
				&a[i]->lane[k],
				k == 1	 ? step_alloc(0, k, 64, TM_INFINITE)
				: k == 2 ? step_alloc(0, k, 8192, SECONDS(1000))
					 : step_alloc_until(0, k, BYTES, now_ns() + SECONDS(1000)));
	until_inquired(&a[1]->lane[0], 0, 9);
	EXPECT(0, do_delete(&a[0]->lane[0], 0));
	for (int i = 0; i < 3; i++)
		for (int k = 1; k < 4; k++)
			EXPECT(-EIDRM, lane_result(&a[i]->lane[k]));
	assert_false(watch_exists("doomed"));
}

static void later_calls_are_told(void)
{
	struct lane *a = lane_new(), *b = lane_new();

	heapd_start(PATIENT);
	EXPECT(0, do_create(a, 0, "doomed", BYTES, H_FIFO));
	EXPECT(0, do_bind(b, 0, "doomed"));
	EXPECT(0, do_bind(b, 1, "doomed"));
	EXPECT(0, do_alloc(a, 0, 0, 100, TM_NONBLOCK));
	EXPECT(0, do_alloc(b, 0, 0, 100, TM_NONBLOCK));
	EXPECT(0, do_delete(a, 0));
	/* from the very moment that delete has returned, in every process */
	expect_removed(b, 0);
	expect_removed(b, 1);
	expect_removed(a, 0);
	EXPECT(0, do_unbind(a, 0));
	EXPECT(-EINVAL, do_unbind(a, 0));
	EXPECT(0, do_unbind(b, 0));
	expect_removed(b, 1);
	EXPECT(0, do_unbind(b, 1));
}

static void mappings_stay(void)
{
	struct lane *a = lane_new(), *b = lane_new();

	heapd_start(PATIENT);
	EXPECT(0, do_create(a, 0, "doomed", BYTES, H_SHARED));
	EXPECT(0, do_bind(b, 0, "doomed"));
	EXPECT(0, do_alloc(a, 0, 3, BYTES, TM_NONBLOCK));
	EXPECT(0, do_alloc(b, 0, 0, 0, TM_NONBLOCK));
	EXPECT(0, do_create(a, 1, "doomed-too", BYTES, H_FIFO));
	EXPECT(0, do_alloc(a, 1, 4, 3000, TM_NONBLOCK));
	EXPECT(0, do_delete(b, 0));
	EXPECT(0, do_delete(a, 1));
	UNTIL(!watch_exists("doomed") && !watch_exists("doomed-too"));

	/* what was there can be read, and written, by all who had it mapped */
	EXPECT(0, check_block(a, 3, 3, BYTES));
	EXPECT(0, check_block(b, 0, 3, BYTES));
	EXPECT(0, put_text(b, 0, 5000, "still shared"));
	assert_string_equal("still shared", get_text(a, 3, 5000).text);
	EXPECT(0, check_block(a, 4, 4, 3000));
}

static void the_name_is_free_at_once(void)
{
	struct lane *a = lane_new(), *b = lane_new();
	RT_HEAP_INFO info;

	heapd_start(PATIENT);
	for (int i = 0; i < 20; i++) {
		EXPECT(0, do_create(a, 0, "phoenix", BYTES + 4096 * (size_t)i, H_FIFO));
		EXPECT(0, do_bind_timed(b, 0, "phoenix", TM_NONBLOCK));
		EXPECT(0, do_alloc(a, 0, 0, 64, TM_NONBLOCK));
		EXPECT(0, do_alloc(b, 0, 0, 64, TM_NONBLOCK));
		EXPECT(0, do_inquire(b, 0, &info));
		assert_int_equal(BYTES + 4096 * i, info.heapsize);
		EXPECT(0, do_delete(i % 2 ? a : b, 0));
		EXPECT(-EWOULDBLOCK, do_bind_timed(b, 1, "phoenix", TM_NONBLOCK));

		/* the next one is another heap, and the old descriptors know */
		EXPECT(0, do_create(a, 1, "phoenix", BYTES, H_SHARED));
		expect_removed(a, 0);
		expect_removed(b, 0);
		EXPECT(0, do_alloc(a, 1, 1, 0, TM_NONBLOCK));
		EXPECT(0, do_delete(a, 1));
		EXPECT(0, do_unbind(a, 1));
		EXPECT(0, do_unbind(a, 0));
		EXPECT(0, do_unbind(b, 0));
	}
}

static void memory_comes_back_with_the_last_binding(void)
{
	struct lane *a = lane_new(), *b = lane_new();

	heapd_start(PATIENT);
	EXPECT(0, do_create(a, 0, "doomed", 1 << 20, H_FIFO));
	EXPECT(0, do_bind(b, 0, "doomed"));
	assert_int_equal(1 << 20, watch_stat().bytes);
	EXPECT(0, do_delete(a, 0));
	EXPECT(0, do_unbind(a, 0));
	EXPECT(0, do_unbind(b, 0));
	UNTIL(watch_stat().bytes == 0 && watch_stat().heaps == 0);
}

static void a_local_heap_too(void)
{
	struct actor *a = actor_new(3);

	heapd_start(PATIENT);
	EXPECT(0, do_create(&a->lane[0], 0, NULL, BYTES, H_FIFO));
	EXPECT(0, do_alloc(&a->lane[0], 0, 0, BYTES, TM_NONBLOCK));
	lane_start(&a->lane[1], step_alloc(0, 1, 64, TM_INFINITE));
	lane_start(&a->lane[2], step_alloc(0, 2, 64, SECONDS(1000)));
	until_inquired(&a->lane[0], 0, 2);
	EXPECT(0, do_delete(&a->lane[0], 0));
	EXPECT(-EIDRM, lane_result(&a->lane[1]));
	EXPECT(-EIDRM, lane_result(&a->lane[2]));
	EXPECT(0, check_block(&a->lane[0], 0, 0, BYTES));
	expect_removed(&a->lane[0], 0);
	EXPECT(0, do_unbind(&a->lane[0], 0));
	UNTIL(watch_stat().heaps == 0);
}

/* Somebody who allocates and frees without pause learns of it, and of nothing worse. */
static int run_until_error(struct step *s)
{
	(void)s;
	for (;;) {
		void *block;
		int r = rt_heap_alloc(&self.heap[0], 64, TM_INFINITE, &block);

		if (r == 0) {
			*(volatile char *)block = 1;
			r = rt_heap_free(&self.heap[0], block);
		}
		if (r)
			return r;
		atomic_fetch_add(&board->count[0], 1);
	}
}

static void deletion_in_the_middle_of_work(void)
{
	heapd_start(PATIENT);
	for (int round = 0; round < 10; round++) {
		struct actor *a = actor_new(3), *b = actor_new(2);

		EXPECT(0, do_create(&a->lane[0], 0, "busy", BYTES, H_FIFO));
		EXPECT(0, do_bind(&b->lane[0], 0, "busy"));
		atomic_store(&board->count[0], 0);
		lane_start(&a->lane[1], (struct step){ .run = run_until_error });
		lane_start(&a->lane[2], (struct step){ .run = run_until_error });
		lane_start(&b->lane[0], (struct step){ .run = run_until_error });
		lane_start(&b->lane[1], (struct step){ .run = run_until_error });
		UNTIL(atomic_load(&board->count[0]) > 1000);
		EXPECT(0, do_delete(&a->lane[0], 0));
		EXPECT(-EIDRM, lane_result(&a->lane[1]));
		EXPECT(-EIDRM, lane_result(&a->lane[2]));
		EXPECT(-EIDRM, lane_result(&b->lane[0]));
		EXPECT(-EIDRM, lane_result(&b->lane[1]));
		actor_quit(a);
		actor_quit(b);
	}
	UNTIL(watch_stat().heaps == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(all_waiters_return),
		STORY(later_calls_are_told),
		STORY(mappings_stay),
		STORY(the_name_is_free_at_once),
		STORY(memory_comes_back_with_the_last_binding),
		STORY(a_local_heap_too),
		STORY(deletion_in_the_middle_of_work),
	};

	return cmocka_run_group_tests_name("delete", tests, NULL, NULL);
}
