/*
 * fuzz_quarters.c: bytes drive a pool of quarters, beside its model, audited after each step
 *
 * The first byte chooses the pool's size; then an operation byte and its arguments, until the bytes
 * are used up. Every sequence of calls can be written so. fuzz-quarters -max_len=400 CORPUS
 */
#include "pure.h"
#include "quarters_model.h"

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

static void step(struct quarters_model *m, struct input *in)
{
	switch (byte(in) & 7) {
	case 0:
	case 1: /* around each size of a block */
		(void)quarters_model_alloc(m, (UINT64_C(64) << 2 * (byte(in) & 7)) +
						  (byte(in) & 3) - 1);
		break;
	case 2:
		(void)quarters_model_alloc(m, word(in));
		break;
	case 3:
	case 4:
	case 5:
		if (m->n_blocks)
			quarters_model_free_block(m, byte(in) % m->n_blocks);
		break;
	case 6:
		(void)quarters_model_free_at(m, word(in));
		break;
	case 7:
		(void)quarters_model_free_at(m, (uint64_t)word(in) << (byte(in) & 63));
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct input in = {data, n};
	struct quarters_model *m = quarters_model_new(UINT32_C(256) << 2 * (byte(&in) & 3));

	while (in.left > 0) {
		step(m, &in);
		quarters_model_same(m);
	}
	quarters_model_empty(m);
	quarters_model_same(m);
	quarters_model_free(m);
	return 0;
}
