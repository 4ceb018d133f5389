/*
 * owner.c: a process with something of each interface that heapctl has to show
 *
 * Partitions: number 0 with 10 blocks of 100 bytes, of which 5 were out, 3 are, and 2 bad frees;
 * number 1, all of whose 4 blocks of 64 are out. Regions: what is configured, then 8192 bytes of
 * its own, then 65536 of heapd's, with one block of 1000. The pool, of 1024: 256 in use, 64 in
 * use, and the rest free. It says "ready ADDRESS", that of its own region, and then does nothing.
 * End of input ends it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <heapclient/k_malloc.h>
#include <heapclient/pt.h>
#include <heapclient/shared_multi_heap.h>

K_HEAP_MEM_POOL_SIZE(1024);

static _Alignas(4096) char own[8192];

static void must(int good, const char *what)
{
	if (!good) {
		(void)printf("%s: %s\n", what, strerror(errno));
		exit(1);
	}
}

static void take_partitions(void)
{
	int a = pt_create(100, 10), b = pt_create(64, 4);
	void *out[5];

	must(a == 0 && b == 1, "pt_create");
	for (int i = 0; i < 5; i++)
		must((out[i] = pt_getblock(a)) != NULL, "pt_getblock");
	pt_freeblock(a, out[4]);
	pt_freeblock(a, out[3]);
	pt_freeblock(a, out[3]);
	pt_freeblock(a, &out);
	for (int i = 0; i < 4; i++)
		must(pt_getblock(b) != NULL, "pt_getblock");
}

static void take_regions(void)
{
	struct shared_multi_heap_region mine = {
		.attr = SMH_REG_ATTR_CACHEABLE, .addr = (uintptr_t)own, .size = sizeof(own)};
	struct shared_multi_heap_region theirs = {.attr = SMH_REG_ATTR_CACHEABLE, .size = 65536};

	errno = -shared_multi_heap_pool_init();
	must(errno == 0, "shared_multi_heap_pool_init");
	errno = -shared_multi_heap_add(&mine, NULL);
	must(errno == 0, "shared_multi_heap_add");
	errno = -shared_multi_heap_add(&theirs, NULL);
	must(errno == 0, "shared_multi_heap_add");
	/* no other region of the attribute has so much */
	must(shared_multi_heap_alloc(SMH_REG_ATTR_CACHEABLE, 16384) == (void *)theirs.addr,
	     "shared_multi_heap_alloc");
	must(shared_multi_heap_alloc(SMH_REG_ATTR_NON_CACHEABLE, 100) != NULL,
	     "shared_multi_heap_alloc");
}

static void take_pool(void)
{
	void *a = k_malloc(200), *b = k_malloc(10), *c = k_malloc(200);

	must(a && b && c, "k_malloc");
	k_free(c);
	k_free(c);
}

int main(void)
{
	take_partitions();
	take_regions();
	take_pool();
	(void)printf("ready %#" PRIxPTR "\n", (uintptr_t)own);
	(void)fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
