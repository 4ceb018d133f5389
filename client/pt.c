/*
 * pt.c: the interface of pt.h over partitions.h
 *
 * Thin: arguments, errno, NULL. errno is set only where pt.h says so: a signal handler that finds a
 * partition empty shall not disturb the thread that it interrupted.
 */
#include "heapclient/pt.h"

#include "client/cancel.h"
#include "client/partitions.h"
#include "client/process.h"

#define EXPORT __attribute__((visibility("default")))

static int fail(int r)
{
	errno = r == -EBADF ? EBADID : -r;
	return -1;
}

EXPORT int pt_create(size_t blocksize, int numblocks)
{
	_no_cancel_ int cancel = cancel_disable();
	int r;

	if (blocksize == 0 || numblocks <= 0)
		return fail(-EINVAL);
	if (process_enter() < 0)
		return fail(-ENOSPC);
	r = partition_create(blocksize, (uint32_t)numblocks);
	return r < 0 ? fail(r) : r;
}

EXPORT int pt_destroy(int ptno)
{
	_no_cancel_ int cancel = cancel_disable();
	int r = partition_destroy(ptno);

	return r < 0 ? fail(r) : 0;
}

EXPORT void *pt_getblock(int ptno)
{
	struct blocks *b;
	void *block = NULL;
	int r = partition_find(ptno, &b);

	if (likely(r == 0))
		r = blocks_take(b, &block);
	if (unlikely(r < 0))
		(void)fail(r);
	return block;
}

static inline void give(int ptno, const void *block)
{
	struct blocks *b;

	if (likely(partition_find(ptno, &b) == 0))
		(void)blocks_give(b, block); /* a bad one is counted, and there is nobody to tell */
}

EXPORT void pt_freeblock(int ptno, void *block)
{
	give(ptno, block);
}

EXPORT void pt_retblock(int ptno, void *block)
{
	give(ptno, block);
}
