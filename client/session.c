/*
 * session.c: see session.h
 *
 * Locks, in the order in which they may nest: sessions.lock (which sessions exist, which is
 * current), s->event_lock (the helper reads and handles an event, the handler taking the layer
 * above's locks), s->free_lock (a FREE, until it is answered), s->call_lock (the call socket and the
 * areas), s->pending_lock. The layer above
 * may hold its own locks around session_post, session_kick and session_raise, which take none of
 * them.
 */
#include "client/session_internal.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "client/cancel.h"

static struct {
	struct lock lock;
	struct session *current; /* holds a reference */
	LIST_HEAD(, session) all;
	const struct session_handler *handler;
} sessions;

static pthread_once_t sessions_once = PTHREAD_ONCE_INIT;
static __thread char problem[256];

static void sessions_init(void)
{
	lock_init(&sessions.lock);
	LIST_INIT(&sessions.all);
}

void session_set_handler(const struct session_handler *handler)
{
	(void)pthread_once(&sessions_once, sessions_init);
	sessions.handler = handler;
}

const char *session_problem(void)
{
	return problem;
}

void session_set_problem(const char *text)
{
	(void)snprintf(problem, sizeof(problem), "%s", text);
}

bool session_is_up(const struct session *s)
{
	return phase_of(atomic_load_explicit(&s->phase, memory_order_acquire)) != PHASE_DOWN;
}

bool session_is_settled(const struct session *s)
{
	return phase_of(atomic_load_explicit(&s->phase, memory_order_acquire)) == PHASE_UP;
}

uint32_t session_link(const struct session *s)
{
	return link_of(atomic_load_explicit(&s->phase, memory_order_acquire));
}

void session_set_phase(struct session *s, uint32_t link, uint32_t phase)
{
	atomic_store_explicit(&s->phase, link << PHASE_BITS | phase, memory_order_release);
	futex_wake(&s->phase, INT_MAX);
}

const struct session_handler *session_handler(void)
{
	return sessions.handler;
}

uint64_t session_max_heap(const struct session *s)
{
	return s->io.welcome.max_heap;
}

