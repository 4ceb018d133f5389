/*
 * session_return.c: a session comes back at a new daemon
 *
 * Model: the link is broken, and all that had come over it is handled. The helper looks for a
 * daemon that knows the session (HELLO names it), puts the new sockets in the place of the old,
 * tells what the session holds (RESUME; the handler knows), sends again what was parked, and opens
 * the session for calls. Meanwhile calls wait (session_wait_return), what would be sent on the
 * event socket is kept back, and blocks are taken and freed as ever.
 *
 * Why nothing is told twice or forgotten: from before the first RESUME to the end no page enters or
 * leaves this process. A page cannot leave, since posting is closed; it cannot enter, since events
 * are read by this thread alone, and a reply that came over an older link is not believed any more
 * (client/heap.h: heap.link). A binding is known here from the moment its answer is read (ties).
 *
 * A daemon that ends again meanwhile: all of it from the start, within the same bound.
 */
#include "client/session_internal.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>

/* Between two looks for a daemon. */
#define LOOK_NS (20 * NSEC_PER_MSEC)

static void set_posting(struct session *s, bool may)
{
	lock_take(&s->post_lock);
	s->may_post = may;
	lock_give(&s->post_lock);
}

/* From here on no call is under way, and none begins. */
static void close_calls(struct session *s)
{
	uint32_t link;

	lock_take(&s->call_lock);
	link = link_of(atomic_load(&s->phase));
	session_set_phase(s, link, PHASE_AWAY);
	lock_give(&s->call_lock);
}

/* 0; -ENOENT: a daemon is there that does not know us; -EAGAIN: look again. */
static int look(struct session *s, struct link *l)
{
	int r = link_resume(l, s->io.path, s->io.welcome.session);

	if (r == 0 && l->welcome.session != s->io.welcome.session) {
		link_close(l);
		return -ENOENT;
	}
	/* what answers, and is no heapd that we could speak with, will not change by itself */
	return r == 0 || r == -ENOENT || r == -EPROTONOSUPPORT || r == -EACCES ? r : -EAGAIN;
}

/* The new descriptors take the numbers of the old: the areas are the same files, and stay. */
static int put_in_place(struct session *s, struct link *l)
{
	int r = 0;

	lock_take(&s->call_lock);
	if (dup3(l->call_fd, s->io.call_fd, O_CLOEXEC) < 0 || dup3(l->event_fd, s->io.event_fd, O_CLOEXEC) < 0)
		r = -errno;
	session_set_phase(s, link_of(atomic_load(&s->phase)) + 1, PHASE_AWAY);
	lock_give(&s->call_lock);
	link_close(l);
	return r;
}

/* On the helper, while nobody else calls. 0: look at the status; -ECONNREFUSED: the link broke again. */
static int say(struct session *s, struct frame *f, uint32_t id)
{
	int r;

	f->header.id = id;
	lock_take(&s->call_lock);
	r = link_call(s->io.call_fd, f);
	lock_give(&s->call_lock);
	return r == 0 || r == -EMFILE ? r : -ECONNREFUSED;
}

int session_say(struct session *s, struct frame *f)
{
	return say(s, f, session_new_id(s));
}

/* The least heap id above that, of those the session is bound to; 0: there is none. */
static uint64_t next_tie(struct session *s, uint64_t after)
{
	uint64_t least = 0;

	lock_take(&s->pending_lock);
	for (uint32_t i = 0; i < s->n_ties; i++)
		if (s->tie[i] > after && (!least || s->tie[i] < least))
			least = s->tie[i];
	lock_give(&s->pending_lock);
	return least;
}

static int tell_all(struct session *s)
{
	struct wire_resume *end;
	struct frame f;
	int r = 0;

	for (uint64_t id = next_tie(s, 0); r == 0 && id; id = next_tie(s, id))
		r = session_handler()->tell(s, id);
	if (r < 0)
		return r;
	end = frame_init(&f, OP_RESUME, 0, 0, sizeof(*end));
	end->flags = WIRE_RESUME_END;
	r = session_say(s, &f);
	return r == 0 && f.header.status != STATUS_OK ? -ECONNREFUSED : r;
}

/* ---- what was parked ---- */

/* A copy of a request that was parked over an older link, which counts as sent over this one. */
static bool take_unsent(struct session *s, uint32_t link, struct frame *f, uint32_t *id)
{
	struct pending *p;

	lock_take(&s->pending_lock);
	s->resent_in = link;
	TAILQ_FOREACH(p, &s->pending, link) {
		if (p->parked_in && p->parked_in < link)
			break;
	}
	if (p) {
		p->parked_in = link;
		pending_again(p);
		*f = p->frame;
		*id = p->id;
	}
	lock_give(&s->pending_lock);
	return p != NULL;
}

/* It is not parked any more: this is its end. */
static void deliver(struct session *s, struct frame *f, uint32_t id, int result)
{
	struct pending *p;

	lock_take(&s->pending_lock);
	p = pending_find(s, id);
	if (p) {
		session_tie(s, f);
		p->frame = *f;
		f->n_fds = 0;
		pending_finish(s, p, result);
	}
	lock_give(&s->pending_lock);
	frame_close_fds(f);
}

static int send_parked_again(struct session *s)
{
	uint32_t link = link_of(atomic_load(&s->phase)), id;
	struct frame f;
	int r;

	while (take_unsent(s, link, &f, &id)) {
		r = say(s, &f, id);
		if (r < 0 && r != -EMFILE)
			return r;
		if (f.header.status != STATUS_PARKED)
			deliver(s, &f, id, r);
	}
	return 0;
}

/* ---- all of it ---- */

static int come_back(struct session *s)
{
	struct link l;
	int r;

	session_read_events(s); /* of a daemon that went while we came back */
	r = look(s, &l);
	if (r == 0)
		r = put_in_place(s, &l);
	if (r == 0)
		r = tell_all(s);
	return r == 0 ? send_parked_again(s) : r;
}

static void settled(struct session *s)
{
	lock_take(&s->call_lock);
	session_set_phase(s, link_of(atomic_load(&s->phase)), PHASE_UP);
	lock_give(&s->call_lock);
	set_posting(s, true);
	for (uint64_t id = next_tie(s, 0); id; id = next_tie(s, id))
		session_handler()->back(s, id);
}

bool session_return(struct session *s)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };
	uint64_t deadline = now_ns() + RETURN_NS;
	bool kept = session_is_kept(s);
	int r = -ENOENT;

	set_posting(s, false);
	if (kept)
		close_calls(s);
	while (kept) {
		r = come_back(s);
		if (r == 0 || r == -ENOENT || r == -EPROTONOSUPPORT || r == -EACCES || now_ns() >= deadline)
			break;
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	}
	if (r == 0) {
		settled(s);
		return true;
	}
	session_break(s);
	session_set_phase(s, link_of(atomic_load(&s->phase)), PHASE_DOWN);
	return false;
}
