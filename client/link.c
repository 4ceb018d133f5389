/*
 * link.c: one blocking connection to heapd
 *
 * From the leaves up: where the socket may be, connecting with a bound on the wait, the HELLO
 * exchange, and putting the three together. What goes wrong becomes a negative errno for the
 * program and one line for people.
 */
#include "client/link.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "config-heapd.h"
#include "client/point.h"
#include "proto/codec.h"

_Static_assert(LINK_PATH_SIZE == sizeof(((struct sockaddr_un *)0)->sun_path),
	       "a path fits its address");

struct problem {
	char *text;
	size_t size;
};

/* Writes the line for people and passes the error on. */
_printf_(3, 4) static int fail(const struct problem *p, int error, const char *fmt, ...)
{
	va_list args;

	if (p->size) {
		va_start(args, fmt);
		(void)vsnprintf(p->text, p->size, fmt, args);
		va_end(args);
	}
	return error;
}

/* ---- a kernel that has no memory just now ---- */

/*
 * What it cannot send or receive now it may a millisecond later; a call is worth waiting for so long. After that it
 * is as if nobody were there.
 */
#define SHORT_TRIES 100

void link_pause(void)
{
	const struct timespec pause = {.tv_nsec = (long)NSEC_PER_MSEC};

	(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

static int send_patiently(int fd, const struct frame *f)
{
	int r = channel_send(fd, f, 0);

	for (int i = 0; i < SHORT_TRIES && channel_is_short(r); i++) {
		link_pause();
		r = channel_send(fd, f, 0);
	}
	return r;
}

static int recv_patiently(int fd, struct frame *f, int flags)
{
	int r = channel_recv(fd, f, flags);

	for (int i = 0; i < SHORT_TRIES && channel_is_short(r); i++) {
		link_pause();
		r = channel_recv(fd, f, flags);
	}
	return r;
}

/* ---- where ---- */

_printf_(2, 3) static void add_path(struct link_paths *paths, const char *fmt, ...)
{
	char *path = paths->path[paths->n];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(path, LINK_PATH_SIZE, fmt, args);
	va_end(args);
	if (n > 0 && n < LINK_PATH_SIZE)
		paths->n++;
}

void link_find_paths(struct link_paths *paths)
{
	const char *set = secure_getenv("HEAPD_SOCKET");
	const char *run = secure_getenv("XDG_RUNTIME_DIR");

	paths->n = 0;
	if (set && *set) {
		add_path(paths, "%s", set);
		return;
	}
	add_path(paths, "%s", HEAPD_SOCKET_PATH);
	if (run && *run)
		add_path(paths, "%s/heapd/heapd.sock", run);
}

/* ---- connecting ---- */

/* To the program too few buffers are too little memory, and too many files are too many, whoever has them open. */
static int shortage(int error)
{
	if (error == -ENFILE)
		return -EMFILE;
	return channel_is_short(error) ? -ENOMEM : error;
}

/* Zero: no bound. */
static int set_timeouts(int fd, uint64_t ns)
{
	struct timeval tv = {
		.tv_sec = (time_t)(ns / NSEC_PER_SEC),
		.tv_usec = (suseconds_t)(ns % NSEC_PER_SEC / 1000),
	};

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0)
		return -errno;
	return 0;
}

/* A signal does not start the wait anew for ever: the deadline stays. */
static int connect_until(int fd, const struct sockaddr_un *to, uint64_t deadline)
{
	while (connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0) {
		if (errno == EAGAIN)
			return -ETIMEDOUT; /* the daemon's backlog stayed full for SO_SNDTIMEO */
		if (errno != EINTR)
			return -errno;
		if (now_ns() >= deadline)
			return -ETIMEDOUT;
	}
	return 0;
}

static int recv_until(int fd, struct frame *f, uint64_t deadline)
{
	int r;

	do {
		r = recv_patiently(fd, f, CHANNEL_INTERRUPTIBLE);
	} while (r == -EINTR && now_ns() < deadline);
	return r == -EAGAIN || r == -EINTR ? -ETIMEDOUT : r;
}

/* No socket, nobody behind it, or something else than a heapd: to the program it is all one. */
static bool nobody_there(int error)
{
	return error == -ENOENT || error == -ENOTDIR || error == -ECONNREFUSED ||
	       error == -EPROTOTYPE;
}

static int connect_to(int *out, const char *path, const struct problem *p)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	_cleanup_fd_ int fd = -1;
	int r;

	if (length == 0 || length >= sizeof(to.sun_path))
		return fail(p, -ENAMETOOLONG, "%s: not a path of 1 to %zu bytes", path,
			    sizeof(to.sun_path) - 1);
	memcpy(to.sun_path, path, length + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	r = fd < 0 ? -errno : set_timeouts(fd, LINK_HELLO_NS);
	if (r < 0)
		return fail(p, shortage(r), "cannot make a socket: %s", strerror(-r));
	r = connect_until(fd, &to, now_ns() + LINK_HELLO_NS);
	if (nobody_there(r))
		return fail(p, -ECONNREFUSED, "no heapd at %s: %s", path, strerror(-r));
	if (r < 0)
		return fail(p, shortage(r), "cannot connect to heapd at %s: %s", path, strerror(-r));
	*out = take_fd(&fd);
	return 0;
}

/* ---- greeting ---- */

/* The program's name as a label: what the codec would not let pass becomes '?'. */
static void write_label(char label[WIRE_LABEL_SIZE])
{
	const char *name = program_invocation_short_name;

	for (size_t i = 0; i < WIRE_LABEL_SIZE - 1 && name[i]; i++)
		label[i] = (unsigned char)name[i] < ' ' || name[i] == 0x7f ? '?' : name[i];
}

/* The daemon's release, if a daemon of another version still says it where we know to look. */
static const char *build_of(const struct frame *f)
{
	const struct wire_welcome *w = FRAME_BODY(f, const struct wire_welcome);

	if (f->header.length < sizeof(*w) || !w->build[0])
		return "?";
	for (size_t i = 0; i < WIRE_LABEL_SIZE; i++) {
		if (!w->build[i])
			return w->build;
		if (w->build[i] < ' ' || w->build[i] == 0x7f)
			break;
	}
	return "?";
}

static int refused(const struct frame *f, const char *path, const struct problem *p)
{
	if (f->header.status == STATUS_VERSION)
		return fail(p, -EPROTONOSUPPORT,
			    "%s: heapd %s speaks protocol %u, this library speaks %u", path,
			    build_of(f), FRAME_BODY(f, const struct wire_welcome)->version,
			    WIRE_VERSION);
	return fail(p, status_errno(f->header.status), "%s: heapd refuses: %s", path,
		    status_text(f->header.status));
}

static int greet(struct link *l, const char *path, uint64_t resume, const struct problem *p)
{
	struct frame f;
	struct wire_hello *hello = frame_init(&f, OP_HELLO, 1, STATUS_OK, sizeof(*hello));
	const char *why = NULL;
	int r;

	hello->version = WIRE_VERSION;
	hello->features = WIRE_FEATURE_BASE | WIRE_FEATURE_KEPT;
	hello->resume = resume;
	write_label(hello->label);
	r = send_patiently(l->call_fd, &f);
	/* even if that failed: a daemon that refuses may have answered before it hung up */
	if (r == 0 || r == -EPIPE || r == -ECONNRESET)
		r = recv_until(l->call_fd, &f, now_ns() + LINK_HELLO_NS);
	if (r == -EPIPE || r == -ECONNRESET)
		return fail(p, -ECONNREFUSED, "%s: heapd hung up", path);
	if (r == -ETIMEDOUT || r == -EAGAIN)
		return fail(p, -ETIMEDOUT, "%s: heapd does not answer", path);
	if (r < 0)
		return fail(p, shortage(r), "%s: cannot greet heapd: %s", path, strerror(-r));
	if (codec_check_answer(&f, CODEC_CALL, &why) < 0 ||
	    f.header.op != (OP_HELLO | WIRE_REPLY) || f.header.id != 1) {
		frame_close_fds(&f);
		return fail(p, -EPROTO, "%s: no heapd: %s", path,
			    why ? why : "an answer to nothing");
	}
	if (f.header.status != STATUS_OK)
		return refused(&f, path, p);
	l->welcome = *FRAME_BODY(&f, const struct wire_welcome);
	l->event_fd = take_fd(&f.fds[0]);
	l->stats_fd = take_fd(&f.fds[1]);
	l->control_fd = take_fd(&f.fds[2]);
	return 0;
}

/* ---- both ---- */

void link_close(struct link *l)
{
	close_fd(&l->call_fd);
	close_fd(&l->event_fd);
	close_fd(&l->stats_fd);
	close_fd(&l->control_fd);
}

static int open_at(struct link *l, const char *path, uint64_t resume, const struct problem *p)
{
	int r;

	*l = (struct link)LINK_NULL;
	r = connect_to(&l->call_fd, path, p);
	if (r == 0)
		r = greet(l, path, resume, p);
	if (r == 0)
		r = set_timeouts(l->call_fd, 0);
	if (r < 0)
		link_close(l);
	else
		memcpy(l->path, path, strlen(path) + 1); /* it fitted an address */
	return r;
}

int link_open_at(struct link *l, const char *path, char *problem, size_t size)
{
	const struct problem p = {.text = problem, .size = size};

	return open_at(l, path, 0, &p);
}

int link_resume(struct link *l, const char *path, uint64_t session)
{
	const struct problem p = {.size = 0};

	return open_at(l, path, session, &p);
}

int link_open(struct link *l, char *problem, size_t size)
{
	const struct problem p = {.text = problem, .size = size};
	struct link_paths paths;
	int r = -ECONNREFUSED;

	*l = (struct link)LINK_NULL;
	link_find_paths(&paths);
	if (!paths.n)
		return fail(&p, r, "HEAPD_SOCKET is no path of a socket");
	for (size_t i = 0; i < paths.n && r == -ECONNREFUSED; i++)
		r = link_open_at(l, paths.path[i], problem, size);
	if (r == -ECONNREFUSED && paths.n > 1)
		return fail(&p, r, "no heapd at %s or %s", paths.path[0], paths.path[1]);
	return r;
}

/* Is what came the reply to this request? The fds that we had no room for are no fault of it. */
static bool answers(const struct frame *f, uint16_t op, uint32_t id)
{
	return f->header.op == (op | WIRE_REPLY) && f->header.id == id;
}

/*
 * A daemon that died may have answered before. The socket tells once that something we sent was not
 * read, and behind that gives what there is.
 */
static int recv_reply(int call_fd, struct frame *f, int flags)
{
	int r = recv_patiently(call_fd, f, flags);

	return r == -ECONNRESET ? recv_patiently(call_fd, f, flags) : r;
}

int link_call(int call_fd, struct frame *f)
{
	uint16_t op = f->header.op;
	uint32_t id = f->header.id;
	int r = send_patiently(call_fd, f);

	if (r < 0)
		return r;
	POINT(CALL_SENT);
	r = recv_reply(call_fd, f, codec_brings_fds(op) ? 0 : CHANNEL_NO_FDS);
	if (r < 0 && r != -EMFILE)
		return r;
	if (!answers(f, op, id) || (r == 0 && codec_check_answer(f, CODEC_CALL, NULL) < 0)) {
		frame_close_fds(f);
		return -EPROTO;
	}
	return r;
}
