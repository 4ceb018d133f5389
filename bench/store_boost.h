/*
 * store_boost.h: Boost.Interprocess' managed_shared_memory, by way of boost.cc
 *
 * What it has in common with our heaps: the memory is shared, with a name. It keeps its bookkeeping
 * in it, behind a mutex there.
 */
#include "bench/boost.h"

static inline int store_begin(const struct plan *plan)
{
	return boost_begin(plan_bytes(plan) * 2); /* (it has headers between the blocks) */
}

static inline int store_enter(void)
{
	return 0;
}

static inline void store_leave(void)
{
}

static inline void *store_get(size_t size)
{
	return boost_get(size);
}

static inline void store_put(void *block)
{
	boost_put(block);
}

static inline const void *store_symbol(void)
{
	return NULL;
}
