/*
 * k_malloc.h: the heap memory pool, in the manner of Zephyr
 *
 * A process has one pool of 256, 1024, 4096 or 16384 bytes, or none. It is one block that is split
 * in quarters, those in quarters, down to 64 bytes, as requests need it; four free quarters of one
 * block are that block again. A request of N bytes costs the smallest block that holds N + 16:
 *
 *   block      64   256   1024   4096   16384 bytes
 *   holds      48   240   1008   4080   16368
 *   pool 256    4     1
 *   1024       16     4      1
 *   4096       64    16      4      1
 *   16384     256    64     16      4       1     blocks at most
 *
 * How large it is: the program says so once, at file scope, with K_HEAP_MEM_POOL_SIZE(4096); or the
 * environment does, with CONFIG_HEAP_MEM_POOL_SIZE=4096, which wins (but not in programs that run
 * set-user-ID or with capabilities, and an empty value is none). Neither: no pool. A value in
 * the environment that is none of these sizes: no pool, and one line on stderr.
 *
 * When it is made: before main() when the program has K_HEAP_MEM_POOL_SIZE, else by the first call,
 * which then is slow; if heapd is not there, every later call tries again. All its memory is
 * committed then and stays the process's until it ends, whatever becomes of heapd.
 *
 * Every call is safe from any thread; none may be called from a signal handler. No call is a
 * cancellation point. In the child of a fork there is no pool until the child makes its own by its
 * first call; the parent's blocks stay readable and writable in it, are shared with the parent, and
 * are not to be freed there.
 *
 * Semantics: Zephyr's "Heap Memory Pool" (heap_v2); k_calloc and k_aligned_alloc as later Zephyr
 * has them. What differs is in docs/deviations.md.
 */
#ifndef HEAPCLIENT_K_MALLOC_H
#define HEAPCLIENT_K_MALLOC_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Takes a block of at least size bytes from the pool. 0 gives a block too. It starts at a multiple
 * of the block's own size or of 4096, whichever is less. Its contents are undefined.
 *
 * The block is the caller's until k_free; it ends with the process.
 * Never waits for memory. Once there is a pool: no system call and no page fault, a bounded number
 * of instructions under one lock of the process, which inherits priority. Before: see above.
 *
 * NULL and errno:
 * ENOMEM        no block of that size is free, or none is so large; or the pool's size is 0
 * EINVAL        the environment's CONFIG_HEAP_MEM_POOL_SIZE is no size of a pool
 * ECONNREFUSED  the pool is not there yet and no heapd answers
 * and what else the making may end with: see k_heap_mem_pool_init
 */
void *k_malloc(size_t size);

/* Takes a block for nmemb elements of size bytes each and fills them with zeros. As k_malloc; a
 * product that is no size_t is NULL and ENOMEM. */
void *k_calloc(size_t nmemb, size_t size);

/*
 * Takes a block of at least size bytes whose address is a multiple of align. The block it costs
 * holds size + 16 bytes and is no smaller than align. As k_malloc; besides
 * EINVAL  align is no power of two, or more than 4096
 */
void *k_aligned_alloc(size_t align, size_t size);

/*
 * Gives a block back. NULL: does nothing. What is no block of this process's pool (another address,
 * not the start of a block, freed already) changes nothing and is counted; heapctl shows the count.
 * Real-time as k_malloc. Keeps errno.
 */
void k_free(void *ptr);

/*
 * Makes the pool now, if it is not there: for programs that want to know, want no slow first call,
 * or have forked. Ours; Zephyr has no such call. Blocks while heapd commits the memory.
 *
 * 0                 there is a pool
 * -ENOMEM           its size is 0; or the machine has not so much memory
 * -EINVAL           the environment's CONFIG_HEAP_MEM_POOL_SIZE is no size of a pool
 * -ECONNREFUSED     no heapd answers; heapclient_problem() says where it was looked for
 * -EPROTONOSUPPORT  heapd speaks another protocol
 * -EACCES, -EDQUOT  this user may not, or has too much already
 * -EMFILE           too many open files
 */
int k_heap_mem_pool_init(void);

/* For K_HEAP_MEM_POOL_SIZE and <zephyr/kernel.h> only: what size the program has. Before main(). */
void k_heap_mem_pool_size_(size_t size);

/* Whether a pool can have n bytes. */
#define K_HEAP_MEM_POOL_SIZE_OK(n) \
	((n) == 0 || (n) == 256 || (n) == 1024 || (n) == 4096 || (n) == 16384)

#ifdef __cplusplus
#define K_HEAP_MEM_POOL_ASSERT_ static_assert
#else
#define K_HEAP_MEM_POOL_ASSERT_ __extension__ _Static_assert
#endif

/* Before any constructor or static object of the program that has no priority of its own. */
#define K_HEAP_MEM_POOL_TELL_(name, n) \
	K_HEAP_MEM_POOL_ASSERT_(K_HEAP_MEM_POOL_SIZE_OK(n), \
				"the heap memory pool has 0, 256, 1024, 4096 or 16384 bytes"); \
	__attribute__((__constructor__(101), __used__)) static void name(void) \
	{ \
		k_heap_mem_pool_size_(n); \
	}

/* Named for the linker's message when a program has two K_HEAP_MEM_POOL_SIZE. */
extern const size_t K_HEAP_MEM_POOL_SIZE_given_twice_;

/*
 * At file scope, once in a program, with a semicolon: the size of its pool in bytes, a constant.
 * Another value than those of K_HEAP_MEM_POOL_SIZE_OK does not compile; twice does not link. In C++
 * not within a namespace.
 */
#ifdef __cplusplus
#define K_HEAP_MEM_POOL_SIZE(n) \
	K_HEAP_MEM_POOL_TELL_(tell_k_heap_mem_pool_size_, n) \
	extern "C" const size_t K_HEAP_MEM_POOL_SIZE_given_twice_ = (n)
#else
#define K_HEAP_MEM_POOL_SIZE(n) \
	K_HEAP_MEM_POOL_TELL_(tell_k_heap_mem_pool_size_, n) \
	const size_t K_HEAP_MEM_POOL_SIZE_given_twice_ = (n)
#endif

#ifdef __cplusplus
}
#endif

#endif
