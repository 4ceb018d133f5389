/*
 * test_blocks_steps.c: every order in which takes, gives, closes and opens can run into each other
 *
 * Model: blocks.c is compiled so that it calls blocks_step() between any two accesses to what
 * threads share. Each thread of a scene is a fibre that gives up there; a scheduler decides who goes
 * on, and tries all decisions one after the other (depth first, by replaying a scene from its
 * beginning). A small scene is tried in all orders; a larger one in all orders with at most
 * so many preemptions: a signal handler that runs through in the middle of a call costs two.
 *
 * With CPUs, blocks are also at hand: sequences are the test's own (sequences.h), and are aborted where real ones
 * would be.
 *
 * After each run the answers must be those of the plain model for some order of whole calls, in which
 * no call comes before one that had ended when it began (linearizability); the end must be the
 * model's end, and the auditor is content.
 * Not here: memory that is seen late by another processor. (Threads: test_blocks_threads.c.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <ucontext.h>

#include "client/blocks_inline.h"
#include "pure.h"
#include "sequences.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define SWITCH_START(save, stack, size) __sanitizer_start_switch_fiber(save, stack, size)
#define SWITCH_FINISH(save, stack, size) __sanitizer_finish_switch_fiber(save, stack, size)
#define BY_JUMPS false /* it takes a jump for the end of what is jumped over */
#else
#define SWITCH_START(save, stack, size) ((void)(save))
#define SWITCH_FINISH(save, stack, size) ((void)(save))
#define BY_JUMPS true
#endif

#define FIBRES 3
#define CALLS 4           /* of one fibre */
#define N_MAX 3
#define STACK (64 * 1024)
#define DECISIONS 1024
#define ROWS (2 * MAGAZINES_EACH)
#define SKIPPED 1000      /* the answer of a call that made no sense */
#define ALL 1000          /* preemptions */

/*
 * A scene: n blocks, `taken` of them out from the start, and what each thread does:
 *   T take   G give back what the last T got   B give block 0, whoever has it
 *   C close  O open again, if the last C closed: with one block less or more, of another size, in another
 *            place, with its head in another slot, but with the same links
 */
struct scene {
	const char *name;
	uint32_t n, taken;
	int preemptions;
	const char *thread[FIBRES];
	const char *cpus; /* which one each thread is on; NULL: nothing is at hand */
	const char *hand; /* CPUs that have a block at hand at the start, a digit for each */
};

struct call {
	char what;
	int answer; /* of T: the number of the block, or the errno, or -BLOCKS_EMPTY */
	int number; /* of the block that was taken or given; -1 */
	uint32_t began, ended;
};

struct fibre {
	ucontext_t context;
	jmp_buf place;  /* where it gave up last, once it has begun */
	bool begun;
	char *stack;
	void *fake; /* the sanitizer's */
	const char *script;
	struct call call[CALLS];
	int n_calls;
	int mine; /* the number of the block that the last T got; -1 */
	void *block;
	bool alive, closed;
	struct sequence sequence;
};

static struct {
	struct blocks blocks;
	struct magazines *magazines;
	struct wire_heads *heads[2]; /* of the slots */
	struct sequence outside;     /* of who is no fibre */
	bool at_hand;
	bool bare;                   /* nothing is at hand in every other opening */
	struct blocks_layout layout; /* of the last opening that began */
	struct wire_stats *stats[2]; /* the slots take turns */
	_Atomic uint32_t link[N_MAX];
	struct fibre fibre[FIBRES];
	struct fibre *current;
	ucontext_t scheduler;
	jmp_buf place; /* of the scheduler */
	void *fake;
	const void *bottom; /* of the scheduler's stack */
	size_t size;
	uint32_t clock;
} world;

/*
 * ---- fibres ----
 *
 * A context is entered once. From then on to give up and to go on are jumps: they leave the signal mask alone, where a change of
 * contexts is two system calls, and this is most of what the test does.
 */

struct sequence *sequence_now(void)
{
	return world.current ? &world.current->sequence : &world.outside;
}

struct sequence *sequence_at(int i)
{
	return i < FIBRES ? &world.fibre[i].sequence : NULL;
}

