/*
 * load.c: see load.h
 */
#include "tests/story/load.h"

#define WORKERS 2 /* of a process; its third thread creates and deletes */
#define THREADS (LOAD_PROCESSES * (WORKERS + 1))
#define HELD 6

struct held {
	uint32_t *at;
	size_t size;
};

static struct actor *process[LOAD_PROCESSES]; /* the test's */

/* ---- in the actors ---- */

static uint64_t count(unsigned i)
{
	return atomic_load(&board->count[i]);
}

static int fill(uint32_t *at, size_t size, uint32_t value)
{
	for (size_t i = 0; i < size / sizeof(*at); i++)
		at[i] = value;
	return 0;
}

static int verify(const uint32_t *at, size_t size, uint32_t value)
{
	for (size_t i = 0; i < size / sizeof(*at); i++)
		if (at[i] != value)
			return -EIO;
	return 0;
}

static bool is_patience(int r)
{
	return r == -EWOULDBLOCK || r == -ETIMEDOUT;
}

/* Bytes, and where it lies. */
static uint64_t gift_of(size_t offset, size_t size)
{
	return (uint64_t)size << 32 | (offset + 1);
}

static size_t gift_offset(uint64_t gift)
{
	return (uint32_t)gift - 1;
}

/* A block for another process to free; or somebody's that was left for us. */
static int pass_on(struct held *h)
{
	uint64_t none = 0, gift = count(LOAD_GIFT);
	size_t offset;
	void *p;
	int r;

	if (!gift) {
		r = rt_heap_offset(&self.heap[0], h->at, &offset);
		if (r == 0 && atomic_compare_exchange_strong(&board->count[LOAD_GIFT], &none,
							     gift_of(offset, h->size)))
			h->at = NULL;
		return r;
	}
	if (!atomic_compare_exchange_strong(&board->count[LOAD_GIFT], &gift, 0))
		return 0;
	r = rt_heap_pointer(&self.heap[0], gift_offset(gift), &p);
	while (r == 0 && (r = rt_heap_free(&self.heap[0], p)) == -EAGAIN)
		r = usleep(1000);
	return r;
}

static int free_all(struct held *held, uint32_t mine)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < HELD; i++) {
		if (!held[i].at)
			continue;
		r = verify(held[i].at, held[i].size, mine | i);
		if (r == 0)
			r = rt_heap_free(&self.heap[0], take(held[i].at));
	}
	return r;
}

/* One kind of rest: tells that it has begun, and waits for its end. */
static void rest_in(uint64_t mode)
{
	atomic_fetch_add(&board->count[LOAD_RESTING], 1);
	while (count(LOAD_MODE) == mode)
		(void)usleep(500);
}

static int rest(struct held *held, uint32_t mine)
{
	int r = 0;

	if (count(LOAD_MODE) == LOAD_REST) {
		for (uint32_t i = 0; i < HELD; i++)
			atomic_fetch_add(&board->count[LOAD_HELD], held[i].at ? held[i].size : 0);
		rest_in(LOAD_REST);
	}
	if (count(LOAD_MODE) == LOAD_DRAIN) {
		r = free_all(held, mine);
		rest_in(LOAD_DRAIN);
	}
	return r;
}

static int work(struct step *s)
{
	static const size_t sizes[] = {64, 512, 4096, 8192, 20480};
	static const RTIME timeouts[] = {TM_NONBLOCK, MS(1), MS(20)};
	struct held held[HELD] = {{NULL, 0}};
	uint32_t mine = (uint32_t)s->n << 16, seed = (uint32_t)s->n;
	int r = 0;

	while (r == 0 && count(LOAD_MODE) != LOAD_STOP) {
		uint32_t i, dice;

		seed = seed * 1664525u + 1013904223u;
		i = (seed >> 8) % HELD;
		dice = seed >> 16;
		if (!held[i].at) {
			held[i].size = sizes[dice % 5];
			r = rt_heap_alloc(&self.heap[0], held[i].size, timeouts[dice / 8 % 3],
					  (void **)&held[i].at);
			if (r == 0)
				r = fill(held[i].at, held[i].size, mine | i);
			else if (is_patience(r))
				r = 0;
		} else {
			r = verify(held[i].at, held[i].size, mine | i);
			if (r == 0 && dice % 16 == 0)
				r = pass_on(&held[i]);
			else if (r == 0)
				r = rt_heap_free(&self.heap[0], take(held[i].at));
		}
		atomic_fetch_add(&board->count[LOAD_OPS], 1);
		if (r == 0)
			r = rest(held, mine);
	}
	return r == 0 ? free_all(held, mine) : r;
}

