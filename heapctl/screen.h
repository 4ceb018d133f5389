/*
 * screen.h: a terminal taken over for a while
 *
 * screen_open switches to the alternate screen and reads keys one by one; the terminal is given
 * back by screen_close, at exit, and when a signal ends the process. One screen at a time.
 */
#ifndef HEAPD_HEAPCTL_SCREEN_H
#define HEAPD_HEAPCTL_SCREEN_H

#include "common/base.h"

void screen_open(void);
void screen_close(void); /* safe twice */

void screen_size(unsigned *rows, unsigned *columns); /* 24 x 80 where nobody knows */

/* Shows text (lines end with '\n') from the top, each line cut at the right edge and the rest of
 * the screen cleared. */
void screen_show(const char *text);

/* Waits so long for a key. Returns it, 0 after the time or a change of the window's size, -1 when
 * the end was asked for. */
int screen_key(uint64_t wait_ns);

#endif