static void leave(struct fibre *f, bool for_ever)
{
	SWITCH_START(for_ever ? NULL : &f->fake, world.bottom, world.size);
	if (!BY_JUMPS)
		(void)swapcontext(&f->context, &world.scheduler);
	else if (_setjmp(f->place) == 0)
		_longjmp(world.place, 1);
	SWITCH_FINISH(f->fake, &world.bottom, &world.size);
}

void blocks_step(void)
{
	world.clock++;
	if (world.current)
		leave(world.current, false);
}

static void enter(struct fibre *f)
{
	world.current = f;
	sequences_enter(&f->sequence);
	SWITCH_START(&world.fake, f->stack, STACK);
	if (!BY_JUMPS) {
		(void)swapcontext(&world.scheduler, &f->context);
	} else if (_setjmp(world.place) == 0) {
		if (f->begun)
			_longjmp(f->place, 1);
		f->begun = true;
		(void)setcontext(&f->context);
	}
	SWITCH_FINISH(world.fake, NULL, NULL);
	world.current = NULL;
}

#define BASE 0x100000u

/* Where openings of even and odd numbers lie: nothing is a block of both. */
static void lay_out(uint64_t generation)
{
	world.layout.stats = world.stats[generation % 2];
	world.layout.base = (void *)(uintptr_t)(BASE + 0x10000 * (generation % 2));
	world.layout.stride = generation % 2 ? 64 : 48;
	world.layout.heads = NULL;
	if (!world.at_hand || (world.bare && generation % 2))
		return;
	world.layout.heads = world.heads[generation % 2];
	world.layout.row_max = 1;
	for (uint32_t row = 0; row < ROWS; row++) { /* as client/areas.c leaves them */
		_Atomic uint64_t *head = rseq_row_head(world.layout.heads, row);

		atomic_store(head, (atomic_load(head) | 0xffff) + 1);
	}
}

static int do_take(struct fibre *f)
{
	void *block = NULL;
	int r = blocks_take(&world.blocks, &block);

	f->block = block;
	f->mine = r ? -1 : (int)((uint64_t)((char *)block - (char *)world.layout.base) / world.layout.stride);
	return r == BLOCKS_EMPTY ? -BLOCKS_EMPTY : r ? r : f->mine;
}

static int do_give(struct fibre *f, int number)
{
	f->mine = -1;
	return number < 0 ? SKIPPED : blocks_give(&world.blocks, f->block);
}

static int do_close(struct fibre *f)
{
	uint64_t tag;
	int r = blocks_close(&world.blocks, &tag);

	f->closed = r == 0;
	if (r == 0)
		world.layout.first_tag = tag + 1;
	return r;
}

static uint32_t other_count(uint32_t n)
{
	return n > 1 ? n - 1 : n + 1;
}

/* Whoever closes it while this one is still in here may open it again: so this one has a layout of its own. */
static int do_open(struct fibre *f)
{
	struct blocks_layout mine;

	if (!f->closed)
		return SKIPPED;
	f->closed = false;
	world.layout.serial++;
	world.layout.n = other_count(world.layout.n);
	lay_out(world.layout.serial - 1);
	mine = world.layout;
	blocks_open(&world.blocks, &mine);
	return 0;
}

static void do_call(struct fibre *f, struct call *c)
{
	c->number = -1;
	switch (c->what) {
	case 'T':
		c->number = c->answer = do_take(f);
		break;
	case 'G':
		c->number = f->mine;
		c->answer = do_give(f, c->number);
		break;
	case 'B':
		c->number = 0;
		c->answer = blocks_give(&world.blocks, (void *)(uintptr_t)BASE);
		break;
	case 'C':
		c->answer = do_close(f);
		break;
	default:
		c->answer = do_open(f);
	}
}

static void fibre_main(void)
{
	struct fibre *f = world.current;

	SWITCH_FINISH(NULL, &world.bottom, &world.size);
	for (const char *c = f->script; *c; c++) {
		struct call *call = &f->call[f->n_calls++];

		call->what = *c;
		call->began = ++world.clock;
		do_call(f, call);
		call->ended = ++world.clock;
	}
	f->alive = false;
	leave(f, true);
}

