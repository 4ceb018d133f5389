/*
 * Story: partitions, sentence by sentence of their reference, and of what is specified beside it
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "tests/story/it_pt.h"

#define NUMBERS 8 /* of partitions in a process */

/* "pt_create() creates a partition … numblocks blocks will be available" of blocksize each. */
static void as_many_blocks_as_asked(void)
{
	static const struct {
		size_t size;
		int n, align;
	} kind[] = {
		{ 1, 1, 16 }, { 1, 1000, 16 }, { 16, 256, 16 }, { 17, 300, 16 }, { 63, 3, 16 }, { 64, 64, 64 },
		{ 65, 63, 64 }, { 100, 7, 64 }, { 1000, 1000, 64 }, { 4096, 5, 64 }, { 5000, 33, 64 }, { 1 << 20, 3, 64 },
	};
	struct lane *l = lane_new();
	struct seen s;

	heapd_start("");
	for (size_t i = 0; i < ARRAY_SIZE(kind); i++) {
		uint64_t stride = align_up(kind[i].size, (uint64_t)kind[i].align);

		EXPECT(0, do_pt_create(l, kind[i].size, kind[i].n));
		assert_true(see_partition(0, &s));
		assert_int_equal(kind[i].size, s.detail.partition.block_size);
		assert_int_equal(stride, s.detail.partition.stride);
		assert_int_equal(kind[i].n, s.detail.partition.n_blocks);
		assert_int_equal(stride * (uint64_t)kind[i].n, s.entry.size);
		expect_seen(0, 0, 0);

		/* all of them, twice over: each its own, and then no more */
		for (int round = 0; round < 2; round++) {
			EXPECT(kind[i].n, do_take_all(l, 0, 0));
			if (round == 0)
				EXPECT(0, do_pt(l, (struct step){ .run = run_pt_zeros, .n = (uint64_t)kind[i].n,
								  .size = kind[i].size }));
			EXPECT(EMPTY, do_get(l, 0, ACTOR_BLOCKS - 1));
			EXPECT(0, do_pt(l, (struct step){ .run = run_pt_look, .n = (uint64_t)kind[i].n,
							  .size = kind[i].size, .mode = kind[i].align }));
			expect_seen(0, (uint32_t)kind[i].n, 0);
			EXPECT(0, do_free_range(l, 0, 0, kind[i].n));
			expect_seen(0, 0, 0);
		}
		assert_true(see_partition(0, &s));
		assert_int_equal(stride * (uint64_t)kind[i].n, s.entry.high);
		EXPECT(0, do_pt_destroy(l, 0));
		assert_false(see_partition(0, &s));
	}
}

/* "returns ptno, which is a system identifier"; "EAGAIN: All 8 partitions have been allocated." */
static void numbers(void)
{
	struct actor *a = actor_new(1), *b = actor_new(1);
	struct lane *l = &a->lane[0];

	heapd_start("");
	for (int i = 0; i < NUMBERS; i++)
		EXPECT(i, do_pt_create(l, 32, 4));
	EXPECT(-EAGAIN, do_pt_create(l, 32, 4));
	EXPECT(-EINVAL, do_pt_create(l, 0, 4)); /* what is wrong in any case is said first */
	EXPECT(0, do_pt_create(&b->lane[0], 32, 4)); /* another process has its own */
	actor_quit(b);
	UNTIL(watch_stat().heaps == NUMBERS);

	/* the lowest free number */
	EXPECT(0, do_pt_destroy(l, 5));
	EXPECT(0, do_pt_destroy(l, 2));
	EXPECT(2, do_pt_create(l, 48, 2));
	EXPECT(5, do_pt_create(l, 48, 2));
	EXPECT(-EAGAIN, do_pt_create(l, 32, 4));

	/* one that failed takes no number */
	EXPECT(0, do_pt_destroy(l, 0));
	EXPECT(-EINVAL, do_pt_create(l, 32, -1));
	EXPECT(-ENOSPC, do_pt_create(l, (size_t)1 << 60, 1));
	EXPECT(0, do_pt_create(l, 32, 1));

	/* they do not mix */
	for (int i = 0; i < NUMBERS; i++)
		EXPECT(GOT, do_get(l, i, i));
	for (int i = 0; i < NUMBERS; i++)
		EXPECT(0, do_put(l, (i + 1) % NUMBERS, i));
	for (int i = 0; i < NUMBERS; i++) {
		expect_seen(i, 1, 1);
		EXPECT(0, do_put(l, i, i));
	}
	actor_quit(a);
	UNTIL(watch_stat().heaps == 0 && watch_stat().bytes == 0);
}

