/*
 * fields.h: the values that each field of a message may have; codec.c's other half, for nobody else
 *
 * Each function looks at one part of a frame whose bytes are known to be there: the fixed part of a
 * body or one element of its array. It returns NULL, or what is wrong as a static text. Pure; they
 * read nothing of the frame but the part and its header's status.
 */
#ifndef HEAPD_PROTO_FIELDS_H
#define HEAPD_PROTO_FIELDS_H

#include "proto/channel.h"

typedef const char *check_fn(const struct frame *f, const void *part);

/* The fixed parts of requests. */
check_fn check_hello, check_create, check_bind, check_heap, check_target, check_walk, check_list,
	check_chmod, check_resume, check_refill, check_free, check_cancel, check_return;

/* The fixed parts of replies and events. */
check_fn check_welcome, check_bound, check_grant, check_recall, check_walked, check_stat,
	check_detail;

/* Elements of arrays; check_entry is also a whole reply. */
check_fn check_run, check_extent, check_entry, check_binding, check_waiting, check_region;

#endif
