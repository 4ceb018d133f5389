/*
 * store_nothing.h: no store at all: what the machine does to whoever measures a call that does
 * nothing
 *
 * Interrupts, and what a hypervisor takes without telling, hit one in so many calls, whatever is
 * called. Where the percentiles of nothing are like those of the stores, it is the machine that
 * was measured.
 *
 * Not here: blocks of one's own. All are the same one.
 */
_store_ uint64_t store_block[8];

static inline int store_begin(const struct plan *plan)
{
	return plan->threads == 1 ? 0 : -EOPNOTSUPP;
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
	used((void *)size);
	return store_block;
}

static inline void store_put(void *block)
{
	used(block);
}

static inline const void *store_symbol(void)
{
	return NULL;
}
