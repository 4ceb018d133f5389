/*
 * hand.c: see hand.h
 *
 * Not here: batches (hand_batch.c), views (hand_views.c).
 */
#include "client/hand_internal.h"

#include "client/point.h"
#include "client/rseq_rows.h"

uint32_t hand_cpus(uint64_t usable)
{
	uint32_t n;

	if (usable < HAND_HEAP_MIN || usable >> HAND_UNIT_SHIFT > (uint64_t)UINT32_MAX + 1)
		return 0; /* too small for one CPU, or numbers are too small for it */
	n = rseq_cpus();
	return usable / HAND_HEAP_MIN >= n ? n : 0;
}

bool hand_was_seen(const struct hand *hand, uint32_t turn)
{
	return hand_is_there(hand) && turn > hand->before;
}

/*
 * A slot's heads may have been a partition's, and be one's again, of which no version may come back (client/areas.c): so what
 * is in the places of its rows' heads waits in those that no bucket has.
 */
static void exchange_rows(const struct hand *hand, uint32_t n)
{
	struct wire_heads *heads = atomic_load_explicit(&hand->arrays.heads, memory_order_relaxed);

	for (uint32_t cpu = 0; cpu < n; cpu++)
		for (uint32_t i = 0; i < RSEQ_ROWS_EACH; i++) {
			_Atomic uint64_t *at = rseq_row_head(heads, cpu * (uint32_t)RSEQ_ROWS_EACH + i);
			_Atomic uint64_t *aside = rseq_head(&hand->arrays, cpu, RSEQ_KINDS + i);
			uint64_t head = atomic_load_explicit(at, memory_order_relaxed);

			atomic_store_explicit(at, atomic_load_explicit(aside, memory_order_relaxed), memory_order_relaxed);
			atomic_store_explicit(aside, head, memory_order_relaxed);
		}
}

void hand_begin(struct hand *hand, struct bucket_heap *bucket, uint64_t usable, const struct hand_layout *layout)
{
	static _Atomic uint64_t next = RSEQ_OPEN_MIN; /* a child goes on counting where its parent was */
	uint32_t n = layout ? layout->n_cpus : 0;
	uint64_t share;

	assert(!hand_is_open(hand) && "it was ended, or never begun");
	rseq_begin();
	hand->bucket = bucket;
	hand->calm = HAND_CALM;
	hand->lost = false;
	hand->arrays.n_units = n ? usable >> HAND_UNIT_SHIFT : 0;
	atomic_store_explicit(&hand->arrays.heads, n ? layout->heads : NULL, memory_order_relaxed);
	atomic_store_explicit(&hand->arrays.slots, n ? layout->slots : NULL, memory_order_relaxed);
	atomic_store_explicit(&hand->arrays.n_cpus, n, memory_order_relaxed);
	atomic_store_explicit(&hand->arrays.marks, n ? layout->marks : NULL, memory_order_relaxed);
	exchange_rows(hand, n);
	for (uint32_t cpu = 0; cpu < n; cpu++)
		for (uint32_t kind = 0; kind < RSEQ_KINDS; kind++)
			atomic_store_explicit(rseq_head(&hand->arrays, cpu, kind), RSEQ_ARRAY_EMPTY(0), memory_order_relaxed);
	memset(hand->behind, 0, sizeof(hand->behind));
	share = n ? usable / HAND_SHARE / n / BUCKET_COUNT : 0;
	for (uint32_t kind = 0; kind < BUCKET_COUNT; kind++) {
		uint64_t max = min_u64(min_u64(share, HAND_KIND_MAX) / hand_bytes_of(kind), RSEQ_SLOTS);

		if (n)
			max = min_u64(max, HAND_ALL / n / BUCKET_COUNT);

		if (n && hand_bytes_of(kind) > UINT64_C(1) << bucket->page_shift)
			max = 0; /* whole pages, no bucket */
		atomic_store_explicit(&hand->arrays.max[kind], RSEQ_MAX((uint32_t)max), memory_order_relaxed);
	}
	hand->open = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
	hand->before = atomic_load_explicit(&hand_turn_, memory_order_relaxed);
	if (bucket)
		bucket->stats->n_cpus = n;
}

/* ---- marks ---- */

static uint8_t *mark_at(const struct hand *hand, uint64_t offset)
{
	return &atomic_load_explicit(&hand->arrays.marks, memory_order_relaxed)[rseq_number(offset)];
}

static bool has_mark_at(const struct hand *hand, uint64_t offset)
{
	return !(offset & (hand_bytes_of(0) - 1)) && offset >> HAND_UNIT_SHIFT < hand->arrays.n_units;
}

/* What the mark of a block of that size is. */
static uint8_t mark_of(const struct hand *hand, uint64_t size)
{
	return size > UINT64_C(1) << hand->bucket->page_shift ? HAND_LARGE : (uint8_t)HAND_MARK(bucket_for(size));
}

/* Marks of a part of what is turned are in 1 << RSEQ_TURN stretches. */
static void touch_part(const struct hand *hand, uint64_t first, uint64_t n, void (*touch)(void *ctx, void *addr, size_t bytes), void *ctx)
{
	for (uint64_t i = 0; i < 1u << RSEQ_TURN && n; i++)
		touch(ctx, mark_at(hand, (first + i) << HAND_UNIT_SHIFT), n >> RSEQ_TURN);
}

