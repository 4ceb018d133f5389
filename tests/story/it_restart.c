/*
 * Story: heapd dies or is replaced, and what it kept goes on
 */
#include <signal.h>
#include "tests/story/keeper.h"
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define BYTES 65536
#define STORE 256u

/* As systemd would, at once. */
static void again(void)
{
	heapd_kill();
	heapd_start("");
}

/* Nobody asks, nothing is parked: heaps, contents and grants are there as before. */
static void a_named_heap_goes_on(void)
{
	struct actor *a = actor_new(2);
	struct lane *l = &a->lane[0], *other = lane_new();
	RT_HEAP_INFO info;

	heapd_keep(STORE);
	heapd_start("");
	EXPECT(0, do_create(l, 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_create(l, 1, "segment", BYTES, H_SHARED));
	EXPECT(0, do_create(l, 2, NULL, BYTES, H_FIFO));
	EXPECT(0, do_alloc(l, 0, 0, 8192, TM_NONBLOCK));
	EXPECT(0, do_alloc(l, 1, 1, 0, TM_NONBLOCK));
	EXPECT(0, do_alloc(l, 2, 2, 8192, TM_NONBLOCK));
	EXPECT(0, put_text(l, 1, 100, "what was written"));
	EXPECT(0, do_bind(other, 0, "pool"));
	EXPECT(0, do_alloc(other, 0, 3, 8192, TM_NONBLOCK));
	again();

	EXPECT(0, do_inquire(l, 0, &info));
	assert_int_equal(16384, info.usedmem);
	EXPECT(0, check_block(l, 0, 0, 8192));
	EXPECT(0, check_block(other, 3, 3, 8192));
	EXPECT(0, do_free(l, 0, 0));
	EXPECT(0, do_free(other, 0, 3));
	EXPECT(0, do_alloc(l, 0, 4, BYTES, SECONDS(30))); /* all of it, the other's pages too */
	EXPECT(0, do_free(l, 0, 4));
	EXPECT(0, check_block(l, 2, 2, 8192));
	EXPECT(0, do_free(l, 2, 2));
	EXPECT(0, do_alloc(l, 2, 2, BYTES, TM_NONBLOCK));
	EXPECT(0, do_bind(other, 1, "segment"));
	EXPECT(0, do_alloc(other, 1, 5, 0, TM_NONBLOCK));
	assert_string_equal("what was written", get_text(other, 5, 100).text);
	EXPECT(-EEXIST, do_create(other, 2, "pool", BYTES, H_FIFO));
	EXPECT(0, do_delete(l, 0));
	EXPECT(-EIDRM, do_alloc(other, 0, 3, 64, TM_NONBLOCK));
	EXPECT(0, do_create(other, 2, "pool", BYTES, H_FIFO));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_named_heap_goes_on),
	};

	return cmocka_run_group_tests_name("restart", tests, NULL, NULL);
}
