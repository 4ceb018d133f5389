/*
 * outq.h: frames that a socket would not take at once
 *
 * Model: frames leave in order. While nothing waits, a frame is sent from where it lies; what the
 * socket does not take, or the kernel has no memory for just now, is copied, its descriptors
 * duplicated, and kept until outq_flush gets rid of it. Not here: bounds (peer.c knows what may wait), the loop.
 */
#ifndef HEAPD_DAEMON_OUTQ_H
#define HEAPD_DAEMON_OUTQ_H

#include <sys/queue.h>
#include "proto/channel.h"

struct out;

struct outq {
	STAILQ_HEAD(, out) list;
	uint32_t n;
};

void outq_init(struct outq *q);
void outq_deinit(struct outq *q); /* what waits is lost. Safe twice */

/*
 * Sends or keeps. 0; -EPIPE, -ECONNRESET (peer gone); -ENOMEM, -EMFILE, -ENFILE (could not be
 * kept); -ETOOMANYREFS (too many descriptors are on their way to clients); other -errno. Nothing of
 * the frame was sent or kept then.
 */
int outq_send(struct outq *q, int fd, const struct frame *f);

/* Sends what waits, as far as the socket takes it. 0, or -errno as above. */
int outq_flush(struct outq *q, int fd);

#endif