static void fibre_start(struct fibre *f, const char *script, uint32_t cpu)
{
	char *stack = f->stack ? f->stack : storage_new(STACK);

	*f = (struct fibre){ .stack = stack, .script = script ? script : "", .mine = -1, .sequence.cpu = cpu };
	f->alive = script != NULL;
	must(getcontext(&f->context) == 0);
	f->context.uc_stack.ss_sp = stack;
	f->context.uc_stack.ss_size = STACK;
	makecontext(&f->context, fibre_main, 0);
}

/* All are taken before one is given, so that each comes from the stack. */
static void put_at_hand(const char *cpus)
{
	void *block[N_MAX];
	size_t n = strlen(cpus);

	for (size_t i = 0; i < n; i++)
		must(blocks_take(&world.blocks, &block[i]) == 0);
	for (size_t i = 0; i < n; i++) {
		world.outside.cpu = (uint32_t)(cpus[i] - '0');
		must(blocks_give(&world.blocks, block[i]) == 0);
	}
	must(n == 0 || magazines_sum(world.magazines) == n);
}

static void world_begin(const struct scene *s)
{
	void *block;

	memset(&world.blocks, 0, sizeof(world.blocks));
	for (int i = 0; i < 2; i++) {
		memset(world.stats[i], 0, sizeof(*world.stats[i]));
		memset(world.heads[i], 0, ROWS * sizeof(*world.heads[i]));
	}
	world.at_hand = s->cpus != NULL;
	if (world.at_hand) {
		memset(world.magazines, 0, magazines_size(2));
		magazines_init(world.magazines, 2);
		atomic_store(&world.blocks.at_hand, world.magazines);
	}
	world.clock = 0;
	world.layout = (struct blocks_layout){
		.link = world.link, .n = s->n, .serial = 1, .first_tag = 1,
	};
	lay_out(0);
	blocks_open(&world.blocks, &world.layout);
	for (int i = 0; i < FIBRES; i++)
		fibre_start(&world.fibre[i], s->thread[i], s->cpus ? (uint32_t)(s->cpus[i] - '0') : 0);
	put_at_hand(s->hand ? s->hand : "");
	for (uint32_t i = 0; i < s->taken; i++)
		must(blocks_take(&world.blocks, &block) == 0);
}

/* ---- the model: whole calls, one after the other ---- */

struct plain {
	bool open;
	int generation;
	uint32_t n, n_free;
	uint32_t stack[N_MAX];
	bool out[N_MAX];
	uint32_t bad;
	int mine[FIBRES], mine_of[FIBRES]; /* the block, and of which opening */
	bool closed[FIBRES];
};

static void plain_open(struct plain *p, uint32_t n)
{
	p->open = true;
	p->n = p->n_free = n;
	for (uint32_t i = 0; i < n; i++) {
		p->stack[i] = n - 1 - i;
		p->out[i] = false;
	}
}

/* With blocks at hand any one that is free will do: that of the answer comes to the top. */
static void choose(struct plain *p, int number)
{
	for (uint32_t i = 0; i < p->n_free; i++)
		if (p->stack[i] == (uint32_t)number) {
			p->stack[i] = p->stack[p->n_free - 1];
			p->stack[p->n_free - 1] = (uint32_t)number;
		}
}

/*
 * A give beside a take or another give of that block, which succeeds: the block is neither in the
 * stack nor anybody's for a moment, and to refuse the give tells nothing about the stack.
 */
static bool on_its_way(const struct call *give)
{
	for (int i = 0; i < FIBRES; i++)
		for (int k = 0; k < world.fibre[i].n_calls; k++) {
			const struct call *c = &world.fibre[i].call[k];

			if (c != give && c->number == give->number && c->answer == (c->what == 'T' ? c->number : 0) &&
			    c->ended > give->began && c->began < give->ended)
				return true;
		}
	return false;
}

