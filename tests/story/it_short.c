/*
 * Story: the machine, or the account that heapd runs in, is short of something
 *
 * What heapd can do without it does without, and says so; what it cannot, the client that asked is told. Limits of
 * descriptors and quotas are in it_limits.c; failures of each single call in tests/fail.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include "proto/codec.h"
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define BYTES 65536
#define MIB ((size_t)1 << 20)
#define NOBODY 65534

/* A heap and a segment come, are shared and go. */
static void is_of_use(void)
{
	struct lane *l = lane_new(), *other = lane_new();

	EXPECT(0, do_create(l, 0, "pool", 8 * MIB, H_FIFO));
	EXPECT(0, do_create(l, 1, "shared", BYTES, H_SHARED));
	EXPECT(0, do_bind(other, 0, "pool"));
	EXPECT(0, do_bind(other, 1, "shared"));
	EXPECT(0, do_alloc(l, 0, 0, 4 * MIB, TM_NONBLOCK));
	EXPECT(0, check_block(l, 0, 0, 4 * MIB));
	EXPECT(0, do_alloc(other, 0, 0, MIB, TM_NONBLOCK));
	EXPECT(0, do_alloc(other, 1, 1, 0, TM_NONBLOCK));
	EXPECT(0, do_free(l, 0, 0));
	EXPECT(0, do_delete(l, 0));
	EXPECT(0, do_delete(l, 1));
}

/* ---- io_uring ---- */

