/*
 * Peers and the listener, over real sockets: a server on a loop of its own in a child process, its
 * log in a file. Every test ends with the child ending well: nothing leaked, nothing open.
 */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <cmocka.h>
#include "daemon/log.h"
#include "daemon/server.h"
#include "proto/codec.h"
#include "proto/heads.h"

struct client {
	int call, event, stats, control;
	uint32_t id;
	struct frame reply;
};

static struct {
	pid_t pid;
	int listening;
	int log;
	struct sockaddr_un address;
	socklen_t address_size;
	struct config config;
	rlim_t max_files; /* 0: as it is */
	bool old_kernel;  /* before Linux 6.16, which knows SO_PASSRIGHTS */
} server;

/* The kernel's, but for one option. */
int __real_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int __real_getsockopt(int fd, int level, int option, void *value, socklen_t *size);
int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *size);

#define OPTION_PASSRIGHTS 83

static bool is_unknown(int level, int option)
{
	return server.old_kernel && level == SOL_SOCKET && option == OPTION_PASSRIGHTS;
}

int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
	errno = ENOPROTOOPT;
	return is_unknown(level, option) ? -1 : __real_setsockopt(fd, level, option, value, size);
}

int __wrap_getsockopt(int fd, int level, int option, void *value, socklen_t *size)
{
	errno = ENOPROTOOPT;
	return is_unknown(level, option) ? -1 : __real_getsockopt(fd, level, option, value, size);
}

/* ---- the child ---- */

static void on_term(void *ctx)
{
	loop_stop(ctx);
}

static int serve(void)
{
	struct committer *committer;
	struct loop_signal *term;
	struct server *s;
	struct loop *l;

	if (dup2(server.log, 2) < 0 || loop_new(&l) < 0 ||
	    committer_new(&committer, l, false) < 0 ||
	    loop_signal_new(&term, l, SIGTERM, on_term, l) < 0 ||
	    server_new(&s, l, committer, &server.config) < 0 ||
	    server_listen_take(s, server.listening) < 0)
		return 1;
	log_init(false);
	log_plain();
	if (server.max_files) {
		struct rlimit limit = {server.max_files, server.max_files};

		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (loop_run(l) < 0)
		return 1;
	committer_drain(committer);
	server_free(s);
	committer_free(committer);
	loop_signal_free(term);
	loop_free(l);
	config_deinit(&server.config);
	return 0;
}

static int setup(_unused_ void **state)
{
	static unsigned n;

	memset(&server, 0, sizeof(server));
	config_init(&server.config);
	server.config.lock_arenas = false;
	server.address.sun_family = AF_UNIX;
	(void)snprintf(server.address.sun_path + 1, 64, "heapd-test-%d-%u", (int)getpid(), n++);
	server.address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
					  strlen(server.address.sun_path + 1));
	server.listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	server.log = memfd_create("log", MFD_CLOEXEC);
	return bind(server.listening, (struct sockaddr *)&server.address, server.address_size) <
		       0 ||
	       listen(server.listening, 64) < 0;
}

static void start(void)
{
	server.pid = fork();
	assert_true(server.pid >= 0);
	if (!server.pid) {
		int r = serve();

		exit(r); /* with the sanitizers' last word */
	}
	close_fd(&server.listening);
}

static char *read_log(void)
{
	static char text[65536];
	ssize_t n = pread(server.log, text, sizeof(text) - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

static int lines_with(const char *what)
{
	int n = 0;

	for (const char *at = read_log(); (at = strstr(at, what)); at++)
		n++;
	return n;
}

static int teardown(_unused_ void **state)
{
	int status;

	(void)kill(server.pid, SIGTERM);
	if (waitpid(server.pid, &status, 0) != server.pid || status) {
		print_error("the server ended with status %#x:\n%s\n", status, read_log());
		return -1;
	}
	config_deinit(&server.config);
	close_fd(&server.log);
	return 0;
}

/* ---- a client ---- */

static int dial(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct timeval patience = {.tv_sec = 20};

	assert_true(fd >= 0);
	assert_int_equal(0, connect(fd, (struct sockaddr *)&server.address, server.address_size));
	assert_int_equal(0, setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)));
	return fd;
}

static void hello_init(struct frame *f)
{
	struct wire_hello *body = frame_init(f, OP_HELLO, 1, 0, sizeof(*body));

	body->version = WIRE_VERSION;
	body->features = UINT32_MAX;
	strcpy(body->label, "test-peer");
}

