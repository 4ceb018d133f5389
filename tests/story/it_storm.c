/*
 * Story: everything at once
 *
 * Several processes of several threads do at random whatever a program may do with heaps: create, delete, bind, unbind,
 * take with all kinds of timeouts, free, free blocks of other processes, inquire, use stale descriptors, fork. Meanwhile
 * they are interrupted by signals, stopped and killed; or heapd is killed and started anew.
 *
 * What must hold: no call gives an errno that its page of the manual does not have, nothing hangs, and no byte is ever handed
 * out twice: each block is filled by its taker and looked at before it is freed. In the end every byte of the pool
 * can be taken, and the survivors have as many descriptors and mappings as before the storm.
 * What happens is not the same in any two runs; nothing here depends on the clock but how long it lasts.
 */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define PAGE 4096u
#define BYTES (24 * PAGE)
#define NAMES 3u           /* "storm0", bound by all for the whole first storm, and those that come and go */
#define HOLDS 12u
#define LETTERS 16u
#define THREADS 3u         /* that play in each process, in the lanes 1 .. */
#define PROCESSES 3u
#define STORM_NS (3 * NSEC_PER_SEC)
#define OVER 0             /* board->count: not 0 at the end */
#define CYCLES 1           /* how many heaps were bound */
#define TAKEN 2            /* how many blocks */

/* A block on its way to whoever frees it. */
struct letter {
	_Atomic uint32_t state; /* 0: free; 1: somebody reads or writes it; 2: a letter */
	size_t offset, size;
	uint64_t seed;
};
static struct letter *mail; /* shared by all */

struct hold {
	uint64_t *block, seed;
	size_t size;
	unsigned heap;
};

enum { PLAY_MAIL = 1, PLAY_FORK = 2, PLAY_DELETE_ALL = 4, PLAY_NO_DAEMON = 8 };

struct player {
	struct step *step;
	uint64_t random, seed;
	int flags;
	int failed;
	RT_HEAP heap[NAMES];
	bool bound[NAMES];
	struct hold hold[HOLDS];
	unsigned n;
};

static uint32_t random_below(struct player *p, uint32_t n)
{
	p->random ^= p->random << 13;
	p->random ^= p->random >> 7;
	p->random ^= p->random << 17;
	return (uint32_t)(p->random >> 20) % n;
}

static void fail_with(struct player *p, const char *what, int r)
{
	if (p->failed)
		return;
	p->failed = r ? r : -EIO;
	(void)snprintf(p->step->text, sizeof(p->step->text), "%s: %s", what, r < 0 ? strerrorname_np(-r) : "wrong");
}

/* The call may give 0 and those. A daemon that comes and goes may also not be there. */
static int allow(struct player *p, const char *call, int r, const int *allowed)
{
	if (r == 0 || (r == -ECONNREFUSED && (p->flags & PLAY_NO_DAEMON)))
		return r;
	for (; *allowed; allowed++)
		if (r == *allowed)
			return r;
	fail_with(p, call, r);
	return r;
}
#define ALLOW(p, call, ...) allow(p, #call, call, (const int[]){ __VA_ARGS__ __VA_OPT__(,) 0 })

static void fill(uint64_t *block, size_t size, uint64_t seed)
{
	for (size_t i = 0; i < size / sizeof(*block); i++)
		block[i] = seed + i;
}

static bool is_whole(const uint64_t *block, size_t size, uint64_t seed)
{
	for (size_t i = 0; i < size / sizeof(*block); i++)
		if (block[i] != seed + i)
			return false;
	return true;
}

/* ---- moves ---- */

static const char *name_of(unsigned h)
{
	static const char *const names[NAMES] = { "storm0", "storm1", "storm2" };

	return names[h];
}

static void come(struct player *p, unsigned h)
{
	static const RTIME patience[] = { TM_NONBLOCK, 300000, 3000000 };
	int r;

	if (random_below(p, 2))
		r = ALLOW(p, rt_heap_create(&p->heap[h], name_of(h), BYTES, random_below(p, 2) ? H_PRIO : H_FIFO),
			  -EEXIST);
	else
		r = ALLOW(p, rt_heap_bind_timed(&p->heap[h], name_of(h), patience[random_below(p, 3)]),
			  -EWOULDBLOCK, -ETIMEDOUT, -EINTR);
	p->bound[h] = r == 0;
	atomic_fetch_add(&board->count[CYCLES], r == 0);
}