/* "EINVAL: blocksize or numblocks are 0." And what is below, or too large to be counted. */
static void sizes_that_make_no_sense(void)
{
	struct lane *l = lane_new();

	heapd_start("");
	EXPECT(-EINVAL, do_pt_create(l, 0, 1));
	EXPECT(-EINVAL, do_pt_create(l, 1, 0));
	EXPECT(-EINVAL, do_pt_create(l, 0, 0));
	EXPECT(-EINVAL, do_pt_create(l, 64, -1));
	EXPECT(-EINVAL, do_pt_create(l, 64, INT32_MIN));
	EXPECT(-EINVAL, do_pt_create(l, (size_t)-5, 1)); /* a negative int */
	EXPECT(-EINVAL, do_pt_create(l, SIZE_MAX, 1));
	EXPECT(-EINVAL, do_pt_create(l, SIZE_MAX - 63, INT32_MAX));
	EXPECT(-EINVAL, do_pt_create(l, (size_t)1 << 40, INT32_MAX));
	EXPECT(-EINVAL, do_pt_create(l, (size_t)1 << 62, 4)); /* 2^64 is 0 again */
	EXPECT(-EINVAL, do_pt_create(l, (size_t)1 << 62, 2));
	assert_int_equal(0, watch_stat().heaps_total);
	EXPECT(0, do_pt_create(l, 1, 1));
}

/* "ENOSPC: Not enough memory to allocate the partition." */
static void not_enough_memory(void)
{
	struct lane *l = lane_new();

	heapd_start("[heaps]\nmax_size = 1M\n");
	EXPECT(0, do_pt_create(l, 4096, 256));
	EXPECT(-ENOSPC, do_pt_create(l, 4096, 257));
	EXPECT(-ENOSPC, do_pt_create(l, 64, INT32_MAX));
	EXPECT(1, do_pt_create(l, 4096, 256));
}

static void not_as_much_as_the_machine_has(void)
{
	struct lane *l = lane_new();

	log_allow("memory");
	heapd_start("[heaps]\nmax_size = 4T\n");
	EXPECT(-ENOSPC, do_pt_create(l, (size_t)1 << 40, 4));
	EXPECT(0, do_pt_create(l, 64, 64));
}

static void a_quota(void)
{
	struct lane *user;

	story_needs_root();
	heapd_start("[limits]\nbytes = 64K\n");
	user = lane_new_as(65001, 65001);
	EXPECT(0, do_pt_create(user, 4096, 10));
	EXPECT(-ENOSPC, do_pt_create(user, 4096, 10));
	EXPECT(0, do_pt_destroy(user, 0));
	EXPECT(0, do_pt_create(user, 4096, 16));
}

static void not_everyone_may_create(void)
{
	struct lane *user;

	story_needs_root();
	heapd_start("[heaps]\ncreate = 65100\n");
	user = lane_new_as(65001, 65001);
	EXPECT(-EACCES, do_pt_create(user, 64, 4));
	EXPECT(0, do_pt_create(lane_new(), 64, 4));
}

