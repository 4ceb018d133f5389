/*
 * heads.h: where the heads of a binding lie in the file of its session's statistics
 *
 * Model: behind all slots come as many *places*, one for each slot, all of one size: a power of two, large enough for the CPUs
 * that the machine had when the daemon made the file, which is sealed in size. So the file's length says how large a place is, and
 * nobody need be told. A place never lies across the border of a page that it could do without.
 * What a head is: struct wire_heads (proto/wire.h). Not here: reading and mapping (areas.h of either side).
 */
#ifndef HEAPD_PROTO_HEADS_H
#define HEAPD_PROTO_HEADS_H

#include "proto/wire.h"

/* Bytes of a place for so many CPUs; more than WIRE_HEADS_CPUS have no blocks at hand, and the least place. */
static inline uint64_t heads_place(long n_cpus)
{
	uint64_t place = WIRE_HEADS_PLACE_MIN;

	while (n_cpus <= (long)WIRE_HEADS_CPUS && place < (uint64_t)n_cpus * sizeof(struct wire_heads))
		place *= 2;
	return place;
}

/* Bytes of the file with places of that size. */
static inline uint64_t heads_file(uint64_t place)
{
	return WIRE_HEADS_BEGIN + (uint64_t)WIRE_SLOTS * place;
}

/* The size of a place in a file of that length; 0: it has none, it is an older daemon's or no such file at all. */
static inline uint64_t heads_place_of(uint64_t length)
{
	for (uint64_t place = WIRE_HEADS_PLACE_MIN; place <= WIRE_HEADS_CPUS * sizeof(struct wire_heads); place *= 2)
		if (length == heads_file(place))
			return place;
	return 0;
}

/* Where a slot's place begins. */
static inline uint64_t heads_at(uint64_t place, uint32_t slot)
{
	return WIRE_HEADS_BEGIN + slot * place;
}

#endif
