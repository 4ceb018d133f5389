/*
 * treiber.c: the peer: R. K. Treiber's stack (IBM, 1986) of block numbers, with a tag against reuse
 *
 * The least that works: a number and a 32-bit tag in one 8-byte head, no count of free blocks, no check of what is
 * given back.
 */
#include "bench/pools.h"

#include <stdatomic.h>

static _Atomic uint64_t head; /* tag << 32 | number + 1 */
static _Atomic uint32_t next_of[POOL_BLOCKS];
static char *memory;

static int begin(void)
{
	memory = aligned_alloc(64, POOL_SIZE * POOL_BLOCKS);
	if (!memory)
		return -ENOMEM;
	memset(memory, 0, POOL_SIZE * POOL_BLOCKS);
	for (uint32_t i = 0; i < POOL_BLOCKS; i++)
		atomic_store(&next_of[i], i + 1 < POOL_BLOCKS ? i + 2 : 0);
	atomic_store(&head, 1);
	return 0;
}

static void *take_one(void)
{
	uint64_t old = atomic_load_explicit(&head, memory_order_acquire), new;

	do {
		if ((uint32_t)old == 0)
			return NULL;
		new = ((old >> 32) + 1) << 32 |
		      atomic_load_explicit(&next_of[(uint32_t)old - 1], memory_order_relaxed);
	} while (!atomic_compare_exchange_weak_explicit(&head, &old, new, memory_order_acq_rel,
							memory_order_acquire));
	return memory + (size_t)((uint32_t)old - 1) * POOL_SIZE;
}

static void give_one(void *block)
{
	uint32_t number = (uint32_t)((size_t)((char *)block - memory) / POOL_SIZE);
	uint64_t old = atomic_load_explicit(&head, memory_order_relaxed), new;

	do {
		atomic_store_explicit(&next_of[number], (uint32_t)old, memory_order_relaxed);
		new = ((old >> 32) + 1) << 32 | (number + 1);
	} while (!atomic_compare_exchange_weak_explicit(&head, &old, new, memory_order_release,
							memory_order_relaxed));
}

const struct pool pool_treiber = {
	.name = "tagged Treiber stack", .begin = begin, .get = take_one, .put = give_one,
};
