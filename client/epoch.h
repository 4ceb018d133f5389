/*
 * epoch.h: which process this memory belongs to
 *
 * Model: one word in a page that the kernel wipes in the child of a fork (MADV_WIPEONFORK). Every descriptor
 * remembers the epoch it was made in; in a child the word reads 0 until the library has been reset there, and another
 * number afterwards, so one load tells that a descriptor was inherited, however the fork was done (also by a raw
 * clone that runs no atfork handlers).
 *
 * Not here: what a reset does (client/process.c).
 */
#ifndef HEAPD_CLIENT_EPOCH_H
#define HEAPD_CLIENT_EPOCH_H

#include <stdatomic.h>
#include "common/base.h"

extern _Atomic uint64_t *epoch_word_; /* only for epoch_now */

/* 0: the library is not set up in this process. Async-signal-safe. */
static inline uint64_t epoch_now(void)
{
	return atomic_load_explicit(epoch_word_, memory_order_acquire);
}

/* Maps the word, unless it is there. 0, -ENOMEM. Not thread-safe: by client/process.c. */
int epoch_init(void);

/* Starts an epoch that no earlier one in this process or its ancestors had. */
void epoch_begin(void);

#endif
