/*
 * k_malloc.c: the interface of k_malloc.h over pool.h
 *
 * Thin: arguments, sizes, errno, and the first call that makes the pool.
 */
#include "heapclient/k_malloc.h"

#include "client/cancel.h"
#include "client/pool.h"
#include "client/process.h"

#define EXPORT __attribute__((visibility("default")))

/* Addresses are multiples of a block's size up to this: what a mapping starts at. */
#define ALIGN_MAX HW_PAGE_SIZE

EXPORT int k_heap_mem_pool_init(void)
{
	_no_cancel_ int cancel = cancel_disable();
	int r = pool_wanted();

	if (r > 0)
		r = process_enter();
	return r < 0 ? r : pool_make();
}

EXPORT void k_heap_mem_pool_size_(size_t size)
{
	pool_wish(size);
	if (pool_wanted() > 0)
		(void)k_heap_mem_pool_init(); /* without heapd: the calls say so, and try again */
}

static void *get(size_t size, size_t align)
{
	uint64_t bytes;
	void *block;
	int r;

	if (unlikely(__builtin_add_overflow(size, POOL_EXTRA, &bytes))) {
		errno = ENOMEM;
		return NULL;
	}
	bytes = max_u64(bytes, align);
	r = pool_alloc(bytes, &block);
	if (unlikely(r == POOL_ABSENT)) {
		r = k_heap_mem_pool_init();
		if (r == 0)
			r = pool_alloc(bytes, &block);
	}
	if (likely(r == 0))
		return block;
	errno = r < 0 ? -r : ENOMEM;
	return NULL;
}

EXPORT void *k_malloc(size_t size)
{
	return get(size, 1);
}

EXPORT void *k_aligned_alloc(size_t align, size_t size)
{
	if (align == 0 || (align & (align - 1)) || align > ALIGN_MAX) {
		errno = EINVAL;
		return NULL;
	}
	return get(size, align);
}

EXPORT void *k_calloc(size_t nmemb, size_t size)
{
	size_t bytes;
	void *block;

	if (__builtin_mul_overflow(nmemb, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	block = get(bytes, 1);
	return block ? memset(block, 0, bytes) : NULL;
}

EXPORT void k_free(void *ptr)
{
	if (ptr)
		pool_free(ptr);
}
