/*
 * ledger_store.c: see ledger_store.h
 *
 * A process that is killed has done all stores up to some instruction and none behind it, so it is
 * the compiler alone that must not reorder them: release stores say so.
 */
#include "daemon/ledger_store.h"

void ledger_store32(_Atomic uint32_t *at, uint32_t value)
{
	atomic_store_explicit(at, value, memory_order_release);
}

void ledger_store64(_Atomic uint64_t *at, uint64_t value)
{
	atomic_store_explicit(at, value, memory_order_release);
}

void ledger_write(void *at, const void *from, size_t n)
{
	memcpy(at, from, n);
	atomic_signal_fence(memory_order_release);
}
