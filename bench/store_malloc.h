/*
 * store_malloc.h: malloc and free of whatever library the program is linked with
 *
 * One program each for glibc, jemalloc, mimalloc and tcmalloc. main looks where malloc comes from
 * before it measures.
 */
static inline int store_begin(const struct plan *plan)
{
	(void)plan;
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
	return malloc(size);
}

static inline void store_put(void *block)
{
	free(block);
}

static inline const void *store_symbol(void)
{
	return (const void *)malloc;
}