static uint32_t hello(struct client *c)
{
	struct frame f;
	const char *why = "";

	*c = (struct client){.call = dial(), .event = -1, .stats = -1, .control = -1, .id = 1};
	hello_init(&f);
	assert_int_equal(0, channel_send(c->call, &f, 0));
	assert_int_equal(0, channel_recv(c->call, &c->reply, 0));
	if (codec_check_answer(&c->reply, CODEC_CALL, &why) < 0)
		fail_msg("HELLO: %s", why);
	if (c->reply.n_fds == 3) {
		c->event = c->reply.fds[0];
		c->stats = c->reply.fds[1];
		c->control = c->reply.fds[2];
	}
	return c->reply.header.status;
}

static void meet(struct client *c)
{
	assert_int_equal(STATUS_OK, hello(c));
}

static void part(struct client *c)
{
	close_fd(&c->call);
	close_fd(&c->event);
	close_fd(&c->stats);
	close_fd(&c->control);
}

static int call(struct client *c, struct frame *f)
{
	int r;

	f->header.id = ++c->id;
	r = channel_send(c->call, f, 0);
	if (!r)
		r = channel_recv(c->call, &c->reply, 0);
	if (r)
		return r;
	assert_int_equal(0, codec_check_answer(&c->reply, CODEC_CALL, NULL));
	assert_int_equal(c->id, c->reply.header.id);
	frame_close_fds(&c->reply);
	return (int)c->reply.header.status;
}

static int ping(struct client *c)
{
	struct frame f;

	(void)frame_init(&f, OP_PING, 0, 0, sizeof(struct wire_ping));
	return call(c, &f);
}

static int ask_heap(struct client *c, uint16_t op, uint64_t heap)
{
	struct frame f;
	struct wire_heap *body = frame_init(&f, op, 0, 0, sizeof(*body));

	body->heap = heap;
	return call(c, &f);
}

static int ask_delete(struct client *c, const char *name)
{
	struct frame f;
	struct wire_target *body = frame_init(&f, OP_DELETE, 0, 0, sizeof(*body));

	name_copy(body->name, name);
	return call(c, &f);
}

static int ask_create(struct client *c, const char *name, uint64_t size)
{
	struct frame f;
	struct wire_create *body = frame_init(&f, OP_CREATE, 0, 0, sizeof(*body));

	name_copy(body->name, name);
	body->size = size;
	body->kind = KIND_HEAP;
	body->perm = WIRE_PERM_DEFAULT;
	body->gid = WIRE_GID_DEFAULT;
	return call(c, &f);
}

static int ask_bind(struct client *c, const char *name)
{
	struct frame f;
	struct wire_bind *body = frame_init(&f, OP_BIND, 0, 0, sizeof(*body));

	name_copy(body->name, name);
	body->access = ACCESS_WRITE;
	return call(c, &f);
}

static void await(struct client *c, uint16_t op, struct frame *f)
{
	struct timeval patience = {.tv_sec = 20};

	assert_int_equal(
		0, setsockopt(c->event, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)));
	assert_int_equal(0, channel_recv(c->event, f, 0));
	assert_int_equal(0, codec_check_answer(f, CODEC_EVENT, NULL));
	assert_int_equal(op, f->header.op);
	frame_close_fds(f);
}

static uint64_t create(struct client *c, const char *name, uint64_t size)
{
	struct frame f;

	assert_int_equal(STATUS_PARKED, ask_create(c, name, size));
	await(c, EV_BOUND, &f);
	assert_int_equal(STATUS_OK, f.header.status);
	return FRAME_BODY(&f, struct wire_bound)->heap;
}

static struct wire_stat stat_of(struct client *c)
{
	struct frame f;

	(void)frame_init(&f, OP_STAT, 0, 0, 0);
	assert_int_equal(STATUS_OK, call(c, &f));
	return *FRAME_BODY(&c->reply, struct wire_stat);
}

/* The other end has hung up, and says nothing before. */
static void expect_end(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, 0);

	assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
}

static void expect_dropped(int fd, const char *why)
{
	expect_end(fd);
	if (lines_with(why) != 1)
		fail_msg("not exactly one line with \"%s\":\n%s", why, read_log());
}

/* ---- HELLO ---- */

