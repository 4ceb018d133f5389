/*
 * heap.c: heaps come and go, sessions bind and unbind; see heap.h
 */
#include "daemon/heap_internal.h"

#include <sys/mman.h>

#define METADATA_SMALL (16 * 1024)

/* ---- all heaps ---- */

void heaps_init(struct heaps *hs, uint64_t recall_ns, void (*wake)(void *ctx, uint64_t in_ns),
		void *ctx)
{
	*hs = (struct heaps){.recall_ns = recall_ns, .wake = wake, .ctx = ctx};
	TAILQ_INIT(&hs->all);
	TAILQ_INIT(&hs->orphans);
	TAILQ_INIT(&hs->deadlines);
}

void heaps_deinit(struct heaps *hs)
{
	assert(TAILQ_EMPTY(&hs->all) && TAILQ_EMPTY(&hs->orphans) && TAILQ_EMPTY(&hs->deadlines));
	table_deinit(&hs->by_id);
}

struct heap *heaps_find(const struct heaps *hs, uint64_t id)
{
	struct table_node *node = table_find(&hs->by_id, hash_number(id));

	for (; node; node = table_next(node)) {
		struct heap *h = container_of(node, struct heap, by_id);

		if (h->facts.id == id)
			return h;
	}
	return NULL;
}

struct heap *heaps_after(const struct heaps *hs, uint64_t id)
{
	struct heap *h = heaps_find(hs, id);

	if (h)
		return TAILQ_NEXT(h, link);
	TAILQ_FOREACH(h, &hs->all, link) {
		if (h->facts.id > id)
			break;
	}
	return h;
}

/* ---- one heap ---- */

/*
 * Zeroed memory for n bytes. A large piece is backed only where it is touched (entries of pages
 * inside a run never are) and given back by the committer's thread; a small one would waste most of
 * a page.
 */
