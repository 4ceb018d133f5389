/*
 * greeting.c: HELLO, and what comes with it
 *
 * A client of another protocol version is told ours and hung up on; one over its user's limit of
 * sessions, or for whom the daemon has no descriptors, likewise with that status. What was sent
 * before a close can still be read, so the answer is not lost.
 */
#include "daemon/peer_internal.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include "config-heapd.h"
#include "daemon/binding.h"
#include "daemon/heap.h"
#include "daemon/log.h"
#include "daemon/ops.h"
#include "daemon/passing.h"
#include "daemon/point.h"

/* Kept is who can be watched, and found again. */
static uint32_t features(const struct peer *p)
{
	bool kept = p->peers->world->heaps.keep && p->pidfd >= 0 && p->session->who.pid > 0;

	return kept ? WIRE_FEATURE_BASE | WIRE_FEATURE_KEPT : WIRE_FEATURE_BASE;
}

static struct wire_welcome *welcome_init(const struct peer *p, struct frame *f, uint32_t id,
					 uint32_t status)
{
	struct wire_welcome *body = frame_init(f, OP_HELLO | WIRE_REPLY, id, status, sizeof(*body));

	*body = (struct wire_welcome){
		.version = WIRE_VERSION,
		.max_heap = p->peers->world->config.max_size,
		.hw_page = HW_PAGE_SIZE,
		.n_slots = WIRE_SLOTS,
		.build = HEAPD_VERSION,
	};
	return body;
}

/* For people, on this side; the client is told by the reply. Good until the next one: the loop is one thread. */
static const char *other_version(uint32_t theirs)
{
	static char text[80];

	(void)snprintf(text, sizeof(text), "speaks another version of the protocol: %u, not %u", theirs, WIRE_VERSION);
	return text;
}

/* Says why not, and ends it: always an error. */
static int hang_up(struct peer *p, uint32_t id, uint32_t status, const char **why)
{
	struct frame f;

	if (status == STATUS_VERSION)
		(void)welcome_init(p, &f, id, status);
	else
		(void)frame_init(&f, OP_HELLO | WIRE_REPLY, id, status, 0);
	(void)peer_reply(p, &f);
	*why = status_text(status);
	if (status == STATUS_MISSING) {
		log_info("pid %d asks for a session that is not known here", (int)p->who.pid);
		*why = NULL; /* no misbehaviour */
	}
	return -ECONNABORTED;
}

static int open_events(struct peer *p, int *theirs)
{
	int fds[2];

	/* Blocking or not is the client's choice on its end; we never wait (MSG_DONTWAIT). */
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	p->event_wary = passing_forbid_early(fds[0]);
	p->event_fd = fds[0];
	*theirs = fds[1];
	return loop_io_new(&p->event_io, p->peers->loop, p->event_fd, LOOP_READ, peer_on_event, p);
}

static int join(struct peer *p, const char *label)
{
	int r = world_join(p->peers->world, &p->session, &p->who, &p->charge, label, &peer_port, p);

	if (!r)
		p->session->pidfd = p->pidfd;
	return r;
}

/*
 * Is it the process that had the session? While that one lives, which its pidfd tells, nobody else has
 * its pid.
 */
static bool is_same(const struct peer *p, const struct peer *absent)
{
	struct pollfd alive = {.fd = absent->pidfd, .events = POLLIN};
	const struct credentials *before = &absent->session->who;

	return p->who.pid > 0 && p->who.pid == before->pid && p->who.uid == before->uid &&
	       poll(&alive, 1, 0) == 0;
}

/* The session changes hands. STATUS_MISSING: it is not known, or not the asker's. */
static int resume(struct peer *p, uint64_t id)
{
	struct peer *absent = peer_find_absent(p->peers, id);
	struct binding *b;

	if (!absent || !is_same(p, absent))
		return STATUS_MISSING;
	session_away(absent->session); /* it may have been coming back over another link */
	p->session = take(absent->session);
	absent->is_absent = false;
	peer_free(absent);
	charge_deinit(&p->charge); /* the session has its own */
	if (p->is_refused)
		p->peers->n_refused--;
	p->is_refused = false;
	session_return(p->session, &p->who, &peer_port, p);
	p->session->pidfd = p->pidfd;
	TAILQ_FOREACH(b, &p->session->bound, of_session)
		heap_forget_asked(b);
	POINT(RESUME_FOUND);
	return 0;
}

static int welcome(struct peer *p, const struct frame *in, int theirs)
{
	const struct wire_hello *hello = FRAME_BODY(in, const struct wire_hello);
	struct areas *areas = &p->session->areas;
	struct frame f;
	struct wire_welcome *body = welcome_init(p, &f, in->header.id, STATUS_OK);
	int r = areas_show(areas);

	if (r < 0)
		return r;
	body->features = hello->features & features(p);
	body->session = p->session->id;
	frame_add_fd(&f, theirs);
	frame_add_fd(&f, areas->stats_fd);
	frame_add_fd(&f, areas->control_fd);
	r = peer_reply(p, &f);
	close_fd(&areas->control_fd);
	return r;
}

int greet(struct peer *p, const struct frame *in, const char **why)
{
	const struct wire_hello *hello = FRAME_BODY(in, const struct wire_hello);
	_cleanup_fd_ int theirs = -1;
	int r;

	*why = "does not say HELLO first";
	if (in->header.op != OP_HELLO)
		return -EPROTO;
	p->peers->world->n_requests++;
	p->greeting = loop_timer_free(p->greeting);
	loop_io_dear(p->call_io, false);
	if (hello->version != WIRE_VERSION) {
		r = hang_up(p, in->header.id, STATUS_VERSION, why);
		*why = other_version(hello->version);
		return r;
	}
	if (p->is_refused && !hello->resume)
		return hang_up(p, in->header.id, STATUS_QUOTA, why);
	r = open_events(p, &theirs);
	if (!r)
		r = hello->resume ? resume(p, hello->resume) : join(p, hello->label);
	if (r > 0)
		return hang_up(p, in->header.id, (uint32_t)r, why);
	if (!r)
		r = welcome(p, in, theirs);
	*why = NULL;
	if (!r || r == -EPIPE || r == -ECONNRESET)
		return r; /* it has gone by itself */
	r = status_of_shortage(r);
	return hang_up(p, in->header.id, r > 0 ? (uint32_t)r : STATUS_NO_MEMORY, why);
}
