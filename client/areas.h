/*
 * areas.h: the two memory areas of a session, mapped page by page as slots are used
 *
 * Model: the control area (read-only) and the statistics area (ours to write) are sparse memfds of n_slots slots. A page
 * is mapped and populated when its first slot is asked for, and stays until the session ends: so a program that
 * locks all its memory pays for what it uses, and no slot that was handed out ever faults. The heads of what CPUs
 * have at hand lie behind the slots of the statistics, some pages a slot; they are mapped for the bindings that want them.
 * Not here: what the slots mean (proto/wire.h), locking (the session's).
 */
#ifndef HEAPD_CLIENT_AREAS_H
#define HEAPD_CLIENT_AREAS_H

#include "common/base.h"
#include "proto/wire.h"

#define AREA_PAGES(type) (WIRE_SLOTS * sizeof(type) / HW_PAGE_SIZE)

struct areas {
	int control_fd; /* not ours */
	int stats_fd;
	uint32_t n_slots;
	void *control[AREA_PAGES(struct wire_control)];
	void *stats[AREA_PAGES(struct wire_stats)];
	uint64_t place;          /* bytes of a slot's heads (proto/heads.h); 0: the daemon made none */
	void *heads[WIRE_SLOTS]; /* by page or, where a place is larger, by place */
};

void areas_init(struct areas *a, int control_fd, int stats_fd, uint32_t n_slots);
void areas_deinit(struct areas *a);

/* 0; -EINVAL (no such slot); -ENOMEM. The statistics slot comes zeroed. */
int areas_slot(struct areas *a, uint32_t slot, const struct wire_control **control, struct wire_stats **stats);

/*
 * The heads of a slot, one struct for each of n_cpus: all of them empty, with versions above those that they
 * had. 0; -EINVAL (no such slot, no CPUs); -ENOTSUP (the daemon made none, or for fewer CPUs); -ENOMEM.
 */
int areas_heads(struct areas *a, uint32_t slot, uint32_t n_cpus, struct wire_heads **heads);

#endif
