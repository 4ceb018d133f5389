/*
 * bucket_model.c: see bucket_model.h
 */
#include "bucket_model.h"
#include "pure.h"

#define UNIT 16u

static bool page_empty(const struct bucket_model *m, uint32_t page)
{
	return m->cut[page].present && m->cut[page].live == 0;
}

static bool hw_empty(const struct bucket_model *m, uint32_t hw)
{
	for (uint32_t i = 0; i < m->hw_pages; i++)
		if (!page_empty(m, hw * m->hw_pages + i))
			return false;
	return true;
}

uint32_t model_free_hw(const struct bucket_model *m)
{
	uint32_t n = 0;

	for (uint32_t hw = 0; hw < m->n_hw; hw++)
		n += hw_empty(m, hw);
	return n;
}

/* The longest stretch of pages without live blocks. */
static uint32_t longest_empty(const struct bucket_model *m)
{
	uint32_t longest = 0, n = 0;

	for (uint32_t i = 0; i < m->n_pages; i++) {
		n = page_empty(m, i) ? n + 1 : 0;
		longest = n > longest ? n : longest;
	}
	return longest;
}

/* The same in whole hardware pages. */
static uint32_t longest_empty_hw(const struct bucket_model *m)
{
	uint32_t longest = 0, n = 0;

	for (uint32_t i = 0; i < m->n_hw; i++) {
		n = hw_empty(m, i) ? n + 1 : 0;
		longest = n > longest ? n : longest;
	}
	return longest;
}

/* Whether a page that is cut into blocks of bytes has both live ones and room, page `but` aside. */
static bool any_partial(const struct bucket_model *m, uint64_t bytes, uint32_t but)
{
	for (uint32_t i = 0; i < m->n_pages; i++) {
		const struct cut *c = &m->cut[i];

		if (i != but && c->live && !c->large && c->size == bytes &&
		    c->live < m->page / bytes)
			return true;
	}
	return false;
}

static uint64_t block_size(const struct bucket_model *m, uint64_t size)
{
	uint64_t bytes = UNIT;

	if (size > m->page)
		return (size + m->page - 1) / m->page * m->page;
	while (bytes < size)
		bytes *= 2;
	return bytes;
}

static uint32_t bucket_number(uint64_t bytes)
{
	uint32_t b = 0;

	while (UNIT << b < bytes)
		b++;
	return b;
}

struct bucket_model *model_new(uint32_t n_hw, uint32_t page_shift)
{
	struct bucket_model *m = calloc(1, sizeof(*m));

	must(m);
	m->page = 1u << page_shift;
	m->hw_pages = (uint32_t)(HW_PAGE_SIZE / m->page);
	m->n_hw = n_hw;
	m->n_pages = n_hw * m->hw_pages;
	m->storage_size = bucket_bytes(n_hw, page_shift);
	m->storage = storage_new(m->storage_size);
	m->stats = storage_new(sizeof(*m->stats));
	m->room = (uint32_t)(n_hw * (HW_PAGE_SIZE / UNIT));
	m->cut = calloc(m->n_pages, sizeof(*m->cut));
	m->taken = calloc(m->room, sizeof(*m->taken));
	m->blocks = calloc(m->room, sizeof(*m->blocks));
	must(m->cut && m->taken && m->blocks);
	bucket_init(&m->h, n_hw, page_shift, m->storage, m->stats);
	return m;
}

void model_free(struct bucket_model *m)
{
	free(m->storage);
	free(m->stats);
	free(m->cut);
	free(m->taken);
	free(m->blocks);
	free(m);
}

/* ---- what must not change ---- */

struct snapshot {
	struct bucket_heap h;
	struct wire_stats stats;
	void *storage; /* NULL: too much to copy each time */
};

static struct snapshot snapshot_take(const struct bucket_model *m)
{
	struct snapshot s = { .h = m->h, .stats = *m->stats };

	if (m->storage_size > 16384)
		return s;
	s.storage = malloc(m->storage_size);
	must(s.storage);
	memcpy(s.storage, m->storage, m->storage_size);
	return s;
}

