/*
 * ledger.c: the ledger's changes; see ledger.h
 *
 * Numbers of records, and units of windows, are given out from what is free, which is known in the
 * daemon's own memory only: a new daemon finds it out again. Memory comes in chunks by fallocate,
 * which can fail, never by a store, which would be a SIGBUS.
 */
#include "daemon/ledger.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "config-heapd.h"
#include "daemon/ledger_store.h"
#include "daemon/memfd.h"
#include "daemon/point.h"
#include "proto/status.h"

#define GROW_BYTES (64 * 1024) /* of a table, at once */

/* ---- layout ---- */

static void layout(struct ledger_header *h)
{
	*h = (struct ledger_header){
		.magic = LEDGER_MAGIC,
		.version = LEDGER_VERSION,
		.n_heaps = LEDGER_HEAPS,
		.n_sessions = LEDGER_SESSIONS,
		.n_bindings = LEDGER_BINDINGS,
		.n_units = LEDGER_UNITS,
		.heap_size = sizeof(struct ledger_heap),
		.session_size = sizeof(struct ledger_session),
		.binding_size = sizeof(struct ledger_binding),
		.build = HEAPD_VERSION,
	};
	h->heaps_at = HW_PAGE_SIZE;
	h->sessions_at = align_up(h->heaps_at + (uint64_t)h->n_heaps * h->heap_size, HW_PAGE_SIZE);
	h->bindings_at =
		align_up(h->sessions_at + (uint64_t)h->n_sessions * h->session_size, HW_PAGE_SIZE);
	h->units_at =
		align_up(h->bindings_at + (uint64_t)h->n_bindings * h->binding_size, HW_PAGE_SIZE);
}

static uint64_t bytes_of(const struct ledger_header *h)
{
	return h->units_at + (uint64_t)h->n_units * HW_PAGE_SIZE;
}

