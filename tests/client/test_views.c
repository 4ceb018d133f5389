/*
 * test_views.c: a descriptor's view: it is open when the heap is, with its first word, as long as the descriptor is valid
 *
 * The heap is one that no daemon knows: a lock, an allocator and arrays. Blocks come through the very functions that
 * rt_heap_alloc and rt_heap_free are made of.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "client/heap_fast.h"
#include "client/process.h"
#include "client/registry.h"
#include "tests/client/own_cpu.h"

#define N_HW 4400u /* so that the number of units looks like a word in the first view */
#define USABLE (N_HW * HW_PAGE_SIZE)

static struct heap heap, other;
static struct wire_heads *heads;
static struct hand_layout layout;
static struct wire_stats stats;
static struct wire_control control;

/* Until the end: a heap that has ended may still be looked at. */
static void *memory(size_t size)
{
	static void *all[16];
	static size_t n;
	void *p = aligned_alloc(HW_PAGE_SIZE, align_up(size, HW_PAGE_SIZE));

	assert_non_null(p);
	assert_true(n < ARRAY_SIZE(all));
	all[n++] = p;
	return memset(p, 0, align_up(size, HW_PAGE_SIZE));
}

/* As an attached heap is. */
static void begin(struct heap *h)
{
	memset(&stats, 0, sizeof(stats));
	bucket_init(&h->bucket, N_HW, HW_PAGE_SHIFT, memory(bucket_bytes(N_HW, HW_PAGE_SHIFT)), &stats);
	assert_int_equal(bucket_insert(&h->bucket, 0, N_HW), 0);
	h->hand.arrays.base = (uint8_t *)0x70001f0000; /* nobody looks there; it looks like a word in the second one */
	atomic_store(&control.state, STATE_LIVE);
	hand_control(&h->hand, &control);
	hand_begin(&h->hand, &h->bucket, USABLE, &layout);
}

static int set_up(void **state)
{
	(void)state;
	assert_int_equal(process_enter(), 0);
	lock_init(&heap.lock);
	lock_init(&other.lock);
	if (!rseq_cpus())
		return 0;
	heads = memory(rseq_cpus() * sizeof(*heads));
	layout = (struct hand_layout){ .heads = heads, .n_cpus = rseq_cpus() };
	layout.slots = memory(rseq_slots_size(layout.n_cpus));
	layout.marks = memory(hand_marks_size(USABLE));
	begin(&heap);
	return 0;
}

static RT_HEAP add(struct heap *h)
{
	RT_HEAP d;

	heap_table_lock();
	assert_int_equal(registry_add(h, &d), 0);
	heap_table_unlock();
	return d;
}

static void drop(struct heap *h, RT_HEAP *d)
{
	struct heap *last = NULL;

	h->n_descriptors++; /* so that it is not the heap's last one */
	assert_int_equal(registry_remove(d, &last), 0);
	assert_null(last);
	h->n_descriptors--;
}

/* What passes its gate now; 0: nothing. */
static uint64_t gate_of(const RT_HEAP *d)
{
	const struct rseq_arrays *v = views_at(d->view_);

	return atomic_load(&v->n_cpus) ? atomic_load(&v->gate) : 0;
}

/* Preemptions are possible, and unlikely. */
static enum rseq_result takes(const RT_HEAP *d, void **block)
{
	enum rseq_result r = RSEQ_NOT;

	for (int i = 0; i < 10 && r == RSEQ_NOT; i++)
		r = heap_fast_alloc(d, 64, block);
	return r;
}

static enum rseq_result gives(const RT_HEAP *d, const void *block)
{
	enum rseq_result r = RSEQ_NOT;

	for (int i = 0; i < 10 && r == RSEQ_NOT; i++)
		r = heap_fast_free(d, block);
	return r;
}

static void fill(void)
{
	while (!hand_is_open(&heap.hand))
		hand_settle(&heap.hand);
	hand_refill(&heap.hand, 64);
}

/* Two descriptors of a heap that is open, on one CPU. */
static void two(RT_HEAP *a, RT_HEAP *b)
{
	needs_sequences();
	(void)stay();
	*a = add(&heap);
	*b = add(&heap);
	fill();
}

