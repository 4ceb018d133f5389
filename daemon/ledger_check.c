/*
 * ledger_check.c: the auditor of ledger.h, for any bytes
 *
 * First the header: once its numbers are known to lie in the file and not over each other, every
 * record and every word can be read. Then each kind of record for itself, then what they say of
 * each other: ids are sorted and searched, so nothing is quadratic.
 */
#include "daemon/ledger.h"

static int wrong(const char **why, const char *text)
{
	*why = text;
	return -EUCLEAN;
}

/* What is known of an id. */
struct known {
	uint64_t id;
	uint32_t i; /* the record's number */
};

struct index {
	struct known *at;
	uint32_t n;
};

struct audit {
	const struct ledger_header *header;
	const char *bytes;
	struct index heaps, sessions;
	const char **why;
};

/* ---- the header ---- */

static bool table_fits(uint64_t at, uint32_t n, uint64_t size, uint64_t least, uint64_t end)
{
	return at % 8 == 0 && size % 8 == 0 && size >= least && size <= HW_PAGE_SIZE && n > 0 &&
	       n <= BITSET_MAX && at <= end && n <= (end - at) / size;
}

static int check_header(const struct ledger_header *h, uint64_t size, const char **why)
{
	if (size < HW_PAGE_SIZE || h->magic != LEDGER_MAGIC)
		return wrong(why, "not a ledger");
	if (h->version != LEDGER_VERSION)
		return wrong(why, "a ledger of another version");
	if (atomic_load(&h->backed[0]) > h->n_heaps || atomic_load(&h->backed[1]) > h->n_sessions ||
	    atomic_load(&h->backed[2]) > h->n_bindings)
		return wrong(why, "more records than there is room for");
	if (h->heaps_at < sizeof(*h) || h->units_at % HW_PAGE_SIZE || h->units_at > size)
		return wrong(why, "tables out of place");
	if (!table_fits(h->heaps_at, h->n_heaps, h->heap_size, sizeof(struct ledger_heap),
			h->sessions_at) ||
	    !table_fits(h->sessions_at, h->n_sessions, h->session_size,
			offsetof(struct ledger_session, free_id), h->bindings_at) ||
	    !table_fits(h->bindings_at, h->n_bindings, h->binding_size,
			sizeof(struct ledger_binding), h->units_at) ||
	    !table_fits(h->units_at, h->n_units, HW_PAGE_SIZE, HW_PAGE_SIZE, size))
		return wrong(why, "tables out of place");
	return 0;
}

/* ---- records ---- */

static const struct ledger_heap *heap_at(const struct audit *a, uint32_t i)
{
	return (const void *)(a->bytes + a->header->heaps_at + (uint64_t)i * a->header->heap_size);
}

static const struct ledger_session *session_at(const struct audit *a, uint32_t i)
{
	return (const void *)(a->bytes + a->header->sessions_at +
			      (uint64_t)i * a->header->session_size);
}

static const struct ledger_binding *binding_at(const struct audit *a, uint32_t i)
{
	return (const void *)(a->bytes + a->header->bindings_at +
			      (uint64_t)i * a->header->binding_size);
}

