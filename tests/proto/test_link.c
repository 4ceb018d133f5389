/*
 * test_link.c: finding the daemon, HELLO and one call at a time, against a scripted peer
 *
 * The peer is a thread on a real socket in a temporary folder that answers HELLO in the way a test
 * sets, and then every further request in the way the test sets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <cmocka.h>

#include "client/link.h"
#include "config-heapd.h"
#include "proto/codec.h"

enum greeting { WELCOME, REFUSE, OLDER, HANG_UP, HANG_UP_UNREAD, SILENCE, NONSENSE, WRONG_ID };
enum answer { ECHO, OTHER_ID, OTHER_OP, BAD_BODY, GOODBYE, MANY_FDS };

struct peer {
	char dir[64], path[LINK_PATH_SIZE];
	int listener;
	pthread_t thread;
	_Atomic(enum greeting) greeting;
	_Atomic(enum answer) answer;
	_Atomic uint32_t status; /* with REFUSE */
	pthread_mutex_t lock;    /* label's */
	char label[WIRE_LABEL_SIZE];
	_Atomic bool quit; /* ends SILENCE */
};

static char problem[256];

/* ---- the peer ---- */

static int welcome(struct frame *f, uint32_t id)
{
	struct wire_welcome *w = frame_init(f, OP_HELLO | WIRE_REPLY, id, STATUS_OK, sizeof(*w));
	int ends[2];

	*w = (struct wire_welcome){
		.version = WIRE_VERSION, .session = 7, .max_heap = 1 << 20, .hw_page = HW_PAGE_SIZE,
		.n_slots = 16, .build = "9.9",
	};
	assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	frame_add_fd(f, ends[0]);
	frame_add_fd(f, memfd_create("stats", MFD_CLOEXEC));
	frame_add_fd(f, memfd_create("control", MFD_CLOEXEC));
	return ends[1];
}

static void refuse(struct frame *f, uint32_t id, uint32_t status, uint32_t version)
{
	struct wire_welcome *w = frame_init(f, OP_HELLO | WIRE_REPLY, id, status, sizeof(*w));

	*w = (struct wire_welcome){.version = version, .build = "9.9"};
	if (status != STATUS_VERSION)
		f->header.length = 0;
}

/* Answers HELLO; returns the other end of the event socket, or -1 if there is no session. */
static int peer_greet(struct peer *p, int fd)
{
	struct frame f;
	int event = -1;
	uint32_t id;

	if (p->greeting == HANG_UP_UNREAD || channel_recv(fd, &f, 0) < 0)
		return -1;
	assert(codec_check_request(&f, CODEC_CALL, NULL) == 0 && f.header.op == OP_HELLO);
	(void)pthread_mutex_lock(&p->lock);
	memcpy(p->label, FRAME_BODY(&f, struct wire_hello)->label, WIRE_LABEL_SIZE);
	(void)pthread_mutex_unlock(&p->lock);
	id = f.header.id;
	switch (atomic_load(&p->greeting)) {
	case WELCOME:
		event = welcome(&f, id);
		break;
	case REFUSE:
		refuse(&f, id, p->status, WIRE_VERSION);
		break;
	case OLDER:
		refuse(&f, id, STATUS_VERSION, 41);
		break;
	case WRONG_ID:
		event = welcome(&f, id + 1);
		break;
	case NONSENSE:
		(void)frame_init(&f, OP_HELLO | WIRE_REPLY, id, STATUS_OK, 5);
		break;
	case SILENCE:
		while (!p->quit)
			(void)usleep(1000);
		return -1;
	case HANG_UP:
	case HANG_UP_UNREAD:
		return -1;
	}
	(void)channel_send(fd, &f, 0);
	frame_close_fds(&f);
	return event;
}

static void peer_answer(struct peer *p, int fd, struct frame *f)
{
	f->header.op |= WIRE_REPLY;
	switch (atomic_load(&p->answer)) {
	case ECHO:
	case GOODBYE:
		break;
	case OTHER_ID:
		f->header.id++;
		break;
	case OTHER_OP:
		f->header.op++;
		break;
	case BAD_BODY:
		f->header.length--;
		break;
	case MANY_FDS:
		(void)welcome(f, f->header.id);
	}
	(void)channel_send(fd, f, 0);
	frame_close_fds(f);
}

