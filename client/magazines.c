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
#define LINE 64 /* bytes */

static _Atomic uint64_t *head_of(const struct magazines *m, uint32_t row)
{
	return rseq_row_head(atomic_load(&m->rows.heads), row);
}

/* Before the first serial there are no heads to look at. */
static uint32_t rows_of(const struct magazines *m)
{
	return atomic_load(&m->rows.heads) ? atomic_load(&m->rows.n_rows) : 0;
}

size_t magazines_size(uint32_t n_cpus)
{
	return sizeof(struct magazines) + (RSEQ_ROW(magazines_rows(n_cpus)) + 1) * sizeof(uint64_t);
}

void magazines_init(struct magazines *m, uint32_t n_cpus)
{
	uint32_t n = magazines_rows(n_cpus), each = n / n_cpus;

	for (uint32_t row = 0; row < n; row++) /* those of neighbours are apart: processors read two lines at once */
		if (row % each || row / each >= n_cpus)
			atomic_fetch_or(&m->rows.loose[row / 64].set[MAGAZINES_NONE], (uint64_t)1 << row % 64);
		else
			atomic_store(&m->rows.current[row / each].at, RSEQ_ROW_AT(row));
	atomic_store(&m->rows.gate, MAGAZINES_RESIDENT);
	atomic_store(&m->rows.n_rows, n);
	atomic_store(&m->rows.n_cpus, n_cpus);
}

/* ---- changes ---- */

static uint32_t set_take(struct magazines *m, enum magazines_set set)
{
	for (uint32_t i = 0, n = rows_of(m); i < n; i += 64) {
		_Atomic uint64_t *at = &m->rows.loose[i / 64].set[set];
		uint64_t bits = atomic_load_explicit(at, memory_order_relaxed);

		while (bits) {
			uint64_t bit = bits & -bits;

			MAGAZINES_STEP();
			bits = atomic_fetch_and(at, ~bit);
			if (bits & bit)
				return i + (uint32_t)__builtin_ctzll(bit);
		}
	}
	return NONE;
}

static void make_loose(struct magazines *m, uint32_t row)
{
	enum magazines_set set = RSEQ_COUNT(atomic_load(head_of(m, row))) ? MAGAZINES_SOME : MAGAZINES_NONE;

	MAGAZINES_STEP();
	atomic_fetch_or(&m->rows.loose[row / 64].set[set], (uint64_t)1 << row % 64);
}

/* A cache line that will be written. (The compiler's own, where it must not take this instruction for granted, reads.) */
static inline void fetch_to_write(const uint64_t *line)
{
#if defined(__x86_64__)
	__asm__ volatile("prefetchw %0" : : "m"(*line)); /* nothing, on a processor that does not know it */
#else
	__builtin_prefetch(line, 1);
#endif
}

/* What another CPU had is fetched at once, not line by line as it is needed. */
static void fetch(const struct magazines *m, uint32_t row, enum magazines_set set)
{
	const uint64_t *entries = &m->rows.entries[RSEQ_ROW(row)];

	for (uint32_t i = 0; i < RSEQ_ROW_ENTRIES; i += LINE / sizeof(*entries))
		if (set == MAGAZINES_NONE)
			fetch_to_write(&entries[i]);
		else
			__builtin_prefetch(&entries[i]);
}

static bool change(struct magazines *m, enum magazines_set set)
{
	uint32_t row, new;
	bool r;

	if (!RSEQ_GATE_CPUS(atomic_load_explicit(&m->rows.gate, memory_order_relaxed)))
		return false; /* for a while, perhaps: then no bit is touched */
	row = set_take(m, set);
	if (row == NONE)
		return false;
	MAGAZINES_STEP();
	new = row;
	r = rseq_change_row(&m->rows, &row);
	if (likely(r))
		fetch(m, new, set);
	make_loose(m, row); /* the one that this CPU had; or the same again */
	return r;
}

bool magazines_refill(struct magazines *m)
{
	return change(m, MAGAZINES_SOME);
}

bool magazines_relieve(struct magazines *m)
{
	return change(m, MAGAZINES_NONE);
}

bool magazines_stands(const struct magazines *m, uint32_t word, uint64_t block)
{
	uint32_t index = RSEQ_PLACE_INDEX(word);

	MAGAZINES_STEP();
	return index < RSEQ_ROW(rows_of(m)) &&
	       __atomic_load_n(&m->rows.entries[index], __ATOMIC_ACQUIRE) == block;
}

/*
 * Read in this order: if the count reached so far, and the entry then is the block, it was there when the head was read or
 * came there since. So a block that is out all the while is not found, and no look is needed again.
 */
bool magazines_has(const struct magazines *m, uint32_t word, uint64_t block)
{
	uint32_t index = RSEQ_PLACE_INDEX(word), row = index / RSEQ_ROW_ENTRIES;
	uint64_t head;

	if (!magazines_stands(m, word, block))
		return false; /* mostly, and no head was looked at, which others may be writing */
	MAGAZINES_STEP();
	head = atomic_load(head_of(m, row));
	return RSEQ_COUNT(head) > index % RSEQ_ROW_ENTRIES && magazines_stands(m, word, block);
}