void hand_touch(const struct hand *hand, uint32_t first_hw, uint32_t n_hw,
		void (*touch)(void *ctx, void *addr, size_t bytes), void *ctx)
{
	uint64_t per_page = HW_PAGE_SIZE >> HAND_UNIT_SHIFT, first = first_hw * per_page, n = n_hw * per_page, head, whole;

	if (!n || first >= hand->arrays.n_units || n > hand->arrays.n_units - first)
		return;
	head = min_u64(n, align_up(first, RSEQ_TURNED) - first);
	touch_part(hand, first, head, touch, ctx);
	whole = (n - head) / RSEQ_TURNED * RSEQ_TURNED;
	if (whole)
		touch(ctx, mark_at(hand, (first + head) << HAND_UNIT_SHIFT), whole);
	touch_part(hand, first + head + whole, n - head - whole, touch, ctx);
}

/* Nobody else knows of the block: no sequence believes its byte. */
void hand_mark(struct hand *hand, uint64_t size, uint64_t offset)
{
	__atomic_store_n(mark_at(hand, offset), mark_of(hand, size), __ATOMIC_RELAXED);
}

int hand_alloc(struct hand *hand, uint64_t size, uint64_t *offset)
{
	int r;

	if (hand->arrays.n_units) /* without marks there is nothing to be one CPU's */
		bucket_shelf(hand->bucket, rseq_cpu());
	r = bucket_alloc(hand->bucket, size, offset);

	if (r == 0 && hand->arrays.n_units)
		hand_mark(hand, size, *offset);
	return r;
}

bool hand_is_out(const struct hand *hand, uint64_t offset)
{
	if (!hand->arrays.n_units)
		return true;
	return has_mark_at(hand, offset) && __atomic_load_n(mark_at(hand, offset), __ATOMIC_RELAXED);
}

uint8_t hand_claim(struct hand *hand, uint64_t offset)
{
	if (!hand->arrays.n_units)
		return HAND_LARGE;
	return has_mark_at(hand, offset) ? __atomic_exchange_n(mark_at(hand, offset), 0, __ATOMIC_ACQ_REL) : 0;
}

/* ---- the gate ---- */

static void hand_open(struct hand *hand)
{
	atomic_store_explicit(&hand->arrays.gate, hand->open, memory_order_release);
	hand_views_follow(hand);
}

/* No sequence runs: the arrays are ours. */
static bool drain(struct hand *hand)
{
	bool any = false;

	POINT(HAND_DRAINS);
	for (uint32_t cpu = 0; cpu < hand_n_cpus(hand); cpu++)
		for (uint32_t kind = 0; kind < BUCKET_COUNT; kind++) {
			_Atomic uint64_t *head = rseq_head(&hand->arrays, cpu, kind);
			uint64_t was = atomic_load_explicit(head, memory_order_relaxed);
			uint32_t given = RSEQ_ARRAY_GIVEN(was);

			for (uint32_t at = RSEQ_ARRAY_TAKEN(was); at != given; at -= RSEQ_STEP) {
				uint64_t number = *rseq_slot(&hand->arrays, cpu, kind, at);

				/* refused where two frees at one instant were both believed: it is there twice, and is freed once */
				(void)bucket_free(hand->bucket, rseq_offset(number), NULL);
				any = true;
			}
			atomic_store_explicit(head, RSEQ_ARRAY_EMPTY(given), memory_order_relaxed);
		}
	return any;
}

static bool shut(struct hand *hand)
{
	atomic_store(&hand->arrays.gate, 0);
	hand_views_follow(hand);
	POINT(HAND_SHUTS);
	hand->lost = rseq_barrier() < 0;
	return hand->lost ? false : drain(hand);
}

bool hand_shut(struct hand *hand)
{
	hand->calm = 0;
	return hand_is_open(hand) || hand->lost ? shut(hand) : false;
}

bool hand_end(struct hand *hand)
{
	if (!hand_is_there(hand))
		return true;
	(void)shut(hand); /* if it is shut, too: who looked at a view's gate before that may look at its CPUs when they are the next heap's */
	if (hand->lost)
		return false;
	exchange_rows(hand, hand_n_cpus(hand));
	atomic_store_explicit(&hand->arrays.n_cpus, 0, memory_order_relaxed);
	hand->arrays.n_units = 0;
	return true;
}

void hand_settle(struct hand *hand)
{
	if (hand_is_open(hand) || hand->lost || !hand_is_there(hand))
		return;
	if (++hand->calm >= HAND_CALM)
		hand_open(hand);
}

uint64_t hand_bytes(const struct hand *hand)
{
	uint64_t bytes = 0;

	for (uint32_t cpu = 0; cpu < hand_n_cpus(hand); cpu++)
		for (uint32_t kind = 0; kind < BUCKET_COUNT; kind++) {
			uint64_t head = atomic_load_explicit(rseq_head(&hand->arrays, cpu, kind), memory_order_relaxed);

			bytes += RSEQ_ARRAY_COUNT(head) * hand_bytes_of(kind);
		}
	return bytes;
}

/* ---- audit ---- */

int hand_check(struct hand *hand)
{
	uint64_t marked = 0;

	(void)hand_shut(hand);
	if (hand->lost || hand_bytes(hand) || hand_views_check(hand) < 0)
		return -EUCLEAN;
	for (uint64_t i = 0; i < hand->arrays.n_units; i++) {
		uint64_t offset = i << HAND_UNIT_SHIFT;
		uint8_t mark = *mark_at(hand, offset);
		uint64_t size = mark ? bucket_size(hand->bucket, offset) : 0;

		if (mark && (!size || mark != mark_of(hand, size)))
			return -EUCLEAN; /* nobody has it, or not a block of that kind */
		marked += size;
	}
	if (hand->arrays.n_units && hand->bucket->stats->used != marked)
		return -EUCLEAN; /* blocks that neither anybody has nor anybody can get */
	return bucket_check(hand->bucket);
}
