/*
 * pt.h: partitions: blocks of one size, in the manner of Unison and pSOS
 *
 * A partition is a number of blocks of one size in memory that is all there when it is created. Any
 * thread takes a block and any other one gives it back. pt_getblock, pt_freeblock and pt_retblock
 * are lock-free and async-signal-safe: they may run in a signal handler, also in one that
 * interrupted any of them on the same partition, at any moment of it; and beside pt_create and
 * pt_destroy of the same number. Bookkeeping is outside the blocks, in memory of the process.
 *
 * Partitions belong to their process. In a child after fork, inherited numbers are unknown (EPERM)
 * until the child gets them anew from pt_create; the blocks of the parent stay readable and
 * writable there.
 * Calls fail with -1 or NULL and set errno. No call is a cancellation point.
 *
 * Semantics: Unison, "pt_create, pt_destroy, pt_getblock, pt_retblock - fixed size block memory
 * allocation". What differs is in docs/deviations.md.
 */
#ifndef HEAPCLIENT_PT_H
#define HEAPCLIENT_PT_H

#include <errno.h>
#include <stddef.h>

#ifndef EBADID
#define EBADID EBADF /* no such partition */
#endif

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Creates a partition and returns its number, the lowest that is free, from 0.
 *
 * blocksize  bytes of a block, > 0. Blocks start at multiples of 16; of 64, the cache line, when blocksize is at least
 *            64. What is between blocks is part of the memory that is taken from the machine.
 * numblocks  how many there are, > 0.
 *
 * All memory is committed before it returns (RAM is taken now; page tables are filled), so it blocks for as
 * long as the kernel takes to clear that much. Not real-time, not for signal handlers. The partition lives until
 * pt_destroy or the end of the process; it works on when the daemon is gone.
 *
 * -1 and errno:
 * EINVAL  blocksize or numblocks is not above 0, or their product is too large a number
 * ENOSPC  not enough memory: the machine has not that much, or it is above the daemon's limit or a quota of this user
 * EAGAIN  all 8 partitions of the process are in use (the number is chosen when the library is built)
 * EACCES  this user may not create heaps
 * EMFILE  this process or the daemon is out of file descriptors
 * ECONNREFUSED     no daemon
 * EPROTONOSUPPORT  a daemon of another protocol version (heapclient_problem() names both)
 */
int pt_create(size_t blocksize, int numblocks);

/*
 * Destroys the partition and gives its memory back. All its blocks must have been freed. The number is free
 * for the next pt_create. Sends a request to the daemon and waits for its reply. Not for signal handlers.
 *
 * -1 and errno:
 * EBADID  ptno is no partition (EBADF on Linux, which has no such errno)
 * EBUSY   blocks are outstanding; or a filter put on later (seccomp) refuses membarrier(2), so nobody can tell
 * EPERM   inherited through fork
 */
int pt_destroy(int ptno);

/*
 * Takes a block: the one that was freed last, most of the time, on this CPU. Contents are undefined; of a new partition, zeros. It is
 * the caller's until pt_freeblock.
 *
 * Real-time, async-signal-safe: never waits, no page fault, no lock; a bounded number of
 * instructions, but for a few that are repeated when another thread took or freed a block in between. No system
 * call, with one exception: when the last free blocks are at hand of other CPUs, or a preempted thread keeps this CPU
 * from them, one membarrier(2) makes them common. It interrupts the CPUs that run this process, and waits for none of its threads.
 *
 * NULL: all blocks are out, and errno is left alone; or with errno EBADID (ptno is no partition), EPERM (inherited
 * through fork).
 */
void *pt_getblock(int ptno);

/*
 * Gives a block back, from any thread. A pointer that is no outstanding block of this partition (NULL, foreign, not the
 * start of a block, freed already) changes nothing and is counted: heapctl shows how many there were. (Of two frees of one
 * block in the same instant on two CPUs both may be believed; the build option strict_frees finds these, too.)
 * So does a ptno that is no partition, without a count. errno is left alone.
 *
 * Real-time, async-signal-safe: as pt_getblock, and never a system call.
 */
void pt_freeblock(int ptno, void *block);

/* Another name of pt_freeblock: the reference uses both. */
void pt_retblock(int ptno, void *block);

#ifdef __cplusplus
}
#endif

#endif
