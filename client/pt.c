/*
 * pt.c: the interface of pt.h over partitions.h
 *
 * Thin: arguments, errno, NULL. errno is set only where pt.h says so: a signal handler that finds a
 * partition empty shall not disturb the thread that it interrupted.
 */
#include "heapclient/pt.h"

#include "client/cancel.h"
#include "client/blocks_inline.h"
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

/* All that is not common: who has no partition of that number, who is a child, who finds nothing at hand. */
static __attribute__((__noinline__)) void *get_slowly(int ptno)
{
	struct blocks *b;
	void *block = NULL;
	int r = partition_find(ptno, &b);

	if (likely(r == 0))
		r = blocks_take_slowly(b, &block);
	if (unlikely(r < 0))
		(void)fail(r);
	return block;
}

/* There is nobody to tell; in a child nothing is counted. */
static __attribute__((__noinline__)) void give_slowly(int ptno, const void *block)
{
	struct blocks *b;
	uint64_t serial;

	if (partition_find(ptno, &b) == 0 && blocks_give_slowly(b, block, &serial) == -EINVAL)
		(void)blocks_note_bad(b, serial);
}

EXPORT void *pt_getblock(int ptno)
{
	void *block;

	if (likely((unsigned int)ptno < MAX_PARTITIONS && blocks_take_at_hand(&partition_table_[(unsigned int)ptno].blocks, &block)))
		return block;
	return get_slowly(ptno);
}

static inline void give(int ptno, const void *block)
{
	if (unlikely((unsigned int)ptno >= MAX_PARTITIONS ||
		     !blocks_give_at_hand(&partition_table_[(unsigned int)ptno].blocks, block)))
		give_slowly(ptno, block);
}

EXPORT void pt_freeblock(int ptno, void *block)
{
	give(ptno, block);
}

EXPORT void pt_retblock(int ptno, void *block)
{
	give(ptno, block);
}
