/*
 * pages.c: see pages.h
 *
 * Leaf first: a free run goes on and off the list of its length (list_*), a run of either state
 * comes into being and ends (run_*), and the public verbs are made of these. Inside, "free" counts
 * follow the lists and "used" counts follow hand-outs; a run that is cut or merged is taken off its
 * list first, so an entry never changes its length while something points at it by length.
 * Not here: the auditor (pages_check.c).
 */
#include "common/pages.h"

#define LINE 64u

static struct page *at(const struct pages *ps, uint32_t page)
{
	return &ps->page[page];
}

/* The length is in the bitset as k - 1: member 0 is one page, and the largest arena fits. */
static void list_push(struct pages *ps, uint32_t first)
{
	struct page *p = at(ps, first);
	uint32_t head = ps->head[p->n];

	p->next = head ? head - 1 : PAGE_NONE;
	p->prev = PAGE_NONE;
	if (head)
		at(ps, head - 1)->prev = first;
	else
		bitset_add(&ps->lengths, p->n - 1);
	ps->head[p->n] = first + 1;
}

static void list_unlink(struct pages *ps, uint32_t first)
{
	struct page *p = at(ps, first);

	if (p->next != PAGE_NONE)
		at(ps, p->next)->prev = p->prev;
	if (p->prev != PAGE_NONE) {
		at(ps, p->prev)->next = p->next;
		return;
	}
	ps->head[p->n] = p->next == PAGE_NONE ? 0 : p->next + 1;
	if (p->next == PAGE_NONE)
		bitset_remove(&ps->lengths, p->n - 1);
}

static void run_begin(struct pages *ps, uint32_t first, uint32_t n, enum page_kind kind,
		      uint32_t tag)
{
	*at(ps, first) = (struct page){
		.n = n,
		.next = PAGE_NONE,
		.prev = PAGE_NONE,
		.kind_tag = tag << PAGE_KIND_BITS | (uint32_t)kind,
	};
	bitset_add(&ps->starts, first);
}

static void run_end(struct pages *ps, uint32_t first)
{
	*at(ps, first) = (struct page){ .kind_tag = PAGE_INNER };
	bitset_remove(&ps->starts, first);
}

static void free_begin(struct pages *ps, uint32_t first, uint32_t n)
{
	run_begin(ps, first, n, PAGE_FREE, 0);
	list_push(ps, first);
	ps->n_free += n;
	ps->n_short += n < PAGES_SHORT ? n : 0;
}

/* Returns the length it had. */
static uint32_t free_end(struct pages *ps, uint32_t first)
{
	uint32_t n = at(ps, first)->n;

	list_unlink(ps, first);
	run_end(ps, first);
	ps->n_free -= n;
	ps->n_short -= n < PAGES_SHORT ? n : 0;
	return n;
}

static void used_begin(struct pages *ps, uint32_t first, uint32_t n)
{
	run_begin(ps, first, n, PAGE_USED, 0);
	ps->n_used += n;
}

static uint32_t used_end(struct pages *ps, uint32_t first)
{
	uint32_t n = at(ps, first)->n;

	run_end(ps, first);
	ps->n_used -= n;
	return n;
}

/* A free run over pages that are in no run now, and over its free neighbours. Returns its start. */
static uint32_t free_merge(struct pages *ps, uint32_t first, uint32_t n)
{
	uint32_t left = first ? pages_run_of(ps, first - 1) : PAGE_NONE;
	uint32_t right = first + n;

	if (bitset_has(&ps->starts, right) && page_kind(at(ps, right)) == PAGE_FREE)
		n += free_end(ps, right);
	if (left != PAGE_NONE && page_kind(at(ps, left)) == PAGE_FREE) {
		n += free_end(ps, left);
		first = left;
	}
	free_begin(ps, first, n);
	return first;
}

/* The arena's pages that are present. A thread without the lock may read it: see pages_touch(). */
static void count_present(struct pages *ps)
{
	__atomic_store_n(&ps->n_present, ps->n_free + ps->n_used, __ATOMIC_RELAXED);
}

