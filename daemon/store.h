/*
 * store.h: systemd's fd store: descriptors that outlive the daemon
 *
 * Model: what is added under a name comes back, under that name, in the next process that systemd
 * starts for the unit (notify.h), until it is removed or the unit is stopped. Messages go to
 * $NOTIFY_SOCKET in order and never block: what the socket does not take at once waits here, with
 * descriptors of its own. A message is lost only if systemd is; so what was added before a sync
 * that has come back is safe, and nothing else is sure to be.
 *
 * systemd drops what is beyond FileDescriptorStoreMax= without a word to us. So we count, against
 * $FDSTORE (systemd 254 and later) or $HEAPD_FD_STORE (the unit says it, beside the other), and
 * what has no room is refused before. Neither variable: no store.
 *
 * Names travel in one environment variable, which the kernel limits to 128 KiB: names are of at
 * most 15 bytes, so 8192 descriptors fit in any case.
 * Not here: what is stored, and what for (keep.h); sd-daemon (notify.h).
 */
#ifndef HEAPD_DAEMON_STORE_H
#define HEAPD_DAEMON_STORE_H

#include <sys/queue.h>
#include "daemon/loop.h"

#define STORE_NAME_MAX 15u /* bytes */
#define STORE_FDS_MAX 3u   /* of one name */

struct store;

/* A wish to know when all that was said before has arrived. The caller's storage. */
struct store_wait {
	TAILQ_ENTRY(store_wait) link;
	struct store *store; /* NULL: does not wait */
	uint64_t barrier;    /* the one it goes with; 0: not sent yet */
	void (*fn)(void *ctx);
	void *ctx;
};

/* 0 and *out; *out is NULL if there is no store. -ENOMEM, -EMFILE, another -errno. */
int store_new(struct store **out, struct loop *l);
struct store *store_free(struct store *s); /* NULL is fine; returns NULL. What is stored stays so */

/* Whether n descriptors more have room. */
bool store_has_room(const struct store *s, uint32_t n);
uint32_t store_max(const struct store *s);

/* So many are in it, or shall be; or not after all. */
void store_count(struct store *s, uint32_t n);
void store_uncount(struct store *s, uint32_t n);

/*
 * The descriptors stay the caller's. Pre: they are counted, n <= STORE_FDS_MAX. 0; -ENOMEM,
 * -EMFILE: it is not added.
 */
int store_add(struct store *s, const char *name, const int *fds, uint32_t n);
/* All n of that name. Without memory to say so it stays, counted; a later start removes it. */
void store_remove(struct store *s, const char *name, uint32_t n);

/* All that was said is in systemd's socket, if not read yet. */
bool store_is_sent(const struct store *s);

/* fn(ctx) runs once, on the loop, never inside this call. Pre: w is zero, or has been called or unset. */
void store_sync(struct store *s, struct store_wait *w, void (*fn)(void *ctx), void *ctx);
void store_unwait(struct store_wait *w); /* it will not run. Safe twice */

#endif
