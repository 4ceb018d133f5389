/*
 * Story: every error that an argument alone provokes, and that nothing changes by it
 *
 * (Errors that need more than an argument have stories of their own: limits, access, absent,
 * delete, timeout, signal, fork.)
 */
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define BYTES 16384
#define NAME63 "a23456789.b23456789.c23456789.d23456789.e23456789.f23456789.g23"

/* Names that no heap can have: create, bind and timed bind agree on why. */
static void bad_names(void)
{
	static const struct {
		const char *name;
		int wanted;
	} row[] = {
		{ "a/b", -EINVAL },
		{ "/", -EINVAL },
		{ "a b", -EINVAL },
		{ " ", -EINVAL },
		{ "tab\t", -EINVAL },
		{ "line\n", -EINVAL },
		{ "\x7f", -EINVAL },
		{ "\xc3\xa4", -EINVAL },
		{ "bell\a", -EINVAL },
		{ NAME63 "4", -ENAMETOOLONG },
		{ NAME63 NAME63, -ENAMETOOLONG },
	};
	struct lane *l = lane_new();

	heapd_start("");
	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		EXPECT(row[i].wanted, do_create(l, 0, row[i].name, BYTES, H_FIFO));
		EXPECT(row[i].wanted, do_bind(l, 0, row[i].name));
		EXPECT(row[i].wanted, do_bind_timed(l, 0, row[i].name, TM_NONBLOCK));
		EXPECT(row[i].wanted, do_bind_timed(l, 0, row[i].name, TM_INFINITE));
	}
	EXPECT(-EINVAL, do_bind(l, 0, NULL));
	EXPECT(-EINVAL, do_bind(l, 0, ""));
	EXPECT(-EINVAL, do_bind_timed(l, 0, NULL, MS(1)));
	EXPECT(-EINVAL, do_bind_timed(l, 0, "", TM_NONBLOCK));
	assert_int_equal(0, watch_stat().heaps);
}

static void good_names(void)
{
	static const char *const name[] = {
		"a", NAME63, "~!@#$%^&*()_+", "..", ".", "-", "A", "\"quoted\"", "%s%n",
	};
	struct lane *a = lane_new(), *b = lane_new();
	RT_HEAP_INFO info;

	assert_int_equal(63, strlen(NAME63));
	heapd_start("");
	for (int i = 0; i < (int)ARRAY_SIZE(name); i++) {
		EXPECT(0, do_create(a, i, name[i], BYTES, H_FIFO));
		EXPECT(-EEXIST, do_create(b, i, name[i], BYTES, H_FIFO));
		EXPECT(-EEXIST, do_create(a, 60, name[i], 2 * BYTES, H_SHARED));
		EXPECT(0, do_bind(b, i, name[i]));
		EXPECT(0, do_inquire(b, i, &info));
		assert_string_equal(name[i], info.name);
	}
	assert_int_equal(ARRAY_SIZE(name), watch_stat().heaps);
}

static void bad_sizes_and_modes(void)
{
	static const int mode[] = {
		0x2, 0x4, 0x10, 0x80, 0x1000, 0x40000000, -1, INT32_MIN, H_MAPPABLE,
		H_MAPPABLE | H_PRIO, H_SHARED | 0x1000,
	};
	struct lane *l = lane_new();

	heapd_start("");
	EXPECT(-EINVAL, do_create(l, 0, "x", 0, H_FIFO));
	EXPECT(-EINVAL, do_create(l, 0, NULL, 0, H_SINGLE));
	EXPECT(-EINVAL, do_create(l, 0, "x", (size_t)1 << 60, H_FIFO));
	EXPECT(-EINVAL, do_create(l, 0, "x", SIZE_MAX, H_SHARED));
	for (size_t i = 0; i < ARRAY_SIZE(mode); i++)
		EXPECT(-EINVAL, do_create(l, 0, "x", BYTES, mode[i]));
	EXPECT(-EINVAL, do_create(l, 0, NULL, BYTES, H_SHARED));
	EXPECT(-EINVAL, do_create(l, 0, "", BYTES, H_SHARED));
	EXPECT(-EOPNOTSUPP, do_create(l, 0, "x", BYTES, H_DMA));
	EXPECT(-EOPNOTSUPP, do_create(l, 0, "x", BYTES, H_NONCACHED));
	EXPECT(-EOPNOTSUPP, do_create(l, 0, "x", BYTES, H_SHARED | H_DMA | H_NONCACHED));
	EXPECT(-EOPNOTSUPP, do_create(l, 0, NULL, BYTES, H_DMA));
	assert_int_equal(0, watch_stat().heaps);
	assert_false(watch_exists("x"));
	EXPECT(-EINVAL, do_unbind(l, 0));
}