static void *metadata_new(size_t *size)
{
	void *p;

	if (*size < METADATA_SMALL) {
		p = aligned_alloc(64, align_up(*size, 64));
		if (p)
			memset(p, 0, *size);
		return p;
	}
	*size = align_up(*size, HW_PAGE_SIZE);
	p = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

static void metadata_free(struct heap *h)
{
	if (h->metadata_size < METADATA_SMALL)
		free(h->metadata);
	else
		commit_dispose(h->arena->committer, -1, h->metadata, h->metadata_size);
}

static int make_pages(struct heap *h)
{
	size_t pages = align_up(pages_bytes(h->n_pages), 64);

	h->metadata_size = pages + holders_bytes(h->n_pages);
	h->metadata = metadata_new(&h->metadata_size);
	if (!h->metadata)
		return -ENOMEM;
	pages_init(&h->pages, h->n_pages, h->metadata);
	holders_init(&h->holders, h->n_pages, (char *)h->metadata + pages);
	pages_insert(&h->pages, 0, h->n_pages);
	return 0;
}

/* New ones are the last. */
static void insert_by_id(struct heaps *hs, struct heap *h)
{
	struct heap *before = TAILQ_LAST(&hs->all, heap_list);

	while (before && before->facts.id > h->facts.id)
		before = TAILQ_PREV(before, heap_list, link);
	if (before)
		TAILQ_INSERT_AFTER(&hs->all, before, h, link);
	else
		TAILQ_INSERT_HEAD(&hs->all, h, link);
}

int heap_new(struct heap **out, struct heaps *hs, const struct heap_facts *facts,
	     struct arena **arena)
{
	struct heap_facts with_id = *facts;
	int r;

	with_id.id = hs->last_id + 1;
	r = heap_revive(out, hs, &with_id, arena);
	if (!r)
		hs->last_id++;
	return r;
}

int heap_revive(struct heap **out, struct heaps *hs, const struct heap_facts *facts,
		struct arena **arena)
{
	struct heap *h = calloc(1, sizeof(*h));
	int r = 0;

	if (!h)
		return -ENOMEM;
	h->facts = *facts;
	h->heaps = hs;
	h->state = STATE_COMMITTING;
	h->least = UINT32_MAX;
	h->kept = (struct kept_heap)KEPT_HEAP_NULL;
	h->n_pages = (uint32_t)((*arena)->job.size / HW_PAGE_SIZE);
	TAILQ_INIT(&h->bindings);
	TAILQ_INIT(&h->queue);
	if (facts->kind != KIND_SEGMENT && (*arena)->backing != BACKING_OWN)
		r = make_pages(h);
	if (r < 0) {
		free(h);
		return r;
	}
	h->arena = take(*arena);
	table_add(&hs->by_id, &h->by_id, hash_number(h->facts.id));
	insert_by_id(hs, h);
	hs->n++;
	hs->n_total++;
	hs->bytes += h->arena->job.size;
	*out = h;
	return 0;
}

static void free_orphans(struct heap *h)
{
	for (uint32_t i = 0; h->n_orphans && i < h->n_holder_space; i++)
		if (h->holder[i])
			orphan_free(h->holder[i]);
}

struct heap *heap_free(struct heap *h)
{
	struct heaps *hs;

	if (!h)
		return NULL;
	hs = h->heaps;
	keep_heap_end(hs->keep, h);
	assert(TAILQ_EMPTY(&h->bindings) && !h->name && !h->creation && !h->n_parked);
	free_orphans(h);
	table_remove(&hs->by_id, &h->by_id);
	TAILQ_REMOVE(&hs->all, h, link);
	hs->n--;
	hs->bytes -= h->arena->job.size;
	metadata_free(h);
	arena_dispose(h->arena);
	free(h->holder);
	free(h);
	return NULL;
}

/* ---- bindings ---- */

/* A number for a new holder: the lowest free one. Walks the holders. */
static int take_number(struct heap *h, struct binding *b)
{
	uint32_t i = 0, space;
	struct binding **bigger;

	while (i < h->n_holder_space && h->holder[i])
		i++;
	if (i == h->n_holder_space) {
		space = h->n_holder_space ? h->n_holder_space * 2 : 2;
		bigger = realloc(h->holder, space * sizeof(struct binding *));
		if (!bigger)
			return -ENOMEM;
		memset(&bigger[h->n_holder_space], 0,
		       (space - h->n_holder_space) * sizeof(struct binding *));
		h->holder = bigger;
		h->n_holder_space = space;
	}
	h->holder[i] = b;
	holding_init(&b->held, i);
	return 0;
}

static void publish_writers(struct heap *h)
{
	struct binding *b;

	TAILQ_FOREACH(b, &h->bindings, of_heap)
		atomic_store_explicit(&binding_control(b)->n_bound, h->n_writers,
				      memory_order_release);
}

static void join(struct binding *b)
{
	struct heap *h = b->heap;
	struct session *s = b->session;

	b->serial = ++h->last_serial;
	TAILQ_INSERT_TAIL(&h->bindings, b, of_heap);
	TAILQ_INSERT_TAIL(&s->bound, b, of_session);
	table_add(&s->bindings, &b->by_heap, hash_number(b->heap_id));
	s->n_bound++;
	h->n_bound++;
	if (b->access == ACCESS_WRITE)
		h->n_writers++;
}

static void enlist(struct binding *b)
{
	struct heap *h = b->heap;

	join(b);
	publish_writers(h);
	atomic_store_explicit(&binding_control(b)->pressed, heap_pressed(h, b),
			      memory_order_release);
	atomic_store_explicit(&binding_control(b)->state, h->state, memory_order_release);
}

static void delist(struct binding *b)
{
	struct heap *h = b->heap;
	struct session *s = take(b->session);

	TAILQ_REMOVE(&h->bindings, b, of_heap);
	TAILQ_REMOVE(&s->bound, b, of_session);
	table_remove(&s->bindings, &b->by_heap);
	areas_give_slot(&s->areas, b->slot);
	s->has_unbound = true;
	s->n_bound--;
	h->n_bound--;
	if (b->access == ACCESS_WRITE)
		h->n_writers--;
	publish_writers(h);
}

/* What comes with a bind: see heap.h. */
static void grant_first(struct binding *b, struct grant *grant)
{
	struct heap *h = b->heap;

	if (b->access != ACCESS_WRITE || !heap_has_pages(h) || h->n_parked)
		return;
	(void)pages_grant_any(h, b, h->pages.n_free / h->n_writers, grant);
}

int heap_bind(struct binding **out, struct heap *h, struct session *s, uint32_t access,
	      struct grant *grant)
{
	_cleanup_free_ struct binding *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return -ENOMEM;
	b->heap = h;
	b->heap_id = h->facts.id;
	b->session = s;
	b->access = access;
	b->record = LEDGER_NONE;
	holding_init(&b->held, UINT32_MAX);
	r = areas_take_slot(&s->areas, &b->slot);
	if (r)
		return r;
	if (access == ACCESS_WRITE && heap_has_pages(h))
		r = take_number(h, b);
	if (!r)
		r = keep_bind(h->heaps->keep, b);
	if (r) {
		if (b->held.owner != UINT32_MAX)
			h->holder[b->held.owner] = NULL;
		areas_give_slot(&s->areas, b->slot);
		return r;
	}
	enlist(b);
	grant_first(b, grant);
	heap_refresh(h);
	*out = take(b);
	return 0;
}

int heap_rebind(struct binding **out, struct heap *h, struct session *s, uint32_t access,
		uint32_t slot, uint32_t record)
{
	_cleanup_free_ struct binding *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return -ENOMEM;
	if (session_binding(s, h->facts.id))
		return -EISCONN;
	b->heap = h;
	b->heap_id = h->facts.id;
	b->session = s;
	b->access = access;
	b->slot = slot;
	b->record = record;
	holding_init(&b->held, UINT32_MAX);
	r = areas_retake_slot(&s->areas, slot);
	if (r < 0)
		return r;
	if (access == ACCESS_WRITE && heap_has_pages(h))
		r = take_number(h, b);
	if (r < 0) {
		areas_give_slot(&s->areas, slot);
		return r;
	}
	join(b);
	*out = take(b);
	return 0;
}

void heap_regrant(struct binding *b, uint32_t first, uint32_t n)
{
	struct heap *h = b->heap;

	pages_alloc_at(&h->pages, pages_run_of(&h->pages, first), first, n);
	pages_remove(&h->pages, first);
	holders_give(&h->holders, &b->held, first, n);
	h->high_pages = max_u64(h->high_pages, h->holders.n_held);
}

/* Each word of a slot changes once at most: who looks sees what was, or what is. */
void heap_revived(struct heap *h)
{
	struct binding *b;

	publish_writers(h);
	TAILQ_FOREACH(b, &h->bindings, of_heap) {
		atomic_store_explicit(&binding_control(b)->pressed, 0, memory_order_release);
		atomic_store_explicit(&binding_control(b)->state, h->state, memory_order_release);
	}
}

static void cancel_refills(struct binding *b)
{
	struct parked *p = TAILQ_FIRST(&b->heap->queue), *next;

	for (; p && b->n_parked; p = next) {
		next = TAILQ_NEXT(p, queue);
		if (p->binding == b)
			refill_end(p, STATUS_CANCELLED);
	}
}

void heap_unbind(struct binding *b)
{
	struct heap *h = b->heap;

	cancel_refills(b);
	recall_forget(b);
	ahead_forget(b);
	keep_unbind(h->heaps->keep, b);
	delist(b);
	if (!h->n_bound && (h->state == STATE_DELETED || heap_is_private(h))) {
		if (b->held.owner != UINT32_MAX)
			h->holder[b->held.owner] = NULL;
		keep_binding_end(h->heaps->keep, b);
		free(b);
		heap_free(h);
		return;
	}
	if (b->held.n_pages) {
		orphan_add(b);
		return;
	}
	if (b->held.owner != UINT32_MAX)
		h->holder[b->held.owner] = NULL;
	keep_binding_end(h->heaps->keep, b);
	free(b);
	heap_settle(h);
}

/* ---- deletion ---- */

static void mark_deleted(struct heap *h)
{
	struct binding *b;

	h->state = STATE_DELETED;
	TAILQ_FOREACH(b, &h->bindings, of_heap) {
		struct wire_control *c = binding_control(b);

		atomic_store_explicit(&c->state, STATE_DELETED, memory_order_release);
		atomic_store_explicit(&c->pressed, 0, memory_order_release);
	}
	h->is_pressed = false;
}

/* Who has refills here learns of their end by EV_DELETED. */
static void drop_refills(struct heap *h)
{
	struct parked *p;

	while ((p = TAILQ_FIRST(&h->queue))) {
		queue_remove(h, p);
		parked_free(p);
	}
}

void heap_delete(struct heap *h)
{
	struct binding *b;
	struct frame f;
	struct wire_deleted *body = frame_init(&f, EV_DELETED, 0, 0, sizeof(*body));

	assert(!h->name && !h->creation);
	mark_deleted(h);
	if (h->n_bound)
		keep_heap_deleted(h->heaps->keep, h);
	drop_refills(h);
	body->heap = h->facts.id;
	TAILQ_FOREACH(b, &h->bindings, of_heap) {
		recall_forget(b);
		ahead_forget(b);
		(void)session_emit(b->session, &f);
	}
	if (!h->n_bound)
		heap_free(h);
}
