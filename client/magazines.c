/*
 * magazines.c: see magazines.h
 *
 * A row in hand is looked at once more before it becomes loose: while it is in hand, only closers change it, who
 * take. So what goes to the set of those without entries stays without. What is in the other set may have been
 * emptied by closers, or by the end of a serial; whoever gets it goes without, and it is sorted anew.
 *
 * Why a closer's exchange of a head is safe although it was read before: versions never come back, so the head
 * is what it was, and it is that of the serial that was looked at in between. An entry cannot have changed under
 * the same head: what is given raises the version.
 */
#include "client/magazines.h"

#define NONE UINT32_MAX

static _Atomic uint64_t *head_of(const struct magazines *m, uint32_t row)
{
	return rseq_row_head(atomic_load(&m->rows.heads), row);
}

/* Before the first serial there are no heads to look at. */
static uint32_t rows_of(const struct magazines *m)
{
	return atomic_load(&m->rows.heads) ? atomic_load(&m->rows.n_rows) : 0;
}

static size_t entries_at(uint32_t n_cpus)
{
	return offsetof(struct magazines, rows.current) + n_cpus * sizeof(((struct rseq_rows *)0)->current[0]);
}

size_t magazines_size(uint32_t n_cpus)
{
	return entries_at(n_cpus) + magazines_rows(n_cpus) * RSEQ_ROW_ENTRIES * sizeof(uint64_t);
}

void magazines_init(struct magazines *m, uint32_t n_cpus)
{
	uint32_t n = magazines_rows(n_cpus), each = n / n_cpus;

	for (uint32_t row = 0; row < n; row++) /* those of neighbours are apart: processors read two lines at once */
		if (row % each || row / each >= n_cpus)
			atomic_fetch_or(&m->none[row / 64], (uint64_t)1 << row % 64);
		else
			atomic_store(&m->rows.current[row / each].at, RSEQ_ROW(row));
	atomic_store(&m->rows.gate, MAGAZINES_RESIDENT);
	atomic_store(&m->rows.entries, (uint64_t *)(void *)((char *)m + entries_at(n_cpus)));
	atomic_store(&m->rows.n_rows, n);
	atomic_store(&m->rows.n_cpus, n_cpus);
}

/* ---- changes ---- */

static uint32_t set_take(_Atomic uint64_t *set, uint32_t rows)
{
	for (uint32_t i = 0; i < rows; i += 64) {
		uint64_t bits = atomic_load_explicit(&set[i / 64], memory_order_relaxed);

		while (bits) {
			uint64_t bit = bits & -bits;

			MAGAZINES_STEP();
			bits = atomic_fetch_and(&set[i / 64], ~bit);
			if (bits & bit)
				return i + (uint32_t)__builtin_ctzll(bit);
		}
	}
	return NONE;
}

static void make_loose(struct magazines *m, uint32_t row)
{
	_Atomic uint64_t *set = RSEQ_COUNT(atomic_load(head_of(m, row))) ? m->some : m->none;

	MAGAZINES_STEP();
	atomic_fetch_or(&set[row / 64], (uint64_t)1 << row % 64);
}

static bool change(struct magazines *m, _Atomic uint64_t *set)
{
	uint32_t row;
	bool r;

	if (MAGAZINES_SHUT(atomic_load_explicit(&m->rows.gate, memory_order_relaxed)))
		return false; /* for a while, perhaps: then no bit is touched */
	row = set_take(set, rows_of(m));
	if (row == NONE)
		return false;
	MAGAZINES_STEP();
	r = rseq_change_row(&m->rows, &row);
	make_loose(m, row); /* the one that this CPU had; or the same again */
	return r;
}

bool magazines_refill(struct magazines *m)
{
	return change(m, m->some);
}

bool magazines_relieve(struct magazines *m)
{
	return change(m, m->none);
}

/* ---- the gate ---- */

static void set_serial(struct magazines *m, uint64_t serial)
{
	uint64_t gate = atomic_load(&m->rows.gate);

	while (!atomic_compare_exchange_weak(&m->rows.gate, &gate,
					     serial << 32 | MAGAZINES_SHUT(gate) | MAGAZINES_RESIDENT))
		; /* a closer came or left */
}

