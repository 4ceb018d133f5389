/*
 * fields.c: the values that each field of a message may have
 *
 * A function for each struct of wire.h that has a field with a fixed range, in the order in which
 * wire.h declares them within each group. They look at one fixed part or one array element and say
 * what is wrong with it. Not here: lengths, counts, fds and which message is which (codec.c);
 * rights and ownership (the daemon).
 */
#include "proto/fields.h"

#include "proto/codec.h"

static bool all_zero(const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i])
			return false;
	return true;
}

/* Terminated, and nothing hides behind the terminator. */
static bool zero_filled(const char *text, size_t size)
{
	size_t n = strnlen(text, size);

	return n < size && all_zero(text + n, size - n);
}

static bool name_ok(const char *name)
{
	return zero_filled(name, WIRE_NAME_SIZE) && name_check(name) == STATUS_OK;
}

static bool name_ok_or_empty(const char *name)
{
	return all_zero(name, WIRE_NAME_SIZE) || name_ok(name);
}

/* Labels are printed on people's terminals: any text, but no control characters. */
static bool label_ok(const char *label)
{
	for (size_t i = 0; i < WIRE_LABEL_SIZE && label[i]; i++)
		if ((unsigned char)label[i] < ' ' || label[i] == 0x7f)
			return false;
	return zero_filled(label, WIRE_LABEL_SIZE);
}

static bool perm_ok(uint32_t perm)
{
	return (perm & ~UINT32_C(0666)) == 0;
}

static bool kind_ok(uint32_t kind, uint32_t mode)
{
	if (kind < KIND_HEAP || kind >= KIND_LAST || (mode & ~WIRE_MODE_ALL))
		return false;
	if (kind == KIND_SEGMENT)
		return (mode & WIRE_MODE_SINGLE) != 0;
	return kind != KIND_HEAP || !(mode & WIRE_MODE_SINGLE);
}

/* A heap is named by its id or by its name, never by both. */
static const char *check_target_of(uint64_t heap, const char *name)
{
	if (heap ? !all_zero(name, WIRE_NAME_SIZE) : !name_ok(name))
		return heap ? "id and name" : "bad name";
	return NULL;
}

/* ---- elements of arrays ---- */

const char *check_run(const struct frame *f, const void *part)
{
	const struct wire_run *run = part;

	(void)f;
	return run->n > 0 && run->first <= UINT32_MAX - run->n ? NULL : "empty or overflowing run";
}

const char *check_extent(const struct frame *f, const void *part)
{
	const struct wire_extent *e = part;

	(void)f;
	return e->n > 0 && e->first <= UINT32_MAX - e->n ? NULL : "empty or overflowing extent";
}

const char *check_entry(const struct frame *f, const void *part)
{
	const struct wire_entry *e = part;

	(void)f;
	if (!kind_ok(e->kind, e->mode))
		return "unknown mode or kind";
	if (!perm_ok(e->perm))
		return "unknown mode bits";
	if (e->state < STATE_LIVE || e->state > STATE_DELETED)
		return "unknown state";
	if (e->backing >= BACKING_LAST)
		return "unknown backing";
	return e->heap && name_ok_or_empty(e->name) ? NULL : "bad id or name";
}

const char *check_binding(const struct frame *f, const void *part)
{
	const struct wire_binding *b = part;

	(void)f;
	if (b->access != ACCESS_READ && b->access != ACCESS_WRITE)
		return "unknown access";
	return b->session && label_ok(b->label) ? NULL : "bad session or label";
}

const char *check_region(const struct frame *f, const void *part)
{
	const struct wire_region *r = part;

	(void)f;
	if (r->attribute >= WIRE_ATTRIBUTES || r->backing >= BACKING_OWN)
		return "unknown attribute or backing";
	return r->size && name_ok(r->name) ? NULL : "bad size or name";
}

const char *check_waiting(const struct frame *f, const void *part)
{
	const struct wire_waiting *w = part;

	(void)f;
	return w->parked <= 1 ? NULL : "bad flag";
}

/* ---- requests ---- */

const char *check_hello(const struct frame *f, const void *part)
{
	const struct wire_hello *hello = part;

	(void)f;
	return label_ok(hello->label) ? NULL : "bad label";
}

