/*
 * keep.c: see keep.h
 */
#include "daemon/keep.h"

#include <inttypes.h>
#include <stdio.h>
#include "daemon/heap.h"
#include "daemon/log.h"
#include "daemon/point.h"

/* Units that get or lose their memory in one turn of the loop: 256 KiB, some 60 us. */
#define UNITS_CHUNK 64u
#define SESSION_FDS 3u
#define HEAP_FDS_MAX 2u

struct keep_window { /* that loses its memory */
	struct keep_window *next;
	uint32_t unit, n_pages;
	uint32_t n_left; /* units that have some yet: the first ones */
};

int keep_new_take(struct keep **out, struct ledger *ledger, struct store *store)
{
	struct keep *k = calloc(1, sizeof(*k));

	if (!k) {
		ledger_free(ledger);
		store_free(store);
		return -ENOMEM;
	}
	k->ledger = ledger;
	k->store = store;
	TAILQ_INIT(&k->backing);
	*out = k;
	return 0;
}

struct keep *keep_free(struct keep *k)
{
	struct keep_window *w;

	if (!k)
		return NULL;
	while ((w = k->emptying)) {
		k->emptying = w->next;
		free(w);
	}
	ledger_free(k->ledger);
	store_free(k->store);
	free(k);
	return NULL;
}

static void wake(const struct keep *k)
{
	if (k->wake)
		k->wake(k->ctx, 0);
}

/* ---- names ---- */

void keep_name(char name[STORE_NAME_MAX + 1], char kind, uint64_t id)
{
	/* 14 digits: 2^56 ids. Whoever makes a million a second is done in two thousand years */
	(void)snprintf(name, STORE_NAME_MAX + 1, "%c%" PRIx64, kind, id & UINT64_C(0xffffffffffffff));
}

bool keep_name_is(const char *name, char kind, uint64_t *id)
{
	size_t n = strlen(name);

	if (name[0] != kind || n < 2 || n > STORE_NAME_MAX ||
	    strspn(name + 1, "0123456789abcdef") != n - 1)
		return false;
	*id = strtoull(name + 1, NULL, 16);
	return true;
}

/* ---- windows come and go ---- */

/* Without memory to remember it, at once. */
static void window_empty(struct keep *k, uint32_t unit, uint32_t n_pages, uint32_t n_backed)
{
	struct keep_window *w = n_backed ? malloc(sizeof(*w)) : NULL;

	if (!w) {
		ledger_empty_units(k->ledger, unit, n_backed);
		ledger_give_window(k->ledger, unit, n_pages);
		return;
	}
	*w = (struct keep_window){
		.next = k->emptying, .unit = unit, .n_pages = n_pages, .n_left = n_backed};
	k->emptying = w;
	wake(k);
}

static void empty_some(struct keep *k)
{
	struct keep_window *w = k->emptying;
	uint32_t n;

	if (!w)
		return;
	n = (uint32_t)min_u64(UNITS_CHUNK, w->n_left);
	w->n_left -= n;
	ledger_empty_units(k->ledger, w->unit + w->n_left, n);
	POINT(WINDOW_EMPTIED);
	if (w->n_left)
		return;
	ledger_give_window(k->ledger, w->unit, w->n_pages);
	k->emptying = w->next;
	free(w);
}

static struct heap *heap_of(struct kept_heap *kh)
{
	return container_of(kh, struct heap, kept);
}

static void unlist(struct keep *k, struct kept_heap *kh)
{
	if (kh->is_backing)
		TAILQ_REMOVE(&k->backing, kh, link);
	kh->is_backing = false;
}

/* ---- heaps ---- */

static int no_room(struct keep *k, const char *what)
{
	k->refused++;
	log_limited(LOG_WARNING,
		    "%s is refused: systemd's fd store is full (%u; FileDescriptorStoreMax=)", what,
		    store_max(k->store));
	return STATUS_QUOTA;
}

static bool has_room(const struct keep *k, uint32_t n)
{
	return !k->store || store_has_room(k->store, n);
}

/* A device's reader needs a descriptor of its own. */
static uint32_t heap_fds(const struct heap *h)
{
	const struct device *d = h->arena->job.device;

	return d && d->read_fd >= 0 ? 2 : 1;
}

