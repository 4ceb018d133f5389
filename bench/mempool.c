/*
 * mempool.c: the peer: DPDK's rte_mempool, with a cache for each thread before a shared ring
 *
 * The only file that knows DPDK. It runs without huge pages, devices or files; threads register with it to get a cache.
 */
#include "bench/pools.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mempool.h>

#define CACHE 256

static struct rte_mempool *pool;

static int begin(void)
{
	static char name[] = "heap-bench", no_huge[] = "--no-huge", no_files[] = "--no-shconf", m[] = "-m", mb[] = "64",
		    no_pci[] = "--no-pci", no_telemetry[] = "--no-telemetry", level[] = "--log-level=critical";
	char *argv[] = { name, no_huge, no_files, m, mb, no_pci, no_telemetry, level, NULL };

	if (rte_eal_init((int)ARRAY_SIZE(argv) - 1, argv) < 0)
		return -rte_errno;
	pool = rte_mempool_create("bench", POOL_BLOCKS, POOL_SIZE, CACHE, 0, NULL, NULL, NULL, NULL, SOCKET_ID_ANY, 0);
	return pool ? 0 : -rte_errno;
}

static int enter(void)
{
	return rte_thread_register() < 0 ? -rte_errno : 0;
}

static void leave(void)
{
	rte_thread_unregister();
}

static void *take_one(void)
{
	void *block;

	return rte_mempool_get(pool, &block) == 0 ? block : NULL;
}

static void give_one(void *block)
{
	rte_mempool_put(pool, block);
}

const struct pool pool_dpdk = {
	.name = "rte_mempool with cache", .begin = begin, .enter = enter, .leave = leave,
	.get = take_one, .put = give_one,
};