bool magazines_is_next(const struct magazines *m, uint32_t word)
{
	uint32_t row = RSEQ_PLACE_INDEX(word) / RSEQ_ROW_ENTRIES;

	if (row >= rows_of(m))
		return false;
	MAGAZINES_STEP();
	return rseq_place(atomic_load(head_of(m, row)), row, atomic_load(&m->rows.life)) == word;
}

/* ---- the gate ---- */

static void set_serial(struct magazines *m, uint64_t serial)
{
	uint64_t gate = atomic_load(&m->rows.gate);

	while (!atomic_compare_exchange_weak(&m->rows.gate, &gate,
					     MAGAZINES_SERIAL(serial) | (gate & MAGAZINES_CLOSERS) | MAGAZINES_RESIDENT))
		; /* a closer came or left */
}

/* The bits of a place that tell lives apart: 2^15 of them, and neighbours are far from each other. */
static uint32_t life_of(uint64_t serial)
{
	return (uint32_t)(serial * 0x5a55) << 16 & RSEQ_PLACE_VERSION;
}

uint32_t magazines_nowhere(const struct magazines *m, uint64_t serial)
{
	return RSEQ_PLACE | life_of(serial) | RSEQ_ROW(atomic_load(&m->rows.n_rows));
}

void magazines_begin(struct magazines *m, const struct magazines_life *l)
{
	struct rseq_rows *rows = &m->rows;

	assert(rseq_row_fits(l->stride, l->n) && l->max <= RSEQ_ROW_ENTRIES && "as the header says");
	atomic_store(&rows->heads, l->heads);
	atomic_store(&rows->max, l->max);
	atomic_store(&rows->base, l->base);
	atomic_store(&rows->reciprocal, rseq_row_reciprocal(l->stride));
	atomic_store(&rows->n, l->n);
	atomic_store(&rows->word, l->word);
	atomic_store(&rows->life, life_of(l->serial));
	set_serial(m, l->serial);
}

/* One closer more: nobody comes through. What the gate was. */
static uint64_t add_closer(struct magazines *m)
{
	uint64_t gate = atomic_load(&m->rows.gate);

	while (!atomic_compare_exchange_weak(&m->rows.gate, &gate, gate - RSEQ_GATE_CPUS(gate) + MAGAZINES_CLOSER))
		; /* another closer came or left */
	return gate;
}

/* Nobody keeps it shut any more: it is open. */
static uint64_t opened(const struct magazines *m, uint64_t gate)
{
	return gate & (MAGAZINES_CLOSERS | MAGAZINES_RESIDENT) ? gate : gate | atomic_load(&m->rows.n_cpus);
}

int magazines_close(struct magazines *m)
{
	int r;

	if (add_closer(m) & MAGAZINES_RESIDENT)
		return 0; /* it was shut, with a barrier behind, and has been since */
	MAGAZINES_STEP();
	r = rseq_barrier();
	if (r < 0)
		magazines_leave(m, false);
	return r;
}

void magazines_hold(struct magazines *m)
{
	MAGAZINES_STEP();
	(void)add_closer(m);
}

void magazines_leave(struct magazines *m, bool resident)
{
	uint64_t gate = atomic_load(&m->rows.gate), stays = resident ? MAGAZINES_RESIDENT : 0;

	while (!atomic_compare_exchange_weak(&m->rows.gate, &gate, opened(m, (gate - MAGAZINES_CLOSER) | stays)))
		; /* another closer came or left */
}

void magazines_reopen(struct magazines *m)
{
	uint64_t gate;

	MAGAZINES_STEP();
	gate = atomic_load(&m->rows.gate);
	MAGAZINES_STEP();
	if ((gate & (MAGAZINES_CLOSERS | MAGAZINES_RESIDENT)) == MAGAZINES_RESIDENT && MAGAZINES_GATE_SERIAL(gate))
		(void)atomic_compare_exchange_strong(&m->rows.gate, &gate, opened(m, gate & ~MAGAZINES_RESIDENT));
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
static bool steal_from(struct magazines *m, uint32_t row, uint64_t serial, uint64_t *block)
{
	_Atomic uint64_t *at = head_of(m, row);
	const uint64_t *entries = &m->rows.entries[RSEQ_ROW(row)];
	uint64_t head = atomic_load(at);

	while (RSEQ_COUNT(head) > 0 && RSEQ_COUNT(head) <= RSEQ_ROW_ENTRIES) {
		MAGAZINES_STEP();
		*block = __atomic_load_n(&entries[RSEQ_COUNT(head) - 1], __ATOMIC_RELAXED);
		MAGAZINES_STEP();
		if (!magazines_are_of(m, serial))
			return false;
		MAGAZINES_STEP();
		if (atomic_compare_exchange_weak(at, &head, head + RSEQ_TAKEN))
			return true;
	}
	return false;
}

bool magazines_steal(struct magazines *m, uint64_t serial, uint64_t *block)
{
	for (uint32_t row = 0; row < rows_of(m); row++)
		if (steal_from(m, row, serial, block))
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
