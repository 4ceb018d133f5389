/*
 * kmalloc_other.c: another file of the same program, which was built with another size
 */
#undef CONFIG_HEAP_MEM_POOL_SIZE
#define CONFIG_HEAP_MEM_POOL_SIZE 4096
#include <zephyr/kernel.h>
