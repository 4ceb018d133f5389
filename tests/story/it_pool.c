/*
 * Story: several processes draw blocks from one named heap, and free each other's
 */
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define KIB16 16384

/* Exactly n blocks of size, no more; then all are given back. */
static void expect_capacity(struct lane *l, size_t size, int n)
{
	struct step s = take_all(l, 0, 0, size, n + 1);

	assert_int_equal(n, s.result);
	assert_int_equal(EWOULDBLOCK, s.value);
	for (int i = 0; i < n; i++)
		EXPECT(0, check_block(l, i, i, size));
	EXPECT(0, free_range(l, 0, 0, n));
}

static void capacity_is_exact(void)
{
	static const struct {
		size_t size;
		int n;
	} row[] = {
		{ 8192, 2 },  { 4096, 4 }, { 16384, 1 }, { 2048, 8 }, { 512, 32 }, { 64, 256 },
		{ 16, 1024 }, { 1, 1024 }, { 100, 128 }, { 5000, 3 }, { 8192, 2 }, { 4096, 4 }
	};
	struct lane *l = lane_new();
	RT_HEAP_INFO info;

	heapd_start(PATIENT);
	EXPECT(0, do_create(l, 0, "pool", KIB16, H_FIFO));
	for (size_t i = 0; i < ARRAY_SIZE(row); i++)
		expect_capacity(l, row[i].size, row[i].n);
	EXPECT(0, do_inquire(l, 0, &info));
	assert_int_equal(KIB16, info.usablemem);
	assert_int_equal(0, info.usedmem);
}

static void capacity_is_exact_over_all_processes(void)
{
	struct lane *l[3] = { lane_new(), lane_new(), lane_new() };
	RT_HEAP_INFO info;

	heapd_start(PATIENT);
	EXPECT(0, do_create(l[0], 0, "pool", KIB16, H_FIFO));
	EXPECT(0, do_bind(l[1], 0, "pool"));
	EXPECT(0, do_bind(l[2], 0, "pool"));
	/* two of 8192 */
	EXPECT(0, do_alloc(l[1], 0, 1, 8192, TM_NONBLOCK));
	EXPECT(0, do_alloc(l[2], 0, 2, 8192, TM_NONBLOCK));
	EXPECT(-EWOULDBLOCK, do_alloc(l[0], 0, 9, 1, TM_NONBLOCK));
	EXPECT(0, do_free(l[1], 0, 1));
	EXPECT(0, do_free(l[2], 0, 2));
	for (int round = 0; round < 5; round++) {
		/* four of 4096, whoever takes them */
		for (int i = 0; i < 4; i++)
			EXPECT(0, do_alloc(l[(i + round) % 3], 0, i, 4096, TM_NONBLOCK));
		for (int i = 0; i < 3; i++) {
			EXPECT(-EWOULDBLOCK, do_alloc(l[i], 0, 9, 1, TM_NONBLOCK));
			EXPECT(0, do_inquire(l[i], 0, &info));
			assert_int_equal(KIB16, info.usedmem);
		}
		for (int i = 0; i < 4; i++) {
			EXPECT(0, check_block(l[(i + round) % 3], i, i, 4096));
			EXPECT(0, do_free(l[(i + round) % 3], 0, i));
		}
		/* all in one, whoever has the pages now */
		EXPECT(0, do_alloc(l[round % 3], 0, 3, KIB16, TM_NONBLOCK));
		EXPECT(0, do_free(l[round % 3], 0, 3));
	}
}

static void a_block_lies_at_one_offset_for_all(void)
{
	struct lane *a = lane_new(), *b = lane_new();
	size_t offset;

	heapd_start(PATIENT);
	EXPECT(0, do_create(a, 0, "pool", KIB16, H_FIFO));
	EXPECT(0, do_bind(b, 0, "pool"));
	EXPECT(0, do_alloc(a, 0, 3, 700, TM_NONBLOCK));
	EXPECT(0, do_offset(a, 0, 3, &offset));
	EXPECT(0, do_pointer(b, 0, 1, offset));
	EXPECT(0, check_block(b, 1, 3, 700));
	EXPECT(0, put_text(b, 1, 690, "ninebytes"));
	assert_string_equal("ninebytes", get_text(a, 3, 690).text);
}

