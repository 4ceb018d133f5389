/*
 * Story: no daemon, the wrong daemon, a daemon that dies
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define BYTES 16384

static void expect_refused(struct lane *l)
{
	struct step s = lane_run(l, step_create(0, "x", BYTES, H_FIFO));

	EXPECT(-ECONNREFUSED, s.result);
	assert_true(s.took_ns < SECONDS(20));
	assert_non_null(strstr(last_problem(l).text, story_socket()));
	EXPECT(-ECONNREFUSED, do_create(l, 0, NULL, BYTES, H_FIFO));
	EXPECT(-ECONNREFUSED, do_bind_timed(l, 0, "x", TM_NONBLOCK));
	EXPECT(-EINVAL, do_alloc(l, 0, 0, 64, TM_NONBLOCK));
}

static int bare_listener(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(0, bind(fd, (const struct sockaddr *)&addr, sizeof(addr)));
	assert_int_equal(0, chmod(path, 0666));
	assert_int_equal(0, listen(fd, 8));
	return fd;
}

static void no_daemon(void)
{
	struct lane *l = lane_new();
	int fd;

	expect_refused(l); /* no socket at all */
	fd = bare_listener(story_socket());
	close_fd(&fd);
	expect_refused(l); /* one that nobody listens on */
	assert_int_equal(0, unlink(story_socket()));
	fd = open(story_socket(), O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
	close_fd(&fd);
	expect_refused(l); /* a plain file */
	assert_int_equal(0, unlink(story_socket()));

	/* and when there is one, all is well */
	heapd_start("");
	EXPECT(0, do_create(l, 0, "x", BYTES, H_FIFO));
	assert_string_equal("", last_problem(l).text);
}

/* ---- a daemon of another version, played by the test ---- */

static void play_newer(int listener, uint32_t version)
{
	struct raw peer = RAW_NULL;
	struct wire_welcome *welcome;
	struct frame f;

	peer.call = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(peer.call >= 0);
	EXPECT(0, channel_recv(peer.call, &f, 0));
	assert_int_equal(OP_HELLO, f.header.op);
	assert_int_equal(WIRE_VERSION, FRAME_BODY(&f, struct wire_hello)->version);
	welcome = frame_init(&f, OP_HELLO | WIRE_REPLY, f.header.id, STATUS_VERSION,
			     sizeof(*welcome));
	welcome->version = version;
	welcome->hw_page = 4096;
	(void)snprintf(welcome->build, sizeof(welcome->build), "9.8.7");
	EXPECT(0, channel_send(peer.call, &f, 0));
	raw_close(&peer);
}

static void a_daemon_too_new(void)
{
	struct lane *l = lane_new();
	struct step problem;
	int listener = bare_listener(story_socket());

	for (int way = 0; way < 5; way++) {
		const uint32_t version = way == 4 ? 0 : 77; /* an older one too */
		char text[32];

		lane_start(l, way == 0 || way == 4 ? step_create(0, "x", BYTES, H_FIFO) :
			      way == 1 ? step_bind(0, "x") :
			      way == 2 ? step_bind_timed(0, "x", TM_NONBLOCK) :
					 step_bind_timed(0, "x", SECONDS(1000)));
		play_newer(listener, version);
		(void)snprintf(text, sizeof(text), "speaks protocol %u,", version);
		EXPECT(-EPROTONOSUPPORT, lane_result(l));
		problem = last_problem(l);
		assert_non_null(strstr(problem.text, text)); /* its version … */
		assert_non_null(strstr(problem.text, "this library speaks 1")); /* … and ours */
		assert_non_null(strstr(problem.text, "9.8.7"));
		assert_non_null(strstr(problem.text, story_socket()));
	}
	close_fd(&listener);
	assert_int_equal(0, unlink(story_socket()));

	/* the right one takes over */
	heapd_start("");
	EXPECT(0, do_create(l, 0, "x", BYTES, H_FIFO));
}

/* The other way round: a client of another version is told the daemon's. */
static void tell_version(uint32_t version, const char *line)
{
	struct raw r = RAW_NULL;
	struct wire_hello *hello;
	struct frame f;

	EXPECT(0, raw_connect(&r));
	hello = frame_init(&f, OP_HELLO, 0, 0, sizeof(*hello));
	hello->version = version;
	EXPECT(STATUS_VERSION, raw_call(&r, &f));
	assert_int_equal(WIRE_VERSION, FRAME_BODY(&f, struct wire_welcome)->version);
	assert_int_equal(0, f.n_fds);
	assert_true(raw_hung_up(r.call));
	raw_close(&r);
	UNTIL(log_has(line)); /* both, for people on the daemon's side */
}

