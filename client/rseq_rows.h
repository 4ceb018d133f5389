/*
 * rseq_rows.h: restartable sequences over arrays that change hands
 *
 * Model: as client/rseq.h, but an array (a row) belongs to no CPU. Each CPU has a word that says which row
 * it works on, and a sequence of its own changes that. Nobody brings a value: the gate is open to all while
 * its lower half is 0, and the sequences read all the rest after it. So heads may change while it is shut, and who
 * has come through it knows that they are those of now. Entries have 8 bytes, of one kind.
 *
 * Bound: 19 instructions (22 on aarch64: client/rseq_rows_aarch64.h), tried once. For signal handlers too; no system call.
 * Where there are no sequences rseq_cpus() is 0, nobody makes rows, and all is refused.
 * Not here: who changes rows and who shuts the gate (client/magazines.h).
 */
#ifndef HEAPD_CLIENT_RSEQ_ROWS_H
#define HEAPD_CLIENT_RSEQ_ROWS_H

#include "client/rseq.h"

/* All zero: there are no CPUs, and all is refused. */
struct rseq_rows {
	_Atomic uint64_t gate;
	_Atomic(struct wire_heads *) heads; /* rseq_row_head */
	_Atomic(uint64_t *) entries;        /* [row][RSEQ_ROW_ENTRIES] */
	_Atomic uint32_t n_cpus;            /* 0: there are none */
	_Atomic uint32_t n_rows;
	_Atomic uint32_t max;               /* entries in a row, at most RSEQ_ROW_ENTRIES */
	uint32_t pad;
	uint64_t more[10];
	struct {
		_Atomic uint32_t at;        /* RSEQ_ROW(row) */
	} __attribute__((__aligned__(128))) current[]; /* [cpu] */
};
_Static_assert(offsetof(struct rseq_rows, current) == 128, "what changes seldom");

/*
 * A row has a cache line of the heads for itself: its first 8 bytes are its head. So one number is the place of a row's
 * head in bytes and of its first entry.
 */
#define RSEQ_ROW_ENTRIES 64u
#define RSEQ_ROW(row) ((row) * RSEQ_ROW_ENTRIES)
#define RSEQ_ROWS_EACH (sizeof(struct wire_heads) / RSEQ_ROW_ENTRIES) /* of a struct wire_heads */
_Static_assert(RSEQ_ROWS_EACH == 2, "kinds 0 and 8 of it");

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
bool rseq_take_row(struct rseq_rows *rows, uint64_t *entry);
bool rseq_give_row(struct rseq_rows *rows, uint64_t entry);
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
	"movq %%rax, %%fs:8(%[self])\n" \
	"1: movl %%fs:4(%[self]), %%eax\n" \
	"cmpl $0, (%[rows])\n" \
	"jne %l[no]\n" \
	"cmpl %c[n_cpus](%[rows]), %%eax\n" \
	"jae %l[no]\n" \
	"shll $7, %%eax\n"

#define RSEQ_ROW_END RSEQ_ABORTS_TO("no")

#define RSEQ_ROW_FIELDS(rows) \
	[self] "r"(__rseq_offset), [rows] "r"(rows), [n_cpus] "i"(offsetof(struct rseq_rows, n_cpus)), \
	[current] "i"(offsetof(struct rseq_rows, current)), [heads] "i"(offsetof(struct rseq_rows, heads)), \
	[entries] "i"(offsetof(struct rseq_rows, entries)), [max] "i"(offsetof(struct rseq_rows, max))

_Static_assert(sizeof(((struct rseq_rows *)0)->current[0]) == 1 << 7 && offsetof(struct rseq_rows, gate) == 0,
	       "the sequences say so");

/* The entry given last to the row that this CPU works on. One try. False: as rseq_take. */
static inline bool rseq_take_row(struct rseq_rows *rows, uint64_t *entry)
{
	uint64_t head, row, at, found;

	__asm__ goto volatile(
		RSEQ_ROW_BEGIN
		"movl %c[current](%[rows], %%rax), %k[row]\n"
		"movq %c[heads](%[rows]), %[at]\n"
		"addq %[row], %[at]\n"
		"movq (%[at]), %[head]\n"
		"movzwl %w[head], %%eax\n"
		"testl %%eax, %%eax\n"
		"jz %l[no]\n"
		"addl %k[row], %%eax\n"
		"movq %c[entries](%[rows]), %[row]\n"
		"movq -8(%[row], %%rax, 8), %%rax\n"
		"addq $0xffff, %[head]\n"
		"movq %[head], (%[at])\n"
		RSEQ_ROW_END
		: [head] "=&r"(head), [row] "=&r"(row), [at] "=&r"(at), "=&a"(found)
		: RSEQ_ROW_FIELDS(rows)
		: "memory", "cc"
		: no);
	*entry = found;
	return true;
no:
	return false;
}

/* Into the row that this CPU works on. One try. False: the entry is the caller's still. */
static inline bool rseq_give_row(struct rseq_rows *rows, uint64_t entry)
{
	uint64_t head, row, at;

	__asm__ goto volatile(
		RSEQ_ROW_BEGIN
		"movl %c[current](%[rows], %%rax), %k[row]\n"
		"movq %c[heads](%[rows]), %[at]\n"
		"addq %[row], %[at]\n"
		"movq (%[at]), %[head]\n"
		"movzwl %w[head], %%eax\n"
		"cmpl %c[max](%[rows]), %%eax\n"
		"jae %l[no]\n"
		"addl %k[row], %%eax\n"
		"movq %c[entries](%[rows]), %[row]\n"
		"movq %[entry], (%[row], %%rax, 8)\n"
		"addq $0x10001, %[head]\n"
		"movq %[head], (%[at])\n"
		RSEQ_ROW_END
		: [head] "=&r"(head), [row] "=&r"(row), [at] "=&r"(at)
		: RSEQ_ROW_FIELDS(rows), [entry] "r"(entry)
		: "rax", "memory", "cc"
		: no);
	return true;
no:
	return false;
}

/* From now on this CPU works on *row, which no other does; *row is the one that it worked on. One try. False: nothing
 * changes. */
static inline bool rseq_change_row(struct rseq_rows *rows, uint32_t *row)
{
	uint32_t old;

	__asm__ goto volatile(
		RSEQ_ROW_BEGIN
		"movl %c[current](%[rows], %%rax), %[old]\n"
		"movl %[at], %c[current](%[rows], %%rax)\n"
		RSEQ_ROW_END
		: [old] "=&r"(old)
		: RSEQ_ROW_FIELDS(rows), [at] "r"(RSEQ_ROW(*row))
		: "rax", "memory", "cc"
		: no);
	*row = old / RSEQ_ROW(1);
	return true;
no:
	return false;
}

#else

static inline bool rseq_take_row(struct rseq_rows *rows, uint64_t *entry)
{
	(void)rows, (void)entry;
	return false;
}

static inline bool rseq_give_row(struct rseq_rows *rows, uint64_t entry)
{
	(void)rows, (void)entry;
	return false;
}

static inline bool rseq_change_row(struct rseq_rows *rows, uint32_t *row)
{
	(void)rows, (void)row;
	return false;
}
#endif

#endif
