/*
 * quarters_check.c: the auditor of the pool's tree
 *
 * It walks the tree from the root by the states alone, computes each node's offset and size anew,
 * and compares what it finds with the bitmaps, the counts and the published copy. It changes
 * nothing, so it may run at any moment at which the pool's lock is held.
 */
#include "client/quarters.h"

struct audit {
	const struct quarters *q;
	uint32_t n_used, used; /* found */
	uint32_t covered;      /* bytes of free and used nodes */
	uint32_t next;	       /* where the next of them must start */
};

static bool bit_set(const struct quarters *q, uint32_t level, uint32_t place)
{
	return q->free[level + place / 64] >> place % 64 & 1;
}

static uint32_t first_of(uint32_t level)
{
	uint32_t first = 0;

	while (level-- > 0)
		first = 4 * first + 1;
	return first;
}

static int visit(struct audit *a, uint32_t i, uint32_t level);

static int visit_quarters(struct audit *a, uint32_t i, uint32_t level)
{
	uint32_t n_free = 0;

	if (level + 1 >= a->q->levels)
		return -EUCLEAN; /* the smallest are never split */
	for (uint32_t c = 4 * i + 1; c <= 4 * i + 4; c++) {
		int r = visit(a, c, level + 1);

		if (r < 0)
			return r;
		n_free += a->q->state[c] == QUARTER_FREE;
	}
	return n_free == 4 ? -EUCLEAN : 0; /* they should have merged */
}

/* As deep as there are levels. */
static int visit(struct audit *a, uint32_t i, uint32_t level)
{
	uint32_t size = UINT32_C(1) << (a->q->shift - 2 * level);
	uint32_t place = i - first_of(level);
	uint8_t state = a->q->state[i];

	if (bit_set(a->q, level, place) != (state == QUARTER_FREE))
		return -EUCLEAN;
	if (state == QUARTER_SPLIT)
		return visit_quarters(a, i, level);
	if (state != QUARTER_FREE && state != QUARTER_USED)
		return -EUCLEAN;
	if (place * size != a->next)
		return -EUCLEAN; /* overlaps, or a gap */
	a->next += size;
	a->covered += size;
	a->n_used += state == QUARTER_USED;
	a->used += state == QUARTER_USED ? size : 0;
	return 0;
}

/* There is nothing below a node that is not split, nor in levels that a smaller pool has not. */
static int check_nothing_below(const struct quarters *q)
{
	for (uint32_t i = 1; i < WIRE_QUARTERS; i++)
		if (q->state[i] != QUARTER_NONE && q->state[(i - 1) / 4] != QUARTER_SPLIT)
			return -EUCLEAN;
	return 0;
}

static int check_bits(const struct quarters *q)
{
	uint32_t n_bits = 0, n_free = 0;

	for (uint32_t w = 0; w < QUARTERS_WORDS; w++)
		n_bits += (uint32_t)__builtin_popcountll(q->free[w]);
	for (uint32_t i = 0; i < WIRE_QUARTERS; i++)
		n_free += q->state[i] == QUARTER_FREE;
	return n_bits == n_free ? 0 : -EUCLEAN;
}

static int check_published(const struct quarters *q)
{
	const struct wire_stats *s = q->stats;

	return s->pool.size == UINT32_C(1) << q->shift && s->pool.n_used == q->n_used &&
		       s->used == q->used && s->high == q->high &&
		       memcmp(s->pool.quarter, q->state, sizeof(q->state)) == 0
		   ? 0
		   : -EUCLEAN;
}

int quarters_check(const struct quarters *q)
{
	struct audit a = {.q = q};
	int r;

	if (q->levels < 2 || q->levels > QUARTERS_LEVELS ||
	    q->shift != 2 * q->levels + QUARTERS_MIN_SHIFT - 2)
		return -EUCLEAN;
	r = visit(&a, 0, 0);
	if (r == 0)
		r = check_nothing_below(q);
	if (r == 0)
		r = check_bits(q);
	if (r < 0)
		return r;
	if (a.covered != UINT32_C(1) << q->shift || a.n_used != q->n_used || a.used != q->used ||
	    q->high < q->used)
		return -EUCLEAN;
	return check_published(q);
}
