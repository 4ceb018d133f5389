/*
 * rseq_rows.h: restartable sequences over arrays of free blocks that change hands
 *
 * Model: as client/rseq.h, but an array (a row) belongs to no CPU. Each CPU has a word that says which row
 * it works on, and a sequence of its own changes that. Nobody brings a value: the gate says how many CPUs may come
 * through, none while it is shut, and the sequences read all the rest after it. So heads may change while it is shut, and who
 * has come through it knows that they are those of now. An entry is the address of a block: it goes from who gives it
 * to who takes it without any arithmetic, on which each would have to wait for the one before.
 *
 * Each block has a word that says where it was put last: a *place*, which is the index of an entry. To take a block writes
 * nothing but the head, so blocks that are taken on one CPU and given on another do not send their words to and
 * fro. The give tells from the word whether the block is out: it is in a row exactly if the entry of that place is the
 * block, and below the row's count. So a double give is found, and there is one commit: an entry and a word that
 * are written before a sequence is aborted mean nothing, for the count does not reach so far.
 * Orders that other processors need: an entry is written before its word, that before the head.
 *
 * Invariant: each entry of a row is a block whose word is its place. What is not a place has another give to decide.
 * Bound: 17 (take), 41 (give) and 8 instructions, at most 22 on aarch64 (client/rseq_rows_aarch64.h), tried once. For signal
 * handlers too; no system call.
 * Where there are no sequences rseq_cpus() is 0, nobody makes rows, and all is refused.
 * Not here: who changes rows and who shuts the gate (client/magazines.h); what other words mean (client/blocks.h).
 */
#ifndef HEAPD_CLIENT_RSEQ_ROWS_H
#define HEAPD_CLIENT_RSEQ_ROWS_H

#include "client/rseq.h"

/*
 * 0: words are places. 1: words are not the sequences' business, and an entry is free because its caller says so: where exactly
 * one of several gives of one block in one instant is to be believed; and on aarch64, whose sequences know no places.
 */
#if STRICT_FREES || defined(TEST_STRICT_FREES) || (!defined(__x86_64__) && !defined(TEST_RSEQ))
#define RSEQ_STRICT 1
#else
#define RSEQ_STRICT 0
#endif

/*
 * A row has a cache line of the heads for itself: its first 8 bytes are its head. Twice the bytes to it are the index of
 * the row's first entry.
 */
#define RSEQ_ROW_LINE 64u
#define RSEQ_ROW_ENTRIES (2 * RSEQ_ROW_LINE)
#define RSEQ_ROW_AT(row) ((row) * RSEQ_ROW_LINE)
#define RSEQ_ROW(row) ((row) * RSEQ_ROW_ENTRIES)
#define RSEQ_ROWS_EACH (sizeof(struct wire_heads) / RSEQ_ROW_LINE) /* of a struct wire_heads */
_Static_assert(RSEQ_ROWS_EACH == 2, "kinds 0 and 8 of it");

#define RSEQ_ROWS_MAX 448 /* (an index of an entry has 16 bits) */

/*
 * The gate's lowest 16 bits: CPUs below this number may come through. One comparison answers for the gate, for
 * CPUs that nobody expected, and for threads that are not registered, whose CPU is -1 or -2.
 */
#define RSEQ_GATE_CPUS(gate) ((uint16_t)(gate))

/*
 * All zero: the gate is shut, and all is refused.
 *
 * A processor that knows of a store only the place in its page holds back loads from the same place of other pages.
 * A head lies in the first 8 bytes of a cache line, and what a sequence writes into the thread's area 8 to 15 bytes behind a
 * multiple of 32. So nothing that sequences load here does.
 */
struct rseq_rows {
	uint64_t apart[2];
	_Atomic uint64_t gate;
	_Atomic(struct wire_heads *) heads; /* rseq_row_head */
	_Atomic uint64_t base;              /* the address of block 0 */
	uint64_t apart_from_area;
	_Atomic uint64_t n;                 /* blocks */
	_Atomic(_Atomic uint32_t *) word;   /* one a block */
	/* a cache line ends here */
	uint64_t apart_too[2];
	_Atomic uint64_t reciprocal;        /* rseq_row_reciprocal */
	_Atomic uint32_t life;              /* of this opening, in the bits of RSEQ_PLACE_VERSION */
	_Atomic uint32_t n_rows;
	_Atomic uint32_t n_cpus;            /* 0: there are none */
	_Atomic uint32_t max;               /* entries in a row, at most RSEQ_ROW_ENTRIES */
	uint64_t more[3];
	struct {
		_Atomic uint64_t set[2];
	} loose[RSEQ_ROWS_MAX / 64];        /* a bit for each row: client/magazines.h */
	struct {
		uint64_t apart[2];
		_Atomic uint32_t at;        /* RSEQ_ROW_AT(row) */
	} __attribute__((__aligned__(128))) current[WIRE_HEADS_CPUS];
	uint64_t entries[];                 /* [row][RSEQ_ROW_ENTRIES], and one that is no block: the nowhere */
};
_Static_assert(offsetof(struct rseq_rows, loose) == 128 && offsetof(struct rseq_rows, current) == 256,
	       "what a change writes is apart from what all read");