static void take_block(struct player *p, unsigned h)
{
	static const RTIME patience[] = { TM_NONBLOCK, TM_NONBLOCK, 1, 100000, 2000000 };
	size_t size = random_below(p, 2) ? 16 + random_below(p, 1000) * 8 : random_below(p, 3 * PAGE) / 8 * 8 + 8;
	struct timespec at = { 0 };
	void *block;
	int r;

	if (p->n == HOLDS)
		return;
	if (random_below(p, 8) == 0)
		r = ALLOW(p, rt_heap_alloc_until(&p->heap[h], size, &at, &block), -ETIMEDOUT, -EIDRM);
	else
		r = ALLOW(p, rt_heap_alloc(&p->heap[h], size, patience[random_below(p, 5)], &block),
			  -EWOULDBLOCK, -ETIMEDOUT, -EINTR, -EIDRM);
	if ((r == 0) != (block != NULL))
		fail_with(p, "*blockp", r);
	if (r || !block)
		return;
	p->seed += 1u << 20;
	p->hold[p->n++] = (struct hold){ .block = block, .seed = p->seed, .size = size, .heap = h };
	fill(block, size, p->seed);
	atomic_fetch_add(&board->count[TAKEN], 1);
}

static void free_block(struct player *p, unsigned i)
{
	struct hold *b = &p->hold[i];

	if (!is_whole(b->block, b->size, b->seed))
		fail_with(p, "another's writing in a block", 0);
	(void)ALLOW(p, rt_heap_free(&p->heap[b->heap], b->block), -EIDRM);
	*b = p->hold[--p->n];
}

static void free_all_of(struct player *p, unsigned h)
{
	for (unsigned i = p->n; i-- > 0;)
		if (p->hold[i].heap == h)
			free_block(p, i);
}

static void leave(struct player *p, unsigned h)
{
	RT_HEAP stale = p->heap[h];
	void *block;
	int r;

	free_all_of(p, h);
	do { /* others of our threads wait in it: not for ever */
		r = ALLOW(p, rt_heap_unbind(&p->heap[h]), -EBUSY);
	} while (r == -EBUSY);
	p->bound[h] = false;
	if (rt_heap_alloc(&stale, 16, TM_NONBLOCK, &block) != -EINVAL || rt_heap_unbind(&stale) != -EINVAL)
		fail_with(p, "a stale descriptor", 0);
}

static void ask(struct player *p, unsigned h)
{
	RT_HEAP_INFO info;

	if (ALLOW(p, rt_heap_inquire(&p->heap[h], &info), -EIDRM) == 0 &&
	    (info.usedmem > info.usablemem || info.usablemem != BYTES || strcmp(info.name, name_of(h)) != 0))
		fail_with(p, "inquired", 0);
}

static bool letter_take(struct letter *l, uint32_t state)
{
	return atomic_compare_exchange_strong(&l->state, &state, 1);
}

/* Hands a block of the pool to whoever frees it. */
static void post_letter(struct player *p, unsigned i)
{
	struct letter *l = &mail[random_below(p, LETTERS)];
	struct hold *b = &p->hold[i];

	if (b->heap != 0 || !letter_take(l, 0))
		return;
	l->size = b->size;
	l->seed = b->seed;
	(void)ALLOW(p, rt_heap_offset(&p->heap[0], b->block, &l->offset));
	atomic_store(&l->state, 2);
	*b = p->hold[--p->n];
}

static void read_letter(struct player *p, struct letter *l)
{
	void *block;
	int r;

	if (!letter_take(l, 2))
		return;
	r = ALLOW(p, rt_heap_pointer(&p->heap[0], l->offset, &block));
	if (r == 0 && !is_whole(block, l->size, l->seed))
		fail_with(p, "another's writing in a letter", 0);
	if (r == 0)
		r = ALLOW(p, rt_heap_free(&p->heap[0], block), -EAGAIN);
	atomic_store(&l->state, r == -EAGAIN ? 2 : 0);
}

