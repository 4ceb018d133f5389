/*
 * stage.h: the daemon's world without sockets, for tests
 *
 * Players are sessions whose events are collected instead of sent; a committer of our own keeps
 * jobs until the test says how they end. Whatever passes is checked as on the wire: requests must
 * be such as the codec lets in (unless a test sends nonsense on purpose), replies and events such
 * as a client accepts. world_check() runs after every request.
 */
#ifndef HEAPD_TESTS_DAEMON_STAGE_H
#define HEAPD_TESTS_DAEMON_STAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "daemon/ops.h"

struct event {
	TAILQ_ENTRY(event) link;   /* the player's */
	uint64_t order;            /* among the events of all players */
	struct frame frame;        /* its fds are not kept: */
	int n_fds;
	bool fd_writable;          /* the first of them */
};

struct player {
	struct stage *stage;
	TAILQ_ENTRY(player) link;
	struct session *session;
	TAILQ_HEAD(, event) events;
	uint32_t n_events;
	uint32_t next_id;
	uint32_t last_id;   /* of the request that was sent last */
	struct reply reply; /* to it; its fds are closed or the daemon's */
	bool reply_fd_writable;
	bool unread, crowded; /* what its port says */
};

struct stage {
	struct world world;
	struct config config; /* before stage_open: what the world is to get */
	TAILQ_HEAD(, player) players;
	uint64_t order;       /* events so far */
	uint64_t woken_in_ns; /* the soonest wish since the last stage_work; UINT64_MAX: none */
	bool unchecked;       /* no world_check after each step: for tests that count time */
};

void stage_init(struct stage *st);                    /* config: defaults, nothing locked */
void stage_open(struct stage *st);
void stage_close(struct stage *st);                   /* everybody leaves; nothing may be left */
void stage_check(struct stage *st);
void stage_work(struct stage *st);                    /* world_work until nothing is due now */

unsigned stage_jobs(void);                            /* commits that have not ended */
void stage_commit(struct stage *st, int result);      /* the oldest ends */
void stage_commit_all(struct stage *st);              /* all end well */

struct player *player_join(struct stage *st, uid_t uid, gid_t gid);
void player_add_group(struct player *p, gid_t gid);
void player_leave(struct player *p);                  /* as if it had died */

/* Sends a request that frame_init has made; returns the status. */
uint32_t player_ask(struct player *p, struct frame *f);
/* Sends a frame on the event socket. What ops_event returned. */
int player_send(struct player *p, struct frame *f);

#define REPLY(p, type) FRAME_BODY(&(p)->reply.frame, struct type)

/* The oldest event, which must be of that op; copied to f. */
void player_take(struct player *p, uint16_t op, struct frame *f);
bool player_has(const struct player *p, uint16_t op); /* any event of that op */
void player_forget_events(struct player *p);

/* Requests in a line. All return the status. */
uint32_t ask_create(struct player *p, const char *name, uint64_t size, uint32_t mode);
uint32_t ask_create_full(struct player *p, const struct wire_create *c);
uint32_t ask_bind(struct player *p, const char *name, uint32_t access, uint32_t flags);
uint32_t ask_heap(struct player *p, uint16_t op, uint64_t heap); /* UNBIND, INQUIRE */
uint32_t ask_target(struct player *p, uint16_t op, uint64_t heap, const char *name,
		    uint64_t cursor);
uint32_t ask_refill(struct player *p, uint64_t heap, uint32_t pages, uint32_t flags);
uint32_t ask_refill_full(struct player *p, const struct wire_refill *r);
uint32_t ask_free(struct player *p, uint64_t heap, uint64_t offset);
uint32_t ask_cancel(struct player *p, uint32_t id);
uint32_t ask_chmod(struct player *p, const struct wire_chmod *c);
int send_return(struct player *p, uint64_t heap, uint32_t seq, uint32_t first, uint32_t n,
		bool more); /* n 0: none */

/*
 * CREATE, its commit and its EV_BOUND, which must be good. The heap's id; *bound (may be NULL) is
 * what it said.
 */
uint64_t create_heap(struct player *p, const char *name, uint64_t pages, uint32_t mode,
		     struct frame *bound);
/* BIND, which must be answered at once. */
uint64_t bind_heap(struct player *p, const char *name, uint32_t access);

struct heap *heap_of(struct player *p, uint64_t id);
struct wire_control *control_of(struct player *p, uint64_t id);

#endif
