/*
 * keeper.h: a stand-in for systemd's fd store
 *
 * Model: a process of its own that reads what heapd tells a service manager (sd_notify(3)): it
 * keeps descriptors by name, lets them go, and closes what comes with a barrier, all in order.
 * Whoever is about to become heapd fetches them. It is a process, not a thread of the test, so that
 * no actor is forked with a barrier's pipe or somebody's memory open.
 */
#ifndef HEAPD_TESTS_KEEPER_H
#define HEAPD_TESTS_KEEPER_H

#include <stdbool.h>
#include <stddef.h>

void keeper_start(const char *dir);
void keeper_stop(void); /* safe twice, and without a start */

/* All that is stored goes, as when the unit is stopped. Pre: no heapd runs. */
void keeper_forget(void);

/* In the child that becomes heapd: the stored descriptors, and the environment that tells of them. */
void keeper_hand_over(unsigned max);

/* From now on it reads nothing, as a systemd that is busy; or it goes on. */
void keeper_pause(bool on);

/* Stored now, when all that has been said is handled. */
size_t keeper_count(void);

#endif
