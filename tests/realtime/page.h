/*
 * page.h: the bounds as docs/realtime.md states them
 *
 * The page is the only place where a bound is written down: the tests read its table, so page and
 * code cannot drift apart. A row is "| `call` ... | bound | ...", with the call as histories.h names it
 * without its grave accents.
 */
#ifndef HEAPD_TESTS_REALTIME_PAGE_H
#define HEAPD_TESTS_REALTIME_PAGE_H

#include "tests/realtime/histories.h"

extern const char *const call_names[CALL_COUNT];

/* The bound of a call, in instructions; of anything else that has a row in the table, by its name.
 * Fails the test if the page ($REALTIME_PAGE) has not exactly one such row. */
uint64_t page_bound(const char *name);

/* That of a call on this machine: what looks at all CPUs may take longer on one that has many. */
uint64_t page_call_bound(enum call call);

#endif