static void what_hello_brings(_unused_ void **state)
{
	const struct wire_welcome *w;
	struct client c, d;
	struct stat st;
	void *p;

	start();
	meet(&c);
	w = FRAME_BODY(&c.reply, struct wire_welcome);
	assert_int_equal(WIRE_VERSION, w->version);
	assert_int_equal(WIRE_FEATURE_BASE, w->features);
	assert_int_equal(HW_PAGE_SIZE, w->hw_page);
	assert_int_equal(WIRE_SLOTS, w->n_slots);
	assert_int_equal(1, w->session);

	assert_int_equal(O_RDONLY, fcntl(c.control, F_GETFL) & O_ACCMODE);
	p = mmap(NULL, HW_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, c.control, 0);
	assert_ptr_equal(MAP_FAILED, p);
	assert_int_equal(0, fstat(c.control, &st));
	assert_int_equal(WIRE_SLOTS * sizeof(struct wire_control), st.st_size);
	assert_int_equal(0600, st.st_mode & 07777);
	assert_int_equal(0, fstat(c.stats, &st));
	assert_int_equal(heads_file(heads_place(sysconf(_SC_NPROCESSORS_CONF))), st.st_size);
	assert_int_equal(0600, st.st_mode & 07777);
	assert_true(st.st_blocks < 64); /* sparse */
	assert_int_equal(-1, ftruncate(c.stats, 0));
	assert_int_equal(-1, ftruncate(c.stats, st.st_size * 2));
	assert_int_equal(O_RDWR, fcntl(c.stats, F_GETFL) & O_ACCMODE);
	assert_int_equal(FD_CLOEXEC, fcntl(c.event, F_GETFD));

	meet(&d);
	assert_int_equal(2, FRAME_BODY(&d.reply, struct wire_welcome)->session);
	assert_int_equal(STATUS_OK, ping(&c));
	assert_int_equal(STATUS_OK, ping(&d));
	part(&c);
	part(&d);
}

static void another_version(_unused_ void **state)
{
	struct frame f;
	struct client c = {.call = -1};

	start();
	c.call = dial();
	hello_init(&f);
	FRAME_BODY(&f, struct wire_hello)->version = WIRE_VERSION + 1;
	assert_int_equal(0, channel_send(c.call, &f, 0));
	assert_int_equal(0, channel_recv(c.call, &c.reply, 0));
	assert_int_equal(0, codec_check_answer(&c.reply, CODEC_CALL, NULL));
	assert_int_equal(STATUS_VERSION, c.reply.header.status);
	assert_int_equal(WIRE_VERSION, FRAME_BODY(&c.reply, struct wire_welcome)->version);
	assert_int_equal(0, c.reply.n_fds);
	expect_dropped(c.call, "another version");
	close_fd(&c.call);
}

