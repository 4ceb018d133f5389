/*
 * hand_batch.c: blocks between the array of this CPU and the bucket allocator (hand.h)
 *
 * The array is worked by sequences under the lock too: a thread that is moved to another CPU in a batch goes on there,
 * and all that it does stays true.
 */
#include "client/hand_internal.h"

#include "client/point.h"

/* The head of this CPU's array. A hint, as the CPU is. */
static uint64_t head_here(const struct hand *hand, uint32_t cpu, uint32_t kind)
{
	return cpu < hand_n_cpus(hand) ? atomic_load_explicit(rseq_head(&hand->arrays, cpu, kind), memory_order_relaxed) : 0;
}

/* How many go at once: so that an array that was full or empty is half full afterwards, or nearer to its end. */
static uint32_t batch_of(const struct hand *hand, uint32_t kind, uint64_t most)
{
	return (uint32_t)min_u64((hand_max_of(hand, kind) + 1) / 2, most);
}

/*
 * Behind a batch the array's counter of the other direction is noted. If it is the same at the next one, the array goes one
 * way, and the batch is as long as may be. What another CPU noted in the same place makes one short or long that need not be, no more.
 */
static uint32_t note_of(uint32_t cpu)
{
	return cpu % HAND_NOTES;
}

void hand_refill(struct hand *hand, uint64_t size)
{
	uint64_t offset, open = atomic_load_explicit(&hand->arrays.gate, memory_order_relaxed), most;
	uint32_t kind, left, cpu = rseq_cpu();

	if (!open || size - 1 >= HW_PAGE_SIZE)
		return;
	kind = bucket_for(size);
	bucket_shelf(hand->bucket, cpu);
	most = min_u64(HAND_REFILL, HAND_REFILL_BYTES / hand_bytes_of(kind));
	if (RSEQ_ARRAY_GIVEN(head_here(hand, cpu, kind)) != hand->behind[note_of(cpu)].given[kind])
		most = min_u64(most, 2 * HAND_FEW);
	for (left = batch_of(hand, kind, most); left > 0; left--) {
		if (bucket_alloc(hand->bucket, hand_bytes_of(kind), &offset) != 0)
			break;
		POINT(HAND_REFILLS);
		if (!rseq_push(&hand->arrays, HAND_MARK(kind), open, rseq_number(offset))) {
			(void)bucket_free(hand->bucket, offset, NULL);
			break;
		}
	}
	hand->behind[note_of(cpu)].given[kind] = RSEQ_ARRAY_GIVEN(head_here(hand, cpu, kind));
}

bool hand_spill(struct hand *hand, uint8_t mark, uint64_t offset, bool *pages_free)
{
	uint64_t open = atomic_load_explicit(&hand->arrays.gate, memory_order_relaxed);
	uint64_t number[HAND_BATCH], most = HAND_BATCH;
	bool page_free, in;
	uint32_t kind = (uint32_t)mark - RSEQ_MARK_MIN, n, cpu = rseq_cpu();

	*pages_free = false;
	if (!open || kind >= BUCKET_COUNT)
		return false;
	if (RSEQ_ARRAY_TAKEN(head_here(hand, cpu, kind)) != hand->behind[note_of(cpu)].taken[kind])
		most = HAND_FEW;
	most = batch_of(hand, kind, most);
	for (n = 0; n < most && rseq_pop(&hand->arrays, mark, open, &number[n]); n++)
		bucket_expect(hand->bucket, rseq_offset(number[n])); /* they are of any pages: all on their way at once */
	while (n-- > 0) {
		POINT(HAND_SPILLS);
		(void)bucket_free(hand->bucket, rseq_offset(number[n]), &page_free);
		*pages_free |= page_free;
	}
	in = rseq_push(&hand->arrays, mark, open, rseq_number(offset));
	hand->behind[note_of(cpu)].taken[kind] = RSEQ_ARRAY_TAKEN(head_here(hand, cpu, kind));
	return in;
}
