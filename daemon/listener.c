/*
 * listener.c: see listener.h
 */
#include "daemon/listener.h"

#include <fcntl.h>
#include <sys/socket.h>
#include "daemon/log.h"
#include "daemon/passing.h"
#include "proto/codec.h"

#define PAUSE_NS (50 * NSEC_PER_MSEC)

struct listener {
	struct peers *peers;
	int fd;
	int spare; /* a descriptor kept for the day when there is no other; -1: used, and not
		      replaced yet */
	struct loop_io *io;
	struct loop_timer *pause;
};

static void keep_spare(struct listener *l)
{
	if (l->spare < 0)
		l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void pause_for_a_while(struct listener *l)
{
	if (loop_io_set(l->io, 0) < 0 || loop_timer_set(l->pause, PAUSE_NS) < 0)
		(void)loop_io_set(l->io, LOOP_READ);
}

static void on_pause_over(void *ctx)
{
	struct listener *l = ctx;

	keep_spare(l);
	if (loop_io_set(l->io, LOOP_READ) < 0)
		(void)loop_timer_set(l->pause, PAUSE_NS);
}

/* Tells a client that there is no descriptor for it, if it has said HELLO. */
static void refuse(int fd)
{
	struct frame f;

	if (channel_recv(fd, &f, MSG_DONTWAIT) < 0)
		return;
	frame_close_fds(&f);
	if (codec_check_request(&f, CODEC_CALL, NULL) < 0 || f.header.op != OP_HELLO)
		return;
	(void)frame_init(&f, OP_HELLO | WIRE_REPLY, f.header.id, STATUS_NO_FILES, 0);
	(void)channel_send(fd, &f, MSG_DONTWAIT);
}

static void refuse_close(int fd)
{
	bool wary = passing_forbid(fd);

	if (!wary || passing_peek(fd) == 0)
		refuse(fd);
	if (!wary || passing_clean(fd))
		close_fd(&fd); /* else it must not be closed: left alone */
}

static void run_short(struct listener *l, int error)
{
	int fd;

	log_limited(LOG_WARNING, "a client cannot connect: %s", strerror(error));
	close_fd(&l->spare);
	fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		refuse_close(fd);
	keep_spare(l);
	pause_for_a_while(l);
}

static bool means_short(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/* Takes one connection; the next one comes in a turn of its own. */
static void on_connect(void *ctx, _unused_ unsigned ready)
{
	struct listener *l = ctx;
	int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), r;

	if (fd < 0) {
		if (means_short(errno))
			run_short(l, errno);
		return;
	}
	r = peer_new_take(l->peers, fd);
	if (r == -EMFILE || r == -ENFILE || r == -ENOMEM || r == -EDQUOT)
		log_limited(LOG_WARNING, "a client cannot connect: %s", strerror(-r));
}

struct listener *listener_free(struct listener *l)
{
	if (!l)
		return NULL;
	loop_io_free(l->io);
	loop_timer_free(l->pause);
	close_fd(&l->fd);
	close_fd(&l->spare);
	free(l);
	return NULL;
}

static void listener_freep(struct listener **l)
{
	listener_free(*l);
}

int listener_new_take(struct listener **out, struct peers *ps, int fd)
{
	_cleanup_(listener_freep) struct listener *l = calloc(1, sizeof(*l));
	int flags = fcntl(fd, F_GETFL), r;

	if (!l) {
		close_fd(&fd);
		return -ENOMEM;
	}
	*l = (struct listener){.peers = ps, .fd = fd, .spare = -1};
	keep_spare(l);
	(void)passing_forbid_early(fd);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	r = loop_timer_new(&l->pause, ps->loop, on_pause_over, l);
	if (!r)
		r = loop_io_new(&l->io, ps->loop, fd, LOOP_READ, on_connect, l);
	if (r < 0)
		return r;
	loop_io_dear(l->io, true);
	*out = take(l);
	return 0;
}
