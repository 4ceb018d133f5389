/*
 * quarters_model.c: see quarters_model.h
 */
#include "quarters_model.h"

#include "pure.h"

struct quarters_model *quarters_model_new(uint32_t size)
{
	struct quarters_model *m = calloc(1, sizeof(*m));

	must(m);
	m->size = size;
	quarters_init(&m->q, size, &m->stats);
	quarters_model_same(m);
	return m;
}

void quarters_model_free(struct quarters_model *m)
{
	free(m);
}

/* The smallest size of a block that holds so much: 64 times a power of 4. */
static uint64_t block_size(uint64_t bytes)
{
	uint64_t size = 64;

	while (size < bytes && size < UINT64_C(1) << 60)
		size *= 4;
	return size;
}

static bool overlap(struct block a, struct block b)
{
	return a.offset < b.offset + b.size && b.offset < a.offset + a.size;
}

static bool empty(const struct quarters_model *m, struct block where)
{
	for (uint32_t i = 0; i < m->n_blocks; i++)
		if (overlap(m->blocks[i], where))
			return false;
	return true;
}

/* The block four times as large that b is a quarter of. */
static struct block around(struct block b)
{
	return (struct block){b.offset / (b.size * 4) * (b.size * 4), b.size * 4};
}

/* Bytes of the largest block around b, b included, in which nothing lives. 0: b itself is not
 * empty. */
static uint32_t room(const struct quarters_model *m, struct block b)
{
	uint32_t size = 0;

	while (b.size <= m->size && empty(m, b)) {
		size = b.size;
		b = around(b);
	}
	return size;
}

static uint32_t expected_place(const struct quarters_model *m, uint64_t bytes)
{
	uint32_t best = UINT32_MAX, place = NO_BLOCK;
	struct block b;

	if (bytes > m->size)
		return NO_BLOCK;
	b.size = (uint32_t)block_size(bytes);
	for (b.offset = 0; b.offset < m->size; b.offset += b.size) {
		uint32_t size = room(m, b);

		if (size && size < best) {
			best = size;
			place = b.offset;
		}
	}
	return place;
}

uint32_t quarters_model_alloc(struct quarters_model *m, uint64_t bytes)
{
	uint32_t expected = expected_place(m, bytes), offset = 12345;
	int r = quarters_alloc(&m->q, bytes, &offset);

	if (expected == NO_BLOCK) {
		must(r == QUARTERS_NONE_FREE);
		return NO_BLOCK;
	}
	must(r == 0);
	must(offset == expected);
	m->blocks[m->n_blocks++] = (struct block){offset, (uint32_t)block_size(bytes)};
	m->used += (uint32_t)block_size(bytes);
	if (m->used > m->high)
		m->high = m->used;
	return offset;
}

static uint32_t find(const struct quarters_model *m, uint64_t offset)
{
	for (uint32_t i = 0; i < m->n_blocks; i++)
		if (m->blocks[i].offset == offset)
			return i;
	return NO_BLOCK;
}

bool quarters_model_free_at(struct quarters_model *m, uint64_t offset)
{
	uint32_t i = find(m, offset);
	int r = quarters_free(&m->q, offset);

	if (i == NO_BLOCK) {
		must(r == -EINVAL);
		m->bad_frees++;
		return false;
	}
	must(r == 0);
	m->used -= m->blocks[i].size;
	m->blocks[i] = m->blocks[--m->n_blocks];
	return true;
}

void quarters_model_free_block(struct quarters_model *m, uint32_t i)
{
	must(quarters_model_free_at(m, m->blocks[i].offset));
}

uint32_t quarters_model_fill(struct quarters_model *m, uint64_t bytes)
{
	uint32_t n = 0;

	while (quarters_model_alloc(m, bytes) != NO_BLOCK)
		n++;
	return n;
}

void quarters_model_empty(struct quarters_model *m)
{
	while (m->n_blocks)
		quarters_model_free_block(m, m->n_blocks - 1);
}

static enum wire_quarter expected_state(const struct quarters_model *m, struct block b)
{
	if (empty(m, b))
		return b.size < m->size && empty(m, around(b)) ? QUARTER_NONE : QUARTER_FREE;
	for (uint32_t i = 0; i < m->n_blocks; i++)
		if (overlap(m->blocks[i], b) && m->blocks[i].size >= b.size)
			return m->blocks[i].size == b.size ? QUARTER_USED : QUARTER_NONE;
	return QUARTER_SPLIT;
}

void quarters_model_same(const struct quarters_model *m)
{
	uint32_t node = 0;

	for (struct block b = {.size = m->size}; b.size >= 64; b.size /= 4)
		for (b.offset = 0; b.offset < m->size; b.offset += b.size)
			must(m->stats.pool.quarter[node++] == expected_state(m, b));
	while (node < WIRE_QUARTERS)
		must(m->stats.pool.quarter[node++] == QUARTER_NONE);
	must(m->stats.pool.size == m->size);
	must(m->stats.pool.n_used == m->n_blocks);
	must(m->stats.used == m->used);
	must(m->stats.high == m->high);
	must(m->stats.bad_frees == m->bad_frees);
	must(quarters_check(&m->q) == 0);
}
