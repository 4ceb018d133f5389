/*
 * test_hand.c: blocks at hand, in random steps of three CPUs that are simulated, beside a model
 *
 * The sequences are functions of this test (TEST_RSEQ), of whatever CPU it is just on. What a thread
 * does in several of them is done in several steps, with others in between: a block may be out of its
 * array and not marked yet, or claimed and not in an array yet, when somebody shuts the gate. The
 * model knows of each block who has it; figures, marks and the audit are compared all the time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "client/hand_internal.h"
#include "pure.h"

#define CPUS 3
#define BLOCKS_MAX 4096
#define HELD_MAX 4

/* A block that the model knows. */
struct known {
	uint64_t offset, size; /* bytes it takes */
};

static struct {
	struct bucket_heap bucket;
	struct hand hand;
	struct wire_stats stats;
	struct wire_heads heads[CPUS];
	uint32_t slots[CPUS * WIRE_HEADS_KINDS * RSEQ_SLOTS];
	uint64_t usable;
	void *storage;
	uint8_t *marks;
	struct known out[BLOCKS_MAX]; /* somebody has them, marked */
	uint32_t n_out;
	struct known held[HELD_MAX];  /* in a thread's hands, not marked */
	uint32_t n_held;
	struct rng rng;
} m;

/* ---- the machine ---- */

static uint32_t cpu;
static bool barrier_fails;
static unsigned barriers, full, empty, refills;

uint32_t rseq_cpus(void)
{
	return CPUS;
}

uint32_t rseq_test_cpu(void)
{
	return cpu;
}

int rseq_barrier(void)
{
	barriers++;
	return barrier_fails ? -EPERM : 0;
}

bool rseq_pop(struct rseq_arrays *a, uint64_t mark, uint64_t open, uint64_t *number)
{
	uint32_t kind = (uint32_t)mark - RSEQ_MARK_MIN;
	uint64_t head = atomic_load(rseq_head(a, cpu, kind));
	uint32_t taken = RSEQ_ARRAY_TAKEN(head);

	if (atomic_load(&a->gate) != open || RSEQ_ARRAY_COUNT(head) == 0)
		return false;
	*number = *rseq_slot(a, cpu, kind, taken);
	atomic_store(rseq_head(a, cpu, kind), (uint64_t)RSEQ_ARRAY_GIVEN(head) << 32 | (taken - RSEQ_STEP));
	return true;
}

bool rseq_push(struct rseq_arrays *a, uint64_t mark, uint64_t open, uint64_t number)
{
	uint32_t kind = (uint32_t)mark - RSEQ_MARK_MIN, max = atomic_load(&a->max[kind]) / RSEQ_STEP;
	uint64_t head = atomic_load(rseq_head(a, cpu, kind));
	uint32_t given = RSEQ_ARRAY_GIVEN(head);

	must(max <= RSEQ_SLOTS);
	if (atomic_load(&a->gate) != open || RSEQ_ARRAY_COUNT(head) >= max)
		return false;
	*rseq_slot(a, cpu, kind, given) = (uint32_t)number;
	atomic_store(rseq_head(a, cpu, kind), (uint64_t)(given - RSEQ_STEP) << 32 | RSEQ_ARRAY_TAKEN(head));
	return true;
}

/* ---- the model ---- */

static void set_up(uint32_t n_hw)
{
	uint64_t usable = n_hw * HW_PAGE_SIZE;
	uint32_t shift = bucket_page_shift(usable);
	struct hand_layout layout;

	free(m.storage);
	free(m.marks);
	memset(&m, 0, sizeof(m));
	m.rng = test_rng(n_hw);
	m.usable = usable;
	m.storage = storage_new(bucket_bytes(n_hw, shift));
	m.marks = storage_new(hand_marks_size(usable));
	bucket_init(&m.bucket, n_hw, shift, m.storage, &m.stats);
	must(bucket_insert(&m.bucket, 0, n_hw) == 0);
	layout = (struct hand_layout){ .heads = m.heads, .slots = m.slots, .marks = m.marks, .n_cpus = hand_cpus(usable) };
	hand_begin(&m.hand, &m.bucket, usable, &layout);
	barrier_fails = false;
}