static int map_file(struct ledger *l)
{
	void *p = mmap(NULL, l->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, l->fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	l->header = p;
	return 0;
}

static int table_init(struct ledger_table *t, const struct ledger *l, uint64_t at, uint32_t size,
		      uint32_t n)
{
	t->at = (char *)l->header + at;
	t->backed = &l->header->backed[t - &l->heaps];
	t->size = size;
	t->n = n;
	t->storage = calloc(1, bitset_bytes(n));
	if (!t->storage)
		return -ENOMEM;
	bitset_init(&t->free, n, t->storage);
	return 0;
}

static int tables_init(struct ledger *l)
{
	const struct ledger_header *h = l->header;
	void *p;
	int r = table_init(&l->heaps, l, h->heaps_at, h->heap_size, h->n_heaps);

	if (!r)
		r = table_init(&l->sessions, l, h->sessions_at, h->session_size, h->n_sessions);
	if (!r)
		r = table_init(&l->bindings, l, h->bindings_at, h->binding_size, h->n_bindings);
	if (r < 0)
		return r;
	l->units_bytes = align_up(pages_bytes(h->n_units), HW_PAGE_SIZE);
	p = mmap(NULL, l->units_bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	l->units_storage = p;
	pages_init(&l->units, h->n_units, p);
	pages_insert(&l->units, 0, h->n_units);
	return 0;
}

struct ledger *ledger_free(struct ledger *l)
{
	if (!l)
		return NULL;
	free(l->heaps.storage);
	free(l->sessions.storage);
	free(l->bindings.storage);
	if (l->units_storage)
		(void)munmap(l->units_storage, l->units_bytes);
	if (l->header)
		(void)munmap(l->header, l->bytes);
	close_fd(&l->fd);
	free(l);
	return NULL;
}

static void ledger_freep(struct ledger **l)
{
	ledger_free(*l);
}

int ledger_new(struct ledger **out)
{
	_cleanup_(ledger_freep) struct ledger *l = calloc(1, sizeof(*l));
	struct ledger_header header;
	int r;

	if (!l)
		return -ENOMEM;
	layout(&header);
	l->fd = -1;
	l->bytes = bytes_of(&header);
	r = memfd_new(&l->fd, "heapd:ledger", l->bytes);
	if (!r && fallocate(l->fd, 0, 0, (off_t)HW_PAGE_SIZE) < 0)
		r = -errno;
	if (!r)
		r = map_file(l);
	if (r < 0)
		return r;
	*l->header = header;
	r = tables_init(l);
	if (r < 0)
		return r;
	*out = take(l);
	return 0;
}

/* ---- that of a daemon before ---- */

/* Records that count keep their numbers; all others that have memory are free. */
static int table_adopt(const struct ledger *l, struct ledger_table *t)
{
	uint32_t n = atomic_load(t->backed);

	if (n && fallocate(l->fd, 0, t->at - (char *)l->header, (off_t)n * t->size) < 0)
		return -errno;
	for (uint32_t i = 0; i < n; i++) {
		const _Atomic uint32_t *valid = (const void *)(t->at + (uint64_t)i * t->size);

		if (!atomic_load(valid))
			bitset_add(&t->free, i);
	}
	return 0;
}

/* What a heap's window has behind it is there; what is between the windows goes. */
static int windows_adopt(struct ledger *l)
{
	for (uint32_t i = 0; i < atomic_load(l->heaps.backed); i++) {
		const struct ledger_heap *h = ledger_heap(l, i);
		uint32_t n = ledger_units(h->n_pages), run;
		int r;

		if (!atomic_load(&h->state) || h->unit == LEDGER_NONE)
			continue;
		r = ledger_back_units(l, h->unit, n);
		if (r < 0)
			return r;
		run = pages_run_of(&l->units, h->unit);
		pages_alloc_at(&l->units, run, h->unit, n);
		pages_remove(&l->units, h->unit);
	}
	for (uint32_t run = pages_next_run(&l->units, 0); run != PAGE_NONE;
	     run = pages_next_run(&l->units, run + l->units.page[run].n))
		ledger_empty_units(l, run, l->units.page[run].n);
	return 0;
}

int ledger_open_take(struct ledger **out, int fd, const char **why)
{
	_cleanup_(ledger_freep) struct ledger *l = calloc(1, sizeof(*l));
	struct stat st;
	int r;

	if (!l) {
		close_fd(&fd);
		return -ENOMEM;
	}
	l->fd = fd;
	*why = "not a file of ours";
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)HW_PAGE_SIZE)
		return -EUCLEAN;
	l->bytes = (uint64_t)st.st_size;
	r = map_file(l);
	if (!r)
		r = ledger_check(l->header, l->bytes, why);
	if (!r)
		r = tables_init(l);
	if (!r)
		r = table_adopt(l, &l->heaps);
	if (!r)
		r = table_adopt(l, &l->sessions);
	if (!r)
		r = table_adopt(l, &l->bindings);
	if (!r)
		r = windows_adopt(l);
	if (r < 0)
		return r;
	*out = take(l);
	return 0;
}

/* ---- records ---- */

static void *record(const struct ledger_table *t, uint32_t i)
{
	assert(i < t->n && "a record's number");
	return t->at + (uint64_t)i * t->size;
}

struct ledger_heap *ledger_heap(const struct ledger *l, uint32_t i)
{
	return record(&l->heaps, i);
}

struct ledger_session *ledger_session(const struct ledger *l, uint32_t i)
{
	return record(&l->sessions, i);
}

struct ledger_binding *ledger_binding(const struct ledger *l, uint32_t i)
{
	return record(&l->bindings, i);
}

