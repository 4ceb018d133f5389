/*
 * Story: a peer sends what no client would, beside one that only wants to work
 *
 * Whatever comes, the bad peer is dropped, or answered, and nobody else is harmed (healthy.h).
 */
#include <poll.h>
#include <sys/mman.h>
#include "tests/story/healthy.h"
#include "tests/story/raw.h"
#include "tests/story/steps.h"

static uint32_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33);
}

/* ---- frames that are wrong by themselves ---- */

static void wrong_frames(void)
{
	static const uint16_t ops[] = { OP_PING,     OP_CREATE,	 OP_BIND, OP_UNBIND,
					OP_DELETE,   OP_REFILL,	 OP_FREE, OP_CANCEL,
					OP_INQUIRE,  OP_CHMOD,	 OP_LIST, OP_INSPECT,
					OP_BINDINGS, OP_WAITERS, OP_MAP,  OP_STAT };
	uint8_t bytes[WIRE_FRAME_MAX + 100];
	struct wire_header h;
	struct raw r = RAW_NULL;

	healthy_begin();
	for (int socket = 0; socket < 2; socket++) /* call socket, event socket */
		for (int way = 0; way < 8; way++) {
			size_t n = sizeof(h) + 48;

			raw_open(&r);
			memset(bytes, 0, sizeof(bytes));
			h = (struct wire_header){ .length = 48, .op = OP_PING, .id = 99 };
			if (socket && way != 4)
				h.op = OP_RETURN;
			switch (way) {
			case 0: /* shorter than a header */
				n = 7;
				break;
			case 1: /* says more than came */
				h.length = 100;
				break;
			case 2: /* says less */
				h.length = 8;
				break;
			case 3: /* longer than any frame */
				n = sizeof(bytes);
				h.length = (uint32_t)(n - sizeof(h));
				break;
			case 4: /* unknown, or on the wrong socket */
				h.op = socket ? OP_PING : OP_RETURN;
				break;
			case 5:
				h.op = 0x3fff;
				break;
			case 6: /* promises fds */
				h.n_fds = 1;
				break;
			default: /* a length that wraps */
				h.length = UINT32_MAX - 15;
			}
			memcpy(bytes, &h, sizeof(h));
			(void)raw_send_bytes(socket ? r.event : r.call, bytes, n, NULL, 0);
			raw_until_dropped(r.call);
			raw_until_dropped(r.event);
			raw_close(&r);
		}
	/* every request with a body of the wrong length */
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		raw_open(&r);
		memset(bytes, 0, sizeof(bytes));
		h = (struct wire_header){ .length = 13, .op = ops[i], .id = 99 };
		memcpy(bytes, &h, sizeof(h));
		(void)raw_send_bytes(r.call, bytes, sizeof(h) + 13, NULL, 0);
		raw_until_dropped(r.call);
		raw_close(&r);
	}
	assert_true(watch_stat().dropped >= healthy_dropped + 16 + ARRAY_SIZE(ops));
	assert_true(log_has("dropped"));
	healthy_end();
}

/* Any bytes, mostly near a real frame. */
static void garbage(void)
{
	uint64_t seed = 4711;
	uint8_t bytes[WIRE_FRAME_MAX + 64];
	struct raw r = RAW_NULL;

	healthy_begin();
	for (int i = 0; i < 2000 / STORY_FACTOR; i++) {
		size_t n = next_random(&seed) % 4 ? 16 + next_random(&seed) % 200
						  : next_random(&seed) % sizeof(bytes);
		struct wire_header h;
		bool greeted = next_random(&seed) % 4 != 0;

		if (r.call < 0) {
			EXPECT(0, raw_connect(&r));
			if (greeted)
				EXPECT(STATUS_OK, raw_hello(&r));
		}
		for (size_t k = 0; k < n; k++)
			bytes[k] = next_random(&seed) % 3 ? 0 : (uint8_t)next_random(&seed);
		h = (struct wire_header){ .length = (uint32_t)(n - sizeof(h)),
					  .op = (uint16_t)(next_random(&seed) %
							   (OP_CALL_COUNT + 2)),
					  .id = 1 };
		if (n >= sizeof(h) && next_random(&seed) % 8)
			memcpy(bytes, &h, sizeof(h));
		(void)raw_send_bytes(r.event >= 0 && next_random(&seed) % 3 == 0 ? r.event : r.call,
			       bytes, n, NULL, 0);
		if (next_random(&seed) % 3 == 0)
			raw_close(&r);
		else if (i % 16 == 0) { /* see whether it still lives */
			struct pollfd p = { .fd = r.call, .events = POLLIN };

			if (poll(&p, 1, 20) > 0 && raw_hung_up(r.call))
				raw_close(&r);
		}
		if (i % 100 == 0)
			still_healthy();
	}
	raw_close(&r);
	healthy_end();
}

