/*
 * draft.h: a configuration in the making: what sections and keys mean
 *
 * config.c reads lines and hands sections and keys over one by one; here they are understood and
 * put into a config. What is wrong is told through a callback, and then skipped.
 * Not here: files, lines, comments (config.c); the texts of single values (values.h).
 */
#ifndef HEAPD_DAEMON_DRAFT_H
#define HEAPD_DAEMON_DRAFT_H

#include "daemon/config.h"

#define DRAFT_SECTION_MAX 127

struct draft {
	struct config *config; /* the caller's */
	void (*wrong)(void *ctx, const char *text);
	void *ctx;
	char section[DRAFT_SECTION_MAX + 1]; /* the one we are in; empty: none yet */
	const struct section *kind;          /* NULL: an unknown one; its keys are skipped */
	struct user_section *users;
	size_t n_users;
	struct user_section *user; /* the section we are in, if it is a user's */
	struct heap_rule *rule;    /* the same for a heap's, */
	struct region *region;     /* and for a region's, not yet the config's */
	bool has_size;             /* it has that key, good or bad, */
	bool has_huge;             /* and one that only huge pages have */
};

/* wrong(ctx, text): what is wrong with the section or key just given. */
void draft_init(struct draft *d, struct config *c, void (*wrong)(void *ctx, const char *text),
		void *ctx);
void draft_deinit(struct draft *d); /* safe twice; the config stays */

/* text: what is between the brackets, at most DRAFT_SECTION_MAX bytes. May block (NSS). */
void draft_section(struct draft *d, const char *text);
void draft_section_end(struct draft *d);     /* the one we are in, if any, is complete */
void draft_section_unknown(struct draft *d); /* one that could not be read; its keys are skipped */
void draft_key(struct draft *d, const char *name, const char *value); /* may block (NSS) */

/* After the last line. 0 or -ENOMEM. */
int draft_finish(struct draft *d);

#endif
