/*
 * world.c: see world.h
 */
#include "daemon/world.h"

#include "daemon/ops.h"

/* What one turn undoes of sessions that have ended: parked requests and bindings. */
#define UNDO_CHUNK 64

static void wake(void *ctx, uint64_t in_ns)
{
	struct world *w = ctx;

	w->wake(w->ctx, in_ns);
}

void world_init(struct world *w, struct committer *c, struct config *config,
		void (*on_wake)(void *ctx, uint64_t in_ns), void *ctx)
{
	*w = (struct world){.committer = c, .wake = on_wake, .ctx = ctx, .started_ns = now_ns()};
	config_move(&w->config, config);
	accounts_init(&w->accounts, &w->config);
	devices_init(&w->devices);
	namespace_init(&w->names);
	heaps_init(&w->heaps, w->config.recall_ns, wake, w);
	TAILQ_INIT(&w->sessions);
	TAILQ_INIT(&w->ended);
}

void world_keep(struct world *w, struct keep *keep)
{
	keep->wake = w->wake;
	keep->ctx = w->ctx;
	w->heaps.keep = keep;
}

void world_abandon(struct world *w)
{
	struct session *s;

	TAILQ_FOREACH(s, &w->sessions, link) {
		session_end(s);
		if (s->kept.record != LEDGER_NONE)
			areas_abandon(&s->areas);
	}
	w->heaps.keep = NULL;
}

void world_reload(struct world *w, struct config *config)
{
	config_deinit(&w->config);
	config_move(&w->config, config);
	w->heaps.recall_ns = w->config.recall_ns;
}

int world_join(struct world *w, struct session **out, struct credentials *who,
	       struct charge *charge, const char *label, const struct session_port *port, void *ctx)
{
	int r = session_new(out, w->last_session + 1, who, charge, label, port, ctx);

	if (r < 0)
		return r;
	(*out)->world = w;
	w->last_session++;
	keep_last_session(w->heaps.keep, w->last_session);
	w->n_sessions++;
	TAILQ_INSERT_TAIL(&w->sessions, *out, link);
	return 0;
}

void world_rejoin(struct world *w, struct session *s)
{
	s->world = w;
	w->n_sessions++;
	TAILQ_INSERT_TAIL(&w->sessions, s, link);
}

void world_unpark(struct world *w, struct parked *p)
{
	switch (p->kind) {
	case PARKED_CREATE:
		creation_drop(w, p->heap);
		return;
	case PARKED_BIND:
		namespace_unpark(&w->names, p);
		parked_free(p);
		return;
	case PARKED_REFILL:
		heap_unpark(p);
		return;
	}
}

/* Returns true if nothing is left of it. */
static bool undo_some(struct world *w, struct session *s)
{
	for (int i = 0; i < UNDO_CHUNK; i++) {
		struct parked *p = TAILQ_FIRST(&s->parked);
		struct binding *b = TAILQ_FIRST(&s->bound);

		if (p)
			world_unpark(w, p);
		else if (b)
			heap_unbind(b);
		else
			return true;
	}
	return TAILQ_EMPTY(&s->parked) && TAILQ_EMPTY(&s->bound);
}

static void undo_ended(struct world *w)
{
	struct session *s = TAILQ_FIRST(&w->ended);

	if (!s)
		return;
	TAILQ_REMOVE(&w->ended, s, link);
	if (undo_some(w, s))
		session_free(s);
	else
		TAILQ_INSERT_TAIL(&w->ended, s, link); /* they take turns */
}

void world_leave(struct world *w, struct session *s)
{
	keep_session_end(w->heaps.keep, s); /* first: it shall not wait for its process to end, should we */
	session_end(s);
	w->n_sessions--;
	TAILQ_REMOVE(&w->sessions, s, link);
	if (undo_some(w, s)) {
		session_free(s);
		return;
	}
	TAILQ_INSERT_TAIL(&w->ended, s, link);
	w->wake(w->ctx, 0);
}

uint64_t world_work(struct world *w)
{
	uint64_t next;

	undo_ended(w);
	binds_serve(w);
	next = heaps_work(&w->heaps);
	if (keep_work(w->heaps.keep))
		return 0;
	return TAILQ_EMPTY(&w->ended) && TAILQ_EMPTY(&w->names.due) ? next : 0;
}

static void drop_heaps(struct world *w)
{
	struct heap *h;

	while ((h = TAILQ_FIRST(&w->heaps.all))) {
		namespace_take(&w->names, h);
		heap_free(h);
	}
}

void world_deinit(struct world *w)
{
	assert(TAILQ_EMPTY(&w->sessions) && "the sessions leave first");
	while (!TAILQ_EMPTY(&w->ended))
		undo_ended(w);
	drop_heaps(w);
	heaps_deinit(&w->heaps);
	namespace_deinit(&w->names);
	accounts_deinit(&w->accounts);
	config_deinit(&w->config);
}

/* ---- the auditor ---- */

static int wrong(const char **why, const char *text)
{
	if (why)
		*why = text;
	return -EUCLEAN;
}

static int check_session(const struct session *s, const char **why)
{
	const struct binding *b;
	const struct parked *p;
	uint32_t n = 0;

	TAILQ_FOREACH(b, &s->bound, of_session) {
		n++;
		if (b->session != s || session_binding(s, b->heap_id) != b)
			return wrong(why, "a binding is not in its session's table");
	}
	if (n != s->n_bound || s->bindings.n != n)
		return wrong(why, "a session miscounts its bindings");
	n = 0;
	TAILQ_FOREACH(p, &s->parked, of_session) {
		n++;
		if (p->session != s || (p->kind == PARKED_CREATE && p->heap->creation != p) ||
		    (p->kind == PARKED_REFILL && p->binding->session != s) ||
		    (p->kind == PARKED_BIND && !p->name))
			return wrong(why, "a parked request waits for nothing");
	}
	return n == s->n_parked ? 0 : wrong(why, "a session miscounts what it has parked");
}

static int check_names(const struct world *w, const char **why)
{
	const struct heap *h;
	size_t n = 0;

	TAILQ_FOREACH(h, &w->heaps.all, link) {
		if (h->name &&
		    (h->name->heap != h || namespace_find(&w->names, h->facts.name) != h->name))
			return wrong(why, "a heap has a name that is not its own");
		if (!h->name != (heap_is_private(h) || h->state == STATE_DELETED))
			return wrong(why, "a named heap without name, or the reverse");
		if (!h->creation != (h->state != STATE_COMMITTING))
			return wrong(why, "a commit that nobody waits for");
		n += h->name != NULL;
	}
	return n <= w->names.by_text.n ? 0 : wrong(why, "names are missing");
}

int world_check(const struct world *w, const char **why)
{
	const struct session *s;
	uint64_t n = 0;
	int r = heaps_check(&w->heaps, why);

	if (!r)
		r = check_names(w, why);
	TAILQ_FOREACH(s, &w->sessions, link) {
		n++;
		if (!r)
			r = check_session(s, why);
	}
	TAILQ_FOREACH(s, &w->ended, link) {
		if (!r)
			r = check_session(s, why);
	}
	return r || n == w->n_sessions ? r : wrong(why, "sessions are miscounted");
}
