/*
 * thp.h: mappings of files that huge pages fit into
 *
 * Model: one entry of a page table maps THP_SIZE bytes at once, where the kernel has a huge page of
 * the file there, and where address and place in the file are multiples of THP_SIZE.
 * Not here: asking for such pages, filling page tables, huge pages of a pool (hugetlb).
 */
#ifndef HEAPD_COMMON_THP_H
#define HEAPD_COMMON_THP_H

#include "common/base.h"

/* Of x86-64, and of aarch64 with pages of 4096 bytes. */
#define THP_SIZE ((size_t)2 << 20)

/*
 * mmap of size bytes (a multiple of HW_PAGE_SIZE) of fd from its beginning, MAP_SHARED with this
 * prot; at a multiple of THP_SIZE if it is as large, and nobody takes the room at that moment.
 * The caller's, to munmap: those size bytes and no more. MAP_FAILED and errno, as mmap. May block as
 * mmap does: at most four system calls. Not for signal handlers.
 */
void *thp_map(uint64_t size, int prot, int fd);

#endif