const char *check_create(const struct frame *f, const void *part)
{
	const struct wire_create *c = part;

	(void)f;
	if (!name_ok_or_empty(c->name))
		return "bad name";
	if (c->size == 0)
		return "size 0";
	if (!kind_ok(c->kind, c->mode))
		return "unknown mode or kind";
	if (c->perm != WIRE_PERM_DEFAULT && !perm_ok(c->perm))
		return "unknown mode bits";
	if (c->flags & (WIRE_CREATE_CONFIGURED | WIRE_CREATE_OWN)) {
		if (c->kind != KIND_REGION || c->mode)
			return "a region's flag, and no region";
		if (!(c->flags & WIRE_CREATE_CONFIGURED) != !c->name[0])
			return "a region with the wrong name";
	}
	if (c->flags & ~WIRE_CREATE_AGAIN & ((c->flags & ~WIRE_CREATE_AGAIN) - 1))
		return "flags that exclude each other";
	return (c->flags & ~WIRE_CREATE_ALL) || c->pad ? "unknown flag" : NULL;
}

const char *check_bind(const struct frame *f, const void *part)
{
	const struct wire_bind *b = part;

	(void)f;
	if (!name_ok(b->name))
		return "bad name";
	if (b->access < ACCESS_READ || b->access > ACCESS_BEST)
		return "unknown access";
	if (b->priority < 0 || b->priority > 100)
		return "priority out of range";
	return (b->flags & ~WIRE_BIND_NOWAIT) || b->pad ? "unknown flag" : NULL;
}

const char *check_heap(const struct frame *f, const void *part)
{
	const struct wire_heap *h = part;

	(void)f;
	return h->heap ? NULL : "heap 0";
}

/* DELETE and INSPECT: one answer, no cursor. */
const char *check_target(const struct frame *f, const void *part)
{
	const struct wire_target *t = part;

	(void)f;
	return t->cursor ? "cursor" : check_target_of(t->heap, t->name);
}

const char *check_walk(const struct frame *f, const void *part)
{
	const struct wire_target *t = part;

	(void)f;
	return check_target_of(t->heap, t->name);
}

const char *check_list(const struct frame *f, const void *part)
{
	const struct wire_target *t = part;

	(void)f;
	return t->heap || !all_zero(t->name, sizeof(t->name)) ? "id or name" : NULL;
}

const char *check_chmod(const struct frame *f, const void *part)
{
	const struct wire_chmod *c = part;

	(void)f;
	if (c->perm != WIRE_PERM_DEFAULT && !perm_ok(c->perm))
		return "unknown mode bits";
	return c->pad ? "padding" : check_target_of(c->heap, c->name);
}

const char *check_refill(const struct frame *f, const void *part)
{
	const struct wire_refill *r = part;

	(void)f;
	if (!r->heap || !r->pages)
		return "heap 0 or no pages";
	if (r->priority < 0 || r->priority > 100)
		return "priority out of range";
	return (r->flags & ~(WIRE_REFILL_AHEAD | WIRE_REFILL_NONBLOCK)) || r->pad ? "unknown flag"
										  : NULL;
}

const char *check_resume(const struct frame *f, const void *part)
{
	const struct wire_resume *r = part;

	(void)f;
	switch (r->flags) {
	case 0:
	case WIRE_RESUME_MORE:
		return r->heap ? NULL : "heap 0";
	case WIRE_RESUME_ALL:
		return r->heap && !r->n_runs ? NULL : "heap 0, or runs beside all";
	case WIRE_RESUME_END:
		return !r->heap && !r->n_runs ? NULL : "a heap behind the last one";
	default:
		return "unknown flag";
	}
}

const char *check_free(const struct frame *f, const void *part)
{
	const struct wire_free *fr = part;

	if (!fr->heap || fr->pad)
		return "heap 0 or padding";
	return !(f->header.op & WIRE_EVENT) && (fr->session || fr->id) ? "a sender of its own choice" : NULL;
}

const char *check_cancel(const struct frame *f, const void *part)
{
	const struct wire_cancel *c = part;

	(void)f;
	return c->id && !c->pad ? NULL : "id 0 or padding";
}

