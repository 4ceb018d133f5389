/*
 * areas.c: see areas.h
 */
#include "client/areas.h"

#include <sys/mman.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

void areas_init(struct areas *a, int control_fd, int stats_fd, uint32_t n_slots)
{
	memset(a, 0, sizeof(*a));
	a->control_fd = control_fd;
	a->stats_fd = stats_fd;
	a->n_slots = n_slots < WIRE_SLOTS ? n_slots : WIRE_SLOTS;
}

static void unmap_pages(void **pages, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (pages[i])
			(void)munmap(pages[i], HW_PAGE_SIZE);
		pages[i] = NULL;
	}
}

void areas_deinit(struct areas *a)
{
	unmap_pages(a->control, ARRAY_SIZE(a->control));
	unmap_pages(a->stats, ARRAY_SIZE(a->stats));
}

/* The mapped page that holds byte at; NULL if it cannot be mapped. */
static void *map_page(void **pages, int fd, size_t at, bool writable)
{
	void **page = &pages[at / HW_PAGE_SIZE];
	void *p;

	if (*page)
		return *page;
	p = mmap(NULL, HW_PAGE_SIZE, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | MAP_POPULATE,
		 fd, (off_t)(at & ~(HW_PAGE_SIZE - 1)));
	if (p == MAP_FAILED)
		return NULL;
	/* MAP_POPULATE is silent and reads; a kernel without this advice has at least done that */
	if (madvise(p, HW_PAGE_SIZE, writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) < 0 && errno != EINVAL) {
		(void)munmap(p, HW_PAGE_SIZE);
		return NULL;
	}
	return *page = p;
}

int areas_slot(struct areas *a, uint32_t slot, const struct wire_control **control, struct wire_stats **stats)
{
	size_t control_at = (size_t)slot * sizeof(struct wire_control);
	size_t stats_at = (size_t)slot * sizeof(struct wire_stats);
	char *c, *s;

	if (slot >= a->n_slots)
		return -EINVAL;
	c = map_page(a->control, a->control_fd, control_at, false);
	s = map_page(a->stats, a->stats_fd, stats_at, true);
	if (!c || !s)
		return -ENOMEM;
	*control = (const struct wire_control *)(void *)(c + control_at % HW_PAGE_SIZE);
	*stats = (struct wire_stats *)(void *)(s + stats_at % HW_PAGE_SIZE);
	memset(*stats, 0, sizeof(**stats));
	return 0;
}
