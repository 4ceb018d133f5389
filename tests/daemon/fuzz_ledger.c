/*
 * fuzz_ledger.c: the auditor of the state memfd meets any bytes
 *
 * The input is a whole small ledger. Most inputs would fail at the first number, so the magic, the version
 * and a geometry that fits are put in when the first byte says so.
 */
#include "daemon/ledger.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_MAX_ (HW_PAGE_SIZE * 16)

static void make_fit(struct ledger_header *h)
{
	h->magic = LEDGER_MAGIC;
	h->version = LEDGER_VERSION;
	h->heap_size = sizeof(struct ledger_heap);
	h->session_size = sizeof(struct ledger_session);
	h->binding_size = sizeof(struct ledger_binding);
	h->n_heaps = 8;
	h->n_sessions = 8;
	h->n_bindings = 16;
	h->heaps_at = 256;
	h->sessions_at = h->heaps_at + 8 * sizeof(struct ledger_heap);
	h->bindings_at = h->sessions_at + 8 * sizeof(struct ledger_session);
	h->units_at = HW_PAGE_SIZE;
	h->n_units = 1;
	atomic_store(&h->backed[0], 8);
	atomic_store(&h->backed[1], 8);
	atomic_store(&h->backed[2], 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static _Alignas(64) uint8_t bytes[SIZE_MAX_];
	const char *why = NULL;
	bool fits = size > 0 && (data[0] & 1);
	size_t n;
	int r;

	if (size < 1)
		return 0;
	memset(bytes, 0, sizeof(bytes));
	n = min_u64(size - 1, sizeof(bytes));
	memcpy(bytes, data + 1, n);
	if (fits)
		make_fit((struct ledger_header *)(void *)bytes);
	r = ledger_check(bytes, fits ? 2 * HW_PAGE_SIZE : n, &why);
	if (r == -EUCLEAN && !why)
		abort();
	return 0;
}
