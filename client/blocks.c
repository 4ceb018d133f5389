/*
 * blocks.c: see blocks.h
 *
 * What an operation may rely on, in its order. (1) The fields were read between two looks at the
 * serial that agree: they are of one opening, so a number below n has a link word. (2) The head was
 * read before a look at the serial that still agrees: its top is of that opening too. (3) The
 * exchange of a head succeeded: its tag is of that opening alone, so nothing was closed meanwhile,
 * and the link that was read is that of the block that was on top. (4) A claim succeeded: the marker
 * is of that opening alone, and it cannot be closed until the block is back.
 *
 * Orders: a field is read with acquire, so the second look at the serial comes after it; it is
 * written with release, so who reads it sees that the serial had gone. (No fences: the thread
 * sanitizer does not know them.) The exchanges are full barriers.
 */
#include "client/blocks_inline.h"

#ifndef __SIZEOF_INT128__
#error "needs a processor that exchanges 16 bytes at once"
#endif

/* The head in its three sizes. Halves are read one by one: a pair that was never there fails the exchange. */
union head {
	struct wire_vacant vacant;
	uint64_t half[2]; /* the tag; top and n_free */
	unsigned __int128 whole;
};
_Static_assert(sizeof(union head) == sizeof(struct wire_vacant), "one exchange");

/* One opening, as an operation sees it. */
struct view {
	uint64_t serial;
	_Atomic uint32_t *link;
	struct wire_stats *stats;
	union head *head;
	uint64_t base, stride;
	uint32_t n, out;
};

/* ---- the head ---- */

static inline union head *head_of(struct wire_stats *stats)
{
	return (union head *)(void *)&stats->vacant;
}

static inline union head head_read(const union head *at)
{
	union head h;

	BLOCKS_STEP();
	h.half[0] = __atomic_load_n(&at->half[0], __ATOMIC_ACQUIRE);
	BLOCKS_STEP();
	h.half[1] = __atomic_load_n(&at->half[1], __ATOMIC_ACQUIRE);
	return h;
}

/* True: it was *old and is now new. False: *old is what it is instead. Inline: with __sync, gcc makes no call of it. */
static inline bool head_exchange(union head *at, union head *old, union head new)
{
	union head seen;

	BLOCKS_STEP();
	seen.whole = __sync_val_compare_and_swap(&at->whole, old->whole, new.whole);
	if (likely(seen.whole == old->whole))
		return true;
	*old = seen;
	return false;
}

static inline union head head_next(union head old, uint32_t top, uint32_t n_free)
{
	return (union head){.vacant = {.tag = old.vacant.tag + 1, .top = top, .n_free = n_free}};
}

/* ---- an opening ---- */

static inline void read_fields(const struct blocks *b, struct view *v)
{
	BLOCKS_STEP();
	v->stats = atomic_load_explicit(&b->stats, memory_order_acquire);
	v->head = head_of(v->stats);
	v->link = atomic_load_explicit(&b->link, memory_order_acquire);
	BLOCKS_STEP();
	v->base = atomic_load_explicit(&b->base, memory_order_acquire);
	v->stride = atomic_load_explicit(&b->stride, memory_order_acquire);
	v->n = atomic_load_explicit(&b->n, memory_order_acquire);
	v->out = atomic_load_explicit(&b->out, memory_order_acquire);
}

/* The fields, not looked at again yet. False: closed. */
static inline bool look(const struct blocks *b, struct view *v)
{
	BLOCKS_STEP();
	v->serial = atomic_load_explicit(&b->serial, memory_order_acquire);
	if (unlikely(v->serial == 0))
		return false;
	read_fields(b, v);
	return true;
}

/* ---- numbers and addresses ---- */

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

/* ---- figures ---- */

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

/* ---- open and close ---- */

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

void blocks_open(struct blocks *b, const struct blocks_layout *l)
{
	uint64_t odd = l->stride >> __builtin_ctzll(l->stride);
	/* the markers repeat after 2^31 openings: a thread would have to be stopped in a bad give for all of them */
	uint32_t out = BLOCKS_CLAIMED + 1 + (uint32_t)(l->serial % (UINT32_MAX - BLOCKS_CLAIMED));

	assert(l->n > 0 && l->n <= BLOCKS_MAX && l->serial && l->first_tag && "as the header says");
	assert(atomic_load(&b->serial) == 0 && "closed");
	assert((!l->heads || (l->n <= BLOCKS_KNOWN && l->stride * l->n <= BLOCKS_REACH)) && "as the header says");
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
	atomic_store_explicit(&b->out, out, memory_order_release);
	if (l->heads)
		magazines_begin(atomic_load(&b->at_hand), l->serial, l->heads, l->row_max);
	BLOCKS_STEP();
	atomic_store_explicit(&b->serial, l->serial, memory_order_release);
	if (l->heads)
		magazines_reopen(atomic_load(&b->at_hand));
}

