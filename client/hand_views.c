/*
 * hand_views.c: the views of a heap's descriptors (hand.h, client/views.h)
 *
 * All that is here is done under the heap's lock; sequences look at views meanwhile, and find gates that are shut, or
 * open with what the heap says.
 *
 * Invariant: a variable may have any content, and whatever place it says, a sequence takes what stands a gate's distance behind it for
 * a gate. So nothing but a gate is stored in a view that says, as a word would, the very place from which it is seen so. Zeros and small
 * numbers say the first view, which is nobody's. An address is refused in one case of 65,536, and the number of units in heaps of some
 * sizes: then it is another view.
 */
#include "client/hand_internal.h"

bool hand_lend(struct hand *hand, struct rseq_arrays *view, uint16_t place)
{
	for (uint32_t i = 0; i < HAND_VIEWS; i++)
		if (!hand->view[i]) {
			view->place = place;
			hand->view[i] = view;
			return true;
		}
	return false;
}

static uint64_t word_of(const struct rseq_arrays *view)
{
	return atomic_load_explicit(&view->gate, memory_order_relaxed);
}

void hand_views_follow(struct hand *hand)
{
	uint32_t n = hand_is_open(hand) ? hand_n_cpus(hand) : 0;

	for (uint32_t i = 0; i < HAND_VIEWS && hand->view[i]; i++)
		atomic_store_explicit(&hand->view[i]->n_cpus, word_of(hand->view[i]) ? n : 0, memory_order_release);
}

/* What a view has of its heap besides `max`: 8 bytes each. */
static const size_t fields[] = {
	offsetof(struct rseq_arrays, heads),   offsetof(struct rseq_arrays, slots), offsetof(struct rseq_arrays, marks),
	offsetof(struct rseq_arrays, control), offsetof(struct rseq_arrays, base),  offsetof(struct rseq_arrays, n_units),
};
_Static_assert(sizeof(void *) == sizeof(uint64_t), "an address is one");

static uint64_t get(const struct rseq_arrays *a, size_t offset)
{
	return __atomic_load_n((const uint64_t *)(const void *)((const char *)a + offset), __ATOMIC_RELAXED);
}

static void set(struct rseq_arrays *a, size_t offset, uint64_t value)
{
	__atomic_store_n((uint64_t *)(void *)((char *)a + offset), value, __ATOMIC_RELAXED);
}

static uint32_t get_max(const struct rseq_arrays *a, uint32_t kind)
{
	return atomic_load_explicit(&a->max[kind], memory_order_relaxed);
}

/* Whether the value of 8 bytes may stand at that offset in the view. */
static bool may_stand(const struct rseq_arrays *v, size_t offset, uint64_t value)
{
	uint16_t seen_from = (uint16_t)(v->place + offset / 8 - offsetof(struct rseq_arrays, gate) / 8);

	return (uint16_t)(value >> HAND_WORD_SAYS) != seen_from;
}

_Static_assert(RSEQ_MAX(RSEQ_SLOTS) < 1u << HAND_WORD_SAYS, "the numbers in `max` are small, and those of CPUs and places");

static bool may_be_of(const struct rseq_arrays *v, const struct rseq_arrays *a)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (!may_stand(v, fields[i], get(a, fields[i])))
			return false;
	return true;
}

_Atomic uint32_t hand_turn_; /* a child goes on counting where its parent was */

/* 0: there are no more. Each is given once, by whatever heap. */
static uint32_t next_turn(void)
{
	uint32_t last = atomic_load_explicit(&hand_turn_, memory_order_relaxed);

	while (last < UINT32_MAX)
		if (atomic_compare_exchange_weak_explicit(&hand_turn_, &last, last + 1, memory_order_relaxed, memory_order_relaxed))
			return last + 1;
	return 0;
}

struct rseq_arrays *hand_spare(struct hand *hand, uint32_t *turn)
{
	if (!hand_is_there(hand))
		return NULL;
	for (uint32_t i = 0; i < HAND_VIEWS && hand->view[i]; i++)
		if (!word_of(hand->view[i]) && may_be_of(hand->view[i], &hand->arrays)) {
			uint32_t next = next_turn();

			if (next)
				*turn = next;
			return next ? hand->view[i] : NULL;
		}
	return NULL;
}

void hand_view(struct hand *hand, struct rseq_arrays *v, uint64_t word)
{
	const struct rseq_arrays *a = &hand->arrays;

	assert(word && !word_of(v) && "a spare one");
	for (uint32_t kind = 0; kind < ARRAY_SIZE(a->max); kind++)
		atomic_store_explicit(&v->max[kind], get_max(a, kind), memory_order_relaxed);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		set(v, fields[i], get(a, fields[i]));
	atomic_store_explicit(&v->gate, word, memory_order_release);
	hand_views_follow(hand);
}

static void unview(struct rseq_arrays *v)
{
	atomic_store_explicit(&v->n_cpus, 0, memory_order_relaxed);
	atomic_store_explicit(&v->gate, 0, memory_order_release);
}

void hand_unview(struct hand *hand, uint64_t word)
{
	for (uint32_t i = 0; i < HAND_VIEWS && hand->view[i]; i++)
		if (word_of(hand->view[i]) == word)
			unview(hand->view[i]);
}

void hand_control(struct hand *hand, const struct wire_control *control)
{
	atomic_store_explicit(&hand->arrays.control, control, memory_order_release);
	for (uint32_t i = 0; i < HAND_VIEWS && hand->view[i]; i++) {
		struct rseq_arrays *v = hand->view[i];

		if (!word_of(v))
			continue;
		if (may_stand(v, offsetof(struct rseq_arrays, control), (uintptr_t)control))
			atomic_store_explicit(&v->control, control, memory_order_release);
		else
			unview(v);
	}
}

/* Whether what is a heap's in a view is that heap's. */
static bool is_copy(const struct rseq_arrays *v, const struct rseq_arrays *a)
{
	for (uint32_t kind = 0; kind < ARRAY_SIZE(a->max); kind++)
		if (get_max(v, kind) != get_max(a, kind))
			return false;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (get(v, fields[i]) != get(a, fields[i]))
			return false;
	return true;
}

int hand_views_check(const struct hand *hand)
{
	for (uint32_t i = 0; i < HAND_VIEWS && hand->view[i]; i++) {
		const struct rseq_arrays *v = hand->view[i];

		if (atomic_load_explicit(&v->n_cpus, memory_order_relaxed) || !may_be_of(v, v))
			return -EUCLEAN;
		if (!word_of(v))
			continue;
		if (!is_copy(v, &hand->arrays))
			return -EUCLEAN;
		for (uint32_t j = 0; j < i; j++)
			if (word_of(hand->view[j]) == word_of(v))
				return -EUCLEAN;
	}
	return 0;
}
