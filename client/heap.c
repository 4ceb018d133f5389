/*
 * heap.c: heaps come, are found, and go; see heap.h
 */
#include "client/heap.h"

#include "client/creation.h"
#include "client/heap_pages.h"
#include "client/mapping.h"
#include "client/point.h"
#include "proto/codec.h"

/* Metadata of up to this size (heaps of about 50 MiB) gets its backing at once, of larger ones with the pages it is for. */
#define METADATA_AT_ONCE (4u << 20)

#define SHEET_BYTES ((size_t)4 * HW_PAGE_SIZE) /* structures are made by so many at once */

#define TABLE_CHAINS 1024 /* ids are consecutive, so they spread by themselves */

static struct {
	struct lock lock;
	LIST_HEAD(heap_chain, heap) chain[TABLE_CHAINS];
	struct heap_chain spare;
} table;

const struct wire_control heap_control_gone = { .state = STATE_DELETED };
const struct wire_control heap_control_alone = { .state = STATE_LIVE, .n_bound = 1 };

void heap_table_init(void)
{
	lock_init(&table.lock);
	for (size_t i = 0; i < TABLE_CHAINS; i++)
		LIST_INIT(&table.chain[i]);
	LIST_INIT(&table.spare);
	heap_ahead_init();
}

void heap_table_lock(void)
{
	lock_take(&table.lock);
}

void heap_table_unlock(void)
{
	lock_give(&table.lock);
}

static struct heap_chain *chain_of(uint64_t id)
{
	return &table.chain[id % TABLE_CHAINS];
}

struct heap *heap_find(const struct session *s, uint64_t id)
{
	struct heap *h;

	LIST_FOREACH(h, chain_of(id), id_link) {
		if (h->id == id && h->session == s)
			return h;
	}
	return NULL;
}

struct heap *heap_find_name(const char *name)
{
	struct heap *h;

	for (size_t i = 0; i < TABLE_CHAINS; i++) {
		LIST_FOREACH(h, &table.chain[i], id_link) {
			if (h->named && strcmp(h->name, name) == 0 && heap_state(h) == 0 && session_is_up(h->session))
				return h;
		}
	}
	return NULL;
}

struct heap *heap_find_locked(const struct session *s, uint64_t id)
{
	struct heap *h;

	heap_table_lock();
	h = heap_find(s, id);
	if (h)
		lock_take(&h->lock);
	heap_table_unlock();
	return h;
}

void heap_for_each(void (*fn)(struct heap *h, void *ctx), void *ctx)
{
	struct heap *h;

	for (size_t i = 0; i < TABLE_CHAINS; i++) {
		LIST_FOREACH(h, &table.chain[i], id_link)
			fn(h, ctx);
	}
}

/* ---- attach ---- */

static void heap_retire(struct heap *h)
{
	heap_table_lock();
	LIST_INSERT_HEAD(&table.spare, h, id_link);
	heap_table_unlock();
}

/*
 * One new structure; the rest of its sheet goes to the spare ones. Not from malloc: what a fork shares
 * with the child, the parent would copy in a page fault at its next alloc.
 */
static struct heap *heap_new_sheet(void)
{
	struct heap *h;
	void *sheet;

	if (mapping_private(&sheet, SHEET_BYTES) < 0)
		return NULL;
	if (mapping_populate(sheet, SHEET_BYTES) < 0) {
		mapping_free(sheet, SHEET_BYTES);
		return NULL;
	}
	h = sheet;
	for (size_t i = 0; i < SHEET_BYTES / sizeof(*h); i++) {
		lock_init(&h[i].lock);
		if (i > 0)
			heap_retire(&h[i]);
	}
	return h;
}

/* A structure to use: a spare one, or a new one. Its lock is valid for ever. */
static struct heap *heap_new(void)
{
	struct heap *h;

	heap_table_lock();
	h = LIST_FIRST(&table.spare);
	if (h)
		LIST_REMOVE(h, id_link);
	heap_table_unlock();
	if (h)
		return h;
	return heap_new_sheet();
}

/* The heads of what CPUs have at hand, if the heap is to have that. 0 or -ENOMEM. */
static int find_heads(struct heap *h, uint32_t slot, struct hand_layout *hand)
{
	int r;

	*hand = (struct hand_layout){ .n_cpus = hand_cpus(h->usable) };
	if (!hand->n_cpus)
		return 0;
	r = session_heads(h->session, slot, hand->n_cpus, &hand->heads);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		hand->n_cpus = 0; /* a daemon that knows no heads */
	return 0;
}

