/*
 * test_channel.c: frames over a socketpair: whole or refused, and no fd is ever lost or leaked
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "proto/channel.h"

struct pair {
	int a, b;
	int open_fds; /* before the test: as many must be open after it */
};

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	(void)closedir(dir);
	return n;
}

static int setup(void **state)
{
	static struct pair p;
	int s[2];

	p.open_fds = count_fds();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s) < 0)
		return -1;
	p.a = s[0];
	p.b = s[1];
	*state = &p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;

	close_fd(&p->a);
	close_fd(&p->b);
	return count_fds() == p->open_fds ? 0 : -1; /* else: a leak */
}

static bool same_file(int x, int y)
{
	struct stat sx, sy;

	return fstat(x, &sx) == 0 && fstat(y, &sy) == 0 && sx.st_ino == sy.st_ino &&
	       sx.st_dev == sy.st_dev;
}

static void fill(struct frame *f, size_t length)
{
	uint8_t *body = frame_init(f, OP_PING, 7, 3, length);

	for (size_t i = 0; i < length; i++)
		body[i] = (uint8_t)(i * 7 + 1);
}

/* Sends bytes and fds as they are, past all rules. */
static void send_raw(int fd, const void *bytes, size_t length, const int *fds, size_t n)
{
	union {
		struct cmsghdr first;
		char bytes[CMSG_SPACE(8 * sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
		control.first.cmsg_level = SOL_SOCKET;
		control.first.cmsg_type = SCM_RIGHTS;
		control.first.cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(&control.first), fds, n * sizeof(int));
	}
	assert_int_equal(length, sendmsg(fd, &msg, 0));
}

static void test_init_zeroes_the_body(void **state)
{
	struct frame f;

	(void)state;
	memset(&f, 0xff, sizeof(f));
	assert_ptr_equal(f.body.bytes, frame_init(&f, OP_BIND, 5, 2, 72));
	assert_int_equal(72, f.header.length);
	assert_int_equal(OP_BIND, f.header.op);
	assert_int_equal(5, f.header.id);
	assert_int_equal(2, f.header.status);
	assert_int_equal(0, f.header.n_fds);
	assert_int_equal(0, f.n_fds);
	for (size_t i = 0; i < 72; i++)
		assert_int_equal(0, f.body.bytes[i]);
	assert_int_equal(0xff, f.body.bytes[72]); /* no more than that: frames are big */
}

static void every_length(const struct pair *p, int flags)
{
	struct frame out, in;

	for (size_t length = 0; length <= WIRE_BODY_MAX; length += length < 200 ? 1 : 97) {
		fill(&out, length);
		memset(&in, 0, sizeof(in));
		assert_int_equal(0, channel_send(p->a, &out, 0));
		assert_int_equal(0, channel_recv(p->b, &in, flags));
		assert_memory_equal(&out.header, &in.header, sizeof(in.header));
		assert_memory_equal(out.body.bytes, in.body.bytes, length);
	}
	fill(&out, WIRE_BODY_MAX);
	assert_int_equal(0, channel_send(p->a, &out, 0));
	assert_int_equal(0, channel_recv(p->b, &in, flags));
	assert_memory_equal(out.body.bytes, in.body.bytes, WIRE_BODY_MAX);
}

static void test_every_length(void **state)
{
	every_length(*state, 0);
	every_length(*state, CHANNEL_NO_FDS);
}

static void test_fds_arrive_once(void **state)
{
	struct pair *p = *state;
	struct frame out, in;
	int fds[WIRE_FDS_MAX];

	fill(&out, 10);
	for (size_t i = 0; i < WIRE_FDS_MAX; i++) {
		fds[i] = memfd_create("test", MFD_CLOEXEC);
		assert_true(fds[i] >= 0);
		frame_add_fd(&out, fds[i]);
	}
	assert_int_equal(0, channel_send(p->a, &out, 0));
	fill(&out, 0);
	assert_int_equal(0, channel_send(p->a, &out, 0));

	assert_int_equal(0, channel_recv(p->b, &in, 0));
	assert_int_equal(WIRE_FDS_MAX, in.n_fds);
	for (size_t i = 0; i < WIRE_FDS_MAX; i++) {
		assert_true(in.fds[i] != fds[i] && same_file(in.fds[i], fds[i]));
		assert_int_equal(FD_CLOEXEC, fcntl(in.fds[i], F_GETFD));
		assert_int_equal(0, close(fds[i])); /* sending left it ours */
	}
	frame_close_fds(&in);
	assert_int_equal(0, in.n_fds);
	frame_close_fds(&in); /* safe twice */
	assert_int_equal(0, channel_recv(p->b, &in, 0));
	assert_int_equal(0, in.n_fds);
}

/* A taken fd is not closed with the frame. */
static void test_taken_fd_stays(void **state)
{
	struct pair *p = *state;
	struct frame out, in;
	int fd;

	fill(&out, 0);
	frame_add_fd(&out, p->a);
	assert_int_equal(0, channel_send(p->a, &out, 0));
	assert_int_equal(0, channel_recv(p->b, &in, 0));
	fd = take_fd(&in.fds[0]);
	frame_close_fds(&in);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	assert_int_equal(0, close(fd));
}

static void bad_frames(const struct pair *p, int flags)
{
	struct frame f, in;
	uint8_t huge[WIRE_FRAME_MAX + 1] = {0};

	fill(&f, 32);
	send_raw(p->a, &f, sizeof(f.header) - 1, NULL, 0);
	assert_int_equal(-EPROTO, channel_recv(p->b, &in, flags)); /* less than a header */
	send_raw(p->a, &f, sizeof(f.header) + 31, NULL, 0);
	assert_int_equal(-EPROTO, channel_recv(p->b, &in, flags)); /* less than announced */
	send_raw(p->a, &f, sizeof(f.header) + 33, NULL, 0);
	assert_int_equal(-EPROTO, channel_recv(p->b, &in, flags)); /* more than announced */
	f.header.length = UINT32_MAX - 15;
	send_raw(p->a, &f, sizeof(f.header), NULL, 0);
	assert_int_equal(-EPROTO, channel_recv(p->b, &in, flags)); /* a length that overflows */
	fill(&f, WIRE_BODY_MAX);
	memcpy(huge, &f, WIRE_FRAME_MAX);
	send_raw(p->a, huge, sizeof(huge), NULL, 0);
	assert_int_equal(-EPROTO, channel_recv(p->b, &in, flags)); /* truncated */
	fill(&f, 1);
	f.header.n_fds = 1;
	send_raw(p->a, &f, sizeof(f.header) + 1, NULL, 0);
	assert_int_equal(-EPROTO, channel_recv(p->b, &in, flags)); /* an fd announced that did not come */
	assert_int_equal(0, in.n_fds);

	fill(&f, 4); /* and after all that the channel still works */
	assert_int_equal(0, channel_send(p->a, &f, 0));
	assert_int_equal(0, channel_recv(p->b, &in, flags));
}

static void test_bad_frames(void **state)
{
	bad_frames(*state, 0);
	bad_frames(*state, CHANNEL_NO_FDS);
}

static void test_fds_nobody_announced(void **state)
{
	struct pair *p = *state;
	struct frame f, in;
	const int fds[4] = {p->a, p->a, p->a, p->a};

	for (size_t n = 1; n <= 4; n++) {
		fill(&f, 8);
		f.header.n_fds = (uint16_t)(n == 3 ? 2 : 0);
		send_raw(p->a, &f, sizeof(f.header) + 8, fds, n);
		assert_int_equal(-EPROTO, channel_recv(p->b, &in, 0));
		assert_int_equal(0, in.n_fds);
	}
	/* four fds, honestly announced: more than any message has */
	f.header.n_fds = 4;
	send_raw(p->a, &f, sizeof(f.header) + 8, fds, 4);
	assert_int_equal(-EPROTO, channel_recv(p->b, &in, 0));
	/* four fds, three announced: the kernel cuts the fourth off and says so */
	f.header.n_fds = 3;
	send_raw(p->a, &f, sizeof(f.header) + 8, fds, 4);
	assert_int_equal(-EPROTO, channel_recv(p->b, &in, 0));
	/* fds with nothing else: reads as the end */
	send_raw(p->a, &f, 0, fds, 2);
	assert_int_equal(-ECONNRESET, channel_recv(p->b, &in, 0));
	assert_int_equal(0, in.n_fds);
	/* teardown counts what is open */
}

/* Who expects none gets none, and keeps none open; one that was announced is missed. */
static void test_no_fds(void **state)
{
	struct pair *p = *state;
	struct frame f, in;
	const int fds[2] = {p->a, p->a};

	for (uint16_t announced = 0; announced <= 2; announced++) {
		fill(&f, 8);
		f.header.n_fds = announced;
		send_raw(p->a, &f, sizeof(f.header) + 8, fds, 2);
		assert_int_equal(announced ? -EPROTO : 0, channel_recv(p->b, &in, CHANNEL_NO_FDS));
		assert_int_equal(0, in.n_fds);
		assert_memory_equal(f.body.bytes, in.body.bytes, 8);
	}
	/* teardown counts what is open */
}

static rlim_t limit_fds(rlim_t to)
{
	struct rlimit limit;
	rlim_t old;

	assert_int_equal(0, getrlimit(RLIMIT_NOFILE, &limit));
	old = limit.rlim_cur;
	limit.rlim_cur = to;
	assert_int_equal(0, setrlimit(RLIMIT_NOFILE, &limit));
	return old;
}

/* Our own table is full: the frame's words come through, its fds do not, and none leaks. */
static void test_out_of_fds(void **state)
{
	struct pair *p = *state;

	for (int room = 0; room <= (int)WIRE_FDS_MAX; room++) {
		struct frame out, in;
		rlim_t old;
		int top;

		fill(&out, 24);
		for (size_t i = 0; i < WIRE_FDS_MAX; i++)
			frame_add_fd(&out, p->a);
		assert_int_equal(0, channel_send(p->a, &out, 0));
		top = dup(p->b);
		assert_int_equal(0, close(top));
		old = limit_fds((rlim_t)(top + room)); /* top is the lowest free number */
		memset(&in, 0, sizeof(in));
		assert_int_equal(room < (int)WIRE_FDS_MAX ? -EMFILE : 0,
				 channel_recv(p->b, &in, 0));
		(void)limit_fds(old);
		assert_int_equal(room < (int)WIRE_FDS_MAX ? 0 : WIRE_FDS_MAX, in.n_fds);
		assert_int_equal(out.header.id, in.header.id);
		assert_memory_equal(out.body.bytes, in.body.bytes, 24);
		frame_close_fds(&in);
	}
}

static void test_end_of_file(void **state)
{
	struct pair *p = *state;
	struct frame f;

	fill(&f, 4);
	assert_int_equal(0, channel_send(p->a, &f, 0));
	close_fd(&p->a);
	assert_int_equal(0, channel_recv(p->b, &f, 0)); /* what was sent before the end still comes */
	assert_int_equal(-ECONNRESET, channel_recv(p->b, &f, 0));
	assert_int_equal(-ECONNRESET, channel_recv(p->b, &f, MSG_DONTWAIT));
	assert_int_equal(-ECONNRESET, channel_recv(p->b, &f, CHANNEL_NO_FDS));
}

/* The process has the default action for SIGPIPE: being alive afterwards is the test. */
static void test_send_to_nobody(void **state)
{
	struct pair *p = *state;
	struct frame f;

	fill(&f, 4);
	close_fd(&p->b);
	assert_int_equal(-EPIPE, channel_send(p->a, &f, 0));
	frame_add_fd(&f, p->a);
	assert_int_equal(-EPIPE, channel_send(p->a, &f, 0));
}

static void test_would_block(void **state)
{
	struct pair *p = *state;
	struct frame f, in;
	int sent = 0, r;

	assert_int_equal(-EAGAIN, channel_recv(p->b, &in, MSG_DONTWAIT));
	assert_int_equal(-EAGAIN, channel_recv(p->b, &in, MSG_DONTWAIT | CHANNEL_NO_FDS));
	fill(&f, 2000);
	while ((r = channel_send(p->a, &f, MSG_DONTWAIT)) == 0)
		sent++;
	assert_int_equal(-EAGAIN, r);
	assert_true(sent > 0);
	while (channel_recv(p->b, &in, MSG_DONTWAIT) == 0)
		sent--;
	assert_int_equal(0, sent); /* the one that was refused was not half sent */
}

static void on_signal(int signo)
{
	(void)signo;
}

struct interrupter {
	pthread_t target;
	int fd;
	struct frame frame;
};

/* Signals until the receiver was surely interrupted, then sends. */
static void *interrupt_and_send(void *arg)
{
	struct interrupter *in = arg;
	const struct timespec pause = {.tv_nsec = 2000000};

	for (int i = 0; i < 20; i++) {
		(void)nanosleep(&pause, NULL);
		(void)pthread_kill(in->target, SIGUSR1);
	}
	(void)nanosleep(&pause, NULL);
	(void)channel_send(in->fd, &in->frame, 0);
	return NULL;
}

static void interrupted(const struct pair *p, int flags)
{
	struct interrupter other = {.target = pthread_self(), .fd = p->a};
	const struct sigaction sa = {.sa_handler = on_signal}; /* no SA_RESTART */
	struct frame f;
	pthread_t thread;
	int n = 0, r;

	assert_int_equal(0, sigaction(SIGUSR1, &sa, NULL));
	fill(&other.frame, 4);

	assert_int_equal(0, pthread_create(&thread, NULL, interrupt_and_send, &other));
	assert_int_equal(0, channel_recv(p->b, &f, flags)); /* restarts */
	assert_int_equal(0, pthread_join(thread, NULL));

	assert_int_equal(0, pthread_create(&thread, NULL, interrupt_and_send, &other));
	while ((r = channel_recv(p->b, &f, flags | CHANNEL_INTERRUPTIBLE)) == -EINTR)
		n++;
	assert_int_equal(0, r);
	assert_int_equal(0, pthread_join(thread, NULL));
	assert_true(n > 0);
}

static void test_interrupted(void **state)
{
	interrupted(*state, 0);
	interrupted(*state, CHANNEL_NO_FDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init_zeroes_the_body),
		cmocka_unit_test_setup_teardown(test_every_length, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fds_arrive_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken_fd_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_frames, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fds_nobody_announced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_fds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_out_of_fds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end_of_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_send_to_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(test_would_block, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interrupted, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
