/*
 * slow_partitions.c: the ways of a partition beside the short one
 *
 * Model: before each of its calls the low one takes all blocks and gives some of them back, on its
 * CPU or another one, so many that its call must go a certain way: over a change of rows (a row is
 * full, or empty), over the stack, over all CPUs' rows (a barrier), or past a sequence that was
 * interrupted. Meanwhile the high one takes a block, or gives one back.
 * Invariant: when the low one's call begins the gate is open, but where a couple is about the
 * opening. There is a block for the high one whenever it comes, or it may be refused (refused).
 * What is known of the library, so that calls go their ways: how many rows there are and how long
 * they are. Without restartable sequences there are none, and what is left goes over the stack.
 */
#include <heapclient/pt.h>

#include "client/magazines.h"
#include "tests/realtime/scene.h"

/* So many gives to the stack open a gate that stayed shut (client/blocks_give.c). */
#define OPENS (PATH_PT_BLOCKS / 16 + 1)

#define SPARE 8 /* in the stack, or elsewhere: the low one takes one, the high one, too */

static void *out[PATH_PT_BLOCKS];
static size_t n_out;

static void get_blocks(size_t n)
{
	void *block;

	while (n-- && (block = pt_getblock(0)))
		out[n_out++] = block;
}

static void give_blocks(size_t n)
{
	while (n-- && n_out)
		pt_freeblock(0, out[--n_out]);
}

/* ---- rows ---- */

static uint32_t cpus(void)
{
	return (uint32_t)sysconf(_SC_NPROCESSORS_CONF);
}

/* Of blocks, how many a row has (client/partitions.c). */
static size_t row(void)
{
	uint32_t rows = magazines_rows(cpus());

	return rows ? min_u64(PATH_PT_BLOCKS / rows, RSEQ_ROW_ENTRIES) : RSEQ_ROW_ENTRIES;
}

/* Rows that a CPU can fill: all but those that the others work on. */
static size_t rows(void)
{
	uint32_t n = magazines_rows(cpus());

	return n ? n - cpus() + 1 : 1;
}

/* Any of the other CPUs. */
static int other_cpu(int own)
{
	int cpu = 0;

	while (cpu == own || !CPU_ISSET((size_t)cpu, &scene_cpus))
		cpu++;
	return cpu;
}

static int move_to(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((size_t)cpu, &one);
	return sched_setaffinity(0, sizeof(one), &one) < 0 ? -errno : 0;
}

/* n more at hand of another CPU: there is one (two_cpus). */
static int give_elsewhere(size_t n)
{
	int own = sched_getcpu(), r = move_to(other_cpu(own));

	give_blocks(n);
	return r ? r : move_to(own);
}

/* ---- before the low one's call: where the free blocks are ---- */

/* Nowhere, and the gate is open. */
static int nowhere(void)
{
	get_blocks(SIZE_MAX);
	give_blocks(OPENS);
	get_blocks(OPENS);
	return 0;
}

static int in_a_full_row(void)
{
	(void)nowhere();
	give_blocks(row());
	return 0;
}

static int in_all_rows_but_one(void)
{
	(void)nowhere();
	give_blocks((rows() - 1) * row());
	return 0;
}

static int in_all_rows(void)
{
	(void)nowhere();
	give_blocks(rows() * row());
	return 0;
}

static int in_loose_rows_and_the_stack(void)
{
	(void)nowhere();
	give_blocks(rows() * row() + SPARE);
	get_blocks(row());
	return 0;
}

static int in_one_loose_row(void)
{
	(void)nowhere();
	give_blocks(row() + 1);
	get_blocks(1);
	return 0;
}

static int in_the_stack(void)
{
	(void)nowhere();
	give_blocks(rows() * row() + SPARE);
	get_blocks(rows() * row());
	return 0;
}

static int at_hand_elsewhere(void)
{
	(void)nowhere();
	return give_elsewhere(SPARE);
}

static int in_rows_and_the_stack(void)
{
	(void)nowhere();
	give_blocks(rows() * row() + SPARE);
	get_blocks(SPARE);
	return 0;
}

static int in_a_row(void)
{
	(void)nowhere();
	give_blocks(SPARE);
	return 0;
}

/* All in the stack, and with one more there the gate is opened again. */
static int behind_a_gate(void)
{
	int r;

	(void)nowhere();
	r = give_elsewhere(1);
	get_blocks(1); /* the last, and from there: the gate stays shut */
	give_blocks(OPENS - 1);
	return r;
}

/* ---- the low one's call ---- */

static bool gives_one(void)
{
	give_blocks(1);
	return true;
}

static bool takes_one(void)
{
	size_t before = n_out;

	get_blocks(1);
	return n_out == before + 1;
}

/* Or none. What the high one gave meanwhile is given back, for it to take again. */
static bool takes_the_last(void)
{
	size_t before = n_out;

	get_blocks(1);
	give_blocks(n_out - before);
	return true;
}

/* Blocks are out: it shuts the gate, looks, and leaves. */
static bool is_refused(void)
{
	return pt_destroy(0) == -1 && errno == EBUSY;
}