static int table_grow(const struct ledger *l, struct ledger_table *t)
{
	uint32_t backed = atomic_load(t->backed);
	uint32_t n = (uint32_t)min_u64(GROW_BYTES / t->size, t->n - backed);
	off_t at = t->at - (char *)l->header + (off_t)backed * t->size;

	if (fallocate(l->fd, 0, at, (off_t)n * t->size) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		bitset_add(&t->free, backed + i);
	ledger_store32(t->backed, backed + n);
	return 0;
}

static int take_record(struct ledger *l, struct ledger_table *t, uint32_t *i)
{
	uint32_t at = bitset_next(&t->free, 0);
	int r;

	if (at == BITSET_NONE) {
		if (atomic_load(t->backed) == t->n)
			return STATUS_QUOTA;
		r = table_grow(l, t);
		if (r < 0)
			return r;
		at = bitset_next(&t->free, 0);
	}
	bitset_remove(&t->free, at);
	*i = at;
	return 0;
}

int ledger_take_heap(struct ledger *l, uint32_t *i)
{
	return take_record(l, &l->heaps, i);
}

int ledger_take_session(struct ledger *l, uint32_t *i)
{
	return take_record(l, &l->sessions, i);
}

int ledger_take_binding(struct ledger *l, uint32_t *i)
{
	return take_record(l, &l->bindings, i);
}

static void give_record(struct ledger_table *t, uint32_t i)
{
	assert(!atomic_load((_Atomic uint32_t *)record(t, i)) && "it does not count any more");
	bitset_add(&t->free, i);
}

void ledger_give_heap(struct ledger *l, uint32_t i)
{
	give_record(&l->heaps, i);
}

void ledger_give_session(struct ledger *l, uint32_t i)
{
	give_record(&l->sessions, i);
}

void ledger_give_binding(struct ledger *l, uint32_t i)
{
	give_record(&l->bindings, i);
}

/* All but the first word, which has it count. A record of an older file may be shorter. */
static void fill(const struct ledger_table *t, uint32_t i, const void *from, size_t size)
{
	char *to = record(t, i);

	assert(!atomic_load((_Atomic uint32_t *)(void *)to) && "what counts is not written over");
	ledger_write(to + 4, (const char *)from + 4, min_u64(size, t->size) - 4);
}

void ledger_put_heap(struct ledger *l, uint32_t i, const struct ledger_heap *h, uint32_t state)
{
	fill(&l->heaps, i, h, sizeof(*h));
	POINT(HEAP_FILLED);
	ledger_set_state(l, i, state);
}

void ledger_put_session(struct ledger *l, uint32_t i, const struct ledger_session *s)
{
	fill(&l->sessions, i, s, sizeof(*s));
	POINT(SESSION_FILLED);
	ledger_store32(&ledger_session(l, i)->valid, 1);
}

void ledger_put_binding(struct ledger *l, uint32_t i, const struct ledger_binding *b)
{
	fill(&l->bindings, i, b, sizeof(*b));
	POINT(BINDING_FILLED);
	ledger_store32(&ledger_binding(l, i)->valid, 1);
}

void ledger_set_state(struct ledger *l, uint32_t heap, uint32_t state)
{
	ledger_store32(&ledger_heap(l, heap)->state, state);
}

void ledger_set_rights(struct ledger *l, uint32_t heap, const struct ledger_rights *rights)
{
	struct ledger_heap *h = ledger_heap(l, heap);
	uint32_t other = !(atomic_load(&h->rights_in) & 1);

	ledger_write(&h->rights[other], rights, sizeof(*rights));
	POINT(RIGHTS_FILLED);
	ledger_store32(&h->rights_in, other);
	POINT(RIGHTS_CHOSEN);
}

void ledger_drop_session(struct ledger *l, uint32_t i)
{
	ledger_store32(&ledger_session(l, i)->valid, 0);
}

void ledger_drop_binding(struct ledger *l, uint32_t i)
{
	ledger_store32(&ledger_binding(l, i)->valid, 0);
}

static bool has_free(const struct ledger *l)
{
	return l->sessions.size >= sizeof(struct ledger_session);
}

/* Whom it goes to is there before the id is, so that the two belong together whenever there is an id. */
void ledger_set_free(struct ledger *l, uint32_t session, uint32_t id, uint64_t to)
{
	struct ledger_session *s = ledger_session(l, session);

	if (!has_free(l))
		return;
	if (atomic_load(&s->free_id) != id)
		ledger_store32(&s->free_id, 0);
	ledger_store64(&s->free_to, to);
	ledger_store32(&s->free_id, id);
}

uint64_t ledger_free_to(const struct ledger *l, uint32_t session, uint32_t id)
{
	struct ledger_session *s = ledger_session(l, session);

	return id && has_free(l) && atomic_load(&s->free_id) == id ? atomic_load(&s->free_to) : 0;
}

void ledger_set_last(struct ledger *l, uint64_t heap, uint64_t session)
{
	if (heap > atomic_load(&l->header->last_heap))
		ledger_store64(&l->header->last_heap, heap);
	if (session > atomic_load(&l->header->last_session))
		ledger_store64(&l->header->last_session, session);
}

/* ---- windows ---- */

int ledger_take_window(struct ledger *l, uint32_t n_pages, uint32_t *unit)
{
	uint32_t first = pages_alloc(&l->units, ledger_units(n_pages));

	if (first == PAGE_NONE)
		return STATUS_QUOTA;
	pages_remove(&l->units, first);
	*unit = first;
	return 0;
}

static off_t unit_at(const struct ledger *l, uint32_t unit)
{
	return (off_t)(l->header->units_at + (uint64_t)unit * HW_PAGE_SIZE);
}

int ledger_back_units(struct ledger *l, uint32_t from, uint32_t n)
{
	off_t bytes = (off_t)n * (off_t)HW_PAGE_SIZE;

	return fallocate(l->fd, 0, unit_at(l, from), bytes) < 0 ? -errno : 0;
}

void ledger_empty_units(struct ledger *l, uint32_t from, uint32_t n)
{
	off_t bytes = (off_t)n * (off_t)HW_PAGE_SIZE;

	(void)fallocate(l->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, unit_at(l, from), bytes);
}

void ledger_give_window(struct ledger *l, uint32_t unit, uint32_t n_pages)
{
	pages_insert(&l->units, unit, ledger_units(n_pages));
}

_Atomic uint32_t *ledger_words(const struct ledger *l, uint32_t unit)
{
	return (_Atomic uint32_t *)(void *)((char *)l->header + unit_at(l, unit));
}

void ledger_words_init(struct ledger *l, uint32_t unit)
{
	ledger_store32(ledger_words(l, unit), LEDGER_FREE);
}

#define ASSIGN_POINT(store) \
	do { \
		if (to == LEDGER_FREE) \
			POINT(RETURN_##store); \
		else \
			POINT(GRANT_##store); \
	} while (0)

/*
 * Three stores at most. The map always has as few words as it can: where two pages side by side are
 * one owner's, the second says 0. So none inside the run says anything, and only its two ends
 * change:
 * 1. behind it, what went on now says whose it is: the same as before, in other words;
 * 2. at its start, the run changes hands: this is the step. If the page before is the new owner's,
 * the
 *    run now goes on as it;
 * 3. behind it, if that page is the new owner's, it goes on: again the same in other words.
 */
void ledger_assign(_Atomic uint32_t *words, uint32_t first, uint32_t n, uint32_t from, uint32_t to,
		   uint32_t before, uint32_t behind)
{
	if (from == to)
		return;
	if (behind == from) {
		ledger_store32(&words[first + n], from);
		ASSIGN_POINT(BEHIND);
	}
	ledger_store32(&words[first], first && before == to ? 0 : to);
	ASSIGN_POINT(DONE);
	if (behind == to) {
		ledger_store32(&words[first + n], 0);
		ASSIGN_POINT(JOINED);
	}
}
