/*
 * table.h: a hash table of what is already somewhere else
 *
 * Model: chained buckets of nodes that live inside the objects they find. The table owns no object;
 * it compares hashes, its user compares keys. It doubles when it is full, all at once (a few
 * nanoseconds a node); when memory for that is refused it stays as it is and its chains grow.
 *
 * Invariant: a node is in bucket hash % n_buckets, once. Adding cannot fail.
 * Names come from strangers, so they are hashed with a key that is drawn at start (SipHash): nobody
 * can choose names that share a chain. Numbers that the daemon itself gives out are only mixed.
 */
#ifndef HEAPD_DAEMON_TABLE_H
#define HEAPD_DAEMON_TABLE_H

#include "common/base.h"

struct table_node {
	struct table_node *next;
	uint64_t hash;
};

struct table {
	struct table_node **bucket; /* NULL: the one below */
	struct table_node *one;
	size_t n_buckets;           /* a power of two; 0 stands for one */
	size_t n;
};

#define TABLE_NULL { .bucket = NULL }

void table_deinit(struct table *t); /* the nodes stay their owners'. Safe twice */
void table_add(struct table *t, struct table_node *node, uint64_t hash);
void table_remove(struct table *t, struct table_node *node); /* pre: it is in */

/* The first node of that hash, and the next one after a node with the same hash; NULL. */
struct table_node *table_find(const struct table *t, uint64_t hash);
struct table_node *table_next(const struct table_node *node);

uint64_t hash_number(uint64_t n);
uint64_t hash_bytes(const void *bytes, size_t n); /* keyed */

#endif
