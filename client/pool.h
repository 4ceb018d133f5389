/*
 * pool.h: the heap memory pool of this process
 *
 * Model: one arena that only this process has, cut by client/quarters.h, under one lock that
 * inherits priority. It is made once, of a size that the program or its environment says, and
 * stays until the process ends; what becomes of the daemon after that does not matter to it. The
 * address of a block is its start: what the original kept in a block's first 16 bytes is kept
 * outside here, and those 16 bytes, which a request still costs, lie unused at the end of the
 * block.
 *
 * Invariant: `epoch` is that of the process in which the pool was made (client/epoch.h), 0 while
 * there is none. So a child has none until it makes its own, and a block it inherited is not one
 * of its own pool's.
 *
 * Hot paths: pool_alloc and pool_free: one lock pair and the bound of quarters.h, no system call
 * unless another thread holds the lock.
 * Not here: arguments and errno (client/k_malloc.c), setting the library up (client/process.h).
 */
#ifndef HEAPD_CLIENT_POOL_H
#define HEAPD_CLIENT_POOL_H

#include "common/base.h"

/* What a request costs beyond its own size, as in the original. */
#define POOL_EXTRA 16

/* An answer: there is no pool in this process, or not yet. */
#define POOL_ABSENT 2

/*
 * The program says which size it is built for, in bytes; the environment may say another. The first
 * word stands, another one later is told on stderr. Not thread-safe: before main().
 */
void pool_wish(size_t size);

/* Bytes of the pool that the program or the environment wants: > 0. Or why there is none, for good:
 * -ENOMEM (the size is 0), -EINVAL (the environment asks for a size that cannot be). */
int pool_wanted(void);

/*
 * Makes the pool that is wanted, if there is none. Slow; many system calls. The library is set up.
 * 0; as private_create. A failure is no end: call again.
 */
int pool_make(void);

/*
 * A block that holds bytes, POOL_EXTRA included, at a multiple of its size or of a page, whichever
 * is less. 0 and *out; QUARTERS_NONE_FREE; POOL_ABSENT.
 */
int pool_alloc(uint64_t bytes, void **out);

/* Anything but a block of this pool is counted, and changes nothing. Not NULL. */
void pool_free(void *block);

/* Once in a process, and in the child after a fork: there is no pool. Single-threaded. */
void pool_reset(void);

/* In the parent after a fork: its own copy of what the fork shares, before an alloc needs it. */
void pool_unshare(void);

#endif
