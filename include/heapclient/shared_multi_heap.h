/*
 * shared_multi_heap.h: memory of several kinds, asked for by attribute, in the manner of Zephyr
 *
 * A pool of regions, one for each process. A region is a stretch of memory with one attribute; a
 * request names an attribute and gets a block of the first region of that attribute that has room,
 * in the order in which they were added, and never of another attribute. Regions come from three
 * sides: the administrator's ([region] of heapd.conf, attached by shared_multi_heap_pool_init), the
 * program's own memory, and memory from heapd. Once added, a region stays for the life of the
 * process, also when heapd ends.
 *
 * All bookkeeping is outside the regions: no call here reads or writes a region's memory, so a
 * stray write cannot damage the pool, and device memory is touched by the program alone.
 *
 * Every call is safe from any thread; none may be called from a signal handler; none is a
 * cancellation point. A child of fork starts without a pool: it allocates NULL and adds -EINVAL
 * until its own shared_multi_heap_pool_init; what it inherited stays mapped.
 *
 * Semantics: Zephyr 3.7, "Shared multi-heap interface". What differs is in docs/deviations.md.
 */
#ifndef HEAPCLIENT_SHARED_MULTI_HEAP_H
#define HEAPCLIENT_SHARED_MULTI_HEAP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum shared_multi_heap_attr {
	SMH_REG_ATTR_CACHEABLE,     /* ordinary memory */
	SMH_REG_ATTR_NON_CACHEABLE, /* memory that is not cached, as the program or a device says */
	SMH_REG_ATTR_NUM            /* not an attribute: how many there are */
};

#define MAX_SHARED_MULTI_HEAP_ATTR SMH_REG_ATTR_NUM

/* A region to be added. */
struct shared_multi_heap_region {
	enum shared_multi_heap_attr attr;
	uintptr_t addr; /* of the program's own memory; 0: of heapd's, and this is filled in */
	size_t size;    /* bytes, > 0 */
};

/*
 * Makes the pool of this process. The first call. Asks heapd for the regions of its configuration
 * and attaches those that this user may have, in the file's order, before any that are added later.
 * A region that cannot be had because another process has its device, or because of access rights,
 * is left out, and heapclient_problem() names it. Anything else that goes wrong leaves all as it
 * was before the call.
 *
 * Blocks while heapd commits the memory. Not real-time.
 *
 * 0
 * -EALREADY      it was called before
 * -ENOMEM        the machine has not that much memory, this process no room for it, or more than
 *                eight regions of an attribute are configured
 * -EDQUOT        a quota of this user
 * -EMFILE        this process or the daemon is out of file descriptors
 * -EOPNOTSUPP    a configured device is not there, or is smaller than its region; see heapd's log
 * -ECONNREFUSED  no daemon
 * -EPROTONOSUPPORT  a daemon of another protocol version
 * and what the kernel says when a configured device is mapped. heapclient_problem() names the
 * region.
 */
int shared_multi_heap_pool_init(void);

/*
 * Takes a block of at least bytes.
 *
 * attr   of the region it comes from.
 * bytes  up to a page of the region's allocator (4096 bytes; 512 in regions of up to 64 KiB) the
 *        block has the next power of two, at least 16, and starts at a multiple of it; above, whole
 *        pages. Contents are what they were.
 *
 * The block is the caller's until shared_multi_heap_free.
 * Real-time, from the first call on: no system call, no page fault, a bounded number of
 * instructions under one priority-inheriting lock for each region tried, eight at most.
 *
 * NULL and errno: ENOMEM, no region of that attribute has room. EINVAL, no pool in this process,
 * 0 bytes, or an attribute that is none.
 */
void *shared_multi_heap_alloc(enum shared_multi_heap_attr attr, size_t bytes);

/*
 * The same, at a multiple of align, which is a power of two: any up to 4096, and larger ones, where
 * a region holds such an address (in regions above 1 GiB: up to 1 GiB). In fragmented memory a
 * request for more than 4096 may be refused although there would be a place.
 *
 * NULL and errno as above; EINVAL also when align is 0 or no power of two.
 */
void *shared_multi_heap_aligned_alloc(enum shared_multi_heap_attr attr, size_t align, size_t bytes);

/*
 * Gives a block back; any thread of the process may. NULL: nothing happens. A pointer that is no
 * block, or one that was freed already, changes nothing; it is counted as a bad free of the region
 * it points into, else of the first region, and heapctl shows the count. Keeps errno. Real-time, as
 * shared_multi_heap_alloc: one lock.
 */
void shared_multi_heap_free(void *block);

/*
 * Adds a region to the pool, behind those of its attribute that are there. It is never removed.
 *
 * region     read; addr is filled in when it was 0. The struct stays the caller's, and is not kept.
 *   addr != 0: size bytes of the caller's own memory, any alignment. The pool hands out the whole
 *              allocator pages in it and never touches it. It must stay mapped. Whether using it
 *              faults or is locked into RAM is the caller's business (mlock). heapd keeps a record
 *              of it, for heapctl.
 *   addr == 0: memory of heapd, committed and mapped before the call returns, in whole 4096-byte
 *              pages, all of which are handed out.
 * user_data  kept with the region, and used by nobody: in Zephyr it is for a function that chooses
 *            among heaps, and this interface has no way to set one. May be NULL.
 *
 * Blocks: asks the daemon. Not real-time.
 *
 * 0
 * -EINVAL        region NULL; attr out of bound; size 0; of heapd's memory: more than the daemon's
 *                limit; of the caller's: no whole page of the allocator in it (512 bytes, aligned),
 *                the end beyond the address space, or it overlaps a region of the pool; no pool in
 *                this process
 * -ENOMEM        eight regions of that attribute are there; or the machine has not that much
 *                memory, or this process no room for it
 * -EDQUOT        a quota of this user
 * -EACCES        this user may not create heaps
 * -EMFILE        this process or the daemon is out of file descriptors
 * -ECONNREFUSED  no daemon
 * -EPROTONOSUPPORT  a daemon of another protocol version
 */
int shared_multi_heap_add(struct shared_multi_heap_region *region, void *user_data);

#ifdef __cplusplus
}
#endif

#endif