int keep_heap_begin(struct keep *k, struct heap *h)
{
	struct kept_heap *kh = &h->kept;
	int r;

	if (!k)
		return 0;
	if (!has_room(k, HEAP_FDS_MAX))
		return no_room(k, "a heap");
	r = ledger_take_heap(k->ledger, &kh->record);
	if (r)
		return r;
	if (heap_has_pages(h))
		r = ledger_take_window(k->ledger, h->n_pages, &kh->unit);
	if (r) {
		ledger_give_heap(k->ledger, record_take(&kh->record));
		return r;
	}
	ledger_set_last(k->ledger, h->facts.id, 0);
	if (k->store)
		store_count(k->store, HEAP_FDS_MAX); /* from here on its place is taken */
	POINT(HEAP_BEGUN);
	return 0;
}

static void describe(const struct heap *h, uint64_t creator, uint32_t request,
		     struct ledger_heap *out)
{
	const struct heap_facts *f = &h->facts;

	*out = (struct ledger_heap){
		.rights = {{.perm = f->perm, .uid = f->uid, .gid = f->gid}},
		.id = f->id,
		.size = f->size,
		.created_ns = f->created_ns,
		.session = f->session,
		.creator = creator,
		.request = request,
		.charged = f->uid,
		.mode = f->mode,
		.kind = f->kind,
		.backing = h->arena->backing,
		.n_pages = h->n_pages,
		.unit = h->kept.unit,
	};
	memcpy(out->name, f->name, sizeof(out->name));
}

static void safe(void *ctx)
{
	struct kept_heap *kh = ctx;

	kh->ready(kh->ctx, kh->error);
}

/* Its window is backed: the record can count, the arena go to the store. */
static int store_heap(struct keep *k, struct heap *h)
{
	const struct device *d = h->arena->job.device;
	struct kept_heap *kh = &h->kept;
	char name[STORE_NAME_MAX + 1];
	struct ledger_heap record;
	int fds[2], r = 0;

	if (k->store) {
		keep_name(name, KEEP_HEAP, h->facts.id);
		fds[0] = h->arena->job.fd;
		fds[1] = d ? d->read_fd : -1;
		r = store_add(k->store, name, fds, heap_fds(h));
	}
	if (r < 0)
		return r;
	if (k->store)
		store_uncount(k->store, HEAP_FDS_MAX - heap_fds(h));
	kh->stored = true;
	POINT(HEAP_STORED);
	if (kh->unit != LEDGER_NONE)
		ledger_words_init(k->ledger, kh->unit);
	describe(h, kh->creator, kh->request, &record);
	ledger_put_heap(k->ledger, kh->record, &record, LEDGER_CREATING);
	kh->counts = true;
	POINT(HEAP_WRITTEN);
	return 0;
}

/* One heap's next step: more memory for its window, or all that comes behind. */
static void back_some(struct keep *k)
{
	struct kept_heap *kh = TAILQ_FIRST(&k->backing);
	struct heap *h;
	uint32_t n;

	if (!kh)
		return;
	h = heap_of(kh);
	n = kh->unit == LEDGER_NONE ? 0 : ledger_units(h->n_pages) - kh->n_backed;
	n = (uint32_t)min_u64(n, UNITS_CHUNK);
	if (n)
		kh->error = ledger_back_units(k->ledger, kh->unit + kh->n_backed, n);
	kh->n_backed += n;
	if (!kh->error && kh->unit != LEDGER_NONE && kh->n_backed < ledger_units(h->n_pages)) {
		TAILQ_REMOVE(&k->backing, kh, link); /* they take turns */
		TAILQ_INSERT_TAIL(&k->backing, kh, link);
		return;
	}
	unlist(k, kh);
	if (!kh->error)
		kh->error = store_heap(k, h);
	if (!kh->error && k->store)
		store_sync(k->store, &kh->wait, safe, kh);
	else
		safe(kh); /* may free the heap */
}

int keep_heap_store(struct keep *k, struct heap *h, uint64_t creator, uint32_t request,
		    void (*ready)(void *ctx, int result), void *ctx)
{
	struct kept_heap *kh = &h->kept;

	if (!k || kh->record == LEDGER_NONE)
		return 0;
	kh->creator = creator;
	kh->request = request;
	kh->ready = ready;
	kh->ctx = ctx;
	TAILQ_INSERT_TAIL(&k->backing, kh, link);
	kh->is_backing = true;
	wake(k);
	return STATUS_PARKED;
}

