/*
 * areas.c: see areas.h
 */
#include "client/areas.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include "proto/heads.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

/* What of the heads is mapped at once. */
static size_t heads_unit(const struct areas *a)
{
	return max_u64(a->place, HW_PAGE_SIZE);
}

void areas_init(struct areas *a, int control_fd, int stats_fd, uint32_t n_slots)
{
	struct stat st;

	memset(a, 0, sizeof(*a));
	a->control_fd = control_fd;
	a->stats_fd = stats_fd;
	a->n_slots = n_slots < WIRE_SLOTS ? n_slots : WIRE_SLOTS;
	if (fstat(stats_fd, &st) == 0 && st.st_size > 0)
		a->place = heads_place_of((uint64_t)st.st_size);
}

static void unmap_all(void **units, size_t n, size_t unit)
{
	for (size_t i = 0; i < n; i++) {
		if (units[i])
			(void)munmap(units[i], unit);
		units[i] = NULL;
	}
}

void areas_deinit(struct areas *a)
{
	unmap_all(a->control, ARRAY_SIZE(a->control), HW_PAGE_SIZE);
	unmap_all(a->stats, ARRAY_SIZE(a->stats), HW_PAGE_SIZE);
	unmap_all(a->heads, ARRAY_SIZE(a->heads), heads_unit(a));
}

/* Whole pages of a file, populated; NULL if they cannot be mapped. */
static void *map_pages(int fd, uint64_t at, size_t size, bool writable)
{
	void *p = mmap(NULL, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | MAP_POPULATE, fd,
		       (off_t)at);

	if (p == MAP_FAILED)
		return NULL;
	/* MAP_POPULATE is silent and reads; a kernel without this advice has at least done that */
	if (madvise(p, size, writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) < 0 && errno != EINVAL) {
		(void)munmap(p, size);
		return NULL;
	}
	return p;
}

/* The mapped page that holds byte at; NULL if it cannot be mapped. */
static void *map_page(void **pages, int fd, size_t at, bool writable)
{
	void **page = &pages[at / HW_PAGE_SIZE];

	if (!*page)
		*page = map_pages(fd, at & ~(HW_PAGE_SIZE - 1), HW_PAGE_SIZE, writable);
	return *page;
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

/* A thread may still have an old head in hand, and exchange it: no version comes back. */
static void empty_heads(struct wire_heads *heads, uint32_t n_cpus)
{
	for (uint32_t cpu = 0; cpu < n_cpus; cpu++)
		for (uint32_t kind = 0; kind < WIRE_HEADS_KINDS; kind++) {
			_Atomic uint64_t *head = &heads[cpu].head[kind];

			atomic_store(head, (atomic_load(head) | 0xffff) + 1);
		}
}

int areas_heads(struct areas *a, uint32_t slot, uint32_t n_cpus, struct wire_heads **heads)
{
	size_t unit = heads_unit(a);
	uint64_t behind = slot * a->place;
	void **mapped;

	if (slot >= a->n_slots || n_cpus == 0)
		return -EINVAL;
	if (n_cpus > a->place / sizeof(struct wire_heads))
		return -ENOTSUP;
	mapped = &a->heads[behind / unit];
	if (!*mapped)
		*mapped = map_pages(a->stats_fd, WIRE_HEADS_BEGIN + behind / unit * unit, unit, true);
	if (!*mapped)
		return -ENOMEM;
	*heads = (struct wire_heads *)(void *)((char *)*mapped + behind % unit);
	empty_heads(*heads, n_cpus);
	return 0;
}
