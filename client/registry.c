/*
 * registry.c: see registry.h. The list of free entries is under the table's lock.
 */
#include "client/registry.h"

#include "client/views.h"

struct descriptor registry_table_[MAX_DESCRIPTORS];

static uint32_t first_free; /* + 1 */
static uint32_t n_used;     /* entries below this have been used once */

void registry_init(void)
{
	first_free = 0;
	n_used = 0;
}

void registry_forget(void)
{
	/* Inherited entries keep their serials, so that their descriptors say -EPERM; those that were free are reused. */
}

/* A view for the descriptor, if there is one: else it has the long way only. */
static void find_view(struct heap *h, RT_HEAP *d)
{
	struct rseq_arrays *view = hand_view(&h->hand, d->serial_);

	if (!view && hand_is_there(&h->hand) && views_lend(h))
		view = hand_view(&h->hand, d->serial_);
	if (!view)
		return;
	d->view_ = views_number(view);
	atomic_store_explicit(&view->says, views_says(d), memory_order_relaxed);
}

int registry_add(struct heap *h, RT_HEAP *d)
{
	struct descriptor *e;

	if (first_free) {
		e = &registry_table_[first_free - 1];
		first_free = e->next_free;
	} else if (n_used < MAX_DESCRIPTORS) {
		e = &registry_table_[n_used++];
	} else {
		return -ENOMEM;
	}
	lock_take(&h->lock);
	*d = (RT_HEAP){
		.magic_ = RT_HEAP_MAGIC,
		.index_ = (uint32_t)(e - registry_table_),
		.serial_ = hand_serial(&h->hand),
	};
	find_view(h, d);
	lock_give(&h->lock);
	atomic_store_explicit(&e->epoch, epoch_now(), memory_order_relaxed);
	atomic_store_explicit(&e->heap, h, memory_order_relaxed);
	atomic_store_explicit(&e->view, d->view_, memory_order_relaxed);
	atomic_store_explicit(&e->serial, d->serial_, memory_order_release);
	h->n_descriptors++;
	return 0;
}

int registry_remove(const RT_HEAP *d, struct heap **last)
{
	struct heap *h;
	int r;

	heap_table_lock();
	r = registry_lock(d, &h);
	if (r == 0 && heap_is_busy(h)) {
		lock_give(&h->lock);
		r = -EBUSY;
	} else if (r == 0) {
		struct descriptor *e = &registry_table_[d->index_];

		hand_unview(&h->hand, d->serial_);
		atomic_store(&e->serial, 0); /* before heap_detach looks for pins: see heap_pin */
		e->next_free = first_free;
		first_free = d->index_ + 1;
		if (--h->n_descriptors == 0) {
			heap_unlist(h);
			*last = h;
			r = 1;
		}
		lock_give(&h->lock);
	}
	heap_table_unlock();
	return r;
}