void keep_heap_revived(struct kept_heap *kh, uint32_t record, uint32_t unit, uint32_t n_units,
		       uint64_t creator, uint32_t request)
{
	*kh = (struct kept_heap){.record = record,
				 .unit = unit,
				 .n_backed = n_units,
				 .stored = true,
				 .counts = true,
				 .creator = creator,
				 .request = request};
}

void keep_heap_live(struct keep *k, struct heap *h)
{
	if (k && h->kept.counts)
		ledger_set_state(k->ledger, h->kept.record, LEDGER_LIVE);
	POINT(HEAP_LIVE);
}

void keep_heap_deleted(struct keep *k, struct heap *h)
{
	if (k && h->kept.counts)
		ledger_set_state(k->ledger, h->kept.record, LEDGER_DELETED);
	POINT(HEAP_DELETED);
}

void keep_heap_rights(struct keep *k, struct heap *h)
{
	const struct ledger_rights rights = {
		.perm = h->facts.perm, .uid = h->facts.uid, .gid = h->facts.gid};

	if (k && h->kept.counts)
		ledger_set_rights(k->ledger, h->kept.record, &rights);
}

void keep_heap_end(struct keep *k, struct heap *h)
{
	struct kept_heap *kh = &h->kept;
	char name[STORE_NAME_MAX + 1];

	if (!k || kh->record == LEDGER_NONE)
		return;
	unlist(k, kh);
	store_unwait(&kh->wait);
	if (kh->counts)
		ledger_set_state(k->ledger, kh->record, LEDGER_EMPTY);
	POINT(HEAP_DROPPED);
	keep_name(name, KEEP_HEAP, h->facts.id);
	if (k->store && kh->stored)
		store_remove(k->store, name, heap_fds(h));
	else if (k->store)
		store_uncount(k->store, HEAP_FDS_MAX);
	POINT(HEAP_REMOVED);
	if (kh->unit != LEDGER_NONE)
		window_empty(k, kh->unit, h->n_pages, kh->n_backed);
	ledger_give_heap(k->ledger, kh->record);
	*kh = (struct kept_heap)KEPT_HEAP_NULL;
}

/* ---- sessions ---- */

static int store_session(struct keep *k, struct session *s)
{
	const int fds[SESSION_FDS] = {s->pidfd, s->areas.control_rw_fd, s->areas.stats_fd};
	char name[STORE_NAME_MAX + 1];
	int r;

	if (!k->store)
		return 0;
	if (!has_room(k, SESSION_FDS))
		return no_room(k, "a session");
	keep_name(name, KEEP_SESSION, s->id);
	store_count(k->store, SESSION_FDS);
	r = store_add(k->store, name, fds, SESSION_FDS);
	if (r < 0)
		store_uncount(k->store, SESSION_FDS);
	return r;
}

int keep_session(struct keep *k, struct session *s)
{
	struct ledger_session record = {
		.pid = s->who.pid, .uid = s->who.uid, .gid = s->who.gid, .id = s->id};
	struct kept_session *ks = &s->kept;
	int r;

	if (!k || ks->record != LEDGER_NONE || s->who.pid <= 0 ||
	    (k->store && (s->pidfd < 0 || s->areas.control_rw_fd < 0)))
		return 0;
	r = ledger_take_session(k->ledger, &ks->record);
	if (r)
		return r;
	r = store_session(k, s);
	if (r) {
		ledger_give_session(k->ledger, record_take(&ks->record));
		return r;
	}
	POINT(SESSION_STORED);
	memcpy(record.label, s->label, sizeof(record.label));
	ledger_set_last(k->ledger, 0, s->id);
	ledger_put_session(k->ledger, ks->record, &record);
	POINT(SESSION_WRITTEN);
	return 0;
}

int keep_session_safe(struct keep *k, struct session *s, bool hurry, void (*safe_fn)(void *ctx),
		      void *ctx)
{
	struct kept_session *ks = &s->kept;

	if (!k || !k->store || ks->record == LEDGER_NONE || ks->is_safe)
		return 0;
	if (hurry && store_is_sent(k->store))
		return 0;
	if (!ks->wait.store)
		store_sync(k->store, &ks->wait, safe_fn, ctx);
	return STATUS_PARKED;
}

void keep_session_is_safe(struct keep *k, struct session *s)
{
	if (k && s->kept.record != LEDGER_NONE)
		s->kept.is_safe = true;
}