static uint64_t bytes_out(void)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < m.n_out; i++)
		bytes += m.out[i].size;
	for (uint32_t i = 0; i < m.n_held; i++)
		bytes += m.held[i].size;
	return bytes;
}

static void figures_are_right(void)
{
	uint64_t at_hand = hand_bytes(&m.hand);

	must(at_hand <= m.usable / HAND_SHARE);
	must(m.stats.used - at_hand == bytes_out());
	must(hand_is_open(&m.hand) || m.hand.lost || at_hand == 0);
}

/* Nobody else may have any of it. */
static void learn(uint64_t offset, uint64_t size)
{
	uint64_t takes = bucket_cost(&m.bucket, size);

	must(offset % 16 == 0 && takes >= size && offset + takes <= m.usable);
	for (uint32_t i = 0; i < m.n_out; i++)
		must(offset + takes <= m.out[i].offset || m.out[i].offset + m.out[i].size <= offset);
	for (uint32_t i = 0; i < m.n_held; i++)
		must(offset + takes <= m.held[i].offset || m.held[i].offset + m.held[i].size <= offset);
	must(m.n_out < BLOCKS_MAX);
	m.out[m.n_out++] = (struct known){ offset, takes };
}

/* As client/heap_alloc.c does it, under the lock. */
static int alloc_long(uint64_t size)
{
	uint64_t offset;
	int r = hand_alloc(&m.hand, size, &offset);

	if (r == BUCKET_DRY) {
		(void)hand_shut(&m.hand);
		r = hand_alloc(&m.hand, size, &offset);
	}
	if (r != 0)
		return r;
	hand_settle(&m.hand);
	hand_refill(&m.hand, size);
	refills++;
	learn(offset, size);
	return 0;
}

/* mark: what it was, if the array of this CPU may be full; 0: that is not asked. */
static void put(uint64_t offset, uint8_t mark)
{
	bool pages_free;

	if (!mark || !hand_spill(&m.hand, mark, offset, &pages_free))
		must(bucket_free(&m.bucket, offset, &pages_free) == 0);
	hand_settle(&m.hand);
}

/* A block of this CPU's array comes into hands. */
static bool take_up(uint64_t size)
{
	uint64_t number;

	if (m.n_held == HELD_MAX || size > HW_PAGE_SIZE ||
	    !rseq_pop(&m.hand.arrays, HAND_MARK(bucket_for(size)), m.hand.open, &number))
		return false;
	m.held[m.n_held++] = (struct known){ rseq_offset(number), bucket_cost(&m.bucket, size) };
	return true;
}

static uint8_t mark_of(uint64_t size)
{
	return size <= UINT64_C(1) << m.bucket.page_shift ? (uint8_t)HAND_MARK(bucket_for(size)) : (uint8_t)HAND_LARGE;
}

/* What was taken is marked, if the gate is still open; else it goes back. Or it was claimed, and goes where it belongs. */
static void finish(uint32_t i)
{
	struct known k = m.held[i];
	bool gives = rng_below(&m.rng, 2);
	uint8_t mark = mark_of(k.size);

	m.held[i] = m.held[--m.n_held];
	must(m.marks[rseq_number(k.offset)] == 0);
	if (!gives && atomic_load(&m.hand.arrays.gate) == m.hand.open) {
		m.marks[rseq_number(k.offset)] = mark;
		learn(k.offset, k.size);
	} else if (!rseq_push(&m.hand.arrays, mark, m.hand.open, rseq_number(k.offset))) {
		put(k.offset, mark);
		full++;
	}
}

