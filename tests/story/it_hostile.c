/*
 * Story: a peer sends what no client would, beside one that only wants to work
 *
 * Whatever comes, the bad peer is dropped, or answered, and nobody else is harmed (healthy.h).
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include "proto/codec.h"
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

/* ---- the file of an arena ---- */

/*
 * A writer throws pages of it away. That cannot be forbidden to who may map it for writing (docs/reliability.md): contents
 * are zeros then, for all. The others neither crash nor wait, and what they write is there again.
 */
static void punched(void)
{
	struct lane *reader = lane_new();
	struct raw r = RAW_NULL;
	struct wire_bound bound;
	void *p;
	int fd;

	healthy_begin();
	raw_open(&r);
	EXPECT(0, do_create(healthy_lane(), 1, "news", HEALTHY_BYTES, H_SHARED));
	EXPECT(0, do_alloc(healthy_lane(), 1, 1, HEALTHY_BYTES, TM_NONBLOCK));
	EXPECT(0, put_text(healthy_lane(), 1, 5000, "today"));
	EXPECT(0, do_bind(reader, 0, "news"));
	EXPECT(0, do_alloc(reader, 0, 0, 0, TM_NONBLOCK));
	for (int i = 0; i < 2; i++) {
		EXPECT(STATUS_OK, raw_bind(&r, i ? "news" : "pool", ACCESS_WRITE, &bound, &fd));
		p = mmap(NULL, HEALTHY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		assert_ptr_not_equal(MAP_FAILED, p);
		for (int k = 0; k < 50; k++) {
			assert_int_equal(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, HEALTHY_BYTES));
			assert_int_equal(0, madvise(p, HEALTHY_BYTES, MADV_REMOVE));
		}
		still_healthy();
		assert_int_equal(0, munmap(p, HEALTHY_BYTES));
		close_fd(&fd);
	}
	assert_string_equal("", get_text(reader, 0, 5000).text);
	EXPECT(0, put_text(healthy_lane(), 1, 5000, "again"));
	assert_string_equal("again", get_text(reader, 0, 5000).text);
	raw_close(&r);
	EXPECT(0, do_delete(healthy_lane(), 1));
	EXPECT(0, do_unbind(healthy_lane(), 1));
	actor_quit(reader->actor);
	healthy_end();
}

