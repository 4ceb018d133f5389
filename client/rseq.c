/*
 * rseq.c: see rseq.h
 */
#include "client/rseq.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>

#if RSEQ_HERE

static int membarrier(int command)
{
	int saved = errno;
	int r = (int)syscall(SYS_membarrier, command, 0, 0) < 0 ? -errno : 0;

	errno = saved;
	return r;
}

uint32_t rseq_cpus(void)
{
	static _Atomic long known; /* the areas of a session need the same number at every call */
	long n = atomic_load(&known);

	/* asked each time: what a parent has announced is the parent's */
	if (__rseq_size == 0 || membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ) < 0)
		return 0;
	if (!n)
		atomic_store(&known, n = sysconf(_SC_NPROCESSORS_CONF));
	return n > 0 && n <= (long)WIRE_HEADS_CPUS ? (uint32_t)n : 0;
}

int rseq_barrier(void)
{
	return membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ);
}

#else

uint32_t rseq_cpus(void)
{
	return 0;
}

int rseq_barrier(void)
{
	return -ENOSYS;
}

#endif