static void free_one(void)
{
	uint32_t i = rng_below(&m.rng, m.n_out);
	struct known k = m.out[i];

	must(hand_is_out(&m.hand, k.offset));
	must(hand_claim(&m.hand, k.offset) == mark_of(k.size));
	must(!hand_claim(&m.hand, k.offset) && !hand_is_out(&m.hand, k.offset));
	m.out[i] = m.out[--m.n_out];
	if (m.n_held < HELD_MAX && k.size <= UINT64_C(1) << m.bucket.page_shift)
		m.held[m.n_held++] = k;
	else
		put(k.offset, 0);
}

/* At, inside or beyond any block: claimed only if it is one that is out. */
static void claim_anything(void)
{
	uint64_t offset = rng_next(&m.rng) % (m.usable + 4096);
	bool is_out = false;

	for (uint32_t i = 0; i < m.n_out; i++)
		is_out |= m.out[i].offset == offset;
	must(hand_is_out(&m.hand, offset) == is_out);
	must(is_out || !hand_claim(&m.hand, offset));
}

static void step(uint32_t limit, uint32_t grows)
{
	uint64_t size = rng_skewed(&m.rng, limit);

	cpu = rng_below(&m.rng, CPUS);
	switch (rng_below(&m.rng, 16)) {
	case 0:
		barrier_fails = rng_below(&m.rng, 8) == 0;
		(void)hand_shut(&m.hand);
		must(m.hand.lost == (m.hand.lost && barrier_fails));
		barrier_fails = false;
		break;
	case 1:
		claim_anything();
		break;
	case 2:
		if (!m.n_held && !m.hand.lost)
			must(hand_check(&m.hand) == 0);
		break;
	case 3: case 4: case 5: case 6:
		if (m.n_held)
			finish(rng_below(&m.rng, m.n_held));
		break;
	default:
		if (rng_below(&m.rng, 100) >= grows) {
			if (m.n_out)
				free_one();
		} else if (m.n_out < BLOCKS_MAX - HELD_MAX && !take_up(size)) {
			empty += alloc_long(size) != 0;
		}
	}
	figures_are_right();
}

/* Everything comes back, and then the heap is as large as it ever was. */
static void drain(void)
{
	uint64_t n = 0;

	while (m.n_out || m.n_held) {
		cpu = rng_below(&m.rng, CPUS);
		if (m.n_out)
			free_one();
		if (m.n_held) {
			struct known k = m.held[--m.n_held];

			put(k.offset, rng_below(&m.rng, 2) ? mark_of(k.size) : 0);
		}
		figures_are_right();
	}
	must(hand_check(&m.hand) == 0);
	must(m.stats.used == 0);
	while (alloc_long(4096) == 0)
		n++;
	must(n == m.usable / 4096);
	must(hand_check(&m.hand) == 0);
	while (m.n_out) {
		must(hand_claim(&m.hand, m.out[--m.n_out].offset));
		put(m.out[m.n_out].offset, 0);
	}
}

static void play(uint32_t n_hw)
{
	static const uint32_t limits[] = { 16, 64, 300, 1024, 4096, 9000 };

	set_up(n_hw);
	must(hand_is_there(&m.hand));
	for (unsigned game = 0; game < 30 * test_factor(); game++) {
		uint32_t limit = limits[rng_below(&m.rng, ARRAY_SIZE(limits))], grows = 20 + rng_below(&m.rng, 60);

		for (int i = 0; i < 2000; i++)
			step(limit, grows);
		barrier_fails = false;
		(void)hand_shut(&m.hand);
		drain();
	}
	must(hand_end(&m.hand));
	must(hand_bytes(&m.hand) == 0 && !hand_is_there(&m.hand) && !hand_is_open(&m.hand));
}

static void test_random_small(void **state)
{
	(void)state;
	play(24); /* small heaps that may have arrays have pages of 4 KiB with three CPUs */
}

static void test_random_large(void **state)
{
	(void)state;
	play(600);
	print_message("%u barriers, %u refills, %u arrays full, %u times dry\n", barriers, refills, full, empty);
	must(full && empty && refills);
}