static void sizes_are_rounded_up_to_pages(void)
{
	static const struct {
		size_t asked, usable;
	} row[] = {
		{ 1, 4096 }, { 4095, 4096 }, { 4096, 4096 }, { 4097, 8192 }, { 100000, 102400 }
	};
	struct lane *l = lane_new();
	RT_HEAP_INFO info;

	heapd_start("");
	for (int i = 0; i < (int)ARRAY_SIZE(row); i++) {
		EXPECT(0, do_create(l, i, NULL, row[i].asked, H_FIFO));
		EXPECT(0, do_inquire(l, i, &info));
		assert_int_equal(row[i].asked, info.heapsize);
		assert_int_equal(row[i].usable, info.usablemem);
		assert_int_equal(0, info.usedmem);
		EXPECT(0, do_alloc(l, i, i, row[i].usable, TM_NONBLOCK));
		EXPECT(0, do_inquire(l, i, &info));
		assert_int_equal(row[i].usable, info.usedmem);
	}
}

/* Arguments of alloc. The order of checks is fixed: arguments first, then the impossible, then the
 * momentary. */
static void bad_allocs(const char *name, bool other)
{
	struct lane *a = lane_new(), *l = a;

	heapd_start(PATIENT);
	EXPECT(0, do_create(a, 0, name, BYTES, H_FIFO));
	if (other) {
		l = lane_new();
		EXPECT(0, do_bind(l, 0, name));
	}
	for (int full = 0; full < 2; full++) {
		EXPECT(-EINVAL, do_alloc(l, 0, 9, 0, TM_NONBLOCK));
		/* the originals wait for ever */
		EXPECT(-EINVAL, do_alloc(l, 0, 9, 0, TM_INFINITE));
		EXPECT(-EINVAL, do_alloc_until(l, 0, 9, 0, 0));
		EXPECT(-ENOMEM, do_alloc(l, 0, 9, BYTES + 1, TM_NONBLOCK));
		EXPECT(-ENOMEM, do_alloc(l, 0, 9, BYTES + 1, TM_INFINITE));
		EXPECT(-ENOMEM, do_alloc(l, 0, 9, BYTES + 1, SECONDS(1000)));
		EXPECT(-ENOMEM, do_alloc_until(l, 0, 9, BYTES + 1, 0));
		EXPECT(-ENOMEM, do_alloc(l, 0, 9, SIZE_MAX, TM_INFINITE));
		EXPECT(-ENOMEM, do_alloc(l, 0, 9, SIZE_MAX - 4095, TM_NONBLOCK));
		EXPECT(-ENOMEM, do_alloc(l, 0, 9, (size_t)1 << 63, TM_NONBLOCK));
		if (!full)
			EXPECT(0, do_alloc(l, 0, 0, BYTES, TM_NONBLOCK));
		EXPECT(-EWOULDBLOCK, do_alloc(l, 0, 9, 1, TM_NONBLOCK));
	}
}

static void bad_allocs_in_a_local_heap(void)
{
	bad_allocs(NULL, false);
}

static void bad_allocs_in_a_named_heap(void)
{
	bad_allocs("pool", false);
}

static void bad_allocs_in_anothers_heap(void)
{
	bad_allocs("pool", true);
}

static int run_null_pointers(struct step *s)
{
	RT_HEAP *h = &self.heap[s->heap];
	void *block = NULL;
	int bad = 0;

	bad |= rt_heap_alloc(h, 64, TM_NONBLOCK, NULL) != -EINVAL;
	bad |= (rt_heap_alloc_until(h, 64, NULL, NULL) != -EINVAL) << 1;
	bad |= (rt_heap_inquire(h, NULL) != -EINVAL) << 2;
	bad |= (rt_heap_offset(h, NULL, NULL) != -EINVAL) << 3;
	bad |= (rt_heap_pointer(h, 0, NULL) != -EINVAL) << 4;
	bad |= (rt_heap_free(h, NULL) != -EINVAL) << 5;
	bad |= (rt_heap_create(NULL, "x", 4096, H_FIFO) != -EINVAL) << 6;
	bad |= (rt_heap_bind(NULL, "x") != -EINVAL) << 7;
	bad |= (rt_heap_bind_timed(NULL, "x", TM_NONBLOCK) != -EINVAL) << 8;
	bad |= (rt_heap_alloc(NULL, 64, TM_NONBLOCK, &block) != -EINVAL) << 9;
	s->value = (uint64_t)bad;
	return bad ? -EIO : 0;
}

