/*
 * regions.h: stretches of memory of several kinds, and blocks out of them
 *
 * Model: a table of regions that only grows. A region is a span of addresses with an attribute, a
 * block allocator over the whole allocator pages that lie in it (client/bucket.h), with metadata in
 * private memory, and a lock that inherits priority. A request tries the regions of its attribute
 * in the order in which they came; a free finds its region by the address. A region's memory is
 * never read or written here, so it need not even be mapped.
 *
 * Offsets: the allocator's offset 0 stands for the origin, the region's first address rounded down
 * to a multiple of `aligned`, a power of two as large as the region (REGION_ALIGN_MAX at most). So
 * offsets and addresses are aligned alike up to that. Pages before and behind the region stay
 * absent.
 *
 * Invariant: entries below n do not change but under their locks, spans do not overlap, and an
 * attribute's list names its regions in order. regions_check() proves it, allocators included.
 *
 * Bound: an alloc looks at REGIONS_PER_ATTRIBUTE regions at most, a free at REGIONS_MAX spans (four
 * cache lines), then one region's allocator is asked: one lock pair for each that is asked, no
 * system call while nobody else holds it, and no page fault: metadata has its backing before a
 * region is entered.
 * Not here: where memory and statistics come from, who may add (client/multi_heap.h).
 */
#ifndef HEAPD_CLIENT_REGIONS_H
#define HEAPD_CLIENT_REGIONS_H

#include <stdatomic.h>
#include "client/bucket.h"
#include "client/lock.h"

#define REGIONS_PER_ATTRIBUTE 8
#define REGIONS_MAX (WIRE_ATTRIBUTES * REGIONS_PER_ATTRIBUTE)
#define REGION_ALIGN_MAX (UINT64_C(1) << 30)

struct region {
	_Alignas(64) struct lock lock;
	struct bucket_heap bucket; /* under the lock, and its statistics */

	/* constant */
	uintptr_t origin; /* the allocator's offset 0 */
	uint64_t first;   /* offsets of what it hands out: [first, end), whole allocator pages */
	uint64_t end;
	uint64_t aligned; /* offsets are aligned as addresses are, up to this */
	void *metadata;
	size_t metadata_size;
};

/* Addresses, as they were given. */
struct region_span {
	uintptr_t addr;
	uint64_t size;
};

struct regions {
	_Atomic uint32_t n; /* entries in use; the last thing that adding one writes, but n_of */
	_Atomic uint32_t n_of[WIRE_ATTRIBUTES];
	uint8_t of[WIRE_ATTRIBUTES][REGIONS_PER_ATTRIBUTE]; /* in the order of trying */
	struct region_span span[REGIONS_MAX];
	struct region region[REGIONS_MAX];
};

/* Empty, whatever it held: nothing of that is freed. */
void regions_init(struct regions *rs);

/* Frees the metadata of all regions. Nobody uses the table any more; it is empty. Safe twice. */
void regions_deinit(struct regions *rs);

/*
 * Whether such a region could be added now. addr 0: somewhere where there is room. 0; -EINVAL: size
 * 0, attribute out of bound, the end beyond the address space, no whole allocator page in it, or it
 * overlaps another; -ENOMEM: no more regions of that attribute.
 */
int regions_accept(const struct regions *rs, uint32_t attribute, uintptr_t addr, uint64_t size);

/*
 * Adds [addr, addr+size). stats: zeroed, the caller's, and stays; its place is filled in. Makes
 * system calls. One thread at a time. As regions_accept, and -ENOMEM: no memory for the metadata.
 */
int regions_add(struct regions *rs, uint32_t attribute, uintptr_t addr, uint64_t size,
		struct wire_stats *stats);

/* A block of size bytes (0: NULL) at a multiple of align (a power of two). NULL: no region of the
 * attribute (< WIRE_ATTRIBUTES) has room. */
void *regions_alloc(struct regions *rs, uint32_t attribute, uint64_t align, uint64_t size);

/* Frees the block at addr. 0; -EINVAL: none is there; nothing changes but a count of bad frees,
 * that of the region addr lies in, else of the first region. */
int regions_free(struct regions *rs, uintptr_t addr);

/* 0, or -EUCLEAN. Takes each region's lock, walks everything: for tests and audits. */
int regions_check(struct regions *rs);

#endif
