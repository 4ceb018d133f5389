/*
 * magazines.h: blocks at hand for each CPU, none of them hidden from the others
 *
 * Model: more arrays (rows of client/rseq_rows.h) than CPUs. Each CPU works on one of them, its current one. The
 * others are loose: two sets of bits say which of them have entries and which have none. A CPU whose row is empty
 * changes it for a loose one with entries, one whose row is full for a loose one without: one exchange for
 * as many entries as a row has, so they flow from CPUs that give to CPUs that take at little cost.
 *
 * What is in the rows belongs to a serial; rows, sets and closers last longer. The gate is the serial, below it
 * who keeps the gate shut: a bit that says it stays shut when all closers have gone (resident), and how many they
 * are. Its lowest bits are for the sequences: how many CPUs may come through. A closer that did not find that bit
 * runs a barrier; from then on no sequence runs, nothing is given any more, and every closer may take entries from
 * any row by compare-and-exchange. Nobody waits for a closer: while the gate is shut, callers do without. So a
 * closer that is preempted costs others speed, not time.
 *
 * Nothing hides. An entry goes from a row straight to who takes it. A row that a thread is about to change (it
 * has taken its bit) is in no set, but it is still a row, which all closers look at: a thread that is
 * interrupted there keeps others from using a row, and no entry from being found. That all rows are empty is told
 * without closing: heads that are read twice and did not change were all empty at one instant between
 * (magazines_look). Only to take what another CPU works on needs the barrier.
 *
 * Invariant: each row is current on one CPU, or loose in one set, or in one thread's hand; those in the set of rows
 * without entries have none. A row changes only by sequences while the gate is open, and only by closers
 * while it is not: while it is shut, counts only fall.
 * Bound: take and give are one sequence. Steal, look and sum look at each row once, a change at each 64;
 * they repeat only because another thread took something. No system call but for the barrier in close. All
 * but init may be called from signal handlers.
 * Not here: where blocks go when there is no room, and who may give one that is not at hand (client/blocks.h).
 */
#ifndef HEAPD_CLIENT_MAGAZINES_H
#define HEAPD_CLIENT_MAGAZINES_H

#include "client/rseq_rows.h"
#include "proto/heads.h"

#define MAGAZINES_ROWS RSEQ_ROWS_MAX
#ifndef MAGAZINES_EACH /* a test has fewer */
#define MAGAZINES_EACH 4 /* rows for a CPU: one it works on, and some that are full or empty */
#endif

/*
 * The gate: 24 bits of the serial, resident, 23 bits of closers (a system has at most 2^22 threads; some are interrupted in here by
 * handlers), 16 of CPUs: RSEQ_GATE_CPUS. Those are 0 exactly if there is a closer, or it is resident.
 */
#define MAGAZINES_CLOSER ((uint64_t)1 << 16)
#define MAGAZINES_CLOSERS (MAGAZINES_RESIDENT - MAGAZINES_CLOSER)
#define MAGAZINES_RESIDENT ((uint64_t)1 << 39)
#define MAGAZINES_SERIAL(serial) ((uint64_t)(serial) << 40)
#define MAGAZINES_GATE_SERIAL(gate) ((gate) & ~(2 * MAGAZINES_RESIDENT - 1))

/* The sets of loose rows: those that have entries, those that have none. One line has both of 256 rows. */
enum magazines_set { MAGAZINES_SOME, MAGAZINES_NONE };

/* In memory that a child of a fork finds zeroed: there nothing is at hand. */
struct magazines {
	struct rseq_rows rows; /* its last member has as many as there are rows */
};

/* The test build stops between accesses to what threads share. */
#ifdef TEST_BLOCKS_STEP
void blocks_step(void);
#define MAGAZINES_STEP() blocks_step()
#else
#define MAGAZINES_STEP() ((void)0)
#endif

/* How many rows so many CPUs have: MAGAZINES_EACH, or what a place has room for, which is at least two; even. 0: none. */
static inline uint32_t magazines_rows(uint32_t n_cpus)
{
	uint64_t room = heads_place(n_cpus) / sizeof(struct wire_heads) * RSEQ_ROWS_EACH;

	return n_cpus > WIRE_HEADS_CPUS ? 0 : (uint32_t)min_u64(min_u64(n_cpus * MAGAZINES_EACH, room), MAGAZINES_ROWS);
}