static void a_client_too_new(void)
{
	log_allow("speaks another version");
	heapd_start("");
	tell_version(WIRE_VERSION + 1, "speaks another version of the protocol: 2, not 1");
	tell_version(0, "speaks another version of the protocol: 0, not 1");
}

/* ---- something else behind the socket ---- */

static void play_garbage(int listener, int way)
{
	_cleanup_fd_ int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct frame f;

	assert_true(fd >= 0);
	if (way == 0)
		return; /* hangs up */
	EXPECT(0, channel_recv(fd, &f, 0));
	if (way == 1)
		return;
	if (way == 2) {
		assert_int_equal(5, send(fd, "HTTP/", 5, MSG_NOSIGNAL));
	} else { /* a welcome without its fds */
		struct wire_welcome *w =
			frame_init(&f, OP_HELLO | WIRE_REPLY, f.header.id, STATUS_OK, sizeof(*w));

		w->version = WIRE_VERSION;
		w->hw_page = 4096;
		w->n_slots = WIRE_SLOTS;
		EXPECT(0, channel_send(fd, &f, 0));
	}
	(void)raw_hung_up(fd); /* until the client has had enough */
}

static void something_that_is_no_daemon(void)
{
	struct lane *l = lane_new();
	int listener = bare_listener(story_socket()), r;

	for (int way = 0; way < 4; way++) {
		lane_start(l, step_create(0, "x", BYTES, H_FIFO));
		play_garbage(listener, way);
		r = lane_result(l);
		assert_true(r == -ECONNREFUSED || (way > 1 && r == -EPROTO));
		assert_string_not_equal("", last_problem(l).text);
	}
	close_fd(&listener);
}

/* ---- a daemon that dies ---- */

/* What the daemon would have to answer: who is first to notice decides which of the two. */
static void expect_lost(int r)
{
	assert_true(r == -EIDRM || r == -ECONNREFUSED);
}