/* Private memory for the allocator, and the pages that came with the bind. */
static int carve(struct heap *h, const struct wire_bound *b)
{
	uint32_t shift = bucket_page_shift(h->size);
	size_t slots_at, marks_at, marks_size;
	struct hand_layout hand;
	struct frame back;
	int r;

	r = find_heads(h, b->slot, &hand);
	if (r < 0)
		return r;
	marks_size = hand.n_cpus ? hand_marks_size(h->usable) : 0;
	slots_at = align_up(bucket_bytes(h->n_total_hw, shift), CACHE_LINE);
	marks_at = align_up(slots_at + rseq_slots_size(hand.n_cpus), 2 * CACHE_LINE);
	h->metadata_size = align_up(marks_at + marks_size, HW_PAGE_SIZE);
	r = mapping_private(&h->metadata, h->metadata_size);
	if (r < 0)
		return r;
	hand.slots = (uint32_t *)(void *)((char *)h->metadata + slots_at);
	hand.marks = (uint8_t *)h->metadata + marks_at;
	h->metadata_backed = h->metadata_size <= METADATA_AT_ONCE;
	if (h->metadata_backed)
		r = mapping_populate(h->metadata, h->metadata_size);
	else if (hand.n_cpus)
		r = mapping_populate(hand.slots, marks_at - slots_at);
	if (r < 0)
		return r;
	bucket_init(&h->bucket, h->n_total_hw, shift, h->metadata, h->stats);
	hand_begin(&h->hand, &h->bucket, h->usable, &hand);
	(void)return_init(&back, h->id, 0);
	heap_insert_runs(h, b->runs, b->n_runs, &back);
	return FRAME_BODY(&back, struct wire_return)->n_runs ? -ENOMEM : 0;
}

static int fill(struct heap *h, const struct wire_bound *b, int fd)
{
	const struct wire_control *control;
	int r;

	r = session_slot(h->session, b->slot, &control, &h->stats);
	if (r < 0)
		return r;
	hand_control(&h->hand, control);
	if (b->backing == BACKING_DEVICE)
		r = mapping_device((void **)&h->hand.arrays.base, fd, h->usable, h->writable);
	else
		r = mapping_arena((void **)&h->hand.arrays.base, fd, h->usable, h->writable);
	if (r < 0)
		return r;
	if (!heap_is_segment(h) && h->writable)
		return carve(h, b);
	hand_begin(&h->hand, NULL, h->usable, NULL);
	return 0;
}

static void unmap(struct heap *h)
{
	mapping_free(h->hand.arrays.base, h->usable);
	mapping_free(h->metadata, h->metadata_size);
	h->hand.arrays.base = NULL;
	h->metadata = NULL;
	mapping_free(h->freed, HEAP_FREED_BYTES);
	h->freed = NULL;
}

int heap_attach(struct heap **out, struct session *s, const struct frame *f)
{
	const struct wire_bound *b = (const struct wire_bound *)(const void *)f->body.bytes;
	struct heap *h = heap_new();
	int r = -ENOMEM;

	if (h) {
		lock_take(&h->lock);
		h->session = session_ref(s);
		h->id = b->heap;
		h->size = b->size;
		h->usable = b->usable;
		h->n_total_hw = (uint32_t)(b->usable / HW_PAGE_SIZE);
		h->n_held_hw = 0;
		h->link = 0;
		h->mode = b->mode;
		h->kind = b->kind;
		h->named = b->name[0] != '\0';
		h->writable = b->access == ACCESS_WRITE;
		h->n_descriptors = 0;
		h->ticking = false;
		h->owes = false;
		h->ahead_after_ns = 0;
		h->used_seen = 0;
		atomic_store(&h->n_busy, 0);
		memcpy(h->name, b->name, sizeof(h->name));
		waitq_init(&h->waitq, b->mode & WIRE_MODE_PRIO);
		r = fill(h, b, f->fds[0]);
		if (r < 0) {
			(void)hand_end(&h->hand); /* it was not open yet */
			unmap(h);
		}
		lock_give(&h->lock);
	}
	if (r < 0) {
		creation_unbind(s, b->heap);
		if (h) {
			session_unref(take(h->session));
			heap_retire(h);
		}
		return r;
	}
	POINT(ATTACH_MAPPED);
	session_settle_events(s); /* one that has been read, of an earlier binding to this heap, shall not find this one */
	*out = h;
	return 0;
}