/* What keeps the gate shut, what opens it, and who has which number. */
static void test_gate(void **state)
{
	uint64_t open, offset[HAND_CALM + 1];
	uint64_t number;

	(void)state;
	set_up(600);
	open = m.hand.open;
	assert_false(hand_is_open(&m.hand));
	hand_settle(&m.hand); /* nobody has looked in vain yet: at once */
	assert_true(hand_is_open(&m.hand));
	assert_int_equal(open, atomic_load(&m.hand.arrays.gate));
	assert_int_equal(0, hand_alloc(&m.hand, 64, &offset[0]));
	hand_refill(&m.hand, 64);
	assert_int_equal(HAND_REFILL * 64, hand_bytes(&m.hand));
	assert_false(rseq_pop(&m.hand.arrays, HAND_MARK(bucket_for(64)), open + 1, &number));
	assert_false(rseq_pop(&m.hand.arrays, HAND_MARK(bucket_for(64)), open - 1, &number));

	/* the kernel refuses: shut all the same, but what is at hand stays where it is */
	barrier_fails = true;
	assert_false(hand_shut(&m.hand));
	assert_int_equal(HAND_REFILL * 64, hand_bytes(&m.hand));
	assert_false(rseq_pop(&m.hand.arrays, HAND_MARK(bucket_for(64)), open, &number));
	for (unsigned i = 0; i < 2 * HAND_CALM; i++)
		hand_settle(&m.hand);
	assert_false(hand_is_open(&m.hand));
	assert_false(hand_end(&m.hand));
	barrier_fails = false;
	assert_true(hand_shut(&m.hand));
	assert_int_equal(0, hand_bytes(&m.hand));
	assert_int_equal(64, m.stats.used);

	for (unsigned i = 0; i < HAND_CALM; i++) {
		assert_false(hand_is_open(&m.hand));
		hand_settle(&m.hand);
	}
	assert_true(hand_is_open(&m.hand));
	assert_true(hand_end(&m.hand));
	hand_begin(&m.hand, &m.bucket, m.usable, NULL);
	assert_true(m.hand.open > open);
	hand_settle(&m.hand);
	assert_false(hand_is_open(&m.hand)); /* it has no arrays */
}

/* All that is at hand comes into hands. */
static uint32_t empty_out(uint64_t *number)
{
	uint32_t n = 0;

	while (rseq_pop(&m.hand.arrays, HAND_MARK(bucket_for(64)), m.hand.open, &number[n]))
		n++;
	return n;
}

static bool push(uint64_t number)
{
	return rseq_push(&m.hand.arrays, HAND_MARK(bucket_for(64)), m.hand.open, number);
}

/* One of this CPU's array, in and out or out and in. */
static void to_and_fro(bool in, uint64_t number)
{
	assert_true(!in || push(number));
	assert_true(rseq_pop(&m.hand.arrays, HAND_MARK(bucket_for(64)), m.hand.open, &number));
	assert_true(in || push(number));
}

/* An array that goes one way has long batches, one that goes to and fro has short ones. */
static void test_batches(void **state)
{
	uint64_t number[8 * HAND_REFILL];
	uint32_t n = 0, max;
	bool pages_free;

	(void)state;
	set_up(600);
	cpu = 1;
	hand_settle(&m.hand);
	for (int i = 0; i < 4; i++) {
		hand_refill(&m.hand, 64);
		assert_int_equal(HAND_REFILL, hand_bytes(&m.hand) / 64);
		n += empty_out(&number[n]);
	}
	for (int i = 0; i < 2; i++) {
		to_and_fro(true, number[0]);
		hand_refill(&m.hand, 64);
		assert_int_equal(2 * HAND_FEW, hand_bytes(&m.hand) / 64);
		n += empty_out(&number[n]);
	}
	hand_refill(&m.hand, 64);
	assert_int_equal(HAND_REFILL, hand_bytes(&m.hand) / 64);

	while (push(number[n - 1]))
		n--;
	max = (uint32_t)hand_bytes(&m.hand) / 64;
	assert_true(max == RSEQ_SLOTS && n > HAND_BATCH + 2 * HAND_FEW + 3); /* the first three are what is freed, and go in */
	for (int i = 0; i < 2; i++) {
		to_and_fro(false, 0);
		assert_true(hand_spill(&m.hand, mark_of(64), rseq_offset(number[i]), &pages_free));
		assert_int_equal(max - HAND_FEW + 1, hand_bytes(&m.hand) / 64);
		while (push(number[n - 1]))
			n--;
	}
	assert_true(hand_spill(&m.hand, mark_of(64), rseq_offset(number[2]), &pages_free));
	assert_int_equal(max - HAND_BATCH + 1, hand_bytes(&m.hand) / 64);
}

