/*
 * mapping.c: see mapping.h
 */
#include "client/mapping.h"

#include <sys/mman.h>

#include "common/thp.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

/* Linux before 5.14: touch every page. Writing back what was read is safe: nobody else uses these pages yet, or the page is
 * private; a shared arena is only read, which maps it writable at the first store without a fault that could fail. */
static void touch_pages(const volatile char *addr, uint64_t size)
{
	for (uint64_t at = 0; at < size; at += HW_PAGE_SIZE)
		(void)addr[at];
}

static int populate(void *addr, uint64_t size, int advice)
{
	int r;

	do {
		r = madvise(addr, size, advice);
	} while (r < 0 && errno == EAGAIN);
	if (r == 0)
		return 0;
	if (errno != EINVAL)
		return errno == EFAULT ? -ENOMEM : -errno;
	touch_pages(addr, size);
	return 0;
}

int mapping_arena(void **out, int fd, uint64_t size, bool writable)
{
	void *p = thp_map(size, writable ? PROT_READ | PROT_WRITE : PROT_READ, fd);
	int r;

	if (p == MAP_FAILED)
		return -errno;
	r = populate(p, size, writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
	if (r < 0) {
		(void)munmap(p, size);
		return r;
	}
	*out = p;
	return 0;
}

int mapping_device(void **out, int fd, uint64_t size, bool writable)
{
	void *p = mmap(NULL, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	*out = p;
	return 0;
}

int mapping_private(void **out, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -ENOMEM;
	if (madvise(p, size, MADV_WIPEONFORK) < 0 && errno != EINVAL) { /* Linux before 4.14 does not know it */
		(void)munmap(p, size);
		return -ENOMEM;
	}
	*out = p;
	return 0;
}

int mapping_populate(void *addr, size_t size)
{
	uintptr_t first = (uintptr_t)addr & ~(HW_PAGE_SIZE - 1);
	uintptr_t end = align_up((uintptr_t)addr + size, HW_PAGE_SIZE);

	return populate((void *)first, end - first, MADV_POPULATE_WRITE);
}

void mapping_free(void *addr, uint64_t size)
{
	if (addr)
		(void)munmap(addr, size);
}