/* Whether what is in the rows is of that serial. */
static inline bool magazines_are_of(const struct magazines *m, uint64_t serial)
{
	return MAGAZINES_GATE_SERIAL(atomic_load(&m->rows.gate)) == MAGAZINES_SERIAL(serial);
}

/* Bytes of them, with their rows. */
size_t magazines_size(uint32_t n_cpus);

/* m: magazines_size() bytes, zeroed, backed, aligned to 128, that stay for ever. Shut until magazines_begin. */
void magazines_init(struct magazines *m, uint32_t n_cpus);

/* A block of this CPU's row. False: do without. */
static inline bool magazines_take(struct magazines *m, uint64_t *block)
{
	return rseq_take_row(&m->rows, block);
}

/* Into this CPU's row, if it is out. False: it is not, or cannot be told here; or the row is full, or the gate shut. */
static inline bool magazines_give(struct magazines *m, uint64_t block)
{
	return rseq_give_row(&m->rows, block);
}

/* Whether the block is where its word says: at hand. For words that are places. */
bool magazines_has(const struct magazines *m, uint32_t word, uint64_t block);

/* Whether the entry of that place is the block, at hand or left there. */
bool magazines_stands(const struct magazines *m, uint32_t word, uint64_t block);

/* Whether the next give to the row of that place would write the same word. Once it is not so it never is again. */
bool magazines_is_next(const struct magazines *m, uint32_t word);

/* This CPU has a row that had entries a moment ago, or one that had none. False: there was none, or the gate is
 * shut. */
bool magazines_refill(struct magazines *m);
bool magazines_relieve(struct magazines *m);

/* What an opening is about. The caller's storage, only read. */
struct magazines_life {
	uint64_t serial;          /* that the gate never had (0 modulo 2^24: it stays shut) */
	struct wire_heads *heads; /* one for each two rows, all empty, with versions that they never had; nobody else's
				     until long after magazines_end */
	uint32_t max;             /* entries in a row, 1 .. RSEQ_ROW_ENTRIES */
	uint32_t n;               /* blocks, … */
	uint64_t base;            /* … the address of the first, … */
	uint64_t stride;          /* … and from one to the next: rseq_row_fits */
	_Atomic uint32_t *word;   /* n of them; magazines_nowhere is that of a block that is out and was never at hand */
};

/* Pre: no serial, and shut. */
void magazines_begin(struct magazines *m, const struct magazines_life *life);

/* The word of blocks of that serial which are in no place. */
uint32_t magazines_nowhere(const struct magazines *m, uint64_t serial);

/* No serial, and shut. The caller is a closer. All rows are empty from now on: their entries mean nothing any more. */
void magazines_end(struct magazines *m);

/* Shuts the gate. 0: the caller is a closer. -errno: the kernel refuses the barrier, and the caller is none. */
int magazines_close(struct magazines *m);

/*
 * Shuts the gate without a barrier: nothing is given from now on but by sequences that run in this very instant on other CPUs.
 * magazines_leave ends it. The caller is no closer.
 */
void magazines_hold(struct magazines *m);

/* The caller is a closer no more. resident: the gate stays shut until magazines_reopen(). */
void magazines_leave(struct magazines *m, bool resident);

/* Opens a gate that only residence keeps shut; else nothing happens. */
void magazines_reopen(struct magazines *m);

/* Pre: the caller is a closer. A block of any row. False: all are empty, and stay so as long; or it is another
 * serial. */
bool magazines_steal(struct magazines *m, uint64_t serial, uint64_t *block);

/*
 * A sum over the heads: empty, all of them, each time it was looked at, and the same sum twice: in between there
 * was an instant at which no row had an entry. False: some row has one.
 */
bool magazines_look(const struct magazines *m, uint64_t *sum);

/* How many entries there are. Exact, if the gate is shut and nobody steals. */
uint64_t magazines_sum(const struct magazines *m);

#endif