/* ---- frames that are right and lie ---- */

static void before_hello(void)
{
	struct raw r = RAW_NULL;
	struct frame f;

	healthy_begin();
	for (uint16_t op = OP_PING; op < OP_CALL_COUNT; op++) {
		EXPECT(0, raw_connect(&r));
		(void)frame_init(&f, op, 1, 0, op == OP_PING ? 48 : op == OP_STAT ? 0 : 8);
		(void)channel_send(r.call, &f, 0);
		raw_until_dropped(r.call);
		raw_close(&r);
	}
	/* twice is once too often */
	raw_open(&r);
	(void)raw_hello(&r);
	raw_until_dropped(r.call);
	raw_close(&r);
	healthy_end();
}

/* Heaps that it is not bound to, ids that do not exist: answers, not rights. */
static void heaps_of_others(void)
{
	struct raw r = RAW_NULL;
	struct wire_bound bound;
	struct wire_entry entry;
	struct frame f;

	healthy_begin();
	EXPECT(STATUS_OK, watch_heap("pool", &entry));
	raw_open(&r);
	for (int invented = 0; invented < 2; invented++) {
		uint64_t id = invented ? UINT64_C(0xdeadbeefdead) : entry.heap;
		int status;

		((struct wire_heap *)frame_init(&f, OP_INQUIRE, 0, 0, sizeof(struct wire_heap)))
			->heap = id;
		status = raw_call(&r, &f);
		assert_true(status == STATUS_MISSING || status == STATUS_DENIED ||
			    status == STATUS_INVALID || status == STATUS_REMOVED);
		((struct wire_heap *)frame_init(&f, OP_UNBIND, 0, 0, sizeof(struct wire_heap)))
			->heap = id;
		assert_int_not_equal(STATUS_OK, raw_call(&r, &f));
		((struct wire_free *)frame_init(&f, OP_FREE, 0, 0, sizeof(struct wire_free)))
			->heap = id;
		assert_int_not_equal(STATUS_OK, raw_call(&r, &f));
		((struct wire_cancel *)frame_init(&f, OP_CANCEL, 0, 0, sizeof(struct wire_cancel)))
			->id = 12345;
		EXPECT(STATUS_LATE, raw_call(&r, &f));
		{
			struct wire_refill *refill =
				frame_init(&f, OP_REFILL, 0, 0, sizeof(*refill));

			refill->heap = id;
			refill->pages = 1;
			assert_int_not_equal(STATUS_OK, raw_call(&r, &f));
		}
	}
	raw_close(&r);

	/* more pages than there are, offsets outside, returns of what it does not hold */
	raw_open(&r);
	EXPECT(STATUS_OK, raw_bind(&r, "pool", ACCESS_WRITE, &bound, NULL));
	{
		struct wire_refill *refill = frame_init(&f, OP_REFILL, 0, 0, sizeof(*refill));
		int status;

		refill->heap = bound.heap;
		refill->pages = 1000000;
		refill->since_ns = now_ns();
		status = raw_call(&r, &f);
		assert_true(status == STATUS_NO_MEMORY || status == STATUS_INVALID);
	}
	{
		struct wire_free *free_ = frame_init(&f, OP_FREE, 0, 0, sizeof(*free_));

		free_->heap = bound.heap;
		free_->offset = UINT64_MAX - 5;
		EXPECT(STATUS_INVALID, raw_call(&r, &f));
	}
	{
		struct wire_return *ret =
			frame_init(&f, OP_RETURN, 0, 0, sizeof(*ret) + sizeof(struct wire_run));

		ret->heap = bound.heap;
		ret->n_runs = 1;
		ret->runs[0] = (struct wire_run){ .first = 0, .n = 16 };
		EXPECT(0, channel_send(r.event, &f, 0));
	}
	raw_until_dropped(r.call);
	raw_close(&r);
	healthy_end();
}