static void snapshot_same(const struct bucket_model *m, struct snapshot *s)
{
	must(memcmp(&s->h, &m->h, sizeof(s->h)) == 0);
	must(memcmp(&s->stats, m->stats, sizeof(s->stats)) == 0);
	must(!s->storage || memcmp(s->storage, m->storage, m->storage_size) == 0);
	free(s->storage);
}

/* ---- pages ---- */

void model_insert(struct bucket_model *m, uint32_t first_hw, uint32_t n_hw)
{
	bool fine = n_hw > 0 && first_hw < m->n_hw && n_hw <= m->n_hw - first_hw;
	struct snapshot s = snapshot_take(m);
	uint32_t first = first_hw * m->hw_pages, end = (first_hw + n_hw) * m->hw_pages;

	for (uint32_t i = first; fine && i < end; i++)
		fine = !m->cut[i].present;
	if (!fine) {
		must(bucket_insert(&m->h, first_hw, n_hw) == -EINVAL);
		snapshot_same(m, &s);
		return;
	}
	free(s.storage);
	must(bucket_insert(&m->h, first_hw, n_hw) == 0);
	for (uint32_t i = first; i < end; i++)
		m->cut[i] = (struct cut){ .present = true };
}

/* The shortest stretch of empty hardware pages that holds n, and the stretch that hw lies in. */
static uint32_t fitting_hw(const struct bucket_model *m, uint32_t n, uint32_t hw, uint32_t *around)
{
	uint32_t best = UINT32_MAX, len = 0;

	for (uint32_t i = 0; i <= m->n_hw; i++) {
		if (i < m->n_hw && hw_empty(m, i)) {
			len++;
			continue;
		}
		if (len >= n && len < best)
			best = len;
		if (hw < i && hw >= i - len)
			*around = len;
		len = 0;
	}
	return best;
}

static void given_back(struct bucket_model *m, const struct wire_run *run)
{
	must(run->n > 0 && run->first < m->n_hw && run->n <= m->n_hw - run->first);
	for (uint32_t hw = run->first; hw < run->first + run->n; hw++) {
		must(hw_empty(m, hw)); /* and not given back twice: it is present */
		for (uint32_t i = 0; i < m->hw_pages; i++)
			m->cut[hw * m->hw_pages + i].present = false;
	}
}

uint32_t model_reclaim(struct bucket_model *m, uint32_t want, uint32_t max_pages, size_t max_runs)
{
	uint32_t all = model_free_hw(m), longest = longest_empty_hw(m), sum = 0;
	bool exact = want > 0 && want <= longest && want <= max_pages && max_runs > 0;
	struct wire_run *runs = calloc(max_runs + 1, sizeof(*runs));
	size_t n;

	must(runs);
	n = bucket_reclaim(&m->h, want, max_pages, runs, max_runs);
	must(n <= max_runs);
	for (size_t i = 0; i < n; i++) {
		uint32_t best = longest_empty_hw(m), around = 0;

		must(!exact || (fitting_hw(m, want, runs[i].first, &around) == around));
		given_back(m, &runs[i]);
		must(exact || runs[i].n == min_u64(best, max_pages - sum)); /* longest first */
		sum += runs[i].n;
	}
	must(sum <= max_pages);
	must(!exact || (n == 1 && sum == want));
	must(exact || n == max_runs || sum == min_u64(all, max_pages));
	free(runs);
	return sum;
}

/* ---- blocks ---- */

