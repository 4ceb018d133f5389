/*
 * quarters.c: the blocks of a heap memory pool, as its quarters tell them
 *
 * Model: a walk of the tree from its root, which stops at what is not split. The picture writes
 * each block into a row of cells first: '#' and '.' for one cell in use and free; "[==]" and
 * "(..)" for larger blocks, with their size in them where there is room, so that neighbours of
 * any size can be told apart without colour.
 */
#include "heapctl/quarters.h"

#include <inttypes.h>

#include "heapctl/table.h"

#define CELLS_A_LINE 64

struct walk {
	const struct wire_pool *pool;
	struct quarters_block *out;
	size_t n;
};

/* Of the node that stands for size bytes at offset. As deep as QUARTERS_LEVELS: a size below a cell
 * is not split. */
static void visit(struct walk *w, uint32_t node, uint32_t offset, uint32_t size)
{
	uint32_t state = w->pool->quarter[node];

	if (state == QUARTER_SPLIT && size > QUARTERS_CELL) {
		for (uint32_t i = 0; i < 4; i++)
			visit(w, 4 * node + 1 + i, offset + i * (size / 4), size / 4);
		return;
	}
	w->out[w->n++] = (struct quarters_block){
		.offset = offset,
		.size = size,
		.state = state == QUARTER_FREE || state == QUARTER_USED ? state : QUARTER_NONE,
	};
}

size_t quarters_list(const struct wire_pool *pool, struct quarters_block out[QUARTERS_BLOCKS])
{
	struct walk w = {.pool = pool, .out = out};

	visit(&w, 0, 0, pool->size);
	return w.n;
}

/* ---- the picture ---- */

struct look {
	char one, first, middle, last;
};

static const struct look looks[] = {
	[QUARTER_NONE] = {.one = '?', .first = '?', .middle = '?', .last = '?'},
	[QUARTER_FREE] = {.one = '.', .first = '(', .middle = '.', .last = ')'},
	[QUARTER_USED] = {.one = '#', .first = '[', .middle = '=', .last = ']'},
};

static void put(char *cells, const struct quarters_block *b)
{
	const struct look *l = &looks[b->state];
	size_t first = b->offset / QUARTERS_CELL, n = b->size / QUARTERS_CELL;
	char size[16];
	int length;

	if (n == 1) {
		cells[first] = l->one;
		return;
	}
	memset(cells + first, l->middle, n);
	cells[first] = l->first;
	cells[first + n - 1] = l->last;
	length = snprintf(size, sizeof(size), "%" PRIu32, b->size);
	if (b->state != QUARTER_NONE && (size_t)length + 2 < n)
		memcpy(cells + first + 1, size, (size_t)length);
}

static void draw_cell(char cell, uint32_t state, const struct style *style, FILE *out)
{
	if (style->colors && state == QUARTER_FREE)
		(void)fprintf(out, COLOR_DIM "%c" COLOR_OFF, cell);
	else
		(void)fputc(cell, out);
}

/* The smallest blocks of a state, and the larger ones. */
static void explain(const struct quarters_block *blocks, size_t n, uint32_t state, const char *word,
		    FILE *out)
{
	const struct look *l = &looks[state];
	bool small = false, large = false;

	for (size_t i = 0; i < n; i++) {
		small |= blocks[i].state == state && blocks[i].size == QUARTERS_CELL;
		large |= blocks[i].state == state && blocks[i].size > QUARTERS_CELL;
	}
	if (state == QUARTER_NONE) {
		if (small || large)
			(void)fprintf(out, "%12c %s\n", l->one, word);
		return;
	}
	if (small)
		(void)fprintf(out, "%12c %u bytes, %s\n", l->one, QUARTERS_CELL, word);
	if (large)
		(void)fprintf(out, "%10c%c%c a larger block, %s\n", l->first, l->middle, l->last,
			      word);
}

void quarters_draw(const struct wire_pool *pool, const struct style *style, FILE *out)
{
	struct quarters_block blocks[QUARTERS_BLOCKS];
	size_t n = quarters_list(pool, blocks), block = 0;
	char cells[QUARTERS_BLOCKS];

	for (size_t i = 0; i < n; i++)
		put(cells, &blocks[i]);
	(void)fprintf(out, "one character: %u bytes\n", QUARTERS_CELL);
	for (uint32_t i = 0; i < pool->size / QUARTERS_CELL; i++) {
		if (i % CELLS_A_LINE == 0)
			(void)fprintf(out, "%s%10" PRIx32 "  ", i ? "\n" : "", i * QUARTERS_CELL);
		if (i * QUARTERS_CELL >= blocks[block].offset + blocks[block].size)
			block++;
		draw_cell(cells[i], blocks[block].state, style, out);
	}
	(void)fputc('\n', out);
	explain(blocks, n, QUARTER_USED, "in use", out);
	explain(blocks, n, QUARTER_FREE, "free", out);
	explain(blocks, n, QUARTER_NONE, "not told", out);
}
