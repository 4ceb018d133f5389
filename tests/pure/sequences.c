/*
 * sequences.c: see sequences.h
 */
#include "tests/pure/sequences.h"

void blocks_step(void); /* the test's */

uint64_t sequences_aborted;

static void abort_one(struct sequence *s)
{
	sequences_aborted += s->runs && !s->aborted;
	s->aborted = s->runs;
}

void sequences_enter(const struct sequence *s)
{
	struct sequence *other;

	for (int i = 0; (other = sequence_at(i)); i++)
		if (other != s && other->cpu == s->cpu)
			abort_one(other);
}

uint32_t rseq_cpus(void)
{
	return 2;
}

uint32_t rseq_test_cpu(void)
{
	return 0;
}

int rseq_barrier(void)
{
	struct sequence *s;

	for (int i = 0; (s = sequence_at(i)); i++)
		abort_one(s);
	return 0;
}

static struct sequence *begin(void)
{
	struct sequence *s = sequence_now();

	*s = (struct sequence){.cpu = s->cpu, .runs = true};
	return s;
}

static bool goes_on(const struct sequence *s)
{
	blocks_step();
	return !s->aborted;
}

static bool end(struct sequence *s, bool done)
{
	s->runs = false;
	return done;
}

/* The row of the fibre's CPU, if the gate is open and nothing came in between. */
static bool look(const struct rseq_rows *rows, const struct sequence *s, uint32_t *row)
{
	if (!goes_on(s) || s->cpu >= RSEQ_GATE_CPUS(atomic_load(&rows->gate)) || !goes_on(s))
		return false;
	*row = atomic_load(&rows->current[s->cpu].at) / RSEQ_ROW_LINE;
	return true;
}

bool rseq_take_row(struct rseq_rows *rows, uint64_t *block)
{
	struct sequence *s = begin();
	_Atomic uint64_t *at;
	uint64_t head, found;
	uint32_t row;

	if (!look(rows, s, &row) || !goes_on(s))
		return end(s, false);
	at = rseq_row_head(atomic_load(&rows->heads), row);
	head = atomic_load(at);
	if (!goes_on(s) || RSEQ_COUNT(head) == 0)
		return end(s, false);
	found = rows->entries[RSEQ_ROW(row) + RSEQ_COUNT(head) - 1];
	if (!goes_on(s))
		return end(s, false);
	atomic_store(at, head + RSEQ_TAKEN);
	*block = found;
	return end(s, true);
}

/* The word of a block, or NULL. */
static _Atomic uint32_t *word_of(const struct rseq_rows *rows, uint64_t block)
{
	uint64_t reciprocal = atomic_load(&rows->reciprocal);
	unsigned __int128 product = (unsigned __int128)(block - atomic_load(&rows->base)) * reciprocal;

	if ((uint64_t)product >= reciprocal || product >> 64 >= atomic_load(&rows->n))
		return NULL;
	return &atomic_load(&rows->word)[product >> 64];
}

/* Whether the word says that it is not at hand; place is where it would come to. */
static bool is_out(const struct rseq_rows *rows, uint32_t word, uint32_t place, uint64_t block)
{
	uint32_t index = RSEQ_PLACE_INDEX(word), next = RSEQ_PLACE_INDEX(place);

	if (!rseq_is_place(word))
		return false;
	if (index == next || rows->entries[index] != block)
		return true;
	return index > next && index / RSEQ_ROW_ENTRIES == next / RSEQ_ROW_ENTRIES;
}

bool rseq_give_row(struct rseq_rows *rows, uint64_t block)
{
	struct sequence *s = begin();
	_Atomic uint32_t *word = NULL;
	_Atomic uint64_t *at;
	uint32_t row, place;
	uint64_t head;

	if (!look(rows, s, &row) || !goes_on(s))
		return end(s, false);
	at = rseq_row_head(atomic_load(&rows->heads), row);
	head = atomic_load(at);
	if (!goes_on(s) || RSEQ_COUNT(head) >= atomic_load(&rows->max))
		return end(s, false);
	place = rseq_place(head, row, atomic_load(&rows->life));
	if (!RSEQ_STRICT) {
		word = word_of(rows, block);
		if (!word || !goes_on(s) || !is_out(rows, atomic_load(word), place, block) || !goes_on(s))
			return end(s, false);
	}
	rows->entries[RSEQ_PLACE_INDEX(place)] = block;
	if (!goes_on(s))
		return end(s, false);
	if (word) {
		atomic_store(word, place);
		if (!goes_on(s))
			return end(s, false);
	}
	atomic_store(at, head + RSEQ_GIVEN);
	return end(s, true);
}

bool rseq_change_row(struct rseq_rows *rows, uint32_t *row)
{
	struct sequence *s = begin();
	uint32_t old;

	if (!look(rows, s, &old) || !goes_on(s))
		return end(s, false);
	atomic_store(&rows->current[s->cpu].at, RSEQ_ROW_AT(*row));
	*row = old;
	return end(s, true);
}