/* A block that the allocator says is ours now. */
static void given(struct bucket_model *m, uint64_t offset, uint64_t bytes, bool large)
{
	uint32_t page = (uint32_t)(offset / m->page);
	uint32_t pages = (uint32_t)((bytes + m->page - 1) / m->page);

	must(offset % UNIT == 0 && offset % min_u64(bytes, m->page) == 0);
	must(bytes <= m->n_pages * m->page && offset <= m->n_pages * m->page - bytes);
	for (uint64_t u = offset / UNIT; u < (offset + bytes) / UNIT; u++) {
		must(!m->taken[u]); /* blocks do not overlap */
		m->taken[u] = 1;
	}
	if (!large && m->cut[page].live == 0 && !m->shelves)
		must(!any_partial(m, bytes, page)); /* fresh pages are cut last */
	for (uint32_t i = page; i < page + pages; i++) {
		struct cut *c = &m->cut[i];

		must(c->present);
		must(c->live == 0 ||
		     (!large && !c->large && c->size == bytes)); /* one size a page */
		c->size = bytes;
		c->large = large;
		c->live++;
	}
	must(bucket_size(&m->h, offset) == bytes);
	m->blocks[m->n_blocks++] = (struct block){ offset, bytes };
	m->used += bytes;
	m->high = max_u64(m->high, m->used);
	if (large)
		m->large += bytes;
	else
		m->calls[bucket_number(bytes)]++;
}

/* Whether the heap must be dry for a block of bytes, anywhere. */
static bool is_dry(const struct bucket_model *m, uint64_t bytes, bool large)
{
	uint64_t pages = large ? bytes / m->page : 1;

	if (!large && any_partial(m, bytes, UINT32_MAX))
		return false;
	return longest_empty(m) < pages;
}

void model_shelf(struct bucket_model *m, uint32_t cpu)
{
	bucket_shelf(&m->h, cpu);
	m->shelves |= m->h.shelf != 0;
}

uint64_t model_alloc(struct bucket_model *m, uint64_t size)
{
	uint64_t offset = NO_BLOCK, bytes;
	int r = bucket_alloc(&m->h, size, &offset);

	must(r == 0 || r == BUCKET_DRY);
	if (size == 0 || size > m->n_pages * m->page) {
		must(r == BUCKET_DRY);
		return NO_BLOCK;
	}
	bytes = block_size(m, size);
	must(bucket_cost(&m->h, size) == bytes);
	must(bucket_hw_pages(&m->h, size) == div_round_up(bytes, HW_PAGE_SIZE));
	must((r == BUCKET_DRY) == is_dry(m, bytes, bytes > m->page));
	if (r == BUCKET_DRY)
		return NO_BLOCK;
	given(m, offset, bytes, bytes > m->page);
	return offset;
}

uint64_t model_alloc_aligned(struct bucket_model *m, uint64_t size, uint64_t align)
{
	uint64_t offset = NO_BLOCK, bytes, slack = 0;
	bool large = size > m->page || align > m->page;
	int r = bucket_alloc_aligned(&m->h, size, align, &offset);

	must(r == 0 || r == BUCKET_DRY);
	if (size == 0 || size > m->n_pages * m->page) {
		must(r == BUCKET_DRY);
		return NO_BLOCK;
	}
	bytes = large ? div_round_up(size, m->page) * m->page : block_size(m, max_u64(size, align));
	if (align > m->page)
		slack = align - m->page;
	if (r == BUCKET_DRY) {
		must(is_dry(m, bytes + slack, large));
		return NO_BLOCK;
	}
	must(offset % align == 0);
	given(m, offset, bytes, large);
	return offset;
}

void model_free_block(struct bucket_model *m, uint32_t i)
{
	struct block block = m->blocks[i];
	uint32_t page = (uint32_t)(block.offset / m->page), emptied = 0;
	uint32_t pages = (uint32_t)div_round_up(block.bytes, m->page);
	bool hw_free = false;
	uint32_t before = model_free_hw(m);

	must(bucket_free(&m->h, block.offset, &hw_free) == 0);
	m->blocks[i] = m->blocks[--m->n_blocks];
	for (uint64_t u = block.offset / UNIT; u < (block.offset + block.bytes) / UNIT; u++)
		m->taken[u] = 0;
	m->used -= block.bytes;
	if (m->cut[page].large)
		m->large -= block.bytes;
	for (uint32_t k = page; k < page + pages; k++)
		emptied += --m->cut[k].live == 0;
	must(hw_free || model_free_hw(m) == before);   /* never false when one has become free */
	must(!hw_free || emptied > 0);                 /* a page at least is empty */
	must(!hw_free || m->hw_pages > 1 || model_free_hw(m) > before);
	must(bucket_size(&m->h, block.offset) == 0);
}

