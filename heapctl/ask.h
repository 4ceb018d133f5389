/*
 * ask.h: asking the daemon, as a command does
 *
 * A link and a counter. A question that the daemon cannot be asked (no daemon, it died) ends the
 * command through fail(); an answer that is no success comes back as its status, for the caller to
 * put into words. Everything blocks. Not here: what the words are.
 */
#ifndef HEAPD_HEAPCTL_ASK_H
#define HEAPD_HEAPCTL_ASK_H

#include "client/link.h"
#include "heapctl/options.h"
#include "proto/codec.h"

struct ask {
	struct link link;
	uint32_t last_id;
};

void ask_open(struct ask *a, const struct options *o);
void ask_close(struct ask *a);

/* Sends the frame (its id is set here), receives the reply into it, and returns its status. If that
 * is STATUS_PARKED, waits for the event that ends it, which is then in the frame. fds are closed:
 * no command needs one. */
uint32_t ask_call(struct ask *a, struct frame *f);

/*
 * A request about the heap that the user calls NAME|ID: a name wins; what is no heap's name and a
 * number is an id. target(f, heap, name) fills the frame in, heap 0 or name NULL. Returns the
 * status.
 */
uint32_t ask_about(struct ask *a, struct frame *f, const char *what,
		   void (*fill)(struct frame *f, uint64_t heap, const char *name, const void *ctx),
		   const void *ctx);

/* A frame of struct wire_target for op: the usual fill, ctx is a const uint16_t * of the op. */
void ask_fill_target(struct frame *f, uint64_t heap, const char *name, const void *op);

/* INSPECT; fails with words if there is no such heap. */
void ask_entry(struct ask *a, const char *what, struct wire_entry *entry);

/*
 * Everything that LIST, REGIONS, BINDINGS, WAITERS or MAP has to tell, in one array of n elements, to be
 * freed. size is that of an element. heap: 0 for LIST and REGIONS. NULL with *n 0 if the heap is gone
 * meanwhile.
 */
void *ask_all(struct ask *a, uint16_t op, uint64_t heap, size_t size, size_t *n);

#endif
