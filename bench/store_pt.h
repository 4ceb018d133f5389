/*
 * store_pt.h: a partition, from the shared library
 */
#include "heapclient/pt.h"

_store_ int store_ptno;

static inline int store_begin(const struct plan *plan)
{
	if (plan->size_max)
		return -EOPNOTSUPP;
	store_ptno = pt_create(plan->size, (int)plan_blocks(plan));
	return store_ptno < 0 ? -errno : 0;
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
	(void)size;
	return pt_getblock(store_ptno);
}

static inline void store_put(void *block)
{
	pt_freeblock(store_ptno, block);
}

static inline const void *store_symbol(void)
{
	return (const void *)pt_getblock;
}
