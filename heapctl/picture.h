/*
 * picture.h: a map of a heap's pages, one character for each page or group of pages
 */
#ifndef HEAPD_HEAPCTL_PICTURE_H
#define HEAPD_HEAPCTL_PICTURE_H

#include <stdio.h>
#include "heapctl/report.h"

/*
 * Draws r's extents, at most PICTURE_CELLS characters, then a legend of the characters that occur:
 * a letter for pages of one process, in lower case when some of the group are free; '.' free; '*'
 * several processes.
 */
#define PICTURE_CELLS 1024
void picture_draw(const struct report *r, const struct style *style, FILE *out);

#endif