/* A close beside it succeeds: it had found the partition open. */
static bool while_closing(const struct call *give)
{
	for (int i = 0; i < FIBRES; i++)
		for (int k = 0; k < world.fibre[i].n_calls; k++) {
			const struct call *c = &world.fibre[i].call[k];

			if (c->what == 'C' && c->answer == 0 && c->ended > give->began && c->began < give->ended)
				return true;
		}
	return false;
}

/*
 * What was at hand has been stolen by a take that then found the partition closed: nobody else finds it any more, no take, and
 * no close beside the one that succeeds (client/partitions.c has one at a time).
 */
static bool stolen_in_vain(const struct call *beside)
{
	for (int i = 0; i < FIBRES; i++)
		for (int k = 0; k < world.fibre[i].n_calls; k++) {
			const struct call *c = &world.fibre[i].call[k];

			if (c->what == 'T' && c->answer == -EBADF && c->ended > beside->began && c->began < beside->ended)
				return world.at_hand && while_closing(beside);
		}
	return false;
}

static int plain_take(struct plain *p, int who, const struct call *c)
{
	uint32_t number;

	p->mine[who] = -1;
	if (!p->open)
		return -EBADF;
	if (p->n_free == 0 || (c && c->answer == -BLOCKS_EMPTY && stolen_in_vain(c)))
		return -BLOCKS_EMPTY;
	if (world.at_hand && c)
		choose(p, c->answer);
	number = p->stack[--p->n_free];
	p->out[number] = true;
	p->mine_of[who] = p->generation;
	return p->mine[who] = (int)number;
}

static int plain_give(struct plain *p, uint32_t number, int generation, const struct call *c)
{
	if (!p->open && !(c->answer == -EINVAL && while_closing(c)))
		return -EBADF;
	if (!p->open || generation % 2 != p->generation % 2 || number >= p->n || !p->out[number] || (c->answer == -EINVAL && on_its_way(c))) {
		p->bad++;
		return -EINVAL;
	}
	p->out[number] = false;
	p->stack[p->n_free++] = number;
	return 0;
}

static int plain_close(struct plain *p, int who, const struct call *c)
{
	p->closed[who] = false;
	if (!p->open)
		return -EBADF;
	if (p->n_free != p->n || (c->answer == -EBUSY && stolen_in_vain(c)))
		return -EBUSY;
	p->open = false;
	p->closed[who] = true;
	return 0;
}

static int plain_call(struct plain *p, int who, const struct call *c)
{
	int number;

	switch (c->what) {
	case 'T':
		return plain_take(p, who, c);
	case 'G':
		number = p->mine[who];
		p->mine[who] = -1;
		return number < 0 ? SKIPPED : plain_give(p, (uint32_t)number, p->mine_of[who], c);
	case 'B':
		return plain_give(p, 0, 0, c);
	case 'C':
		return plain_close(p, who, c);
	default:
		if (!p->closed[who])
			return SKIPPED;
		p->closed[who] = false;
		p->generation++;
		plain_open(p, other_count(p->n));
		return 0;
	}
}

/* Neither in the stack nor at hand. */
static bool is_out(uint32_t number)
{
	uint32_t word = atomic_load(&world.link[number]);
	uint64_t block = (uint64_t)(uintptr_t)world.layout.base + number * world.layout.stride;

	return rseq_is_place(word) && !magazines_has(world.magazines, word, block);
}

static bool same_end(const struct plain *p)
{
	uint32_t at = world.layout.stats->vacant.top;

	if ((atomic_load(&world.blocks.serial) != 0) != p->open || world.stats[0]->bad_frees + world.stats[1]->bad_frees != p->bad)
		return false;
	if (!p->open)
		return true;
	if (world.at_hand) {
		for (uint32_t i = 0; i < p->n; i++)
			if (is_out(i) != p->out[i])
				return false;
		return true; /* the rest is the auditor's */
	}
	for (uint32_t i = p->n_free; i-- > 0;) {
		if (at != p->stack[i] + 1)
			return false;
		at = atomic_load(&world.link[at - 1]);
	}
	return at == 0;
}

