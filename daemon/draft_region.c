/*
 * [region "NAME"]: a region in the making
 *
 * It becomes the config's when its section ends, if it is whole: it needs a size, and keys that
 * only huge pages have need huge pages. Whether a device is there is not looked at: it may come
 * later, and to open one may mean something to it.
 */
#include "daemon/draft_internal.h"

#include "common/pages.h"
#include "daemon/values.h"
#include "proto/codec.h"

/* What any machine that Linux runs on calls a huge page, and less than what it calls silly. */
#define HUGE_PAGE_MIN (UINT64_C(64) << 10)
#define HUGE_PAGE_MAX (UINT64_C(16) << 30)

bool region_enter(struct draft *d, const char *name)
{
	struct region *g;

	if (name_check(name) != STATUS_OK) {
		draft_wrong(d, "a region's name has 1 to %u printable ASCII characters without / "
			       "and blanks", WIRE_NAME_MAX);
		return false;
	}
	if (config_region(d->config, name)) {
		draft_wrong(d, "there is a [region \"%s\"] already", name);
		return false;
	}
	g = calloc(1, sizeof(*g));
	if (!g) {
		draft_wrong(d, "out of memory");
		return false;
	}
	name_copy(g->name, name);
	g->backing.fallback = true;
	d->region = g;
	d->has_size = false;
	d->has_huge = false;
	return true;
}

void region_drop(struct draft *d)
{
	struct region *g = take(d->region);

	if (g)
		free(g->backing.path);
	free(g);
}

void region_leave(struct draft *d)
{
	struct region *g = d->region;

	if (!g)
		return;
	if (!d->has_size) {
		draft_wrong(d, "[region \"%s\"] has no size", g->name);
	} else if (d->has_huge && g->backing.kind != BACKING_HUGE) {
		draft_wrong(d, "[region \"%s\"]: huge_page and fallback go with backing = huge",
			    g->name);
	} else if (g->size) {
		STAILQ_INSERT_TAIL(&d->config->regions, g, link);
		d->region = NULL;
		d->config->n_regions++;
	}
	region_drop(d);
}

const char *region_set_size(struct draft *d, const char *text)
{
	uint64_t n;

	d->has_size = true;
	if (value_size(text, &n) < 0 || !n || n > PAGES_MAX * (uint64_t)HW_PAGE_SIZE)
		return "a size up to 4T, as in 64K";
	d->region->size = n;
	return NULL;
}

const char *region_set_attribute(struct draft *d, const char *text)
{
	if (!strcmp(text, "cacheable"))
		d->region->attribute = WIRE_CACHEABLE;
	else if (!strcmp(text, "noncacheable"))
		d->region->attribute = WIRE_NON_CACHEABLE;
	else
		return "cacheable or noncacheable";
	return NULL;
}

const char *region_set_backing(struct draft *d, const char *text)
{
	struct backing *b = &d->region->backing;
	char *path = NULL;

	if (*text == '/') {
		path = strdup(text);
		if (!path)
			return "more memory than there is";
		b->kind = BACKING_DEVICE;
	} else if (!strcmp(text, "memory")) {
		b->kind = BACKING_MEMORY;
	} else if (!strcmp(text, "huge")) {
		b->kind = BACKING_HUGE;
	} else {
		return "memory, huge, or the absolute path of a device or file";
	}
	free(b->path);
	b->path = path;
	return NULL;
}

const char *region_set_huge_page(struct draft *d, const char *text)
{
	uint64_t n;

	d->has_huge = true;
	if (value_size(text, &n) < 0 || n < HUGE_PAGE_MIN || n > HUGE_PAGE_MAX || (n & (n - 1)))
		return "the size of huge pages, as in 2M or 1G";
	d->region->backing.huge_page = n;
	return NULL;
}

const char *region_set_fallback(struct draft *d, const char *text)
{
	d->has_huge = true;
	return value_bool(text, &d->region->backing.fallback) < 0 ? "yes or no" : NULL;
}

const char *region_set_group(struct draft *d, const char *text)
{
	if (value_group(text, &d->region->group) < 0)
		return "a group that exists";
	d->region->has_group = true;
	return NULL;
}
