/*
 * store_ck.h: Concurrency Kit's ck_stack, popped and pushed by any thread, as a pool of blocks
 *
 * The link is in the block, so a block is at least as large as one. Nothing is checked of what is
 * given back.
 */
#include <ck_stack.h>

#ifndef CK_F_STACK_POP_MPMC
#error "ck_stack cannot be popped by many here"
#endif

_store_ ck_stack_t store_stack = CK_STACK_INITIALIZER;

static inline int store_begin(const struct plan *plan)
{
	uint64_t stride = (plan->size + 63) & ~UINT64_C(63);
	uint64_t n = plan_blocks(plan);
	char *memory;

	if (plan->size_max || plan->size < sizeof(ck_stack_entry_t))
		return -EOPNOTSUPP;
	memory = aligned_alloc(64, stride * n);
	if (!memory)
		return -ENOMEM;
	memset(memory, 0, stride * n);
	for (uint64_t i = n; i-- > 0;)
		ck_stack_push_spnc(&store_stack, (ck_stack_entry_t *)(void *)(memory + i * stride));
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
	(void)size;
	return ck_stack_pop_mpmc(&store_stack);
}

static inline void store_put(void *block)
{
	ck_stack_push_mpmc(&store_stack, (ck_stack_entry_t *)block);
}

static inline const void *store_symbol(void)
{
	return NULL;
}
