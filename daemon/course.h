/*
 * course.h: what a commit job does, step by step
 *
 * Model: a job allocates in chunks (between ADVISE and UNADVISE, if it may have huge pages), then,
 * if it is to be locked, is mapped, and its page tables are filled in chunks. A course is where it
 * is on that way. It is a plain value: it says what the next step is, and is told how that ended.
 *
 * Huge pages (THP_SIZE) are had by filling a mapping that asks for them: fallocate has nobody to
 * ask for, and MADV_COLLAPSE would copy what is there, and first wait for each CPU to run a kernel
 * thread, which a CPU that a real-time thread keeps busy does not do. Before anybody else maps the
 * file that mapping asks no more, and then it goes: khugepaged would look there for pages to join,
 * and take them out of the clients' page tables to do it. Filling is an attempt: whatever it
 * ends with, fallocate of the same bytes comes next, and its word counts. (What is only filled is
 * clean, and the kernel drops that when it is short of memory; fallocate makes it stay.)
 *
 * Bounds: a chunk is 2 MiB, or one huge page of a pool. Who wants the address space's lock for
 * writing may wait for a chunk that is populated or filled: the kernel clears it and, if it is to be
 * one huge page, may have to make room for it first (transparent_hugepage/defrag).
 * Not here: who runs the steps, and when; which errors mean what (commit.c).
 */
#ifndef HEAPD_DAEMON_COURSE_H
#define HEAPD_DAEMON_COURSE_H

#include "daemon/commit.h"
#include "daemon/step.h"

enum phase { ADVISE, ALLOCATE, UNADVISE, MAP, POPULATE, FINISHED };

struct course {
	enum phase phase;
	uint64_t allocated, populated; /* bytes */
	uint64_t filled;               /* bytes that the kernel may drop until fallocate was there too */
	bool ordinary;                 /* no huge pages, or no more */
	void *advised;                 /* the mapping that asks for them; the owner's to unmap */
	void *map;                     /* the locked one; the same */
};

/* Where a job begins. */
void course_init(struct course *c, const struct commit_job *job);

/* Fills in the next step: kind, offset, length, map. Pre: not FINISHED. */
void course_next(const struct course *c, const struct commit_job *job, struct step *s);

/* That step went well. */
void course_advance(struct course *c, const struct commit_job *job, const struct step *s);

/* Whether that step is for huge pages, so that its failure is none of the job's. */
bool course_attempts(const struct step *s);

/* It failed: the rest of this job has ordinary pages. The next one tries again: settings change. */
void course_go_ordinary(struct course *c, const struct commit_job *job);

/* Bytes of the mapping that asks for huge pages: whole ones. */
uint64_t course_advised_size(const struct commit_job *job);

#endif
