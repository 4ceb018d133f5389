/*
 * paths.c: see paths.h. One part for each interface, the table, the loop.
 */
#include "tests/realtime/paths.h"

#include <heapclient/k_malloc.h>
#include <heapclient/pt.h>
#include <heapclient/shared_multi_heap.h>
#include <sys/mman.h>

/* ---- heaps: sizes up to 2 KiB, now and then 16 KiB; at most 1/8 of the heap ---- */

#define HEAP_BYTES ((size_t)4 << 20)

static int local_heap(void)
{
	return rt_heap_create(&self.heap[0], NULL, HEAP_BYTES, H_FIFO);
}

static int named_heap(void)
{
	return rt_heap_create(&self.heap[0], "pool", HEAP_BYTES, H_PRIO);
}

static size_t heap_size(uint64_t random)
{
	return random >> 10 & 63 ? (size_t)16 << (random & 7) : 16384;
}

static void *heap_get(uint64_t random, size_t *size)
{
	void *block;

	*size = heap_size(random);
	return rt_heap_alloc(&self.heap[0], *size, TM_NONBLOCK, &block) ? NULL : block;
}

static void *heap_get_until(uint64_t random, size_t *size)
{
	static const struct timespec past = { .tv_sec = 1 };
	void *block;

	*size = heap_size(random);
	return rt_heap_alloc_until(&self.heap[0], *size, &past, &block) ? NULL : block;
}

static bool heap_give(void *block, uint64_t random)
{
	(void)random;
	return rt_heap_free(&self.heap[0], block) == 0;
}

static bool heap_translate_and_give(void *block, uint64_t random)
{
	void *again = NULL;
	size_t offset;

	return rt_heap_offset(&self.heap[0], block, &offset) == 0 &&
	       rt_heap_pointer(&self.heap[0], offset, &again) == 0 && again == block &&
	       rt_heap_offset(&self.heap[0], &again, &offset) == -EINVAL && heap_give(block, random);
}

/* Bad frees are noticed without the kernel, too, where nobody else is bound. */
static bool heap_give_twice(void *block, uint64_t random)
{
	return heap_give(block, random) &&
	       (random & 15 || (rt_heap_free(&self.heap[0], block) == -EINVAL &&
				rt_heap_free(&self.heap[0], (char *)block + 1) == -EINVAL));
}

/* ---- partitions: emptied now and then; the links of so many blocks are 49 pages ---- */

#define PT_SIZE 64

static int partition(void)
{
	return pt_create(PT_SIZE, PATH_PT_BLOCKS) == 0 ? 0 : -EIO;
}

static void *pt_get(uint64_t random, size_t *size)
{
	(void)random;
	*size = PT_SIZE;
	return pt_getblock(0);
}

static bool pt_give(void *block, uint64_t random)
{
	pt_freeblock(0, block);
	if ((random & 15) == 0)
		pt_retblock(0, (char *)block + 1);
	return true;
}

/* ---- regions: five of both attributes and both origins, some of them full ---- */

#define OWN_BYTES 300000

static int add_region(enum shared_multi_heap_attr attr, void *own, size_t size)
{
	struct shared_multi_heap_region region = { attr, (uintptr_t)own, size };

	return shared_multi_heap_add(&region, NULL);
}

static int regions(void)
{
	char *own = mmap(NULL, OWN_BYTES, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0); /* past a fork */
	int r;

	if (own == MAP_FAILED)
		return -errno;
	r = shared_multi_heap_pool_init();
	if (r == 0)
		r = add_region(SMH_REG_ATTR_CACHEABLE, NULL, 4096);
	if (r == 0)
		r = add_region(SMH_REG_ATTR_CACHEABLE, own + 8, OWN_BYTES - 8);
	if (r == 0)
		r = add_region(SMH_REG_ATTR_NON_CACHEABLE, NULL, 20000);
	if (r == 0)
		r = add_region(SMH_REG_ATTR_CACHEABLE, NULL, 4 << 20);
	if (r == 0)
		r = add_region(SMH_REG_ATTR_NON_CACHEABLE, NULL, 100000);
	return r;
}

static void *region_get(uint64_t random, size_t *size)
{
	enum shared_multi_heap_attr attr =
		random & 1 ? SMH_REG_ATTR_CACHEABLE : SMH_REG_ATTR_NON_CACHEABLE;
	size_t align = (size_t)1 << (random >> 1) % 13;

	*size = (size_t)16 << (random >> 5) % 9;
	if (random >> 10 & 1)
		return shared_multi_heap_alloc(attr, *size);
	return shared_multi_heap_aligned_alloc(attr, align, *size);
}

static bool region_give(void *block, uint64_t random)
{
	shared_multi_heap_free(block);
	if ((random & 15) == 0)
		shared_multi_heap_free(block);
	if ((random & 63) == 0)
		shared_multi_heap_free(&self); /* in no region */
	return true;
}

/* ---- the pool: all sizes, full most of the time ---- */

static void *pool_get(uint64_t random, size_t *size)
{
	*size = (random >> 8) % ((size_t)48 << 2 * (random % 5));
	if (random >> 4 & 7)
		return k_malloc(*size);
	if (random >> 7 & 1)
		return k_calloc(1, *size);
	return k_aligned_alloc(64, *size);
}

static bool pool_give(void *block, uint64_t random)
{
	k_free(block);
	k_free(random & 15 ? NULL : (char *)block + 8); /* a bad one, too */
	return true;
}

/* ---- the table ---- */

const struct path paths[] = {
	{ .name = "a local heap", .live = 256, .prepare = local_heap, .get = heap_get,
	  .give = heap_give_twice },
	{ .name = "a local heap, alloc_until", .live = 256, .prepare = local_heap,
	  .get = heap_get_until, .give = heap_give },
	{ .name = "a named heap", .live = 256, .prepare = named_heap, .get = heap_get,
	  .give = heap_give_twice },
	{ .name = "a named heap beside another process", .beside = true, .live = 256,
	  .prepare = named_heap, .get = heap_get, .give = heap_give },
	{ .name = "offset and pointer", .live = 256, .prepare = named_heap, .get = heap_get,
	  .give = heap_translate_and_give },
	{ .name = "a partition", .may_fail = true, .one_cpu = true, .live = PATH_LIVE, .prepare = partition,
	  .get = pt_get, .give = pt_give },
	{ .name = "the shared multi-heap", .may_fail = true, .live = 256, .prepare = regions,
	  .get = region_get, .give = region_give },
	{ .name = "the heap memory pool", .may_fail = true, .live = 64,
	  .prepare = k_heap_mem_pool_init, .get = pool_get, .give = pool_give },
};
const size_t n_paths = ARRAY_SIZE(paths);

/* ---- the loop ---- */

uint64_t path_churn(const struct path *p, uint64_t n, bool touch)
{
	static void *live[PATH_LIVE];
	uint64_t seed = 99, bad = 0;
	size_t size;

	for (uint64_t i = 0; i < n; i++) {
		void **block;

		seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		block = &live[((seed >> 32) * p->live) >> 32];
		if (*block) {
			bad += !p->give(*block, seed >> 12);
			*block = NULL;
			continue;
		}
		*block = p->get(seed >> 12, &size);
		bad += !*block && !p->may_fail;
		if (*block && touch)
			memset(*block, 1, size);
	}
	for (size_t k = 0; k < p->live; k++) {
		bad += live[k] && !p->give(live[k], 0);
		live[k] = NULL;
	}
	return bad;
}
