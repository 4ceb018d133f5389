/*
 * registry.c: see registry.h. The list of free entries is under the table's lock.
 */
#include "client/registry.h"

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
	struct rseq_arrays *view = hand_spare(&h->hand, &d->turn_);

	while (!view && hand_is_there(&h->hand) && views_lend(h)) /* HAND_VIEWS times at most */
		view = hand_spare(&h->hand, &d->turn_);
	if (!view)
		return;
	d->view_ = views_number(view);
	hand_view(&h->hand, view, views_word(d));
}

int registry_add(struct heap *h, RT_HEAP *d)
{
	static uint64_t n_made; /* a child goes on counting where its parent was */
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
		.serial_ = ++n_made << REGISTRY_INDEX_BITS | (uint64_t)(e - registry_table_),
	};
	find_view(h, d);
	lock_give(&h->lock);
	atomic_store_explicit(&e->epoch, epoch_now(), memory_order_relaxed);
	atomic_store_explicit(&e->heap, h, memory_order_relaxed);
	atomic_store_explicit(&e->word, views_word(d), memory_order_relaxed);
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
		uint32_t index = registry_index(d->serial_);
		struct descriptor *e = &registry_table_[index];

		hand_unview(&h->hand, views_word(d));
		atomic_store(&e->serial, 0); /* before heap_detach looks for pins: see heap_pin */
		e->next_free = first_free;
		first_free = index + 1;
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
