/*
 * views.c: see views.h
 */
#include "client/views.h"

#include <sys/mman.h>

/* Whole pages of its own: what a fork wipes is nothing else. */
struct rseq_arrays views_[VIEWS_MAX] __attribute__((__aligned__(4096)));
_Static_assert(HW_PAGE_SIZE == 4096 && sizeof(views_) % HW_PAGE_SIZE == 0, "whole pages");

static struct heap *owner[VIEWS_MAX];
static uint32_t n_views; /* 0: there will be none */
static uint32_t n_writable;

#define WRITABLE_STEP 128u /* views: 16 KiB */
_Static_assert(WRITABLE_STEP * sizeof(*views_) % HW_PAGE_SIZE == 0 && VIEWS_MAX % WRITABLE_STEP == 0, "whole pages");

/* When the library is loaded: before the program can lock its memory. */
static __attribute__((__constructor__)) void seal(void)
{
	if (n_views == 0)
		(void)mprotect(views_, sizeof(views_), PROT_READ);
}


/* Whether the next view can be written. */
static bool unseal(void)
{
	if (n_views < n_writable)
		return true;
	if (mprotect(&views_[n_writable], WRITABLE_STEP * sizeof(*views_), PROT_READ | PROT_WRITE) < 0)
		return false;
	n_writable += WRITABLE_STEP;
	return true;
}

/* Who has no view looks at nobody's, and takes no fault for it, now or when its neighbours are written. */
static void touch_none(void)
{
	volatile uint64_t *none = (volatile uint64_t *)(void *)&views_[0];

	if (n_views)
		*none = 0;
	else
		(void)*none; /* nothing is ever written there */
}

void views_init(void)
{
	n_views = madvise(views_, sizeof(views_), MADV_WIPEONFORK) == 0 && unseal();
	touch_none();
}

void views_forget(void)
{
	n_views = n_views > 0;
	touch_none();
}

bool views_lend(struct heap *h)
{
	if (!n_views || n_views == VIEWS_MAX || !unseal() || !hand_lend(&h->hand, &views_[n_views]))
		return false;
	owner[n_views++] = h;
	return true;
}

struct heap *views_owner(uint16_t says)
{
	return owner[says / VIEWS_SCALE];
}