/* The shortest length in stock that is n or more; 0 if none. No length above n_free is looked at,
 * so its bitset words need no backing. */
static uint32_t length_for(const struct pages *ps, uint32_t n)
{
	if (n > ps->n_free)
		return 0;
	return bitset_next(&ps->lengths, n - 1) + 1; /* BITSET_NONE + 1 is 0 */
}

/* Where in the free run at run_first n aligned pages start; PAGE_NONE if they do not fit. */
static uint32_t aligned_in(const struct pages *ps, uint32_t run_first, uint32_t n, uint32_t align)
{
	uint64_t first = align_up(run_first, align);
	uint64_t end = (uint64_t)run_first + at(ps, run_first)->n;

	return first + n <= end ? (uint32_t)first : PAGE_NONE;
}

static size_t page_bytes(uint32_t n)
{
	return align_up((uint64_t)n * sizeof(struct page), PAGES_ALIGN);
}

static size_t head_bytes(uint32_t n)
{
	return align_up(((uint64_t)n + 1) * sizeof(uint32_t), LINE);
}

static size_t set_bytes(uint32_t n)
{
	return align_up(bitset_bytes(n), LINE);
}

size_t pages_bytes(uint32_t n)
{
	return page_bytes(n) + head_bytes(n) + 2 * set_bytes(n);
}

void pages_init(struct pages *ps, uint32_t n, void *storage)
{
	char *s = storage;

	assert(n > 0 && n <= PAGES_MAX);
	*ps = (struct pages){ .n = n, .page = storage };
	s += page_bytes(n);
	ps->head = (void *)s;
	s += head_bytes(n);
	bitset_init(&ps->lengths, n, s);
	s += set_bytes(n);
	bitset_init(&ps->starts, n, s);
}

void pages_touch(const struct pages *ps, uint32_t first, uint32_t n,
		 void (*touch)(void *ctx, void *addr, size_t bytes), void *ctx)
{
	/* No run is longer than all that is present. Shorter lengths had their backing before. */
	uint32_t present = __atomic_load_n(&ps->n_present, __ATOMIC_RELAXED);
	uint32_t longer = (uint32_t)min_u64(n, ps->n - present);

	assert(n > 0 && first < ps->n && n <= ps->n - first);
	touch(ctx, at(ps, first), n * sizeof(struct page));
	bitset_touch(&ps->starts, first, n, touch, ctx);
	if (!longer)
		return;
	touch(ctx, &ps->head[present], (longer + (size_t)1) * sizeof(uint32_t));
	bitset_touch(&ps->lengths, present, longer, touch, ctx);
}

uint32_t pages_run_of(const struct pages *ps, uint32_t page)
{
	uint32_t first = page < ps->n ? bitset_prev(&ps->starts, page) : BITSET_NONE;

	return first != BITSET_NONE && page - first < at(ps, first)->n ? first : PAGE_NONE;
}

uint32_t pages_next_run(const struct pages *ps, uint32_t from)
{
	return bitset_next(&ps->starts, from);
}

/* No run starts in it, and none that starts before reaches into it: the last start tells both. */
bool pages_are_absent(const struct pages *ps, uint32_t first, uint32_t n)
{
	uint32_t start;

	if (n == 0 || first >= ps->n || n > ps->n - first)
		return false;
	start = bitset_prev(&ps->starts, first + n - 1);
	return start == BITSET_NONE || (start < first && at(ps, start)->n <= first - start);
}

void pages_insert(struct pages *ps, uint32_t first, uint32_t n)
{
	assert(pages_are_absent(ps, first, n) && "what is present is not inserted again");
	free_merge(ps, first, n);
	count_present(ps);
}