static void test_open_and_shut(void **state)
{
	RT_HEAP a, b;

	(void)state;
	needs_sequences();
	a = add(&heap);
	b = add(&heap);
	assert_true(a.view_ && b.view_ && a.view_ != b.view_);
	assert_ptr_equal(views_owner(a.view_), &heap);
	assert_ptr_equal(views_owner(b.view_), &heap);
	assert_true(gate_of(&a) == 0 && gate_of(&b) == 0);
	fill();
	assert_true(gate_of(&a) == views_word(&a) && gate_of(&b) == views_word(&b));
	(void)hand_shut(&heap.hand);
	assert_true(gate_of(&a) == 0 && gate_of(&b) == 0);
	fill();
	drop(&heap, &a);
	assert_true(gate_of(&a) == 0 && gate_of(&b) == views_word(&b));
	assert_true(views_at(a.view_)->n_cpus == 0 && views_at(a.view_)->gate == 0);
	(void)hand_shut(&heap.hand);
	fill();
	assert_true(views_at(a.view_)->n_cpus == 0 && views_at(b.view_)->n_cpus == layout.n_cpus);
	drop(&heap, &b);
	assert_int_equal(gate_of(&b), 0);
}

/* One descriptor is as good as another; one that is gone, or that is mixed from two, is none. */
static void test_blocks(void **state)
{
	RT_HEAP a, b, mixed, gone;
	void *block = NULL;

	(void)state;
	needs_sequences();
	(void)stay();
	gone = a = add(&heap);
	drop(&heap, &a);
	a = add(&heap);
	assert_int_equal(a.view_, gone.view_); /* used again */
	b = add(&heap);
	fill();
	mixed = a;
	mixed.view_ = b.view_;
	assert_int_equal(takes(&gone, &block), RSEQ_NOT);
	assert_int_equal(takes(&mixed, &block), RSEQ_NOT);
	for (size_t bit = 0; bit < 8 * sizeof(a); bit++) { /* one bit of it; the second word is for the long way */
		RT_HEAP other_bit = a;

		((uint8_t *)&other_bit)[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(registry_check(&other_bit), -EINVAL);
		if (bit < 64)
			assert_int_equal(heap_fast_alloc(&other_bit, 64, &block), RSEQ_NOT);
	}
	assert_null(block);
	assert_int_equal(takes(&a, &block), RSEQ_DONE);
	assert_int_equal(gives(&gone, block), RSEQ_NOT);
	assert_int_equal(gives(&mixed, block), RSEQ_NOT);
	assert_int_equal(gives(&b, block), RSEQ_DONE);
	assert_int_equal(gives(&b, block), RSEQ_NOT);

	/* the heap is deleted, by whomever: all views know */
	assert_int_equal(takes(&a, &block), RSEQ_DONE);
	lock_take(&heap.lock);
	hand_control(&heap.hand, &heap_control_gone);
	lock_give(&heap.lock);
	assert_int_equal(gives(&a, block), RSEQ_NOT);
	assert_int_equal(gives(&b, block), RSEQ_NOT);
	hand_control(&heap.hand, &control);
	assert_int_equal(gives(&a, block), RSEQ_DONE);
	drop(&heap, &a);
	drop(&heap, &b);
	assert_int_equal(hand_check(&heap.hand), 0);
}

/* Whatever a descriptor says. */
static void test_garbage(void **state)
{
	static const uint32_t turns[] = { 0, 1, 2, 3, UINT32_MAX };
	RT_HEAP a[3], d = { 0 }, mine;
	void *block = NULL;

	(void)state;
	(void)stay();
	for (size_t i = 0; i < ARRAY_SIZE(a); i++)
		a[i] = add(&heap); /* so that there is something in some views */
	if (rseq_cpus())
		fill();
	for (uint32_t view = 0; view < VIEWS_MAX * VIEWS_SCALE; view++) { /* what stands where the gate of it would be: no word that says it */
		memcpy(&d, (const char *)views_ + (size_t)view * VIEWS_UNIT + offsetof(struct rseq_arrays, gate), sizeof(uint64_t));
		assert_true(d.view_ != view || view % VIEWS_SCALE == 0);
	}
	if (rseq_cpus()) /* the first two are not for such a heap */
		assert_true(a[0].view_ / VIEWS_SCALE == 3 && a[1].view_ / VIEWS_SCALE == 4);
	for (uint32_t view = 0; view <= UINT16_MAX; view++) /* begins of views, and what is none */
		for (size_t i = 0; i < 2 * ARRAY_SIZE(turns); i++) {
			d.magic_ = i % 2 ? RT_HEAP_MAGIC : 0;
			d.view_ = (uint16_t)view;
			d.turn_ = turns[i / 2];
			mine = d;
			mine.serial_ = a[0].serial_;
			if (views_word(&d) == views_word(&a[0]) || views_word(&d) == views_word(&a[1]) || views_word(&d) == views_word(&a[2]))
				continue;
			assert_int_equal(heap_fast_alloc(&d, 64, &block), RSEQ_NOT);
			assert_int_equal(heap_fast_free(&d, &d), RSEQ_NOT);
			assert_int_equal(heap_fast_alloc(&mine, 64, &block), RSEQ_NOT);
		}
	assert_null(block);
	for (size_t i = 0; i < ARRAY_SIZE(a); i++)
		drop(&heap, &a[i]);
	assert_int_equal(heap_fast_alloc(NULL, 64, &block), RSEQ_NOT);
	assert_int_equal(heap_fast_free(NULL, NULL), RSEQ_NOT);
}

/* Nothing passes a view that is shut, or that is nobody's any more, whatever heap its structure serves. */
static void test_shut_for_all(void **state)
{
	static const uint32_t turns[] = { 0, 1, UINT32_MAX };
	RT_HEAP a, b, d;
	void *block = NULL, *none = NULL;

	(void)state;
	two(&a, &b);
	assert_int_equal(takes(&a, &block), RSEQ_DONE);
	drop(&heap, &b);
	for (int shut = 0; shut < 2; shut++) {
		for (size_t i = 0; i < ARRAY_SIZE(turns); i++) {
			d = (RT_HEAP){ .magic_ = RT_HEAP_MAGIC, .view_ = b.view_, .turn_ = turns[i], .serial_ = a.serial_ };
			d.turn_ = d.turn_ ? d.turn_ : b.turn_;
			assert_int_equal(heap_fast_free(&d, block), RSEQ_NOT);
			assert_int_equal(heap_fast_alloc(&d, 64, &none), RSEQ_NOT);
			d.view_ = a.view_;
			assert_int_equal(heap_fast_free(&d, block), RSEQ_NOT);
			assert_int_equal(heap_fast_alloc(&d, 64, &none), RSEQ_NOT);
		}
		(void)hand_shut(&heap.hand);
		assert_int_equal(heap_fast_free(&a, block), RSEQ_NOT);
	}
	assert_null(none);
	fill();
	assert_int_equal(gives(&a, block), RSEQ_DONE);
	drop(&heap, &a);
}

/* A control slot that looks like a word in one view: its descriptor has the long way from then on, the others go on. */
static void test_control(void **state)
{
	struct wire_control *slot;
	RT_HEAP a, b;
	void *block = NULL;
	uint64_t place;

	(void)state;
	two(&a, &b);
	place = a.view_ + offsetof(struct rseq_arrays, control) / VIEWS_UNIT - offsetof(struct rseq_arrays, gate) / VIEWS_UNIT;
	slot = mmap((void *)(UINT64_C(0x5000) << 32 | place << HAND_WORD_SAYS), HW_PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	assert_true(slot != MAP_FAILED);
	atomic_store(&slot->state, STATE_LIVE);
	assert_int_equal(takes(&a, &block), RSEQ_DONE);
	lock_take(&heap.lock);
	hand_control(&heap.hand, slot);
	lock_give(&heap.lock);
	assert_int_equal(gives(&a, block), RSEQ_NOT);
	assert_int_equal(gives(&b, block), RSEQ_DONE);
	assert_int_equal(takes(&a, &block), RSEQ_NOT);
	assert_int_equal(takes(&b, &block), RSEQ_DONE);
	assert_int_equal(gives(&b, block), RSEQ_DONE);
	hand_control(&heap.hand, &control);
	drop(&heap, &a);
	drop(&heap, &b);
	assert_int_equal(hand_check(&heap.hand), 0);
	assert_int_equal(munmap(slot, HW_PAGE_SIZE), 0);
}

/* More descriptors than views: the others have the long way, and a view that comes back is had again. */
static void test_more_than_views(void **state)
{
	RT_HEAP d[HAND_VIEWS + 3], more;

	(void)state;
	needs_sequences();
	for (uint32_t i = 0; i < ARRAY_SIZE(d); i++) {
		d[i] = add(&heap);
		assert_int_equal(d[i].view_ != 0, i < HAND_VIEWS - 2); /* two are not for such a heap */
	}
	drop(&heap, &d[3]);
	more = add(&heap);
	assert_int_equal(more.view_, d[3].view_);
	drop(&heap, &more);
	for (uint32_t i = 0; i < ARRAY_SIZE(d); i++)
		if (i != 3)
			drop(&heap, &d[i]);
}

/* Another heap has others; the next one in the same structure has the same ones, with what that heap says. */
static void test_structures(void **state)
{
	RT_HEAP a, b, c;
	void *block = NULL;
	uint64_t offset, used;

	(void)state;
	needs_sequences();
	(void)stay();
	a = add(&heap);
	begin(&other);
	b = add(&other);
	assert_true(b.view_ && views_owner(b.view_) == &other && views_owner(a.view_) == &heap);
	drop(&other, &b);
	assert_true(hand_end(&other.hand));

	fill();
	assert_int_equal(takes(&a, &block), RSEQ_DONE);
	drop(&heap, &a);
	assert_true(hand_end(&heap.hand));
	memset(layout.marks, 0, hand_marks_size(USABLE));
	begin(&heap);
	c = add(&heap);
	assert_int_equal(c.view_, a.view_);
	fill();
	assert_int_equal(takes(&a, &block), RSEQ_NOT);
	assert_int_equal(takes(&c, &block), RSEQ_DONE);

	/* who was interrupted with a block of the heap that ended has nothing, and who was with one of this heap has it */
	used = stats.used;
	assert_int_equal(bucket_alloc(&heap.bucket, 64, &offset), 0);
	assert_false(heap_keep(&heap, a.turn_, 64, offset));
	assert_false(hand_is_out(&heap.hand, offset));
	heap_put(&heap, a.turn_, offset);
	assert_int_equal(bucket_size(&heap.bucket, offset), 64);
	assert_true(heap_keep(&heap, c.turn_, 64, offset));
	assert_true(hand_is_out(&heap.hand, offset) && hand_claim(&heap.hand, offset));
	heap_put(&heap, c.turn_, offset);
	assert_int_equal(bucket_size(&heap.bucket, offset), 0);
	assert_int_equal(stats.used, used);

	assert_int_equal(gives(&c, block), RSEQ_DONE);
	drop(&heap, &c);
	assert_int_equal(hand_check(&heap.hand), 0);
}

/* What a child inherits is no descriptor of its own heaps, though they have the same views. */
static bool child_is_apart(const RT_HEAP *inherited)
{
	RT_HEAP own;
	void *block = NULL;

	if (gate_of(inherited) || process_enter() < 0 || gate_of(inherited))
		return false;
	memset(layout.marks, 0, hand_marks_size(USABLE));
	memset(&other, 0, sizeof(other)); /* a structure that the parent did not have */
	lock_init(&other.lock);
	begin(&other);
	for (int i = 0; i < 100; i++) {
		own = add(&other);
		while (!hand_is_open(&other.hand))
			hand_settle(&other.hand);
		hand_refill(&other.hand, 64);
		if (own.view_ != inherited->view_ || takes(inherited, &block) != RSEQ_NOT || takes(&own, &block) != RSEQ_DONE)
			return false;
		if (gives(inherited, block) != RSEQ_NOT || gives(&own, block) != RSEQ_DONE)
			return false;
		drop(&other, &own);
	}
	return true;
}

/* The child finds gates shut, whatever they were, and starts with none. */
static void test_child(void **state)
{
	RT_HEAP a;
	int status;
	pid_t pid;

	(void)state;
	needs_sequences();
	a = add(&heap);
	fill();
	assert_int_equal(gate_of(&a), views_word(&a));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(child_is_apart(&a) ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(gate_of(&a), views_word(&a));
	drop(&heap, &a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_and_shut), cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_garbage),       cmocka_unit_test(test_control),
		cmocka_unit_test(test_more_than_views),
		cmocka_unit_test(test_shut_for_all),
		cmocka_unit_test(test_structures),    cmocka_unit_test(test_child),
	};

	return cmocka_run_group_tests_name("views", tests, set_up, NULL);
}
