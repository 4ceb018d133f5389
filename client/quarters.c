/*
 * quarters.c: see quarters.h
 */
#include "client/quarters.h"

/* A node by its level and its place in it: the block at place << size_shift(level). */
struct node {
	uint32_t level;
	uint32_t place;
};

static uint32_t size_shift(const struct quarters *q, uint32_t level)
{
	return q->shift - 2 * level;
}

/* Above level l there are 1 + 4 + … + 4^(l-1) nodes. */
static uint32_t number(struct node n)
{
	return ((UINT32_C(1) << 2 * n.level) - 1) / 3 + n.place;
}

static struct node parent(struct node n)
{
	return (struct node){n.level - 1, n.place / 4};
}

static struct node first_quarter(struct node n)
{
	return (struct node){n.level + 1, 4 * n.place};
}

static void set_state(struct quarters *q, struct node n, enum wire_quarter state)
{
	q->state[number(n)] = (uint8_t)state;
	q->stats->pool.quarter[number(n)] = (uint8_t)state;
}

/* All quarters of one node, of which n is the first. */
static void set_states(struct quarters *q, struct node n, enum wire_quarter state)
{
	for (uint32_t i = 0; i < 4; i++)
		set_state(q, (struct node){n.level, n.place + i}, state);
}

/* ---- the bitmaps ---- */

/* The word of a node's bit. Levels before the last have no more than 64 nodes. */
static uint64_t *word_of(struct quarters *q, struct node n)
{
	return &q->free[n.level + n.place / 64];
}

/* Four bits from n's on: those of a node's quarters share a word, for 4 divides 64. */
static uint64_t four_bits(struct node n)
{
	return UINT64_C(0xf) << n.place % 64;
}

static uint64_t one_bit(struct node n)
{
	return UINT64_C(1) << n.place % 64;
}

/* The lowest free node of a level: in at most 4 words. */
static bool lowest_free(const struct quarters *q, uint32_t level, struct node *n)
{
	uint32_t words = level == QUARTERS_LEVELS - 1 ? QUARTERS_WORDS - level : 1;

	for (uint32_t i = 0; i < words; i++) {
		uint64_t word = q->free[level + i];

		if (word) {
			*n = (struct node){level, i * 64 + (uint32_t)__builtin_ctzll(word)};
			return true;
		}
	}
	return false;
}

/* ---- splitting and merging ---- */

/* A node that is on no bitmap becomes four; the first is returned, the others are free. */
static struct node split(struct quarters *q, struct node n)
{
	struct node first = first_quarter(n);

	set_state(q, n, QUARTER_SPLIT);
	set_states(q, first, QUARTER_FREE);
	*word_of(q, first) |= four_bits(first) & ~one_bit(first);
	return first;
}

/* n is free now. While it and its siblings all are, their parent is instead. Up to 4 times. */
static void merge(struct quarters *q, struct node n)
{
	set_state(q, n, QUARTER_FREE);
	*word_of(q, n) |= one_bit(n);
	while (n.level > 0) {
		struct node first = first_quarter(parent(n));

		if ((*word_of(q, first) & four_bits(first)) != four_bits(first))
			return;
		*word_of(q, first) &= ~four_bits(first);
		set_states(q, first, QUARTER_NONE);
		n = parent(n);
		set_state(q, n, QUARTER_FREE);
		*word_of(q, n) |= one_bit(n);
	}
}

/* ---- the calls ---- */

bool quarters_size_ok(uint64_t size)
{
	return size == 256 || size == 1024 || size == 4096 || size == QUARTERS_MAX;
}

/* The deepest level whose blocks hold that much; bytes is no more than the pool. */
static uint32_t level_for(const struct quarters *q, uint64_t bytes)
{
	uint32_t level = q->levels - 1;

	while (bytes > UINT64_C(1) << size_shift(q, level))
		level--;
	return level;
}

static void count(struct quarters *q, uint32_t n_used, uint32_t used)
{
	q->n_used = n_used;
	q->used = used;
	if (used > q->high)
		q->high = used;
	q->stats->pool.n_used = n_used;
	q->stats->used = used;
	q->stats->high = q->high;
}

void quarters_init(struct quarters *q, uint32_t size, struct wire_stats *stats)
{
	assert(quarters_size_ok(size) && "the caller has checked it");
	memset(q, 0, sizeof(*q));
	q->shift = (uint32_t)__builtin_ctz(size);
	q->levels = (q->shift - QUARTERS_MIN_SHIFT) / 2 + 1;
	q->stats = stats;
	stats->pool.size = size;
	merge(q, (struct node){0, 0});
	count(q, 0, 0);
}

int quarters_alloc(struct quarters *q, uint64_t bytes, uint32_t *offset)
{
	struct node n = {0, 0};
	uint32_t wanted, level;

	if (bytes > UINT64_C(1) << q->shift)
		return QUARTERS_NONE_FREE;
	wanted = level_for(q, bytes);
	level = wanted;
	while (!lowest_free(q, level, &n))
		if (level-- == 0)
			return QUARTERS_NONE_FREE;
	*word_of(q, n) &= ~one_bit(n);
	while (n.level < wanted)
		n = split(q, n);
	set_state(q, n, QUARTER_USED);
	count(q, q->n_used + 1, q->used + (UINT32_C(1) << size_shift(q, wanted)));
	*offset = n.place << size_shift(q, wanted);
	return 0;
}

void quarters_bad_free(struct quarters *q)
{
	q->stats->bad_frees++;
}

int quarters_free(struct quarters *q, uint64_t offset)
{
	struct node n = {0, 0};

	if (offset >> q->shift) {
		quarters_bad_free(q);
		return -EINVAL;
	}
	/* Down to the node that is not split. Nodes of the last level never are. */
	while (q->state[number(n)] == QUARTER_SPLIT) {
		n.level++;
		n.place = (uint32_t)(offset >> size_shift(q, n.level));
	}
	if (q->state[number(n)] != QUARTER_USED ||
	    (uint64_t)n.place << size_shift(q, n.level) != offset) {
		quarters_bad_free(q);
		return -EINVAL;
	}
	count(q, q->n_used - 1, q->used - (UINT32_C(1) << size_shift(q, n.level)));
	merge(q, n);
	return 0;
}
