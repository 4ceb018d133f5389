/*
 * bucket_pages.c: a heap's storage, and pages in and out of it
 *
 * What the daemon grants is inserted in hardware pages; what it recalls is cut from free runs,
 * after the warm pages have joined them. With small pages a free run need not begin or end where a
 * hardware page does: span_* finds the whole ones, by a walk over a table that is short because the
 * heap is small.
 * Not here: blocks (bucket.c).
 */
#include "client/bucket_page.h"

/* Whole hardware pages inside one free run. */
struct span {
	uint32_t run;   /* allocator page where the run starts */
	uint32_t first; /* hardware page */
	uint32_t n;     /* hardware pages; 0: none */
};

uint32_t bucket_page_shift(uint64_t size)
{
	return size <= BUCKET_SMALL_HEAP_MAX ? BUCKET_SMALL_PAGE_SHIFT : HW_PAGE_SHIFT;
}

size_t bucket_bytes(uint32_t n_hw, uint32_t page_shift)
{
	uint32_t n = n_hw << (HW_PAGE_SHIFT - page_shift);

	return pages_bytes(n) + (size_t)n * words_per_page(page_shift) * sizeof(uint64_t);
}

void bucket_init(struct bucket_heap *h, uint32_t n_hw, uint32_t page_shift, void *storage,
		 struct wire_stats *stats)
{
	uint32_t n = n_hw << (HW_PAGE_SHIFT - page_shift);

	assert(page_shift == BUCKET_SMALL_PAGE_SHIFT || page_shift == HW_PAGE_SHIFT);
	*h = (struct bucket_heap){
		.page_shift = page_shift,
		.bits = (void *)((char *)storage + pages_bytes(n)),
		.stats = stats,
	};
	pages_init(&h->pages, n, storage);
}

/* Whether hardware pages [first, first+n) are pages of the arena at all. */
static bool hw_in_arena(const struct bucket_heap *h, uint32_t first_hw, uint32_t n_hw)
{
	uint32_t all = h->pages.n >> hw_shift(h);

	return n_hw > 0 && first_hw < all && n_hw <= all - first_hw;
}

void bucket_touch(const struct bucket_heap *h, uint32_t first_hw, uint32_t n_hw,
		  void (*touch)(void *ctx, void *addr, size_t bytes), void *ctx)
{
	uint32_t first = first_hw << hw_shift(h), n = n_hw << hw_shift(h);

	if (!hw_in_arena(h, first_hw, n_hw))
		return;
	pages_touch(&h->pages, first, n, touch, ctx);
	for (uint32_t i = 0; i < words_per_page(h->page_shift); i++)
		touch(ctx, bits_of(h, first, i), (size_t)n * sizeof(uint64_t));
}

int bucket_insert_pages(struct bucket_heap *h, uint32_t first, uint32_t n)
{
	if (!pages_are_absent(&h->pages, first, n))
		return -EINVAL;
	pages_insert(&h->pages, first, n);
	return 0;
}

int bucket_insert(struct bucket_heap *h, uint32_t first_hw, uint32_t n_hw)
{
	if (!hw_in_arena(h, first_hw, n_hw))
		return -EINVAL;
	return bucket_insert_pages(h, first_hw << hw_shift(h), n_hw << hw_shift(h));
}

uint32_t bucket_free_hw(const struct bucket_heap *h)
{
	uint32_t n = h->pages.n_free;

	for (uint32_t b = 0; b < BUCKET_COUNT; b++)
		n += warm_of(h, b) != PAGE_NONE;
	return n >> hw_shift(h);
}

static struct span span_of(const struct bucket_heap *h, uint32_t run)
{
	uint32_t shift = hw_shift(h);
	uint64_t end = ((uint64_t)run + page_at(h, run)->n) >> shift;
	uint32_t first = (uint32_t)(align_up(run, 1u << shift) >> shift);

	return (struct span){ run, first, end > first ? (uint32_t)end - first : 0 };
}

/* Small pages: the shortest span of want or more; if there is none, or want is 0, the longest. */
static struct span span_search(const struct bucket_heap *h, uint32_t want)
{
	struct span fit = { 0 }, longest = { 0 };

	for (uint32_t run = pages_next_run(&h->pages, 0); run != PAGE_NONE;
	     run = pages_next_run(&h->pages, run + 1)) {
		struct span s;

		if (page_kind(page_at(h, run)) != PAGE_FREE)
			continue;
		s = span_of(h, run);
		if (s.n > longest.n)
			longest = s;
		if (s.n >= want && (!fit.n || s.n < fit.n))
			fit = s;
	}
	return want && fit.n ? fit : longest;
}

/* Takes a run of at most max hardware pages out: exactly want if one free run holds them, else the
 * longest there is. n is 0 if nothing whole is free. */
static struct wire_run hw_take(struct bucket_heap *h, uint32_t want, uint32_t max)
{
	uint32_t first = PAGE_NONE, n = want;

	if (hw_shift(h) > 0) {
		struct span s = span_search(h, want);

		n = (uint32_t)min_u64(s.n, want && s.n >= want ? want : max);
		first = s.first << hw_shift(h);
		if (n)
			pages_alloc_at(&h->pages, s.run, first, n << hw_shift(h));
	} else {
		if (want)
			first = pages_alloc(&h->pages, want);
		if (first == PAGE_NONE)
			first = pages_alloc_longest(&h->pages, max, &n);
	}
	if (n)
		pages_remove(&h->pages, first);
	return (struct wire_run){ first >> hw_shift(h), n };
}

size_t bucket_reclaim(struct bucket_heap *h, uint32_t want, uint32_t max_pages,
		      struct wire_run *runs, size_t max_runs)
{
	uint32_t left = max_pages;
	size_t n_runs = 0;

	(void)bucket_drop_warm(h);
	if (want > max_pages)
		want = 0; /* it cannot be given: everything else, then */
	while (n_runs < max_runs && left > 0) {
		struct wire_run run = hw_take(h, want, left);

		if (!run.n)
			break;
		runs[n_runs++] = run;
		left -= run.n;
		if (want && run.n == want)
			break; /* it is what was asked for */
		want = 0;
	}
	return n_runs;
}

/*
 * Small pages: a run may begin in the middle of a hardware page that another one has told of already. So it goes on by
 * runs, and stops where a hardware page ends.
 */
size_t bucket_held(const struct bucket_heap *h, uint32_t *from, struct wire_run *runs, size_t max)
{
	uint32_t shift = hw_shift(h), inside = (1u << shift) - 1, next = *from;
	size_t n = 0;

	for (int steps = 0; next != UINT32_MAX && (steps < BUCKET_HELD_STEPS || (next & inside)); steps++) {
		uint32_t run = pages_next_run(&h->pages, next), first = run >> shift, last;

		if (run == PAGE_NONE) {
			next = UINT32_MAX;
			break;
		}
		last = (run + page_at(h, run)->n - 1) >> shift;
		if (n && first <= runs[n - 1].first + runs[n - 1].n)
			runs[n - 1].n = last + 1 - runs[n - 1].first;
		else if (n == max)
			break;
		else
			runs[n++] = (struct wire_run){ .first = first, .n = last + 1 - first };
		next = run + page_at(h, run)->n;
	}
	*from = next;
	return n;
}