static void null_pointers(void)
{
	struct lane *l = lane_new();
	RT_HEAP_INFO info;
	struct step s;

	heapd_start("");
	EXPECT(0, do_create(l, 0, "pool", BYTES, H_FIFO));
	s = lane_run(l, (struct step){ .run = run_null_pointers });
	assert_int_equal(0, s.value);
	EXPECT(0, do_inquire(l, 0, &info));
	assert_int_equal(0, info.usedmem);
}

/* Frees that are refused, and leave every other block as it was. */
static void bad_frees(const char *name)
{
	static const struct {
		size_t size;
		long inside[4];
	} row[] = {
		{ 16, { 1, 8, 15, -1 } },	  { 64, { 16, 32, 63, 1 } },
		{ 512, { 256, 16, 511, 1 } },	  { 1024, { 512, 16, 1023, 1 } },
		{ 4096, { 512, 2048, 4095, 1 } }, { 5000, { 4096, 512, 4999, 16 } },
	};
	struct lane *l = lane_new();
	RT_HEAP_INFO info;

	heapd_start("");
	EXPECT(0, do_create(l, 0, name, 8 * BYTES, H_FIFO));
	EXPECT(0, do_create(l, 1, name ? "other" : NULL, BYTES, H_FIFO));
	EXPECT(0, do_alloc(l, 1, 100, 64, TM_NONBLOCK));
	EXPECT(0, do_pointer(l, 0, 101, 0));
	for (int i = 0; i < (int)ARRAY_SIZE(row); i++) {
		size_t used;

		EXPECT(0, do_alloc(l, 0, 2 * i, row[i].size, TM_NONBLOCK));
		EXPECT(0, do_alloc(l, 0, 2 * i + 1, row[i].size, TM_NONBLOCK));
		EXPECT(0, do_inquire(l, 0, &info));
		used = info.usedmem;
		for (size_t k = 0; k < ARRAY_SIZE(row[i].inside); k++) {
			EXPECT(0, shift_block(l, 50, 2 * i, row[i].inside[k]));
			EXPECT(-EINVAL, do_free(l, 0, 50));
		}
		EXPECT(-EINVAL, do_free(l, 0, 99));  /* NULL */
		EXPECT(-EINVAL, do_free(l, 0, 100)); /* of another heap */
		EXPECT(-EINVAL, do_free(l, 1, 2 * i));
		EXPECT(0, shift_block(l, 50, 101, -16));
		EXPECT(-EINVAL, do_free(l, 0, 50)); /* before the heap, and behind it */
		EXPECT(0, shift_block(l, 50, 101, 8 * BYTES));
		EXPECT(-EINVAL, do_free(l, 0, 50));
		EXPECT(0, do_inquire(l, 0, &info));
		assert_int_equal(used, info.usedmem);
	}
	for (int i = 0; i < (int)ARRAY_SIZE(row); i++) {
		EXPECT(0, check_block(l, 2 * i, 2 * i, row[i].size));
		EXPECT(0, do_free(l, 0, 2 * i));
		EXPECT(-EINVAL, do_free(l, 0, 2 * i)); /* twice */
		EXPECT(0, check_block(l, 2 * i + 1, 2 * i + 1, row[i].size));
	}
	for (int i = 0; i < (int)ARRAY_SIZE(row); i++) {
		EXPECT(0, do_free(l, 0, 2 * i + 1));
		EXPECT(-EINVAL, do_free(l, 0, 2 * i + 1));
	}
	EXPECT(0, do_inquire(l, 0, &info));
	assert_int_equal(0, info.usedmem);
	EXPECT(0, do_alloc(l, 0, 0, 8 * BYTES, TM_NONBLOCK));
}

static void bad_frees_in_a_local_heap(void)
{
	bad_frees(NULL);
}