_Static_assert(offsetof(struct rseq_rows, entries) % 128 == 0, "a row has lines for itself");

/*
 * A word that is a place has the highest bit. Below it are 15 bits that tell gives to one place from each other: the
 * version of the row's head before, and the life. So a word that was read long ago is not there any more, unless exactly 2^15
 * changes of the row came in between. The lower half is the index of the entry.
 */
#define RSEQ_PLACE 0x80000000u
#define RSEQ_PLACE_VERSION 0x7fff0000u
#define RSEQ_PLACE_INDEX(word) ((word) & 0xffff)

static inline bool rseq_is_place(uint32_t word)
{
	return word & RSEQ_PLACE;
}

/* Of a block that is given to a row which has that head. */
static inline uint32_t rseq_place(uint64_t head, uint32_t row, uint32_t life)
{
	return ((uint32_t)head + RSEQ_ROW(row) + life) | RSEQ_PLACE;
}

/*
 * With r = 2^64 / stride, rounded up: the upper half of offset * r is offset / stride, and the lower half is below r exactly if
 * nothing remains. For offset = q * stride + rest and stride * r = 2^64 + e with e < stride, the product is
 * q * 2^64 + q * e + rest * r, where the second is below r as long as stride * stride * n is not above 2^64.
 */
static inline uint64_t rseq_row_reciprocal(uint64_t stride)
{
	return UINT64_MAX / stride + 1;
}

/* Whether that is so. */
static inline bool rseq_row_fits(uint64_t stride, uint32_t n)
{
	return stride > 1 && n <= UINT64_MAX / stride / stride;
}

static inline _Atomic uint64_t *rseq_row_head(struct wire_heads *heads, uint32_t row)
{
	return &heads[row / RSEQ_ROWS_EACH].head[row % RSEQ_ROWS_EACH * (WIRE_HEADS_KINDS / RSEQ_ROWS_EACH)];
}

/*
 * A head: the count in 16 bits, above them a version that every change raises. Who reads the same head
 * twice knows that nothing happened in between (it repeats after 2^48 changes).
 */
#define RSEQ_COUNT(head) WIRE_HEAD_COUNT(head)
#define RSEQ_TAKEN 0xffff  /* added to a head: one less, the version one more */
#define RSEQ_GIVEN 0x10001 /* one more, the version one more */

#if defined(TEST_RSEQ)
/* A test has sequences of its own, of CPUs of its own. */
bool rseq_take_row(struct rseq_rows *rows, uint64_t *block);
bool rseq_give_row(struct rseq_rows *rows, uint64_t block);
bool rseq_change_row(struct rseq_rows *rows, uint32_t *row);

#elif RSEQ_HERE && defined(__aarch64__)
#include "client/rseq_rows_aarch64.h"

#elif RSEQ_HERE

/*
 * The thread's area is at an offset from its thread pointer. The CPU is read inside the sequence, which ends elsewhere if
 * the thread is moved; a thread that is not registered reads one that is no CPU.
 */
#define RSEQ_ROW_BEGIN \
	RSEQ_DESCRIPTOR \
	"movq %%rax, %%fs:8(%[row])\n" \
	"1: movl %%fs:4(%[row]), %%eax\n" \
	"cmpw %c[gate](%[rows]), %%ax\n" \
	"jae %l[no]\n" \
	"shll $7, %%eax\n" \
	"movl %c[current](%[rows], %%rax), %k[row]\n"

#define RSEQ_ROW_END RSEQ_ABORTS_TO("no")

#define RSEQ_ROW_FIELDS(rows) \
	[rows] "r"(rows), RSEQ_ROW_FIELD(gate), RSEQ_ROW_FIELD(max), RSEQ_ROW_FIELD(heads), RSEQ_ROW_FIELD(base), \
	RSEQ_ROW_FIELD(reciprocal), RSEQ_ROW_FIELD(n), RSEQ_ROW_FIELD(word), RSEQ_ROW_FIELD(life), \
	[current] "i"(offsetof(struct rseq_rows, current[0].at)), RSEQ_ROW_FIELD(entries)
#define RSEQ_ROW_FIELD(name) [name] "i"(offsetof(struct rseq_rows, name))

_Static_assert(sizeof(((struct rseq_rows *)0)->current[0]) == 1 << 7, "the sequences say so");

/*
 * The block given last to the row that this CPU works on. One try. False: as rseq_take. (The head is read as it was
 * written, all 8 bytes: so a processor can hand it on from the store before, which is most of the time a take waits for.)
 */
