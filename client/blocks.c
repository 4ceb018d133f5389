/*
 * blocks.c: see blocks.h: open, close and take. (Give: blocks_give.c. What they rely on: blocks_view.h.)
 */
#include "client/blocks_view.h"

/* ---- open and close ---- */

/*
 * The inverse of an odd number modulo 2^64, by Newton's method: odd * odd is 1 modulo 8, so odd is
 * its own inverse in 3 bits, and each step doubles the bits that are right: 3, 6, 12, 24, 48, 96.
 */
static uint64_t inverse_of(uint64_t odd)
{
	uint64_t x = odd;

	for (int i = 0; i < 5; i++)
		x *= 2 - odd * x;
	return x;
}

/*
 * At first the numbers of neighbours in the stack are so far apart that their link words are in different cache
 * lines: threads that take a few blocks each by turns do not write to each other's lines for ever after.
 */
static void fill_links(_Atomic uint32_t *link, uint32_t n)
{
	uint32_t last = 0;

	for (uint32_t first = 0; first < BLOCKS_APART && first < n; first++)
		for (uint32_t i = first; i < n; i += BLOCKS_APART) {
			if (i)
				atomic_store_explicit(&link[last], i + 1, memory_order_relaxed);
			last = i;
		}
	atomic_store_explicit(&link[last], 0, memory_order_relaxed);
}

static void fill_head(struct wire_stats *stats, uint64_t tag, uint32_t n)
{
	union head h = {.vacant = {.tag = tag, .top = 1, .n_free = n}};
	union head *at = head_of(stats);

	BLOCKS_STEP();
	__atomic_store_n(&at->half[1], h.half[1], __ATOMIC_RELEASE);
	BLOCKS_STEP();
	__atomic_store_n(&at->half[0], h.half[0], __ATOMIC_RELEASE);
}

/*
 * What says that a block is out. Markers repeat after 2^31 openings, those with blocks at hand after 2^15: a thread would
 * have to be stopped in a bad give for exactly so many.
 */
static uint32_t marker_of(const struct blocks *b, const struct blocks_layout *l)
{
	if (l->heads)
		return magazines_nowhere(atomic_load(&b->at_hand), l->serial);
	return BLOCKS_CLAIMED + 1 + (uint32_t)(l->serial % (UINT32_MAX - BLOCKS_CLAIMED));
}

static void begin_at_hand(struct magazines *m, const struct blocks_layout *l)
{
	struct magazines_life life = {
		.serial = l->serial,
		.heads = l->heads,
		.max = l->row_max,
		.n = l->n,
		.base = (uint64_t)(uintptr_t)l->base,
		.stride = l->stride,
		.word = l->link,
	};

	magazines_begin(m, &life);
}

void blocks_open(struct blocks *b, const struct blocks_layout *l)
{
	uint64_t odd = l->stride >> __builtin_ctzll(l->stride);

	assert(l->n > 0 && l->n <= BLOCKS_MAX && l->serial && l->first_tag && "as the header says");
	assert(atomic_load(&b->serial) == 0 && "closed");
	fill_links(l->link, l->n);
	fill_head(l->stats, l->first_tag, l->n);
	BLOCKS_STEP();
	atomic_store_explicit(&b->stats, l->stats, memory_order_release);
	atomic_store_explicit(&b->link, l->link, memory_order_release);
	BLOCKS_STEP();
	atomic_store_explicit(&b->base, (uint64_t)(uintptr_t)l->base, memory_order_release);
	atomic_store_explicit(&b->stride, l->stride, memory_order_release);
	atomic_store_explicit(&b->inverse, inverse_of(odd), memory_order_release);
	atomic_store_explicit(&b->n, l->n, memory_order_release);
	atomic_store_explicit(&b->out, marker_of(b, l), memory_order_release);
	if (l->heads)
		begin_at_hand(atomic_load(&b->at_hand), l);
	BLOCKS_STEP();
	atomic_store_explicit(&b->serial, l->serial, memory_order_release);
	if (l->heads)
		magazines_reopen(atomic_load(&b->at_hand));
}

/*
 * The gate is shut, or nothing is at hand. What is at hand is there as what the stack has: the head is read first, and
 * who steals a number changes the head before it is his (confirm).
 */
static int close_head(struct blocks *b, uint64_t serial, const struct magazines *m, uint64_t *last_tag)
{
	union head old, new;
	struct view v;

	if (!look(b, &v) || v.serial != serial)
		return -EBADF;
	for (;;) {
		old = head_read(v.head);
		if (!blocks_still(b, v.serial) || old.vacant.top == BLOCKS_CLOSED)
			return -EBADF;
		new = head_next(old, BLOCKS_CLOSED, v.n);
		if (old.vacant.n_free + (m ? magazines_sum(m) : 0) == v.n) {
			if (head_exchange(v.head, &old, new))
				break;
		} else if (__atomic_load_n(&v.head->half[0], __ATOMIC_ACQUIRE) == old.half[0]) {
			return -EBUSY; /* and not because somebody else has closed it, and forgotten what was at hand */
		}
	}
	*last_tag = new.vacant.tag;
	BLOCKS_STEP();
	atomic_store_explicit(&b->serial, 0, memory_order_release);
	return 0;
}

