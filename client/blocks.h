/*
 * blocks.h: blocks of one size, handed out and taken back without a lock
 *
 * Model: a piece of memory is cut into n blocks of one stride. Those that nobody has are a stack of
 * block numbers. Its head {tag, top, n_free} is one 16-byte value that every take, give and close
 * changes by one compare-and-exchange, with a tag that is never used again: so the count of free
 * blocks is always exact, and whoever was interrupted with an old head in hand cannot do harm. Each
 * block has a link word: while it is in the stack, what is below it; while it is out, a marker of this
 * opening. A give to the stack first claims its block by exchanging the marker, so of any number of gives of one
 * block exactly one is believed.
 *
 * In front of the stack each CPU may have some blocks at hand (client/magazines.h): most takes and gives
 * then touch no head that another CPU writes. They are as free as those in the stack: a
 * take that finds the stack empty gets them wherever they are, and a close counts them. A block that was ever given so
 * keeps, in its link word, the place it was put; whether it is out is then told by the row (client/rseq_rows.h), within
 * the sequence. Of gives that run in the same instant on two CPUs both may be believed. Built with strict_frees each give claims
 * its block by a locked exchange, and each take marks it.
 *
 * A struct blocks may be opened and closed again and again while other threads, and handlers that
 * interrupted them, are anywhere in take and give. Each opening has a serial of its own. Whoever
 * reads the fields looks at the serial before and after; from there on the tag (take) or the
 * marker (give) tells this opening from every other. For that, three things are never unmapped:
 * the struct, the link words and the statistics slot that holds the head.
 *
 * Invariant: each block is in the stack once, or at hand once and its link is that place (strict: says claimed), or its
 * link is the marker or another place and somebody has it, or one running take or give is about to see to it; n_free is
 * the length of the stack. While blocks are out, the struct cannot be closed. blocks_check() proves it when nothing runs.
 *
 * Bound: take and give are some tens of instructions and repeat only the few of the exchange, each
 * time because another thread's exchange succeeded in between (lock-free). A take that finds the stack
 * empty looks at each row of the magazines up to four times, and if another CPU has a block it runs a
 * barrier, which is a system call; so does close. No loop over blocks but in open and check. All but
 * those two and close may be called from signal handlers, also from
 * one that interrupted any call here at any instruction.
 * Not here: the memory itself, which is never touched; who opens when (client/partitions.h).
 */
#ifndef HEAPD_CLIENT_BLOCKS_H
#define HEAPD_CLIENT_BLOCKS_H

#include <stdatomic.h>
#include "common/base.h"
#include "client/magazines.h"
#include "proto/wire.h"

#define BLOCKS_APART 16u /* link words in a cache line */
#define BLOCKS_MAX 0x7ffffffeu /* of one struct; link words above it say who has the block */

/* An answer, not a failure: all blocks are out. */
#define BLOCKS_EMPTY 1

/* A cache line, and the magazines. */
struct blocks {
	_Atomic uint64_t serial;            /* of this opening; 0: closed */
	_Atomic(struct wire_stats *) stats; /* .vacant is the head, .high and .bad_frees are kept */
	_Atomic(_Atomic uint32_t *) link;   /* one word a block */
	_Atomic uint64_t base;              /* the address of block 0 */
	_Atomic uint64_t stride;            /* an odd number times a power of two … */
	_Atomic uint64_t inverse;           /* … and that odd number's inverse modulo 2^64 */
	_Atomic uint32_t n;
	_Atomic uint32_t out;               /* the marker of this opening */
	_Atomic(struct magazines *) at_hand; /* NULL: there are none. The caller's; stays when it is there */
};

/* What an opening is about. The caller's storage, only read. */
struct blocks_layout {
	struct wire_stats *stats; /* nobody else writes .vacant, .high, .bad_frees while it is open */
	_Atomic uint32_t *link;   /* n words, backed by memory already */
	void *base;
	uint64_t stride;          /* bytes, > 0; stride * n fits in 63 bits */
	uint32_t n;               /* 1 .. BLOCKS_MAX */
	uint64_t serial;          /* > 0, of no earlier opening of anything that had these links or this slot */
	uint64_t first_tag;       /* > 0, above all tags that this slot ever had (blocks_close tells) */
	struct wire_heads *heads; /* of the magazines' rows, as areas_heads gives them; NULL: nothing is at hand. Else
				     rseq_row_fits(stride, n) */
	uint32_t row_max;         /* blocks in a row at most, 1 .. RSEQ_ROW_ENTRIES */
};

/* Every block is free. b is closed, and nobody else opens it. O(n). */
void blocks_open(struct blocks *b, const struct blocks_layout *layout);

/*
 * From now on nobody takes or gives. 0, and *last_tag is the last that the slot had; -EBUSY: blocks
 * are out, nothing changes; -EBADF: closed already.
 */
int blocks_close(struct blocks *b, uint64_t *last_tag);

/* blocks_take and blocks_give: client/blocks_inline.h. */

/* Walks everything while nothing else runs. 0, -EUCLEAN; -EBADF: closed. O(n). */
int blocks_check(const struct blocks *b);

/* The test build stops between any two accesses to what threads share. */
#ifdef TEST_BLOCKS_STEP
void blocks_step(void);
#define BLOCKS_STEP() blocks_step()
#else
#define BLOCKS_STEP() ((void)0)
#endif

/* ---- for blocks.c and blocks_check.c ---- */

/* Link words above BLOCKS_MAX. The markers of openings, and places, are those above this one. */
#define BLOCKS_CLAIMED (BLOCKS_MAX + 1u) /* a give is on its way */
_Static_assert(BLOCKS_CLAIMED < RSEQ_PLACE, "no place");

/* The head's top, a number + 1 as in the links (0: none), or this one after close. */
#define BLOCKS_CLOSED UINT32_MAX

#endif
