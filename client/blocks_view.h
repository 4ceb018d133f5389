/*
 * blocks_view.h: what take and give have in common: the head of the stack, and one opening as they see it
 *
 * What an operation may rely on, in its order. (1) The fields were read between two looks at the
 * serial that agree: they are of one opening, so a number below n has a link word. (2) The head was
 * read before a look at the serial that still agrees: its top is of that opening too. (3) The
 * exchange of a head succeeded: its tag is of that opening alone, so nothing was closed meanwhile,
 * and the link that was read is that of the block that was on top. (4) A claim succeeded: the marker
 * is of that opening alone, and it cannot be closed until the block is back.
 *
 * Orders: a field is read with acquire, so the second look at the serial comes after it; it is
 * written with release, so who reads it sees that the serial had gone. (No fences: the thread
 * sanitizer does not know them.) The exchanges are full barriers.
 */
#ifndef HEAPD_CLIENT_BLOCKS_VIEW_H
#define HEAPD_CLIENT_BLOCKS_VIEW_H

#include "client/blocks_inline.h"

#ifndef __SIZEOF_INT128__
#error "needs a processor that exchanges 16 bytes at once"
#endif

/* The head in its three sizes. Halves are read one by one: a pair that was never there fails the exchange. */
union head {
	struct wire_vacant vacant;
	uint64_t half[2]; /* the tag; top and n_free */
	unsigned __int128 whole;
};
_Static_assert(sizeof(union head) == sizeof(struct wire_vacant), "one exchange");

/* One opening, as an operation sees it. */
struct view {
	uint64_t serial;
	_Atomic uint32_t *link;
	struct wire_stats *stats;
	union head *head;
	uint64_t base, stride, inverse;
	uint32_t n, out;
};

static inline bool blocks_still(const struct blocks *b, uint64_t serial)
{
	BLOCKS_STEP();
	return likely(atomic_load_explicit(&b->serial, memory_order_acquire) == serial);
}

/* ---- the head ---- */

static inline union head *head_of(struct wire_stats *stats)
{
	return (union head *)(void *)&stats->vacant;
}

static inline union head head_read(const union head *at)
{
	union head h;

	BLOCKS_STEP();
	h.half[0] = __atomic_load_n(&at->half[0], __ATOMIC_ACQUIRE);
	BLOCKS_STEP();
	h.half[1] = __atomic_load_n(&at->half[1], __ATOMIC_ACQUIRE);
	return h;
}

/* True: it was *old and is now new. False: *old is what it is instead. Inline: with __sync, gcc makes no call of it. */
static inline bool head_exchange(union head *at, union head *old, union head new)
{
	union head seen;

	BLOCKS_STEP();
	seen.whole = __sync_val_compare_and_swap(&at->whole, old->whole, new.whole);
	if (likely(seen.whole == old->whole))
		return true;
	*old = seen;
	return false;
}

static inline union head head_next(union head old, uint32_t top, uint32_t n_free)
{
	return (union head){.vacant = {.tag = old.vacant.tag + 1, .top = top, .n_free = n_free}};
}

/* ---- an opening ---- */

static inline void read_fields(const struct blocks *b, struct view *v)
{
	BLOCKS_STEP();
	v->stats = atomic_load_explicit(&b->stats, memory_order_acquire);
	v->head = head_of(v->stats);
	v->link = atomic_load_explicit(&b->link, memory_order_acquire);
	BLOCKS_STEP();
	v->base = atomic_load_explicit(&b->base, memory_order_acquire);
	v->stride = atomic_load_explicit(&b->stride, memory_order_acquire);
	v->inverse = atomic_load_explicit(&b->inverse, memory_order_acquire);
	v->n = atomic_load_explicit(&b->n, memory_order_acquire);
	v->out = atomic_load_explicit(&b->out, memory_order_acquire);
}

/* The fields, not looked at again yet. False: closed. */
static inline bool look(const struct blocks *b, struct view *v)
{
	BLOCKS_STEP();
	v->serial = atomic_load_explicit(&b->serial, memory_order_acquire);
	if (unlikely(v->serial == 0))
		return false;
	read_fields(b, v);
	return true;
}

/* NULL: nothing is ever at hand in this opening, whose serial was looked at; or it has ended. */
static inline struct magazines *magazines_of(const struct blocks *b, uint64_t serial)
{
	struct magazines *m = atomic_load(&b->at_hand);

	return m && magazines_are_of(m, serial) ? m : NULL;
}

/* ---- numbers and addresses ---- */

static inline uint64_t rotate_right(uint64_t x, unsigned int by)
{
	return x >> by | x << (-by & 63);
}

/*
 * The number of the block at that address. To multiply with the inverse and to rotate are
 * one-to-one on 64-bit words and take m * stride to m, so the n offsets of blocks are the only
 * ones that become numbers below n: one comparison finds what is outside and what is in between.
 */
static inline uint64_t number_of(const struct view *v, const void *block)
{
	uint64_t offset = (uint64_t)(uintptr_t)block - v->base;

	return rotate_right(offset * v->inverse, (unsigned int)__builtin_ctzll(v->stride));
}

#endif