/* Heaps come and go: nothing is ever refused, found twice or left behind. */
static int live(struct step *s)
{
	struct held none[HELD] = {{NULL, 0}};
	RT_HEAP_INFO info;
	char name[32];
	RT_HEAP h;
	void *p;
	int r = 0;

	(void)snprintf(name, sizeof(name), "brief%u", (unsigned)s->n);
	while (r == 0 && count(LOAD_MODE) != LOAD_STOP) {
		r = rt_heap_create(&h, name, 16384, H_FIFO);
		if (r == 0)
			r = rt_heap_alloc(&h, 16384, TM_NONBLOCK, &p);
		if (r == 0)
			r = rt_heap_inquire(&h, &info); /* heapd knows it, too */
		if (r == 0 && info.usedmem != 16384)
			r = -EBADE;
		if (r == 0)
			r = rt_heap_delete(&h);
		if (r == 0)
			r = rt_heap_unbind(&h);
		if (r == 0)
			r = rt_heap_create(&h, NULL, 16384, H_FIFO);
		if (r == 0)
			r = rt_heap_alloc(&h, 8192, TM_NONBLOCK, &p);
		if (r == 0)
			r = rt_heap_unbind(&h);
		atomic_fetch_add(&board->count[LOAD_LIVES], 1);
		if (r == 0)
			r = rest(none, 0);
	}
	return r;
}

/* ---- in the test ---- */

void load_begin(const char *heap)
{
	for (unsigned i = 0; i < LOAD_PROCESSES; i++) {
		process[i] = actor_new(WORKERS + 1);
		EXPECT(0, do_bind(&process[i]->lane[0], 0, heap));
		for (unsigned k = 0; k < WORKERS; k++)
			lane_start(&process[i]->lane[k], (struct step){.run = work, .n = WORKERS * i + k + 1});
		lane_start(&process[i]->lane[WORKERS], (struct step){.run = live, .n = i});
	}
}

bool load_is_well(void)
{
	for (unsigned i = 0; i < LOAD_PROCESSES; i++)
		for (unsigned k = 0; k <= WORKERS; k++)
			if (lane_done(&process[i]->lane[k]))
				EXPECT(0, lane_result(&process[i]->lane[k]));
	return true;
}

void load_goes_on(void)
{
	uint64_t ops = count(LOAD_OPS), lives = count(LOAD_LIVES);

	UNTIL(load_is_well() && count(LOAD_OPS) >= ops + 50 && count(LOAD_LIVES) > lives);
}

static void set_mode(uint64_t mode)
{
	atomic_store(&board->count[LOAD_RESTING], 0);
	atomic_store(&board->count[LOAD_MODE], mode);
}

uint64_t load_rest(void)
{
	atomic_store(&board->count[LOAD_HELD], 0);
	set_mode(LOAD_REST);
	UNTIL(load_is_well() && count(LOAD_RESTING) == THREADS);
	return count(LOAD_HELD);
}

void load_drain(void)
{
	set_mode(LOAD_DRAIN);
	UNTIL(load_is_well() && count(LOAD_RESTING) == THREADS);
}

void load_resume(void)
{
	set_mode(LOAD_RUN);
}

void load_end(void)
{
	set_mode(LOAD_STOP);
	for (unsigned i = 0; i < LOAD_PROCESSES; i++)
		for (unsigned k = 0; k <= WORKERS; k++)
			EXPECT(0, lane_result(&process[i]->lane[k]));
}

uint64_t load_gift(void)
{
	return count(LOAD_GIFT) >> 32;
}

void load_take_gift(struct lane *l, int heap)
{
	uint64_t gift = atomic_exchange(&board->count[LOAD_GIFT], 0);

	if (!gift)
		return;
	EXPECT(0, do_pointer(l, heap, ACTOR_BLOCKS - 1, gift_offset(gift)));
	EXPECT(0, do_free(l, heap, ACTOR_BLOCKS - 1));
}
