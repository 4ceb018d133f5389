/*
 * store_rt_heap.h: one local heap, or STORE_HEAPS of them that are used in turn
 *
 * The library is the shared one, as programs have it.
 */
#include "heapclient/rt_heap.h"

_store_ RT_HEAP store_heap;

#ifdef STORE_HEAPS
/*
 * A block of the i-th heap goes back before the next heap is asked, so store_put knows the heap.
 * Only for one thread and pairs.
 */
_store_ RT_HEAP *store_heaps;
_store_ size_t store_at, store_n;

static inline int store_begin(const struct plan *plan)
{
	store_n = plan->heaps;
	store_heaps = calloc(store_n, sizeof(*store_heaps));
	if (!store_heaps)
		return -ENOMEM;
	if (plan->threads != 1 || plan->live)
		return -EOPNOTSUPP;
	for (size_t i = 0; i < store_n; i++) {
		int r = rt_heap_create(&store_heaps[i], NULL, plan->heap, H_FIFO);

		if (r < 0)
			return r;
	}
	store_heap = store_heaps[0];
	return 0;
}

static inline void store_turn(void)
{
	store_at = store_at + 1 < store_n ? store_at + 1 : 0;
	store_heap = store_heaps[store_at];
}
#else
static inline int store_begin(const struct plan *plan)
{
	return rt_heap_create(&store_heap, NULL, plan_bytes(plan), H_FIFO);
}

static inline void store_turn(void)
{
}
#endif

static inline int store_enter(void)
{
	return 0;
}

static inline void store_leave(void)
{
}

static inline void *store_get(size_t size)
{
	void *block;

	return rt_heap_alloc(&store_heap, size, TM_NONBLOCK, &block) == 0 ? block : NULL;
}

static inline void store_put(void *block)
{
	if (unlikely(rt_heap_free(&store_heap, block) < 0))
		abort();
	store_turn();
}

static inline const void *store_symbol(void)
{
	return (const void *)rt_heap_alloc;
}
