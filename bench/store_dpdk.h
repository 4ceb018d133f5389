/*
 * store_dpdk.h: DPDK's rte_mempool, with a cache for each thread before a shared ring
 *
 * The only file that knows DPDK. It runs without huge pages, devices or files; threads register
 * with it to get a cache. get and put are inline, as for every user of DPDK.
 */
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mempool.h>

#define STORE_CACHE 256 /* a thread keeps up to half as many again: plan_blocks has room for them */

_store_ struct rte_mempool *store_pool;

static inline int store_begin(const struct plan *plan)
{
	static char name[] = "bench", no_huge[] = "--no-huge", no_files[] = "--no-shconf",
		    m[] = "-m", mb[] = "256", no_pci[] = "--no-pci", no_telemetry[] = "--no-telemetry",
		    level[] = "--log-level=critical";
	char *argv[] = { name, no_huge, no_files, m, mb, no_pci, no_telemetry, level, NULL };

	if (plan->size_max)
		return -EOPNOTSUPP;
	if (rte_eal_init((int)ARRAY_SIZE(argv) - 1, argv) < 0)
		return -rte_errno;
	store_pool = rte_mempool_create("bench", (unsigned int)plan_blocks(plan),
					(unsigned int)plan->size, STORE_CACHE, 0, NULL, NULL, NULL, NULL,
					SOCKET_ID_ANY, 0);
	return store_pool ? 0 : -rte_errno;
}

static inline int store_enter(void)
{
	return rte_thread_register() < 0 ? -rte_errno : 0;
}

static inline void store_leave(void)
{
	rte_thread_unregister();
}

static inline void *store_get(size_t size)
{
	void *block;

	(void)size;
	return rte_mempool_get(store_pool, &block) == 0 ? block : NULL;
}

static inline void store_put(void *block)
{
	rte_mempool_put(store_pool, block);
}

static inline const void *store_symbol(void)
{
	return NULL;
}
