/*
 * revive.c: see revive.h
 *
 * Order: heaps by id, sessions, bindings, then the words of each heap's window: what names a
 * binding that is there becomes an extent of its, all other pages are free, and the words say so
 * from then on. Only after that may the numbers of records that were dropped be used again.
 */
#include "daemon/revive.h"

#include <fcntl.h>
#include <sys/stat.h>
#include "daemon/ledger_store.h"
#include "daemon/log.h"
#include "daemon/point.h"

_Static_assert(NOTIFY_NAME_SIZE == STORE_NAME_MAX + 1, "a name is a name");

bool revive_knows(const char *name)
{
	uint64_t id;

	return !strcmp(name, KEEP_LEDGER_NAME) || keep_name_is(name, KEEP_HEAP, &id) ||
	       keep_name_is(name, KEEP_SESSION, &id);
}

struct revival {
	struct world *world;
	struct peers *peers;
	struct keep *keep;
	struct ledger *ledger;
	struct notify_fd *fds; /* sorted by name */
	size_t n_fds;
	struct binding **binding; /* by record; NULL: does not count */
	struct session **session; /* those made, by id */
	uint32_t n_heaps, n_sessions, n_bindings;
};

/* ---- descriptors by name ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct notify_fd *)a)->name, ((const struct notify_fd *)b)->name);
}

static struct notify_fd *first_named(struct notify_fd *fds, size_t n, const char *name)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(fds[middle].name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n && !strcmp(fds[low].name, name) ? &fds[low] : NULL;
}

/* Takes up to max of that name out. Their number. */
static uint32_t take_named(struct revival *rv, const char *name, int *fds, uint32_t max)
{
	struct notify_fd *p = first_named(rv->fds, rv->n_fds, name);
	uint32_t n = 0;

	for (; p && p < rv->fds + rv->n_fds && !strcmp(p->name, name); p++)
		if (n < max && p->fd >= 0)
			fds[n++] = take_fd(&p->fd);
	return n;
}

static void close_all(int *fds, uint32_t n)
{
	while (n)
		close_fd(&fds[--n]);
}

/* ---- heaps ---- */

static void drop_heap(const struct revival *rv, uint32_t i, const char *why)
{
	const struct ledger_heap *h = ledger_heap(rv->ledger, i);
	uint32_t unit = h->unit, n_pages = h->n_pages;

	if (why)
		log_warning("heap %llu \"%s\" is lost: %s", (unsigned long long)h->id, h->name, why);
	ledger_set_state(rv->ledger, i, LEDGER_EMPTY);
	POINT(REVIVE_HEAP_DROPPED);
	if (unit != LEDGER_NONE) {
		ledger_empty_units(rv->ledger, unit, ledger_units(n_pages));
		ledger_give_window(rv->ledger, unit, n_pages);
	}
	ledger_give_heap(rv->ledger, i);
	/* its descriptors are left over, and go with what nobody has asked for */
}

static void facts_from(const struct ledger_heap *from, struct heap_facts *facts)
{
	const struct ledger_rights *rights = &from->rights[atomic_load(&from->rights_in)];

	*facts = (struct heap_facts){
		.id = from->id,
		.size = from->size,
		.created_ns = from->created_ns,
		.session = from->session,
		.mode = from->mode,
		.kind = from->kind,
		.perm = rights->perm,
		.uid = rights->uid,
		.gid = rights->gid,
	};
	memcpy(facts->name, from->name, sizeof(facts->name));
}

/* The one that may be written to first: the other is a device's for readers. */
static void order_fds(int *fds, uint32_t n)
{
	if (n == 2 && (fcntl(fds[0], F_GETFL) & O_ACCMODE) == O_RDONLY) {
		int first = fds[0];

		fds[0] = fds[1];
		fds[1] = first;
	}
}

static int adopt_arena(const struct revival *rv, const struct ledger_heap *from,
		       struct arena **out, int *fds, uint32_t n)
{
	struct world *w = rv->world;
	const struct arena_rest rest = {
		.name = from->name,
		.fd = fds[0],
		.read_fd = n == 2 ? fds[1] : -1,
		.size = (uint64_t)from->n_pages * HW_PAGE_SIZE,
		.backing = from->backing,
		.lock = w->config.lock_arenas,
	};

	return arena_adopt(out, w->committer, &w->accounts, &w->devices, from->charged, &rest);
}

