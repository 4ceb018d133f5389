/*
 * Story: descriptors: copied, stale, invented, many
 */
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define BYTES 16384

/* Every call refuses descriptor h with -EINVAL. */
static void expect_invalid(struct lane *l, int h)
{
	RT_HEAP_INFO info;
	size_t offset;

	EXPECT(-EINVAL, do_alloc(l, h, 20, 64, TM_NONBLOCK));
	EXPECT(-EINVAL, do_alloc(l, h, 20, 64, TM_INFINITE));
	EXPECT(-EINVAL, do_alloc_until(l, h, 20, 64, 0));
	EXPECT(-EINVAL, do_free(l, h, 20));
	EXPECT(-EINVAL, do_inquire(l, h, &info));
	EXPECT(-EINVAL, do_offset(l, h, 20, &offset));
	EXPECT(-EINVAL, do_pointer(l, h, 20, 0));
	EXPECT(-EINVAL, do_delete(l, h));
	EXPECT(-EINVAL, do_unbind(l, h));
}

static int run_copy(struct step *s)
{
	self.heap[s->slot] = self.heap[s->heap];
	return 0;
}

static void copies_are_the_same_descriptor(void)
{
	struct lane *l = lane_new();

	heapd_start("");
	EXPECT(0, do_create(l, 0, "pool", BYTES, H_FIFO));
	EXPECT(0, lane_run(l, (struct step){ .run = run_copy, .heap = 0, .slot = 1 }).result);
	EXPECT(0, do_alloc(l, 1, 0, 64, TM_NONBLOCK));
	EXPECT(0, do_free(l, 0, 0));
	EXPECT(0, do_unbind(l, 1));
	expect_invalid(l, 0);
	expect_invalid(l, 1);
}

static void a_stale_descriptor_stays_stale(void)
{
	struct lane *l = lane_new();

	heapd_start("");
	EXPECT(0, do_create(l, 0, NULL, BYTES, H_FIFO));
	EXPECT(0, do_unbind(l, 0));
	/* whatever reuses its place is not it */
	for (int i = 1; i < 20; i++) {
		EXPECT(0, do_create(l, i, NULL, BYTES, H_FIFO));
		expect_invalid(l, 0);
		if (i % 2)
			EXPECT(0, do_unbind(l, i));
	}
	for (int i = 1; i < 20; i += 2)
		expect_invalid(l, i);
}

static int run_send_heap(struct step *s)
{
	memcpy(s->text, &self.heap[s->heap], sizeof(RT_HEAP));
	return 0;
}

static int run_take_heap(struct step *s)
{
	memcpy(&self.heap[s->heap], s->text, sizeof(RT_HEAP));
	return 0;
}

/* A descriptor means something in its own process only. */
static void descriptors_do_not_travel(void)
{
	struct lane *a = lane_new(), *b = lane_new();
	struct step s;

	heapd_start("");
	EXPECT(0, do_create(a, 0, "pool", BYTES, H_FIFO));
	s = lane_run(a, (struct step){ .run = run_send_heap });
	s.run = run_take_heap;
	EXPECT(0, lane_run(b, s).result);
	expect_invalid(b, 0);
	EXPECT(0, do_bind(b, 1, "pool"));
	EXPECT(0, do_alloc(b, 1, 0, 64, SECONDS(50)));
}

static uint64_t roll(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *seed;
}

/* Every call on memory that never was a descriptor, and on NULL. The values: zero, all ones, near a
 * real one, random. */
static int run_garbage(struct step *s)
{
	uint64_t seed = 42;

	for (uint64_t i = 0; i < s->n; i++) {
		RT_HEAP h = self.heap[0], *p = &h;
		uint8_t *byte = (uint8_t *)&h;
		RT_HEAP_INFO info;
		size_t offset;
		void *block;

		(void)roll(&seed);
		if (i == 0)
			p = NULL;
		else if (i == 1)
			memset(&h, 0, sizeof(h));
		else if (i == 2)
			memset(&h, 0xff, sizeof(h));
		else if (i % 2)
			/* one bit of a real one */
			byte[(seed >> 33) % sizeof(h)] ^= (uint8_t)(1u << (seed >> 60) % 8);
		else
			for (size_t k = 0; k < sizeof(h); k++)
				byte[k] = (uint8_t)(roll(&seed) >> 40);
		if (rt_heap_alloc(p, 64, TM_INFINITE, &block) != -EINVAL || block)
			return -1000;
		if (rt_heap_alloc_until(p, 64, NULL, &block) != -EINVAL || block)
			return -1001;
		if (rt_heap_free(p, &self) != -EINVAL)
			return -1002;
		if (rt_heap_inquire(p, &info) != -EINVAL)
			return -1003;
		if (rt_heap_offset(p, &self, &offset) != -EINVAL)
			return -1004;
		if (rt_heap_pointer(p, 0, &block) != -EINVAL || block)
			return -1005;
		if (rt_heap_delete(p) != -EINVAL)
			return -1006;
		if (rt_heap_unbind(p) != -EINVAL)
			return -1007;
	}
	return 0;
}

static void garbage_is_no_descriptor(void)
{
	struct lane *l = lane_new();

	/* before the library was ever used, and when it has been */
	expect_invalid(l, 0);
	heapd_start("");
	EXPECT(0, do_create(l, 0, "pool", BYTES, H_FIFO));
	EXPECT(0,
	       lane_run(l, (struct step){ .run = run_garbage, .n = 100000 / STORY_FACTOR }).result);
	EXPECT(0, do_alloc(l, 0, 0, BYTES, TM_NONBLOCK));
}

