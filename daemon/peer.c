/*
 * peer.c: see peer.h; what HELLO does is in greeting.c
 */
#include "daemon/peer_internal.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include "daemon/log.h"
#include "daemon/ops.h"
#include "daemon/passing.h"
#include "daemon/point.h"

/* HELLO must have come by then. */
#define GREETING_NS (5 * NSEC_PER_SEC)
/* RETURNs that are handled in one turn. */
#define RETURNS_MAX 8
/*
 * What a client may leave unread beyond what its own bindings and requests cause; each kept frame
 * is below 4 KiB.
 */
#define EVENTS_MAX 1024u
/* A binding can have a recall, a soft grant and the deletion on their way. */
#define EVENTS_PER_BINDING 3u
/* Connections over their user's limit, of all users together, that wait to be told so. */
#define REFUSED_MAX 64u

/* ---- the end ---- */

/* A socket that must not be closed (passing.h). Its user stays charged for a session. */
struct kept {
	SLIST_ENTRY(kept) link;
	struct charge charge;
};

/*
 * Left open until the process ends, but its peer sees the end of it, and can send no more. Whether
 * there is memory to note it changes nothing of that.
 */
static void keep(struct peers *ps, int *fd, uid_t uid)
{
	struct kept *k = calloc(1, sizeof(*k));

	(void)shutdown(take_fd(fd), SHUT_RDWR);
	if (!k)
		return;
	(void)charge_take(&k->charge, &ps->world->accounts, uid, RESOURCE_SESSIONS, 1);
	SLIST_INSERT_HEAD(&ps->kept, k, link);
}

static void close_socket(struct peers *ps, int *fd, bool wary, uid_t uid)
{
	if (*fd >= 0 && wary && !passing_clean(*fd))
		keep(ps, fd, uid);
	close_fd(fd);
}

static void close_sockets(struct peer *p, uid_t uid)
{
	close_socket(p->peers, &p->call_fd, p->call_wary, uid);
	close_socket(p->peers, &p->event_fd, p->event_wary, uid);
}

void peer_unlink(struct peer *p)
{
	p->call_io = loop_io_free(p->call_io);
	p->event_io = loop_io_free(p->event_io);
	peer_let_go(p);
	outq_deinit(&p->replies);
	outq_deinit(&p->events);
	if (p->doomed)
		TAILQ_REMOVE(&p->peers->doomed, p, doomed_link);
	p->doomed = false;
	close_sockets(p, p->session->who.uid);
}

void peer_let_go(struct peer *p)
{
	if (!p->unfinished)
		return;
	TAILQ_REMOVE(&p->peers->unfinished, p, unfinished_link);
	free(take(p->unfinished));
}

struct peer *peer_free(struct peer *p)
{
	struct peers *ps = p->peers;
	uid_t uid = p->session ? p->session->who.uid : p->who.uid;

	if (p->doomed)
		TAILQ_REMOVE(&ps->doomed, p, doomed_link);
	TAILQ_REMOVE(&ps->all, p, link);
	if (p->is_refused)
		ps->n_refused--;
	p->greeting = loop_timer_free(p->greeting);
	p->call_io = loop_io_free(p->call_io);
	p->event_io = loop_io_free(p->event_io);
	p->pid_io = loop_io_free(p->pid_io);
	close_fd(&p->pidfd);
	peer_let_go(p);
	outq_deinit(&p->replies);
	outq_deinit(&p->events);
	credentials_deinit(&p->who);
	charge_deinit(&p->charge);
	if (p->session)
		p->session->pidfd = -1;
	if (p->session)
		world_leave(ps->world, p->session);
	close_sockets(p, uid);
	free(p);
	return NULL;
}

static void tell_drop(const struct peer *p, const char *why)
{
	const struct credentials *who = p->session ? &p->session->who : &p->who;

	p->peers->world->n_dropped++;
	log_limited(LOG_WARNING, "client dropped: pid %d, uid %u, \"%s\": %s", (int)who->pid,
		    (unsigned)who->uid, p->session ? p->session->label : "", why);
}

void peer_drop(struct peer *p, const char *why)
{
	if (why)
		tell_drop(p, why);
	peer_free(p);
}

void peer_doom(struct peer *p, const char *why)
{
	if (p->doomed)
		return;
	p->doomed = true;
	p->why = why;
	TAILQ_INSERT_TAIL(&p->peers->doomed, p, doomed_link);
	p->peers->wake(p->peers->ctx);
}