static inline bool rseq_take_row(struct rseq_rows *rows, uint64_t *block)
{
	uint64_t row = (uint64_t)rseq_where_, at, head, found;

	__asm__ goto volatile(
		RSEQ_ROW_BEGIN
		"movq %c[heads](%[rows]), %[at]\n"
		"addq %[row], %[at]\n"
		"movq (%[at]), %[head]\n"
		"movzwl %w[head], %%eax\n"
		"testl %%eax, %%eax\n"
		"jz %l[no]\n"
		"leal (%%rax, %[row], 2), %%eax\n"
		"movq %c[entries]-8(%[rows], %%rax, 8), %%rax\n"
		"addq $0xffff, %[head]\n"
		"movq %[head], (%[at])\n"
		RSEQ_ROW_END
		: [row] "+&r"(row), [at] "=&r"(at), [head] "=&r"(head), "=&a"(found)
		: RSEQ_ROW_FIELDS(rows)
		: "memory", "cc"
		: no);
	*block = found;
	return true;
no:
	return false;
}

/*
 * Whether the block is out, with its number in rdx; then the words are in row. A word that names the very
 * entry that the block comes to says nothing more: it is not below the count. An entry that has become another block's does
 * not either, nor one above the count in this row. Other rows' heads are not looked at: to read what another CPU writes all the
 * time costs both of them.
 */
#if RSEQ_STRICT
#define RSEQ_ROW_CHECK ""
#define RSEQ_ROW_PLACE ""
#else
#define RSEQ_ROW_CHECK \
	"movq %[block], %%rax\n" \
	"subq %c[base](%[rows]), %%rax\n" \
	"mulq %c[reciprocal](%[rows])\n" \
	"cmpq %c[reciprocal](%[rows]), %%rax\n" \
	"jae %l[no]\n" \
	"cmpq %c[n](%[rows]), %%rdx\n" \
	"jae %l[no]\n" \
	"movq %c[word](%[rows]), %[row]\n" \
	"movl (%[row], %%rdx, 4), %%eax\n" \
	"testl %%eax, %%eax\n" \
	"jns %l[no]\n" \
	"cmpw %w[place], %%ax\n" \
	"je 5f\n" \
	"movzwl %%ax, %%eax\n" \
	"cmpq %[block], %c[entries](%[rows], %%rax, 8)\n" \
	"jne 5f\n" \
	"cmpw %w[place], %%ax\n" \
	"jb %l[no]\n" \
	"xorl %k[place], %%eax\n" \
	"testl $0xff80, %%eax\n" \
	"jnz %l[no]\n" \
	"5:\n"
#define RSEQ_ROW_PLACE "movl %k[place], (%[row], %%rdx, 4)\n"
#endif

/*
 * Into the row that this CPU works on, if it is a block and out. One try. False: nothing has happened, and nothing is
 * said about the block. (Strict: the caller knows that it is a block, and out.)
 */
static inline bool rseq_give_row(struct rseq_rows *rows, uint64_t block)
{
	uint64_t row = (uint64_t)rseq_where_, head, at, place;

	__asm__ goto volatile(
		RSEQ_ROW_BEGIN
		"movq %c[heads](%[rows]), %[at]\n"
		"addq %[row], %[at]\n"
		"movq (%[at]), %[head]\n"
		"cmpw %c[max](%[rows]), %w[head]\n"
		"jae %l[no]\n"
		"leal (%[head], %[row], 2), %k[place]\n"
		"addl %c[life](%[rows]), %k[place]\n"
		"orl $0x80000000, %k[place]\n"
		RSEQ_ROW_CHECK
		"movzwl %w[place], %%eax\n"
		"movq %[block], %c[entries](%[rows], %%rax, 8)\n"
		RSEQ_ROW_PLACE
		"addq $0x10001, %[head]\n"
		"movq %[head], (%[at])\n"
		RSEQ_ROW_END
		: [row] "+&r"(row), [head] "=&r"(head), [at] "=&r"(at), [place] "=&r"(place)
		: RSEQ_ROW_FIELDS(rows), [block] "r"(block)
		: "rax", "rdx", "memory", "cc"
		: no);
	return true;
no:
	return false;
}

/* From now on this CPU works on *row, which no other does; *row is the one that it worked on. One try. False: nothing
 * changes. */
static inline bool rseq_change_row(struct rseq_rows *rows, uint32_t *row)
{
	uint64_t old = (uint64_t)rseq_where_;

	__asm__ goto volatile(
		RSEQ_ROW_BEGIN
		"movl %[at], %c[current](%[rows], %%rax)\n"
		RSEQ_ROW_END
		: [row] "+&r"(old)
		: RSEQ_ROW_FIELDS(rows), [at] "r"(RSEQ_ROW_AT(*row))
		: "rax", "memory", "cc"
		: no);
	*row = (uint32_t)old / RSEQ_ROW_LINE;
	return true;
no:
	return false;
}

#else

static inline bool rseq_take_row(struct rseq_rows *rows, uint64_t *block)
{
	(void)rows, (void)block;
	return false;
}

static inline bool rseq_give_row(struct rseq_rows *rows, uint64_t block)
{
	(void)rows, (void)block;
	return false;
}

static inline bool rseq_change_row(struct rseq_rows *rows, uint32_t *row)
{
	(void)rows, (void)row;
	return false;
}
#endif

#endif