/* The slot was a partition's: its versions are there again when the heap has gone. */
static void test_heads_of_rows(void **state)
{
	struct hand_layout layout;

	(void)state;
	set_up(600);
	layout = (struct hand_layout){ .heads = m.heads, .slots = m.slots, .marks = m.marks, .n_cpus = CPUS };
	assert_true(hand_end(&m.hand));
	for (uint32_t i = 0; i < CPUS; i++) {
		atomic_store(&m.heads[i].head[0], UINT64_C(0x123450000) + i);
		atomic_store(&m.heads[i].head[8], UINT64_C(0x567890000) + i);
	}
	hand_begin(&m.hand, &m.bucket, m.usable, &layout);
	assert_int_equal(0, hand_bytes(&m.hand));
	hand_settle(&m.hand);
	hand_refill(&m.hand, 16);
	hand_refill(&m.hand, 4096);
	assert_true(hand_bytes(&m.hand) > 0);
	assert_true(hand_end(&m.hand));
	for (uint32_t i = 0; i < CPUS; i++) {
		assert_int_equal(UINT64_C(0x123450000) + i, atomic_load(&m.heads[i].head[0]));
		assert_int_equal(UINT64_C(0x567890000) + i, atomic_load(&m.heads[i].head[8]));
	}
}

/* Turns count up, whatever heap gives them; who took a block with one is believed until that heap ends. When they are used up there are no views. */
static void test_turns(void **state)
{
	static struct rseq_arrays view[2];
	struct hand_layout layout;
	uint32_t first, turn;

	(void)state;
	set_up(600);
	layout = (struct hand_layout){ .heads = m.heads, .slots = m.slots, .marks = m.marks, .n_cpus = CPUS };
	assert_true(hand_lend(&m.hand, &view[0], 16) && hand_lend(&m.hand, &view[1], 32));
	assert_false(hand_was_seen(&m.hand, 0));
	assert_ptr_equal(hand_spare(&m.hand, &first), &view[0]);
	assert_true(hand_was_seen(&m.hand, first));
	hand_view(&m.hand, &view[0], 7);
	assert_ptr_equal(hand_spare(&m.hand, &turn), &view[1]);
	assert_true(turn == first + 1);
	hand_view(&m.hand, &view[1], 8);
	assert_null(hand_spare(&m.hand, &turn));
	hand_unview(&m.hand, 7);
	assert_true(hand_was_seen(&m.hand, first) && hand_was_seen(&m.hand, turn));
	assert_true(hand_end(&m.hand));
	assert_false(hand_was_seen(&m.hand, turn));
	assert_null(hand_spare(&m.hand, &turn));

	hand_begin(&m.hand, &m.bucket, m.usable, &layout);
	assert_false(hand_was_seen(&m.hand, first) || hand_was_seen(&m.hand, turn));
	atomic_store(&hand_turn_, UINT32_MAX - 1);
	assert_ptr_equal(hand_spare(&m.hand, &turn), &view[0]);
	assert_true(turn == UINT32_MAX && hand_was_seen(&m.hand, turn));
	assert_null(hand_spare(&m.hand, &turn));
	assert_true(hand_end(&m.hand));
	atomic_store(&hand_turn_, first + 2); /* for those that come after it */
}

