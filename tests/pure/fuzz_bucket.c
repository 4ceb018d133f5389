/*
 * fuzz_bucket.c: bytes drive a heap, beside its model, audited after each step
 *
 * The first two bytes choose the heap; then an operation byte and its arguments, until the bytes
 * are used up. Every sequence of calls that a careful caller may make can be written so.
 * fuzz-bucket -max_len=1000 CORPUS
 */
#include "bucket_model.h"
#include "pure.h"

#define MAX_HW 24

struct input {
	const uint8_t *data;
	size_t left;
};

static uint32_t byte(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->data++;
}

static uint32_t word(struct input *in)
{
	uint32_t high = byte(in);

	return high << 8 | byte(in);
}

/* A size that one byte spells: around each power of two, or anything from two bytes. */
static uint64_t size(struct input *in)
{
	uint32_t b = byte(in);

	if (b >= 0xe0)
		return word(in);
	return (UINT64_C(1) << (b & 31)) - 1 + (b >> 5 & 3);
}

static void step(struct bucket_model *m, struct input *in)
{
	uint32_t what = byte(in);

	if (what >> 6 == 3)
		model_shelf(m, what >> 3 & 7);
	switch (what & 7) {
	case 0:
	case 1:
		(void)model_alloc(m, size(in));
		break;
	case 2: {
		uint64_t bytes = size(in);

		(void)model_alloc_aligned(m, bytes, UINT64_C(1) << (byte(in) & 63));
		break;
	}
	case 3:
	case 4:
		if (m->n_blocks)
			model_free_block(m, word(in) % m->n_blocks);
		break;
	case 5: {
		uint64_t offset = (uint64_t)word(in) << (byte(in) & 7);

		model_free_at(m, offset);
		break;
	}
	case 6: {
		uint32_t first = byte(in) % (MAX_HW + 2);

		model_insert(m, first, byte(in) % (MAX_HW + 2));
		break;
	}
	case 7: {
		uint32_t want = byte(in) & 15, max = byte(in) & 31;

		(void)model_reclaim(m, want, max, byte(in) & 7);
		break;
	}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct input in = { data, n };
	uint32_t n_hw = 1 + byte(&in) % MAX_HW;
	uint32_t how = byte(&in);
	struct bucket_model *m = model_new(n_hw, how & 1 ? HW_PAGE_SHIFT : BUCKET_SMALL_PAGE_SHIFT);

	if (how & 2)
		model_insert(m, 0, n_hw);
	while (in.left > 0) {
		step(m, &in);
		model_same(m);
	}
	while (m->n_blocks)
		model_free_block(m, m->n_blocks - 1);
	model_same(m);
	model_free(m);
	return 0;
}