static int make_heap(struct revival *rv, uint32_t i)
{
	const struct ledger_heap *from = ledger_heap(rv->ledger, i);
	struct world *w = rv->world;
	struct heap_facts facts;
	struct arena *arena = NULL;
	struct heap *h;
	char name[STORE_NAME_MAX + 1];
	int fds[2], r;
	uint32_t n;

	facts_from(from, &facts);
	keep_name(name, KEEP_HEAP, from->id);
	n = take_named(rv, name, fds, 2);
	order_fds(fds, n);
	if (!n || (n == 2 && from->backing != BACKING_DEVICE)) {
		close_all(fds, n);
		drop_heap(rv, i, n ? "it has descriptors that it never had" : "its memory has not come back");
		return 0;
	}
	r = adopt_arena(rv, from, &arena, fds, n);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		drop_heap(rv, i, "its memory is not what it was");
		return 0;
	}
	r = heap_revive(&h, &w->heaps, &facts, &arena);
	if (r < 0) {
		arena_dispose(arena);
		return r;
	}
	keep_heap_revived(&h->kept, i, from->unit, ledger_units(from->n_pages),
			  from->creator, from->request);
	h->state = atomic_load(&from->state) == LEDGER_DELETED ? STATE_DELETED : STATE_LIVE;
	rv->n_heaps++;
	if (h->state == STATE_DELETED || facts.session)
		return 0;
	if (namespace_heap(&w->names, facts.name)) { /* two of one name: the older one has it */
		h->state = STATE_DELETED;
		return 0;
	}
	return namespace_give(&w->names, facts.name, h);
}

struct numbered {
	uint64_t id;
	uint32_t i;
};