#define LEAST 130 /* instructions; a short way has a hundred at most */

#define PARTITION .path = "a partition", .random = 1, .lock_free = true, .least = LEAST
#define AT_HAND PARTITION, .at_hand = true
#define AND_GETS ", and pt_getblock"
#define AND_FREES ", and pt_freeblock"
#define BESIDE_GET .call = CALL_PT_GET
#define BESIDE_GATHER .call = CALL_PT_EMPTY, .gathers = true
#define BESIDE_FREE .gives = true, .call = CALL_PT_FREE

const struct couple partition_couples[] = {
	/* The row that was full is in no set for a moment, and may be all there is. */
	{ .text = "a free into a full row" AND_GETS, AT_HAND, BESIDE_GATHER,
	  .before = in_a_full_row, .low = gives_one },
	{ .text = "a free into a full row" AND_FREES, AT_HAND, BESIDE_FREE,
	  .before = in_a_full_row, .low = gives_one },
	{ .text = "a free that gets the last bare row" AND_GETS, AT_HAND, BESIDE_GET,
	  .before = in_all_rows_but_one, .low = gives_one },
	{ .text = "a free that gets the last bare row" AND_FREES, AT_HAND, BESIDE_FREE,
	  .before = in_all_rows_but_one, .low = gives_one },
	{ .text = "a free to the stack" AND_GETS, PARTITION, BESIDE_GET,
	  .before = in_all_rows, .low = gives_one },
	{ .text = "a free to the stack" AND_FREES, PARTITION, BESIDE_FREE,
	  .before = in_all_rows, .low = gives_one },
	{ .text = "a free that opens the gate" AND_GETS, AT_HAND, BESIDE_GET,
	  .before = behind_a_gate, .low = gives_one, .two_cpus = true },
	{ .text = "a free that opens the gate" AND_FREES, AT_HAND, BESIDE_FREE,
	  .before = behind_a_gate, .low = gives_one, .two_cpus = true },
	{ .text = "a free that holds the gate" AND_GETS, AT_HAND, BESIDE_GET,
	  .before = in_rows_and_the_stack, .low = gives_one, .interrupted = true },
	{ .text = "a free that holds the gate" AND_FREES, AT_HAND, BESIDE_FREE,
	  .before = in_rows_and_the_stack, .low = gives_one, .interrupted = true },
	{ .text = "a free that holds the gate, all at hand" AND_GETS, AT_HAND, BESIDE_GATHER,
	  .before = in_a_row, .low = gives_one, .interrupted = true },
	{ .text = "a free that holds the gate, all at hand" AND_FREES, AT_HAND, BESIDE_FREE,
	  .before = in_a_row, .low = gives_one, .interrupted = true },
	{ .text = "a get from an empty row" AND_GETS, AT_HAND, BESIDE_GET,
	  .before = in_loose_rows_and_the_stack, .low = takes_one },
	{ .text = "a get from an empty row" AND_FREES, AT_HAND, BESIDE_FREE,
	  .before = in_loose_rows_and_the_stack, .low = takes_one },
	/* So is the row that it gets. */
	{ .text = "a get of the last row" AND_GETS, AT_HAND, BESIDE_GATHER,
	  .before = in_one_loose_row, .low = takes_one },
	{ .text = "a get of the last row" AND_FREES, AT_HAND, BESIDE_FREE,
	  .before = in_one_loose_row, .low = takes_one },
	{ .text = "a get from the stack" AND_GETS, PARTITION, BESIDE_GET,
	  .before = in_the_stack, .low = takes_one },
	{ .text = "a get from the stack" AND_FREES, PARTITION, BESIDE_FREE,
	  .before = in_the_stack, .low = takes_one },
	{ .text = "a get that gathers" AND_GETS, AT_HAND, BESIDE_GATHER,
	  .before = at_hand_elsewhere, .low = takes_one, .barrier = true, .two_cpus = true },
	{ .text = "a get that gathers" AND_FREES, AT_HAND, BESIDE_FREE,
	  .before = at_hand_elsewhere, .low = takes_one, .barrier = true, .two_cpus = true },
	{ .text = "pt_destroy that is refused" AND_GETS, AT_HAND, BESIDE_GET,
	  .before = in_rows_and_the_stack, .low = is_refused, .barrier = true },
	{ .text = "pt_destroy that is refused, all at hand" AND_GETS, AT_HAND, BESIDE_GATHER,
	  .before = in_a_row, .low = is_refused, .barrier = true },
	{ .text = "pt_destroy that is refused" AND_FREES, AT_HAND, BESIDE_FREE,
	  .before = in_rows_and_the_stack, .low = is_refused, .barrier = true },
	{ .text = "a get that is refused" AND_GETS, PARTITION, .call = CALL_PT_EMPTY, .refused = true,
	  .before = nowhere, .low = takes_the_last },
	{ .text = "a get that is refused" AND_FREES, PARTITION, BESIDE_FREE,
	  .before = nowhere, .low = takes_the_last },
};
const size_t n_partition_couples = ARRAY_SIZE(partition_couples);