/* Why a socket's error ends a peer; NULL: it has gone by itself, which is no misbehaviour, or nothing failed. */
static const char *why_failed(int r)
{
	switch (r) {
	case 0:
	case -ECONNRESET:
	case -EPIPE:
		return NULL;
	case -EPROTO:
		return "broken frame";
	case -EBADMSG:
		return "descriptors that nobody asked for";
	case -EMFILE:
	case -ENFILE:
		return "descriptors that could not be received";
	case -ENOMEM:
		return "no memory for its messages";
	case -ETOOMANYREFS:
		return "too many descriptors are on their way";
	default:
		return strerror(-r);
	}
}

/* ---- events out ---- */

static int event_interest(struct peer *p)
{
	return loop_io_set(p->event_io, p->events.n ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static uint32_t events_bound(const struct session *s)
{
	return EVENTS_MAX + EVENTS_PER_BINDING * s->n_bound + s->n_parked;
}

/* A descriptor that can be neither sent nor kept: whoever asked for it is told so instead. */
static bool means_no_descriptor(int r)
{
	return r == -ETOOMANYREFS || r == -EMFILE || r == -ENFILE;
}

static int emit(void *ctx, const struct frame *event)
{
	struct peer *p = ctx;
	uint32_t waiting = p->events.n;
	int r;

	if (p->doomed)
		return 0;
	p->peers->world->n_events++;
	POINT(EVENT_DUE);
	r = outq_send(&p->events, p->event_fd, event);
	POINT(EVENT_SENT);
	if (event->n_fds && means_no_descriptor(r))
		return r;
	if (!r && !waiting && p->events.n)
		r = event_interest(p);
	if (r < 0)
		peer_doom(p, why_failed(r));
	else if (p->events.n > events_bound(p->session))
		peer_doom(p, "does not read its events");
	return 0;
}

static bool unread(void *ctx)
{
	const struct peer *p = ctx;
	int bytes = 0;

	return p->events.n || ioctl(p->event_fd, SIOCOUTQ, &bytes) < 0 || bytes > 0;
}

/* Behind what waits it would have to wait, too. */
static int deliver(void *ctx, const struct frame *event)
{
	struct peer *p = ctx;
	int r;

	if (p->doomed || p->events.n)
		return -EAGAIN;
	POINT(EVENT_DUE);
	r = channel_send(p->event_fd, event, MSG_DONTWAIT);
	POINT(EVENT_SENT);
	if (r == -EAGAIN || channel_is_short(r))
		return -EAGAIN;
	p->peers->world->n_events++;
	if (r < 0)
		peer_doom(p, why_failed(r));
	return 0;
}

const struct session_port peer_port = {.emit = emit, .unread = unread, .deliver = deliver};

/*
 * channel_recv, but never of a message that brings descriptors: -EBADMSG, and it stays where it is.
 * To a socket that is not wary none can come, so none are asked for. What the kernel has no memory
 * to give us now lies there in the next turn.
 */
static int receive(int fd, bool *wary, struct frame *in)
{
	int r = unlikely(*wary) ? passing_peek(fd) : 0;

	if (r)
		return r > 0 ? -EBADMSG : channel_is_short(r) ? -EAGAIN : r;
	r = channel_recv(fd, in, *wary ? MSG_DONTWAIT : MSG_DONTWAIT | CHANNEL_NO_FDS);
	if (unlikely(*wary) && !r)
		*wary = passing_still_wary(fd);
	return channel_is_short(r) ? -EAGAIN : r;
}

/* ---- RETURNs in ---- */

/* One frame. 0; -EAGAIN: there is none; else it is over: *why. */
static int take_return(struct peer *p, const char **why)
{
	struct frame in;
	int r = receive(p->event_fd, &p->event_wary, &in);

	if (r < 0) {
		*why = why_failed(r);
		return r;
	}
	r = codec_check_request(&in, CODEC_EVENT, why);
	frame_close_fds(&in);
	if (r < 0)
		return -EPROTO;
	*why = "RETURN of pages that it does not hold, or for no recall";
	POINT(RETURN_CAME);
	r = ops_event(p->peers->world, p->session, &in);
	POINT_AUDIT(p->peers->world);
	return r;
}

void peer_on_event(void *ctx, unsigned ready)
{
	struct peer *p = ctx;
	const char *why = NULL;
	int r = 0;

	if (ready & LOOP_WRITE) {
		r = outq_flush(&p->events, p->event_fd);
		if (!r)
			r = event_interest(p);
		why = why_failed(r);
	}
	for (int i = 0; !r && (ready & LOOP_READ) && i < RETURNS_MAX; i++)
		r = take_return(p, &why);
	if (r < 0 && r != -EAGAIN)
		peer_over(p, r, why);
	else if (p->doomed)
		peer_over(p, -ECONNRESET, p->why);
}

/* ---- requests in, replies out ---- */

int peer_reply(struct peer *p, const struct frame *f)
{
	int r;

	POINT(REPLY_DUE);
	r = outq_send(&p->replies, p->call_fd, f);
	POINT(REPLY_SENT);
	return r < 0 ? r : loop_io_set(p->call_io, p->replies.n ? LOOP_WRITE : LOOP_READ);
}

/*
 * What the client sent on the event socket before UNBIND is there, and must be handled before: once
 * the heap is bound anew its pages could be taken for others. And before RESUME: what it has given
 * back it does not tell any more. The socket's buffer bounds it.
 */
static int take_returns(struct peer *p, const char **why)
{
	int r;

	do {
		r = take_return(p, why);
	} while (!r);
	return r == -EAGAIN ? 0 : r;
}

/* 0: it is answered; OPS_MORE; -errno. */
static int act(struct peer *p, const struct frame *in, const char **why)
{
	_cleanup_fd_ int opened = -1;
	struct reply reply;
	int r;

	*why = "request out of place";
	r = ops_call(p->peers->world, p->session, in, &reply);
	opened = reply.opened;
	POINT_AUDIT(p->peers->world);
	if (r)
		return r;
	r = peer_reply(p, &reply.frame);
	if (reply.frame.n_fds && means_no_descriptor(r)) {
		bound_unsent(p->session, &reply.frame);
		(void)frame_init(&reply.frame, reply.frame.header.op, in->header.id, STATUS_NO_FILES, 0);
		r = peer_reply(p, &reply.frame);
	}
	*why = why_failed(r);
	return r;
}

/* It goes on in the next turn (peers_work); nothing more is read until then. Without memory for that, at once. */
static int put_off(struct peer *p, const struct frame *in, const char **why)
{
	int r = OPS_MORE;

	p->unfinished = malloc(sizeof(*p->unfinished));
	while (!p->unfinished && r == OPS_MORE)
		r = act(p, in, why);
	if (!p->unfinished)
		return r;
	*p->unfinished = *in;
	TAILQ_INSERT_TAIL(&p->peers->unfinished, p, unfinished_link);
	p->peers->wake(p->peers->ctx);
	return loop_io_set(p->call_io, 0);
}

static void go_on(struct peer *p)
{
	const char *why = NULL;
	int r = act(p, p->unfinished, &why);

	if (r == OPS_MORE) { /* they take turns */
		TAILQ_REMOVE(&p->peers->unfinished, p, unfinished_link);
		TAILQ_INSERT_TAIL(&p->peers->unfinished, p, unfinished_link);
		return;
	}
	peer_let_go(p);
	if (r < 0)
		peer_over(p, r, why);
}

static int answer(struct peer *p, const struct frame *in, const char **why)
{
	bool behind = in->header.op == OP_UNBIND || in->header.op == OP_RESUME;
	int r = behind ? take_returns(p, why) : 0;

	if (!r)
		r = act(p, in, why);
	return r == OPS_MORE ? put_off(p, in, why) : r;
}

/* One request. 0; -EAGAIN: there is none; else it is over: *why. */
static int take_request(struct peer *p, const char **why)
{
	struct frame in;
	int r = receive(p->call_fd, &p->call_wary, &in);

	if (r < 0) {
		*why = why_failed(r);
		return r;
	}
	r = codec_check_request(&in, CODEC_CALL, why);
	frame_close_fds(&in);
	if (r < 0)
		return r;
	POINT(REQUEST_CAME);
	return p->session ? answer(p, &in, why) : greet(p, &in, why);
}

static void on_call(void *ctx, unsigned ready)
{
	struct peer *p = ctx;
	const char *why = NULL;
	int r = 0;

	if (ready & LOOP_WRITE) {
		r = outq_flush(&p->replies, p->call_fd);
		if (!r && !p->replies.n)
			r = loop_io_set(p->call_io, LOOP_READ);
		why = why_failed(r);
	} else if (ready & LOOP_READ) {
		r = take_request(p, &why);
	}
	if (r < 0 && r != -EAGAIN)
		peer_over(p, r, why);
	else if (p->doomed)
		peer_over(p, -ECONNRESET, p->why);
}

/* ---- the beginning ---- */

void peer_on_death(void *ctx, _unused_ unsigned ready)
{
	peer_drop(ctx, NULL);
}

static void on_silence(void *ctx)
{
	peer_drop(ctx, "no HELLO");
}

/* Over the limit it is only admitted to be told so, and only so many at once. */
static int charge_session(struct peer *p)
{
	struct peers *ps = p->peers;
	int r = charge_take(&p->charge, &ps->world->accounts, p->who.uid, RESOURCE_SESSIONS, 1);

	if (r != STATUS_QUOTA)
		return r;
	if (ps->n_refused >= REFUSED_MAX)
		return -EDQUOT;
	p->is_refused = true;
	ps->n_refused++;
	return 0;
}

/* Without a pidfd (another pid namespace, say) the sockets have to tell. */
static int watch_process(struct peer *p)
{
	p->pidfd = credentials_pidfd(&p->who, p->call_fd);
	if (p->pidfd >= 0)
		return loop_io_new(&p->pid_io, p->peers->loop, p->pidfd, LOOP_READ, peer_on_death, p);
	if (p->pidfd == -ESRCH || p->pidfd == -EMFILE || p->pidfd == -ENFILE)
		return p->pidfd;
	log_debug("no pidfd for pid %d: %s", (int)p->who.pid, strerror(-p->pidfd));
	return 0;
}

static int peer_init(struct peer *p)
{
	struct loop *l = p->peers->loop;
	int r;

	p->call_wary = passing_forbid(p->call_fd);
	r = credentials_read(&p->who, p->call_fd);
	if (!r)
		r = charge_session(p);
	if (!r)
		r = watch_process(p);
	if (!r)
		r = loop_io_new(&p->call_io, l, p->call_fd, LOOP_READ, on_call, p);
	if (!r)
		loop_io_dear(p->call_io, true); /* HELLO is; see greet */
	if (!r)
		r = loop_timer_new(&p->greeting, l, on_silence, p);
	return r ? r : loop_timer_set(p->greeting, GREETING_NS);
}

int peer_new_take(struct peers *ps, int fd)
{
	struct peer *p = calloc(1, sizeof(*p));
	int r;

	if (!p) {
		close_fd(&fd);
		return -ENOMEM;
	}
	*p = (struct peer){
		.peers = ps, .call_fd = fd, .event_fd = -1, .pidfd = -1, .who = CREDENTIALS_NULL};
	outq_init(&p->replies);
	outq_init(&p->events);
	TAILQ_INSERT_TAIL(&ps->all, p, link);
	r = peer_init(p);
	if (r)
		peer_free(p);
	return r;
}

/* ---- all peers ---- */

void peers_init(struct peers *ps, struct world *w, struct loop *l, void (*wake)(void *ctx),
		void *ctx)
{
	*ps = (struct peers){.world = w, .loop = l, .wake = wake, .ctx = ctx};
	TAILQ_INIT(&ps->all);
	TAILQ_INIT(&ps->doomed);
	TAILQ_INIT(&ps->unfinished);
	SLIST_INIT(&ps->kept);
}

bool peers_work(struct peers *ps)
{
	struct peer *p;

	while ((p = TAILQ_FIRST(&ps->doomed)))
		peer_over(p, -ECONNRESET, p->why);
	p = TAILQ_FIRST(&ps->unfinished);
	if (p)
		go_on(p);
	return !TAILQ_EMPTY(&ps->unfinished);
}

void peers_deinit(struct peers *ps)
{
	struct peer *p;
	struct kept *k;

	while ((p = TAILQ_FIRST(&ps->all)))
		peer_free(p);
	while ((k = SLIST_FIRST(&ps->kept))) { /* their descriptors go with the process, which nothing keeps then */
		SLIST_REMOVE_HEAD(&ps->kept, link);
		charge_deinit(&k->charge);
		free(k);
	}
}
