/*
 * rt_heap.h: real-time heaps and shared segments, in the manner of RTAI and Xenomai
 *
 * Four kinds of heap come out of name and mode:
 *   local           no name: blocks for this process; gone when it exits
 *   named           blocks that every process that binds the name draws from one pool
 *   shared segment  H_SHARED: rt_heap_alloc gives everyone the base of the whole segment
 *   single block    H_SINGLE alone: a segment that may be unnamed
 *
 * Every call is safe from any thread; none may be called from a signal handler. Calls return 0 or a
 * negative errno. In a child after fork every call on an inherited descriptor returns -EPERM. No
 * call is a cancellation point.
 *
 * Semantics: RTAI/Xenomai 2 native skin, "Memory heap services"; block sizes: McKusick and Karels,
 * "Design of a General Purpose Memory Allocator for the 4.3BSD UNIX Kernel", USENIX Summer 1988.
 * What differs is in docs/deviations.md.
 */
#ifndef HEAPCLIENT_RT_HEAP_H
#define HEAPCLIENT_RT_HEAP_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

struct timespec;

/* A duration in nanoseconds (CLOCK_MONOTONIC), or one of the two below. */
typedef uint64_t RTIME;

#define TM_INFINITE 0            /* wait for ever */
#define TM_NONBLOCK ((RTIME)-1)  /* do not wait */

#define H_FIFO       0x0   /* waiters in the order they came */
#define H_PRIO       0x1   /* waiters by real-time priority, equals in the order they came */
#define H_DMA        0x100 /* memory of a DMA device the daemon is configured with */
#define H_MAPPABLE   0x200 /* (with H_SINGLE) */
#define H_SINGLE     0x400 /* one block, the whole heap */
#define H_SHARED     (H_MAPPABLE | H_SINGLE)
#define H_NONCACHED  0x800 /* memory of an uncached device the daemon is configured with */

/*
 * A descriptor. Declare it, pass its address to rt_heap_create or rt_heap_bind, copy it freely; copies
 * are the same descriptor. It holds no pointer: a stale or garbage one is an error code, never a crash. (One of which
 * only the second half was overwritten may work still, now and then.) As long as a call uses a variable, no other
 * thread may store another descriptor in it.
 */
typedef struct rt_heap {
	uint16_t magic_;
	uint16_t view_;
	uint32_t turn_;
	uint64_t serial_;
} RT_HEAP;

typedef struct rt_heap_info {
	int nwaiters;     /* threads of all processes that wait for memory */
	int mode;         /* as created */
	size_t heapsize;  /* bytes, as asked at creation */
	size_t usablemem; /* bytes that can be handed out: heapsize in whole pages */
	size_t usedmem;   /* bytes in handed-out blocks of all processes, rounded to block sizes */
	char name[64];    /* "" for a heap without one */
} RT_HEAP_INFO;

/*
 * Creates a heap and gives the caller a descriptor of it.
 *
 * heap      filled in on success; the storage is the caller's.
 * name      1 to 63 bytes of printable ASCII without '/' and blanks, one namespace for the machine;
 *           NULL or "" for a heap of this process only. Copied.
 * heapsize  bytes, > 0; rounded up to whole 4096-byte pages, all of which are handed out: bookkeeping is outside.
 * mode      H_FIFO or H_PRIO, with H_SHARED or H_SINGLE, H_DMA, H_NONCACHED or'ed in.
 *
 * All memory is committed before it returns (RAM is taken now; the caller's page tables are filled), so
 * it blocks for as long as the kernel takes to clear that much memory; a new segment reads as zeros. Not real-time.
 * A named heap lives until rt_heap_delete, whoever exits. A local one ends with its process, or with its
 * last descriptor.
 *
 * -EINVAL        heap NULL, size 0 or above the daemon's limit, unknown or contradictory mode bits, H_SHARED
 *                without a name, a bad character in the name
 * -ENAMETOOLONG  a name of more than 63 bytes
 * -EEXIST        the name is taken
 * -ENOMEM        the machine has not that much memory, or this process no room for the mapping, or no
 *                thread for the library
 * -EDQUOT        a quota of this user
 * -EACCES        this user may not create heaps
 * -EMFILE        this process or the daemon is out of file descriptors
 * -EOPNOTSUPP    H_DMA or H_NONCACHED without a device configured to back it, or it cannot be opened
 * -EAGAIN        H_DMA or H_NONCACHED, and another heap has the device, which cannot be had twice
 * -ECONNREFUSED  no daemon
 * -EPROTONOSUPPORT  a daemon of another protocol version (heapclient_problem() names both)
 */
int rt_heap_create(RT_HEAP *heap, const char *name, size_t heapsize, int mode);

/*
 * Deletes the heap. Its name is free at once; every waiter in every process returns -EIDRM, and so does every
 * later call on it but rt_heap_unbind. Mappings stay valid until unbind or exit. Sends a request to the
 * daemon and waits for its reply.
 *
 * -EINVAL  not a heap descriptor
 * -EPERM   the heap belongs to another user (and the caller is not root), or is bound read-only
 * -EIDRM   it is deleted already
 * -ECONNREFUSED  the daemon is gone
 */
int rt_heap_delete(RT_HEAP *heap);