struct session *session_ref(struct session *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

static void session_free(struct session *s)
{
	areas_deinit(&s->areas);
	close_fd(&s->kick_fd);
	link_close(&s->io);
	free(s->tie);
	free(s);
}

void session_unref(struct session *s)
{
	if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	lock_take(&sessions.lock);
	LIST_REMOVE(s, link);
	lock_give(&sessions.lock);
	session_free(s);
}

void session_break(struct session *s)
{
	(void)shutdown(s->io.call_fd, SHUT_RDWR);
	(void)shutdown(s->io.event_fd, SHUT_RDWR);
}

void session_kick(struct session *s)
{
	_no_cancel_ int cancel = cancel_disable();
	uint64_t one = 1;

	if (write(s->kick_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is kicked already */
}

/* ---- making one ---- */

static int session_new(struct session **out)
{
	struct session *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->kick_fd = -1;
	r = link_open(&s->io, problem, sizeof(problem));
	if (r < 0) {
		free(s);
		/* who listens and is no heapd, or does not answer, is as good as nobody; the problem's text tells which */
		return r == -EPROTO || r == -ETIMEDOUT ? -ECONNREFUSED : r;
	}
	atomic_init(&s->refs, 1);
	atomic_init(&s->next_id, 1);
	lock_init(&s->event_lock);
	lock_init(&s->free_lock);
	lock_init(&s->call_lock);
	lock_init(&s->post_lock);
	lock_init(&s->pending_lock);
	s->may_post = true;
	atomic_init(&s->phase, 1u << PHASE_BITS | PHASE_UP);
	TAILQ_INIT(&s->pending);
	areas_init(&s->areas, s->io.control_fd, s->io.stats_fd, s->io.welcome.n_slots);
	s->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = s->kick_fd >= 0 ? session_helper_start(s) : errno == ENOMEM ? -ENOMEM : -EMFILE;
	if (r < 0) {
		(void)snprintf(problem, sizeof(problem), "no helper thread: %s", strerror(-r));
		session_free(s);
		return r;
	}
	*out = s;
	return 0;
}

int session_get(struct session **out)
{
	_no_cancel_ int cancel = cancel_disable();
	struct session *old = NULL;
	int r = 0;

	(void)pthread_once(&sessions_once, sessions_init);
	lock_take(&sessions.lock);
	if (sessions.current && !session_is_up(sessions.current))
		old = take(sessions.current);
	if (!sessions.current) {
		r = session_new(&sessions.current);
		if (r == 0)
			LIST_INSERT_HEAD(&sessions.all, sessions.current, link);
	}
	if (r == 0) {
		problem[0] = '\0';
		*out = session_ref(sessions.current);
	}
	lock_give(&sessions.lock);
	session_unref(old);
	return r;
}

void session_forget_all(void)
{
	struct session *s;

	lock_init(&sessions.lock);
	LIST_FOREACH(s, &sessions.all, link) {
		atomic_store(&s->phase, PHASE_DOWN);
		close_fd(&s->kick_fd);
		link_close(&s->io);
	}
	/* their memory may be in any state (another thread of the parent was in the middle of something): leave it */
	LIST_INIT(&sessions.all);
	sessions.current = NULL;
}

/* ---- calls ---- */

uint32_t session_new_id(struct session *s)
{
	uint32_t id = atomic_fetch_add_explicit(&s->next_id, 1, memory_order_relaxed);

	return id ? id : atomic_fetch_add_explicit(&s->next_id, 1, memory_order_relaxed);
}

int session_try(struct session *s, struct frame *f, uint32_t wanted, uint32_t *link)
{
	uint32_t phase;
	int r = -ECONNREFUSED;

	lock_take(&s->call_lock);
	phase = atomic_load(&s->phase);
	*link = link_of(phase) - (phase_of(phase) != PHASE_UP); /* if it is not up yet, it will do when it is */
	if (phase_of(phase) == PHASE_UP && (!wanted || wanted == *link)) {
		r = link_call(s->io.call_fd, f);
		if (r < 0 && r != -EMFILE) {
			session_break(s); /* the lock is still held: it is this link */
			session_set_phase(s, *link, session_is_kept(s) ? PHASE_AWAY : PHASE_DOWN);
			r = -ECONNREFUSED;
		} else if (f->header.op == (OP_BIND | WIRE_REPLY) || f->header.op == (OP_CREATE | WIRE_REPLY)) {
			lock_take(&s->pending_lock);
			session_tie(s, f);
			lock_give(&s->pending_lock);
		}
	}
	lock_give(&s->call_lock);
	return r;
}

int session_wait_return(struct session *s, uint32_t link)
{
	uint64_t deadline = now_ns() + RETURN_NS;
	int r = 0;

	if (session_is_helper() || !session_is_kept(s))
		return -ECONNREFUSED;
	while (r != -ETIMEDOUT) {
		uint32_t phase = atomic_load(&s->phase);

		if (phase_of(phase) == PHASE_DOWN)
			return -ECONNREFUSED;
		if (phase_of(phase) == PHASE_UP && link_of(phase) != link)
			return 0;
		r = futex_wait(&s->phase, phase, deadline);
	}
	return -ECONNREFUSED;
}

/* A session is bound no more from the moment it says so: should the daemon end now, it does not tell of it. */
static void untie(struct session *s, uint64_t heap)
{
	lock_take(&s->pending_lock);
	for (uint32_t i = 0; i < s->n_ties; i++)
		if (s->tie[i] == heap) {
			s->tie[i] = s->tie[--s->n_ties];
			break;
		}
	lock_give(&s->pending_lock);
}

void session_tie(struct session *s, const struct frame *f)
{
	const struct wire_bound *b = (const struct wire_bound *)(const void *)f->body.bytes;

	if (f->header.status != STATUS_OK || b->slot == UINT32_MAX || f->header.length < sizeof(*b))
		return;
	assert(s->n_ties < s->n_tie_space && "session_start made room");
	s->tie[s->n_ties++] = b->heap;
}

/*
 * The daemon died with the request or its reply, and what it did of it is done. What has an effect
 * only once is told as if nothing had happened: a heap that is gone when it is deleted again.
 */
static void settle_again(struct frame *f)
{
	if (f->header.op != (OP_DELETE | WIRE_REPLY))
		return;
	if (f->header.status == STATUS_MISSING || f->header.status == STATUS_REMOVED)
		f->header.status = STATUS_OK;
}

/* The process that holds the block has not come back yet; whether it knows of this free, it will tell. */
static bool is_early(const struct frame *f)
{
	return f->header.op == (OP_FREE | WIRE_REPLY) && f->header.status == STATUS_BUSY;
}

static int call_again(struct session *s, struct frame *f, uint32_t link)
{
	const struct timespec pause = { .tv_nsec = 2000000 };
	uint64_t deadline = now_ns() + RETURN_NS;
	struct frame request = *f;
	int r = -ECONNREFUSED;

	while (session_wait_return(s, link) == 0) {
		*f = request;
		r = session_try(s, f, 0, &link);
		if (r != -ECONNREFUSED && !is_early(f))
			break;
		if (now_ns() >= deadline)
			break;
		if (r == 0) {
			(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
			link--; /* the same one will do */
		}
	}
	/* a free that it may have had before: never asked for again under another id, for then it could be done twice */
	if (r == 0 && is_early(f))
		f->header.status = STATUS_OK;
	if (r == 0)
		settle_again(f);
	return r;
}

int session_call_id(struct session *s, struct frame *f, uint32_t id)
{
	_no_cancel_ int cancel = cancel_disable();
	const bool is_free = f->header.op == OP_FREE;
	uint32_t link;
	int r;

	f->header.id = id;
	if (f->header.op == OP_UNBIND)
		untie(s, FRAME_BODY(f, struct wire_heap)->heap);
	if (is_free)
		lock_take(&s->free_lock);
	r = session_try(s, f, 0, &link);
	if (r == -ECONNREFUSED)
		r = call_again(s, f, link);
	if (is_free)
		lock_give(&s->free_lock);
	return r;
}

int session_call(struct session *s, struct frame *f)
{
	return session_call_id(s, f, session_new_id(s));
}

int session_call_over(struct session *s, struct frame *f, uint32_t id, uint32_t link)
{
	_no_cancel_ int cancel = cancel_disable();
	uint32_t now;

	f->header.id = id;
	return link ? session_try(s, f, link, &now) : -ECONNREFUSED;
}

int session_post(struct session *s, const struct frame *f)
{
	_no_cancel_ int cancel = cancel_disable();
	int r = -ECONNREFUSED;

	lock_take(&s->post_lock);
	if (s->may_post)
		r = channel_send(s->io.event_fd, f, MSG_DONTWAIT);
	else if (session_is_up(s) && !session_is_helper())
		r = -EAGAIN; /* later */
	lock_give(&s->post_lock);
	if (channel_is_short(r))
		return -EAGAIN;
	return r < 0 && r != -EAGAIN ? -ECONNREFUSED : r;
}

void session_wait_writable(struct session *s)
{
	struct pollfd fd = { .fd = s->io.event_fd, .events = POLLOUT };

	/* at once: it was the kernel that had no memory */
	if (poll(&fd, 1, 100) != 0)
		link_pause();
}

/* ---- requests that may be parked ---- */

struct pending *pending_find(struct session *s, uint32_t id)
{
	struct pending *p;

	TAILQ_FOREACH(p, &s->pending, link) {
		if (p->id == id)
			break;
	}
	return p;
}

void pending_finish(struct session *s, struct pending *p, int result)
{
	const _Atomic uint32_t *word = &p->done;

	TAILQ_REMOVE(&s->pending, p, link);
	s->n_pending--;
	p->result = result;
	atomic_store_explicit(&p->done, 1, memory_order_release);
	futex_wake(word, 1); /* p may be gone: only its address is used */
}

/* Each may bring a binding, which must not be forgotten for want of memory. */
static int pending_add(struct session *s, struct pending *p)
{
	uint32_t need, space;
	uint64_t *bigger;
	int r = 0;

	lock_take(&s->pending_lock);
	need = s->n_ties + s->n_pending + 1;
	if (need > s->n_tie_space) {
		space = need < 16 ? 16 : 2 * need;
		bigger = reallocarray(s->tie, space, sizeof(*bigger));
		if (bigger) {
			s->tie = bigger;
			s->n_tie_space = space;
		} else {
			r = -ENOMEM;
		}
	}
	if (r == 0) {
		TAILQ_INSERT_TAIL(&s->pending, p, link);
		s->n_pending++;
	}
	lock_give(&s->pending_lock);
	return r;
}

/* Off the list, unless its end is in it already. Whether it was still there. */
static bool pending_remove(struct session *s, struct pending *p)
{
	bool there;

	lock_take(&s->pending_lock);
	there = !atomic_load_explicit(&p->done, memory_order_acquire);
	if (there) {
		TAILQ_REMOVE(&s->pending, p, link);
		s->n_pending--;
	}
	lock_give(&s->pending_lock);
	return there;
}

void pending_again(struct pending *p)
{
	if (p->frame.header.op == OP_CREATE)
		FRAME_BODY(&p->frame, struct wire_create)->flags |= WIRE_CREATE_AGAIN;
}

/* It is parked over that link: if that is the last word, the helper looks after it from here. */
static bool pending_park(struct session *s, struct pending *p, uint32_t link)
{
	bool current;

	lock_take(&s->pending_lock);
	current = atomic_load(&p->done) || s->resent_in <= link;
	if (!atomic_load(&p->done) && current)
		p->parked_in = link;
	lock_give(&s->pending_lock);
	return current;
}

/* The request, unless its end has come before its reply: then p holds that. */
static bool pending_copy(struct session *s, struct pending *p, struct frame *request, bool again)
{
	bool there;

	lock_take(&s->pending_lock);
	there = !atomic_load(&p->done);
	if (there && again)
		pending_again(p);
	if (there)
		*request = p->frame;
	lock_give(&s->pending_lock);
	request->header.id = p->id;
	return there;
}

/* Sends it, and again if a daemon ends meanwhile. STATUS_PARKED; 0, -EMFILE: *reply is final; -ECONNREFUSED. */
static int pending_send(struct session *s, struct pending *p, struct frame *reply)
{
	uint32_t link;
	int r;

	for (bool again = false; pending_copy(s, p, reply, again); again = true) {
		r = session_try(s, reply, 0, &link);
		if (r == 0 && reply->header.status == STATUS_PARKED) {
			if (pending_park(s, p, link))
				return STATUS_PARKED;
			r = -ECONNREFUSED; /* that daemon has gone, and the next one has not heard of it */
		}
		if (r != -ECONNREFUSED || p->impatient || session_wait_return(s, link) < 0)
			return r;
	}
	return STATUS_PARKED; /* the daemon ended between event and reply */
}

int session_start(struct session *s, struct pending *p)
{
	_no_cancel_ int cancel = cancel_disable();
	struct frame reply;
	int r;

	p->id = session_new_id(s);
	p->result = 0;
	p->parked_in = 0;
	atomic_init(&p->done, 0);
	r = pending_add(s, p);
	if (r < 0)
		return r;
	r = pending_send(s, p, &reply);
	if (r == STATUS_PARKED)
		return r;
	if (!pending_remove(s, p))
		return STATUS_PARKED; /* its end is there, and the session broke before its PARKED came */
	p->frame = reply;
	return r;
}

int session_await(struct session *s, struct pending *p, uint64_t deadline, bool interruptible)
{
	int r;

	(void)s;
	while (!atomic_load_explicit(&p->done, memory_order_acquire)) {
		r = futex_wait(&p->done, 0, deadline);
		if (r == -ETIMEDOUT || (r == -EINTR && interruptible)) {
			if (atomic_load_explicit(&p->done, memory_order_acquire))
				break;
			return r;
		}
	}
	return p->result;
}

int session_cancel(struct session *s, struct pending *p)
{
	struct frame f;
	struct wire_cancel *body = frame_init(&f, OP_CANCEL, 0, 0, sizeof(*body));
	int r;

	body->id = p->id;
	r = session_call(s, &f);
	if (r == 0 && f.header.status == STATUS_OK && pending_remove(s, p))
		return -ECANCELED;
	/* LATE: the event is on its way. Down: the helper ends it, or has. */
	r = session_await(s, p, FOREVER, false);
	return r == -ECONNREFUSED ? -ECANCELED : r;
}

int session_slot(struct session *s, uint32_t slot, const struct wire_control **control, struct wire_stats **stats)
{
	int r;

	lock_take(&s->call_lock);
	r = areas_slot(&s->areas, slot, control, stats);
	lock_give(&s->call_lock);
	return r;
}

int session_heads(struct session *s, uint32_t slot, uint32_t n_cpus, struct wire_heads **heads)
{
	int r;

	lock_take(&s->call_lock);
	r = areas_heads(&s->areas, slot, n_cpus, heads);
	lock_give(&s->call_lock);
	return r;
}
