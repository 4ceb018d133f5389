/*
 * hand_views.c: the views of a heap's descriptors (hand.h, client/views.h)
 *
 * All that is here is done under the heap's lock; sequences look at views meanwhile, and find gates that are shut, or
 * open with what the heap says.
 */
#include "client/hand_internal.h"

bool hand_lend(struct hand *hand, struct rseq_arrays *view)
{
	for (uint32_t i = 0; i < HAND_VIEWS; i++)
		if (!hand->view[i]) {
			hand->view[i] = view;
			return true;
		}
	return false;
}

static uint64_t serial_of(const struct rseq_arrays *view)
{
	return atomic_load_explicit(&view->gate, memory_order_relaxed);
}

void hand_views_follow(struct hand *hand)
{
	uint32_t n = hand_is_open(hand) ? hand_n_cpus(hand) : 0;

	for (uint32_t i = 0; i < HAND_VIEWS && hand->view[i]; i++)
		atomic_store_explicit(&hand->view[i]->n_cpus, serial_of(hand->view[i]) ? n : 0, memory_order_release);
}

#define COPY(to, from, field) \
	atomic_store_explicit(&(to)->field, atomic_load_explicit(&(from)->field, memory_order_relaxed), memory_order_relaxed)

struct rseq_arrays *hand_view(struct hand *hand, uint64_t serial)
{
	const struct rseq_arrays *a = &hand->arrays;
	struct rseq_arrays *v = NULL;

	for (uint32_t i = 0; i < HAND_VIEWS && hand->view[i] && !v; i++)
		if (!serial_of(hand->view[i]))
			v = hand->view[i];
	if (!v || !hand_is_there(hand))
		return NULL;
	for (uint32_t kind = 0; kind < ARRAY_SIZE(a->max); kind++)
		COPY(v, a, max[kind]);
	COPY(v, a, heads);
	COPY(v, a, slots);
	COPY(v, a, marks);
	COPY(v, a, control);
	COPY(v, a, n_units);
	__atomic_store_n(&v->base, a->base, __ATOMIC_RELAXED);
	atomic_store_explicit(&v->gate, serial, memory_order_release);
	hand_views_follow(hand);
	return v;
}

void hand_unview(struct hand *hand, uint64_t serial)
{
	for (uint32_t i = 0; i < HAND_VIEWS && hand->view[i]; i++)
		if (serial_of(hand->view[i]) == serial) {
			atomic_store_explicit(&hand->view[i]->n_cpus, 0, memory_order_relaxed);
			atomic_store_explicit(&hand->view[i]->gate, 0, memory_order_release);
		}
}

void hand_control(struct hand *hand, const struct wire_control *control)
{
	atomic_store_explicit(&hand->arrays.control, control, memory_order_release);
	for (uint32_t i = 0; i < HAND_VIEWS && hand->view[i]; i++)
		if (serial_of(hand->view[i]))
			atomic_store_explicit(&hand->view[i]->control, control, memory_order_release);
}