/*
 * Takes a block of at least size bytes; on a segment, the address of the whole segment.
 *
 * size     bytes. On a segment 0 or the creation size, else -EINVAL. Up to a page (4096 bytes; 512 in heaps of up
 *          to 64 KiB) the block has the next power of two, at least 16, and is naturally aligned; above, whole
 *          pages. Contents are undefined.
 * timeout  TM_NONBLOCK, TM_INFINITE, or nanoseconds to wait until memory is freed.
 * blockp   *blockp is the block, or NULL on every failure. The block is the heap's until rt_heap_free, rt_heap_unbind
 *          of the last descriptor, or exit of this process.
 *
 * Real-time: while this process holds free pages for the request, no system call, no page fault, a bounded number
 * of instructions under one priority-inheriting lock. Otherwise it asks the daemon, and waits.
 * TM_NONBLOCK finds memory that is free anywhere in the heap: it may ask other processes for their free pages, which
 * takes at most the daemon's recall bound (5 ms by default) should one of them be stopped.
 * Waiters are served in the order of the heap's mode across all processes; a small request may pass a large one that
 * does not fit yet.
 *
 * -EINVAL       not a heap descriptor, size 0 on a block heap, wrong size on a segment, blockp NULL
 * -ENOMEM       more than the heap could ever hold, whatever the timeout
 * -EWOULDBLOCK  nothing free, and TM_NONBLOCK
 * -ETIMEDOUT    nothing was freed in time
 * -EINTR        a signal handler without SA_RESTART ran while the thread waited
 * -EIDRM        the heap was deleted, before or during the wait; or the daemon that knew it is gone
 * -EACCES       the heap is bound read-only
 * -EDQUOT       this user has too many requests waiting at the daemon
 */
int rt_heap_alloc(RT_HEAP *heap, size_t size, RTIME timeout, void **blockp);

/*
 * Like rt_heap_alloc, with an absolute time of CLOCK_MONOTONIC to wait until; NULL waits for ever, a time that has
 * passed does not wait (-ETIMEDOUT). -EINVAL also for tv_nsec out of range.
 */
int rt_heap_alloc_until(RT_HEAP *heap, size_t size, const struct timespec *abs_monotonic, void **blockp);

/*
 * Gives a block back; the first waiters that it satisfies get it directly, in their order. On a segment: no effect, 0.
 *
 * Real-time: as rt_heap_alloc, plus one futex call for each waiter it resumes. A block that another process took is
 * carried to that process: a message, not a hot path; 0 once it is on its way, and should it turn out bad there,
 * nothing changes and the owner's count of bad frees goes up.
 *
 * -EINVAL  not a heap descriptor; NULL; an address outside the heap, not the start of a block, or free already.
 *          Nothing changes.
 * -EIDRM   the heap was deleted
 * -EACCES  the heap is bound read-only
 * -EAGAIN  the process that holds the block is stopped and has too many frees waiting for it, has not come back yet
 *          from a restart of heapd, or cannot be told for want of memory; nothing was freed
 */
int rt_heap_free(RT_HEAP *heap, void *block);

/*
 * Tells about the heap. Never waits for memory; for named heaps it asks the daemon and waits for its reply.
 * -EINVAL (not a heap descriptor, info NULL), -EIDRM, -ECONNREFUSED (the daemon is gone).
 */
int rt_heap_inquire(RT_HEAP *heap, RT_HEAP_INFO *info);

/*
 * Binds to the heap of that name, waiting for as long as it takes until somebody creates it, the daemon's start
 * included. Maps it and fills the page tables. Any number of descriptors and processes may be bound; in the creating
 * process it gives one more descriptor. A user who may only read the heap is bound read-only: blocks of others can be
 * read through rt_heap_pointer, nothing can be taken, freed or written (a store is SIGSEGV).
 *
 * -EINVAL, -ENAMETOOLONG  the name (also NULL and ""), heap NULL
 * -EACCES        the heap's mode bits deny this user
 * -EINTR         a signal handler without SA_RESTART ran while it waited
 * -EDQUOT        this user has too many requests waiting at the daemon, or too many sessions
 * -ENOMEM, -EMFILE  this process has no room for the mapping, no descriptor for the memory
 * -EPROTONOSUPPORT  a daemon of another protocol version
 */
int rt_heap_bind(RT_HEAP *heap, const char *name);

/*
 * Like rt_heap_bind with a bound on the wait: TM_NONBLOCK (-EWOULDBLOCK at once if there is no such heap,
 * -ECONNREFUSED if there is no daemon), TM_INFINITE, or nanoseconds (-ETIMEDOUT).
 */
int rt_heap_bind_timed(RT_HEAP *heap, const char *name, RTIME timeout);

/*
 * Ends this descriptor (and its copies). With the process's last descriptor of a heap its mapping goes and its pages
 * return to the pool, blocks it took included. Works on a deleted heap too.
 *
 * -EINVAL  not a heap descriptor, or unbound already
 * -EBUSY   a thread of this process waits in that heap
 */
int rt_heap_unbind(RT_HEAP *heap);

/*
 * The offset of an address in the heap, which names the same byte in every process that is bound to it.
 * Real-time: reads a table. -EINVAL: not a heap descriptor, offset NULL, address outside the heap. -EIDRM.
 */
int rt_heap_offset(RT_HEAP *heap, const void *block, size_t *offset);

/*
 * The address of an offset in this process. *blockp is NULL on failure.
 * Real-time: reads a table. -EINVAL: not a heap descriptor, blockp NULL, offset outside the heap. -EIDRM.
 */
int rt_heap_pointer(RT_HEAP *heap, size_t offset, void **blockp);

#ifdef __cplusplus
}
#endif

#endif