static void try_local(struct player *p)
{
	RT_HEAP local;
	void *block;

	if (ALLOW(p, rt_heap_create(&local, NULL, 8 * PAGE, H_FIFO)))
		return;
	if (ALLOW(p, rt_heap_alloc(&local, 8 * PAGE, TM_NONBLOCK, &block)) == 0) {
		fill(block, 8 * PAGE, p->seed);
		(void)ALLOW(p, rt_heap_free(&local, block));
	}
	if (random_below(p, 2))
		(void)ALLOW(p, rt_heap_delete(&local));
	(void)ALLOW(p, rt_heap_unbind(&local));
}

/* The child of a fork: 0 if all is as it should be, else the number of what is not. */
static int play_child(struct player *p, unsigned h)
{
	RT_HEAP heap;
	void *block;
	int r;

	if (rt_heap_alloc(&p->heap[h], 16, TM_INFINITE, &block) != -EPERM || rt_heap_unbind(&p->heap[h]) != -EPERM)
		return 1;
	if (rt_heap_bind(&heap, name_of(0)) < 0)
		return 2;
	r = rt_heap_alloc(&heap, PAGE, TM_NONBLOCK, &block);
	if (r == 0) {
		fill(block, PAGE, 42);
		r = is_whole(block, PAGE, 42) ? rt_heap_free(&heap, block) : -EIO;
	} else if (r == -EWOULDBLOCK) {
		r = 0;
	}
	return r ? 3 : rt_heap_unbind(&heap) ? 4 : 0;
}

static void try_fork(struct player *p, unsigned h)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(play_child(p, h));
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status != 0)
		fail_with(p, "a forked child", -(status >> 8));
}

/* A descriptor that all threads of a process use and end, in any order: whatever it says, nothing crashes. */
static struct {
	pthread_mutex_t lock;
	RT_HEAP heap;
} common = { .lock = PTHREAD_MUTEX_INITIALIZER };

static RT_HEAP common_heap(void)
{
	RT_HEAP heap;

	(void)pthread_mutex_lock(&common.lock);
	heap = common.heap;
	(void)pthread_mutex_unlock(&common.lock);
	return heap;
}

static void bind_common(struct player *p)
{
	RT_HEAP heap, old;

	if (ALLOW(p, rt_heap_bind_timed(&heap, name_of(1), TM_NONBLOCK), -EWOULDBLOCK, -EINTR))
		return;
	(void)pthread_mutex_lock(&common.lock);
	old = common.heap;
	common.heap = heap;
	(void)pthread_mutex_unlock(&common.lock);
	while (rt_heap_unbind(&old) == -EBUSY)
		;
}

static void use_common(struct player *p)
{
	RT_HEAP heap = common_heap(), copy = heap;
	RT_HEAP_INFO info;
	size_t offset;
	void *block;

	if (ALLOW(p, rt_heap_pointer(&heap, 64, &block), -EINVAL, -EIDRM) == 0)
		(void)ALLOW(p, rt_heap_offset(&heap, block, &offset), -EINVAL, -EIDRM);
	switch (random_below(p, 8)) {
	case 0:
		bind_common(p);
		break;
	case 1:
		(void)ALLOW(p, rt_heap_unbind(&copy), -EINVAL, -EBUSY);
		break;
	case 2:
		(void)ALLOW(p, rt_heap_inquire(&heap, &info), -EINVAL, -EIDRM);
		break;
	default: /* the block is not touched: another thread may unbind the heap any moment */
		if (ALLOW(p, rt_heap_alloc(&heap, 100, random_below(p, 2) ? TM_NONBLOCK : 50000, &block), -EINVAL,
			  -EIDRM, -EWOULDBLOCK, -ETIMEDOUT, -EINTR) == 0)
			(void)ALLOW(p, rt_heap_free(&heap, block), -EINVAL, -EIDRM);
		break;
	}
}

static void move(struct player *p)
{
	unsigned h = random_below(p, NAMES), what = random_below(p, 100);

	if (what == 0)
		try_local(p);
	else if (what > 92)
		use_common(p);
	else if (!p->bound[h])
		come(p, h);
	else if (what == 1 && (p->flags & PLAY_FORK) && random_below(p, 10) == 0)
		try_fork(p, h);
	else if (what < 4 && (h > 0 || (p->flags & PLAY_DELETE_ALL)))
		(void)ALLOW(p, rt_heap_delete(&p->heap[h]), -EIDRM);
	else if (what < 8)
		leave(p, h);
	else if (what < 12)
		ask(p, h);
	else if (what < 55)
		take_block(p, h);
	else if (what < 65 && (p->flags & PLAY_MAIL) && h == 0)
		read_letter(p, &mail[random_below(p, LETTERS)]);
	else if (what < 75 && (p->flags & PLAY_MAIL) && p->n)
		post_letter(p, random_below(p, p->n));
	else if (p->n)
		free_block(p, random_below(p, p->n));
}

