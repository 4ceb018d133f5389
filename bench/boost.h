/*
 * boost.h: what boost.cc has for C
 */
#ifndef HEAPD_BENCH_BOOST_H
#define HEAPD_BENCH_BOOST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

int boost_begin(uint64_t bytes); /* once. 0, -errno */
void *boost_get(size_t size);    /* NULL: full */
void boost_put(void *block);

#ifdef __cplusplus
}
#endif
#endif
