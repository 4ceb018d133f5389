/*
 * A table says which sections there are, which keys each has, where a key goes and how its value is
 * read.
 *
 * Two passes over [limits]: what [limits "USER"] leaves out is as in [limits], which may come
 * later.
 */
#include "daemon/draft_internal.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include "common/pages.h"
#include "daemon/values.h"

#define RECALL_MAX_NS (10 * NSEC_PER_SEC)

/* A user's section as it is being read: which limits it has set. */
struct user_section {
	struct user_limits user;
	bool has[4];
};

void draft_wrong(struct draft *d, const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	d->wrong(d->ctx, text);
}

/* ---- keys: each sets its part of the config, or says what it expects ---- */

static const char *set_bool(bool *out, const char *text)
{
	return value_bool(text, out) < 0 ? "yes or no" : NULL;
}

static const char *set_mode(mode_t *out, const char *text)
{
	return value_mode(text, out) < 0 ? "octal permissions of r and w bits, 0 to 0666" : NULL;
}

static const char *set_priority(struct draft *d, const char *text)
{
	uint64_t n;

	if (value_count(text, &n) < 0 || n > 99)
		return "a real-time priority from 1 to 99, or 0 for none";
	d->config->priority = (int)n;
	return NULL;
}

static const char *set_lock_memory(struct draft *d, const char *text)
{
	return set_bool(&d->config->lock_memory, text);
}

static const char *set_lock_arenas(struct draft *d, const char *text)
{
	return set_bool(&d->config->lock_arenas, text);
}

static const char *set_transparent_huge_pages(struct draft *d, const char *text)
{
	return set_bool(&d->config->transparent_huge_pages, text);
}

static const char *set_io_uring(struct draft *d, const char *text)
{
	return set_bool(&d->config->io_uring, text);
}

static const char *set_recall(struct draft *d, const char *text)
{
	uint64_t ns;

	if (value_time(text, &ns) < 0 || !ns || ns > RECALL_MAX_NS)
		return "a time from 1ns to 10s, as in 5ms";
	d->config->recall_ns = ns;
	return NULL;
}

static const char *set_socket_mode(struct draft *d, const char *text)
{
	return set_mode(&d->config->socket_mode, text);
}

static const char *set_heap_mode(struct draft *d, const char *text)
{
	return set_mode(&d->config->default_mode, text);
}

static const char *set_max_size(struct draft *d, const char *text)
{
	const uint64_t most = PAGES_MAX * (uint64_t)HW_PAGE_SIZE;
	uint64_t n;

	if (value_size(text, &n) < 0 || n < HW_PAGE_SIZE || (n > most && n != UINT64_MAX))
		return "a size from 4K to 4T, as in 64G";
	d->config->max_size = min_u64(n, most) & ~(uint64_t)(HW_PAGE_SIZE - 1);
	return NULL;
}

static const char *set_create(struct draft *d, const char *text)
{
	if (!strcmp(text, "all")) {
		d->config->create_all = true;
		return NULL;
	}
	if (value_group(text, &d->config->create_group) < 0)
		return "all, or a group that exists";
	d->config->create_all = false;
	return NULL;
}

static const char *set_path(char **out, const char *text)
{
	char *copy;

	if (*text != '/')
		return "an absolute path";
	copy = strdup(text);
	if (!copy)
		return "more memory than there is";
	free(*out);
	*out = copy;
	return NULL;
}

static const char *set_dma(struct draft *d, const char *text)
{
	return set_path(&d->config->dma, text);
}

static const char *set_noncached(struct draft *d, const char *text)
{
	return set_path(&d->config->noncached, text);
}

static const char *set_rule_mode(struct draft *d, const char *text)
{
	const char *expected = set_mode(&d->rule->mode, text);

	d->rule->has_mode = !expected;
	return expected;
}

static const char *set_rule_group(struct draft *d, const char *text)
{
	if (value_group(text, &d->rule->group) < 0)
		return "a group that exists";
	d->rule->has_group = true;
	return NULL;
}

