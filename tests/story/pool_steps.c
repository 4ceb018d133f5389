/*
 * pool_steps.c: see pool_steps.h
 */
#include "tests/story/pool_steps.h"

#define VARIABLE "CONFIG_HEAP_MEM_POOL_SIZE"

void pool_environment(const char *size)
{
	if (size)
		assert_int_equal(0, setenv(VARIABLE, size, 1));
	else
		assert_int_equal(0, unsetenv(VARIABLE));
}

/* ---- in the actor ---- */

static uint8_t pattern(int slot, size_t i)
{
	return (uint8_t)((size_t)slot * 37 + i * 11 + 5);
}

static int keep(int slot, size_t size, void *block)
{
	self.block[slot] = block;
	if (!block)
		return errno > 0 ? -errno : -EPROTO;
	for (size_t i = 0; i < size; i++)
		((uint8_t *)block)[i] = pattern(slot, i);
	return 0;
}

static int run_malloc(struct step *s)
{
	errno = 0;
	return keep(s->slot, s->size, k_malloc(s->size));
}

static int run_aligned(struct step *s)
{
	errno = 0;
	return keep(s->slot, s->size, k_aligned_alloc(s->n, s->size));
}

static int run_calloc(struct step *s)
{
	uint8_t *block;

	errno = 0;
	block = k_calloc(s->n, s->size);
	for (size_t i = 0; block && i < s->n * s->size; i++)
		if (block[i])
			return -EIO;
	return keep(s->slot, block ? s->n * s->size : 0, block);
}

static int run_init(struct step *s)
{
	(void)s;
	return k_heap_mem_pool_init();
}

static int run_free(struct step *s)
{
	errno = 4711;
	k_free((uint8_t *)self.block[s->slot] + (int64_t)s->n);
	return errno == 4711 ? 0 : -EPROTO;
}

static int run_fill(struct step *s)
{
	int r;

	for (s->value = 0;; s->value++) {
		struct step one = {.slot = s->slot + (int)s->value, .size = s->size};

		r = run_malloc(&one);
		if (r)
			return r;
	}
}

static int run_empty(struct step *s)
{
	for (uint64_t i = 0; i < s->n; i++)
		k_free(self.block[s->slot + (int)i]);
	return 0;
}

static int run_check(struct step *s)
{
	const uint8_t *block = self.block[s->slot];

	for (size_t i = 0; i < s->size; i++)
		if (block[i] != pattern(s->slot, i))
			return -EIO;
	return 0;
}

/* ---- the test's side ---- */

int do_k_malloc(struct lane *l, int slot, size_t size)
{
	return lane_run(l, (struct step){.run = run_malloc, .slot = slot, .size = size}).result;
}

int do_k_aligned_alloc(struct lane *l, int slot, size_t align, size_t size)
{
	return lane_run(l,
			(struct step){.run = run_aligned, .slot = slot, .size = size, .n = align})
	    .result;
}

int do_k_calloc(struct lane *l, int slot, size_t nmemb, size_t size)
{
	return lane_run(l, (struct step){.run = run_calloc, .slot = slot, .size = size, .n = nmemb})
	    .result;
}

int do_k_init(struct lane *l)
{
	return lane_run(l, (struct step){.run = run_init}).result;
}

void do_k_free_beside(struct lane *l, int slot, long by)
{
	EXPECT(0,
	       lane_run(l, (struct step){.run = run_free, .slot = slot, .n = (uint64_t)by}).result);
}

void do_k_free(struct lane *l, int slot)
{
	do_k_free_beside(l, slot, 0);
}

int pool_fill(struct lane *l, int first, size_t size)
{
	struct step s = lane_run(l, (struct step){.run = run_fill, .slot = first, .size = size});

	EXPECT(-ENOMEM, s.result);
	return (int)s.value;
}

void pool_empty(struct lane *l, int first, int n)
{
	EXPECT(
	    0,
	    lane_run(l, (struct step){.run = run_empty, .slot = first, .n = (uint64_t)n}).result);
}

int pool_check(struct lane *l, int slot, size_t size)
{
	return lane_run(l, (struct step){.run = run_check, .slot = slot, .size = size}).result;
}

/* ---- what heapd says ---- */

/* Calls found for each pool that the daemon lists. */
static void each_pool(void (*found)(const struct wire_entry *e, void *ctx), void *ctx)
{
	struct raw r = RAW_NULL;
	uint64_t cursor = 0;

	raw_open(&r);
	do {
		struct frame f;
		const struct wire_list *list;

		((struct wire_target *)frame_init(&f, OP_LIST, 0, 0, sizeof(struct wire_target)))
		    ->cursor = cursor;
		EXPECT(STATUS_OK, raw_call(&r, &f));
		list = FRAME_BODY(&f, struct wire_list);
		for (uint32_t i = 0; i < list->n; i++)
			if (list->entry[i].kind == KIND_POOL)
				found(&list->entry[i], ctx);
		cursor = list->cursor;
	} while (cursor);
	raw_close(&r);
}

static void count_pool(const struct wire_entry *e, void *ctx)
{
	(void)e;
	++*(unsigned *)ctx;
}

unsigned watch_pools(void)
{
	unsigned n = 0;

	each_pool(count_pool, &n);
	return n;
}

static void take_pool(const struct wire_entry *e, void *ctx)
{
	struct wire_entry *wanted = ctx;

	if (e->pid == wanted->pid)
		*wanted = *e;
}

struct wire_entry watch_pool(pid_t pid, struct wire_pool *detail)
{
	struct wire_entry e = {.pid = pid};
	struct raw r = RAW_NULL;
	struct frame f;

	each_pool(take_pool, &e);
	assert_true(e.heap != 0);
	raw_open(&r);
	((struct wire_target *)frame_init(&f, OP_DETAIL, 0, 0, sizeof(struct wire_target)))->heap =
	    e.heap;
	EXPECT(STATUS_OK, raw_call(&r, &f));
	assert_int_equal(KIND_POOL, FRAME_BODY(&f, struct wire_detail)->kind);
	if (detail)
		*detail = FRAME_BODY(&f, struct wire_detail)->pool;
	raw_close(&r);
	return e;
}