void heap_list(struct heap *h)
{
	assert(h->n_descriptors > 0 && "who finds it may join it and leave it: it must not be the last one");
	h->link = session_link(h->session); /* the table is locked: either its binding has been told of, or the heap will be found */
	LIST_INSERT_HEAD(chain_of(h->id), h, id_link);
}

void heap_catch_up(struct heap *h)
{
	const struct wire_control *c = atomic_load_explicit(&h->hand.arrays.control, memory_order_acquire);

	if (!session_is_up(h->session)) {
		heap_lose(h); /* it may have gone down before the table knew the heap: nobody else would tell */
		return;
	}
	lock_take(&h->lock);
	if (h->named && !heap_is_segment(h) && h->writable && atomic_load(&c->n_bound) > 1) {
		h->owes = atomic_load(&c->pressed) > 0;
		heap_keep_ahead(h);
	}
	lock_give(&h->lock);
	POINT(ATTACH_DONE);
}

void heap_unlist(struct heap *h)
{
	LIST_REMOVE(h, id_link);
}

void heap_detach(struct heap *h)
{
	const struct timespec pause = { .tv_nsec = 100000 };
	struct session *s;
	bool ended;

	while (atomic_load(&h->n_pins) > 0)
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL); /* a round trip to the daemon at most */
	lock_take(&h->lock);
	ended = hand_end(&h->hand); /* before the slot is another binding's */
	lock_give(&h->lock);
	creation_unbind(h->session, h->id); /* before the lock: it waits for the daemon, and nobody finds the heap any more */
	POINT(UNBIND_SENT);
	lock_take(&h->lock);
	heap_stop_ahead(h);
	if (ended)
		unmap(h);
	hand_control(&h->hand, &heap_control_gone);
	s = take(h->session);
	lock_give(&h->lock);
	if (!ended)
		return; /* a filter refuses the barrier: a thread that is late may still look, so all stays as it is */
	session_unref(s);
	heap_retire(h);
}

/* ---- what needs the daemon's word ---- */

static int call_status(struct session *s, struct frame *f)
{
	int r = session_call(s, f);

	return r < 0 ? r : status_errno(f->header.status);
}

static void local_info(struct heap *h, struct wire_info *info)
{
	uint64_t at_hand;

	lock_take(&h->lock);
	at_hand = hand_bytes(&h->hand); /* others go on meanwhile: of one moment or another */
	*info = (struct wire_info){
		.size = h->size,
		.usable = h->usable,
		.used = h->stats->used - min_u64(at_hand, h->stats->used),
		.n_waiters = h->waitq.n,
		.mode = h->mode,
	};
	lock_give(&h->lock);
}

int heap_inquire(struct heap *h, struct wire_info *info)
{
	struct frame f;
	struct wire_heap *body;
	int r;

	r = heap_state(h);
	if (r < 0)
		return r;
	if (!h->named) {
		local_info(h, info);
		return 0;
	}
	body = frame_init(&f, OP_INQUIRE, 0, 0, sizeof(*body));
	body->heap = h->id;
	r = call_status(h->session, &f);
	if (r == 0)
		*info = *FRAME_BODY(&f, struct wire_info);
	return r;
}

/* A local heap whose daemon is gone has no one else to be deleted by. */
static int delete_alone(struct heap *h)
{
	struct wakes wakes = { .n = 0 };

	lock_take(&h->lock);
	hand_control(&h->hand, &heap_control_gone);
	waitq_finish_all(&h->waitq, -EIDRM, &wakes);
	waitq_publish(&h->waitq, h->stats);
	lock_give(&h->lock);
	wakes_flush(&wakes);
	return 0;
}

int heap_delete(struct heap *h)
{
	struct frame f;
	struct wire_target *body;
	int r;

	r = heap_state(h);
	if (r < 0)
		return r;
	if (!h->writable)
		return -EPERM;
	if (!h->named && !session_is_up(h->session))
		return delete_alone(h);
	body = frame_init(&f, OP_DELETE, 0, 0, sizeof(*body));
	body->heap = h->id;
	r = call_status(h->session, &f);
	POINT(DELETE_SENT);
	if (r == -ECONNREFUSED && !h->named)
		return delete_alone(h); /* the daemon went in this moment */
	return r == -ENOENT ? -EIDRM : r;
}
