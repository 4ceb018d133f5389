/*
 * multi_heap.c: see multi_heap.h
 */
#include "client/multi_heap.h"

#include <stdio.h>

#include "client/cancel.h"
#include "client/mapping.h"
#include "client/process.h"

struct multi_heap multi_heap_;

static struct multi_heap *const m = &multi_heap_;

/* What heapclient_problem() will say: the regions that were left out, or the one that failed. */
struct report {
	char text[256];
	size_t n;
};

void multi_heap_forget(void)
{
	atomic_store(&m->epoch, 0);
	lock_init(&m->lock);
	regions_init(&m->regions);
	memset(m->arena, 0, sizeof(m->arena));
	memset(m->name, 0, sizeof(m->name));
}

void multi_heap_unshare(void)
{
	if (atomic_load(&m->epoch))
		(void)mapping_populate(m, sizeof(*m));
}

/* ---- regions, one by one ---- */

/* The lock is held. The arena that what describes becomes the memory of the next region, or with
 * WIRE_CREATE_OWN the record of the one at *addr. */
static int attach(uint32_t attribute, const struct wire_create *what, uintptr_t *addr)
{
	uint32_t i = atomic_load(&m->regions.n);
	struct private_arena arena;
	bool own = what->flags & WIRE_CREATE_OWN;
	uintptr_t at;
	int r;

	r = regions_accept(&m->regions, attribute, own ? *addr : 0, what->size);
	if (r == 0)
		r = private_create(&arena, what);
	if (r < 0)
		return r;
	at = own ? *addr : (uintptr_t)arena.base;
	r = regions_add(&m->regions, attribute, at, own ? what->size : arena.usable, arena.stats);
	if (r < 0) {
		private_destroy(&arena);
		return r;
	}
	m->arena[i] = arena;
	*addr = at;
	return 0;
}

int multi_heap_add(uint32_t attribute, uintptr_t *addr, uint64_t size, void *user_data)
{
	_no_cancel_ int cancel = cancel_disable();
	struct wire_create what = { .kind = KIND_REGION, .size = size };
	uint32_t i;
	int r;

	if (*addr)
		what.flags = WIRE_CREATE_OWN;
	lock_take(&m->lock);
	i = atomic_load(&m->regions.n);
	r = attach(attribute, &what, addr);
	if (r == 0)
		m->user_data[i] = user_data;
	lock_give(&m->lock);
	return r;
}

/* ---- the configured ones ---- */

static bool have_name(const char *name)
{
	for (uint32_t i = 0; i < atomic_load(&m->regions.n); i++)
		if (strcmp(m->name[i], name) == 0)
			return true;
	return false;
}

/* Why a region may be left out; NULL: it may not. */
static const char *excuse(int error)
{
	switch (error) {
	case -EAGAIN:
		return "its device is in use";
	case -EACCES:
		return "access denied";
	case -ENOENT: /* the configuration was read anew between our two requests */
		return "not configured any more";
	default:
		return NULL;
	}
}

_Static_assert(sizeof(((struct report *)0)->text) > WIRE_NAME_SIZE + 128, "one region fits");

static void leave_out(struct report *report, const char *name, const char *why)
{
	size_t room = sizeof(report->text) - report->n;
	int n = snprintf(report->text + report->n, room, "%s%s (%s)",
			 report->n ? ", " : "regions left out: ", name, why);

	report->n += (size_t)n < room ? (size_t)n : room - 1; /* a text that is full stays so */
}

/* One that is to be had becomes a region; one that is not, a word in the report. */
static int attach_configured(const struct wire_region *region, struct report *report)
{
	struct wire_create what = {
		.kind = KIND_REGION,
		.size = region->size,
		.flags = WIRE_CREATE_CONFIGURED,
	};
	uint32_t i = atomic_load(&m->regions.n);
	uintptr_t addr;
	int r;

	if (have_name(region->name))
		return 0; /* a walk may show one twice when the configuration changes meanwhile */
	memcpy(what.name, region->name, sizeof(what.name));
	r = attach(region->attribute, &what, &addr);
	if (r == 0) {
		memcpy(m->name[i], region->name, sizeof(m->name[i]));
		return 0;
	}
	if (excuse(r)) {
		leave_out(report, region->name, excuse(r));
		return 0;
	}
	(void)snprintf(report->text, sizeof(report->text), "region %s: %s", region->name,
		       strerror(-r));
	return r;
}

/* A step of the walk. 0, and the cursor for the next, 0: that was all. */
static int attach_some(struct session *s, uint64_t *cursor, struct report *report)
{
	struct frame f;
	struct wire_target *body = frame_init(&f, OP_REGIONS, 0, 0, sizeof(*body));
	const struct wire_regions *list;
	int r;

	body->cursor = *cursor;
	r = session_call(s, &f);
	if (r == 0)
		r = status_errno(f.header.status);
	if (r < 0) {
		(void)snprintf(report->text, sizeof(report->text),
			       "heapd does not tell its regions: %s", strerror(-r));
		return r;
	}
	list = FRAME_BODY(&f, const struct wire_regions);
	for (uint32_t i = 0; r == 0 && i < list->n; i++)
		r = attach_configured(&list->region[i], report);
	*cursor = list->cursor;
	return r;
}

/* In the file's order. */
static int attach_all(struct report *report)
{
	_cleanup_(session_unrefp) struct session *s = NULL;
	uint64_t cursor = 0;
	int r = session_get(&s);

	if (r < 0)
		return r;
	do {
		r = attach_some(s, &cursor, report);
	} while (r == 0 && cursor);
	return r;
}

static void give_all_back(void)
{
	uint32_t n = atomic_load(&m->regions.n);

	regions_deinit(&m->regions);
	while (n--)
		private_destroy(&m->arena[n]);
	memset(m->name, 0, sizeof(m->name));
}

int multi_heap_make(void)
{
	_no_cancel_ int cancel = cancel_disable();
	struct report report = { .n = 0 };
	int r = process_enter();

	if (r < 0)
		return r;
	lock_take(&m->lock);
	r = multi_heap_regions() ? -EALREADY : attach_all(&report);
	if (r == 0)
		atomic_store_explicit(&m->epoch, epoch_now(), memory_order_release);
	else if (r != -EALREADY)
		give_all_back();
	lock_give(&m->lock);
	if (report.text[0])
		session_set_problem(report.text);
	return r;
}
