/*
 * namespace.c: see namespace.h
 */
#include "daemon/namespace.h"

void namespace_init(struct namespace *ns)
{
	*ns = (struct namespace){.by_text = TABLE_NULL};
	TAILQ_INIT(&ns->due);
}

void namespace_deinit(struct namespace *ns)
{
	assert(!ns->by_text.n && "names go with heaps and binds");
	table_deinit(&ns->by_text);
}

static uint64_t hash_text(const char *text)
{
	return hash_bytes(text, strlen(text));
}

struct name *namespace_find(const struct namespace *ns, const char *text)
{
	struct table_node *node = table_find(&ns->by_text, hash_text(text));

	for (; node; node = table_next(node)) {
		struct name *n = container_of(node, struct name, by_text);

		if (strcmp(n->text, text) == 0)
			return n;
	}
	return NULL;
}

struct heap *namespace_heap(const struct namespace *ns, const char *text)
{
	struct name *n = namespace_find(ns, text);

	return n ? n->heap : NULL;
}

static struct name *find_or_make(struct namespace *ns, const char *text)
{
	struct name *n = namespace_find(ns, text);

	if (n)
		return n;
	n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
	TAILQ_INIT(&n->binds);
	memcpy(n->text, text, strnlen(text, WIRE_NAME_MAX));
	table_add(&ns->by_text, &n->by_text, hash_text(n->text));
	return n;
}

void namespace_set_due(struct namespace *ns, struct name *n)
{
	if (!n->is_due)
		TAILQ_INSERT_TAIL(&ns->due, n, due);
	n->is_due = true;
}

void namespace_served(struct namespace *ns, struct name *n)
{
	if (n->is_due)
		TAILQ_REMOVE(&ns->due, n, due);
	n->is_due = false;
}

static void drop_if_empty(struct namespace *ns, struct name *n)
{
	if (n->heap || !TAILQ_EMPTY(&n->binds))
		return;
	namespace_served(ns, n);
	table_remove(&ns->by_text, &n->by_text);
	free(n);
}

int namespace_give(struct namespace *ns, const char *text, struct heap *h)
{
	struct name *n = find_or_make(ns, text);

	if (!n)
		return -ENOMEM;
	assert(!n->heap && "a name has one heap");
	n->heap = h;
	h->name = n;
	return 0;
}

void namespace_take(struct namespace *ns, struct heap *h)
{
	struct name *n = take(h->name);

	if (!n)
		return;
	n->heap = NULL;
	drop_if_empty(ns, n);
}

int namespace_park(struct namespace *ns, const char *text, struct parked *p)
{
	struct name *n = find_or_make(ns, text);

	if (!n)
		return -ENOMEM;
	p->name = n;
	TAILQ_INSERT_TAIL(&n->binds, p, queue);
	ns->n_binds++;
	return 0;
}

void namespace_unpark(struct namespace *ns, struct parked *p)
{
	struct name *n = take(p->name);

	TAILQ_REMOVE(&n->binds, p, queue);
	ns->n_binds--;
	drop_if_empty(ns, n);
}
