/*
 * zephyr_multiheap.c: a board and a driver with the shared multi-heap, as a Zephyr source has them
 *
 * The board makes the pool at boot and adds its memories: two of ordinary RAM, one that is not
 * cached. The driver knows no addresses: it asks for descriptors that are not cached, as its device
 * reads them, and for buffers of any RAM. On a board memories have fixed addresses; here they are
 * arrays.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <zephyr/multi_heap/shared_multi_heap.h>

#define N_DESC 8
#define DESC_ALIGN 64
#define BUF_SIZE 1536

struct dma_desc {
	uint32_t flags;
	uint32_t length;
	void *buf;
};

/* ---- the board ---- */

static uint8_t dtcm[4096] __attribute__((aligned(32)));
static uint8_t sram[32768] __attribute__((aligned(32)));
static uint8_t nocache[4096] __attribute__((aligned(32)));

static struct shared_multi_heap_region regions[] = {
	{ .attr = SMH_REG_ATTR_CACHEABLE, .addr = (uintptr_t)dtcm, .size = sizeof(dtcm) },
	{ .attr = SMH_REG_ATTR_CACHEABLE, .addr = (uintptr_t)sram, .size = sizeof(sram) },
	{ .attr = SMH_REG_ATTR_NON_CACHEABLE, .addr = (uintptr_t)nocache, .size = sizeof(nocache) },
};

static int board_memory_init(void)
{
	int ret = shared_multi_heap_pool_init();

	if (ret != 0 && ret != -EALREADY) {
		return ret;
	}
	for (size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++) {
		ret = shared_multi_heap_add(&regions[i], NULL);
		if (ret != 0) {
			return ret;
		}
	}
	return 0;
}

static const char *memory_of(const void *p)
{
	uintptr_t at = (uintptr_t)p;

	if (at - (uintptr_t)dtcm < sizeof(dtcm)) {
		return "dtcm";
	}
	if (at - (uintptr_t)sram < sizeof(sram)) {
		return "sram";
	}
	return at - (uintptr_t)nocache < sizeof(nocache) ? "nocache" : "nowhere";
}

/* ---- the driver ---- */

static struct dma_desc *ring;

static int driver_init(void)
{
	ring = shared_multi_heap_aligned_alloc(SMH_REG_ATTR_NON_CACHEABLE, DESC_ALIGN,
					       N_DESC * sizeof(*ring));
	if (ring == NULL) {
		return -ENOMEM;
	}
	memset(ring, 0, N_DESC * sizeof(*ring));
	for (int i = 0; i < N_DESC; i++) {
		ring[i].buf = shared_multi_heap_alloc(SMH_REG_ATTR_CACHEABLE, BUF_SIZE);
		if (ring[i].buf == NULL) {
			return -ENOMEM;
		}
		memset(ring[i].buf, i, BUF_SIZE);
		ring[i].length = BUF_SIZE;
	}
	return 0;
}

static int driver_check(void)
{
	for (int i = 0; i < N_DESC; i++) {
		for (uint32_t k = 0; k < ring[i].length; k++) {
			if (((uint8_t *)ring[i].buf)[k] != i) {
				return -EIO;
			}
		}
	}
	return 0;
}

static void driver_exit(void)
{
	for (int i = 0; i < N_DESC; i++) {
		shared_multi_heap_free(ring[i].buf);
	}
	shared_multi_heap_free(ring);
}

int main(void)
{
	void *a, *b;
	int ret = board_memory_init();

	printf("board: %d\n", ret);
	ret = driver_init();
	printf("driver: %d\n", ret);
	if (ret != 0) {
		return 1;
	}
	printf("ring: %s, aligned %d\n", memory_of(ring), (uintptr_t)ring % DESC_ALIGN == 0);
	printf("first buffer: %s\n", memory_of(ring[0].buf));
	printf("last buffer: %s\n", memory_of(ring[N_DESC - 1].buf));
	printf("contents: %d\n", driver_check());

	/* 4 KiB of memory that is not cached: there is no more, whatever else is free */
	printf("too much: %d\n",
	       shared_multi_heap_alloc(SMH_REG_ATTR_NON_CACHEABLE, sizeof(nocache) + 1) == NULL);
	printf("no such attribute: %d\n", shared_multi_heap_alloc(SMH_REG_ATTR_NUM, 16) == NULL);
	driver_exit();

	a = shared_multi_heap_alloc(SMH_REG_ATTR_CACHEABLE, 0x40);
	b = shared_multi_heap_alloc(SMH_REG_ATTR_CACHEABLE, 0x80);
	printf("0x40: %s, 0x80: %s\n", memory_of(a), memory_of(b));
	shared_multi_heap_free(a);
	shared_multi_heap_free(b);
	printf("again: %d\n", shared_multi_heap_pool_init() == -EALREADY);
	return 0;
}
