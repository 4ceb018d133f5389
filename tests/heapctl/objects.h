/*
 * objects.h: the partitions, regions and pools of the fake heapd's story
 *
 * Their ids follow those of the heaps. Each is there for something that heapctl has to get right.
 */
#ifndef HEAPD_TESTS_HEAPCTL_OBJECTS_H
#define HEAPD_TESTS_HEAPCTL_OBJECTS_H

#include "proto/codec.h"

#define N_OBJECTS 9u

struct wire_entry object(uint32_t i);

/* STATUS_OK; STATUS_INVALID: its process has told nothing that makes sense. */
uint32_t object_detail(uint32_t i, struct wire_detail *detail);

struct wire_binding object_binding(uint32_t i); /* of its one process */

#define N_REGIONS 60u /* more than a frame has */

struct wire_region configured(uint32_t i);

#endif
