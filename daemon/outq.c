/*
 * outq.c: see outq.h
 */
#include "daemon/outq.h"

#include <fcntl.h>
#include <sys/socket.h>

struct out {
	STAILQ_ENTRY(out) link;
	int n_fds;
	int fds[WIRE_FDS_MAX];
	struct wire_header header;
	uint8_t body[];
};

static void out_free(struct out *o)
{
	for (int i = 0; i < o->n_fds; i++)
		close_fd(&o->fds[i]);
	free(o);
}

static void out_freep(struct out **o)
{
	if (*o)
		out_free(*o);
}

static int keep(struct outq *q, const struct frame *f)
{
	_cleanup_(out_freep) struct out *o = malloc(sizeof(*o) + f->header.length);

	if (!o)
		return -ENOMEM;
	o->n_fds = 0;
	o->header = f->header;
	memcpy(o->body, f->body.bytes, f->header.length);
	for (int i = 0; i < f->n_fds; i++) {
		int fd = fcntl(f->fds[i], F_DUPFD_CLOEXEC, 0);

		if (fd < 0)
			return -errno;
		o->fds[o->n_fds++] = fd;
	}
	STAILQ_INSERT_TAIL(&q->list, o, link);
	o = NULL; /* the queue's now */
	q->n++;
	return 0;
}

static int send_kept(const struct out *o, int fd)
{
	struct frame f;

	f.header = o->header;
	f.n_fds = o->n_fds;
	memcpy(f.fds, o->fds, sizeof(o->fds));
	memcpy(f.body.bytes, o->body, o->header.length);
	return channel_send(fd, &f, MSG_DONTWAIT);
}

void outq_init(struct outq *q)
{
	STAILQ_INIT(&q->list);
	q->n = 0;
}

static void drop_first(struct outq *q)
{
	struct out *o = STAILQ_FIRST(&q->list);

	STAILQ_REMOVE_HEAD(&q->list, link);
	q->n--;
	out_free(o);
}

void outq_deinit(struct outq *q)
{
	while (q->n)
		drop_first(q);
}

int outq_send(struct outq *q, int fd, const struct frame *f)
{
	int r = q->n ? -EAGAIN : channel_send(fd, f, MSG_DONTWAIT);

	return r == -EAGAIN || channel_is_short(r) ? keep(q, f) : r;
}

int outq_flush(struct outq *q, int fd)
{
	while (q->n) {
		int r = send_kept(STAILQ_FIRST(&q->list), fd);

		if (r < 0)
			return r == -EAGAIN || channel_is_short(r) ? 0 : r;
		drop_first(q);
	}
	return 0;
}
