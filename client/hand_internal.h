/*
 * hand_internal.h: what the files of hand.h share: how many there are of what, and views
 *
 * Only client/hand*.c include it.
 */
#ifndef HEAPD_CLIENT_HAND_INTERNAL_H
#define HEAPD_CLIENT_HAND_INTERNAL_H

#include "client/hand.h"

/* Bytes of a block of that kind. */
static inline uint64_t hand_bytes_of(uint32_t kind)
{
	return UINT64_C(1) << (BUCKET_MIN_SHIFT + kind);
}

static inline uint32_t hand_n_cpus(const struct hand *hand)
{
	return atomic_load_explicit(&hand->arrays.n_cpus, memory_order_relaxed);
}

/* Blocks of that kind that a CPU has at hand at most. */
static inline uint32_t hand_max_of(const struct hand *hand, uint32_t kind)
{
	return atomic_load_explicit(&hand->arrays.max[kind], memory_order_relaxed) / RSEQ_STEP;
}

/* The turn of the last descriptor that had one: they count up, and when they are used up there are no views any more. */
extern _Atomic uint32_t hand_turn_ __attribute__((visibility("hidden")));

/* Views with a word are open, or shut, like the heap. At most HAND_VIEWS. The lock is held. */
void hand_views_follow(struct hand *hand);

/* 0, or -EUCLEAN: what they are while the heap is shut. The lock is held. */
int hand_views_check(const struct hand *hand);

#endif