/* In a process that is nobody, for root has no limits. 0, or the line that went wrong. */
static int sessions_of_nobody(void)
{
	struct client c, d, e;

	if (getuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
		return __LINE__;
	meet(&c);
	meet(&d);
	if (hello(&e) != STATUS_QUOTA || e.event >= 0)
		return __LINE__;
	expect_end(e.call);
	part(&e);
	part(&d);
	while (stat_of(&c).sessions > 1)
		(void)usleep(1000);
	meet(&e);
	return stat_of(&e).refused == 1 && ping(&c) == STATUS_OK ? 0 : __LINE__;
}

static void too_many_sessions(_unused_ void **state)
{
	int status;
	pid_t pid;

	server.config.limits.sessions = 2;
	start();
	pid = fork();
	if (!pid)
		_exit(sessions_of_nobody() ? 1 : 0);
	assert_int_equal(pid, waitpid(pid, &status, 0));
	assert_int_equal(0, status);
	assert_int_equal(1, lines_with("a quota of this user"));
}

static void silence(_unused_ void **state)
{
	struct client c;
	uint64_t since;
	int fd;

	start();
	since = now_ns();
	fd = dial();
	meet(&c);
	expect_dropped(fd, "no HELLO");
	assert_in_range(now_ns() - since, 2 * NSEC_PER_SEC, 15 * NSEC_PER_SEC);
	assert_int_equal(STATUS_OK, ping(&c)); /* who has said HELLO may be silent */
	close_fd(&fd);
	part(&c);
}

/* ---- nonsense ---- */

static void first_ping(struct frame *f)
{
	(void)frame_init(f, OP_PING, 1, 0, sizeof(struct wire_ping));
}

static void no_hello_first(_unused_ void **state)
{
	struct frame f;
	int fd;

	start();
	fd = dial();
	first_ping(&f);
	assert_int_equal(0, channel_send(fd, &f, 0));
	expect_dropped(fd, "HELLO first");
	close_fd(&fd);
}

static void hello_twice(_unused_ void **state)
{
	struct client c;
	struct frame f;

	start();
	meet(&c);
	hello_init(&f);
	assert_int_equal(0, channel_send(c.call, &f, 0));
	expect_dropped(c.call, "out of place");
	part(&c);
}

/* Each is sent on a fresh connection, after HELLO; a bystander goes on all the while. */
static void nonsense_ends_who_sends_it(_unused_ void **state)
{
	static const struct {
		const char *what, *why;
		size_t size;
		struct wire_header header;
	} cases[] = {
		{"nothing but a byte", "broken frame", 1, {0}},
		{"half a header", "broken frame", 8, {.op = OP_PING, .id = 1}},
		{"a length too many", "broken frame", 64, {.length = 49, .op = OP_PING, .id = 1}},
		{"a length too few", "broken frame", 64, {.length = 47, .op = OP_PING, .id = 1}},
		{"longer than any", "broken frame", 5000, {.length = 4984, .op = OP_PING, .id = 1}},
		{"fds that are not there",
		 "broken frame",
		 64,
		 {.length = 48, .op = OP_PING, .n_fds = 1, .id = 1}},
		{"no such op", "unknown opcode", 16, {.op = 999, .id = 1}},
		{"op 0", "unknown opcode", 16, {.op = 0, .id = 1}},
		{"a reply",
		 "unknown opcode",
		 64,
		 {.length = 48, .op = OP_PING | WIRE_REPLY, .id = 1}},
		{"an event", "unknown opcode", 24, {.length = 8, .op = EV_DELETED, .id = 1}},
		{"RETURN in the wrong place",
		 "unknown opcode",
		 40,
		 {.length = 24, .op = OP_RETURN, .id = 1}},
		{"id 0", "id 0", 64, {.length = 48, .op = OP_PING}},
		{"a status",
		 "with a status",
		 64,
		 {.length = 48, .op = OP_PING, .id = 1, .status = 1}},
		{"short body", "wrong length", 56, {.length = 40, .op = OP_PING, .id = 1}},
		{"no name",
		 "bad name",
		 sizeof(struct wire_header) + sizeof(struct wire_bind),
		 {.length = sizeof(struct wire_bind), .op = OP_BIND, .id = 1}},
	};
	struct client bystander, c;
	uint8_t bytes[8192] = { 0 };
	int before;

	start();
	meet(&bystander);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		before = lines_with("client dropped");
		meet(&c);
		memcpy(bytes, &cases[i].header, sizeof(cases[i].header));
		assert_int_equal(cases[i].size, send(c.call, bytes, cases[i].size, 0));
		expect_end(c.call);
		if (lines_with("client dropped") != before + 1 || !strstr(read_log(), cases[i].why))
			fail_msg("%s: not one line with \"%s\": ...%s", cases[i].what, cases[i].why,
				 strlen(read_log()) > 200 ? read_log() + strlen(read_log()) - 200
							  : read_log());
		expect_end(c.event);
		part(&c);
		assert_int_equal(STATUS_OK, ping(&bystander));
		if (i % 8 == 7)
			(void)usleep(1100000); /* the log passes ten lines a second */
	}
	assert_int_equal(ARRAY_SIZE(cases), stat_of(&bystander).dropped);
	assert_int_equal(1, stat_of(&bystander).sessions);
	assert_int_equal(ARRAY_SIZE(cases), lines_with("\"test-peer\""));
	part(&bystander);
}

/* Sends the pipe's end on that socket, and closes ours. Whether the kernel let it through. */
static bool pass(struct client *c, int fd, int *end)
{
	struct frame f;
	int r;

	first_ping(&f);
	if (fd == c->event)
		f.header.op = OP_RETURN;
	frame_add_fd(&f, *end);
	r = channel_send(fd, &f, 0);
	close_fd(end);
	if (r < 0)
		assert_int_equal(-EPERM, r);
	return r == 0;
}

/* Nobody has the other end any more. */
static bool is_closed(int end)
{
	struct pollfd p = {.fd = end};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP);
}

