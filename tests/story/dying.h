/*
 * dying.h: a heapd that ends itself at a named point (daemon/point.h)
 *
 * Model: heapd-points is heapd with its points alive. $HEAPD_POINTS names a file that it shares with the
 * test, which writes there at which point it shall die, and the how many-th time it comes there.
 * After every request, and whenever work was done, it audits its whole world and the ledger; what
 * is wrong is a line in its log, and its end.
 */
#ifndef HEAPD_TESTS_STORY_DYING_H
#define HEAPD_TESTS_STORY_DYING_H

#include <stdatomic.h>
#include <stdint.h>
#include "daemon/point.h"

struct dying {
	_Atomic int point; /* -1: it lives on */
	_Atomic int more;  /* times that it passes it before */
	_Atomic uint64_t audits;
};

#endif
