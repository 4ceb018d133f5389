/*
 * zephyr/kernel.h: Zephyr's <zephyr/kernel.h>, its heap memory pool
 *
 * Sources that take memory with k_malloc and its kin compile unchanged. Zephyr's build defines
 * CONFIG_HEAP_MEM_POOL_SIZE for every file; so does yours, with -DCONFIG_HEAP_MEM_POOL_SIZE=4096,
 * and every file that includes this tells the library. Files that tell different sizes: the first
 * one stands, and a line on stderr says so. Not defined: <heapclient/k_malloc.h> has the other ways.
 *
 * Not here: threads, time, and whatever else of the kernel.
 */
#ifndef HEAPCLIENT_COMPAT_ZEPHYR_KERNEL_H
#define HEAPCLIENT_COMPAT_ZEPHYR_KERNEL_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <heapclient/k_malloc.h>

#ifdef CONFIG_HEAP_MEM_POOL_SIZE
K_HEAP_MEM_POOL_TELL_(tell_k_heap_mem_pool_config_, CONFIG_HEAP_MEM_POOL_SIZE)
#endif

#endif
