/*
 * objects.c: the partitions, regions and pools of the fake heapd's story
 */
#include "objects.h"

#include <stdio.h>

enum { PARTITION, FULL, SILENT, FIRST, SECOND, UNCACHED, STRANGER, POOL, ODD };

static const struct {
	uint32_t kind, backing;
	int32_t pid;
	uint64_t size, used, high;
	uint32_t bad_frees;
	const char *name;
} objects[N_OBJECTS] = {
	[PARTITION] = {.kind = KIND_PARTITION, .pid = 700, .size = 12800, .used = 12 * 128, .high = 40 * 128,
		       .bad_frees = 3},
	[FULL] = {.kind = KIND_PARTITION, .pid = 700, .size = 64000, .used = 64000, .high = 64000},
	[SILENT] = {.kind = KIND_PARTITION, .pid = 701, .size = 4096},
	[SECOND] = {.kind = KIND_REGION, .pid = 700, .size = 8192, .used = 64, .high = 128, .backing = BACKING_OWN},
	[FIRST] = {.kind = KIND_REGION, .pid = 700, .size = 4096, .used = 192, .high = 192},
	[UNCACHED] = {.kind = KIND_REGION, .pid = 700, .size = 65536, .backing = BACKING_DEVICE, .name = "dma0"},
	[STRANGER] = {.kind = KIND_REGION, .pid = 701, .size = 4096},
	[POOL] = {.kind = KIND_POOL, .pid = 700, .size = 16384, .used = 64 * 3 + 256 + 1024, .high = 4096},
	[ODD] = {.kind = KIND_POOL, .pid = 701, .size = 256, .used = 64, .high = 64},
};

struct wire_entry object(uint32_t i)
{
	struct wire_entry e = {
		.size = objects[i].size, .usable = align_up(objects[i].size, HW_PAGE_SIZE), .used = objects[i].used,
		.high = objects[i].high, .kind = objects[i].kind, .backing = objects[i].backing, .pid = objects[i].pid,
		.session = (uint64_t)objects[i].pid, .bad_frees = objects[i].bad_frees, .perm = 0600, .n_bound = 1,
		.state = STATE_LIVE, .created_ns = 1000000000ull * 1700000000ull,
	};

	if (objects[i].name)
		name_copy(e.name, objects[i].name);
	return e;
}

/* 64 in use, free, in use, in use; 256 in use, free, free; 1024 in use, free, free; 4096 free three
 * times. */
static void fill_pool(struct wire_pool *p)
{
	static const uint8_t quarters[] = {
		[0] = QUARTER_SPLIT,
		[1] = QUARTER_SPLIT, [2] = QUARTER_FREE, [3] = QUARTER_FREE, [4] = QUARTER_FREE,
		[5] = QUARTER_SPLIT, [6] = QUARTER_USED, [7] = QUARTER_FREE, [8] = QUARTER_FREE,
		[21] = QUARTER_SPLIT, [22] = QUARTER_USED, [23] = QUARTER_FREE, [24] = QUARTER_FREE,
		[85] = QUARTER_USED, [86] = QUARTER_FREE, [87] = QUARTER_USED, [88] = QUARTER_USED,
	};

	p->size = 16384;
	memcpy(p->quarter, quarters, sizeof(quarters));
}

uint32_t object_detail(uint32_t i, struct wire_detail *d)
{
	*d = (struct wire_detail){.kind = objects[i].kind};
	switch (i) {
	case PARTITION:
		d->n_used = 12;
		d->partition =
			(struct wire_partition){.block_size = 100, .stride = 128, .n_blocks = 100, .ptno = 1};
		return STATUS_OK;
	case FULL:
		d->n_used = 1000;
		d->partition =
			(struct wire_partition){.block_size = 64, .stride = 64, .n_blocks = 1000, .ptno = 0};
		return STATUS_OK;
	case FIRST:
		d->region = (struct wire_place){.addr = 0x7f0000001000, .size = 4096};
		return STATUS_OK;
	case SECOND:
		d->region = (struct wire_place){.addr = 0x7f0000100200, .size = 7680, .order = 1};
		return STATUS_OK;
	case UNCACHED:
		d->region = (struct wire_place){
			.addr = 0x7f0000200000, .size = 65536, .attribute = WIRE_NON_CACHEABLE};
		return STATUS_OK;
	case STRANGER:
		d->region = (struct wire_place){.addr = 0x7f0000001000, .size = 4096};
		return STATUS_OK;
	case POOL:
		d->n_used = 5;
		fill_pool(&d->pool);
		return STATUS_OK;
	case ODD: /* a quarter that is split beyond the smallest, and one that nobody spoke of */
		d->n_used = 1;
		d->pool.size = 256;
		d->pool.quarter[0] = QUARTER_SPLIT;
		d->pool.quarter[1] = QUARTER_SPLIT;
		d->pool.quarter[3] = QUARTER_USED;
		d->pool.quarter[4] = QUARTER_FREE;
		return STATUS_OK;
	default:
		return STATUS_INVALID;
	}
}

struct wire_binding object_binding(uint32_t i)
{
	struct wire_binding b = {
		.session = (uint64_t)objects[i].pid, .pid = objects[i].pid, .access = ACCESS_WRITE,
		.used = objects[i].used, .bad_frees = objects[i].bad_frees, .label = "mo\xfftor",
	};

	if (objects[i].kind == KIND_REGION)
		b.bucket[2] = (struct wire_bucket){.calls = 5, .per_page = 8, .pages = 1, .free = 7, .high_water = 40};
	return b;
}

struct wire_region configured(uint32_t i)
{
	struct wire_region r = {
		.size = (uint64_t)(i + 1) * 4096, .attribute = i % 2, .backing = i == 1 ? BACKING_DEVICE : i == 2,
	};

	(void)snprintf(r.name, sizeof(r.name), "region.%u", i);
	return r;
}
