/*
 * namespace.h: names, and who waits for them
 *
 * Model: a name exists while a heap has it or a BIND waits for it. It has at most one heap; the
 * heap may be committing still, then binds wait as if there were none.
 *
 * Invariant: heap->name->heap == heap. A name without heap and without binds does not exist.
 * When a heap becomes live its name is due: the binds are served in the order in which they came,
 * or for an H_PRIO heap by priority, a bounded number at a time (ops_bind.c).
 */
#ifndef HEAPD_DAEMON_NAMESPACE_H
#define HEAPD_DAEMON_NAMESPACE_H

#include "daemon/heap.h"

struct name {
	struct table_node by_text;
	struct heap *heap;        /* NULL: nobody has it */
	struct parked_list binds;
	TAILQ_ENTRY(name) due;
	bool is_due;
	char text[WIRE_NAME_SIZE];
};

struct namespace {
	struct table by_text;
	uint64_t n_binds;
	TAILQ_HEAD(, name) due; /* names whose binds are to be served */
};

void namespace_init(struct namespace *ns);
void namespace_deinit(struct namespace *ns); /* pre: it is empty */

struct name *namespace_find(const struct namespace *ns, const char *text); /* NULL */

/* The heap of that name, committing or live; NULL. */
struct heap *namespace_heap(const struct namespace *ns, const char *text);

/* Pre: the name is free. 0, -ENOMEM. */
int namespace_give(struct namespace *ns, const char *text, struct heap *h);
/* The heap's name is free again. Nothing if it has none. */
void namespace_take(struct namespace *ns, struct heap *h);

/* A parked BIND waits for a name. 0, -ENOMEM (and it does not). */
int namespace_park(struct namespace *ns, const char *text, struct parked *p);
/* It waits no more. Still its session's. The name may be gone then. */
void namespace_unpark(struct namespace *ns, struct parked *p);

/* Its heap has become live: it is due until namespace_served. */
void namespace_set_due(struct namespace *ns, struct name *n);
void namespace_served(struct namespace *ns, struct name *n);

#endif