/* "EBADID: ptno was not a valid partition." */
static void numbers_that_are_none(void)
{
	static const int bad[] = { -1, 0, 1, 2, 7, 8, 9, 1000, INT32_MAX, INT32_MIN };
	struct lane *l = lane_new();

	assert_int_equal(EBADF, EBADID);
	heapd_start("");
	for (int round = 0; round < 3; round++) { /* never used; beside one that is; destroyed */
		for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
			if (round == 1 && bad[i] == 1)
				continue;
			EXPECT(-EBADF, do_pt_destroy(l, bad[i]));
			EXPECT(-EBADF, do_get(l, bad[i], 3));
			EXPECT(0, do_put(l, bad[i], 3)); /* NULL */
			EXPECT(0, do_ret(l, bad[i], 9));
		}
		if (round == 0) {
			EXPECT(0, do_pt_create(l, 64, 4));
			EXPECT(1, do_pt_create(l, 64, 4));
			EXPECT(0, do_pt_destroy(l, 0));
			EXPECT(GOT, do_get(l, 1, 9));
		} else if (round == 1) {
			expect_seen(1, 1, 0); /* its block was given to numbers that are none: it is still out */
			EXPECT(0, do_put(l, 1, 9));
			EXPECT(0, do_pt_destroy(l, 1));
		}
	}
}

/* "All allocated buffers must be returned to the partition before it can be successfully deleted." EBUSY. */
static void busy_until_all_are_back(void)
{
	struct lane *l = lane_new();
	struct seen s;

	heapd_start("");
	EXPECT(0, do_pt_create(l, 100, 3));
	EXPECT(3, do_take_all(l, 0, 0));
	for (int i = 0; i < 3; i++) {
		EXPECT(-EBUSY, do_pt_destroy(l, 0));
		expect_seen(0, 3 - (uint32_t)i, 0);
		EXPECT(0, do_put(l, 0, i));
	}
	EXPECT(0, do_pt_destroy(l, 0));
	assert_false(see_partition(0, &s));
	assert_int_equal(0, watch_stat().heaps);
	assert_int_equal(0, watch_stat().bytes);
	EXPECT(-EBADF, do_pt_destroy(l, 0));
}

/* "block must be the value from a successfull pt_getblock call": what is not changes nothing, and is counted. */
static void blocks_that_are_none(void)
{
	struct lane *l = lane_new();
	uint32_t bad = 0;

	heapd_start("");
	EXPECT(0, do_pt_create(l, 200, 4)); /* 256 apart */
	EXPECT(1, do_pt_create(l, 200, 4));
	EXPECT(4, do_take_all(l, 0, 0));
	EXPECT(GOT, do_get(l, 1, 10));
#define REFUSED(slot) \
	do { \
		EXPECT(0, do_put(l, 0, slot)); \
		expect_seen(0, 4, ++bad); \
		EXPECT(0, do_ret(l, 0, slot)); \
		expect_seen(0, 4, ++bad); \
	} while (0)
	EXPECT(0, forget_block(l, 11));
	REFUSED(11); /* NULL */
	REFUSED(10); /* of another partition */
	for (long by = -256; by <= 4 * 256; by += 8) {
		if (by % 256 == 0 && by >= 0 && by < 4 * 256)
			continue;
		EXPECT(0, shift_block(l, 11, 0, by)); /* into the middle, before, behind */
		REFUSED(11);
	}
	EXPECT(EMPTY, do_get(l, 0, 12));

	/* freed twice, by either name */
	EXPECT(0, do_put(l, 0, 2));
	expect_seen(0, 3, bad);
	EXPECT(0, do_put(l, 0, 2));
	EXPECT(0, do_ret(l, 0, 2));
	bad += 2;
	expect_seen(0, 3, bad);
	EXPECT(GOT, do_get(l, 0, 12)); /* it is there once */
	assert_int_equal(block_address(l, 2), block_address(l, 12));
	EXPECT(EMPTY, do_get(l, 0, 13));
	expect_seen(0, 4, bad);
	expect_seen(1, 1, 0);
	EXPECT(0, do_put(l, 1, 10));
	EXPECT(0, do_pt_destroy(l, 1));
}

