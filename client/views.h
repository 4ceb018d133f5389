/*
 * views.h: what the sequences of descriptors look at: the arrays of a heap, once for each descriptor
 *
 * Model: a table that never moves. A view is a descriptor's, its gate is the descriptor's first word, and it has CPUs while the heap's gate
 * is open; all else in it is the heap's (client/hand.h). So what sequences ask anyway tells whether the descriptor is valid, the heap
 * attached and its gate open.
 *
 * The word says which view it is, and a turn that is given once (hand_spare). So no word is ever used twice, and a
 * gate that is shut, 0, is the word of no view but the first one, which is nobody's and has no CPUs. Whatever a variable says is inside of the
 * table; what it points to need not be a view, but begins at a multiple of 8 bytes, and another field stands where the gate would be. So a
 * view is had only by a heap none of whose fields, where they would stand in it, say just that place (hand_views.c): there is no word
 * but a gate that leads to itself. The rest of a descriptor is for the long way, which asks it all.
 *
 * A view belongs to one structure of a heap for ever; those are never given back to the system either. So whoever holds
 * a block that was taken through a view knows whose it was, whatever has become of the descriptor.
 *
 * Invariant: below n_views each view has an owner, and no other hand has it.
 * The child of a fork sees zeros: no CPUs.
 * Not here: what a view says, and when (hand_view, hand_unview, hand_shut).
 */
#ifndef HEAPD_CLIENT_VIEWS_H
#define HEAPD_CLIENT_VIEWS_H

#include "client/heap.h"
#include "heapclient/rt_heap.h"

#define VIEWS_MAX 4096u /* 512 KiB */
#define VIEWS_UNIT 8u   /* a descriptor says where its view begins, in these bytes */
#define VIEWS_SCALE (sizeof(struct rseq_arrays) / VIEWS_UNIT)
_Static_assert(VIEWS_MAX * VIEWS_SCALE == UINT16_MAX + 1u, "and cannot say more");

extern struct rseq_arrays views_[] __attribute__((visibility("hidden"))); /* only for the inline below */

/* Once in a process. Where the kernel would keep views in the child of a fork (Linux before 4.14) there will be none. */
void views_init(void);

/* In the child of a fork: nobody has any. */
void views_forget(void);

/* A descriptor is about to be made: the page faults for its view come now. No lock is held. */
void views_expect(void);

/* One more view for h to have, for ever. The table's lock (heap_table_lock) and h's are held. False: there is none. */
bool views_lend(struct heap *h);

/* The structure that has the view that a descriptor says; NULL: nobody ever had it. */
struct heap *views_owner(uint16_t says);

/* Aligned like a view or not: sequences do not care, and C looks only at what a genuine word says. */
static inline struct rseq_arrays *views_at(uint16_t says)
{
	return (struct rseq_arrays *)(void *)((char *)views_ + (size_t)says * VIEWS_UNIT);
}

#define VIEWS_WORD 1u /* set in every word, and in no address of what a view says */

/* What a descriptor says before its serial. */
static inline uint64_t views_word(const RT_HEAP *d)
{
	uint64_t word;

	memcpy(&word, d, sizeof(word));
	return word;
}
_Static_assert(offsetof(RT_HEAP, view_) * 8 == HAND_WORD_SAYS, "hand_views.c knows where");
_Static_assert(offsetof(RT_HEAP, serial_) == sizeof(uint64_t) && sizeof(RT_HEAP) == 2 * sizeof(uint64_t), "and that is all");

static inline uint16_t views_number(const struct rseq_arrays *view)
{
	return (uint16_t)((size_t)(view - views_) * VIEWS_SCALE);
}

#endif