static struct limits *limits_here(struct draft *d, size_t which)
{
	if (!d->user)
		return &d->config->limits;
	d->user->has[which] = true;
	return &d->user->user.limits;
}

static const char *set_count(uint64_t *out, const char *text)
{
	return value_count(text, out) < 0 ? "a number, or infinity" : NULL;
}

static const char *set_sessions(struct draft *d, const char *text)
{
	return set_count(&limits_here(d, 0)->sessions, text);
}

static const char *set_heaps(struct draft *d, const char *text)
{
	return set_count(&limits_here(d, 1)->heaps, text);
}

static const char *set_bytes(struct draft *d, const char *text)
{
	return value_size(text, &limits_here(d, 2)->bytes) < 0 ? "a size, as in 512M, or infinity" : NULL;
}

static const char *set_parked(struct draft *d, const char *text)
{
	return set_count(&limits_here(d, 3)->parked, text);
}

/* ---- sections ---- */

static bool user_enter(struct draft *d, const char *name);
static bool rule_enter(struct draft *d, const char *glob);

static const struct section {
	const char *name;
	bool plain;                                          /* [name] is one */
	bool (*enter)(struct draft *d, const char *argument); /* [name "argument"]; NULL: takes none */
	struct key {
		const char *name;
		set_fn *set;
	} keys[8];
} sections[] = {
	{ .name = "daemon", .plain = true, .keys = {
		{ "priority", set_priority },
		{ "lock_memory", set_lock_memory },
		{ "lock_arenas", set_lock_arenas },
		{ "transparent_huge_pages", set_transparent_huge_pages },
		{ "io_uring", set_io_uring },
		{ "recall", set_recall },
		{ "socket_mode", set_socket_mode } } },
	{ .name = "heaps", .plain = true, .keys = {
		{ "mode", set_heap_mode },
		{ "max_size", set_max_size },
		{ "create", set_create },
		{ "dma", set_dma },
		{ "noncached", set_noncached } } },
	{ .name = "limits", .plain = true, .enter = user_enter, .keys = {
		{ "sessions", set_sessions },
		{ "heaps", set_heaps },
		{ "bytes", set_bytes },
		{ "parked", set_parked } } },
	{ .name = "heap", .enter = rule_enter, .keys = {
		{ "mode", set_rule_mode },
		{ "group", set_rule_group } } },
	{ .name = "region", .enter = region_enter, .keys = {
		{ "size", region_set_size },
		{ "attribute", region_set_attribute },
		{ "backing", region_set_backing },
		{ "huge_page", region_set_huge_page },
		{ "fallback", region_set_fallback },
		{ "group", region_set_group } } },
};

/* Two sections for one user are one. */
static bool user_enter(struct draft *d, const char *name)
{
	struct user_section *users;
	uid_t uid;

	if (value_user(name, &uid) < 0) {
		draft_wrong(d, "no such user: %s", name);
		return false;
	}
	if (!uid) {
		draft_wrong(d, "root has no limits");
		return false;
	}
	for (size_t i = 0; i < d->n_users; i++)
		if (d->users[i].user.uid == uid) {
			d->user = &d->users[i];
			return true;
		}
	users = reallocarray(d->users, d->n_users + 1, sizeof(*users));
	if (!users) {
		draft_wrong(d, "out of memory");
		return false;
	}
	d->users = users;
	d->user = &users[d->n_users++];
	*d->user = (struct user_section){ .user.uid = uid };
	return true;
}

static bool rule_enter(struct draft *d, const char *glob)
{
	struct heap_rule *rule = calloc(1, sizeof(*rule));

	if (rule)
		rule->glob = strdup(glob);
	if (!rule || !rule->glob) {
		free(rule);
		draft_wrong(d, "out of memory");
		return false;
	}
	STAILQ_INSERT_TAIL(&d->config->rules, rule, link);
	d->rule = rule;
	return true;
}