static int by_id(const void *a, const void *b)
{
	const struct numbered *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int make_heaps(struct revival *rv)
{
	uint32_t n_records = atomic_load(rv->ledger->heaps.backed), n = 0;
	_cleanup_free_ struct numbered *all = calloc(n_records + 1u, sizeof(*all));
	int r = 0;

	if (!all)
		return -ENOMEM;
	for (uint32_t i = 0; i < n_records; i++) {
		const struct ledger_heap *h = ledger_heap(rv->ledger, i);

		if (atomic_load(&h->state) == LEDGER_CREATING)
			drop_heap(rv, i, NULL);
		else if (atomic_load(&h->state))
			all[n++] = (struct numbered){.id = h->id, .i = i};
	}
	qsort(all, n, sizeof(*all), by_id);
	for (uint32_t i = 0; !r && i < n; i++)
		r = make_heap(rv, all[i].i);
	return r;
}

/* ---- sessions ---- */

static void drop_session(const struct revival *rv, uint32_t i, const char *why)
{
	const struct ledger_session *s = ledger_session(rv->ledger, i);

	log_warning("the session of pid %d is lost: %s", (int)s->pid, why);
	ledger_drop_session(rv->ledger, i);
	ledger_give_session(rv->ledger, i);
}

/* Which of three descriptors is which. false: they are not those of a session. */
static bool sort_session(int *fds)
{
	int sorted[3] = {-1, -1, -1};

	for (int i = 0; i < 3; i++) {
		struct stat st;
		int at = 0; /* a pidfd is no regular file */

		if (fstat(fds[i], &st) < 0)
			return false;
		if (S_ISREG(st.st_mode) && st.st_size == AREAS_CONTROL_SIZE)
			at = 1;
		else if (S_ISREG(st.st_mode) && areas_is_stats(st.st_size))
			at = 2;
		if (sorted[at] >= 0)
			return false;
		sorted[at] = fds[i];
	}
	memcpy(fds, sorted, sizeof(sorted));
	return true;
}

static int make_session(struct revival *rv, uint32_t i)
{
	const struct ledger_session *from = ledger_session(rv->ledger, i);
	struct credentials who = {.pid = from->pid, .uid = from->uid, .gid = from->gid};
	_cleanup_(charge_deinit) struct charge charge = CHARGE_NULL;
	struct world *w = rv->world;
	struct session *s;
	char name[STORE_NAME_MAX + 1];
	int fds[3], r;
	uint32_t n;

	keep_name(name, KEEP_SESSION, from->id);
	n = take_named(rv, name, fds, 3);
	if (n != 3 || !sort_session(fds)) {
		close_all(fds, n);
		drop_session(rv, i, "its descriptors have not come back");
		return 0;
	}
	r = charge_retake(&charge, &w->accounts, who.uid, RESOURCE_SESSIONS, 1);
	if (!r)
		r = session_revive_take(&s, from->id, &who, &charge, from->label, fds[1], fds[2]);
	else
		close_all(fds + 1, 2);
	if (r < 0) {
		close_fd(&fds[0]);
		return r;
	}
	s->kept.record = i;
	s->kept.is_safe = true;
	world_rejoin(w, s);
	rv->session[rv->n_sessions++] = s;
	return peer_absent_take(rv->peers, s, fds[0]);
}

/* They are few words each: sorted once, then searched. */
static int session_by_id(const void *a, const void *b)
{
	const struct session *x = *(struct session *const *)a, *y = *(struct session *const *)b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static struct session *find_session(const struct revival *rv, uint64_t id)
{
	uint32_t low = 0, high = rv->n_sessions;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (rv->session[middle]->id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < rv->n_sessions && rv->session[low]->id == id ? rv->session[low] : NULL;
}

static int make_sessions(struct revival *rv)
{
	uint32_t n = atomic_load(rv->ledger->sessions.backed);
	int r = 0;

	rv->session = calloc(n + 1u, sizeof(struct session *));
	if (!rv->session)
		return -ENOMEM;
	for (uint32_t i = 0; !r && i < n; i++)
		if (atomic_load(&ledger_session(rv->ledger, i)->valid))
			r = make_session(rv, i);
	qsort(rv->session, rv->n_sessions, sizeof(struct session *), session_by_id);
	return r;
}

/* ---- bindings ---- */

/* Its number stays taken until no word names it (settle_words). */
static int make_binding(struct revival *rv, uint32_t i)
{
	const struct ledger_binding *from = ledger_binding(rv->ledger, i);
	struct heap *h = heaps_find(&rv->world->heaps, from->heap);
	struct session *s = find_session(rv, from->session);
	int r = -ENOENT;

	if (h && s)
		r = heap_rebind(&rv->binding[i], h, s, from->access, from->slot, i);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		if (r != -ENOENT)
			log_warning("a binding to heap %llu is lost: %s", (unsigned long long)from->heap,
				    strerror(-r));
		ledger_drop_binding(rv->ledger, i);
		return 0;
	}
	rv->n_bindings++;
	return 0;
}

static int make_bindings(struct revival *rv)
{
	uint32_t n = atomic_load(rv->ledger->bindings.backed);
	int r = 0;

	rv->binding = calloc(n + 1u, sizeof(struct binding *));
	if (!rv->binding)
		return -ENOMEM;
	for (uint32_t i = 0; !r && i < n; i++)
		if (atomic_load(&ledger_binding(rv->ledger, i)->valid))
			r = make_binding(rv, i);
	return r;
}

/* ---- pages ---- */

/* Whose the word says they are; NULL: free. Bindings for reading never had any. */
static struct binding *holder_of(const struct revival *rv, const struct heap *h, uint32_t word)
{
	struct binding *b = word > LEDGER_FREE ? rv->binding[word - 2] : NULL;

	return b && b->heap == h && b->held.owner != UINT32_MAX ? b : NULL;
}

static uint32_t word_of(const struct binding *b)
{
	return b ? ledger_owner(b->record) : LEDGER_FREE;
}

/*
 * Each store keeps what the map means: a word that names nobody says free, one that says what the
 * page before says goes.
 */
static void settle_words(struct revival *rv, struct heap *h)
{
	_Atomic uint32_t *words = ledger_words(rv->ledger, h->kept.unit);
	struct binding *owner = NULL;
	uint32_t first = 0;

	for (uint32_t page = 0; page < h->n_pages; page++) {
		uint32_t word = atomic_load_explicit(&words[page], memory_order_relaxed);
		struct binding *b = word ? holder_of(rv, h, word) : owner;

		if (!word)
			continue;
		if (page && b == owner) {
			ledger_store32(&words[page], 0);
			POINT(REVIVE_WORD);
			continue;
		}
		if (word != word_of(b)) {
			ledger_store32(&words[page], word_of(b));
			POINT(REVIVE_WORD);
		}
		if (owner)
			heap_regrant(owner, first, page - first);
		owner = b;
		first = page;
	}
	if (owner)
		heap_regrant(owner, first, h->n_pages - first);
}

/* A heap that nobody can reach any more: deleted and unbound, or private and its session gone. */
static bool is_over(const struct heap *h)
{
	return !h->n_bound && (h->state == STATE_DELETED || heap_is_private(h));
}

static void settle_heaps(struct revival *rv)
{
	struct heap *h, *next;

	for (h = TAILQ_FIRST(&rv->world->heaps.all); h; h = next) {
		next = TAILQ_NEXT(h, link);
		if (h->kept.unit != LEDGER_NONE && heap_has_pages(h))
			settle_words(rv, h);
		heap_revived(h);
		if (is_over(h))
			heap_free(h);
	}
	for (uint32_t i = 0; i < atomic_load(rv->ledger->bindings.backed); i++)
		if (!rv->binding[i] && !bitset_has(&rv->ledger->bindings.free, i))
			ledger_give_binding(rv->ledger, i);
}

/* ---- what is left over ---- */

static void drop_rest(struct revival *rv)
{
	size_t n = 0;

	for (size_t i = 0; i < rv->n_fds; i++) {
		struct notify_fd *p = &rv->fds[i];
		uint32_t of_name = 1;

		if (p->fd < 0)
			continue;
		close_fd(&p->fd);
		n++;
		for (; i + 1 < rv->n_fds && !strcmp(rv->fds[i + 1].name, p->name); i++, of_name++)
			close_fd(&rv->fds[i + 1].fd);
		if (rv->keep->store)
			store_remove(rv->keep->store, p->name, of_name);
		POINT(REVIVE_REST);
	}
	if (n)
		log_info("%zu stored descriptors belong to nothing, and are dropped", n);
}

int revive_world(struct world *w, struct peers *ps, struct notify_fd *fds, size_t n)
{
	struct revival rv = {
		.world = w,
		.peers = ps,
		.keep = w->heaps.keep,
		.ledger = w->heaps.keep->ledger,
		.fds = fds,
		.n_fds = n,
	};
	struct session *s;
	int r;

	if (n)
		qsort(fds, n, sizeof(*fds), by_name);
	w->heaps.last_id = atomic_load(&rv.ledger->header->last_heap);
	w->last_session = atomic_load(&rv.ledger->header->last_session);
	r = make_heaps(&rv);
	POINT(REVIVE_HEAPS);
	if (!r)
		r = make_sessions(&rv);
	POINT(REVIVE_SESSIONS);
	if (!r)
		r = make_bindings(&rv);
	POINT(REVIVE_BINDINGS);
	if (!r) {
		settle_heaps(&rv);
		TAILQ_FOREACH(s, &w->sessions, link)
			areas_adopted(&s->areas);
		drop_rest(&rv);
		POINT_AUDIT(w);
		POINT(REVIVED);
	}
	free(rv.binding);
	free(rv.session);
	if (!r && (rv.n_heaps || rv.n_sessions))
		log_info("goes on with %u heaps, %u sessions, %u bindings", rv.n_heaps, rv.n_sessions,
			 rv.n_bindings);
	return r;
}

/* ---- the keep ---- */

/* NULL: there is none that can be read. */
static int open_ledger(struct ledger **out, struct notify_fd *fds, size_t n)
{
	const char *why = "";
	int r = 0;

	*out = NULL;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(fds[i].name, KEEP_LEDGER_NAME) != 0 || fds[i].fd < 0)
			continue;
		r = *out ? -EUCLEAN : ledger_open_take(out, take_fd(&fds[i].fd), &why);
		if (r < 0 && r != -EUCLEAN)
			return r;
		if (r < 0)
			log_error("what the daemon before has left cannot be read: %s", why);
	}
	return 0;
}

int revive_keep(struct keep **out, struct store *store, struct notify_fd *fds, size_t n)
{
	struct ledger *l = NULL;
	uint32_t before = 0;
	int r = open_ledger(&l, fds, n);
	bool is_new = !r && !l;

	for (size_t i = 0; i < n; i++)
		before += !strcmp(fds[i].name, KEEP_LEDGER_NAME);
	if (store)
		store_count(store, (uint32_t)n);
	if (is_new)
		r = ledger_new(&l);
	if (!r && is_new && store) {
		/* an unreadable one must not come back beside it */
		store_remove(store, KEEP_LEDGER_NAME, before);
		store_count(store, 1);
		r = store_add(store, KEEP_LEDGER_NAME, &l->fd, 1);
	}
	if (r < 0) {
		ledger_free(l);
		store_free(store);
		return r;
	}
	return keep_new_take(out, l, store);
}
