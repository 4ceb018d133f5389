/*
 * picture.c: a map of a heap's pages
 *
 * Model: cells of equally many pages (a power of two, so that offsets stay round), each of which
 * gathers who holds pages of it. Cost: one step for each extent and each cell it touches.
 */
#include "heapctl/picture.h"

#include <ctype.h>
#include <inttypes.h>

#include "heapctl/units.h"
#include "heapctl/words.h"

#define CELLS_A_LINE 64

enum { OWNER_NONE = -1, OWNER_SEVERAL = -2, OWNER_GONE = -3 };

struct cell {
	int owner; /* index of a binding, or OWNER_* */
	bool free; /* some of its pages are free */
};

struct picture {
	struct cell *cells;
	uint64_t n_pages;
	uint64_t n_cells;
	unsigned shift; /* pages of a cell: 1 << shift */
};

static void init(struct picture *p, uint64_t n_pages)
{
	*p = (struct picture){.n_pages = n_pages};
	while (div_round_up(n_pages, UINT64_C(1) << p->shift) > PICTURE_CELLS)
		p->shift++;
	p->n_cells = div_round_up(n_pages, UINT64_C(1) << p->shift);
	p->cells = must_alloc(p->n_cells, sizeof(*p->cells));
	for (uint64_t i = 0; i < p->n_cells; i++)
		p->cells[i].owner = OWNER_NONE;
}

static void add(struct picture *p, const struct wire_extent *e, int owner)
{
	uint64_t end = min_u64((uint64_t)e->first + e->n, p->n_pages);

	if (e->first >= end)
		return;
	for (uint64_t i = e->first >> p->shift; i <= (end - 1) >> p->shift; i++) {
		struct cell *cell = &p->cells[i];

		if (!e->session)
			cell->free = true;
		else if (cell->owner == OWNER_NONE || cell->owner == owner)
			cell->owner = owner;
		else
			cell->owner = OWNER_SEVERAL;
	}
}

static void fill(struct picture *p, const struct report *r)
{
	for (size_t i = 0; i < r->n_extents; i++) {
		size_t binding = r->extents[i].session ? report_find(r, r->extents[i].session) : 0;

		add(p, &r->extents[i], binding == SIZE_MAX ? OWNER_GONE : (int)binding);
	}
}

static char character(const struct cell *cell)
{
	char mark;

	switch (cell->owner) {
	case OWNER_NONE:
		return '.';
	case OWNER_SEVERAL:
		return '*';
	case OWNER_GONE: /* unbound between two of our questions */
		return '?';
	default:
		mark = report_mark((size_t)cell->owner);
		return cell->free ? (char)tolower((unsigned char)mark) : mark;
	}
}

/* Six colours in turn, so that neighbours in the legend differ. */
static const char *color(const struct cell *cell)
{
	static const char *const colors[] = {"\033[32m", "\033[34m", "\033[35m",
					     "\033[36m", "\033[33m", "\033[31m"};

	if (cell->owner == OWNER_NONE)
		return COLOR_DIM;
	return cell->owner < 0 ? COLOR_BOLD : colors[(size_t)cell->owner % ARRAY_SIZE(colors)];
}

static void draw_cell(const struct picture *p, uint64_t i, const struct style *style, FILE *out)
{
	if (style->colors)
		(void)fprintf(out, "%s%c" COLOR_OFF, color(&p->cells[i]), character(&p->cells[i]));
	else
		(void)fputc(character(&p->cells[i]), out);
}

static void draw_lines(const struct picture *p, const struct style *style, FILE *out)
{
	for (uint64_t i = 0; i < p->n_cells; i++) {
		if (i % CELLS_A_LINE == 0)
			(void)fprintf(out, "%s%10" PRIx64 "  ", i ? "\n" : "",
				      i << (p->shift + HW_PAGE_SHIFT));
		draw_cell(p, i, style, out);
	}
	(void)fputc('\n', out);
}

static bool occurs(const struct picture *p, char c)
{
	for (uint64_t i = 0; i < p->n_cells; i++)
		if (character(&p->cells[i]) == c)
			return true;
	return false;
}

static void explain(const struct picture *p, char c, const char *text, FILE *out)
{
	if (occurs(p, c))
		(void)fprintf(out, "%12c %s\n", c, text);
}

static void draw_legend(const struct picture *p, const struct report *r, FILE *out)
{
	explain(p, '.', "free", out);
	for (size_t i = 0; i < r->n_bindings && i < 26; i++) {
		char mark = report_mark(i), label[WORDS_SIZE];

		if (!occurs(p, mark) && !occurs(p, (char)tolower((unsigned char)mark)))
			continue;
		label_text(label, r->bindings[i].label);
		(void)fprintf(out, "%12c process %d %s\n", mark, r->bindings[i].pid, label);
	}
	explain(p, '#', "one of the other processes", out);
	explain(p, '*', "several processes", out);
	explain(p, '?', "a process that has just gone", out);
	for (char c = 'a'; c <= 'z'; c++)
		if (occurs(p, c)) {
			(void)fprintf(out, "%12s %s\n", "a-z", "that process's, some of it free");
			break;
		}
}

void picture_draw(const struct report *r, const struct style *style, FILE *out)
{
	struct picture p;
	char size[24];

	init(&p, r->entry.usable >> HW_PAGE_SHIFT);
	fill(&p, r);
	size_text(size, sizeof(size), UINT64_C(1) << (p.shift + HW_PAGE_SHIFT));
	(void)fprintf(out, "one character: %" PRIu64 " page%s, %s\n", UINT64_C(1) << p.shift,
		      p.shift ? "s" : "", size);
	draw_lines(&p, style, out);
	draw_legend(&p, r, out);
	free(p.cells);
}
