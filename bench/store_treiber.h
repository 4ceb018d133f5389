/*
 * store_treiber.h: R. K. Treiber's stack (IBM, 1986) of block numbers, with a tag against reuse
 *
 * The least that works: a number and a 32-bit tag in one 8-byte head, no count of free blocks, no
 * check of what is given back.
 */
#include <stdatomic.h>

_store_ _Atomic uint64_t store_head; /* tag << 32 | number + 1 */
_store_ _Atomic uint32_t *store_next;
_store_ char *store_memory;
_store_ uint64_t store_stride;

static inline int store_begin(const struct plan *plan)
{
	uint64_t n = plan_blocks(plan);

	if (plan->size_max)
		return -EOPNOTSUPP;
	store_stride = (plan->size + 63) & ~UINT64_C(63);
	store_memory = aligned_alloc(64, store_stride * n);
	store_next = calloc(n, sizeof(*store_next));
	if (!store_memory || !store_next)
		return -ENOMEM;
	memset(store_memory, 0, store_stride * n);
	for (uint32_t i = 0; i < n; i++)
		atomic_store(&store_next[i], i + 1 < n ? i + 2 : 0);
	atomic_store(&store_head, 1);
	return 0;
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
	uint64_t old = atomic_load_explicit(&store_head, memory_order_acquire), new;

	(void)size;
	do {
		if ((uint32_t)old == 0)
			return NULL;
		new = ((old >> 32) + 1) << 32 |
		      atomic_load_explicit(&store_next[(uint32_t)old - 1], memory_order_relaxed);
	} while (!atomic_compare_exchange_weak_explicit(&store_head, &old, new,
							memory_order_acq_rel, memory_order_acquire));
	return store_memory + (uint64_t)((uint32_t)old - 1) * store_stride;
}

static inline void store_put(void *block)
{
	uint32_t number = (uint32_t)((uint64_t)((char *)block - store_memory) / store_stride);
	uint64_t old = atomic_load_explicit(&store_head, memory_order_relaxed), new;

	do {
		atomic_store_explicit(&store_next[number], (uint32_t)old, memory_order_relaxed);
		new = ((old >> 32) + 1) << 32 | (number + 1);
	} while (!atomic_compare_exchange_weak_explicit(&store_head, &old, new,
							memory_order_release, memory_order_relaxed));
}

static inline const void *store_symbol(void)
{
	return NULL;
}
