/*
 * rseq.c: see rseq.h
 */
#include "client/rseq.h"

#include <linux/membarrier.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#if RSEQ_HERE

/*
 * When the library is loaded: whatever a variable holds that is no descriptor, the sequences store into the thread's area before they
 * find that out, and nobody need have made a heap.
 */
static __attribute__((__constructor__(101))) void begin(void)
{
	rseq_begin();
}

int64_t rseq_wheres_[8] __attribute__((__aligned__(64)));

static int membarrier(int command)
{
	int saved = errno;
	int r = (int)syscall(SYS_membarrier, command, 0, 0) < 0 ? -errno : 0;

	errno = saved;
	return r;
}

/* The child of a fork must find what is at hand wiped, for the short ways do not look who they are. */
static bool can_wipe(void)
{
	void *p = mmap(NULL, HW_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool can;

	if (p == MAP_FAILED)
		return false;
	can = madvise(p, HW_PAGE_SIZE, MADV_WIPEONFORK) == 0;
	(void)munmap(p, HW_PAGE_SIZE);
	return can;
}

uint32_t rseq_cpus(void)
{
	static _Atomic long known; /* once it was found out it stays; what failed may go well the next time */
	long n = atomic_load(&known);

	rseq_begin();
	/* asked each time: what a parent has announced is the parent's */
	if (__rseq_size == 0 || membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ) < 0)
		return 0;
	if (!n && can_wipe())
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