void keep_session_end(struct keep *k, struct session *s)
{
	struct kept_session *ks = &s->kept;
	char name[STORE_NAME_MAX + 1];

	if (!k || ks->record == LEDGER_NONE)
		return;
	store_unwait(&ks->wait);
	ledger_drop_session(k->ledger, ks->record);
	POINT(SESSION_DROPPED);
	ledger_give_session(k->ledger, record_take(&ks->record));
	keep_name(name, KEEP_SESSION, s->id);
	if (k->store)
		store_remove(k->store, name, SESSION_FDS);
	POINT(SESSION_REMOVED);
}

void keep_passed(struct keep *k, const struct session *s, uint32_t id, uint64_t to, bool delivered)
{
	if (k && s->kept.record != LEDGER_NONE)
		ledger_set_free(k->ledger, s->kept.record, id, delivered ? to | LEDGER_DELIVERED : to);
}

uint64_t keep_passed_to(const struct keep *k, const struct session *s, uint32_t id)
{
	return k && s->kept.record != LEDGER_NONE ? ledger_free_to(k->ledger, s->kept.record, id) : 0;
}

void keep_last_session(struct keep *k, uint64_t id)
{
	if (k)
		ledger_set_last(k->ledger, 0, id);
}

/* ---- bindings ---- */

int keep_bind(struct keep *k, struct binding *b)
{
	const struct ledger_binding record = {
		.access = b->access, .slot = b->slot, .heap = b->heap_id, .session = b->session->id};
	int r;

	if (!k || !b->heap->kept.counts || b->session->kept.record == LEDGER_NONE)
		return 0;
	r = ledger_take_binding(k->ledger, &b->record);
	if (r)
		return r;
	ledger_put_binding(k->ledger, b->record, &record);
	POINT(BINDING_WRITTEN);
	return 0;
}

void keep_unbind(struct keep *k, struct binding *b)
{
	if (k && b->record != LEDGER_NONE)
		ledger_drop_binding(k->ledger, b->record);
	POINT(BINDING_DROPPED);
}

void keep_binding_end(struct keep *k, struct binding *b)
{
	if (k && b->record != LEDGER_NONE)
		ledger_give_binding(k->ledger, record_take(&b->record));
	POINT(BINDING_GIVEN);
}

/* ---- pages ---- */

/* As the words say it. */
static uint32_t owner_at(const struct heap *h, uint32_t page)
{
	uint32_t first = holders_find(&h->holders, page);

	return first == PAGE_NONE ? LEDGER_FREE
				  : ledger_owner(h->holder[h->holders.at[first].owner]->record);
}

static void assign(struct keep *k, struct binding *b, uint32_t first, uint32_t n, bool granted)
{
	const struct heap *h = b->heap;
	uint32_t own = ledger_owner(b->record);

	if (!k || h->kept.unit == LEDGER_NONE || !h->kept.counts)
		return;
	ledger_assign(ledger_words(k->ledger, h->kept.unit), first, n, granted ? LEDGER_FREE : own,
		      granted ? own : LEDGER_FREE, first ? owner_at(h, first - 1) : 0,
		      first + n < h->n_pages ? owner_at(h, first + n) : 0);
}

void keep_grant(struct keep *k, struct binding *b, uint32_t first, uint32_t n)
{
	assign(k, b, first, n, true);
}

void keep_return(struct keep *k, struct binding *b, uint32_t first, uint32_t n)
{
	assign(k, b, first, n, false);
}

/* ---- later ---- */

bool keep_work(struct keep *k)
{
	if (!k)
		return false;
	back_some(k);
	empty_some(k);
	return !TAILQ_EMPTY(&k->backing) || k->emptying;
}

int keep_check(const struct keep *k, const struct heap *h)
{
	const _Atomic uint32_t *words;
	uint32_t owner = 0;

	if (!k || h->kept.unit == LEDGER_NONE || !h->kept.counts)
		return 0;
	words = ledger_words(k->ledger, h->kept.unit);
	for (uint32_t page = 0; page < h->n_pages; page++) {
		uint32_t word = atomic_load(&words[page]);

		if (word == owner)
			return -EUCLEAN; /* more words than there need be */
		owner = word ? word : owner;
		if (owner != owner_at(h, page))
			return -EUCLEAN;
	}
	return 0;
}
