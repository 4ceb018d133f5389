/*
 * test_pages_random.c: page runs, in millions of random steps, beside a word for each page
 *
 * The model is one array: what each page is, absent, free, or part of hand-out number k. Everything
 * else (runs, lengths, neighbours) it finds by looking at all pages, so it shares nothing with the
 * code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/pages.h"
#include "pure.h"

#define ABSENT 0u
#define FREE   1u /* 2 and above: hand-outs */

struct model {
	struct pages ps;
	void *storage;
	uint32_t *is; /* for each page */
	uint32_t next;
	struct rng r;
};

static struct model *model_new(uint32_t n, struct rng r)
{
	struct model *m = calloc(1, sizeof(*m));

	m->storage = storage_new(pages_bytes(n));
	m->is = calloc(n, sizeof(*m->is));
	m->next = FREE + 1;
	m->r = r;
	pages_init(&m->ps, n, m->storage);
	return m;
}

static void model_free(struct model *m)
{
	free(m->storage);
	free(m->is);
	free(m);
}

static void model_set(struct model *m, uint32_t first, uint32_t n, uint32_t is)
{
	for (uint32_t i = first; i < first + n; i++)
		m->is[i] = is;
}

static bool model_all(const struct model *m, uint32_t first, uint32_t n, uint32_t is)
{
	for (uint32_t i = first; i < first + n; i++)
		if (m->is[i] != is)
			return false;
	return true;
}

/* The pages around i that are the same as i: from its first (returned), *n of them. */
static uint32_t model_run(const struct model *m, uint32_t i, uint32_t *n)
{
	uint32_t first = i;

	while (first > 0 && m->is[first - 1] == m->is[i])
		first--;
	while (i + 1 < m->ps.n && m->is[i + 1] == m->is[i])
		i++;
	*n = i + 1 - first;
	return first;
}

/* The shortest free run of n or more, the longest of all; 0 if none. *sum: all free pages. */
static uint32_t model_fit(const struct model *m, uint32_t n, uint32_t *longest, uint32_t *sum)
{
	uint32_t fit = 0, len = 0;

	*longest = 0;
	*sum = 0;
	for (uint32_t i = 0; i <= m->ps.n; i++) {
		if (i < m->ps.n && m->is[i] == FREE) {
			len++;
			continue;
		}
		if (len >= n && (!fit || len < fit))
			fit = len;
		if (len > *longest)
			*longest = len;
		*sum += len;
		len = 0;
	}
	return fit;
}

/* Whether one page is, to the last word, what the model says. */
static void same_page(const struct model *m, uint32_t i)
{
	uint32_t n, first = model_run(m, i, &n);
	const struct page *p = &m->ps.page[i];

	if (m->is[i] == ABSENT) {
		must(pages_run_of(&m->ps, i) == PAGE_NONE);
		must(page_kind(p) == PAGE_INNER);
		return;
	}
	must(pages_run_of(&m->ps, i) == first);
	must(page_kind(p) == (first != i ? PAGE_INNER : m->is[i] == FREE ? PAGE_FREE : PAGE_USED));
	must(first != i || p->n == n);
}

static void same(const struct model *m)
{
	uint32_t longest, sum, n_used = 0, last = PAGE_NONE;

	for (uint32_t i = m->ps.n; i-- > 0;) {
		same_page(m, i);
		if (page_kind(&m->ps.page[i]) != PAGE_INNER)
			last = i;
		must(pages_next_run(&m->ps, i) == last);
		n_used += m->is[i] > FREE;
	}
	(void)model_fit(m, 1, &longest, &sum);
	must(m->ps.n_free == sum && m->ps.n_used == n_used && m->ps.n_present == sum + n_used);
	must(pages_longest(&m->ps) == longest);
	must(pages_check(&m->ps) == 0);
}

/* ---- one random step of each kind ---- */

/* What the user keeps in a used run's entry must come back untouched. */
static void hand_out(struct model *m, uint32_t first, uint32_t n)
{
	struct page *p = &m->ps.page[first];

	must(model_all(m, first, n, FREE));
	must(page_kind(p) == PAGE_USED && p->n == n);
	must(page_tag(p) == 0 && p->next == PAGE_NONE && p->prev == PAGE_NONE);
	model_set(m, first, n, m->next);
	pages_set_tag(&m->ps, first, m->next & PAGE_TAG_MAX);
	p->next = m->next * 3;
	p->prev = m->next * 5;
	m->next++;
}

static void still_ours(const struct model *m, uint32_t first)
{
	const struct page *p = &m->ps.page[first];

	must(page_kind(p) == PAGE_USED && page_tag(p) == (m->is[first] & PAGE_TAG_MAX));
	must(p->next == m->is[first] * 3 && p->prev == m->is[first] * 5);
}

static void do_insert(struct model *m)
{
	uint32_t n = rng_skewed(&m->r, m->ps.n), first = rng_below(&m->r, m->ps.n);
	bool absent = n <= m->ps.n - first && model_all(m, first, n, ABSENT);

	must(pages_are_absent(&m->ps, first, n) == absent);
	must(!pages_are_absent(&m->ps, first, 0));
	if (!absent)
		return;
	pages_insert(&m->ps, first, n);
	model_set(m, first, n, FREE);
}

