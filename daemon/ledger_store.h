/*
 * ledger_store.h: the only two ways in which the ledger's file is changed
 *
 * Each is a step that a crash may come before or after. Tests take their place (by --wrap) to look
 * at the file after every one of them.
 */
#ifndef HEAPD_DAEMON_LEDGER_STORE_H
#define HEAPD_DAEMON_LEDGER_STORE_H

#include <stdatomic.h>
#include "common/base.h"

/* A word that counts. Everything that was stored before is there when it is. */
void ledger_store32(_Atomic uint32_t *at, uint32_t value);
void ledger_store64(_Atomic uint64_t *at, uint64_t value);

/* Bytes that do not count yet. */
void ledger_write(void *at, const void *from, size_t n);

#endif