static void another_process_frees(void)
{
	struct lane *a = lane_new(), *b = lane_new();
	size_t offset;
	RT_HEAP_INFO info;

	heapd_start(PATIENT);
	EXPECT(0, do_create(a, 0, "pool", KIB16, H_FIFO));
	EXPECT(0, do_bind(b, 0, "pool"));
	for (int i = 0; i < 20; i++) {
		EXPECT(0, do_alloc(a, 0, 0, KIB16, TM_NONBLOCK));
		EXPECT(0, do_offset(a, 0, 0, &offset));
		EXPECT(0, do_pointer(b, 0, 0, offset));
		EXPECT(0, do_free(b, 0, 0));
		do
			EXPECT(0, do_inquire(a, 0, &info));
		while (info.usedmem != 0);
	}
	assert_int_equal(0, watch_bad_frees("pool"));
}

static void another_process_frees_and_a_waiter_goes_on(void)
{
	struct actor *a = actor_new(2);
	struct lane *b = lane_new();
	size_t offset;

	heapd_start(PATIENT);
	EXPECT(0, do_create(&a->lane[0], 0, "pool", KIB16, H_FIFO));
	EXPECT(0, do_bind(b, 0, "pool"));
	EXPECT(0, do_alloc(&a->lane[0], 0, 0, 8192, TM_NONBLOCK));
	EXPECT(0, do_alloc(&a->lane[0], 0, 1, 8192, TM_NONBLOCK));
	lane_start(&a->lane[1], step_alloc(0, 2, 8192, TM_INFINITE));
	until_inquired(b, 0, 1);
	EXPECT(0, do_offset(&a->lane[0], 0, 0, &offset));
	EXPECT(0, do_pointer(b, 0, 0, offset));
	EXPECT(0, do_free(b, 0, 0));
	EXPECT(0, lane_result(&a->lane[1]));
	EXPECT(0, check_block(&a->lane[0], 1, 1, 8192));
	until_inquired(b, 0, 0);
}

static void bad_frees_of_others_blocks_change_nothing(void)
{
	struct lane *a = lane_new(), *b = lane_new();
	RT_HEAP_INFO info;
	size_t offset;
	int r;

	heapd_start(PATIENT);
	EXPECT(0, do_create(a, 0, "pool", KIB16, H_FIFO));
	EXPECT(0, do_bind(b, 0, "pool"));
	EXPECT(0, do_alloc(a, 0, 0, 1024, TM_NONBLOCK));
	EXPECT(0, do_offset(a, 0, 0, &offset));

	/* not the start of a block: believed on the way, refused at its owner */
	EXPECT(0, do_pointer(b, 0, 0, offset + 16));
	EXPECT(0, do_free(b, 0, 0));
	UNTIL(watch_bad_frees("pool") == 1);
	EXPECT(0, do_inquire(a, 0, &info));
	assert_int_equal(1024, info.usedmem);
	EXPECT(0, check_block(a, 0, 0, 1024));

	/* twice */
	EXPECT(0, do_pointer(b, 0, 0, offset));
	EXPECT(0, do_free(b, 0, 0));
	EXPECT(0, do_free(b, 0, 0));
	UNTIL(watch_bad_frees("pool") == 2);
	r = do_free(a, 0, 0); /* 0: its page is b's by now, ahead of need, and it is refused there */
	assert_true(r == -EINVAL || r == 0);
	UNTIL(watch_bad_frees("pool") == 3);
	EXPECT(0, do_inquire(a, 0, &info));
	assert_int_equal(0, info.usedmem);
	EXPECT(0, do_alloc(a, 0, 1, KIB16, TM_NONBLOCK));
}

