/*
 * Story: a peer that asks for more than it will ever read, beside one that only wants to work
 */
#include <sys/socket.h>
#include "proto/codec.h"
#include "tests/story/healthy.h"
#include "tests/story/raw.h"

static void requests_without_reading_the_replies(void)
{
	struct raw r = RAW_NULL;
	struct frame f;
	uint64_t sent = 0;

	healthy_begin();
	raw_open(&r);
	(void)frame_init(&f, OP_STAT, 1, 0, 0);
	/* until the daemon takes no more of it, or has had enough */
	for (int full = 0; full < 50 && sent < 1000000;) {
		int e = channel_send(r.call, &f, MSG_DONTWAIT);

		if (e == 0) {
			sent++;
			full = 0;
		} else if (e == -EAGAIN) {
			full++;
			story_pause("the flood", __FILE__, __LINE__);
		} else {
			break;
		}
	}
	assert_true(sent < 1000000);
	still_healthy();
	raw_close(&r);
	healthy_end();
}

static void connections_without_end(void)
{
	enum { N = 300 };
	struct raw r[N];

	healthy_begin();
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < N; i++) {
			r[i] = (struct raw)RAW_NULL;
			EXPECT(0, raw_connect(&r[i]));
			if (round)
				(void)raw_hello(&r[i]);
		}
		still_healthy();
		for (int i = 0; i < N; i++)
			raw_close(&r[i]);
	}
	for (int i = 0; i < 2000 / STORY_FACTOR; i++) {
		EXPECT(0, raw_connect(&r[0]));
		raw_close(&r[0]);
	}
	healthy_end();
}

static void create_and_delete_without_end(void)
{
	struct raw r = RAW_NULL;

	healthy_begin();
	raw_open(&r);
	for (int i = 0; i < 2000 / STORY_FACTOR; i++) {
		struct wire_bound bound;
		struct frame f;
		int fd;

		EXPECT(STATUS_OK, raw_create(&r, "flood", 4096, 0, &bound, &fd));
		close_fd(&fd);
		EXPECT(STATUS_OK, raw_delete(&r, "flood"));
		EXPECT(0, raw_event(&r, &f)); /* DELETED */
		assert_int_equal(EV_DELETED, f.header.op);
		if (i % 2) {
			((struct wire_heap *)frame_init(&f, OP_UNBIND, 0, 0,
							sizeof(struct wire_heap)))
				->heap = bound.heap;
			(void)raw_call(&r, &f);
		}
		if (i % 200 == 0)
			still_healthy();
	}
	raw_close(&r);
	healthy_end();
	UNTIL(watch_stat().heaps == 1 && watch_stat().bytes == HEALTHY_BYTES);
}

/* Binds to things that never come, as many as the quota lets it. */
static void parked_without_end(void)
{
	struct raw r = RAW_NULL;
	uint32_t parked = 0;

	healthy_begin();
	raw_open(&r);
	for (int i = 0; i < 20000 / STORY_FACTOR; i++) {
		struct frame f;
		struct wire_bind *bind = frame_init(&f, OP_BIND, 0, 0, sizeof(*bind));
		char name[32];
		int status;

		(void)snprintf(name, sizeof(name), "never-%d", i);
		name_copy(bind->name, name);
		bind->access = ACCESS_BEST;
		status = raw_call(&r, &f);
		assert_true(status == STATUS_PARKED || status == STATUS_QUOTA);
		parked += status == STATUS_PARKED;
	}
	assert_int_equal(parked, watch_stat().parked_binds);
	still_healthy();
	raw_close(&r);
	UNTIL(watch_stat().parked_binds == 0);
	healthy_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(requests_without_reading_the_replies),
		STORY(connections_without_end),
		STORY(create_and_delete_without_end),
		STORY(parked_without_end),
	};

	return cmocka_run_group_tests_name("flood", tests, NULL, NULL);
}
