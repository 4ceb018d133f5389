/*
 * course.c: see course.h
 */
#include "daemon/course.h"

#include "common/thp.h"

/*
 * What another job, or a thread that wants the address space's lock, may have to wait for: about a
 * millisecond or two of clearing pages.
 */
#define CHUNK (UINT64_C(2) << 20)
_Static_assert(CHUNK == THP_SIZE, "a chunk can be one huge page");

uint64_t course_advised_size(const struct commit_job *job)
{
	return job->size & ~(uint64_t)(THP_SIZE - 1);
}

void course_init(struct course *c, const struct commit_job *job)
{
	const bool large = course_advised_size(job) && !job->huge_page;

	*c = (struct course){ .phase = job->transparent && large ? ADVISE : ALLOCATE };
	if (job->present)
		c->phase = MAP;
}

/* What is left at the end and is no whole huge page has ordinary ones. */
static bool fills(const struct course *c, const struct commit_job *job)
{
	return c->advised && !c->ordinary && c->filled <= c->allocated &&
	       c->allocated < course_advised_size(job);
}

void course_next(const struct course *c, const struct commit_job *job, struct step *s)
{
	s->offset = 0;
	switch (c->phase) {
	case ADVISE:
		s->kind = STEP_ADVISE;
		s->length = course_advised_size(job);
		break;
	case ALLOCATE:
		s->kind = fills(c, job) ? STEP_FILL : STEP_FALLOCATE;
		s->map = c->advised;
		s->offset = c->allocated;
		s->length = min_u64(max_u64(CHUNK, job->huge_page), job->size - s->offset);
		break;
	case UNADVISE:
		s->kind = STEP_UNADVISE;
		s->map = c->advised;
		s->length = course_advised_size(job);
		break;
	case MAP:
		s->kind = STEP_MAP;
		s->length = job->size;
		break;
	default:
		s->kind = STEP_POPULATE;
		s->map = c->map;
		s->offset = c->populated;
		s->length = min_u64(CHUNK, job->size - s->offset);
		break;
	}
}

static enum phase after_allocation(const struct commit_job *job)
{
	return job->lock ? MAP : FINISHED;
}

void course_advance(struct course *c, const struct commit_job *job, const struct step *s)
{
	switch (c->phase) {
	case ADVISE:
		c->advised = s->map;
		c->phase = ALLOCATE;
		break;
	case ALLOCATE:
		if (s->kind == STEP_FILL) {
			c->filled = c->allocated + s->length;
			break;
		}
		c->allocated += s->length;
		if (c->allocated == job->size)
			c->phase = c->advised ? UNADVISE : after_allocation(job);
		break;
	case UNADVISE:
		c->phase = after_allocation(job);
		break;
	case MAP:
		c->map = s->map;
		c->phase = POPULATE;
		break;
	default:
		c->populated += s->length;
		if (c->populated == job->size)
			c->phase = FINISHED;
		break;
	}
}

bool course_attempts(const struct step *s)
{
	return s->kind == STEP_ADVISE || s->kind == STEP_FILL || s->kind == STEP_UNADVISE;
}

void course_go_ordinary(struct course *c, const struct commit_job *job)
{
	c->ordinary = true;
	c->phase = c->phase == UNADVISE ? after_allocation(job) : ALLOCATE;
}
