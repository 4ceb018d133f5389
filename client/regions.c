/*
 * regions.c: see regions.h
 *
 * Leaf first: where a region's pages lie (layout_*), its metadata, the table, then the two hot
 * paths.
 */
#include "client/regions.h"

#include "client/mapping.h"

/* ---- layout: pure arithmetic ---- */

struct layout {
	uint32_t page_shift;
	uint32_t n_hw;     /* hardware pages from the origin to the region's end */
	uint64_t aligned;
	uintptr_t origin;
	uint64_t first;    /* offsets of the whole allocator pages: [first, end) */
	uint64_t end;
};

/* The power of two that is size or more, within what alignment is kept for. */
static uint64_t alignment_for(uint64_t size)
{
	uint64_t aligned = HW_PAGE_SIZE;

	while (aligned < size && aligned < REGION_ALIGN_MAX) /* 18 doublings at most */
		aligned *= 2;
	return aligned;
}

/* 0; -EINVAL: nothing to hand out, or more than the allocator can count. */
static int layout_make(struct layout *l, uintptr_t addr, uint64_t size)
{
	uint64_t page, n_hw;

	l->page_shift = bucket_page_shift(size);
	l->aligned = alignment_for(size);
	l->origin = addr & ~(l->aligned - 1);
	page = UINT64_C(1) << l->page_shift;
	l->first = align_up(addr - l->origin, page);
	l->end = (addr - l->origin + size) & ~(page - 1);
	n_hw = div_round_up(l->end, HW_PAGE_SIZE);
	if (l->first >= l->end || n_hw > PAGES_MAX >> (HW_PAGE_SHIFT - l->page_shift))
		return -EINVAL;
	l->n_hw = (uint32_t)n_hw;
	return 0;
}

/* ---- one region ---- */

static void touch(void *ctx, void *addr, size_t bytes)
{
	int *r = ctx;

	if (*r == 0)
		*r = mapping_populate(addr, bytes);
}

/* Private memory for the allocator, with backing for the pages that come. 0 or -ENOMEM. */
static int region_carve(struct region *r, const struct layout *l, struct wire_stats *stats)
{
	uint32_t first = (uint32_t)(l->first >> l->page_shift);
	uint32_t end = (uint32_t)(l->end >> l->page_shift);
	uint32_t first_hw = (uint32_t)(l->first >> HW_PAGE_SHIFT);
	int result;

	r->metadata_size = align_up(bucket_bytes(l->n_hw, l->page_shift), HW_PAGE_SIZE);
	result = mapping_private(&r->metadata, r->metadata_size);
	if (result < 0)
		return result;
	bucket_init(&r->bucket, l->n_hw, l->page_shift, r->metadata, stats);
	bucket_touch(&r->bucket, first_hw, l->n_hw - first_hw, touch, &result);
	if (result == 0)
		result = bucket_insert_pages(&r->bucket, first, end - first);
	if (result == 0)
		return 0;
	mapping_free(r->metadata, r->metadata_size);
	r->metadata = NULL;
	return -ENOMEM;
}

/*
 * More alignment than offsets keep can be had where the region holds only one multiple of
 * `aligned`: either that is a multiple of align, or none is. (A region above REGION_ALIGN_MAX may
 * hold more.)
 */
static bool region_may_align(const struct region *r, uint64_t align)
{
	uint64_t only = align_up(r->first, r->aligned);

	return r->end - only <= r->aligned && ((r->origin + only) & (align - 1)) == 0;
}

/* Locked. 0 and *offset, or BUCKET_DRY. */
static inline int region_take(struct region *r, uint64_t align, uint64_t size, uint64_t *offset)
{
	if (likely(align <= (1u << BUCKET_MIN_SHIFT)))
		return bucket_alloc(&r->bucket, size, offset);
	if (unlikely(align > r->aligned)) {
		if (!region_may_align(r, align))
			return BUCKET_DRY;
		align = r->aligned;
	}
	return bucket_alloc_aligned(&r->bucket, size, align, offset);
}

/* Locked. Beyond what it hands out the allocator has no entry to look at. */
static inline int region_put(struct region *r, uintptr_t addr)
{
	uint64_t offset = addr - r->origin;

	if (likely(offset >= r->first && offset < r->end))
		return bucket_free(&r->bucket, offset, NULL);
	r->bucket.stats->bad_frees++;
	return -EINVAL;
}

/* ---- the table ---- */

void regions_init(struct regions *rs)
{
	memset(rs, 0, sizeof(*rs));
}

void regions_deinit(struct regions *rs)
{
	for (uint32_t i = 0; i < atomic_load(&rs->n); i++)
		mapping_free(rs->region[i].metadata, rs->region[i].metadata_size);
	regions_init(rs);
}

static bool overlaps(const struct region_span *s, uintptr_t addr, uint64_t size)
{
	return addr - s->addr < s->size || s->addr - addr < size;
}

