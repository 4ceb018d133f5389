/*
 * inspect_detail.c: DETAIL: partitions, regions and pools from inside
 *
 * Their process publishes what they look like, in places that heaps use for something else. What
 * comes out of here is possible, whatever was published: a partition fits its arena, the quarters
 * of a pool are a tree. What cannot be made so, such as a pool of a size that pools do not have, is
 * STATUS_INVALID; so is a slot that its process has not filled in yet.
 * Bounds: one read of a slot, and of its heads; a pool's 341 quarters.
 */
#include "daemon/inspect.h"

#include "daemon/ops_internal.h"

/* ---- partitions ---- */

/* Whether so many blocks find room; the last one need not be followed by a gap. */
static bool fits(const struct wire_partition *p, uint64_t bytes)
{
	uint64_t last;

	return !__builtin_mul_overflow(p->n_blocks - 1, p->stride, &last) && last <= bytes &&
	       p->block_size <= bytes - last;
}

static int detail_partition(const struct wire_stats *stats, uint64_t bytes, struct wire_detail *d)
{
	const struct wire_partition *p = &stats->partition;

	if (!p->n_blocks || !p->block_size || p->stride < p->block_size || !fits(p, bytes))
		return STATUS_INVALID;
	d->partition = *p;
	d->n_used = partition_used(stats);
	return 0;
}

/* ---- regions ---- */

static int detail_region(const struct wire_stats *stats, uint64_t bytes, struct wire_detail *d)
{
	const struct wire_place *p = &stats->place;

	if (!p->size || p->attribute >= WIRE_ATTRIBUTES)
		return STATUS_INVALID;
	d->region = *p;
	d->region.size = min_u64(p->size, bytes);
	return 0;
}

/* ---- pools ---- */

/* How many quarters there are in all down to 64 bytes, the pool itself included; 0: no such size. */
static uint32_t quarters_of(uint32_t size)
{
	switch (size) {
	case 256:
		return 1 + 4;
	case 1024:
		return 1 + 4 + 16;
	case 4096:
		return 1 + 4 + 16 + 64;
	case 16384:
		return WIRE_QUARTERS;
	default:
		return 0;
	}
}

/*
 * What number i of n may be: it is there if it is the whole or a quarter of what is split, and what
 * has no quarters is not split.
 */
static uint8_t possible(const uint8_t *quarter, uint32_t i, uint32_t n)
{
	const bool is_there = !i || quarter[(i - 1) / 4] == QUARTER_SPLIT;
	const bool is_last = 4 * i + 1 >= n;

	if (!is_there)
		return QUARTER_NONE;
	if (quarter[i] == QUARTER_USED || (quarter[i] == QUARTER_SPLIT && !is_last))
		return quarter[i];
	return QUARTER_FREE;
}

static int detail_pool(const struct wire_stats *stats, uint64_t bytes, struct wire_detail *d)
{
	struct wire_pool *p = &d->pool;
	uint32_t n = quarters_of(stats->pool.size);

	if (!n || stats->pool.size > bytes)
		return STATUS_INVALID;
	p->size = stats->pool.size;
	memcpy(p->quarter, stats->pool.quarter, n);
	for (uint32_t i = 0; i < n; i++) { /* parents come before their quarters */
		p->quarter[i] = possible(p->quarter, i, n);
		p->n_used += p->quarter[i] == QUARTER_USED;
	}
	d->n_used = p->n_used;
	return 0;
}

/* ---- the request ---- */

int op_detail(struct request *rq)
{
	const struct heap *h = rq->heap;
	const struct binding *b = TAILQ_FIRST(&h->bindings); /* a part has one, once it is live */
	struct wire_detail *d = REPLY_BODY(rq, struct wire_detail);
	struct wire_stats stats;

	if (!heap_is_part(h) || !b)
		return STATUS_INVALID;
	slot_read(b, &stats);
	d->heap = h->facts.id;
	d->kind = h->facts.kind;
	switch (d->kind) {
	case KIND_PARTITION:
		return detail_partition(&stats, bytes_held(b), d);
	case KIND_REGION:
		return detail_region(&stats, bytes_held(b), d);
	default:
		return detail_pool(&stats, bytes_held(b), d);
	}
}
