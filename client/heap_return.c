/*
 * heap_return.c: the session comes back at a new daemon: what it holds of each heap, and what goes
 * on then
 *
 * The pages of a heap do not change while they are told (client/session_return.c says why), though
 * blocks are taken and freed: so they are told in pieces, and the heap's lock is held for each
 * piece only. What a thread reads late from the old daemon is kept out by heap.link.
 */
#include "client/heap_pages.h"
#include "client/mapping.h"

/*
 * What other processes have freed here last. A session has one FREE under way at a time, so its
 * last one is the only one that can come again: when the daemon that passed it on died before it
 * said so.
 */
#define FREED_SESSIONS 64 /* ids are consecutive: as many at a time are told from each other */

struct freed {
	struct {
		uint64_t session;
		uint32_t id;
	} last[FREED_SESSIONS];
};

_Static_assert(sizeof(struct freed) == HEAP_FREED_BYTES, "what heap.c unmaps");

/* Without memory for it a free that comes twice is found by the allocator, unless the block is somebody's again. */
bool heap_knows_free(struct heap *h, const struct wire_free *body)
{
	size_t i = body->session % FREED_SESSIONS;

	if (!body->session)
		return false;
	if (!h->freed && mapping_private((void **)&h->freed, sizeof(*h->freed)) < 0)
		return false; /* no malloc: a leak checker does not look into struct heap */
	if (h->freed->last[i].session == body->session && h->freed->last[i].id == body->id)
		return true;
	h->freed->last[i].session = body->session;
	h->freed->last[i].id = body->id;
	return false;
}

/* 0; -ECONNREFUSED. The new daemon may not know the heap: then it is lost, as if the daemon had not come back. */
static int say(struct session *s, struct frame *f, uint64_t heap)
{
	int r = session_say(s, f);
	struct heap *h;

	if (r < 0 || f->header.status == STATUS_OK)
		return r;
	if (f->header.status != STATUS_MISSING)
		return -ECONNREFUSED;
	heap_table_lock();
	h = heap_find(s, heap);
	if (h)
		heap_lose(h);
	heap_table_unlock();
	return -ENOENT;
}

static struct wire_resume *resume_init(struct frame *f, uint64_t heap, uint32_t flags)
{
	struct wire_resume *body = frame_init(f, OP_RESUME, 0, 0, sizeof(*body));

	body->heap = heap;
	body->flags = flags;
	return body;
}

/* What is no heap of blocks, or is about to become one, or to end: all that the daemon knows of. */
static int tell_whole(struct session *s, uint64_t heap)
{
	struct frame f;
	int r;

	(void)resume_init(&f, heap, WIRE_RESUME_ALL);
	r = say(s, &f, heap);
	return r == -ENOENT ? 0 : r;
}

/* From now on nothing is believed that was said before; nobody is parked any more. The lock is held. */
static void forget_daemon(struct heap *h)
{
	struct waiter *w;

	h->link = 0;
	TAILQ_FOREACH(w, &h->waitq.list, link)
		w->park_id = 0;
}

int heap_tell(struct session *s, uint64_t heap)
{
	struct heap *h = heap_find_locked(s, heap);
	struct wire_resume *body;
	struct frame f;
	uint32_t from = 0;
	int r = 0;

	if (h && (heap_is_segment(h) || !h->writable)) {
		h->link = session_link(s);
		lock_give(&h->lock);
		h = NULL;
	}
	if (!h)
		return tell_whole(s, heap);
	forget_daemon(h);
	while (h && r == 0 && from != UINT32_MAX) {
		body = resume_init(&f, heap, 0);
		body->n_runs = (uint32_t)bucket_held(&h->bucket, &from, body->runs, WIRE_RESUME_RUNS_MAX);
		body->flags = from == UINT32_MAX ? 0 : WIRE_RESUME_MORE;
		f.header.length += body->n_runs * (uint32_t)sizeof(struct wire_run);
		lock_give(&h->lock);
		r = say(s, &f, heap);
		h = heap_find_locked(s, heap); /* it may be gone: unbound, and the daemon will hear of it */
	}
	if (!h)
		return r == -ENOENT ? 0 : r;
	if (r == 0)
		h->link = session_link(s);
	lock_give(&h->lock);
	return r == -ENOENT ? 0 : r;
}

/* Who waits is asked for again; or has waited in vain, when the heap was deleted and the word of it was lost. */
void heap_back(struct session *s, uint64_t heap)
{
	struct heap *h = heap_find_locked(s, heap);

	if (!h)
		return;
	if (heap_state(h) < 0)
		heap_finish_waiters(h, NULL);
	else
		heap_keep_ahead(h);
	lock_give(&h->lock);
	heap_park_waiters(s, heap);
}
