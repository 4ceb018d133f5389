/*
 * areas.c: see areas.h
 */
#include "daemon/areas.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "daemon/memfd.h"
#include "proto/heads.h"
#include "proto/status.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define CONTROL_SIZE AREAS_CONTROL_SIZE
#define HEADS_AT_ONCE (HW_PAGE_SIZE / sizeof(struct wire_heads)) /* CPUs */
#define SLOTS_PER_PAGE (HW_PAGE_SIZE / sizeof(struct wire_control))

static int map_control(struct areas *a)
{
	void *p = mmap(NULL, (size_t)CONTROL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		       a->control_rw_fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	a->control = p;
	return memfd_reopen_read(&a->control_fd, a->control_rw_fd);
}

int areas_show(struct areas *a)
{
	return a->control_fd >= 0 ? 0 : memfd_reopen_read(&a->control_fd, a->control_rw_fd);
}

static int make_slots(struct areas *a)
{
	a->free_storage = calloc(1, bitset_bytes(WIRE_SLOTS));
	if (!a->free_storage)
		return -ENOMEM;
	bitset_init(&a->free, WIRE_SLOTS, a->free_storage);
	return 0;
}

bool areas_is_stats(off_t size)
{
	return size == (off_t)WIRE_HEADS_BEGIN || (size > 0 && heads_place_of((uint64_t)size));
}

int areas_init(struct areas *a)
{
	int r = memfd_new(&a->control_rw_fd, "heapd:control", (uint64_t)CONTROL_SIZE);

	if (!r)
		r = map_control(a);
	a->place = heads_place(sysconf(_SC_NPROCESSORS_CONF));
	if (!r)
		r = memfd_new(&a->stats_fd, "heapd:statistics", heads_file(a->place));
	if (!r)
		r = make_slots(a);
	if (r < 0)
		areas_deinit(a);
	return r;
}

void areas_deinit(struct areas *a)
{
	if (a->control)
		(void)munmap(a->control, (size_t)CONTROL_SIZE);
	close_fd(&a->control_fd);
	close_fd(&a->control_rw_fd);
	close_fd(&a->stats_fd);
	free(a->free_storage);
	*a = (struct areas)AREAS_NULL;
}

/*
 * The next page of control slots gets its memory by a call that can fail, not by a store that would
 * be a SIGBUS. (A kernel before 5.14 does not know the advice; there the store decides.)
 */
static int prepare_page(struct areas *a)
{
	if (madvise(&a->control[a->n_prepared], HW_PAGE_SIZE, MADV_POPULATE_WRITE) < 0 &&
	    errno != EINVAL)
		return -ENOMEM;
	for (uint32_t i = 0; i < SLOTS_PER_PAGE; i++)
		bitset_add(&a->free, a->n_prepared + i);
	a->n_prepared += (uint32_t)SLOTS_PER_PAGE;
	return 0;
}

int areas_take_slot(struct areas *a, uint32_t *slot)
{
	uint32_t i = bitset_next(&a->free, 0);
	int r;

	if (i == BITSET_NONE) {
		if (a->n_prepared == WIRE_SLOTS)
			return STATUS_QUOTA;
		r = prepare_page(a);
		if (r < 0)
			return r;
		i = bitset_next(&a->free, 0);
	}
	bitset_remove(&a->free, i);
	*slot = i;
	return 0;
}

int areas_adopt(struct areas *a, int control_rw_fd, int stats_fd)
{
	struct stat st;
	int r;

	a->control_rw_fd = control_rw_fd;
	a->stats_fd = stats_fd;
	if (fstat(stats_fd, &st) == 0)
		a->place = heads_place_of((uint64_t)st.st_size);
	r = map_control(a);
	if (!r)
		r = make_slots(a);
	if (r < 0)
		areas_deinit(a);
	return r;
}

int areas_retake_slot(struct areas *a, uint32_t slot)
{
	int r;

	while (a->n_prepared <= slot) {
		r = prepare_page(a);
		if (r < 0)
			return r;
	}
	if (!bitset_has(&a->free, slot))
		return -EEXIST;
	bitset_remove(&a->free, slot);
	return 0;
}

void areas_adopted(struct areas *a)
{
	for (uint32_t i = bitset_next(&a->free, 0); i != BITSET_NONE; i = bitset_next(&a->free, i + 1))
		atomic_store_explicit(&a->control[i].state, 0, memory_order_release);
}

void areas_abandon(struct areas *a)
{
	int flags = MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE;
	void *p = mmap(a->control, (size_t)CONTROL_SIZE, PROT_READ | PROT_WRITE, flags,
		       a->control_rw_fd, 0);

	if (p == MAP_FAILED) /* the old mapping has gone with the attempt, or it is still there: neither will do */
		p = mmap(a->control, (size_t)CONTROL_SIZE, PROT_READ | PROT_WRITE,
			 flags | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		_exit(1); /* rather than tell its process that all its heaps have gone */
}

void areas_give_slot(struct areas *a, uint32_t slot)
{
	struct wire_control *c = &a->control[slot];

	atomic_store_explicit(&c->state, 0, memory_order_release);
	atomic_store_explicit(&c->pressed, 0, memory_order_release);
	atomic_store_explicit(&c->n_bound, 0, memory_order_release);
	bitset_add(&a->free, slot);
}

void areas_read(const struct areas *a, uint32_t slot, struct wire_stats *stats)
{
	ssize_t n = pread(a->stats_fd, stats, sizeof(*stats), (off_t)slot * (off_t)sizeof(*stats));

	if (n != sizeof(*stats))
		memset(stats, 0, sizeof(*stats));
}

/* Of one piece of a slot's heads. */
static void add_heads(const struct areas *a, off_t at, size_t n, bool rings, uint64_t at_hand[WIRE_HEADS_KINDS])
{
	uint64_t heads[HEADS_AT_ONCE][WIRE_HEADS_KINDS];
	ssize_t got = pread(a->stats_fd, heads, n * sizeof(heads[0]), at);

	if (got != (ssize_t)(n * sizeof(heads[0])))
		return;
	for (size_t cpu = 0; cpu < n; cpu++)
		for (size_t kind = 0; kind < WIRE_HEADS_KINDS; kind++)
			at_hand[kind] += rings ? min_u64(WIRE_RING_COUNT(heads[cpu][kind]), UINT16_MAX)
					       : WIRE_HEAD_COUNT(heads[cpu][kind]);
}

void areas_read_heads(const struct areas *a, uint32_t slot, uint32_t n_cpus, bool rings, uint64_t at_hand[WIRE_HEADS_KINDS])
{
	off_t at = (off_t)heads_at(a->place, slot);

	memset(at_hand, 0, WIRE_HEADS_KINDS * sizeof(*at_hand));
	n_cpus = (uint32_t)min_u64(n_cpus, a->place / sizeof(struct wire_heads));
	for (uint32_t cpu = 0; cpu < n_cpus; cpu += HEADS_AT_ONCE)
		add_heads(a, at + (off_t)(cpu * sizeof(struct wire_heads)),
			  (size_t)min_u64(HEADS_AT_ONCE, n_cpus - cpu), rings, at_hand);
}