static void killed_while_clients_wait(void)
{
	struct actor *a = actor_new(4);
	struct lane *holder = lane_new(), *next = lane_new();
	RT_HEAP_INFO info;

	heapd_start(PATIENT);
	EXPECT(0, do_create(holder, 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_bind(&a->lane[0], 0, "pool"));
	EXPECT(0, do_alloc(holder, 0, 0, BYTES, TM_NONBLOCK));
	lane_start(&a->lane[0], step_alloc(0, 0, 64, TM_INFINITE));
	lane_start(&a->lane[1], step_alloc(0, 1, 64, SECONDS(1000)));
	lane_start(&a->lane[2], step_bind(1, "reborn"));
	lane_start(&a->lane[3], step_bind_timed(2, "never", SECONDS(2)));
	UNTIL(watch_parked("pool") == 2 && watch_stat().parked_binds == 2);
	heapd_kill();

	EXPECT(-EIDRM, lane_result(&a->lane[0]));
	EXPECT(-EIDRM, lane_result(&a->lane[1]));
	EXPECT(-EIDRM, do_alloc(&a->lane[0], 0, 0, 64, TM_INFINITE));
	EXPECT(-EIDRM, do_alloc(&a->lane[0], 0, 0, 64, TM_NONBLOCK));
	expect_lost(do_inquire(&a->lane[0], 0, &info));
	expect_lost(do_delete(&a->lane[0], 0));
	EXPECT(-ECONNREFUSED, do_create(&a->lane[0], 3, "more", BYTES, H_FIFO));
	EXPECT(0, check_block(holder, 0, 0, BYTES)); /* no SIGBUS */
	EXPECT(-ETIMEDOUT, lane_result(&a->lane[3]));
	assert_false(lane_done(&a->lane[2]));

	/* the next daemon knows nothing of the old heaps */
	heapd_start("");
	EXPECT(-EWOULDBLOCK, do_bind_timed(&a->lane[0], 4, "pool", TM_NONBLOCK));
	EXPECT(-EIDRM, do_alloc(&a->lane[0], 0, 0, 64, TM_NONBLOCK));
	EXPECT(0, do_create(next, 0, "reborn", BYTES, H_SHARED));
	EXPECT(0, lane_result(&a->lane[2]));
	EXPECT(0, do_alloc(&a->lane[0], 1, 5, 0, TM_NONBLOCK));
	EXPECT(0, do_unbind(&a->lane[0], 0));
	EXPECT(0, do_unbind(holder, 0));
	EXPECT(0, do_create(holder, 0, "pool", BYTES, H_FIFO));
	EXPECT(0, do_alloc(holder, 0, 0, BYTES, TM_NONBLOCK));
}

/* A local heap has all its pages and needs no daemon. */
static void local_heaps_survive_the_daemon(void)
{
	struct actor *a = actor_new(2);

	heapd_start("");
	EXPECT(0, do_create(&a->lane[0], 0, NULL, BYTES, H_FIFO));
	EXPECT(0, do_alloc(&a->lane[0], 0, 0, 8192, TM_NONBLOCK));
	heapd_kill();
	EXPECT(0, check_block(&a->lane[0], 0, 0, 8192));
	EXPECT(0, do_alloc(&a->lane[0], 0, 1, 8192, TM_NONBLOCK));
	EXPECT(-EWOULDBLOCK, do_alloc(&a->lane[0], 0, 2, 16, TM_NONBLOCK));
	lane_start(&a->lane[1], step_alloc(0, 2, 8192, TM_INFINITE));
	EXPECT(0, do_free(&a->lane[0], 0, 0));
	EXPECT(0, lane_result(&a->lane[1]));
	EXPECT(0, do_unbind(&a->lane[0], 0));
}

/* What a process holds it can take and free without asking. */
static void a_stopped_daemon_hinders_nobody_who_has_pages(void)
{
	struct actor *a = actor_new(2);
	struct lane *l = &a->lane[0];
	pid_t pid;

	heapd_start("");
	EXPECT(0, do_create(l, 0, NULL, BYTES, H_FIFO));
	EXPECT(0, do_create(l, 1, "pool", BYTES, H_FIFO));
	pid = heapd_pid();
	assert_int_equal(0, kill(pid, SIGSTOP));
	for (int heap = 0; heap < 2; heap++) {
		EXPECT(0, do_alloc(l, heap, 0, 8192, TM_NONBLOCK));
		EXPECT(0, do_alloc(l, heap, 1, 8192, TM_INFINITE));
		lane_start(&a->lane[1], step_alloc(heap, 2, 64, TM_INFINITE));
		EXPECT(0, do_free(l, heap, 0));
		EXPECT(0, lane_result(&a->lane[1]));
		EXPECT(0, do_free(l, heap, 1));
		EXPECT(0, do_free(l, heap, 2));
		EXPECT(0, do_alloc(l, heap, 0, BYTES, MS(1)));
		EXPECT(-EWOULDBLOCK, do_alloc(l, heap, 1, 16, TM_NONBLOCK));
		EXPECT(-ETIMEDOUT, do_alloc(l, heap, 1, 16, MS(1)));
	}
	assert_int_equal(0, kill(pid, SIGCONT));
	EXPECT(0, do_bind(lane_new(), 0, "pool"));
}

/* SIGTERM is no worse than SIGKILL; many clients, all busy. */
static int run_until_gone(struct step *s)
{
	(void)s;
	for (;;) {
		void *block;
		int r = rt_heap_alloc(&self.heap[0], 4096, TM_INFINITE, &block);

		if (r == 0)
			r = rt_heap_free(&self.heap[0], block);
		if (r)
			return r;
		atomic_fetch_add(&board->count[0], 1);
	}
}

static void stopped_in_the_middle_of_work(void)
{
	for (int round = 0; round < 5; round++) {
		struct actor *a[3];

		heapd_start("");
		atomic_store(&board->count[0], 0);
		for (int i = 0; i < 3; i++) {
			a[i] = actor_new(2);
			EXPECT(0, i ? do_bind(&a[i]->lane[0], 0, "pool") :
				      do_create(&a[i]->lane[0], 0, "pool", 8192, H_FIFO));
		}
		for (int i = 0; i < 3; i++)
			for (int k = 0; k < 2; k++)
				lane_start(&a[i]->lane[k], (struct step){ .run = run_until_gone });
		UNTIL(atomic_load(&board->count[0]) > 1000);
		if (round % 2)
			heapd_kill();
		else
			heapd_stop();
		for (int i = 0; i < 3; i++) {
			for (int k = 0; k < 2; k++)
				EXPECT(-EIDRM, lane_result(&a[i]->lane[k]));
			actor_quit(a[i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(no_daemon),
		STORY(a_daemon_too_new),
		STORY(a_client_too_new),
		STORY(something_that_is_no_daemon),
		STORY(killed_while_clients_wait),
		STORY(local_heaps_survive_the_daemon),
		STORY(a_stopped_daemon_hinders_nobody_who_has_pages),
		STORY(stopped_in_the_middle_of_work),
	};

	return cmocka_run_group_tests_name("absent", tests, NULL, NULL);
}
