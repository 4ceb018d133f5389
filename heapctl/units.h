/*
 * units.h: sizes and times as people write and read them
 *
 * Pure: text in, numbers out, and back. Units are powers of 1024, as lsblk has them: K, M, G, T, P,
 * E.
 */
#ifndef HEAPD_HEAPCTL_UNITS_H
#define HEAPD_HEAPCTL_UNITS_H

#include "common/base.h"

/* "4096", "64K", "1M", "8GiB", "1.5G": bytes. false: not a size, or more than 64 bits. */
bool size_parse(const char *text, uint64_t *bytes);

/* At most five characters: "0B", "512B", "1.5K", "16K", "2T". One decimal below 10 and where it is
 * not .0. */
void size_text(char *out, size_t size, uint64_t bytes);

/* "350us", "12ms", "3.2s", "4m07s", "5h12m", "3d04h". */
void duration_text(char *out, size_t size, uint64_t ns);

/* Local time, "2026-01-31 17:05:09"; "-" for 0. */
void clock_text(char *out, size_t size, uint64_t realtime_ns);

#endif
