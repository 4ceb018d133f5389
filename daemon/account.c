/*
 * account.c: see account.h
 */
#include "daemon/account.h"

#include "proto/status.h"

static struct account *find(const struct accounts *as, uid_t uid)
{
	struct table_node *node = table_find(&as->by_uid, hash_number(uid));

	for (; node; node = table_next(node)) {
		struct account *a = container_of(node, struct account, by_uid);

		if (a->uid == uid)
			return a;
	}
	return NULL;
}

static struct account *find_or_open(struct accounts *as, uid_t uid)
{
	struct account *a = find(as, uid);

	if (a)
		return a;
	a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->uid = uid;
	table_add(&as->by_uid, &a->by_uid, hash_number(uid));
	return a;
}

static void close_if_empty(struct accounts *as, struct account *a)
{
	if (a->n_charges)
		return;
	table_remove(&as->by_uid, &a->by_uid);
	free(a);
}

static uint64_t limit_of(const struct accounts *as, uid_t uid, enum resource resource)
{
	const struct limits *limits = config_limits(as->config, uid);

	switch (resource) {
	case RESOURCE_SESSIONS:
		return limits->sessions;
	case RESOURCE_HEAPS:
		return limits->heaps;
	case RESOURCE_BYTES:
		return limits->bytes;
	case RESOURCE_PARKED:
		return limits->parked;
	case RESOURCE_COUNT:
		break;
	}
	return 0;
}

void accounts_init(struct accounts *as, const struct config *config)
{
	*as = (struct accounts){.by_uid = TABLE_NULL, .config = config};
}

void accounts_deinit(struct accounts *as)
{
	assert(!as->by_uid.n && "every charge goes with its object");
	table_deinit(&as->by_uid);
}

uint64_t accounts_used(const struct accounts *as, uid_t uid, enum resource resource)
{
	const struct account *a = find(as, uid);

	return a ? a->used[resource] : 0;
}

int charge_take(struct charge *c, struct accounts *as, uid_t uid, enum resource resource,
		uint64_t amount)
{
	uint64_t limit = limit_of(as, uid, resource), used;
	struct account *a;

	assert(!c->accounts && "one charge, one account");
	a = find_or_open(as, uid);
	if (!a)
		return -ENOMEM;
	used = a->used[resource];
	/* a reload may have lowered the limit below what is used */
	if (used > limit || amount > limit - used) {
		as->refused++;
		close_if_empty(as, a);
		return STATUS_QUOTA;
	}
	a->used[resource] += amount;
	a->n_charges++;
	*c = (struct charge){.accounts = as, .account = a, .resource = resource, .amount = amount};
	return 0;
}

int charge_retake(struct charge *c, struct accounts *as, uid_t uid, enum resource resource,
		  uint64_t amount)
{
	struct account *a = find_or_open(as, uid);

	if (!a)
		return -ENOMEM;
	a->used[resource] += amount;
	a->n_charges++;
	*c = (struct charge){.accounts = as, .account = a, .resource = resource, .amount = amount};
	return 0;
}

void charge_deinit(struct charge *c)
{
	struct accounts *as = take(c->accounts);
	struct account *a = c->account;

	if (!as)
		return;
	assert(a->used[c->resource] >= c->amount && a->n_charges);
	a->used[c->resource] -= c->amount;
	a->n_charges--;
	close_if_empty(as, a);
}
