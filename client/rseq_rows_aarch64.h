/*
 * rseq_rows_aarch64.h: the sequences of client/rseq_rows.h on aarch64
 *
 * Orders (client/rseq_arrays_aarch64.h says more of barriers and dependencies).
 * The gate: all that is read of the rows is read at addresses into which a 0 made of the gate was added; so nothing
 * of it is older than the gate. What a taker reads after its sequence must not be older either, and has no such address:
 * the fields of an opening which began without a barrier, the gate opened last. Therefore a load barrier in
 * rseq_take_row; the others' callers have read what they need before, under an opening that lasts.
 * The heads: they are stored with release. Who looks at all of them while the gate is open (magazines_look) relies on
 * seeing an entry that went from a row into another one, or through the stack, in one of the two: what comes later in
 * the way of a thread is not to be seen earlier. A row that changes hands does so by a bit that is exchanged with full
 * order, behind the store of its head and before the new CPU's sequence; current rows are known to one CPU alone.
 *
 * Only client/rseq_rows.h includes this.
 */
#ifndef HEAPD_CLIENT_RSEQ_ROWS_AARCH64_H
#define HEAPD_CLIENT_RSEQ_ROWS_AARCH64_H

/* In base the rows, in at this CPU's word, less RSEQ_ROW_CURRENT. */
#define RSEQ_ROW_BEGIN \
	RSEQ_DESCRIPTOR("%[self]") \
	"1: ldr %w[at], [%[self], #4]\n" \
	"ldrh %w[t], [%[rows], %[gate]]\n" \
	"cmp %w[at], %w[t]\n" \
	"b.hs %l[no]\n" \
	"eor %w[t], %w[t], %w[t]\n" \
	"add %[base], %[rows], %[t]\n" \
	"add %[at], %[base], %[at], lsl #7\n"
#define RSEQ_ROW_CURRENT "[%[at], %[current]]"

/* Then, the row in row: the place of its head in at, what it has in head, how many that are in t. */
#define RSEQ_ROW_HEAD \
	"ldr %w[row], " RSEQ_ROW_CURRENT "\n" \
	"ldr %[at], [%[base], %[heads]]\n" \
	"add %[at], %[at], %[row]\n" \
	"ldr %[head], [%[at]]\n" \
	"ands %w[t], %w[head], #0xffff\n"

#define RSEQ_ROW_END RSEQ_ABORTS_TO("no")

#define RSEQ_ROW_FIELDS(rows_) \
	[self] "r"(rseq_self()), [rows] "r"(rows_), [gate] "i"(offsetof(struct rseq_rows, gate)), \
	[current] "i"(offsetof(struct rseq_rows, current[0].at)), [heads] "i"(offsetof(struct rseq_rows, heads)), \
	[pages] "i"(offsetof(struct rseq_rows, entries) >> 12), \
	[entries] "i"(offsetof(struct rseq_rows, entries) & 0xfff), [max] "i"(offsetof(struct rseq_rows, max))

/* RSEQ_TAKEN and RSEQ_GIVEN, in pieces of which an addition can have one. */
#define RSEQ_ADD_TAKEN(head) \
	"add " head ", " head ", #0x10, lsl #12\n" \
	"sub " head ", " head ", #1\n"
#define RSEQ_ADD_GIVEN(head) \
	"add " head ", " head ", #0x10, lsl #12\n" \
	"add " head ", " head ", #1\n"
_Static_assert(RSEQ_TAKEN == 0x10000 - 1 && RSEQ_GIVEN == 0x10000 + 1, "the sequences say so");

_Static_assert(sizeof(((struct rseq_rows *)0)->current[0]) == 1 << 7, "the sequences say so");

/* The entries' address into base, in pieces of which an addition can have one. */
#define RSEQ_ROW_TO_ENTRIES \
	"add %[base], %[base], %[pages], lsl #12\n" \
	"add %[base], %[base], %[entries]\n"

static inline bool rseq_take_row(struct rseq_rows *rows, uint64_t *block)
{
	uint64_t t, base, at, row, head;

	__asm__ goto volatile(
		RSEQ_ROW_BEGIN RSEQ_ROW_HEAD
		"b.eq %l[no]\n"
		"add %w[t], %w[t], %w[row], lsl #1\n"
		RSEQ_ROW_TO_ENTRIES
		"add %[base], %[base], %[t], lsl #3\n"
		"ldur %[row], [%[base], #-8]\n"
		RSEQ_ADD_TAKEN("%[head]")
		"dmb ishld\n"
		"stlr %[head], [%[at]]\n"
		RSEQ_ROW_END
		: [t] "=&r"(t), [base] "=&r"(base), [at] "=&r"(at), [row] "=&r"(row), [head] "=&r"(head)
		: RSEQ_ROW_FIELDS(rows)
		: "memory", "cc"
		: no);
	*block = row;
	return true;
no:
	return false;
}

static inline bool rseq_give_row(struct rseq_rows *rows, uint64_t block)
{
	uint64_t t, base, at, row, head, max;

	__asm__ goto volatile(
		RSEQ_ROW_BEGIN RSEQ_ROW_HEAD
		"ldr %w[limit], [%[base], %[max]]\n"
		"cmp %w[t], %w[limit]\n"
		"b.hs %l[no]\n"
		"add %w[t], %w[t], %w[row], lsl #1\n"
		RSEQ_ROW_TO_ENTRIES
		"str %[block], [%[base], %[t], lsl #3]\n"
		RSEQ_ADD_GIVEN("%[head]")
		"stlr %[head], [%[at]]\n"
		RSEQ_ROW_END
		: [t] "=&r"(t), [base] "=&r"(base), [at] "=&r"(at), [row] "=&r"(row), [head] "=&r"(head),
		  [limit] "=&r"(max)
		: RSEQ_ROW_FIELDS(rows), [block] "r"(block)
		: "memory", "cc"
		: no);
	return true;
no:
	return false;
}

static inline bool rseq_change_row(struct rseq_rows *rows, uint32_t *row)
{
	uint64_t t, base, at;
	uint32_t old;

	__asm__ goto volatile(
		RSEQ_ROW_BEGIN
		"ldr %w[old], " RSEQ_ROW_CURRENT "\n"
		"str %w[to], " RSEQ_ROW_CURRENT "\n"
		RSEQ_ROW_END
		: [t] "=&r"(t), [base] "=&r"(base), [at] "=&r"(at), [old] "=&r"(old)
		: RSEQ_ROW_FIELDS(rows), [to] "r"(RSEQ_ROW_AT(*row))
		: "memory", "cc"
		: no);
	*row = old / RSEQ_ROW_LINE;
	return true;
no:
	return false;
}

#endif