void pages_alloc_at(struct pages *ps, uint32_t run_first, uint32_t first, uint32_t n)
{
	uint32_t before = first - run_first;
	uint32_t after;

	assert(page_kind(at(ps, run_first)) == PAGE_FREE && n > 0);
	assert(first >= run_first && n <= at(ps, run_first)->n - before);
	after = free_end(ps, run_first) - before - n;
	if (before)
		free_begin(ps, run_first, before);
	if (after)
		free_begin(ps, first + n, after);
	used_begin(ps, first, n);
}

uint32_t pages_fit(const struct pages *ps, uint32_t n, uint32_t run)
{
	uint32_t length;

	assert(n > 0);
	if (run != PAGE_NONE && at(ps, run)->next != PAGE_NONE)
		return at(ps, run)->next;
	length = length_for(ps, run == PAGE_NONE ? n : at(ps, run)->n + 1);
	return length ? ps->head[length] - 1 : PAGE_NONE;
}

uint32_t pages_alloc(struct pages *ps, uint32_t n)
{
	uint32_t first = pages_fit(ps, n, PAGE_NONE);

	if (first != PAGE_NONE)
		pages_alloc_at(ps, first, first, n);
	return first;
}

uint32_t pages_alloc_end(struct pages *ps, uint32_t n)
{
	uint32_t run = pages_fit(ps, n, PAGE_NONE), first;

	if (run == PAGE_NONE)
		return PAGE_NONE;
	first = run + at(ps, run)->n - n;
	pages_alloc_at(ps, run, first, n);
	return first;
}

uint32_t pages_alloc_aligned(struct pages *ps, uint32_t n, uint32_t align)
{
	uint64_t sure = (uint64_t)n + align - 1;
	uint32_t run = PAGE_NONE, first = PAGE_NONE;

	assert(align > 0 && (align & (align - 1)) == 0);
	for (int tries = 0; tries < PAGES_ALIGN_TRIES && first == PAGE_NONE; tries++) {
		run = pages_fit(ps, n, run);
		if (run == PAGE_NONE)
			return PAGE_NONE;
		first = aligned_in(ps, run, n, align);
	}
	if (first == PAGE_NONE) {
		run = sure <= ps->n_free ? pages_fit(ps, (uint32_t)sure, PAGE_NONE) : PAGE_NONE;
		if (run == PAGE_NONE)
			return PAGE_NONE;
		first = aligned_in(ps, run, n, align);
	}
	pages_alloc_at(ps, run, first, n);
	return first;
}

uint32_t pages_longest(const struct pages *ps)
{
	return ps->n_free ? bitset_prev(&ps->lengths, ps->n_free - 1) + 1 : 0;
}

uint32_t pages_alloc_longest(struct pages *ps, uint32_t max, uint32_t *n)
{
	uint32_t length = pages_longest(ps);
	uint32_t first;

	assert(max > 0);
	*n = (uint32_t)min_u64(length, max);
	if (!length)
		return PAGE_NONE;
	first = ps->head[length] - 1;
	pages_alloc_at(ps, first, first, *n);
	return first;
}

uint32_t pages_free(struct pages *ps, uint32_t first)
{
	assert(page_kind(at(ps, first)) == PAGE_USED && "only a used run is freed");
	return free_merge(ps, first, used_end(ps, first));
}

void pages_split_used(struct pages *ps, uint32_t first, uint32_t n)
{
	struct page *p = at(ps, first);

	assert(page_kind(p) == PAGE_USED && n > 0 && n < p->n);
	run_begin(ps, first + n, p->n - n, PAGE_USED, page_tag(p));
	p->n = n;
}

void pages_remove(struct pages *ps, uint32_t first)
{
	assert(page_kind(at(ps, first)) != PAGE_INNER && "a run is named by its first page");
	if (page_kind(at(ps, first)) == PAGE_FREE)
		free_end(ps, first);
	else
		used_end(ps, first);
	count_present(ps);
}

void pages_set_tag(struct pages *ps, uint32_t first, uint32_t tag)
{
	assert(page_kind(at(ps, first)) == PAGE_USED && tag <= PAGE_TAG_MAX);
	at(ps, first)->kind_tag = tag << PAGE_KIND_BITS | PAGE_USED;
}