static void do_alloc(struct model *m)
{
	uint32_t n = rng_skewed(&m->r, m->ps.n + 2), longest, sum;
	uint32_t fit = model_fit(m, n, &longest, &sum);
	bool end = rng_below(&m->r, 2);
	uint32_t first = end ? pages_alloc_end(&m->ps, n) : pages_alloc(&m->ps, n), run, len;

	must((first == PAGE_NONE) == (fit == 0));
	if (first == PAGE_NONE)
		return;
	run = model_run(m, first, &len);
	must(len == fit &&
	     first == (end ? run + len - n : run)); /* best fit, from its start or end */
	hand_out(m, first, n);
}

static void do_alloc_aligned(struct model *m)
{
	uint32_t n = rng_skewed(&m->r, m->ps.n), align = 1u << rng_below(&m->r, 8), longest, sum;
	uint32_t sure = model_fit(m, n + align - 1, &longest, &sum);
	uint32_t first = pages_alloc_aligned(&m->ps, n, align);

	must(first != PAGE_NONE || !sure);
	if (first == PAGE_NONE)
		return;
	must(first % align == 0 && n <= m->ps.n - first);
	hand_out(m, first, n);
}

static void do_alloc_longest(struct model *m)
{
	uint32_t max = rng_skewed(&m->r, m->ps.n + 2), n = 12345, longest, sum;
	uint32_t first = pages_alloc_longest(&m->ps, max, &n), len;

	(void)model_fit(m, 1, &longest, &sum);
	must((first == PAGE_NONE) == (longest == 0));
	must(n == (longest < max ? longest : max));
	if (first == PAGE_NONE)
		return;
	must(model_run(m, first, &len) == first && len == longest);
	hand_out(m, first, n);
}

static void do_alloc_at(struct model *m)
{
	uint32_t i = rng_below(&m->r, m->ps.n), len, run, first, n;

	if (m->is[i] != FREE)
		return;
	run = model_run(m, i, &len);
	first = run + rng_below(&m->r, len);
	n = 1 + rng_below(&m->r, run + len - first);
	pages_alloc_at(&m->ps, run, first, n);
	hand_out(m, first, n);
}

static void do_free(struct model *m)
{
	uint32_t i = rng_below(&m->r, m->ps.n), n, first, run;

	if (m->is[i] <= FREE)
		return;
	first = model_run(m, i, &n);
	still_ours(m, first);
	run = pages_free(&m->ps, first);
	model_set(m, first, n, FREE);
	must(run == model_run(m, first, &n));
}

static void do_split(struct model *m)
{
	uint32_t i = rng_below(&m->r, m->ps.n), len, first, n;
	struct page *rest;

	if (m->is[i] <= FREE)
		return;
	first = model_run(m, i, &len);
	if (len < 2)
		return;
	n = 1 + rng_below(&m->r, len - 1);
	pages_split_used(&m->ps, first, n);
	still_ours(m, first);
	rest = &m->ps.page[first + n];
	must(page_kind(rest) == PAGE_USED && rest->n == len - n && m->ps.page[first].n == n);
	must(page_tag(rest) == (m->is[first] & PAGE_TAG_MAX));
	must(rest->next == PAGE_NONE && rest->prev == PAGE_NONE);
	model_set(m, first + n, len - n, FREE); /* for hand_out(): a new number */
	pages_set_tag(&m->ps, first + n, 0);
	hand_out(m, first + n, len - n);
}

static void do_remove(struct model *m)
{
	uint32_t i = rng_below(&m->r, m->ps.n), n, first;

	if (m->is[i] == ABSENT)
		return;
	first = model_run(m, i, &n);
	if (m->is[i] > FREE)
		still_ours(m, first);
	pages_remove(&m->ps, first);
	model_set(m, first, n, ABSENT);
}

static void random_ops(uint32_t n, uint64_t steps, uint64_t sample, struct rng *r)
{
	static void (*const ops[])(struct model * m) = {
	    do_insert,	 do_alloc, do_alloc_aligned, do_alloc_longest,
	    do_alloc_at, do_free,  do_split,	     do_remove,
	};
	uint32_t weight[ARRAY_SIZE(ops)] = { 0 }, sum = 0;
	struct model *m = model_new(n, (struct rng){ rng_next(r) });

	for (uint64_t k = 0; k < steps; k++) {
		uint32_t pick, op;

		if (k % 1000 == 0) { /* other habits from time to time: full, empty, in tatters */
			sum = 0;
			for (op = 0; op < ARRAY_SIZE(ops); op++)
				sum += weight[op] = 1 + rng_below(r, 20) * rng_below(r, 2);
		}
		pick = rng_below(r, sum);
		for (op = 0; pick >= weight[op]; op++)
			pick -= weight[op];
		ops[op](m);
		if (k % sample == 0)
			same(m);
	}
	same(m);
	model_free(m);
}

static void test_random_small(void **state)
{
	struct rng r = test_rng(1);

	(void)state;
	for (uint32_t n = 1; n <= 70; n++)
		random_ops(n, 15000 * test_factor(), 1, &r);
}

static void test_random_large(void **state)
{
	static const uint32_t sizes[] = { 127, 500, 1024, 4097 };
	struct rng r = test_rng(2);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		random_ops(sizes[i], 250000 * test_factor(), sizes[i], &r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_small),
		cmocka_unit_test(test_random_large),
	};

	return cmocka_run_group_tests_name("pages-random", tests, NULL, NULL);
}