const char *check_return(const struct frame *f, const void *part)
{
	const struct wire_return *r = part;

	(void)f;
	if (!r->heap)
		return "heap 0";
	return r->more > 1 || r->pad ? "bad flag or padding" : NULL;
}

/* ---- answers ---- */

const char *check_welcome(const struct frame *f, const void *part)
{
	const struct wire_welcome *w = part;

	if (!label_ok(w->build))
		return "bad build";
	if (f->header.status != STATUS_OK)
		return NULL;
	if (w->version != WIRE_VERSION)
		return "welcome of another version";
	return w->hw_page == HW_PAGE_SIZE && w->n_slots && w->session
		       ? NULL
		       : "bad page size, slots or session";
}

const char *check_bound(const struct frame *f, const void *part)
{
	const struct wire_bound *b = part;
	bool unbound = b->slot == UINT32_MAX;

	if (!b->heap || b->backing >= BACKING_LAST)
		return "heap 0 or unknown backing";
	if (f->header.status != STATUS_OK) /* STATUS_BOUND: only the id */
		return b->n_runs ? "pages without a binding" : NULL;
	if (!name_ok_or_empty(b->name))
		return "bad name";
	if (!b->size || b->usable < b->size || !kind_ok(b->kind, b->mode))
		return "bad size, mode or kind";
	if (unbound)
		return b->n_runs ? "pages without a binding" : NULL;
	return b->access == ACCESS_READ || b->access == ACCESS_WRITE ? NULL : "unknown access";
}

const char *check_grant(const struct frame *f, const void *part)
{
	const struct wire_grant *g = part;

	if (!g->heap || g->pad)
		return "heap 0 or padding";
	return f->header.status != STATUS_OK && g->n_runs ? "pages with an error" : NULL;
}

const char *check_recall(const struct frame *f, const void *part)
{
	const struct wire_recall *r = part;

	(void)f;
	if (!r->heap || !r->seq)
		return "heap 0 or sequence 0";
	return r->urgent > 1 || r->pad ? "bad flag or padding" : NULL;
}

/* LIST, BINDINGS, WAITERS, MAP and REGIONS answer with the same three fields before their array. */
_Static_assert(offsetof(struct wire_list, n) == offsetof(struct wire_bindings, n) &&
		       offsetof(struct wire_list, n) == offsetof(struct wire_waiters, n) &&
		       offsetof(struct wire_list, n) == offsetof(struct wire_map, n) &&
		       offsetof(struct wire_list, n) == offsetof(struct wire_regions, n) &&
		       sizeof(struct wire_list) == sizeof(struct wire_bindings) &&
		       sizeof(struct wire_list) == sizeof(struct wire_waiters) &&
		       sizeof(struct wire_list) == sizeof(struct wire_map) &&
		       sizeof(struct wire_list) == sizeof(struct wire_regions),
	       "one shape of walk");

const char *check_walked(const struct frame *f, const void *part)
{
	const struct wire_list *l = part;

	(void)f;
	if (l->pad)
		return "padding";
	return l->cursor && !l->n ? "a walk that goes on with nothing" : NULL;
}

const char *check_stat(const struct frame *f, const void *part)
{
	const struct wire_stat *s = part;

	(void)f;
	return label_ok(s->build) ? NULL : "bad build";
}

static const char *check_pool(const struct wire_pool *p)
{
	for (size_t i = 0; i < WIRE_QUARTERS; i++)
		if (p->quarter[i] > QUARTER_USED)
			return "unknown quarter";
	if (p->pad[0] || p->pad[1] || p->pad[2])
		return "padding";
	return p->size == 256 || p->size == 1024 || p->size == 4096 || p->size == 16384
		       ? NULL
		       : "bad pool size";
}

const char *check_detail(const struct frame *f, const void *part)
{
	const struct wire_detail *d = part;

	(void)f;
	if (!d->heap)
		return "heap 0";
	switch (d->kind) {
	case KIND_PARTITION:
		return d->n_used <= d->partition.n_blocks &&
				       d->partition.stride >= d->partition.block_size
			       ? NULL
			       : "bad partition";
	case KIND_REGION:
		return d->region.attribute < WIRE_ATTRIBUTES ? NULL : "unknown attribute";
	case KIND_POOL:
		return check_pool(&d->pool);
	default:
		return "unknown kind";
	}
}
