/*
 * views.c: see views.h
 */
#include "client/views.h"

#include <sys/mman.h>

/* Whole pages of its own: what a fork wipes is nothing else. The last one is for what begins in the last view. */
struct rseq_arrays views_[VIEWS_MAX + HW_PAGE_SIZE / sizeof(struct rseq_arrays)] __attribute__((__aligned__(4096)));
_Static_assert(HW_PAGE_SIZE == 4096 && sizeof(views_) % HW_PAGE_SIZE == 0, "whole pages");

static struct heap *owner[VIEWS_MAX];
static _Atomic uint32_t n_views; /* 0: there will be none */

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
	n_views = madvise(views_, sizeof(views_), MADV_WIPEONFORK) == 0;
	touch_none();
}

/* The page of the next view, and the one behind it for whoever is faster. */
void views_expect(void)
{
	uint32_t n = atomic_load_explicit(&n_views, memory_order_relaxed);

	for (uint32_t i = 0; n && i < 2 && n < VIEWS_MAX; i++, n += HW_PAGE_SIZE / sizeof(*views_))
		(void)__atomic_fetch_add(&views_[n].place, 0, __ATOMIC_RELAXED);
}

void views_forget(void)
{
	n_views = n_views > 0;
	touch_none();
}

bool views_lend(struct heap *h)
{
	uint32_t n = atomic_load_explicit(&n_views, memory_order_relaxed);

	if (!n || n == VIEWS_MAX || !hand_lend(&h->hand, &views_[n], views_number(&views_[n])))
		return false;
	owner[n] = h;
	atomic_store_explicit(&n_views, n + 1, memory_order_relaxed);
	return true;
}

struct heap *views_owner(uint16_t says)
{
	return owner[says / VIEWS_SCALE];
}
