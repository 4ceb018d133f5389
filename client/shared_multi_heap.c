/*
 * shared_multi_heap.c: the interface of shared_multi_heap.h over multi_heap.h
 *
 * Thin: arguments, NULL and errno. A hot path is three checks and a call of regions.h.
 */
#include "heapclient/shared_multi_heap.h"

#include "client/multi_heap.h"

#define EXPORT __attribute__((visibility("default")))

_Static_assert(SMH_REG_ATTR_CACHEABLE == WIRE_CACHEABLE && SMH_REG_ATTR_NUM == WIRE_ATTRIBUTES &&
	       SMH_REG_ATTR_NON_CACHEABLE == WIRE_NON_CACHEABLE, "attributes travel as they are");

static void *none(int error)
{
	errno = error;
	return NULL;
}

static inline void *alloc(enum shared_multi_heap_attr attr, size_t align, size_t bytes)
{
	struct regions *rs = multi_heap_regions();
	void *block;

	if (unlikely(!rs || (unsigned)attr >= WIRE_ATTRIBUTES || bytes == 0))
		return none(EINVAL);
	block = regions_alloc(rs, (unsigned)attr, align, bytes);
	return likely(block) ? block : none(ENOMEM);
}

EXPORT int shared_multi_heap_pool_init(void)
{
	return multi_heap_make();
}

EXPORT void *shared_multi_heap_alloc(enum shared_multi_heap_attr attr, size_t bytes)
{
	return alloc(attr, 1, bytes);
}

EXPORT void *shared_multi_heap_aligned_alloc(enum shared_multi_heap_attr attr, size_t align,
					     size_t bytes)
{
	if (unlikely(align == 0 || align & (align - 1)))
		return none(EINVAL);
	return alloc(attr, align, bytes);
}

EXPORT void shared_multi_heap_free(void *block)
{
	struct regions *rs = multi_heap_regions();

	if (likely(block && rs))
		(void)regions_free(rs, (uintptr_t)block); /* a bad one is counted there */
}

EXPORT int shared_multi_heap_add(struct shared_multi_heap_region *region, void *user_data)
{
	if (!region || (unsigned)region->attr >= WIRE_ATTRIBUTES || !multi_heap_regions())
		return -EINVAL;
	return multi_heap_add((unsigned)region->attr, &region->addr, region->size, user_data);
}