static int run_player(struct step *s)
{
	struct player p = { .step = s, .random = s->n, .seed = s->n << 32, .flags = s->mode };

	while (!p.failed && !atomic_load(&board->count[OVER]))
		move(&p);
	for (unsigned h = 0; h < NAMES; h++)
		if (p.bound[h] && !p.failed)
			leave(&p, h);
	for (RT_HEAP heap = common_heap(); rt_heap_unbind(&heap) == -EBUSY; heap = common_heap())
		; /* the last thread to come here leaves nothing bound */
	return p.failed;
}

static int run_read_all(struct step *s)
{
	struct player p = { .step = s };

	p.heap[0] = self.heap[0];
	for (unsigned i = 0; i < LETTERS; i++)
		while (!p.failed && atomic_load(&mail[i].state))
			read_letter(&p, &mail[i]);
	return p.failed;
}

/* ---- what a process has ---- */

/* .n: descriptors; .value: arenas mapped; .size: KiB of address space. */
static int run_count(struct step *s)
{
	char line[512];
	FILE *f = fopen("/proc/self/maps", "re");
	DIR *d = opendir("/proc/self/fd");

	s->n = s->value = s->size = 0;
	while (d && readdir(d))
		s->n++;
	while (f && fgets(line, sizeof(line), f))
		s->value += strstr(line, " rw-s ") && strstr(line, "memfd:") && !strstr(line, "stat");
	if (f)
		(void)fclose(f);
	if (d)
		(void)closedir(d);
	f = fopen("/proc/self/status", "re");
	while (f && fgets(line, sizeof(line), f))
		(void)sscanf(line, "VmSize: %zu", &s->size);
	if (f)
		(void)fclose(f);
	return 0;
}

struct count {
	uint64_t fds, arenas, kib;
};

static struct count count_in(struct actor *a)
{
	struct step s = lane_run(&a->lane[0], (struct step){ .run = run_count });

	return (struct count){ .fds = s.n, .arenas = s.value, .kib = s.size };
}

/* Whatever was bound and unbound between the two left nothing. */
static void expect_same(struct actor *a, struct count before)
{
	struct count after = count_in(a);

	assert_int_equal(before.fds, after.fds);
	assert_int_equal(before.arenas, after.arenas);
	if (!STORY_SANITIZED && after.kib > before.kib + 1024) {
		print_error("the address space grew from %ju to %ju KiB\n", (uintmax_t)before.kib, (uintmax_t)after.kib);
		fail();
	}
}

/* ---- the test ---- */

static uint64_t dice;

static uint32_t throw_dice(uint32_t n)
{
	dice = dice * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(dice >> 33) % n;
}