void model_free_at(struct bucket_model *m, uint64_t offset)
{
	struct snapshot s;
	bool hw_free = true;

	for (uint32_t i = 0; i < m->n_blocks; i++) {
		if (m->blocks[i].offset == offset) {
			model_free_block(m, i);
			return;
		}
	}
	must(bucket_size(&m->h, offset) == 0);
	s = snapshot_take(m);
	must(bucket_free(&m->h, offset, &hw_free) == -EINVAL && !hw_free);
	s.stats.bad_frees++;
	m->bad_frees++;
	snapshot_same(m, &s);
}

static void same_counters(const struct bucket_model *m)
{
	uint64_t live[BUCKET_COUNT] = { 0 }, pages[BUCKET_COUNT] = { 0 };

	for (uint32_t i = 0; i < m->n_pages; i++) {
		if (!m->cut[i].live || m->cut[i].large)
			continue;
		pages[bucket_number(m->cut[i].size)]++;
		live[bucket_number(m->cut[i].size)] += m->cut[i].live;
	}
	for (uint32_t b = 0; b < BUCKET_COUNT; b++) {
		const struct wire_bucket *s = &m->stats->bucket[b];
		uint32_t per_page = (uint32_t)(m->page / (UNIT << b));

		must(s->calls == m->calls[b]);
		must(s->per_page == (s->calls ? per_page : 0) && s->high_water == s->per_page);
		must(s->pages == pages[b] ||
		     s->pages == pages[b] + 1); /* at most one is kept warm */
		must(s->free == (uint64_t)s->pages * per_page - live[b]);
	}
	must(m->stats->used == m->used && m->stats->large == m->large && m->stats->high == m->high);
	must(m->stats->bad_frees == m->bad_frees && m->stats->n_waiters == 0);
}

/* The hardware pages that are present, told in runs that are as long as they can be, two at a time. */
static void same_held(const struct bucket_model *m)
{
	struct wire_run runs[2];
	uint32_t from = 0, page = 0;

	while (from != UINT32_MAX) {
		size_t n = bucket_held(&m->h, &from, runs, 2);

		must(n <= 2);
		for (size_t i = 0; i < n; i++) {
			for (; page < runs[i].first; page++)
				must(!m->cut[page * m->hw_pages].present);
			for (; page < runs[i].first + runs[i].n; page++)
				must(m->cut[page * m->hw_pages].present);
			must(page == runs[i].first + runs[i].n);
		}
	}
	for (; page < m->n_hw; page++)
		must(!m->cut[page * m->hw_pages].present);
}

void model_same(const struct bucket_model *m)
{
	uint32_t present = 0, empty = 0, free_hw = bucket_free_hw(&m->h);

	for (uint32_t i = 0; i < m->n_pages; i++) {
		present += m->cut[i].present;
		empty += page_empty(m, i);
	}
	must(m->h.pages.n_present == present);
	must(free_hw >= model_free_hw(m) && free_hw <= empty / m->hw_pages);
	for (uint32_t i = 0; i < m->n_blocks; i++)
		must(bucket_size(&m->h, m->blocks[i].offset) == m->blocks[i].bytes);
	same_counters(m);
	same_held(m);
	must(bucket_check(&m->h) == 0);
}

struct bucket_model *model_new_full(uint32_t n_hw)
{
	struct bucket_model *m = model_new(n_hw, bucket_page_shift(n_hw * HW_PAGE_SIZE));

	model_insert(m, 0, n_hw);
	return m;
}

void model_done(struct bucket_model *m)
{
	model_same(m);
	model_free(m);
}

void model_free_all(struct bucket_model *m)
{
	while (m->n_blocks)
		model_free_block(m, m->n_blocks - 1);
}

uint32_t model_fill(struct bucket_model *m, uint64_t size)
{
	uint32_t n = 0;

	while (model_alloc(m, size) != NO_BLOCK)
		n++;
	return n;
}
