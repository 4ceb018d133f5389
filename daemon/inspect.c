/*
 * inspect.c: INQUIRE, LIST, INSPECT, STAT; see inspect.h
 */
#include "daemon/inspect.h"

#include "config-heapd.h"
#include "daemon/ops_internal.h"

#define WAITERS_MAX 65536u /* no process has more threads waiting */

/*
 * LIST reads the statistics of each heap's bindings: a frame ends early rather than read more than
 * this.
 */
#define LIST_READS 256u

/* ---- statistics ---- */

uint64_t bytes_held(const struct binding *b)
{
	if (b->heap->arena->backing == BACKING_OWN)
		return b->heap->facts.size;
	if (!heap_has_pages(b->heap))
		return heap_usable(b->heap);
	return (uint64_t)b->held.n_pages * HW_PAGE_SIZE;
}

static void bound_bucket(struct wire_bucket *bucket, uint64_t bytes)
{
	uint32_t blocks =
		(uint32_t)min_u64(bytes / 16, UINT32_MAX); /* the smallest block has 16 bytes */

	bucket->per_page = (uint32_t)min_u64(bucket->per_page, HW_PAGE_SIZE / 16);
	bucket->pages = (uint32_t)min_u64(bucket->pages, blocks);
	bucket->free = (uint32_t)min_u64(bucket->free, blocks);
}

uint32_t partition_used(const struct wire_stats *stats)
{
	uint32_t n = stats->partition.n_blocks, n_free = stats->vacant.n_free;

	return n_free < n ? n - n_free : 0;
}

/* What CPUs have at hand is free, and was published as in use. */
static void take_off_heap(struct wire_stats *stats, const uint64_t at_hand[WIRE_HEADS_KINDS])
{
	for (uint32_t i = 0; i < WIRE_BUCKETS; i++) {
		uint64_t bytes = at_hand[i] * (WIRE_BUCKET_MIN << i);

		stats->used -= min_u64(bytes, stats->used);
		stats->bucket[i].free = (uint32_t)min_u64(stats->bucket[i].free + at_hand[i], UINT32_MAX);
	}
}

static void take_off_partition(struct wire_stats *stats, const uint64_t at_hand[WIRE_HEADS_KINDS])
{
	uint64_t n_free = stats->vacant.n_free;

	for (uint32_t i = 0; i < WIRE_HEADS_KINDS; i++)
		n_free += at_hand[i];
	stats->vacant.n_free = (uint32_t)min_u64(n_free, UINT32_MAX);
}

void slot_read(const struct binding *b, struct wire_stats *stats)
{
	uint64_t at_hand[WIRE_HEADS_KINDS];
	bool is_heap = b->heap->facts.kind == KIND_HEAP;

	areas_read(&b->session->areas, b->slot, stats);
	if (!stats->n_cpus)
		return;
	areas_read_heads(&b->session->areas, b->slot, stats->n_cpus, is_heap, at_hand);
	if (is_heap)
		take_off_heap(stats, at_hand);
	else if (b->heap->facts.kind == KIND_PARTITION)
		take_off_partition(stats, at_hand);
}

/* Their process says it in another way than others, and where others say something else. */
static void read_part(uint32_t kind, struct wire_stats *stats)
{
	if (kind == KIND_PARTITION &&
	    __builtin_mul_overflow(partition_used(stats), stats->partition.stride, &stats->used))
		stats->used = UINT64_MAX;
	if (kind == KIND_PARTITION || kind == KIND_POOL) {
		memset(stats->bucket, 0, sizeof(stats->bucket));
		memset(stats->waiter, 0, sizeof(stats->waiter));
		stats->large = 0;
	}
	stats->n_waiters = 0; /* nobody waits for what one process has alone, whole */
}

void stats_read(const struct binding *b, struct wire_stats *stats)
{
	uint64_t bytes = bytes_held(b);

	slot_read(b, stats);
	if (heap_is_part(b->heap))
		read_part(b->heap->facts.kind, stats);
	stats->used = min_u64(stats->used, bytes);
	stats->high = min_u64(max_u64(stats->high, stats->used), bytes);
	stats->large = min_u64(stats->large, stats->used);
	stats->n_waiters = (uint32_t)min_u64(stats->n_waiters, WAITERS_MAX);
	for (size_t i = 0; i < WIRE_BUCKETS; i++)
		bound_bucket(&stats->bucket[i], bytes);
}

static uint32_t add_clamped(uint32_t a, uint32_t b)
{
	return (uint32_t)min_u64((uint64_t)a + b, UINT32_MAX);
}

