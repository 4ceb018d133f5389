/*
 * raw.h: a peer of heapd that speaks the protocol by hand
 *
 * For two uses: tests look at the daemon without the library and without binding anything
 * (watch_*), and play clients that the library would never be: ones that stop in the middle, lie or
 * send garbage. Used by the test itself only; actors do not inherit the sockets.
 */
#ifndef HEAPD_TESTS_STORY_RAW_H
#define HEAPD_TESTS_STORY_RAW_H

#include "proto/channel.h"
#include "proto/status.h"
#include "tests/story/story.h"

struct raw {
	int call, event, stats, control;
	uint32_t last_id;
	struct wire_welcome welcome;
};
#define RAW_NULL { .call = -1, .event = -1, .stats = -1, .control = -1 }

int raw_connect(struct raw *r);    /* the call socket only. 0, -errno */
int raw_hello(struct raw *r);      /* status, or -errno */
void raw_open(struct raw *r);      /* both; fails the test if they fail */
void raw_close(struct raw *r);     /* safe twice */

/* Sends f as a request (its id is set here), receives the reply into f. The status, or -errno. */
int raw_call(struct raw *r, struct frame *f);
/* Receives one event, waiting as long as the test lasts. 0 or -errno. */
int raw_event(struct raw *r, struct frame *f);
/* Waits for the next that comes: true if the daemon has closed that socket, false if it is a frame. */
bool raw_hung_up(int fd);
/* Reads whatever comes until the daemon has closed that socket. */
void raw_until_dropped(int fd);

/* One packet as it is, with at most RAW_FDS_MAX fds. 0 or -errno: mostly it does not matter which. */
#define RAW_FDS_MAX 253 /* the kernel's limit */
int raw_send_bytes(int fd, const void *bytes, size_t n, const int *fds, unsigned n_fds);

/* Common requests. The status of the reply (PARKED is followed to its event), or -errno. */
int raw_create(struct raw *r, const char *name, uint64_t size, uint32_t mode,
	       struct wire_bound *bound, int *fd);
int raw_bind(struct raw *r, const char *name, uint32_t access, struct wire_bound *bound, int *fd);
int raw_delete(struct raw *r, const char *name);
int raw_chmod(struct raw *r, const char *name, uint32_t perm, uint32_t gid);

/* What the daemon says, over a session of the test's own that binds nothing. */
struct wire_stat watch_stat(void);
int watch_heap(const char *name, struct wire_entry *entry); /* STATUS_OK, STATUS_MISSING … */
uint32_t watch_waiters(const char *name);                   /* 0 also if there is no such heap */
uint32_t watch_parked(const char *name);
uint32_t watch_bound(const char *name);
uint64_t watch_granted(const char *name);
uint32_t watch_bad_frees(const char *name);
bool watch_exists(const char *name);
void watch_close(void);            /* also in a forked child */

#endif