static void a_free_in_pages_of_nobody_is_refused(void)
{
	struct actor *dead = actor_new(1);
	struct lane *a = lane_new();
	size_t offset;

	heapd_start(PATIENT);
	EXPECT(0, do_create(&dead->lane[0], 0, "pool", KIB16, H_FIFO));
	EXPECT(0, do_alloc(&dead->lane[0], 0, 0, 4096, TM_NONBLOCK));
	EXPECT(0, do_offset(&dead->lane[0], 0, 0, &offset));
	actor_kill(dead);
	UNTIL(watch_granted("pool") == 0);
	EXPECT(0, do_bind(a, 0, "pool")); /* now everything is a's, and free */
	EXPECT(0, do_pointer(a, 0, 0, offset));
	EXPECT(-EINVAL, do_free(a, 0, 0));
	EXPECT(0, do_alloc(a, 0, 0, KIB16, TM_NONBLOCK));
}

static void blocks_die_with_their_process(void)
{
	struct actor *a = actor_new(1), *b = actor_new(1);
	struct lane *c = lane_new();

	heapd_start(PATIENT);
	EXPECT(0, do_create(&a->lane[0], 0, "pool", KIB16, H_FIFO));
	EXPECT(0, do_bind(&b->lane[0], 0, "pool"));
	EXPECT(0, do_bind(c, 0, "pool"));
	EXPECT(0, do_alloc(&a->lane[0], 0, 0, 4096, TM_NONBLOCK));
	EXPECT(0, do_alloc(&b->lane[0], 0, 0, 4096, TM_NONBLOCK));
	EXPECT(-EWOULDBLOCK, do_alloc(c, 0, 0, KIB16, TM_NONBLOCK));
	actor_quit(a);
	UNTIL(watch_bound("pool") == 2);
	EXPECT(-EWOULDBLOCK, do_alloc(c, 0, 0, KIB16, TM_NONBLOCK));
	EXPECT(0, do_unbind(&b->lane[0], 0));
	EXPECT(0, do_alloc(c, 0, 0, KIB16, TM_NONBLOCK));
}

static void use_is_the_sum_over_processes(void)
{
	struct lane *a = lane_new(), *b = lane_new();
	RT_HEAP_INFO info;

	heapd_start(PATIENT);
	EXPECT(0, do_create(a, 0, "pool", KIB16, H_PRIO));
	EXPECT(0, do_bind(b, 0, "pool"));
	EXPECT(0, do_alloc(a, 0, 0, 100, TM_NONBLOCK));  /* 128 */
	EXPECT(0, do_alloc(b, 0, 0, 5000, TM_NONBLOCK)); /* ten pages of 512 */
	EXPECT(0, do_inquire(a, 0, &info));
	assert_int_equal(128 + 5120, info.usedmem);
	assert_int_equal(H_PRIO, info.mode);
	assert_string_equal("pool", info.name);
	EXPECT(0, do_free(b, 0, 0));
	EXPECT(0, do_inquire(a, 0, &info));
	assert_int_equal(128, info.usedmem);

	/* large heaps have pages of 4096 */
	EXPECT(0, do_create(a, 1, "large", 1 << 20, H_FIFO));
	EXPECT(0, do_alloc(a, 1, 1, 5000, TM_NONBLOCK));
	EXPECT(0, do_alloc(a, 1, 2, 2049, TM_NONBLOCK));
	EXPECT(0, do_inquire(a, 1, &info));
	assert_int_equal(8192 + 4096, info.usedmem);
	assert_int_equal(1 << 20, info.usablemem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(capacity_is_exact),
		STORY(capacity_is_exact_over_all_processes),
		STORY(a_block_lies_at_one_offset_for_all),
		STORY(another_process_frees),
		STORY(another_process_frees_and_a_waiter_goes_on),
		STORY(bad_frees_of_others_blocks_change_nothing),
		STORY(a_free_in_pages_of_nobody_is_refused),
		STORY(blocks_die_with_their_process),
		STORY(use_is_the_sum_over_processes),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