void usage_of(const struct heap *h, struct usage *usage)
{
	uint64_t usable = heap_usable(h);
	const struct binding *b;
	struct wire_stats stats;

	*usage = (struct usage){.used = 0};
	TAILQ_FOREACH(b, &h->bindings, of_heap) {
		stats_read(b, &stats);
		/* the pages of a segment are everyone's: the same block, not one more */
		usage->used = heap_has_pages(h) ? usage->used + stats.used
						: max_u64(usage->used, stats.used);
		usage->high = max_u64(usage->high, stats.high);
		usage->n_waiters = add_clamped(usage->n_waiters, stats.n_waiters);
		usage->bad_frees = add_clamped(usage->bad_frees, stats.bad_frees);
	}
	usage->used = min_u64(usage->used, usable);
}

/* ---- requests ---- */

int op_inquire(struct request *rq)
{
	const struct heap *h = rq->heap;
	struct wire_info *info = REPLY_BODY(rq, struct wire_info);
	struct usage usage;

	usage_of(h, &usage);
	*info = (struct wire_info){
		.size = h->facts.size,
		.usable = heap_usable(h),
		.used = usage.used,
		.n_waiters = usage.n_waiters,
		.mode = h->facts.mode,
	};
	return 0;
}

/* Of the one session that may use a private heap: the one that is bound, or is to be. */
static int32_t pid_of(const struct heap *h)
{
	const struct binding *b = TAILQ_FIRST(&h->bindings);

	if (!heap_is_private(h))
		return 0;
	if (h->creation)
		return h->creation->session->who.pid;
	return b ? b->session->who.pid : 0;
}

void entry_describe(const struct heap *h, struct wire_entry *e)
{
	struct usage usage;

	usage_of(h, &usage);
	*e = (struct wire_entry){
		.heap = h->facts.id,
		.size = h->facts.size,
		.usable = heap_usable(h),
		.used = usage.used,
		.high = heap_is_part(h) ? usage.high : h->high_pages * HW_PAGE_SIZE,
		.granted = (uint64_t)h->holders.n_held * HW_PAGE_SIZE,
		.created_ns = h->facts.created_ns,
		.session = h->facts.session,
		.mode = h->facts.mode,
		.kind = h->facts.kind,
		.perm = h->facts.perm,
		.uid = h->facts.uid,
		.gid = h->facts.gid,
		.n_bound = h->n_bound,
		.n_waiters = usage.n_waiters,
		.n_parked = h->n_parked,
		.bad_frees = usage.bad_frees,
		.state = h->state,
		.backing = h->arena->backing,
		.pid = pid_of(h),
	};
	memcpy(e->name, h->facts.name, sizeof(e->name));
}

int op_inspect(struct request *rq)
{
	entry_describe(rq->heap, REPLY_BODY(rq, struct wire_entry));
	return 0;
}

/* The next heap that the asker may see. */
static const struct heap *next_seen(const struct session *s, const struct heap *h)
{
	while (h && !may_see(s, h))
		h = TAILQ_NEXT(h, link);
	return h;
}

/* By id; the cursor is the id of the last heap shown. */
int op_list(struct request *rq)
{
	const struct wire_target *t = REQUEST_BODY(rq, struct wire_target);
	struct wire_list *list = REPLY_BODY(rq, struct wire_list);
	const struct heap *h = next_seen(rq->session, heaps_after(&rq->world->heaps, t->cursor));
	uint32_t reads = 0;

	while (h && list->n < WIRE_LIST_MAX && (!list->n || reads + h->n_bound <= LIST_READS)) {
		reads += h->n_bound;
		list->cursor = h->facts.id;
		entry_describe(h, &list->entry[list->n++]);
		h = next_seen(rq->session, TAILQ_NEXT(h, link));
	}
	if (!h)
		list->cursor = 0;
	rq->reply->frame.header.length += list->n * (uint32_t)sizeof(struct wire_entry);
	return 0;
}

int op_stat(struct request *rq)
{
	const struct world *w = rq->world;
	struct wire_stat *stat = REPLY_BODY(rq, struct wire_stat);

	*stat = (struct wire_stat){
		.uptime_ns = now_ns() - w->started_ns,
		.requests = w->n_requests,
		.events = w->n_events,
		.heaps = w->heaps.n,
		.heaps_total = w->heaps.n_total,
		.bytes = w->heaps.bytes,
		.sessions = w->n_sessions,
		.sessions_total = w->last_session,
		.parked_binds = w->names.n_binds,
		.parked_refills = w->heaps.n_parked,
		.recalls = w->heaps.n_recalls,
		.dropped = w->n_dropped,
		.commits = committer_jobs(w->committer),
		.refused = w->accounts.refused,
		.io_uring = committer_uses_io_uring(w->committer),
		.locked = w->locked,
		.priority = (uint32_t)w->priority,
		.pid = (uint32_t)getpid(),
		.build = HEAPD_VERSION,
	};
	return 0;
}
