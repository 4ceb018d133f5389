/*
 * raw.c: the protocol by hand
 */
#include "tests/story/raw.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "proto/codec.h"

static struct raw watch = RAW_NULL;

int raw_connect(struct raw *r)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", story_socket());
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -errno;
	*r = (struct raw)RAW_NULL;
	r->call = take_fd(&fd);
	return 0;
}

int raw_hello(struct raw *r)
{
	struct frame f;
	struct wire_hello *hello = frame_init(&f, OP_HELLO, 0, 0, sizeof(*hello));
	int status;

	hello->version = WIRE_VERSION;
	hello->features = WIRE_FEATURE_BASE;
	(void)snprintf(hello->label, sizeof(hello->label), "raw");
	status = raw_call(r, &f);
	if (status != STATUS_OK)
		return status;
	r->welcome = *FRAME_BODY(&f, struct wire_welcome);
	if (f.n_fds != 3) {
		frame_close_fds(&f);
		return -EPROTO;
	}
	r->event = take_fd(&f.fds[0]);
	r->stats = take_fd(&f.fds[1]);
	r->control = take_fd(&f.fds[2]);
	return STATUS_OK;
}

void raw_open(struct raw *r)
{
	EXPECT(0, raw_connect(r));
	EXPECT(STATUS_OK, raw_hello(r));
}

void raw_close(struct raw *r)
{
	close_fd(&r->call);
	close_fd(&r->event);
	close_fd(&r->stats);
	close_fd(&r->control);
}

int raw_call(struct raw *r, struct frame *f)
{
	int e;

	f->header.id = ++r->last_id;
	e = channel_send(r->call, f, 0);
	if (e == 0)
		e = channel_recv(r->call, f, 0);
	return e ? e : (int)f->header.status;
}

int raw_event(struct raw *r, struct frame *f)
{
	return channel_recv(r->event, f, 0);
}

bool raw_hung_up(int fd)
{
	struct frame f;
	int r = channel_recv(fd, &f, 0);

	if (r == 0)
		frame_close_fds(&f);
	return r == -ECONNRESET || r == -EPIPE;
}

int raw_send_bytes(int fd, const void *bytes, size_t n, const int *fds, unsigned n_fds)
{
	union {
		struct cmsghdr align_;
		char bytes[CMSG_SPACE(RAW_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n_fds) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	return sendmsg(fd, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void raw_until_dropped(int fd)
{
	while (!raw_hung_up(fd))
		;
}

/* The rest of CREATE and BIND: the answer comes at once or as an event. */
static int settle_bound(struct raw *r, struct frame *f, struct wire_bound *bound, int *fd)
{
	int status = raw_call(r, f);

	if (fd)
		*fd = -1;
	if (status == STATUS_PARKED) {
		int e = raw_event(r, f);

		if (e)
			return e;
		status = (int)f->header.status;
	}
	if (status == STATUS_OK && bound)
		*bound = *FRAME_BODY(f, struct wire_bound);
	if (status == STATUS_OK && fd && f->n_fds == 1)
		*fd = take_fd(&f->fds[0]);
	frame_close_fds(f);
	return status;
}

int raw_create(struct raw *r, const char *name, uint64_t size, uint32_t mode,
	       struct wire_bound *bound, int *fd)
{
	struct frame f;
	struct wire_create *create = frame_init(&f, OP_CREATE, 0, 0, sizeof(*create));

	name_copy(create->name, name);
	create->size = size;
	create->mode = mode;
	create->kind = mode & WIRE_MODE_SINGLE ? KIND_SEGMENT : KIND_HEAP;
	create->perm = WIRE_PERM_DEFAULT;
	create->gid = WIRE_GID_DEFAULT;
	return settle_bound(r, &f, bound, fd);
}

int raw_bind(struct raw *r, const char *name, uint32_t access, struct wire_bound *bound, int *fd)
{
	struct frame f;
	struct wire_bind *bind = frame_init(&f, OP_BIND, 0, 0, sizeof(*bind));

	name_copy(bind->name, name);
	bind->access = access;
	bind->flags = WIRE_BIND_NOWAIT;
	return settle_bound(r, &f, bound, fd);
}

static void frame_target(struct frame *f, uint16_t op, const char *name)
{
	struct wire_target *target = frame_init(f, op, 0, 0, sizeof(*target));

	name_copy(target->name, name);
}

int raw_delete(struct raw *r, const char *name)
{
	struct frame f;

	frame_target(&f, OP_DELETE, name);
	return raw_call(r, &f);
}

int raw_chmod(struct raw *r, const char *name, uint32_t perm, uint32_t gid)
{
	struct frame f;
	struct wire_chmod *ch = frame_init(&f, OP_CHMOD, 0, 0, sizeof(*ch));

	name_copy(ch->name, name);
	ch->perm = perm;
	ch->uid = UINT32_MAX;
	ch->gid = gid;
	return raw_call(r, &f);
}

/* ---- watching ---- */

static struct raw *watcher(void)
{
	if (watch.call < 0)
		raw_open(&watch);
	return &watch;
}

void watch_close(void)
{
	raw_close(&watch);
}

struct wire_stat watch_stat(void)
{
	struct frame f;

	(void)frame_init(&f, OP_STAT, 0, 0, 0);
	EXPECT(STATUS_OK, raw_call(watcher(), &f));
	return *FRAME_BODY(&f, struct wire_stat);
}

int watch_heap(const char *name, struct wire_entry *entry)
{
	struct frame f;
	int status;

	frame_target(&f, OP_INSPECT, name);
	status = raw_call(watcher(), &f);
	assert_true(status >= 0);
	*entry =
		status == STATUS_OK ? *FRAME_BODY(&f, struct wire_entry) : (struct wire_entry){ 0 };
	return status;
}

static struct wire_entry entry_of(const char *name)
{
	struct wire_entry entry;

	(void)watch_heap(name, &entry);
	return entry;
}

uint32_t watch_waiters(const char *name)
{
	return entry_of(name).n_waiters;
}

uint32_t watch_parked(const char *name)
{
	return entry_of(name).n_parked;
}

uint32_t watch_bound(const char *name)
{
	return entry_of(name).n_bound;
}

uint64_t watch_granted(const char *name)
{
	return entry_of(name).granted;
}

uint32_t watch_bad_frees(const char *name)
{
	return entry_of(name).bad_frees;
}

bool watch_exists(const char *name)
{
	struct wire_entry entry;

	return watch_heap(name, &entry) == STATUS_OK;
}
