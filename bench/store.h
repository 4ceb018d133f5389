/*
 * store.h: what gives out blocks, as the works use it
 *
 * The program that is built names its store: -DSTORE_HEADER='"bench/store_NAME.h"'. That header
 * defines, all static inline:
 *
 *   int store_begin(const struct plan *)   makes it. 0, -errno; -EOPNOTSUPP: it has no such blocks
 *   int store_enter(void)                  once in each thread before it gets. 0, -errno
 *   void store_leave(void)                 at a thread's end
 *   void *store_get(size_t size)           a block of at least size bytes; NULL: none
 *   void store_put(void *block)
 *   const void *store_symbol(void)         what answers store_get, to tell whose; NULL: inline
 *
 * Variables of it are _store_ instead of static: every work has the header, and there is one store.
 *
 * Not here: ends. The process ends.
 */
#ifndef HEAPD_BENCH_STORE_H
#define HEAPD_BENCH_STORE_H

#include "bench/plan.h"

/* (weak: the linker keeps one of the equal definitions; hidden, so the way to it is direct) */
#define _store_ __attribute__((__weak__))

#include STORE_HEADER

#endif
