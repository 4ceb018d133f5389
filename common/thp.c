/*
 * thp.c: see thp.h
 */
#include "common/thp.h"

#include <sys/mman.h>

/* Gives back what of the room lies around the mapping. */
static void trim(char *room, uint64_t room_size, char *map, uint64_t size)
{
	const uint64_t before = (uint64_t)(map - room), after = room_size - before - size;

	if (before)
		(void)munmap(room, before);
	if (after)
		(void)munmap(map + size, after);
}

/* The room is reserved first, so that no other thread's mapping gets in between. */
static void *map_aligned(uint64_t size, int prot, int fd)
{
	const uint64_t room_size = size + THP_SIZE;
	char *room = mmap(NULL, room_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *at;
	void *map;

	if (room == MAP_FAILED)
		return MAP_FAILED;
	at = room + (align_up((uintptr_t)room, THP_SIZE) - (uintptr_t)room);
	map = mmap(at, size, prot, MAP_SHARED | MAP_FIXED, fd, 0);
	if (map == MAP_FAILED) {
		(void)munmap(room, room_size);
		return MAP_FAILED;
	}
	trim(room, room_size, at, size);
	return map;
}

void *thp_map(uint64_t size, int prot, int fd)
{
	void *map = MAP_FAILED;

	if (size >= THP_SIZE && size < SIZE_MAX - THP_SIZE)
		map = map_aligned(size, prot, fd);
	return map != MAP_FAILED ? map : mmap(NULL, size, prot, MAP_SHARED, fd, 0);
}