static bool terminated(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static int check_heap(const struct audit *a, const struct ledger_heap *h)
{
	const struct ledger_header *header = a->header;

	if (atomic_load(&h->state) >= LEDGER_STATES)
		return wrong(a->why, "a heap in no known state");
	if (!h->id || h->id > atomic_load(&header->last_heap))
		return wrong(a->why, "a heap with an id that was never given");
	if (!h->size || !h->n_pages || h->n_pages > PAGES_MAX ||
	    (h->backing != BACKING_OWN && h->size > (uint64_t)h->n_pages * HW_PAGE_SIZE))
		return wrong(a->why, "a heap without size");
	if (h->kind < KIND_HEAP || h->kind >= KIND_LAST || h->backing >= BACKING_LAST ||
	    (h->mode & ~WIRE_MODE_ALL) || h->attribute >= WIRE_ATTRIBUTES || h->configured > 1)
		return wrong(a->why, "a heap of no known kind");
	if (atomic_load(&h->rights_in) > 1 || !terminated(h->name, sizeof(h->name)))
		return wrong(a->why, "a heap with broken rights or name");
	if (h->unit == LEDGER_NONE)
		return 0;
	if (h->unit >= header->n_units || ledger_units(h->n_pages) > header->n_units - h->unit)
		return wrong(a->why, "a window out of place");
	return 0;
}

static int check_session(const struct audit *a, const struct ledger_session *s)
{
	if (!s->id || s->id > atomic_load(&a->header->last_session))
		return wrong(a->why, "a session with an id that was never given");
	if (s->pid <= 0 || !terminated(s->label, sizeof(s->label)))
		return wrong(a->why, "a session of nobody");
	return 0;
}

/* ---- ids ---- */

static int by_id(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int add_known(struct index *ix, uint64_t id, uint32_t i)
{
	struct known *bigger;

	if (!(ix->n & (ix->n - 1))) { /* 0 and powers of two: full */
		bigger = reallocarray(ix->at, ix->n ? 2 * (size_t)ix->n : 1, sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		ix->at = bigger;
	}
	ix->at[ix->n++] = (struct known){.id = id, .i = i};
	return 0;
}

static int sort_known(struct index *ix, const char **why)
{
	if (ix->n)
		qsort(ix->at, ix->n, sizeof(*ix->at), by_id);
	for (uint32_t i = 1; i < ix->n; i++)
		if (ix->at[i].id == ix->at[i - 1].id)
			return wrong(why, "two of one id");
	return 0;
}

static const struct known *find_known(const struct index *ix, uint64_t id)
{
	const struct known key = {.id = id};

	return ix->n ? bsearch(&key, ix->at, ix->n, sizeof(key), by_id) : NULL;
}

static int collect(struct audit *a)
{
	int r = 0;

	for (uint32_t i = 0; !r && i < atomic_load(&a->header->backed[0]); i++) {
		const struct ledger_heap *h = heap_at(a, i);

		if (!atomic_load(&h->state))
			continue;
		r = check_heap(a, h);
		if (!r)
			r = add_known(&a->heaps, h->id, i);
	}
	for (uint32_t i = 0; !r && i < atomic_load(&a->header->backed[1]); i++) {
		const struct ledger_session *s = session_at(a, i);

		if (!atomic_load(&s->valid))
			continue;
		r = check_session(a, s);
		if (!r)
			r = add_known(&a->sessions, s->id, i);
	}
	if (!r)
		r = sort_known(&a->heaps, a->why);
	return r ? r : sort_known(&a->sessions, a->why);
}

/* ---- what they say of each other ---- */

/*
 * A binding may outlive its session for a while: then it does not count. (Two of one session to one
 * heap, or in one slot, are found when a world is made.)
 */
static int check_bindings(const struct audit *a)
{
	for (uint32_t i = 0; i < atomic_load(&a->header->backed[2]); i++) {
		const struct ledger_binding *b = binding_at(a, i);

		if (!atomic_load(&b->valid))
			continue;
		if (!find_known(&a->heaps, b->heap))
			return wrong(a->why, "a binding to what is not there");
		if ((b->access != ACCESS_READ && b->access != ACCESS_WRITE) ||
		    b->slot >= WIRE_SLOTS)
			return wrong(a->why, "a binding that never was");
	}
	return 0;
}

static int by_unit(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	return x->i < y->i ? -1 : x->i > y->i;
}

static int check_windows(const struct audit *a)
{
	_cleanup_free_ struct known *at = NULL;
	uint32_t n = 0;

	if (!a->heaps.n)
		return 0;
	at = calloc(a->heaps.n, sizeof(*at));
	if (!at)
		return -ENOMEM;
	for (uint32_t i = 0; i < a->heaps.n; i++) {
		const struct ledger_heap *h = heap_at(a, a->heaps.at[i].i);

		if (h->unit != LEDGER_NONE)
			at[n++] = (struct known){.id = ledger_units(h->n_pages), .i = h->unit};
	}
	if (n)
		qsort(at, n, sizeof(*at), by_unit);
	for (uint32_t i = 1; i < n; i++)
		if (at[i - 1].i + at[i - 1].id > at[i].i)
			return wrong(a->why, "windows over each other");
	return 0;
}

static int check_word(const struct audit *a, const struct ledger_heap *h, uint32_t word)
{
	const struct ledger_binding *b;

	if (word <= LEDGER_FREE)
		return 0;
	if (word - 2 >= atomic_load(&a->header->backed[2]))
		return wrong(a->why, "pages of nobody there could be");
	b = binding_at(a, word - 2);
	if (atomic_load(&b->valid) && b->heap != h->id)
		return wrong(a->why, "pages of somebody who is not bound");
	return 0;
}

static int check_words(const struct audit *a)
{
	for (uint32_t i = 0; i < a->heaps.n; i++) {
		const struct ledger_heap *h = heap_at(a, a->heaps.at[i].i);
		const _Atomic uint32_t *words;
		int r = 0;

		if (h->unit == LEDGER_NONE)
			continue;
		words = (const void *)(a->bytes + a->header->units_at +
				       (uint64_t)h->unit * HW_PAGE_SIZE);
		if (!atomic_load_explicit(&words[0], memory_order_relaxed))
			return wrong(a->why, "pages of which nothing is said");
		for (uint32_t page = 0; !r && page < h->n_pages; page++)
			r = check_word(a, h,
				       atomic_load_explicit(&words[page], memory_order_relaxed));
		if (r)
			return r;
	}
	return 0;
}

int ledger_check(const void *bytes, uint64_t size, const char **why)
{
	struct audit a = {.header = bytes, .bytes = bytes, .why = why};
	int r = check_header(bytes, size, why);

	if (!r)
		r = collect(&a);
	if (!r)
		r = check_bindings(&a);
	if (!r)
		r = check_windows(&a);
	if (!r)
		r = check_words(&a);
	free(a.heaps.at);
	free(a.sessions.at);
	return r;
}