static void *peer_run(void *arg)
{
	struct peer *p = arg;
	int fd;

	while ((fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		int event = peer_greet(p, fd);
		struct frame f;

		while (event >= 0 && p->answer != GOODBYE && channel_recv(fd, &f, 0) == 0)
			peer_answer(p, fd, &f);
		close_fd(&event);
		close_fd(&fd);
	}
	return NULL;
}

static int setup(void **state)
{
	static struct peer peer;
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	struct peer *p = &peer;

	*p = (struct peer){.dir = "/tmp/test_link.XXXXXX", .lock = PTHREAD_MUTEX_INITIALIZER};
	if (!mkdtemp(p->dir))
		return -1;
	(void)snprintf(p->path, sizeof(p->path), "%s/sock", p->dir);
	memcpy(to.sun_path, p->path, strlen(p->path) + 1);
	p->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (bind(p->listener, (struct sockaddr *)&to, sizeof(to)) < 0 || listen(p->listener, 8) < 0)
		return -1;
	memset(problem, 0, sizeof(problem));
	*state = p;
	return pthread_create(&p->thread, NULL, peer_run, p);
}

static int teardown(void **state)
{
	struct peer *p = *state;

	p->quit = true;
	(void)shutdown(p->listener, SHUT_RDWR);
	(void)pthread_join(p->thread, NULL);
	close_fd(&p->listener);
	(void)unlink(p->path);
	return rmdir(p->dir);
}

static void assert_closed(const struct link *l)
{
	assert_int_equal(-1, l->call_fd);
	assert_int_equal(-1, l->event_fd);
	assert_int_equal(-1, l->stats_fd);
	assert_int_equal(-1, l->control_fd);
}

/* ---- HELLO ---- */

static void test_welcome(void **state)
{
	struct peer *p = *state;
	struct timeval tv = {.tv_sec = 9};
	socklen_t size = sizeof(tv);
	struct link l;

	assert_int_equal(0, link_open_at(&l, p->path, problem, sizeof(problem)));
	assert_int_equal(7, l.welcome.session);
	assert_int_equal(16, l.welcome.n_slots);
	(void)pthread_mutex_lock(&p->lock);
	assert_string_equal(program_invocation_short_name, p->label);
	(void)pthread_mutex_unlock(&p->lock);
	assert_int_equal(FD_CLOEXEC, fcntl(l.call_fd, F_GETFD));
	assert_int_equal(FD_CLOEXEC, fcntl(l.event_fd, F_GETFD));
	assert_int_equal(FD_CLOEXEC, fcntl(l.stats_fd, F_GETFD));
	assert_int_equal(FD_CLOEXEC, fcntl(l.control_fd, F_GETFD));
	/* the bound on the wait was for HELLO only */
	assert_int_equal(0, getsockopt(l.call_fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &size));
	assert_true(tv.tv_sec == 0 && tv.tv_usec == 0);
	link_close(&l);
	assert_closed(&l);
	link_close(&l);
}

static void expect(struct peer *p, enum greeting greeting, int error, const char *words)
{
	struct link l;

	p->greeting = greeting;
	assert_int_equal(error, link_open_at(&l, p->path, problem, sizeof(problem)));
	assert_closed(&l);
	assert_non_null(strstr(problem, p->path));
	if (!strstr(problem, words))
		fail_msg("\"%s\" is not in \"%s\"", words, problem);
	assert_int_equal(error, link_open_at(&l, p->path, NULL, 0)); /* no text wanted */
}

static void test_refusals(void **state)
{
	struct peer *p = *state;

	expect(p, OLDER, -EPROTONOSUPPORT, "heapd 9.9 speaks protocol 41, this library speaks 1");
	p->status = STATUS_QUOTA;
	expect(p, REFUSE, -EDQUOT, "quota");
	p->status = STATUS_DENIED;
	expect(p, REFUSE, -EACCES, "denied");
	p->status = STATUS_NO_FILES;
	expect(p, REFUSE, -EMFILE, "file descriptors");
	expect(p, HANG_UP, -ECONNREFUSED, "hung up");
	expect(p, HANG_UP_UNREAD, -ECONNREFUSED, "hung up");
	expect(p, NONSENSE, -EPROTO, "wrong length");
	expect(p, WRONG_ID, -EPROTO, "no heapd");
}

static void on_alarm(int signo)
{
	(void)signo;
}

/* A daemon that is stopped: the wait ends, also when signals keep interrupting it. */
static void test_silence(void **state)
{
	struct peer *p = *state;
	const struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	const struct itimerval every = {.it_interval.tv_usec = 50000, .it_value.tv_usec = 50000};
	const struct itimerval never = {.it_value.tv_sec = 0};
	uint64_t start = now_ns(), took;
	struct link l;

	p->greeting = SILENCE;
	assert_int_equal(0, sigaction(SIGALRM, &sa, NULL));
	assert_int_equal(0, setitimer(ITIMER_REAL, &every, NULL));
	assert_int_equal(-ETIMEDOUT, link_open_at(&l, p->path, problem, sizeof(problem)));
	assert_int_equal(0, setitimer(ITIMER_REAL, &never, NULL));
	took = now_ns() - start;
	assert_true(took >= LINK_HELLO_NS && took < LINK_HELLO_NS * 3);
	assert_closed(&l);
}

static void test_out_of_fds(void **state)
{
	struct peer *p = *state;
	struct rlimit limit, old;
	struct link l;
	int top = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_int_equal(0, getrlimit(RLIMIT_NOFILE, &old));
	limit = old;
	p->status = STATUS_DENIED;
	p->greeting = REFUSE; /* the peer itself needs one for accept, and no more */
	limit.rlim_cur = (rlim_t)top;
	assert_int_equal(0, setrlimit(RLIMIT_NOFILE, &limit));
	assert_int_equal(-EMFILE, link_open_at(&l, p->path, problem, sizeof(problem)));
	assert_int_equal(0, setrlimit(RLIMIT_NOFILE, &old));
	assert_closed(&l);
	close_fd(&top);
}

/* ---- where ---- */

static void test_nobody(void **state)
{
	struct peer *p = *state;
	char path[LINK_PATH_SIZE + 2];
	struct link l;

	assert_int_equal(-ECONNREFUSED,
			 link_open_at(&l, "/nonexistent/heapd.sock", problem, sizeof(problem)));
	assert_non_null(strstr(problem, "no heapd at /nonexistent/heapd.sock"));
	assert_int_equal(-ECONNREFUSED,
			 link_open_at(&l, "/dev/null/heapd.sock", problem, sizeof(problem)));

	(void)snprintf(path, sizeof(path), "%s/dead", p->dir); /* a socket that nobody listens on */
	{
		struct sockaddr_un to = {.sun_family = AF_UNIX};
		_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

		memcpy(to.sun_path, path, strlen(path) + 1);
		assert_int_equal(0, bind(fd, (struct sockaddr *)&to, sizeof(to)));
	}
	assert_int_equal(-ECONNREFUSED, link_open_at(&l, path, problem, sizeof(problem)));
	assert_int_equal(0, unlink(path));

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	assert_int_equal(-ENAMETOOLONG, link_open_at(&l, path, problem, sizeof(problem)));
	assert_int_equal(-ENAMETOOLONG, link_open_at(&l, "", problem, sizeof(problem)));
	assert_closed(&l);
}

static void test_find_paths(void **state)
{
	struct link_paths paths;

	(void)state;
	assert_int_equal(0, setenv("HEAPD_SOCKET", "/tmp/mine", 1));
	assert_int_equal(0, setenv("XDG_RUNTIME_DIR", "/run/user/77", 1));
	link_find_paths(&paths);
	assert_int_equal(1, paths.n);
	assert_string_equal("/tmp/mine", paths.path[0]);

	assert_int_equal(0, setenv("HEAPD_SOCKET", "", 1)); /* empty is unset */
	link_find_paths(&paths);
	assert_int_equal(2, paths.n);
	assert_string_equal(HEAPD_SOCKET_PATH, paths.path[0]);
	assert_string_equal("/run/user/77/heapd/heapd.sock", paths.path[1]);

	assert_int_equal(0, unsetenv("HEAPD_SOCKET"));
	assert_int_equal(0, unsetenv("XDG_RUNTIME_DIR"));
	link_find_paths(&paths);
	assert_int_equal(1, paths.n);
	assert_string_equal(HEAPD_SOCKET_PATH, paths.path[0]);
}

static void test_open_by_environment(void **state)
{
	struct peer *p = *state;
	char path[2 * LINK_PATH_SIZE];
	struct link l;

	assert_int_equal(0, setenv("HEAPD_SOCKET", p->path, 1));
	assert_int_equal(0, link_open(&l, problem, sizeof(problem)));
	link_close(&l);

	(void)snprintf(path, sizeof(path), "%s/none", p->dir);
	assert_int_equal(0, setenv("HEAPD_SOCKET", path, 1));
	assert_int_equal(-ECONNREFUSED, link_open(&l, problem, sizeof(problem)));
	assert_non_null(strstr(problem, path));

	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = 0;
	assert_int_equal(0, setenv("HEAPD_SOCKET", path, 1));
	assert_int_equal(-ECONNREFUSED, link_open(&l, problem, sizeof(problem)));
	assert_non_null(strstr(problem, "HEAPD_SOCKET"));
	assert_int_equal(0, unsetenv("HEAPD_SOCKET"));
}

/* Where no system daemon runs, the user's own is found; where none runs at all, both places are
 * named. */
static void test_fall_back_to_user(void **state)
{
	struct peer *p = *state;
	char dir[LINK_PATH_SIZE], path[LINK_PATH_SIZE];
	struct link l;

	if (access(HEAPD_SOCKET_PATH, F_OK) == 0)
		skip();
	assert_int_equal(0, unsetenv("HEAPD_SOCKET"));
	assert_int_equal(0, setenv("XDG_RUNTIME_DIR", p->dir, 1));
	assert_int_equal(-ECONNREFUSED, link_open(&l, problem, sizeof(problem)));
	assert_non_null(strstr(problem, HEAPD_SOCKET_PATH));
	assert_non_null(strstr(problem, p->dir));

	(void)snprintf(dir, sizeof(dir), "%.80s/heapd", p->dir);
	(void)snprintf(path, sizeof(path), "%.80s/heapd.sock", dir);
	assert_int_equal(0, mkdir(dir, 0700));
	assert_int_equal(0, symlink(p->path, path));
	assert_int_equal(0, link_open(&l, problem, sizeof(problem)));
	link_close(&l);
	assert_int_equal(0, unlink(path));
	assert_int_equal(0, rmdir(dir));
	assert_int_equal(0, unsetenv("XDG_RUNTIME_DIR"));
}

/* ---- calls ---- */

static int ping(struct peer *p, enum answer answer)
{
	struct frame f;
	struct wire_ping *body;
	struct link l;
	int r;

	p->answer = answer;
	assert_int_equal(0, link_open_at(&l, p->path, problem, sizeof(problem)));
	body = frame_init(&f, OP_PING, 12, 0, sizeof(*body));
	memset(body->payload, 0x5a, sizeof(body->payload));
	r = link_call(l.call_fd, &f);
	if (r == 0) {
		assert_int_equal(OP_PING | WIRE_REPLY, f.header.op);
		assert_int_equal(12, f.header.id);
		assert_int_equal(0x5a, f.body.bytes[sizeof(*body) - 1]);
	}
	assert_int_equal(0, f.n_fds);
	link_close(&l);
	return r;
}

static void test_calls(void **state)
{
	struct peer *p = *state;
	int r;

	assert_int_equal(0, ping(p, ECHO));
	assert_int_equal(-EPROTO, ping(p, OTHER_ID));
	assert_int_equal(-EPROTO, ping(p, OTHER_OP));
	assert_int_equal(-EPROTO, ping(p, BAD_BODY));
	assert_int_equal(-EPROTO, ping(p, MANY_FDS)); /* a reply to something else; its fds are closed */
	r = ping(p, GOODBYE);
	assert_true(r == -EPIPE || r == -ECONNRESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_welcome, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_out_of_fds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody, setup, teardown),
		cmocka_unit_test(test_find_paths),
		cmocka_unit_test_setup_teardown(test_open_by_environment, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fall_back_to_user, setup, teardown),
		cmocka_unit_test_setup_teardown(test_calls, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
