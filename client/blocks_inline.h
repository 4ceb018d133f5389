/*
 * blocks_inline.h: take and give as they are most of the time
 *
 * The short ways, through what the CPU has at hand (client/magazines.h), for the interface's calls to be
 * compiled into them; the ways over the stack are in blocks.c.
 *
 * An entry at hand is a block's offset, and below that its number: to come from an offset to an address
 * takes a cycle or two, to come from a number a multiplication, and in a program that takes and gives by turns each
 * waits for the one before.
 */
#ifndef HEAPD_CLIENT_BLOCKS_INLINE_H
#define HEAPD_CLIENT_BLOCKS_INLINE_H

#include "client/blocks.h"

/* 0; BLOCKS_EMPTY; -EBADF. */
int blocks_take_slowly(struct blocks *b, void **block);

/* The block is claimed, so this opening lasts. */
void blocks_give_slowly(struct blocks *b, uint64_t entry, uint32_t number);

/* Counts a bad give. -EINVAL; -EBADF: the opening has ended. */
int blocks_note_bad(const struct blocks *b, uint64_t serial);

static inline bool blocks_still(const struct blocks *b, uint64_t serial)
{
	BLOCKS_STEP();
	return likely(atomic_load_explicit(&b->serial, memory_order_acquire) == serial);
}

static inline uint64_t rotate_right(uint64_t x, unsigned int by)
{
	return x >> by | x << (-by & 63);
}

/*
 * The number of the block at that offset. To multiply with the inverse and to rotate are
 * one-to-one on 64-bit words and take m * stride to m, so the n offsets of blocks are the only
 * ones that become numbers below n: one comparison finds what is outside and what is in between.
 */
static inline uint64_t number_of(uint64_t offset, uint64_t stride, uint64_t inverse)
{
	return rotate_right(offset * inverse, (unsigned int)__builtin_ctzll(stride));
}

/*
 * A block from this CPU's row. False: another way. What is at hand is of the opening of now, and that lasts as
 * long as the block is out: so the fields are those that belong to it. In the child of a fork nothing is at hand.
 */
static inline bool blocks_take_at_hand(struct blocks *b, void **block)
{
	struct magazines *m = atomic_load_explicit(&b->at_hand, memory_order_relaxed);
	_Atomic uint32_t *link;
	uint64_t entry;

	BLOCKS_STEP();
	if (unlikely(!m || !magazines_take(m, &entry)))
		return false;
	link = atomic_load_explicit(&b->link, memory_order_acquire);
	BLOCKS_STEP();
	atomic_store_explicit(&link[entry & (BLOCKS_KNOWN - 1)], atomic_load_explicit(&b->out, memory_order_acquire),
			      memory_order_relaxed);
	*block = (void *)(uintptr_t)(atomic_load_explicit(&b->base, memory_order_acquire) + (entry >> BLOCKS_NUMBER_BITS));
	return true;
}

/* 0 and a block; BLOCKS_EMPTY; -EBADF: closed. For signal handlers too. */
static inline int blocks_take(struct blocks *b, void **block)
{
	if (likely(blocks_take_at_hand(b, block)))
		return 0;
	return blocks_take_slowly(b, block);
}

/* True: it was out, and now is ours alone to give. */
static inline bool claim(_Atomic uint32_t *link, uint32_t out)
{
#if defined(__x86_64__) && RSEQ_HERE && !STRICT_FREES && !defined(TEST_STRICT_FREES)
	/*
	 * One instruction, so whole for everything on this CPU, handlers too, but not locked. It writes
	 * also when it fails, so a word that is not the marker is not touched at all.
	 */
	bool r;

	if (unlikely(atomic_load_explicit(link, memory_order_relaxed) != out))
		return false;
	BLOCKS_STEP();
	__asm__ volatile("cmpxchgl %[claimed], %[link]"
			 : "=@ccz"(r), [link] "+m"(*link), "+a"(out)
			 : [claimed] "r"(BLOCKS_CLAIMED)
			 : "memory");
	return likely(r);
#else
	return likely(atomic_compare_exchange_strong_explicit(link, &out, BLOCKS_CLAIMED, memory_order_acquire,
							      memory_order_relaxed));
#endif
}

/*
 * 0; -EINVAL: block is none, or none that is out; nothing changes, and bad gives are for the caller to count
 * (blocks_note_bad). -EBADF: closed. For signal handlers too. In the child of a fork no block is out.
 */
static inline int blocks_try_give(struct blocks *b, const void *block, uint64_t *serial)
{
	uint64_t offset, stride, inverse, number, entry;
	_Atomic uint32_t *link;
	struct magazines *m;
	uint32_t n, out;

	BLOCKS_STEP();
	*serial = atomic_load_explicit(&b->serial, memory_order_acquire);
	BLOCKS_STEP();
	link = atomic_load_explicit(&b->link, memory_order_acquire);
	offset = (uint64_t)(uintptr_t)block - atomic_load_explicit(&b->base, memory_order_acquire);
	BLOCKS_STEP();
	stride = atomic_load_explicit(&b->stride, memory_order_acquire);
	inverse = atomic_load_explicit(&b->inverse, memory_order_acquire);
	n = atomic_load_explicit(&b->n, memory_order_acquire);
	out = atomic_load_explicit(&b->out, memory_order_acquire);
	if (unlikely(*serial == 0 || !blocks_still(b, *serial)))
		return -EBADF;
	number = number_of(offset, stride, inverse);
	if (unlikely(number >= n))
		return -EINVAL;
	BLOCKS_STEP();
	if (unlikely(!claim(&link[number], out)))
		return -EINVAL;
	entry = offset << BLOCKS_NUMBER_BITS | number;
	m = atomic_load_explicit(&b->at_hand, memory_order_relaxed);
	if (unlikely(!m || !magazines_give(m, entry)))
		blocks_give_slowly(b, entry, (uint32_t)number);
	return 0;
}

/* The same, and a bad give is counted. */
static inline int blocks_give(struct blocks *b, const void *block)
{
	uint64_t serial;
	int r = blocks_try_give(b, block, &serial);

	return unlikely(r == -EINVAL) ? blocks_note_bad(b, serial) : r;
}

#endif
