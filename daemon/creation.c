/*
 * creation.c: what a CREATE asks for, and whether its sender may have it
 *
 * Four ways lead to a plan: a heap or segment of ordinary memory; one on the device that the
 * configuration has for H_DMA or H_NONCACHED; a region of the configuration, which says itself
 * what it is; and the record of memory that the creator has already. Nothing is made or charged
 * here.
 */
#include "daemon/ops_internal.h"

#include <fnmatch.h>

static bool may_create(const struct world *w, const struct session *s)
{
	const struct config *c = &w->config;

	return c->create_all || s->who.uid == 0 || credentials_in_group(&s->who, c->create_group);
}

static const struct heap_rule *rule_for(const struct config *c, const char *name)
{
	const struct heap_rule *rule;

	STAILQ_FOREACH(rule, &c->rules, link) {
		if (fnmatch(rule->glob, name, 0) == 0)
			break;
	}
	return rule;
}

/* The device for these mode bits. For both it must be one that is both. NULL: none is configured. */
static char *device_for(const struct config *c, uint32_t mode)
{
	char *dma = mode & WIRE_MODE_DMA ? c->dma : NULL;
	char *noncached = mode & WIRE_MODE_NONCACHED ? c->noncached : NULL;

	if (!(mode & WIRE_MODE_DMA))
		return noncached;
	if (!(mode & WIRE_MODE_NONCACHED))
		return dma;
	return dma && noncached && !strcmp(dma, noncached) ? dma : NULL;
}

static int check_mode(const struct wire_create *c)
{
	const bool shares = c->kind == KIND_HEAP || c->kind == KIND_SEGMENT;

	if ((c->mode & WIRE_MODE_MAPPABLE) && !(c->mode & WIRE_MODE_SINGLE))
		return STATUS_INVALID;
	if ((c->mode & WIRE_MODE_SINGLE) && c->kind != KIND_SEGMENT)
		return STATUS_INVALID;
	return (c->mode & (WIRE_MODE_DMA | WIRE_MODE_NONCACHED)) && !shares ? STATUS_INVALID : 0;
}

static int choose_backing(const struct world *w, const struct wire_create *c,
			  struct backing *backing)
{
	*backing = (struct backing){.kind = BACKING_MEMORY};
	if (c->flags & WIRE_CREATE_OWN)
		backing->kind = BACKING_OWN;
	if (!(c->mode & (WIRE_MODE_DMA | WIRE_MODE_NONCACHED)))
		return 0;
	backing->kind = BACKING_DEVICE;
	backing->path = device_for(&w->config, c->mode);
	return backing->path ? 0 : STATUS_UNSUPPORTED;
}

/*
 * The record of somebody's own memory costs a page, however much there is. So that its size can be
 * rounded up to pages and added to others, it must be one that a process can have.
 */
#define OWN_MAX (UINT64_C(1) << 56)

static int check_size(const struct world *w, const struct wire_create *c)
{
	uint64_t most = c->flags & WIRE_CREATE_OWN ? OWN_MAX : w->config.max_size;

	return c->size > most ? STATUS_INVALID : 0;
}

/*
 * What has no name is its creator's: it cannot be shared, nor made for nobody. What has one is a
 * heap or a segment.
 */
static int check_name(const struct wire_create *c)
{
	if (c->name[0])
		return c->kind == KIND_HEAP || c->kind == KIND_SEGMENT ? 0 : STATUS_INVALID;
	return (c->mode & WIRE_MODE_MAPPABLE) || (c->flags & WIRE_CREATE_UNBOUND) ? STATUS_INVALID
										  : 0;
}

/* Rights and group: as asked, else as a rule of the configuration says, else the defaults. */
static int fill_rights(const struct world *w, const struct session *s, const struct wire_create *c,
		       struct heap_facts *facts)
{
	const bool is_named = c->name[0] && !(c->flags & WIRE_CREATE_CONFIGURED);
	const struct heap_rule *rule = is_named ? rule_for(&w->config, c->name) : NULL;

	facts->uid = s->who.uid;
	facts->perm = c->perm;
	if (c->perm == WIRE_PERM_DEFAULT)
		facts->perm = rule && rule->has_mode ? rule->mode : w->config.default_mode;
	facts->gid = c->gid;
	if (c->gid == WIRE_GID_DEFAULT)
		facts->gid = rule && rule->has_group ? rule->group : s->who.gid;
	else if (s->who.uid != 0 && !credentials_in_group(&s->who, c->gid))
		return STATUS_DENIED;
	return 0;
}

static uint64_t realtime_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* ---- a region of the configuration ---- */

bool may_attach(const struct world *w, const struct session *s, const struct region *g)
{
	if (s->who.uid == 0)
		return true;
	return g->has_group ? credentials_in_group(&s->who, g->group) : may_create(w, s);
}

/* The section's word, whatever limit there is for others. */
static int plan_region(const struct world *w, const struct session *s,
		       const struct wire_create *c, struct plan *p)
{
	const struct region *g = config_region(&w->config, c->name);

	if (!g)
		return STATUS_MISSING;
	if (!may_attach(w, s, g))
		return STATUS_DENIED;
	p->facts.size = g->size;
	p->backing = g->backing;
	return 0;
}

/* ---- the others ---- */

static int plan_other(const struct world *w, const struct session *s, const struct wire_create *c,
		      struct plan *p)
{
	int r = may_create(w, s) ? check_mode(c) : STATUS_DENIED;

	if (!r)
		r = choose_backing(w, c, &p->backing);
	if (!r)
		r = check_name(c);
	if (!r)
		r = check_size(w, c);
	if (!r && c->name[0] && namespace_heap(&w->names, c->name))
		r = STATUS_EXISTS;
	p->facts.size = c->size;
	return r;
}

int creation_plan(const struct world *w, const struct session *s, const struct wire_create *c,
		  struct plan *p)
{
	const bool configured = c->flags & WIRE_CREATE_CONFIGURED;
	int r;

	*p = (struct plan){.facts = {.kind = c->kind, .mode = c->mode, .created_ns = realtime_ns()}};
	r = configured ? plan_region(w, s, c, p) : plan_other(w, s, c, p);
	if (!r)
		r = fill_rights(w, s, c, &p->facts);
	p->facts.session = configured || !c->name[0] ? s->id : 0;
	memcpy(p->facts.name, c->name, sizeof(p->facts.name));
	return r;
}