static void unbind_while_waiting(void)
{
	struct actor *a = actor_new(2);

	heapd_start("");
	EXPECT(0, do_create(&a->lane[0], 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_alloc(&a->lane[0], 0, 0, BYTES, TM_NONBLOCK));
	lane_start(&a->lane[1], step_alloc(0, 1, 64, TM_INFINITE));
	until_inquired(&a->lane[0], 0, 1);
	EXPECT(-EBUSY, do_unbind(&a->lane[0], 0));
	EXPECT(0, do_free(&a->lane[0], 0, 0));
	EXPECT(0, lane_result(&a->lane[1]));
	EXPECT(0, do_unbind(&a->lane[0], 0));
}

static void the_last_descriptor_gives_everything_back(void)
{
	struct lane *a = lane_new(), *b = lane_new();

	heapd_start(PATIENT);
	EXPECT(0, do_create(a, 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_bind(a, 1, "pool"));
	EXPECT(0, do_bind(a, 2, "pool"));
	EXPECT(0, do_bind(b, 0, "pool"));
	assert_int_equal(2, watch_bound("pool"));
	EXPECT(0, do_alloc(a, 0, 0, BYTES, TM_NONBLOCK));
	EXPECT(0, do_unbind(a, 0));
	expect_invalid(a, 0);
	EXPECT(0, do_unbind(a, 2));
	EXPECT(0, check_block(a, 0, 0, BYTES));
	EXPECT(-EWOULDBLOCK, do_alloc(b, 0, 0, 16, TM_NONBLOCK));
	EXPECT(0, do_unbind(a, 1));
	assert_int_equal(1, watch_bound("pool"));
	EXPECT(0, do_alloc(b, 0, 0, BYTES, TM_NONBLOCK));

	/* and it may come back */
	EXPECT(0, do_free(b, 0, 0));
	EXPECT(0, do_bind(a, 0, "pool"));
	EXPECT(0, do_alloc(a, 0, 0, BYTES, TM_NONBLOCK));
}

/* A heap lives on without anybody bound to it. */
static void a_named_heap_needs_no_descriptor(void)
{
	struct lane *a = lane_new();

	heapd_start("");
	for (int i = 0; i < 20; i++) {
		EXPECT(i ? -EEXIST : 0, do_create(a, 0, "pool", BYTES, H_FIFO));
		if (i)
			EXPECT(0, do_bind(a, 0, "pool"));
		EXPECT(0, do_alloc(a, 0, 0, BYTES, TM_NONBLOCK));
		EXPECT(0, do_unbind(a, 0));
		assert_int_equal(0, watch_bound("pool"));
		assert_int_equal(0, watch_granted("pool"));
	}
}

/* Two threads bind and unbind the same name without pause: each gets a descriptor that works. */
static int run_bind_unbind(struct step *s)
{
	for (uint64_t i = 0; i < s->n; i++) {
		RT_HEAP heap;
		void *block;
		int r = rt_heap_bind(&heap, "pool");

		if (r == 0)
			r = rt_heap_alloc(&heap, 512, SECONDS(50), &block);
		if (r == 0) {
			memset(block, 1, 512);
			r = rt_heap_free(&heap, block);
		}
		/* the other thread waits in it */
		while (r == 0 && (r = rt_heap_unbind(&heap)) == -EBUSY)
			r = 0;
		if (r)
			return r;
	}
	return 0;
}

static void binding_races_with_unbinding(void)
{
	struct actor *a = actor_new(3);

	heapd_start("");
	EXPECT(0, do_create(lane_new(), 0, "pool", BYTES, H_FIFO));
	for (int i = 0; i < 3; i++)
		lane_start(&a->lane[i],
			   (struct step){ .run = run_bind_unbind, .n = 1000 / STORY_FACTOR });
	for (int i = 0; i < 3; i++)
		EXPECT(0, lane_result(&a->lane[i]));
	UNTIL(watch_bound("pool") == 1);
}

/* As many as there is room for, then -ENOMEM, and all can be given back. */
static int run_fill(struct step *s)
{
	static RT_HEAP heap[70000];
	size_t n = 0;
	int r = 0;

	while (n < ARRAY_SIZE(heap) && (r = rt_heap_bind(&heap[n], "pool")) == 0)
		n++;
	s->value = n;
	for (size_t i = 0; i < n; i++)
		if (rt_heap_unbind(&heap[i]))
			return -EBADF;
	return r;
}

static void as_many_as_there_are(void)
{
	struct lane *l = lane_new();
	struct step s;

	heapd_start("");
	EXPECT(0, do_create(l, 0, "pool", BYTES, H_FIFO));
	for (int i = 0; i < 2; i++) {
		s = lane_run(l, (struct step){ .run = run_fill });
		EXPECT(-ENOMEM, s.result);
		assert_int_equal(65536 - 1, s.value);
	}
	EXPECT(0, do_alloc(l, 0, 0, BYTES, TM_NONBLOCK));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(copies_are_the_same_descriptor),
		STORY(a_stale_descriptor_stays_stale),
		STORY(descriptors_do_not_travel),
		STORY(garbage_is_no_descriptor),
		STORY(unbind_while_waiting),
		STORY(the_last_descriptor_gives_everything_back),
		STORY(a_named_heap_needs_no_descriptor),
		STORY(binding_races_with_unbinding),
		STORY(as_many_as_there_are),
	};

	return cmocka_run_group_tests_name("descriptors", tests, NULL, NULL);
}