static void unasked_descriptors(_unused_ void **state)
{
	struct client c;
	int ends[2];

	start();
	for (int socket = 0; socket < 2; socket++) {
		meet(&c);
		assert_int_equal(0, pipe2(ends, O_CLOEXEC));
		if (pass(&c, socket ? c.event : c.call, &ends[1]))
			expect_end(c.call);
		else
			assert_int_equal(STATUS_OK, ping(&c));
		part(&c);
		close_fd(&ends[0]);
	}
}

/* Where they come through they are neither received nor closed, and everything else goes on. */
static void unasked_descriptors_on_an_older_kernel(_unused_ void **state)
{
	struct client c, d;
	int ends[2];

	server.old_kernel = true;
	start();
	meet(&d);
	for (int socket = 0; socket < 2; socket++) {
		meet(&c);
		assert_int_equal(STATUS_OK, ping(&c));
		assert_int_equal(0, pipe2(ends, O_CLOEXEC));
		assert_true(pass(&c, socket ? c.event : c.call, &ends[1]));
		expect_end(c.call);
		expect_end(c.event);
		part(&c);
		assert_int_equal(socket + 1, lines_with("descriptors that nobody asked for"));
		assert_int_equal(STATUS_OK, ping(&d));
		assert_false(is_closed(ends[0]));
		close_fd(&ends[0]);
	}
	assert_int_equal(1, stat_of(&d).sessions);
	part(&d);
}

/* It goes behind other requests, and does not wait for their end. Nor is what is unread dropped where it matters. */
static void descriptors_left_unread_on_an_older_kernel(_unused_ void **state)
{
	struct client c, d;
	struct frame f;
	int ends[2];

	server.old_kernel = true;
	start();
	meet(&d);
	for (int way = 0; way < 2; way++) {
		meet(&c);
		assert_int_equal(0, pipe2(ends, O_CLOEXEC));
		assert_int_equal(0, kill(server.pid, SIGSTOP));
		first_ping(&f);
		if (way) /* this one ends it */
			f.header.op = 999;
		assert_int_equal(0, channel_send(c.call, &f, 0));
		assert_true(pass(&c, c.call, &ends[1]));
		part(&c);
		assert_int_equal(0, kill(server.pid, SIGCONT));
		while (stat_of(&d).sessions > 1)
			(void)usleep(1000);
		assert_false(is_closed(ends[0]));
		close_fd(&ends[0]);
	}
	part(&d);
}