void magazines_begin(struct magazines *m, uint64_t serial, struct wire_heads *heads, uint32_t max)
{
	atomic_store(&m->rows.heads, heads);
	atomic_store(&m->rows.max, max);
	set_serial(m, serial);
}

int magazines_close(struct magazines *m)
{
	int r;

	if (MAGAZINES_SHUT(atomic_fetch_add(&m->rows.gate, 1)) & MAGAZINES_RESIDENT)
		return 0; /* it was shut, with a barrier behind, and has been since */
	MAGAZINES_STEP();
	r = rseq_barrier();
	if (r < 0)
		magazines_leave(m, false);
	return r;
}

void magazines_leave(struct magazines *m, bool resident)
{
	uint64_t gate = atomic_load(&m->rows.gate);

	while (!atomic_compare_exchange_weak(&m->rows.gate, &gate, (gate - 1) | (resident ? MAGAZINES_RESIDENT : 0)))
		; /* another closer came or left */
}

void magazines_reopen(struct magazines *m)
{
	uint64_t gate = atomic_load(&m->rows.gate);

	MAGAZINES_STEP();
	if (MAGAZINES_SHUT(gate) == MAGAZINES_RESIDENT && MAGAZINES_SERIAL(gate))
		(void)atomic_compare_exchange_strong(&m->rows.gate, &gate, gate & ~(uint64_t)MAGAZINES_RESIDENT);
}

/* ---- what closers do ---- */

static void forget(_Atomic uint64_t *head)
{
	uint64_t old = atomic_load(head);

	while (!atomic_compare_exchange_weak(head, &old, (old | 0xffff) + 1))
		; /* another closer took one */
}

void magazines_end(struct magazines *m)
{
	set_serial(m, 0);
	MAGAZINES_STEP();
	for (uint32_t row = 0; row < rows_of(m); row++)
		forget(head_of(m, row));
}

/* From one row. The serial is looked at between the head and its exchange. */
static bool steal_from(struct magazines *m, uint32_t row, uint64_t serial, uint64_t *entry)
{
	_Atomic uint64_t *at = head_of(m, row);
	const uint64_t *entries = atomic_load(&m->rows.entries) + RSEQ_ROW(row);
	uint64_t head = atomic_load(at);

	while (RSEQ_COUNT(head) > 0 && RSEQ_COUNT(head) <= RSEQ_ROW_ENTRIES) {
		MAGAZINES_STEP();
		*entry = __atomic_load_n(&entries[RSEQ_COUNT(head) - 1], __ATOMIC_RELAXED);
		MAGAZINES_STEP();
		if (MAGAZINES_SERIAL(atomic_load(&m->rows.gate)) != (uint32_t)serial)
			return false;
		MAGAZINES_STEP();
		if (atomic_compare_exchange_weak(at, &head, head + RSEQ_TAKEN))
			return true;
	}
	return false;
}

bool magazines_steal(struct magazines *m, uint64_t serial, uint64_t *entry)
{
	for (uint32_t row = 0; row < rows_of(m); row++)
		if (steal_from(m, row, serial, entry))
			return true;
	return false;
}

/* Versions only rise, so a sum that is the same is of heads that are the same. */
bool magazines_look(const struct magazines *m, uint64_t *sum)
{
	*sum = 0;
	for (uint32_t row = 0; row < rows_of(m); row++) {
		uint64_t head;

		MAGAZINES_STEP();
		head = atomic_load(head_of(m, row));
		if (RSEQ_COUNT(head) > 0)
			return false;
		*sum += head;
	}
	return true;
}

uint64_t magazines_sum(const struct magazines *m)
{
	uint64_t sum = 0;

	for (uint32_t row = 0; row < rows_of(m); row++) {
		MAGAZINES_STEP();
		sum += RSEQ_COUNT(atomic_load(head_of(m, row)));
	}
	return sum;
}