/* Whether the rest of the calls, from next[] of each fibre on, can follow in some order. */
static bool explain(const struct plain *before, const int *next)
{
	bool rest = false;

	for (int i = 0; i < FIBRES; i++) {
		const struct fibre *f = &world.fibre[i];
		const struct call *c = &f->call[next[i]];
		struct plain p = *before;
		int after[FIBRES];
		bool first = true;

		if (next[i] == f->n_calls)
			continue;
		rest = true;
		for (int j = 0; j < FIBRES; j++) /* nobody's next call had ended when this one began */
			first &= next[j] == world.fibre[j].n_calls || j == i ||
				 world.fibre[j].call[next[j]].ended > c->began;
		if (!first || plain_call(&p, i, c) != c->answer)
			continue;
		memcpy(after, next, sizeof(after));
		after[i]++;
		if (explain(&p, after))
			return true;
	}
	return !rest && same_end(before);
}

static void judge(const struct scene *s, uint64_t run)
{
	struct plain p = { .mine = { -1, -1, -1 } };
	static const int next[FIBRES];
	int check = blocks_check(&world.blocks);

	plain_open(&p, s->n);
	for (uint32_t i = 0; i < s->taken; i++) /* those that are at hand first, the last of them first */
		(void)plain_take(&p, 0, NULL);
	p.mine[0] = -1;
	if ((check == 0 || check == -EBADF) && explain(&p, next))
		return;
	fprintf(stderr, "%s, run %llu: audit %d, free %u\n", s->name, (unsigned long long)run, check,
		world.layout.stats->vacant.n_free);
	for (int i = 0; i < FIBRES; i++)
		for (int k = 0; k < world.fibre[i].n_calls; k++)
			fprintf(stderr, "  thread %d: %c from %u to %u: %d\n", i, world.fibre[i].call[k].what,
				world.fibre[i].call[k].began, world.fibre[i].call[k].ended,
				world.fibre[i].call[k].answer);
	abort();
}

/* ---- the scheduler ---- */

static struct {
	uint8_t chosen[DECISIONS]; /* which of the possible fibres went on */
	uint8_t possible[DECISIONS];
	int n; /* of them are to be replayed */
} tree;

/* Who may go on: the one that ran last, and others if that is no preemption or one is left. */
static int candidates(struct fibre **out, struct fibre *last, int left)
{
	int n = 0;

	if (last && last->alive)
		out[n++] = last;
	if (n && left <= 0)
		return n;
	for (int i = 0; i < FIBRES; i++)
		if (world.fibre[i].alive && &world.fibre[i] != last)
			out[n++] = &world.fibre[i];
	return n;
}

static void run(const struct scene *s)
{
	struct fibre *last = NULL, *may[FIBRES];
	int left = s->preemptions, depth = 0, n;

	world_begin(s);
	while ((n = candidates(may, last, left))) {
		must(depth < DECISIONS);
		if (depth >= tree.n)
			tree.chosen[depth] = 0;
		tree.possible[depth] = (uint8_t)n;
		if (last && last->alive && tree.chosen[depth])
			left--;
		last = may[tree.chosen[depth++]];
		enter(last);
	}
	tree.n = depth;
}

/* The next way through the tree of decisions: false if that was the last. */
static bool next_way(void)
{
	while (tree.n > 0 && tree.chosen[tree.n - 1] + 1 == tree.possible[tree.n - 1])
		tree.n--;
	if (tree.n == 0)
		return false;
	tree.chosen[tree.n - 1]++;
	return true;
}

static void play(const struct scene *s)
{
	uint64_t runs = 0;

	tree.n = 0;
	do {
		run(s);
		judge(s, runs++);
	} while (next_way());
	printf("%-40s %llu orders\n", s->name, (unsigned long long)runs);
}

/* ---- scenes ---- */