static uint8_t *touched;
static size_t n_touched;

static void note(void *ctx, void *addr, size_t bytes)
{
	uint8_t *marks = ctx;
	size_t from = (size_t)((uint8_t *)addr - marks);

	for (size_t i = from; i < from + bytes; i++) {
		must(!touched[i]);
		touched[i] = 1;
	}
	n_touched += bytes;
}

/* What marks the blocks of some pages can have is touched, and nothing else, in heaps of any size. */
static void test_touch(void **state)
{
	struct rng r = test_rng(9);
	struct hand hand = { 0 };

	(void)state;
	for (int i = 0; i < 400; i++) {
		uint32_t pages = 1 + rng_below(&r, 1400), first = rng_below(&r, pages), n = 1 + rng_below(&r, pages - first);
		uint64_t units = HW_PAGE_SIZE >> HAND_UNIT_SHIFT;
		uint8_t *marks = storage_new(rseq_marks_size(pages * units));

		touched = storage_new(rseq_marks_size(pages * units));
		n_touched = 0;
		hand.arrays.n_units = pages * units;
		atomic_store(&hand.arrays.marks, marks);
		hand_touch(&hand, first, n, note, marks);
		for (uint64_t unit = first * units; unit < (first + n) * units; unit++)
			must(touched[rseq_number(unit << HAND_UNIT_SHIFT)]);
		assert_int_equal(n_touched, n * units);
		free(marks);
		free(touched);
	}
}

/* Taken, and the gate shut before it was marked: it can be marked all the same, and is freed like any other. */
static void test_kept(void **state)
{
	uint64_t offset;
	uint64_t number;

	(void)state;
	set_up(600);
	hand_settle(&m.hand);
	assert_int_equal(0, hand_alloc(&m.hand, 64, &offset));
	hand_refill(&m.hand, 64);
	assert_true(rseq_pop(&m.hand.arrays, HAND_MARK(bucket_for(64)), m.hand.open, &number));
	(void)hand_shut(&m.hand);
	assert_int_equal(2 * 64, m.stats.used);
	assert_false(hand_is_out(&m.hand, rseq_offset(number)));
	hand_mark(&m.hand, 50, rseq_offset(number));
	assert_int_equal(0, hand_check(&m.hand));
	assert_true(hand_claim(&m.hand, rseq_offset(number)));
	assert_false(hand_claim(&m.hand, rseq_offset(number)));
}

/* Tiny heaps have none; those of small pages none of sizes that are runs there. */
static void test_sizes(void **state)
{
	(void)state;
	assert_int_equal(0, hand_cpus(CPUS * HAND_HEAP_MIN - 1));
	assert_int_equal(CPUS, hand_cpus(CPUS * HAND_HEAP_MIN));
	assert_int_equal(CPUS, hand_cpus(UINT64_C(64) << 30));
	assert_int_equal(0, hand_cpus((UINT64_C(64) << 30) + HW_PAGE_SIZE)); /* a number would not fit */
	for (uint32_t n = 1; n < 3000; n = n * 3 / 2 + 1) {
		uint64_t most = 0;

		set_up(n);
		for (uint32_t kind = 0; kind < BUCKET_COUNT; kind++) {
			uint32_t max = atomic_load(&m.hand.arrays.max[kind]) / RSEQ_STEP;

			assert_true(max <= RSEQ_SLOTS && (uint64_t)max << (kind + 4) <= HAND_KIND_MAX);
			assert_true(!max || UINT64_C(16) << kind <= UINT64_C(1) << m.bucket.page_shift);
			most += CPUS * ((uint64_t)max << (kind + 4));
		}
		assert_true(most <= m.usable / HAND_SHARE);
		assert_int_equal(0, atomic_load(&m.hand.arrays.max[BUCKET_COUNT]));
		assert_true(hand_end(&m.hand));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gate),
		cmocka_unit_test(test_heads_of_rows),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_touch),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_random_small),
		cmocka_unit_test(test_random_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
