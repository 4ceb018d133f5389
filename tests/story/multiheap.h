/*
 * multiheap.h: what actors do with the shared multi-heap, as calls of the test; and what heapd
 * shows of it
 *
 * Blocks and memory are numbers in the actor's world, as in steps.h. Nothing is written into a
 * block but by fill_block.
 */
#ifndef HEAPD_TESTS_STORY_MULTIHEAP_H
#define HEAPD_TESTS_STORY_MULTIHEAP_H

#include <heapclient/shared_multi_heap.h>
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define CACHED SMH_REG_ATTR_CACHEABLE
#define UNCACHED SMH_REG_ATTR_NON_CACHEABLE

int do_pool_init(struct lane *l);
struct lane *lane_with_pool(void); /* of a new actor; in its pool is only what is configured */

/* Memory of the actor's own, size bytes that hold 0xa5, in a slot. inaccessible: PROT_NONE. */
void own_memory(struct lane *l, int slot, size_t size, bool inaccessible);
/* -EIO if a byte of it is no 0xa5. */
int check_own_memory(struct lane *l, int slot, size_t size);

/* Adds [slot + at, size) of the actor's memory; or memory of heapd, which the slot becomes. */
int do_add_own(struct lane *l, unsigned attr, int slot, size_t at, size_t size);
int do_add(struct lane *l, unsigned attr, int slot, size_t size);
int do_add_null(struct lane *l);

/* The block goes into the slot. 0; or what errno was, negative. */
int do_take(struct lane *l, int slot, unsigned attr, size_t size);
int do_take_aligned(struct lane *l, int slot, unsigned attr, size_t align, size_t size);
int do_give(struct lane *l, int slot); /* -EPROTO: it changed errno */

/* Writes a pattern into the block; check_block (steps.h) with by = slot looks for it. */
int fill_block(struct lane *l, int slot, size_t size);

/* Whether the block of slot lies in [of, of + size). */
bool lies_in(struct lane *l, int slot, int of, size_t size);

/* A file of the test's folder that holds 0x5a, in the place of a device. The path is good until the next. */
#define DEVICE_MAX 16384
const char *device_new(const char *name, size_t size);
size_t device_changed(const char *path); /* bytes of it that are not 0x5a */

/* The machine's pool of huge pages; -1: there is none to be had. Setting it takes root. */
long huge_pages_now(void);
void huge_pages_set(long n);

/* The regions heapd knows, in the order in which they were made. How many. */
#define REGIONS_SEEN 32
size_t watch_regions(struct wire_entry seen[REGIONS_SEEN]);
struct wire_entry watch_region(size_t i); /* fails the test if there is none */
struct wire_place watch_place(size_t i);

#endif