static int refuse(unsigned call, unsigned error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = ARRAY_SIZE(code), .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* A kernel that has none. */
static int no_such_call(void)
{
	return refuse(SYS_io_uring_setup, ENOSYS);
}

/* A container's filter; kernel.io_uring_disabled says the same. */
static int not_allowed(void)
{
	return refuse(SYS_io_uring_setup, EPERM);
}

/* One that lets it be made, and not be used. */
static int not_to_be_entered(void)
{
	return refuse(SYS_io_uring_enter, EPERM);
}

static void without_io_uring(int (*prepare)(void))
{
	heapd_start_prepared("", prepare);
	assert_int_equal(0, watch_stat().io_uring);
	assert_true(log_has("committing memory through a thread") || log_has("no io_uring"));
	is_of_use();
	heapd_stop();
}

static void io_uring_is_refused(void)
{
	without_io_uring(no_such_call);
	without_io_uring(not_allowed);
	without_io_uring(not_to_be_entered);
}

/* ---- locked memory ---- */

static int become_nobody(void)
{
	if (setresgid(NOBODY, NOBODY, NOBODY) < 0)
		return -1;
	return setresuid(NOBODY, NOBODY, NOBODY);
}

static int lock_nothing(void)
{
	const struct rlimit none = { 0, 0 };

	return setrlimit(RLIMIT_MEMLOCK, &none) < 0 ? -1 : become_nobody();
}

static void begin_as_nobody(void)
{
	story_needs_root();
	assert_int_equal(0, chown(story_dir(), NOBODY, NOBODY));
}

static void nothing_may_be_locked(void)
{
	begin_as_nobody();
	log_allow("cannot lock the daemon's memory");
	log_allow("cannot run at real-time priority");
	heapd_start_prepared("[daemon]\nlock_memory = yes\npriority = 10\nlock_arenas = yes\n", lock_nothing);
	assert_int_equal(0, watch_stat().locked);
	assert_true(log_has("locked into RAM"));
	is_of_use();
}

/* ---- the size of files ---- */

static int small_files(void)
{
	const struct rlimit limit = { 32 * MIB, 32 * MIB };

	return setrlimit(RLIMIT_FSIZE, &limit);
}

/* The kernel sends SIGXFSZ, which would be the end of it. */
static void a_limit_of_file_sizes(void)
{
	struct lane *l = lane_new();

	log_allow("memory could not be committed");
	heapd_start_prepared("", small_files);
	EXPECT(0, do_create(l, 0, "fits", 4 * MIB, H_FIFO));
	EXPECT(-ENOMEM, do_create(l, 1, "large", 64 * MIB, H_FIFO));
	EXPECT(-ENOMEM, do_create(l, 1, NULL, 64 * MIB, H_SINGLE));
	assert_false(watch_exists("large"));
	assert_int_equal(1, watch_stat().heaps);
	EXPECT(0, do_alloc(l, 0, 0, 4 * MIB, TM_NONBLOCK));
	EXPECT(0, do_delete(l, 0));
	is_of_use();
}

/* ---- descriptors on their way ---- */

/*
 * The kernel counts the descriptors that a user has sent and nobody has received; beyond the limit of open files a
 * process without privileges can send no more (ETOOMANYREFS). So a client that does not read its replies takes this
 * from all others. They are told so, lose nothing, and it works again when it is gone.
 */
#define FEW_FILES 64

static int few_files_as_nobody(void)
{
	const struct rlimit few = { FEW_FILES, FEW_FILES };

	return setrlimit(RLIMIT_NOFILE, &few) < 0 ? -1 : become_nobody();
}

/* Binds and unbinds, and reads no reply, until the daemon has stopped reading from it. */
static void hoard(struct raw *r, uint64_t heap)
{
	struct frame f;
	int e = 0;

	for (uint32_t i = 1; e == 0; i++) {
		struct wire_bind *bind = frame_init(&f, OP_BIND, 2 * i, 0, sizeof(*bind));
		struct wire_heap *unbind;

		name_copy(bind->name, "bait");
		bind->access = ACCESS_WRITE;
		bind->flags = WIRE_BIND_NOWAIT;
		e = channel_send(r->call, &f, MSG_DONTWAIT);
		if (e)
			break;
		unbind = frame_init(&f, OP_UNBIND, 2 * i + 1, 0, sizeof(*unbind));
		unbind->heap = heap;
		e = channel_send(r->call, &f, MSG_DONTWAIT);
	}
	assert_int_equal(-EAGAIN, e);
}

static void descriptors_that_nobody_receives(void)
{
	struct raw r = RAW_NULL;
	struct wire_bound bound;
	struct lane *l = lane_new(), *late = lane_new(); /* they must not inherit r's sockets */
	uint64_t sessions;

	begin_as_nobody();
	log_allow("client dropped");
	log_allow("not locked");
	heapd_start_prepared("", few_files_as_nobody);
	EXPECT(0, do_create(l, 0, "mine", BYTES, H_FIFO));
	EXPECT(0, do_create(l, 1, "bait", BYTES, H_SHARED));
	EXPECT(0, do_unbind(l, 1));
	sessions = watch_stat().sessions;
	raw_open(&r);
	EXPECT(STATUS_OK, raw_bind(&r, "bait", ACCESS_WRITE, &bound, NULL));
	hoard(&r, bound.heap);

	while (do_bind_timed(l, 1, "bait", TM_NONBLOCK) == 0) {
		EXPECT(0, do_unbind(l, 1));
		hoard(&r, bound.heap); /* the daemon may have been slow, and the socket full of too few requests */
		story_pause("there are too many on their way", __FILE__, __LINE__);
	}
	EXPECT(-EMFILE, do_bind_timed(l, 1, "bait", TM_NONBLOCK));
	EXPECT(-EMFILE, do_create(l, 1, "more", BYTES, H_FIFO));
	EXPECT(-EMFILE, do_create(l, 1, NULL, BYTES, H_FIFO));
	EXPECT(-EMFILE, do_create(late, 0, NULL, BYTES, H_FIFO));
	assert_false(watch_exists("more"));
	EXPECT(0, do_alloc(l, 0, 0, BYTES, TM_NONBLOCK)); /* nothing is lost */
	EXPECT(0, do_free(l, 0, 0));

	raw_close(&r);
	UNTIL(watch_stat().sessions == sessions);
	UNTIL(do_bind_timed(l, 1, "bait", TM_NONBLOCK) == 0);
	EXPECT(0, do_create(l, 2, "more", BYTES, H_FIFO));
	EXPECT(0, do_create(late, 0, NULL, BYTES, H_FIFO));
	assert_int_equal(1, watch_bound("bait"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(io_uring_is_refused),
		STORY(nothing_may_be_locked),
		STORY(a_limit_of_file_sizes),
		STORY(descriptors_that_nobody_receives),
	};

	return cmocka_run_group_tests_name("short", tests, NULL, NULL);
}
