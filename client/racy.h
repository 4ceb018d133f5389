/*
 * racy.h: reads that may race with writes, and are meant to
 *
 * Model: between racy_begin and racy_end this thread reads figures that others write under a lock which it does not take.
 * Each figure is a word of its own that is read whole; they may be of different moments, so nothing follows from them but a
 * guess that is checked again under the lock. Writes in between, and all that other threads do, are looked at as ever.
 *
 * The thread sanitizer is told so here, and not by a suppression: it reads its suppressions when it has found a race, by then it
 * looks up the names of functions, that opens files, and in a thread that is cancelled there it ends with its own locks taken.
 * Not here: reads that must be right (those are atomic).
 */
#ifndef HEAPD_CLIENT_RACY_H
#define HEAPD_CLIENT_RACY_H

#include "common/base.h"

#if HAS_TSAN
/* of its run-time library (dynamic annotations) */
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
#define racy_begin() AnnotateIgnoreReadsBegin(__FILE__, __LINE__)
#define racy_end() AnnotateIgnoreReadsEnd(__FILE__, __LINE__)
#else
#define racy_begin() ((void)0)
#define racy_end() ((void)0)
#endif

#endif
