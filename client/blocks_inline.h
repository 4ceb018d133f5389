/*
 * blocks_inline.h: take and give as they are most of the time
 *
 * The short ways, through what the CPU has at hand (client/magazines.h), for the interface's calls to be
 * compiled into them; the ways over the stack are in blocks.c.
 *
 * Nothing is looked at beforehand: what is at hand is of the opening of now, and the sequences read its fields.
 */
#ifndef HEAPD_CLIENT_BLOCKS_INLINE_H
#define HEAPD_CLIENT_BLOCKS_INLINE_H

#include "client/blocks.h"

/* 0; BLOCKS_EMPTY; -EBADF. */
int blocks_take_slowly(struct blocks *b, void **block);

/*
 * Whatever the short way could not do or tell. 0; -EINVAL: block is none, or none that is out; nothing changes, and bad
 * gives are for the caller to count (blocks_note_bad). -EBADF: closed.
 */
int blocks_give_slowly(struct blocks *b, const void *block, uint64_t *serial);

/* Strict only: a block that was at hand is somebody's now. */
void blocks_mark_out(struct blocks *b, const void *block);

/* Counts a bad give. -EINVAL; -EBADF: the opening has ended. */
int blocks_note_bad(const struct blocks *b, uint64_t serial);

/*
 * A block from this CPU's row. False: another way. What is at hand is of the opening of now, and that lasts as
 * long as the block is out. In the child of a fork nothing is at hand.
 */
static inline bool blocks_take_at_hand(struct blocks *b, void **block)
{
	struct magazines *m = atomic_load_explicit(&b->at_hand, memory_order_relaxed);
	uint64_t found;

	BLOCKS_STEP();
	if (unlikely(!m || !magazines_take(m, &found)))
		return false;
	*block = (void *)(uintptr_t)found;
	if (RSEQ_STRICT)
		blocks_mark_out(b, *block);
	return true;
}

/* 0 and a block; BLOCKS_EMPTY; -EBADF: closed. For signal handlers too. */
static inline int blocks_take(struct blocks *b, void **block)
{
	if (likely(blocks_take_at_hand(b, block)))
		return 0;
	return blocks_take_slowly(b, block);
}

/* Into this CPU's row. False: nothing is said, blocks_give_slowly does the rest. */
static inline bool blocks_give_at_hand(struct blocks *b, const void *block)
{
	struct magazines *m = atomic_load_explicit(&b->at_hand, memory_order_relaxed);

	BLOCKS_STEP();
	return !RSEQ_STRICT && likely(m) && likely(magazines_give(m, (uint64_t)(uintptr_t)block));
}

/*
 * 0; -EINVAL: block is none, or none that is out, which is counted; -EBADF: closed. For signal handlers too. In the child
 * of a fork no block is out.
 */
static inline int blocks_give(struct blocks *b, const void *block)
{
	uint64_t serial;
	int r;

	if (likely(blocks_give_at_hand(b, block)))
		return 0;
	r = blocks_give_slowly(b, block, &serial);
	return unlikely(r == -EINVAL) ? blocks_note_bad(b, serial) : r;
}

#endif