static void bad_frees_in_a_named_heap(void)
{
	bad_frees("pool");
}

static void addresses_and_offsets(void)
{
	struct lane *l = lane_new();
	size_t offset;

	heapd_start("");
	for (int h = 0; h < 2; h++) {
		EXPECT(0, do_create(l, h, h ? "segment" : "pool", BYTES, h ? H_SHARED : H_FIFO));
		EXPECT(0, do_pointer(l, h, 0, 0));
		EXPECT(0, do_pointer(l, h, 1, BYTES - 1));
		assert_int_equal(block_address(l, 0) + BYTES - 1, block_address(l, 1));
		EXPECT(0, do_offset(l, h, 1, &offset));
		assert_int_equal(BYTES - 1, offset);
		EXPECT(-EINVAL, do_pointer(l, h, 2, BYTES));
		EXPECT(-EINVAL, do_pointer(l, h, 2, SIZE_MAX));
		EXPECT(0, shift_block(l, 3, 0, -1));
		EXPECT(-EINVAL, do_offset(l, h, 3, &offset));
		EXPECT(0, shift_block(l, 3, 0, BYTES));
		EXPECT(-EINVAL, do_offset(l, h, 3, &offset));
		EXPECT(0, forget_block(l, 3));
		EXPECT(-EINVAL, do_offset(l, h, 3, &offset));
	}
}

/* Blocks are aligned: to 16 always, to their size up to a page. */
static void alignment(void)
{
	struct lane *l = lane_new();

	heapd_start("");
	for (int h = 0; h < 2; h++) {
		size_t page = h ? 4096 : 512;

		EXPECT(0, do_create(l, h, NULL, h ? 1 << 20 : 1 << 16, H_FIFO));
		for (int round = 0; round < 3; round++)
			for (int i = 0; i <= 13; i++) {
				size_t size = (size_t)1 << i;
				size_t align = max_u64(16, min_u64(size, page));

				EXPECT(0, do_alloc(l, h, i, size - (size_t)(round && i > 4),
						   TM_NONBLOCK));
				assert_int_equal(0, block_address(l, i) % align);
			}
	}
}

/* The process that holds a block is stopped, and another frees and frees: at last it is told to try
 * later. */
static int run_free_offsets(struct step *s)
{
	void *base;
	int r = rt_heap_pointer(&self.heap[0], 0, &base);

	for (; r == 0 && s->value < s->n; s->value++)
		r = rt_heap_free(&self.heap[0], (char *)base + s->value * 16);
	if (r)
		s->value--;
	return r;
}

static void too_many_frees_for_a_stopped_process(void)
{
	enum { N = 65536 };
	struct actor *a = actor_new(1);
	struct lane *b = lane_new();
	RT_HEAP_INFO info;
	struct step s = { .run = run_free_offsets, .n = N };

	heapd_start(PATIENT);
	EXPECT(0, do_create(&a->lane[0], 0, "pool", (size_t)N * 16, H_FIFO));
	EXPECT(0, do_bind(b, 0, "pool"));
	for (int i = 0; i < N; i += 4096) /* slots are reused; the blocks lie side by side */
		EXPECT(4096, take_all(&a->lane[0], 0, 0, 16, 4096).result);
	actor_stop(a);
	s = lane_run(b, s);
	EXPECT(-EAGAIN, s.result);
	assert_true(s.value > 0 && s.value < N);
	actor_continue(a);
	while (s.value < N) {
		s.run = run_free_offsets;
		s = lane_run(b, s);
		assert_true(s.result == 0 || s.result == -EAGAIN);
	}
	do
		EXPECT(0, do_inquire(b, 0, &info));
	while (info.usedmem);
	assert_int_equal(0, watch_bad_frees("pool"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(bad_names),
		STORY(good_names),
		STORY(bad_sizes_and_modes),
		STORY(sizes_are_rounded_up_to_pages),
		STORY(bad_allocs_in_a_local_heap),
		STORY(bad_allocs_in_a_named_heap),
		STORY(bad_allocs_in_anothers_heap),
		STORY(null_pointers),
		STORY(bad_frees_in_a_local_heap),
		STORY(bad_frees_in_a_named_heap),
		STORY(addresses_and_offsets),
		STORY(alignment),
		STORY(too_many_frees_for_a_stopped_process),
	};

	return cmocka_run_group_tests_name("errors", tests, NULL, NULL);
}
