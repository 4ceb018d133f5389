/*
 * interfaces.c: a few lines of each of the four interfaces, in one process
 *
 * It takes a block from a named heap, from a region, from a partition and from the heap memory
 * pool, says "ready" and keeps them until its input ends, so that one can look: heapctl list,
 * heapctl inspect ID. Then it gives them back.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <heapclient/k_malloc.h>
#include <heapclient/pt.h>
#include <heapclient/rt_heap.h>
#include <heapclient/shared_multi_heap.h>

K_HEAP_MEM_POOL_SIZE(4096);

static RT_HEAP heap;
static int ptno;
static void *block, *table, *packet, *message;

static int failed(const char *what, int err)
{
	fprintf(stderr, "interfaces: %s: %s\n", what, strerror(err));
	return 1;
}

static int take(void)
{
	struct shared_multi_heap_region region = {.attr = SMH_REG_ATTR_CACHEABLE, .size = 65536};
	int r;

	r = rt_heap_create(&heap, "samples", 1 << 20, H_PRIO); /* others: rt_heap_bind */
	if (r == 0)
		r = rt_heap_alloc(&heap, 1000, TM_INFINITE, &block);
	if (r < 0)
		return failed("rt_heap", -r);

	r = shared_multi_heap_pool_init(); /* has the regions of heapd.conf */
	if (r == 0)
		r = shared_multi_heap_add(&region, NULL);
	if (r < 0)
		return failed("shared_multi_heap", -r);
	table = shared_multi_heap_aligned_alloc(SMH_REG_ATTR_CACHEABLE, 256, 1000);
	if (!table)
		return failed("shared_multi_heap_aligned_alloc", errno);

	ptno = pt_create(1500, 64);
	if (ptno < 0)
		return failed("pt_create", errno);
	packet = pt_getblock(ptno);

	message = k_malloc(200); /* costs a block of 256 */
	if (!message)
		return failed("k_malloc", errno);
	return 0;
}

static int give(void)
{
	int r;

	k_free(message);
	pt_freeblock(ptno, packet);
	r = pt_destroy(ptno);
	if (r < 0)
		return failed("pt_destroy", errno);
	shared_multi_heap_free(table);
	rt_heap_free(&heap, block);
	r = rt_heap_delete(&heap);
	return r < 0 ? failed("rt_heap_delete", -r) : 0;
}

int main(void)
{
	if (take() != 0)
		return 1;
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return give();
}
