/*
 * mapping.h: an arena in this process, and private memory for metadata
 *
 * Both come with their page tables filled, so that no later access faults. The arena mapping is MAP_SHARED and, where
 * the kernel allows, goes on past a fork; it never covers anything but whole hardware pages of a memfd whose size is sealed.
 * Not here: what lies in them.
 */
#ifndef HEAPD_CLIENT_MAPPING_H
#define HEAPD_CLIENT_MAPPING_H

#include "common/base.h"

/* Maps size bytes (a page multiple) of fd, read-only or writable, populated; so that huge pages that the file may have fit
 * (common/thp.h). 0 or -ENOMEM, -EACCES, another -errno. */
int mapping_arena(void **out, int fd, uint64_t size, bool writable);

/* Maps size bytes of a device, read-only or writable. Nothing is touched: a driver fills its page tables itself, or at
 * the first access; a read might do something. 0 or -ENOMEM, -EACCES, another -errno. */
int mapping_device(void **out, int fd, uint64_t size, bool writable);

/*
 * Zeroed private memory, reserved only: mapping_populate gives it backing. The child of a fork has zeros there, so
 * that a fork leaves no page behind that its parent would copy, in a page fault, at its next store. 0 or -ENOMEM.
 */
int mapping_private(void **out, size_t size);

/* Fills the page tables of [addr, addr+size), private and writable. 0 or -ENOMEM. */
int mapping_populate(void *addr, size_t size);

void mapping_free(void *addr, uint64_t size); /* NULL is fine */

#endif