/* Its size is sealed, and no other seal can be put on it: nobody takes a SIGBUS, and nobody's memory grows. */
static void resized(void)
{
	struct raw r = RAW_NULL;
	struct wire_bound bound;
	int fd[2];

	healthy_begin();
	raw_open(&r);
	EXPECT(STATUS_OK, raw_bind(&r, "pool", ACCESS_WRITE, &bound, &fd[0]));
	fd[1] = dup(r.stats);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(-1, ftruncate(fd[i], 0));
		assert_int_equal(-1, ftruncate(fd[i], INT64_C(1) << 40));
		assert_int_equal(-1, fallocate(fd[i], FALLOC_FL_KEEP_SIZE, INT64_C(64) << 20, 1 << 20));
		assert_int_equal(-1, fallocate(fd[i], 0, INT64_C(64) << 20, 1 << 20));
		assert_int_equal(-1, fcntl(fd[i], F_ADD_SEALS, F_SEAL_WRITE));
		assert_int_equal(-1, fcntl(fd[i], F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
	}
	still_healthy();
	close_fd(&fd[0]);
	close_fd(&fd[1]);
	raw_close(&r);
	healthy_end();
}

/* ---- lies about each kind ---- */

static uint64_t create_kind(struct raw *r, uint32_t kind, uint32_t *slot)
{
	struct frame f;
	struct wire_create *create = frame_init(&f, OP_CREATE, 0, 0, sizeof(*create));
	int status;

	create->size = 16384;
	create->kind = kind;
	create->mode = kind == KIND_SEGMENT ? WIRE_MODE_SINGLE : 0;
	create->perm = WIRE_PERM_DEFAULT;
	create->gid = WIRE_GID_DEFAULT;
	status = raw_call(r, &f);
	if (status == STATUS_PARKED) {
		EXPECT(0, raw_event(r, &f));
		status = (int)f.header.status;
	}
	EXPECT(STATUS_OK, status);
	frame_close_fds(&f);
	*slot = FRAME_BODY(&f, struct wire_bound)->slot;
	return FRAME_BODY(&f, struct wire_bound)->heap;
}

/* What a bystander is told of it: an answer that a client accepts. */
static int look(struct raw *r, uint16_t op, uint64_t id, struct frame *f)
{
	const char *why = "";
	struct wire_target *t = frame_init(f, op, 0, 0, sizeof(*t));
	int status;

	t->heap = id;
	status = raw_call(r, f);
	if (codec_check_answer(f, CODEC_CALL, &why) < 0)
		print_error("%s: %s\n", op_text(op), why);
	assert_int_equal(0, codec_check_answer(f, CODEC_CALL, NULL));
	return status;
}

static void expect_bounded(struct raw *r, uint32_t kind, uint64_t id)
{
	struct frame f;
	int status;

	EXPECT(STATUS_OK, look(r, OP_INSPECT, id, &f));
	assert_true(FRAME_BODY(&f, struct wire_entry)->used <= FRAME_BODY(&f, struct wire_entry)->usable);
	assert_true(FRAME_BODY(&f, struct wire_entry)->high <= FRAME_BODY(&f, struct wire_entry)->usable);
	EXPECT(STATUS_OK, look(r, OP_BINDINGS, id, &f));
	assert_int_equal(1, FRAME_BODY(&f, struct wire_bindings)->n);
	EXPECT(STATUS_OK, look(r, OP_WAITERS, id, &f));
	EXPECT(STATUS_OK, look(r, OP_MAP, id, &f));
	status = look(r, OP_DETAIL, id, &f); /* what cannot be true is STATUS_INVALID */
	assert_true(status == STATUS_INVALID || (status == STATUS_OK && kind != KIND_HEAP && kind != KIND_SEGMENT));
	assert_true(status || FRAME_BODY(&f, struct wire_detail)->n_used <= 16384);
	EXPECT(STATUS_OK, look(r, OP_LIST, 0, &f));
}

static void fill_with_lies(void *page, size_t size, int way, uint64_t *seed)
{
	static const uint32_t edges[] = { 0, 1, 3, 16, 64, 4096, 16383, 16384, 16385, INT32_MAX, UINT32_MAX - 1, UINT32_MAX };
	uint32_t *words = page;

	if (way < 256) {
		memset(page, way, size);
		return;
	}
	for (size_t i = 0; i < size / sizeof(*words); i++)
		words[i] = next_random(seed) % 2 ? next_random(seed) : edges[next_random(seed) % ARRAY_SIZE(edges)];
}

static void lies_of_every_kind(void)
{
	struct raw liar = RAW_NULL, root = RAW_NULL;
	struct wire_stats *stats;
	uint64_t seed = 99;

	healthy_begin();
	raw_open(&root);
	raw_open(&liar);
	stats = mmap(NULL, (size_t)liar.welcome.n_slots * sizeof(*stats), PROT_READ | PROT_WRITE, MAP_SHARED, liar.stats, 0);
	assert_ptr_not_equal(MAP_FAILED, stats);
	for (uint32_t kind = KIND_HEAP; kind < KIND_LAST; kind++) {
		uint32_t slot;
		uint64_t id = create_kind(&liar, kind, &slot);

		for (int way = 0; way < 512; way += way < 256 ? 17 : 1) {
			fill_with_lies(&stats[slot], sizeof(*stats), way, &seed);
			expect_bounded(&root, kind, id);
		}
		/* and nothing at all where they should be */
		assert_int_equal(0, madvise(stats, (size_t)liar.welcome.n_slots * sizeof(*stats), MADV_REMOVE));
		expect_bounded(&root, kind, id);
		still_healthy();
	}
	assert_int_equal(0, munmap(stats, (size_t)liar.welcome.n_slots * sizeof(*stats)));
	raw_close(&liar);
	raw_close(&root);
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
		STORY(punched),
		STORY(resized),
		STORY(lies_of_every_kind),
	};

	return cmocka_run_group_tests_name("hostile", tests, NULL, NULL);
}
