/*
 * account.h: what each user has, and how much of it they may have
 *
 * Model: one account for each uid that has anything. A charge is a value inside the object it pays
 * for; when the object goes, so does the charge, and with the last charge the account.
 *
 * Invariant: an account's used[] is the sum over its charges, and it exists exactly while it has
 * one. Limits are read from the configuration when a charge is taken: they hold for what is created
 * from then on. Root has none.
 */
#ifndef HEAPD_DAEMON_ACCOUNT_H
#define HEAPD_DAEMON_ACCOUNT_H

#include <sys/types.h>
#include "daemon/config.h"
#include "daemon/table.h"

enum resource {
	RESOURCE_SESSIONS,
	RESOURCE_HEAPS,
	RESOURCE_BYTES,
	RESOURCE_PARKED,
	RESOURCE_COUNT
};

struct account {
	struct table_node by_uid;
	uid_t uid;
	uint64_t used[RESOURCE_COUNT];
	uint64_t n_charges;
};

struct accounts {
	struct table by_uid;
	const struct config *config;
	uint64_t refused; /* charges refused by a limit, ever */
};

void accounts_init(struct accounts *as, const struct config *config); /* config must outlive it */
void accounts_deinit(struct accounts *as);                            /* pre: no charge is left */

/* What a user has of it now. */
uint64_t accounts_used(const struct accounts *as, uid_t uid, enum resource resource);

struct charge {
	struct accounts *accounts; /* NULL: nothing charged */
	struct account *account;
	enum resource resource;
	uint64_t amount;
};

#define CHARGE_NULL { .accounts = NULL }

/* 0; STATUS_QUOTA; -ENOMEM. Pre: *c is CHARGE_NULL, and so it stays on failure. */
int charge_take(struct charge *c, struct accounts *as, uid_t uid, enum resource resource,
		uint64_t amount);
/* The same beyond any limit: for what was there before. 0, -ENOMEM. */
int charge_retake(struct charge *c, struct accounts *as, uid_t uid, enum resource resource,
		  uint64_t amount);
void charge_deinit(struct charge *c); /* gives it back. Safe twice */

#endif
