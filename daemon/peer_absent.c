/*
 * peer_absent.c: sessions without sockets: a daemon before had them, and their processes live
 *
 * Model: a peer stands for each, with nothing but a pidfd. A HELLO that names the session brings it a
 * link (greeting.c); then it is coming back until it has told all that it holds (ops_resume.c). A link
 * that ends on the way, because of the client or since we are short of memory, costs a session
 * nothing: it is absent again. So does one whose process comes with another link, before we
 * have seen the end of the first.
 */
#include "daemon/peer_internal.h"

#include "daemon/binding.h"
#include "daemon/heap.h"

int peer_absent_take(struct peers *ps, struct session *s, int pidfd)
{
	struct peer *p = calloc(1, sizeof(*p));
	int r;

	if (!p) {
		close_fd(&pidfd);
		return -ENOMEM;
	}
	*p = (struct peer){.peers = ps,
			   .call_fd = -1,
			   .event_fd = -1,
			   .pidfd = pidfd,
			   .is_absent = true,
			   .who = CREDENTIALS_NULL};
	outq_init(&p->replies);
	outq_init(&p->events);
	TAILQ_INSERT_TAIL(&ps->all, p, link);
	r = loop_io_new(&p->pid_io, ps->loop, p->pidfd, LOOP_READ, peer_on_death, p);
	if (r < 0) {
		peer_free(p);
		return r;
	}
	p->session = s;
	s->pidfd = pidfd;
	return 0;
}

struct peer *peer_find_absent(const struct peers *ps, uint64_t session)
{
	struct peer *p;

	TAILQ_FOREACH(p, &ps->all, link) {
		if (p->session && p->session->id == session && (p->is_absent || p->session->is_resuming))
			break;
	}
	return p;
}

/* Neither lies nor nonsense. */
static bool is_innocent(int r)
{
	return r != -EPROTO && r != -EBADMSG;
}

void peer_over(struct peer *p, int r, const char *why)
{
	struct session *s = p->session;
	struct binding *b;

	if (!s || !s->is_resuming || p->pidfd < 0 || !is_innocent(r)) {
		peer_drop(p, why);
		return;
	}
	peer_unlink(p);
	session_away(s);
	p->is_absent = true;
	TAILQ_FOREACH(b, &s->bound, of_session)
		heap_changed(b->heap); /* nobody waits for what it would have told */
}