int blocks_close(struct blocks *b, uint64_t *last_tag)
{
	uint64_t serial = atomic_load(&b->serial);
	struct magazines *m = magazines_of(b, serial);
	int r;

	if (!m)
		return close_head(b, serial, NULL, last_tag);
	if (magazines_close(m) < 0)
		return -EBUSY; /* the kernel refuses what it has granted: some blocks may be at hand, nobody can say */
	r = close_head(b, serial, m, last_tag);
	if (r == 0)
		magazines_end(m);
	magazines_leave(m, false);
	return r;
}

/* ---- take ---- */

/* The block is out already, so this opening lasts. Repeats only when another one raised the mark. */
static inline void note_high(const struct view *v, uint32_t n_free)
{
	uint64_t used = (uint64_t)(v->n - n_free) * v->stride;
	uint64_t high = __atomic_load_n(&v->stats->high, __ATOMIC_RELAXED);

	while (unlikely(high < used)) {
		if (__atomic_compare_exchange_n(&v->stats->high, &high, used, false, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED))
			return;
	}
}

static int pop(const struct blocks *b, const struct view *v, void **block)
{
	union head old = head_read(v->head);
	uint32_t top, next;

	do {
		top = old.vacant.top;
		if (unlikely(!blocks_still(b, v->serial) || top == BLOCKS_CLOSED))
			return -EBADF;
		if (unlikely(top == 0))
			return BLOCKS_EMPTY;
		BLOCKS_STEP();
		next = atomic_load_explicit(&v->link[top - 1], memory_order_relaxed);
		if (unlikely(next > v->n)) /* changed meanwhile; or given twice in one instant, and believed: what is below is lost, no more */
			next = 0;
	} while (!head_exchange(v->head, &old, head_next(old, next, old.vacant.n_free - 1)));
	note_high(v, old.vacant.n_free - 1);
	BLOCKS_STEP();
	atomic_store_explicit(&v->link[top - 1], v->out, memory_order_relaxed);
	*block = (void *)(uintptr_t)(v->base + (top - 1) * v->stride);
	return 0;
}

void blocks_mark_out(struct blocks *b, const void *block)
{
	struct view v;

	read_fields(b, &v);
	BLOCKS_STEP();
	atomic_store_explicit(&v.link[number_of(&v, block)], v.out, memory_order_relaxed);
}

/*
 * A number was stolen: the head is changed, so that whoever closes looks again. -EBADF: he was first, and the
 * number is nothing. (Who looked in between, in the midst of a close that succeeds, has been told that it is empty.)
 */
static int confirm(const struct blocks *b, const struct view *v)
{
	union head old = head_read(v->head);

	do {
		if (!blocks_still(b, v->serial) || old.vacant.top == BLOCKS_CLOSED)
			return -EBADF;
	} while (!head_exchange(v->head, &old, head_next(old, old.vacant.top, old.vacant.n_free)));
	return 0;
}

/* From any CPU's row, else from the stack: if that says it is empty, all were, for the gate is shut. */
static int take_anywhere(struct blocks *b, struct magazines *m, const struct view *v, void **block)
{
	uint64_t found;
	int r;

	if (magazines_close(m) < 0)
		return BLOCKS_EMPTY; /* the kernel refuses what it has granted: what others have at hand is theirs */
	if (!blocks_still(b, v->serial))
		r = -EBADF;
	else if (!magazines_steal(m, v->serial, &found))
		r = pop(b, v, block);
	else if ((r = confirm(b, v)) == 0)
		*block = (void *)(uintptr_t)found;
	if (RSEQ_STRICT && r == 0)
		blocks_mark_out(b, *block);
	magazines_leave(m, r >= 0);
	return r;
}

/*
 * The stack was empty. It and all rows were at one instant, if they are and have not changed when
 * looked at again; that needs no system call. Two looks that differ are changes by others; then the gate is
 * shut, so that the answer takes a bounded time.
 */
static int take_last(struct blocks *b, struct magazines *m, const struct view *v, void **block)
{
	union head head;
	uint64_t sum, again;

	if (!magazines_look(m, &sum))
		return take_anywhere(b, m, v, block);
	head = head_read(v->head);
	if (!blocks_still(b, v->serial) || head.vacant.top == BLOCKS_CLOSED)
		return -EBADF;
	if (head.vacant.top == 0 && magazines_look(m, &again) && sum == again &&
	    __atomic_load_n(&v->head->half[0], __ATOMIC_ACQUIRE) == head.half[0])
		return BLOCKS_EMPTY;
	return take_anywhere(b, m, v, block);
}

static bool take_from_rows(struct blocks *b, struct magazines *m, void **block)
{
	return blocks_take_at_hand(b, block) || (magazines_refill(m) && blocks_take_at_hand(b, block));
}

/* The stack is empty: a sequence that was interrupted is no reason yet for a barrier. */
static bool take_again(struct blocks *b, struct magazines *m, void **block)
{
	for (int i = 0; i < RSEQ_TRIES; i++)
		if (take_from_rows(b, m, block))
			return true;
	return false;
}

int blocks_take_slowly(struct blocks *b, void **block)
{
	struct magazines *m;
	struct view v;
	int r;

	if (unlikely(!look(b, &v)))
		return -EBADF;
	m = magazines_of(b, v.serial);
	if (m && take_from_rows(b, m, block))
		return 0;
	r = pop(b, &v, block);
	if (likely(r != BLOCKS_EMPTY || !m))
		return r;
	return take_again(b, m, block) ? 0 : take_last(b, m, &v, block);
}
