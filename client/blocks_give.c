/*
 * blocks_give.c: the long way of a give: see blocks.h and client/rseq_rows.h
 *
 * Whether a block is out is told by its word, and if that is a place by the row. It may go to a row, where a sequence looks once
 * more, or to the stack: then it is claimed first. Of any number of gives that come here with one block exactly one
 * claims it.
 */
#include "client/blocks_view.h"

/* Nothing holds this opening: if it ends at this very moment, the next user of the slot may be charged
 * with the count. It is only shown. */
int blocks_note_bad(const struct blocks *b, uint64_t serial)
{
	struct wire_stats *stats = atomic_load_explicit(&b->stats, memory_order_acquire);

	if (!blocks_still(b, serial))
		return -EBADF;
	(void)__atomic_fetch_add(&stats->bad_frees, 1, __ATOMIC_RELAXED);
	return -EINVAL;
}

/* Whether a block with that word is out. A place is looked at; strict, there are none. */
static bool is_out(const struct magazines *m, const struct view *v, uint32_t word, const void *block)
{
	if (word == v->out)
		return true;
	return !RSEQ_STRICT && m && rseq_is_place(word) && !magazines_has(m, word, (uint64_t)(uintptr_t)block);
}

#define CHANGED 1 /* an answer: another give was first */

/* Rows are emptied when an opening ends, so the serial is looked at after them. */
static int replace_word(const struct blocks *b, const struct magazines *m, const struct view *v, uint32_t number,
			const void *block, uint32_t old, uint32_t word)
{
	bool out = is_out(m, v, old, block);

	if (unlikely(!blocks_still(b, v->serial)))
		return -EBADF;
	if (unlikely(!out))
		return -EINVAL;
	if (old == word)
		return 0;
	BLOCKS_STEP();
	return atomic_compare_exchange_strong_explicit(&v->link[number], &old, word, memory_order_acquire,
						       memory_order_relaxed) ? 0 : CHANGED;
}

/*
 * The block's word becomes another one, if it is out: of several that claim it exactly one does. 0, -EINVAL, -EBADF. It repeats
 * only because another give changed the word.
 *
 * A give that was interrupted behind its word has left a place that the next give to that row may write again, and then
 * the block is there: the exchange would not notice. So nothing is given to rows meanwhile. It is as rare as that.
 */
static int exchange_word(const struct blocks *b, struct magazines *m, const struct view *v, uint32_t number,
			 const void *block, uint32_t word)
{
	int r;

	do {
		uint32_t old;
		bool hold;

		BLOCKS_STEP();
		old = atomic_load_explicit(&v->link[number], memory_order_acquire);
		hold = m && !RSEQ_STRICT && rseq_is_place(old) && magazines_is_next(m, old);
		if (unlikely(hold))
			magazines_hold(m);
		r = replace_word(b, m, v, number, block, old, word);
		if (unlikely(hold))
			magazines_leave(m, false);
	} while (unlikely(r == CHANGED));
	return r;
}

/* The block is claimed, so this opening lasts. */
static void push(struct magazines *m, const struct view *v, uint32_t number)
{
	union head old = head_read(v->head);

	do {
		BLOCKS_STEP();
		atomic_store_explicit(&v->link[number], old.vacant.top, memory_order_relaxed);
	} while (!head_exchange(v->head, &old, head_next(old, number + 1, old.vacant.n_free + 1)));
	/* a gate that stays shut is opened when the stack has enough for a while */
	if (m && old.vacant.n_free >= v->n / 16)
		magazines_reopen(m);
}

static bool give_to_rows(struct magazines *m, const void *block)
{
	uint64_t address = (uint64_t)(uintptr_t)block;

	return magazines_give(m, address) || (magazines_relieve(m) && magazines_give(m, address));
}

/*
 * Not strict: the block goes to a row or else is claimed, as one that is out. What its word says may be of a row that only
 * the long way looks at, so it becomes the marker first. Strict: it is claimed first, and wherever it goes it is free only then.
 */
static int give_block(const struct blocks *b, struct magazines *m, const struct view *v, const void *block,
		      uint32_t number)
{
	bool places = m && !RSEQ_STRICT;
	uint32_t word;
	int r;

	BLOCKS_STEP();
	word = atomic_load_explicit(&v->link[number], memory_order_acquire);
	if (places && rseq_is_place(word) && !magazines_stands(m, word, (uint64_t)(uintptr_t)block) &&
	    give_to_rows(m, block))
		return 0; /* mostly: the row was full */
	r = exchange_word(b, m, v, number, block, places ? v->out : BLOCKS_CLAIMED);
	if (r < 0 || (m && give_to_rows(m, block)))
		return r;
	if (places)
		r = exchange_word(b, m, v, number, block, BLOCKS_CLAIMED);
	if (r == 0)
		push(m, v, number);
	return r; /* below 0: another one gave it, too, and was believed */
}

int blocks_give_slowly(struct blocks *b, const void *block, uint64_t *serial)
{
	struct magazines *m;
	struct view v;
	uint64_t number;

	if (unlikely(!look(b, &v)))
		return -EBADF;
	*serial = v.serial;
	m = magazines_of(b, v.serial);
	if (unlikely(!blocks_still(b, v.serial)))
		return -EBADF;
	number = number_of(&v, block);
	if (unlikely(number >= v.n))
		return -EINVAL;
	return give_block(b, m, &v, block, (uint32_t)number);
}