/* NULL: nothing is ever at hand in this opening, whose serial was looked at; or it has ended. */
static struct magazines *magazines_of(const struct blocks *b, uint64_t serial)
{
	struct magazines *m = atomic_load(&b->at_hand);

	return m && MAGAZINES_SERIAL(atomic_load(&m->rows.gate)) == (uint32_t)serial ? m : NULL;
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

static int pop(const struct blocks *b, const struct view *v, uint32_t *number)
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
	} while (!head_exchange(v->head, &old, head_next(old, next, old.vacant.n_free - 1)));
	*number = top - 1;
	note_high(v, old.vacant.n_free - 1);
	return 0;
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
static int take_anywhere(struct blocks *b, struct magazines *m, const struct view *v, uint32_t *number)
{
	uint64_t entry;
	int r;

	if (magazines_close(m) < 0)
		return BLOCKS_EMPTY; /* the kernel refuses what it has granted: what others have at hand is theirs */
	if (!blocks_still(b, v->serial))
		r = -EBADF;
	else if (!magazines_steal(m, v->serial, &entry))
		r = pop(b, v, number);
	else if ((r = confirm(b, v)) == 0)
		*number = (uint32_t)entry & (BLOCKS_KNOWN - 1);
	magazines_leave(m, r >= 0);
	return r;
}

/*
 * The stack was empty. It and all rows were at one instant, if they are and have not changed when
 * looked at again; that needs no system call. Two looks that differ are changes by others; then the gate is
 * shut, so that the answer takes a bounded time.
 */
static int take_last(struct blocks *b, struct magazines *m, const struct view *v, uint32_t *number)
{
	union head head;
	uint64_t sum, again;

	if (!magazines_look(m, &sum))
		return take_anywhere(b, m, v, number);
	head = head_read(v->head);
	if (!blocks_still(b, v->serial) || head.vacant.top == BLOCKS_CLOSED)
		return -EBADF;
	if (head.vacant.top == 0 && magazines_look(m, &again) && sum == again &&
	    __atomic_load_n(&v->head->half[0], __ATOMIC_ACQUIRE) == head.half[0])
		return BLOCKS_EMPTY;
	return take_anywhere(b, m, v, number);
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
	uint32_t number = 0;
	int r;

	if (unlikely(!look(b, &v)))
		return -EBADF;
	m = magazines_of(b, v.serial);
	if (m && take_from_rows(b, m, block))
		return 0;
	r = pop(b, &v, &number);
	if (unlikely(r == BLOCKS_EMPTY && m)) {
		if (take_again(b, m, block))
			return 0;
		r = take_last(b, m, &v, &number);
	}
	if (unlikely(r != 0))
		return r;
	BLOCKS_STEP();
	atomic_store_explicit(&v.link[number], v.out, memory_order_relaxed);
	*block = (void *)(uintptr_t)(v.base + number * v.stride);
	return 0;
}

/* ---- give ---- */

static void push(struct blocks *b, struct magazines *m, uint32_t number)
{
	union head old;
	struct view v;

	read_fields(b, &v);
	old = head_read(v.head);
	do {
		BLOCKS_STEP();
		atomic_store_explicit(&v.link[number], old.vacant.top, memory_order_relaxed);
	} while (!head_exchange(v.head, &old, head_next(old, number + 1, old.vacant.n_free + 1)));
	/* a gate that stays shut is opened when the stack has enough for a while */
	if (m && old.vacant.n_free >= v.n / 16)
		magazines_reopen(m);
}

void blocks_give_slowly(struct blocks *b, uint64_t entry, uint32_t number)
{
	struct magazines *m = magazines_of(b, atomic_load(&b->serial));

	if (m && (magazines_give(m, entry) || (magazines_relieve(m) && magazines_give(m, entry))))
		return;
	push(b, m, number);
}
