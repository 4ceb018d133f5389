/*
 * thp.c: see thp.h
 */
#include "common/thp.h"

#include <sys/mman.h>

/*
 * Where there is room for it, looked for and given back: another thread may take it meanwhile, and then the kernel finds
 * another place, which is as good but for huge pages. (MAP_FIXED would take what others have.)
 */
static void *map_aligned(uint64_t size, int prot, int fd)
{
	const uint64_t room_size = size + THP_SIZE;
	char *room = mmap(NULL, room_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (room == MAP_FAILED)
		return MAP_FAILED;
	(void)munmap(room, room_size);
	return mmap(room + (align_up((uintptr_t)room, THP_SIZE) - (uintptr_t)room), size, prot, MAP_SHARED, fd, 0);
}

void *thp_map(uint64_t size, int prot, int fd)
{
	void *map = MAP_FAILED;

	if (size >= THP_SIZE && size < SIZE_MAX - THP_SIZE)
		map = map_aligned(size, prot, fd);
	return map != MAP_FAILED ? map : mmap(NULL, size, prot, MAP_SHARED, fd, 0);
}