static const struct scene two[] = {
	{ "two take the last one", 1, 0, 8, { "T", "T" }, .cpus = NULL },
	{ "two take", 3, 0, 8, { "T", "T" }, .cpus = NULL },
	{ "take beside a give", 2, 1, 8, { "T", "B" }, .cpus = NULL },
	{ "one block given twice", 2, 1, ALL, { "B", "B" }, .cpus = NULL },
	{ "one block given twice, and taken", 1, 1, 6, { "B", "BT" }, .cpus = NULL },
	{ "the same block comes back", 2, 0, 4, { "T", "TGT" }, .cpus = NULL },
	{ "two come and go", 2, 0, 4, { "TG", "TG" }, .cpus = NULL },
	{ "take beside a close", 2, 0, ALL, { "T", "C" }, .cpus = NULL },
	{ "last give beside a close", 2, 1, ALL, { "B", "C" }, .cpus = NULL },
	{ "bad give beside a close", 2, 0, ALL, { "B", "C" }, .cpus = NULL },
	{ "two close", 2, 0, ALL, { "C", "C" }, .cpus = NULL },
	{ "take beside close and open", 2, 0, 5, { "T", "CO" }, .cpus = NULL },
	{ "give beside close and open", 2, 1, 5, { "B", "CO" }, .cpus = NULL },
	{ "bad give beside close, open and take", 1, 0, 5, { "B", "COT" }, .cpus = NULL },
	{ "bad give beside close, open and take of 2", 2, 0, 5, { "B", "COTG" }, .cpus = NULL },
	{ "come and go beside close and open", 2, 0, 4, { "TG", "COT" }, .cpus = NULL },
	{ "close and open twice", 2, 0, 4, { "T", "COCO" }, .cpus = NULL },
	{ "bad give while all is new twice", 1, 0, 4, { "B", "COCO" }, .cpus = NULL },
};

static const struct scene three[] = {
	{ "three take two", 2, 0, 3, { "T", "T", "T" }, .cpus = NULL },
	{ "three come and go", 2, 0, 2, { "TG", "TG", "TG" }, .cpus = NULL },
	{ "one taken away and put back under a take", 3, 0, 3, { "T", "TTG", "T" }, .cpus = NULL },
	{ "one block given thrice", 2, 1, 3, { "B", "B", "B" }, .cpus = NULL },
	{ "given twice beside a take", 1, 1, 3, { "B", "B", "T" }, .cpus = NULL },
	{ "close among them", 1, 0, 3, { "TG", "B", "CO" }, .cpus = NULL },
	{ "give to what was opened anew", 1, 0, 3, { "B", "CO", "TG" }, .cpus = NULL },
	{ "two close and open", 2, 0, 3, { "T", "CO", "C" }, .cpus = NULL },
};

/* Two CPUs, a block in a row, two rows for each CPU. */
static const struct scene hands[] = {
	{ "at hand: two on a CPU take", 2, 0, 5, { "T", "T" }, "000", "0" },
	{ "at hand: two on a CPU take and give", 2, 0, 4, { "TG", "TG" }, "000", "0" },
	{ "at hand: the last one, elsewhere", 1, 0, 4, { "T", "T" }, "010", "1" },
	{ "at hand: the last one, there and elsewhere", 1, 0, 3, { "T", "TG" }, "010", "1" },
	{ "at hand: two steal", 2, 0, 4, { "T", "T" }, "000", "11" },
	{ "at hand: steal beside a give", 2, 1, 4, { "T", "B" }, "010", "1" },
	{ "at hand: empty beside a give", 1, 1, 4, { "T", "B" }, "010", NULL },
	{ "at hand: empty while it moves", 1, 0, 3, { "T", "TGTG" }, "010", "1" },
	{ "at hand: rows are full", 3, 0, 3, { "TG", "TTGT" }, "000", "00" },
	{ "at hand: two close", 1, 0, 4, { "C", "C" }, "010", "0" },
	{ "at hand: take beside a close", 1, 0, 4, { "T", "C" }, "010", "0" },
	{ "at hand: take beside a close on the CPU", 1, 0, 4, { "T", "C" }, "000", "0" },
	{ "at hand: last give beside a close", 1, 1, 4, { "B", "C" }, "010", NULL },
	{ "at hand: bad give beside a close", 1, 0, 4, { "B", "C" }, "010", "1" },
	{ "at hand: steal beside a close", 1, 0, 4, { "T", "C" }, "000", "1" },
	{ "at hand: take beside close and open", 1, 0, 3, { "T", "CO" }, "000", "0" },
	{ "at hand: steal beside close and open", 1, 0, 3, { "T", "CO" }, "010", "1" },
	{ "at hand: come and go beside close and open", 1, 0, 3, { "TG", "COTG" }, "010", "0" },
	{ "at hand: close and open twice", 1, 0, 3, { "T", "COCO" }, "010", "1" },
	{ "at hand: one block given twice on a CPU", 2, 1, 4, { "B", "B" }, "000", NULL },
	{ "at hand: close during an open", 1, 0, 4, { "COT", "C" }, "010", "1" },
	{ "at hand: close and open during an open", 1, 0, 4, { "CO", "CO" }, "010", "0" },
	{ "at hand: close, open and take during an open", 1, 0, 3, { "COTG", "COT" }, "010", "0" },
	{ "at hand: three, one steals", 2, 0, 2, { "TG", "T", "TG" }, "001", "01" },
	{ "at hand: three, one closes and opens", 1, 0, 2, { "T", "TG", "CO" }, "010", "1" },
	{ "at hand: three, a close during an open", 1, 0, 2, { "B", "CO", "CO" }, "010", "0" },
	{ "at hand: three steal two", 2, 0, 2, { "T", "T", "T" }, "011", "01" },
};