static void storm_begin(void)
{
	mail = mmap(NULL, LETTERS * sizeof(*mail), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(mail != MAP_FAILED);
	dice = now_ns();
}

static void let_play(struct actor *a, int flags)
{
	for (unsigned i = 1; i <= THREADS; i++)
		lane_start(&a->lane[i], (struct step){ .run = run_player, .mode = flags, .n = 1 + throw_dice(1u << 30) });
}

static void until_played(struct actor *a)
{
	for (unsigned i = 1; i <= THREADS; i++) {
		struct step s = lane_finish(&a->lane[i]);

		if (s.result) {
			print_error("%s\n", s.text);
			fail();
		}
	}
}

static struct actor *new_victim(void)
{
	struct actor *a = actor_new(1 + THREADS);

	let_play(a, 0);
	return a;
}

static void wait_ms(uint32_t ms)
{
	const struct timespec ts = { .tv_nsec = ms * 1000000L };

	(void)nanosleep(&ts, NULL);
}

/* Signals, stops, deaths. */
static void trouble(struct actor **players, struct actor **victim)
{
	struct actor *a = players[throw_dice(PROCESSES)];

	switch (throw_dice(8)) {
	case 0:
		actor_kill(*victim);
		*victim = new_victim();
		break;
	case 1:
	case 2:
		actor_stop(a);
		wait_ms(1 + throw_dice(15));
		actor_continue(a);
		break;
	default:
		lane_signal(&a->lane[1 + throw_dice(THREADS)], SIGUSR1);
		break;
	}
	wait_ms(throw_dice(12));
}

static void all_of_the_pool_is_there(struct actor *a)
{
	EXPECT(0, do_alloc(&a->lane[0], 0, 0, BYTES, TM_INFINITE));
	EXPECT(0, do_free(&a->lane[0], 0, 0));
	EXPECT(BYTES / PAGE, take_all(&a->lane[0], 0, 0, PAGE, BYTES / PAGE).result);
	EXPECT(0, free_range(&a->lane[0], 0, 0, BYTES / PAGE));
}

/* Two rounds: what the first one leaves (stacks, the C library's own) the second must not double. */
static void clients_in_a_storm(void)
{
	struct actor *players[PROCESSES], *victim;
	struct count before[PROCESSES];

	storm_begin();
	heapd_start("");
	for (unsigned i = 0; i < PROCESSES; i++) {
		players[i] = actor_new(1 + THREADS);
		EXPECT(0, catch_signal(&players[i]->lane[0], false));
		EXPECT(0, i ? do_bind(&players[i]->lane[0], 0, "storm0") :
			      do_create(&players[i]->lane[0], 0, "storm0", BYTES, H_FIFO));
	}
	for (unsigned round = 0; round < 2; round++) {
		uint64_t until = now_ns() + STORM_NS;

		atomic_store(&board->count[OVER], 0);
		victim = new_victim();
		for (unsigned i = 0; i < PROCESSES; i++)
			let_play(players[i], PLAY_MAIL | PLAY_FORK);
		while (now_ns() < until)
			trouble(players, &victim);
		atomic_store(&board->count[OVER], 1);
		until_played(victim);
		for (unsigned i = 0; i < PROCESSES; i++)
			until_played(players[i]);
		actor_quit(victim);
		EXPECT(0, lane_run(&players[0]->lane[0], (struct step){ .run = run_read_all }).result);
		UNTIL(watch_bound("storm0") == PROCESSES && watch_parked("storm0") == 0);
		for (unsigned i = 0; i < PROCESSES; i++) {
			all_of_the_pool_is_there(players[i]);
			if (round)
				expect_same(players[i], before[i]);
			before[i] = count_in(players[i]);
		}
	}
	assert_int_equal(0, watch_stat().parked_binds);
	print_message("%ju blocks, %ju bindings, %ju signals\n", (uintmax_t)atomic_load(&board->count[TAKEN]),
		      (uintmax_t)atomic_load(&board->count[CYCLES]),
		      (uintmax_t)atomic_load(&board->count[BOARD_SIGNALS]));
}

static void heapd_in_a_storm(void)
{
	struct actor *players[PROCESSES];
	struct count before[PROCESSES];

	storm_begin();
	heapd_start("");
	for (unsigned i = 0; i < PROCESSES; i++)
		players[i] = actor_new(1 + THREADS);
	for (unsigned round = 0; round < 2; round++) {
		atomic_store(&board->count[OVER], 0);
		for (unsigned i = 0; i < PROCESSES; i++)
			let_play(players[i], PLAY_DELETE_ALL | PLAY_NO_DAEMON);
		for (unsigned i = 0; i < 10; i++) {
			wait_ms(50 + throw_dice(200));
			heapd_kill();
			wait_ms(throw_dice(10));
			heapd_start("");
		}
		atomic_store(&board->count[OVER], 1);
		for (unsigned i = 0; i < PROCESSES; i++)
			until_played(players[i]);
		for (unsigned i = 0; i < PROCESSES; i++) { /* all have a session again, and nothing else */
			EXPECT(0, do_create(&players[i]->lane[0], 0, "after", BYTES, H_FIFO));
			all_of_the_pool_is_there(players[i]);
			EXPECT(0, do_delete(&players[i]->lane[0], 0));
			EXPECT(0, do_unbind(&players[i]->lane[0], 0));
			if (round)
				expect_same(players[i], before[i]);
			before[i] = count_in(players[i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(clients_in_a_storm),
		STORY(heapd_in_a_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
