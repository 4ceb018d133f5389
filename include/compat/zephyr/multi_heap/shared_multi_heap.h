/*
 * zephyr/multi_heap/shared_multi_heap.h: Zephyr's shared multi-heap, for sources that include it under
 * its name there
 *
 * Names, types and values are those of Zephyr 3.7; there is nothing to adapt. What differs in
 * behaviour is in shared_multi_heap(3).
 */
#ifndef HEAPCLIENT_COMPAT_ZEPHYR_SHARED_MULTI_HEAP_H
#define HEAPCLIENT_COMPAT_ZEPHYR_SHARED_MULTI_HEAP_H

#include <heapclient/shared_multi_heap.h>

#endif