/* "support allocation and deallocation by any thread … some other thread return the buffer" */
static void another_thread_returns_it(void)
{
	struct actor *a = actor_new(2);
	struct lane *one = &a->lane[0], *two = &a->lane[1];

	heapd_start("");
	EXPECT(0, do_pt_create(one, 64, 2));
	for (int i = 0; i < 5; i++) {
		EXPECT(GOT, do_get(one, 0, 0));
		EXPECT(GOT, do_get(two, 0, 1));
		EXPECT(EMPTY, do_get(one, 0, 2));
		EXPECT(0, put_text(one, 0, 0, "a buffer, filled"));
		assert_string_equal("a buffer, filled", get_text(two, 0, 0).text);
		EXPECT(0, i % 2 ? do_ret(two, 0, 0) : do_put(two, 0, 0));
		EXPECT(0, i % 2 ? do_put(one, 0, 1) : do_ret(one, 0, 1));
		expect_seen(0, 0, 0);
	}
	EXPECT(0, do_pt_destroy(two, 0));
}

/* ---- without a daemon, without descriptors, with a daemon of another version ---- */

static int run_leave_no_fd(struct step *s)
{
	static rlim_t before;
	struct rlimit limit;
	int next = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

	(void)close(next);
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	if (!before)
		before = limit.rlim_cur;
	limit.rlim_cur = s->mode ? before : (rlim_t)next;
	return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}

static void no_descriptors(void)
{
	struct lane *l = lane_new();

	heapd_start("");
	EXPECT(0, lane_run(l, (struct step){ .run = run_leave_no_fd }).result);
	EXPECT(-EMFILE, do_pt_create(l, 64, 4));
	EXPECT(0, lane_run(l, (struct step){ .run = run_leave_no_fd, .mode = 1 }).result);
	EXPECT(0, do_pt_create(l, 64, 4));
	EXPECT(0, lane_run(l, (struct step){ .run = run_leave_no_fd }).result);
	EXPECT(-EMFILE, do_pt_create(l, 64, 4));
	EXPECT(GOT, do_get(l, 0, 0)); /* which needs none */
	EXPECT(0, do_put(l, 0, 0));
	EXPECT(0, lane_run(l, (struct step){ .run = run_leave_no_fd, .mode = 1 }).result);
	EXPECT(1, do_pt_create(l, 64, 4));
	assert_int_equal(2, watch_stat().heaps);
}

static void no_daemon(void)
{
	struct lane *l = lane_new();

	EXPECT(-ECONNREFUSED, do_pt_create(l, 64, 4));
	EXPECT(-EINVAL, do_pt_create(l, 0, 4));
	EXPECT(-EBADF, do_get(l, 0, 0));
	EXPECT(-EBADF, do_pt_destroy(l, 0));
	assert_true(last_problem(l).text[0] != '\0');
	heapd_start("");
	EXPECT(0, do_pt_create(l, 64, 4));
}

static void answer_as_newer(int listener)
{
	struct raw peer = RAW_NULL;
	struct wire_welcome *welcome;
	struct frame f;

	peer.call = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(peer.call >= 0);
	EXPECT(0, channel_recv(peer.call, &f, 0));
	welcome = frame_init(&f, OP_HELLO | WIRE_REPLY, f.header.id, STATUS_VERSION, sizeof(*welcome));
	welcome->version = 77;
	welcome->hw_page = 4096;
	EXPECT(0, channel_send(peer.call, &f, 0));
	raw_close(&peer);
}

static void a_daemon_too_new(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_cleanup_fd_ int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct lane *l = lane_new();

	assert_true(listener >= 0);
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", story_socket());
	assert_int_equal(0, bind(listener, (const struct sockaddr *)&addr, sizeof(addr)));
	assert_int_equal(0, listen(listener, 8));
	lane_start(l, (struct step){ .run = run_pt_create, .size = 64, .n = 4 });
	answer_as_newer(listener);
	EXPECT(-EPROTONOSUPPORT, lane_result(l));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(as_many_blocks_as_asked),
		STORY(numbers),
		STORY(sizes_that_make_no_sense),
		STORY(not_enough_memory),
		STORY(not_as_much_as_the_machine_has),
		STORY(a_quota),
		STORY(not_everyone_may_create),
		STORY(numbers_that_are_none),
		STORY(busy_until_all_are_back),
		STORY(blocks_that_are_none),
		STORY(another_thread_returns_it),
		STORY(no_descriptors),
		STORY(no_daemon),
		STORY(a_daemon_too_new),
	};

	return cmocka_run_group_tests_name("pt", tests, NULL, NULL);
}