/* Two CPUs, a block in a row; opened again, nothing is at hand, and the next time there is. */
static const struct scene bare[] = {
	{ "then nothing: take", 1, 0, 4, { "T", "CO" }, "010", "0" },
	{ "then nothing: steal", 1, 0, 4, { "T", "CO" }, "010", "1" },
	{ "then nothing: come and go", 1, 0, 3, { "TG", "COTG" }, "010", "0" },
	{ "then nothing: bad give", 1, 0, 4, { "B", "COT" }, "010", "0" },
	{ "then nothing: close during an open", 1, 0, 3, { "COT", "CO" }, "010", "0" },
	{ "then nothing, then something", 1, 0, 3, { "T", "COCO" }, "010", "1" },
	{ "then nothing, then something: bad give", 1, 0, 3, { "B", "COCO" }, "010", "0" },
	{ "then nothing: three, a close during an open", 1, 0, 2, { "TG", "CO", "CO" }, "010", "0" },
};

static void scenes_begin(void)
{
	for (int i = 0; i < 2; i++) {
		world.stats[i] = storage_new(sizeof(struct wire_stats));
		world.heads[i] = storage_new(ROWS * sizeof(struct wire_heads));
	}
	world.magazines = storage_new(magazines_size(2));
}

static void scenes_end(void)
{
	for (int i = 0; i < FIBRES; i++) {
		free(world.fibre[i].stack);
		world.fibre[i].stack = NULL;
	}
	for (int i = 0; i < 2; i++) {
		free(world.stats[i]);
		free(world.heads[i]);
	}
	free(world.magazines);
}

static void test_two_threads(void **state)
{
	(void)state;
	scenes_begin();
	for (size_t i = 0; i < ARRAY_SIZE(two); i++)
		play(&two[i]);
	scenes_end();
}

static void test_then_nothing_at_hand(void **state)
{
	(void)state;
	scenes_begin();
	world.bare = true;
	for (size_t i = 0; i < ARRAY_SIZE(bare); i++)
		play(&bare[i]);
	world.bare = false;
	scenes_end();
}

static void test_three_threads(void **state)
{
	(void)state;
	scenes_begin();
	for (size_t i = 0; i < ARRAY_SIZE(three); i++)
		play(&three[i]);
	scenes_end();
}

static void test_at_hand(void **state)
{
	(void)state;
	scenes_begin();
	for (size_t i = 0; i < ARRAY_SIZE(hands); i++)
		play(&hands[i]);
	scenes_end();
	printf("%llu sequences aborted\n", (unsigned long long)sequences_aborted);
	must(sequences_aborted > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_threads),
		cmocka_unit_test(test_at_hand),
		cmocka_unit_test(test_then_nothing_at_hand),
		cmocka_unit_test(test_three_threads),
	};

	return cmocka_run_group_tests_name("blocks-steps", tests, NULL, NULL);
}