/* Cuts blanks and a pair of quotes off. False: a quote without its partner. */
static bool unquote(char **text)
{
	size_t n;

	*text += strspn(*text, " \t");
	n = strlen(*text);
	while (n && isblank((unsigned char)(*text)[n - 1]))
		(*text)[--n] = '\0';
	if (**text != '"')
		return !strchr(*text, '"');
	if (n < 2 || (*text)[n - 1] != '"')
		return false;
	(*text)[n - 1] = '\0';
	(*text)++;
	return !strchr(*text, '"');
}

void draft_section(struct draft *d, const char *text)
{
	size_t n = strcspn(text, " \t\"");
	char copy[DRAFT_SECTION_MAX + 1], *argument = copy;
	const struct section *s = NULL;

	assert(strlen(text) <= DRAFT_SECTION_MAX && "the caller has looked");
	(void)snprintf(d->section, sizeof(d->section), "%s", text);
	(void)snprintf(copy, sizeof(copy), "%s", text + n);
	d->kind = NULL;
	d->user = NULL;
	d->rule = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		if (strlen(sections[i].name) == n && !strncmp(sections[i].name, text, n))
			s = &sections[i];
	if (!s)
		draft_wrong(d, "unknown section [%s]; there are [daemon], [heaps], [limits], "
			 "[limits \"USER\"], [heap \"GLOB\"] and [region \"NAME\"]", text);
	else if (!unquote(&argument))
		draft_wrong(d, "[%s: the closing quote must be the last character before ]", s->name);
	else if (*argument && !s->enter)
		draft_wrong(d, "[%s] takes no argument", s->name);
	else if (!*argument && !s->plain)
		draft_wrong(d, "[%s] needs an argument, as in [%s \"video\"]", s->name, s->name);
	else if (!*argument || s->enter(d, argument))
		d->kind = s;
}

void draft_section_end(struct draft *d)
{
	region_leave(d);
}

void draft_section_unknown(struct draft *d)
{
	(void)snprintf(d->section, sizeof(d->section), "?");
	d->kind = NULL;
}

void draft_key(struct draft *d, const char *name, const char *value)
{
	const char *expected;

	if (!d->section[0]) {
		draft_wrong(d, "%s: a key before the first [section]", name);
		return;
	}
	if (!d->kind)
		return; /* the section's own line has been complained of */
	for (const struct key *k = d->kind->keys; k->name; k++) {
		if (strcmp(k->name, name) != 0)
			continue;
		expected = k->set(d, value);
		if (expected)
			draft_wrong(d, "%s = %s: expected %s", name, value, expected);
		return;
	}
	draft_wrong(d, "unknown key %s in [%s]", name, d->section);
}

int draft_finish(struct draft *d)
{
	struct config *c = d->config;

	if (!d->n_users)
		return 0;
	c->user_limits = calloc(d->n_users, sizeof(*c->user_limits));
	if (!c->user_limits)
		return -ENOMEM;
	for (size_t i = 0; i < d->n_users; i++) {
		const struct user_section *s = &d->users[i];
		struct limits l = c->limits;

		if (s->has[0])
			l.sessions = s->user.limits.sessions;
		if (s->has[1])
			l.heaps = s->user.limits.heaps;
		if (s->has[2])
			l.bytes = s->user.limits.bytes;
		if (s->has[3])
			l.parked = s->user.limits.parked;
		c->user_limits[i] = (struct user_limits){ .uid = s->user.uid, .limits = l };
	}
	c->n_user_limits = d->n_users;
	return 0;
}

void draft_init(struct draft *d, struct config *c, void (*wrong_fn)(void *ctx, const char *text), void *ctx)
{
	*d = (struct draft){ .config = c, .wrong = wrong_fn, .ctx = ctx };
}

void draft_deinit(struct draft *d)
{
	region_drop(d);
	free(d->users);
	d->users = NULL;
	d->n_users = 0;
}
