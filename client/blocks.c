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
#include "client/blocks.h"

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
	struct wire_stats *stats;
	union head *head;
	_Atomic uint32_t *link;
	uint64_t base, stride, inverse;
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

static inline bool still(const struct blocks *b, uint64_t serial)
{
	BLOCKS_STEP();
	return likely(atomic_load_explicit(&b->serial, memory_order_acquire) == serial);
}

/* The fields, not looked at again yet. False: closed. */
static inline bool look(const struct blocks *b, struct view *v)
{
	BLOCKS_STEP();
	v->serial = atomic_load_explicit(&b->serial, memory_order_acquire);
	if (unlikely(v->serial == 0))
		return false;
	BLOCKS_STEP();
	v->stats = atomic_load_explicit(&b->stats, memory_order_acquire);
	v->head = head_of(v->stats);
	v->link = atomic_load_explicit(&b->link, memory_order_acquire);
	BLOCKS_STEP();
	v->base = atomic_load_explicit(&b->base, memory_order_acquire);
	v->stride = atomic_load_explicit(&b->stride, memory_order_acquire);
	v->inverse = atomic_load_explicit(&b->inverse, memory_order_acquire);
	v->n = atomic_load_explicit(&b->n, memory_order_acquire);
	v->out = atomic_load_explicit(&b->out, memory_order_acquire);
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

static inline uint64_t rotate_right(uint64_t x, unsigned int by)
{
	return x >> by | x << (-by & 63);
}

/*
 * The number of the block at that address. To multiply with the inverse and to rotate are
 * one-to-one on 64-bit words and take m * stride to m, so the n offsets of blocks are the only
 * ones that become numbers below n: one comparison finds what is outside and what is in between.
 */
static inline uint64_t number_of(const struct view *v, const void *block)
{
	uint64_t offset = (uint64_t)(uintptr_t)block - v->base;

	return rotate_right(offset * v->inverse, (unsigned int)__builtin_ctzll(v->stride));
}

static inline void *address_of(const struct view *v, uint32_t number)
{
	return (void *)(uintptr_t)(v->base + number * v->stride);
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
static int note_bad(const struct blocks *b, const struct view *v)
{
	if (!still(b, v->serial))
		return -EBADF;
	(void)__atomic_fetch_add(&v->stats->bad_frees, 1, __ATOMIC_RELAXED);
	return -EINVAL;
}

/* ---- open and close ---- */

static void fill_links(_Atomic uint32_t *link, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		atomic_store_explicit(&link[i], i + 1 < n ? i + 2 : 0, memory_order_relaxed);
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
	BLOCKS_STEP();
	atomic_store_explicit(&b->serial, l->serial, memory_order_release);
}

int blocks_close(struct blocks *b, uint64_t *last_tag)
{
	union head old, new;
	struct view v;

	if (!look(b, &v))
		return -EBADF;
	old = head_read(v.head);
	do {
		if (!still(b, v.serial) || old.vacant.top == BLOCKS_CLOSED)
			return -EBADF;
		if (old.vacant.n_free != v.n)
			return -EBUSY;
		new = head_next(old, BLOCKS_CLOSED, v.n);
	} while (!head_exchange(v.head, &old, new));
	*last_tag = new.vacant.tag;
	BLOCKS_STEP();
	atomic_store_explicit(&b->serial, 0, memory_order_release);
	return 0;
}

/* ---- take and give ---- */

int blocks_take(struct blocks *b, void **block)
{
	union head old;
	struct view v;
	uint32_t top, next;

	if (unlikely(!look(b, &v)))
		return -EBADF;
	old = head_read(v.head);
	do {
		top = old.vacant.top;
		if (unlikely(!still(b, v.serial) || top == BLOCKS_CLOSED))
			return -EBADF;
		if (unlikely(top == 0))
			return BLOCKS_EMPTY;
		BLOCKS_STEP();
		next = atomic_load_explicit(&v.link[top - 1], memory_order_relaxed);
	} while (!head_exchange(v.head, &old, head_next(old, next, old.vacant.n_free - 1)));
	BLOCKS_STEP();
	atomic_store_explicit(&v.link[top - 1], v.out, memory_order_relaxed);
	note_high(&v, old.vacant.n_free - 1);
	*block = address_of(&v, top - 1);
	return 0;
}

int blocks_give(struct blocks *b, const void *block)
{
	union head old;
	struct view v;
	uint64_t number;
	uint32_t word;

	if (unlikely(!look(b, &v) || !still(b, v.serial)))
		return -EBADF;
	number = number_of(&v, block);
	if (unlikely(number >= v.n))
		return note_bad(b, &v);
	BLOCKS_STEP();
	word = v.out;
	if (unlikely(!atomic_compare_exchange_strong_explicit(&v.link[number], &word, BLOCKS_CLAIMED,
							      memory_order_acquire, memory_order_relaxed)))
		return note_bad(b, &v);
	old = head_read(v.head);
	do {
		BLOCKS_STEP();
		atomic_store_explicit(&v.link[number], old.vacant.top, memory_order_relaxed);
	} while (!head_exchange(v.head, &old,
				head_next(old, (uint32_t)number + 1, old.vacant.n_free + 1)));
	return 0;
}
