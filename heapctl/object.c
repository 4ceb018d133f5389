/*
 * object.c: partitions, regions and pools, as inspect shows them
 *
 * One part for each kind: its facts as lines, what is special about it as a bar, a picture or a
 * table, and the same as JSON. The facts that all heaps have are inspect's.
 */
#include "heapctl/object.h"

#include <inttypes.h>
#include <stdio.h>

#include "heapctl/page.h"
#include "heapctl/quarters.h"
#include "heapctl/words.h"

/* ---- partitions ---- */

#define BAR_WIDTH 50

static uint64_t most_blocks(const struct report *r)
{
	const struct wire_partition *p = &r->detail.partition;

	return p->stride ? min_u64(r->entry.high / p->stride, p->n_blocks) : 0;
}

/* Of the bar's characters, as many as stand for n of all; none only for none, all only for all. */
static unsigned bar_length(uint64_t n, uint64_t all)
{
	uint64_t length = all ? n * BAR_WIDTH / all : 0;

	return (unsigned)(n && !length ? 1 : length);
}

/* "[####---....]": in use, was in use, never was. */
static void draw_bar(uint64_t used, uint64_t most, uint64_t all)
{
	unsigned a = bar_length(used, all), b = bar_length(most, all);
	char bar[BAR_WIDTH + 1];

	for (unsigned i = 0; i < BAR_WIDTH; i++)
		bar[i] = i < a ? '#' : i < b ? '-' : '.';
	bar[BAR_WIDTH] = '\0';
	page_line("occupancy", "[%s] %" PRIu64 "%%", bar, all ? used * 100 / all : 0);
}

static void print_partition(const struct report *r, const struct style *style)
{
	const struct wire_partition *p = &r->detail.partition;
	uint64_t most = max_u64(most_blocks(r), r->detail.n_used);

	page_line("number", "%u", p->ptno);
	page_bytes("block size", p->block_size, style);
	page_bytes("stride", p->stride, style);
	page_line("blocks", "%u of %u in use, at most %" PRIu64 " so far", r->detail.n_used,
		  p->n_blocks, most);
	draw_bar(r->detail.n_used, most, p->n_blocks);
}

static void json_partition(const struct report *r, struct json *j)
{
	const struct wire_partition *p = &r->detail.partition;

	json_number(j, "number", p->ptno);
	json_number(j, "block_size", p->block_size);
	json_number(j, "stride", p->stride);
	json_number(j, "blocks", p->n_blocks);
	json_number(j, "used_blocks", r->detail.n_used);
	json_number(j, "most_blocks", max_u64(most_blocks(r), r->detail.n_used));
}

/* ---- regions ---- */

static void print_region(const struct report *r, const struct style *style)
{
	const struct wire_place *p = &r->detail.region;

	page_line("attribute", "%s", attribute_text(p->attribute));
	page_line("order", "%u%s", p->order, p->order ? "" : ", tried first");
	page_line("address", "%#" PRIx64 " in the process", p->addr);
	page_bytes("serves", p->size, style);
}

static void json_region(const struct report *r, struct json *j)
{
	const struct wire_place *p = &r->detail.region;
	char address[24];

	(void)snprintf(address, sizeof(address), "%#" PRIx64, p->addr);
	json_text(j, "attribute", attribute_text(p->attribute));
	json_number(j, "order", p->order);
	json_text(j, "address", address);
	json_number(j, "size", p->size);
}

/* ---- pools ---- */

/* For each size of block: how many there are, and how many more could be had by splitting what is
 * free. */
static struct table *pool_sizes(const struct wire_pool *pool, const struct style *style)
{
	enum { SIZE, REQUEST, USED, FREE, LEFT, N };
	static const struct column columns[N] = {
		[SIZE] = {.key = "size", .type = COLUMN_NUMBER},
		[REQUEST] = {.key = "request", .type = COLUMN_NUMBER}, /* the largest that gets this size */
		[USED] = {.key = "used", .type = COLUMN_NUMBER},
		[FREE] = {.key = "free", .type = COLUMN_NUMBER},
		[LEFT] = {.key = "left", .type = COLUMN_NUMBER},
	};
	struct quarters_block blocks[QUARTERS_BLOCKS];
	size_t n = quarters_list(pool, blocks);
	struct table *t = table_new(columns, N, style);

	for (uint32_t size = pool->size; size >= QUARTERS_CELL; size /= 4) {
		uint32_t used = 0, vacant = 0, left = 0;

		for (size_t i = 0; i < n; i++) {
			bool is_free = blocks[i].state == QUARTER_FREE;

			used += blocks[i].size == size && blocks[i].state == QUARTER_USED;
			vacant += blocks[i].size == size && is_free;
			left += is_free ? blocks[i].size / size : 0;
		}
		table_row(t);
		table_number(t, SIZE, size);
		table_number(t, REQUEST, size - 16);
		table_number(t, USED, used);
		table_number(t, FREE, vacant);
		table_number(t, LEFT, left);
	}
	return t;
}

static void print_pool(const struct report *r, const struct style *style)
{
	const struct wire_pool *pool = &r->detail.pool;

	page_line("blocks", "%u in use", r->detail.n_used);
	page_table("Blocks, and how many more of each size could be had", pool_sizes(pool, style),
		   style);
	page_title("Quarters", style);
	quarters_draw(pool, style, stdout);
}

static void json_pool(const struct report *r, const struct style *style, struct json *j)
{
	static const char *const states[] = {
		[QUARTER_NONE] = NULL, [QUARTER_FREE] = "free", [QUARTER_USED] = "used"};
	const struct wire_pool *pool = &r->detail.pool;
	struct table *sizes = pool_sizes(pool, style);
	struct quarters_block blocks[QUARTERS_BLOCKS];
	size_t n = quarters_list(pool, blocks);

	json_number(j, "size", pool->size);
	json_number(j, "used_blocks", r->detail.n_used);
	table_json_array(sizes, "sizes", j);
	table_free(sizes);
	json_array(j, "blocks");
	for (size_t i = 0; i < n; i++) {
		json_object(j, NULL);
		json_number(j, "offset", blocks[i].offset);
		json_number(j, "size", blocks[i].size);
		json_text(j, "state", states[blocks[i].state]);
		json_end(j);
	}
	json_end(j);
}

/* ---- any of them ---- */

void object_print(const struct report *r, const struct style *style)
{
	if (!r->detailed) {
		page_line(kind_text(r->entry.kind), "its process has not told more");
	} else {
		switch (r->entry.kind) {
		case KIND_PARTITION:
			print_partition(r, style);
			break;
		case KIND_REGION:
			print_region(r, style);
			break;
		case KIND_POOL:
			print_pool(r, style);
			break;
		default:
			break;
		}
	}
	if (r->entry.kind == KIND_REGION) {
		page_table("Buckets", report_buckets(r, 0, r->n_bindings, style), style);
		page_table("Regions of this process, in the order in which they are tried",
			   report_regions(r, style), style);
	}
}

void object_json(const struct report *r, const struct style *style, struct json *j)
{
	if (!r->detailed) {
		json_text(j, kind_text(r->entry.kind), NULL);
	} else {
		json_object(j, kind_text(r->entry.kind));
		if (r->entry.kind == KIND_PARTITION)
			json_partition(r, j);
		else if (r->entry.kind == KIND_REGION)
			json_region(r, j);
		else if (r->entry.kind == KIND_POOL)
			json_pool(r, style, j);
		json_end(j);
	}
	if (r->entry.kind == KIND_REGION) {
		struct table *regions = report_regions(r, style);

		table_json_array(regions, "regions", j);
		table_free(regions);
	}
}