/* Its sockets stay open, so it pays for them. 0, or the line that went wrong. */
static int pays_for_descriptors(void)
{
	struct client c;
	int ends[2];

	if (getuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
		return __LINE__;
	for (int i = 0; i < 2; i++) {
		meet(&c);
		if (pipe2(ends, O_CLOEXEC) < 0 || !pass(&c, c.call, &ends[1]))
			return __LINE__;
		expect_end(c.call);
		part(&c);
	}
	return hello(&c) == STATUS_QUOTA ? 0 : __LINE__;
}

static void descriptors_are_paid_for(_unused_ void **state)
{
	int status;
	pid_t pid;

	server.old_kernel = true;
	server.config.limits.sessions = 2;
	start();
	pid = fork();
	if (!pid)
		_exit(pays_for_descriptors() ? 1 : 0);
	assert_int_equal(pid, waitpid(pid, &status, 0));
	assert_int_equal(0, status);
}

static void a_bad_return(_unused_ void **state)
{
	struct client c;
	struct frame f;
	struct wire_return *body;
	uint64_t id;

	start();
	meet(&c);
	id = create(&c, "pool", 4 * HW_PAGE_SIZE);
	body = frame_init(&f, OP_RETURN, 0, 0, sizeof(*body) + sizeof(struct wire_run));
	body->heap = id;
	body->n_runs = 1;
	body->runs[0] = (struct wire_run){.first = 3, .n = 2};
	assert_int_equal(0, channel_send(c.event, &f, 0));
	expect_dropped(c.event, "does not hold");
	expect_end(c.call);
	part(&c);
}

/* ---- those who do not read ---- */

static void requests_without_reading_replies(_unused_ void **state)
{
	struct client c, bystander;
	struct frame f;
	uint32_t sent = 0;
	int idle = 0;

	start();
	meet(&bystander);
	meet(&c);
	(void)frame_init(&f, OP_PING, 0, 0, sizeof(struct wire_ping));
	while (idle < 20) { /* until the daemon reads no more */
		f.header.id = sent + 1;
		if (channel_send(c.call, &f, MSG_DONTWAIT) == 0) {
			sent++;
			idle = 0;
			continue;
		}
		idle++;
		(void)usleep(5000);
		assert_int_equal(STATUS_OK, ping(&bystander));
	}
	assert_true(sent > 100);
	for (uint32_t i = 1; i <= sent; i++) {
		assert_int_equal(0, channel_recv(c.call, &f, 0));
		assert_int_equal(i, f.header.id);
	}
	assert_int_equal(STATUS_OK, ping(&c));
	assert_int_equal(0, lines_with("client dropped"));
	part(&c);
	part(&bystander);
}

static void frees_for_one_who_does_not_read(_unused_ void **state)
{
	struct client a, b;
	struct frame f;
	uint32_t ok = 0, r;
	uint64_t id;

	start();
	meet(&a);
	meet(&b);
	id = create(&a, "pool", 4 * HW_PAGE_SIZE);
	assert_int_equal(STATUS_OK, ask_bind(&b, "pool"));
	for (;;) {
		struct wire_free *body = frame_init(&f, OP_FREE, 0, 0, sizeof(*body));

		body->heap = id;
		body->offset = ok * 16 % (4 * HW_PAGE_SIZE);
		r = (uint32_t)call(&b, &f);
		if (r != STATUS_OK)
			break;
		ok++;
		assert_true(ok < 100000);
	}
	assert_int_equal(STATUS_BUSY, r);
	assert_true(ok > 100);
	for (uint32_t i = 0; i < ok; i++) { /* none is lost, none is out of order */
		await(&a, EV_FREE, &f);
		assert_int_equal(i * 16 % (4 * HW_PAGE_SIZE),
				 FRAME_BODY(&f, struct wire_free)->offset);
	}
	assert_int_equal(STATUS_OK, ping(&a));
	part(&a);
	part(&b);
}

static void events_that_nobody_reads(_unused_ void **state)
{
	struct client a, b;
	uint64_t id = 0;
	int i;

	start();
	meet(&a);
	meet(&b);
	for (i = 0; i < 20000; i++) {
		if (ask_bind(&a, "pool") < 0) /* parked, then told; deleted, told */
			break;
		id = create(&b, "pool", HW_PAGE_SIZE);
		assert_int_equal(STATUS_OK, ask_delete(&b, "pool"));
		{
			struct frame f;

			await(&b, EV_DELETED, &f);
		}
		assert_int_equal(STATUS_OK, ask_heap(&b, OP_UNBIND, id));
		if (ask_heap(&a, OP_UNBIND, id) < 0)
			break;
	}
	assert_in_range(i, 200, 10000);
	assert_int_equal(1, lines_with("does not read its events"));
	assert_int_equal(STATUS_OK, ping(&b));
	while (stat_of(&b).sessions > 1)
		(void)usleep(1000);
	part(&a);
	part(&b);
}

/* ---- the end of a process ---- */

static void ends_of_each_socket(_unused_ void **state)
{
	struct client a, b;
	struct frame f;

	start();
	meet(&b);
	meet(&a);
	(void)create(&a, "one", HW_PAGE_SIZE);
	close_fd(&a.call);
	expect_end(a.event);
	part(&a);
	meet(&a);
	(void)create(&a, "two", HW_PAGE_SIZE);
	close_fd(&a.event);
	expect_end(a.call);
	part(&a);
	assert_int_equal(STATUS_PARKED, ask_bind(&b, "three"));
	meet(&a);
	assert_int_equal(STATUS_PARKED, ask_create(&a, "three", HW_PAGE_SIZE));
	await(&b, EV_BOUND, &f);
	part(&a);
	while (stat_of(&b).sessions > 1)
		(void)usleep(1000);
	assert_int_equal(3, stat_of(&b).heaps);
	assert_int_equal(0, lines_with("client dropped"));
	part(&b);
}

/* A child that inherits the sockets keeps nothing of a parent that dies. */
static void a_child_that_outlives_its_parent(_unused_ void **state)
{
	int alive[2], status;
	struct client b;
	pid_t parent;
	char byte;

	start();
	meet(&b);
	assert_int_equal(0, pipe(alive));
	parent = fork();
	if (!parent) {
		struct client a;

		meet(&a);
		(void)create(&a, "pool", HW_PAGE_SIZE);
		if (fork())
			_exit(0);
		/* the grandchild: its parent is dead soon, the sockets are here */
		(void)alarm(20);
		if (recv(a.event, &byte, 1, 0) == 0 && recv(a.call, &byte, 1, 0) == 0)
			(void)!write(alive[1], "x", 1);
		_exit(0);
	}
	close_fd(&alive[1]);
	assert_int_equal(parent, waitpid(parent, &status, 0));
	assert_int_equal(1, read(alive[0], &byte, 1));
	assert_int_equal(1, stat_of(&b).sessions);
	close_fd(&alive[0]);
	part(&b);
}

/*
 * What was sent on the event socket before UNBIND counts before it, though the daemon may see it
 * later.
 */
static void return_then_unbind(_unused_ void **state)
{
	struct client a;
	struct frame f;
	uint64_t id;

	start();
	meet(&a);
	id = create(&a, "pool", 64 * HW_PAGE_SIZE);
	for (int i = 0; i < 200; i++) {
		struct wire_return *body =
			frame_init(&f, OP_RETURN, 0, 0, sizeof(*body) + sizeof(struct wire_run));

		body->heap = id;
		body->n_runs = 1;
		body->runs[0] = (struct wire_run){.first = 0, .n = 32};
		assert_int_equal(0, channel_send(a.event, &f, 0));
		assert_int_equal(STATUS_OK, ask_heap(&a, OP_UNBIND, id));
		assert_int_equal(STATUS_OK, ask_bind(&a, "pool"));
		assert_int_equal(64, FRAME_BODY(&a.reply, struct wire_bound)->runs[0].n);
	}
	assert_int_equal(STATUS_OK, ping(&a));
	part(&a);
}

/* ---- short of descriptors ---- */

#define CROWD 100

static void no_descriptors_left(_unused_ void **state)
{
	struct client c[CROWD];
	uint32_t in = 0, told = 0, out = 0;

	server.max_files = 64;
	start();
	for (int i = 0; i < CROWD; i++) {
		struct frame f;

		c[i] = (struct client){.call = dial(), .event = -1, .stats = -1, .control = -1};
		hello_init(&f);
		if (channel_send(c[i].call, &f, 0) < 0)
			continue;
	}
	for (int i = 0; i < CROWD; i++) { /* nobody hangs: in, or told, or hung up on */
		int r = channel_recv(c[i].call, &c[i].reply, 0);

		if (r == 0 && c[i].reply.header.status == STATUS_OK) {
			c[i].event = c[i].reply.fds[0];
			frame_close_fds(&(struct frame){
				.n_fds = 2, .fds = {c[i].reply.fds[1], c[i].reply.fds[2]}});
			in++;
		} else if (r == 0) {
			assert_int_equal(STATUS_NO_FILES, c[i].reply.header.status);
			told++;
		} else {
			assert_true(r == -ECONNRESET || r == -EPIPE);
			out++;
		}
	}
	/* who is told and who is hung up on depends on whether HELLO was read before descriptors ran out */
	print_message("%u in, %u told, %u hung up on\n", in, told, out);
	assert_true(in >= 3 && told + out >= CROWD / 2);
	for (int i = 0; i < CROWD; i++)
		if (c[i].event >= 0)
			assert_int_equal(STATUS_OK, ping(&c[i]));
	for (int i = 0; i < CROWD; i++)
		part(&c[i]);
	for (int i = 0; hello(&c[0]) != STATUS_OK; i++) { /* and there is room again, soon */
		part(&c[0]);
		assert_true(i < 1000);
		(void)usleep(10000);
	}
	part(&c[0]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_hello_brings),
		TEST(another_version),
		TEST(too_many_sessions),
		TEST(silence),
		TEST(no_hello_first),
		TEST(hello_twice),
		TEST(nonsense_ends_who_sends_it),
		TEST(unasked_descriptors),
		TEST(unasked_descriptors_on_an_older_kernel),
		TEST(descriptors_left_unread_on_an_older_kernel),
		TEST(descriptors_are_paid_for),
		TEST(a_bad_return),
		TEST(requests_without_reading_replies),
		TEST(frees_for_one_who_does_not_read),
		TEST(events_that_nobody_reads),
		TEST(ends_of_each_socket),
		TEST(a_child_that_outlives_its_parent),
		TEST(return_then_unbind),
		TEST(no_descriptors_left),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("peer", tests, NULL, NULL);
}