int regions_accept(const struct regions *rs, uint32_t attribute, uintptr_t addr, uint64_t size)
{
	struct layout l;

	if (attribute >= WIRE_ATTRIBUTES || size == 0 || size > UINTPTR_MAX - addr)
		return -EINVAL;
	if (addr && layout_make(&l, addr, size) < 0)
		return -EINVAL;
	for (uint32_t i = 0; addr && i < atomic_load(&rs->n); i++)
		if (overlaps(&rs->span[i], addr, size))
			return -EINVAL;
	return atomic_load(&rs->n_of[attribute]) < REGIONS_PER_ATTRIBUTE ? 0 : -ENOMEM;
}

int regions_add(struct regions *rs, uint32_t attribute, uintptr_t addr, uint64_t size,
		struct wire_stats *stats)
{
	uint32_t n = atomic_load(&rs->n), order;
	struct region *r = &rs->region[n];
	struct layout l = { 0 };
	int result = regions_accept(rs, attribute, addr, size);

	if (result == 0)
		result = layout_make(&l, addr, size);
	if (result == 0)
		result = region_carve(r, &l, stats);
	if (result < 0)
		return result;
	lock_init(&r->lock);
	r->origin = l.origin;
	r->first = l.first;
	r->end = l.end;
	r->aligned = l.aligned;
	rs->span[n] = (struct region_span){ addr, size };
	order = atomic_load(&rs->n_of[attribute]);
	rs->of[attribute][order] = (uint8_t)n;
	stats->place = (struct wire_place){
		.addr = addr,
		.size = l.end - l.first,
		.attribute = attribute,
		.order = order,
	};
	/* first it can be found by those who free, then by those who allocate */
	atomic_store_explicit(&rs->n, n + 1, memory_order_release);
	atomic_store_explicit(&rs->n_of[attribute], order + 1, memory_order_release);
	return 0;
}

/* ---- hot paths ---- */

void *regions_alloc(struct regions *rs, uint32_t attribute, uint64_t align, uint64_t size)
{
	uint32_t n = atomic_load_explicit(&rs->n_of[attribute], memory_order_acquire);

	for (uint32_t i = 0; i < n; i++) {
		struct region *r = &rs->region[rs->of[attribute][i]];
		uint64_t offset;
		int result;

		lock_take(&r->lock);
		result = region_take(r, align, size, &offset);
		lock_give(&r->lock);
		if (likely(result == 0))
			return (void *)(r->origin + offset);
	}
	return NULL;
}

int regions_free(struct regions *rs, uintptr_t addr)
{
	uint32_t n = atomic_load_explicit(&rs->n, memory_order_acquire), i = 0;
	struct region *r = rs->region;
	int result;

	while (i < n && addr - rs->span[i].addr >= rs->span[i].size)
		i++;
	if (unlikely(n == 0))
		return -EINVAL; /* nowhere to count it */
	if (likely(i < n))
		r = &rs->region[i];
	lock_take(&r->lock);
	result = region_put(r, addr);
	lock_give(&r->lock);
	return result;
}

/* ---- the auditor ---- */

static int check_region(struct region *r, const struct region_span *span)
{
	const struct pages *ps = &r->bucket.pages;
	uint64_t page = UINT64_C(1) << r->bucket.page_shift;
	uint64_t from = span->addr - r->origin;
	int result;

	/* whole pages, all of them, and no others */
	if (r->first < from || r->first - from >= page || r->end > from + span->size ||
	    from + span->size - r->end >= page || (r->first | r->end) & (page - 1))
		return -EUCLEAN;
	if (r->origin & (r->aligned - 1))
		return -EUCLEAN;
	lock_take(&r->lock);
	result = bucket_check(&r->bucket);
	if (ps->n_present != (r->end - r->first) / page ||
	    pages_next_run(ps, 0) != r->first / page)
		result = -EUCLEAN;
	lock_give(&r->lock);
	return result;
}

int regions_check(struct regions *rs)
{
	uint32_t n = atomic_load(&rs->n), listed = 0;
	int result = 0;

	for (uint32_t a = 0; a < WIRE_ATTRIBUTES; a++) {
		uint32_t n_of = atomic_load(&rs->n_of[a]);

		listed += n_of;
		for (uint32_t i = 0; i < n_of; i++) {
			const struct region *r = &rs->region[rs->of[a][i]];
			const struct wire_place *p = &r->bucket.stats->place;

			if (rs->of[a][i] >= n || (i > 0 && rs->of[a][i] <= rs->of[a][i - 1]) ||
			    p->attribute != a || p->order != i || p->size != r->end - r->first)
				return -EUCLEAN;
		}
	}
	if (listed != n)
		return -EUCLEAN;
	for (uint32_t i = 0; result == 0 && i < n; i++) {
		for (uint32_t k = 0; k < i; k++)
			if (overlaps(&rs->span[k], rs->span[i].addr, rs->span[i].size))
				return -EUCLEAN;
		result = check_region(&rs->region[i], &rs->span[i]);
	}
	return result;
}