/* A page of lies where its statistics should be: shown clamped, believed by nobody. */
static void false_statistics(void)
{
	struct raw r = RAW_NULL;
	struct wire_bound bound;
	RT_HEAP_INFO info;
	struct wire_stats *stats;

	healthy_begin();
	raw_open(&r);
	EXPECT(STATUS_OK, raw_bind(&r, "pool", ACCESS_WRITE, &bound, NULL));
	stats = mmap(NULL, (size_t)r.welcome.n_slots * sizeof(*stats), PROT_READ | PROT_WRITE,
		     MAP_SHARED, r.stats, 0);
	assert_ptr_not_equal(MAP_FAILED, stats);
	memset(&stats[bound.slot], 0xff, sizeof(*stats));
	for (int i = 0; i < 100; i++) {
		EXPECT(0, do_inquire(healthy_lane(), 0, &info));
		assert_true(info.usedmem <= info.usablemem);
	}
	assert_int_equal(0, munmap(stats, (size_t)r.welcome.n_slots * sizeof(*stats)));
	raw_close(&r);
	healthy_end();
}

/* Answers no recall at all, holding everything: others wait, and are served when it is gone. */
static void deaf_to_recalls(void)
{
	struct lane *waiter = lane_new();
	struct raw r = RAW_NULL;
	struct wire_bound bound;
	struct frame f;

	healthy_begin();
	raw_open(&r);
	EXPECT(STATUS_OK, raw_create(&r, "hoard", 8192, 0, &bound, NULL));
	EXPECT(0, do_bind(waiter, 0, "hoard"));
	EXPECT(-EWOULDBLOCK, do_alloc(waiter, 0, 0, 8192, TM_NONBLOCK));
	EXPECT(-ETIMEDOUT, do_alloc(waiter, 0, 0, 8192, MS(20)));
	lane_start(waiter, step_alloc(0, 0, 8192, TM_INFINITE));
	UNTIL(watch_parked("hoard") == 1);
	still_healthy();
	/* an answer to a recall that never was */
	{
		struct wire_return *ret = frame_init(&f, OP_RETURN, 0, 0, sizeof(*ret));

		ret->heap = bound.heap;
		ret->seq = 987654;
		(void)channel_send(r.event, &f, 0);
	}
	still_healthy();
	raw_close(&r);
	EXPECT(0, lane_result(waiter));
	EXPECT(0, do_delete(waiter, 0));
	EXPECT(0, do_unbind(waiter, 0));
	actor_quit(waiter->actor);
	healthy_end();
}

/* A writer of a pool scribbles over all of it: contents are lost, nothing else. */
static void scribbled_over(void)
{
	struct raw r = RAW_NULL;
	struct wire_bound bound;
	void *p;
	int fd;

	healthy_begin();
	raw_open(&r);
	EXPECT(STATUS_OK, raw_bind(&r, "pool", ACCESS_WRITE, &bound, &fd));
	p = mmap(NULL, HEALTHY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(MAP_FAILED, p);
	for (int i = 0; i < 200; i++)
		memset(p, i, HEALTHY_BYTES);
	still_healthy();
	assert_int_equal(0, munmap(p, HEALTHY_BYTES));
	close_fd(&fd);
	raw_close(&r);
	healthy_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(wrong_frames),
		STORY(garbage),
		STORY(before_hello),
		STORY(heaps_of_others),
		STORY(false_statistics),
		STORY(deaf_to_recalls),
		STORY(scribbled_over),
	};

	return cmocka_run_group_tests_name("hostile", tests, NULL, NULL);
}
