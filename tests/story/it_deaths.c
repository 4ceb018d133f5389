/*
 * it_deaths.c: a storm of processes that are killed, and after each gust everything is counted
 *
 * Victims do whatever a program may do with all four interfaces: take, wait, free, free blocks of others, create, delete, bind,
 * wait for what never comes, fork. Each dies by SIGKILL: at a random moment, or by its own hand at a named point of the
 * library (client/point.h). Two survivors work on the same heap all the while. After each gust, when the victims are gone:
 * - the bytes that the daemon counts as used are those that the survivors hold, to the byte;
 * - no session, request, heap, descriptor or mapping of the daemon is left of the dead, and its memory has not grown;
 * - the audit of every allocator of the survivors passes, and each of them can have the whole heap.
 *
 * STORY_KILLS: how many shall die (a few hundred). Links the library's test build, as it_points.c does.
 */
#include "story.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "client/heap.h"
#include "client/multi_heap.h"
#include "client/partitions.h"
#include "client/point.h"
#include "heapclient/k_malloc.h"
#include "heapclient/pt.h"
#include "heapclient/rt_heap.h"
#include "heapclient/shared_multi_heap.h"
#include "raw.h"

#define PAGES 32u
#define HELD 24u
#define GIFTS 6u
#define SURVIVORS 2u
#define VICTIMS 6u
#define BRIEF 3u /* names that come and go */
#define POINT_MS 40 /* that those who are to die at a point have to get there; else they are killed too */
#define POOL_BYTES "4096"
#define ALWAYS_HELD (SURVIVORS * 64u) /* bytes: a block of each one's heap memory pool, which makes the pool */
#define CLAIMED ((size_t)1 << 63)
#define GONE_BAD 3

enum { PLAY, REST, EMPTY, FULL, N_PHASES };

/* Between the processes. */
static struct stage {
	_Atomic uint32_t phase;           /* counts up; what to do is the rest by N_PHASES */
	_Atomic uint32_t done[SURVIVORS]; /* the last phase each has done */
	_Atomic uint64_t held[SURVIVORS]; /* bytes, at REST */
	_Atomic size_t gift[SURVIVORS][GIFTS]; /* offset + 1 of a block that a victim may free; 0: none */
	_Atomic uint32_t died_at[POINT_COUNT];
} *stage;

/* ---- points ---- */

static int kill_at = -1;
static _Atomic int passes_left;
static _Atomic uint32_t passes;

void point_reached(enum point p)
{
	if ((int)p == kill_at && atomic_fetch_sub(&passes_left, 1) == 0) {
		atomic_fetch_add(&stage->died_at[p], 1);
		(void)raise(SIGKILL);
	}
	if (atomic_fetch_add_explicit(&passes, 1, memory_order_relaxed) % 8 == 0)
		(void)sched_yield();
}

/* ---- what survivors and victims have in common ---- */

struct worker {
	RT_HEAP heap;
	uint64_t random;
	unsigned survivor; /* which; SURVIVORS: a victim */
	void *held[HELD];
	size_t size[HELD];
};

static unsigned roll(struct worker *w, unsigned n)
{
	w->random = w->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(w->random >> 40) % n;
}

/* What no death of another process may cause ends this one, and the test with it. */
static void sane(int r, const char *what)
{
	if (r == 0 || r == -EWOULDBLOCK || r == -ETIMEDOUT)
		return;
	(void)fprintf(stderr, "%s: %s\n", what, strerror(-r));
	_exit(GONE_BAD);
}

static void must(bool so, const char *what)
{
	if (so)
		return;
	(void)fprintf(stderr, "not so: %s\n", what);
	_exit(GONE_BAD);
}

static void leave_gift(struct worker *w, unsigned i)
{
	size_t offset, none = 0;

	sane(rt_heap_offset(&w->heap, w->held[i], &offset), "offset");
	if (atomic_compare_exchange_strong(&stage->gift[w->survivor][roll(w, GIFTS)], &none, offset + 1))
		w->held[i] = NULL;
}

/* It stays marked until it is freed: its owner looks, should we die. */
static void take_gift(struct worker *w)
{
	_Atomic size_t *gift = &stage->gift[roll(w, SURVIVORS)][roll(w, GIFTS)];
	size_t offset = atomic_load(gift);
	void *p;

	if (!offset || (offset & CLAIMED) || !atomic_compare_exchange_strong(gift, &offset, offset | CLAIMED))
		return;
	sane(rt_heap_pointer(&w->heap, offset - 1, &p), "pointer");
	sane(rt_heap_free(&w->heap, p), "free of a gift");
	atomic_store(gift, 0);
}

/* One move with blocks of the pool. Sizes are what they cost, so that sums are exact. */
static void move(struct worker *w)
{
	static const size_t sizes[] = { 64, 512, 4096, 4096, 8192, 16384 };
	static const RTIME patience[] = { TM_NONBLOCK, 300000, 3000000, TM_INFINITE };
	bool victim = w->survivor == SURVIVORS;
	unsigned i = roll(w, HELD);

	if (victim && roll(w, 4) == 0)
		take_gift(w);
	if (!w->held[i]) {
		w->size[i] = sizes[roll(w, ARRAY_SIZE(sizes))];
		sane(rt_heap_alloc(&w->heap, w->size[i], patience[roll(w, victim ? 4 : 3)], &w->held[i]), "alloc");
		if (w->held[i])
			*(char *)w->held[i] = 1;
	} else if (!victim && roll(w, 3) == 0) {
		leave_gift(w, i);
	} else {
		sane(rt_heap_free(&w->heap, w->held[i]), "free");
		w->held[i] = NULL;
	}
}

/* The other interfaces: their memory is this process's alone. */
struct others {
	int pt;
	void *block[8], *region[8], *pool[8];
};

static void others_begin(struct others *o)
{
	struct shared_multi_heap_region region = { .attr = SMH_REG_ATTR_CACHEABLE, .size = 65536 };

	memset(o, 0, sizeof(*o));
	o->pt = pt_create(100, 8);
	must(o->pt >= 0, "a partition");
	sane(shared_multi_heap_pool_init(), "pool_init");
	sane(shared_multi_heap_add(&region, NULL), "add");
	must(k_malloc(0) != NULL, "a pool"); /* stays */
}

static void others_move(struct worker *w, struct others *o)
{
	unsigned i = roll(w, 8);

	if (o->block[i])
		pt_freeblock(o->pt, o->block[i]);
	o->block[i] = o->block[i] ? NULL : pt_getblock(o->pt);
	if (o->region[i])
		shared_multi_heap_free(o->region[i]);
	o->region[i] = o->region[i] ? NULL : shared_multi_heap_alloc(SMH_REG_ATTR_CACHEABLE, 1 + roll(w, 20000));
	k_free(o->pool[i]);
	o->pool[i] = o->pool[i] ? NULL : k_malloc(roll(w, 300));
}

static void others_end(struct others *o)
{
	for (unsigned i = 0; i < 8; i++) {
		pt_freeblock(o->pt, take(o->block[i]));
		shared_multi_heap_free(take(o->region[i]));
		k_free(take(o->pool[i]));
	}
}

/* ---- a victim ---- */

static void *victim_works(void *arg)
{
	for (;;)
		move(arg);
	return NULL;
}

static void *victim_uses_others(void *arg)
{
	struct worker *w = arg;
	struct others o;
	int pt;

	others_begin(&o);
	for (;;) {
		others_move(w, &o);
		if (roll(w, 50))
			continue;
		pt = pt_create(64, 4);
		must(pt >= 0 && pt_destroy(pt) == 0, "a partition of short life");
	}
	return NULL;
}

/* The child has what its parent had, and does not keep it when that dies. */
static void victim_forks(struct worker *w)
{
	RT_HEAP heap;
	void *p;
	pid_t pid = fork();

	if (pid == 0) {
		must(rt_heap_alloc(&w->heap, 64, TM_NONBLOCK, &p) == -EPERM, "inherited");
		if (rt_heap_bind_timed(&heap, "pool", TM_NONBLOCK) == 0)
			sane(rt_heap_alloc(&heap, 64, TM_NONBLOCK, &p), "alloc in a child");
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Heaps come and go, binds wait in vain. Other victims do the same with the same names. */
static void *victim_lives(void *arg)
{
	struct worker *w = arg;
	RT_HEAP_INFO info;
	char name[16];
	RT_HEAP h;
	void *p;
	int r;

	for (;;) {
		(void)snprintf(name, sizeof(name), "brief-%u", roll(w, BRIEF));
		switch (roll(w, 5)) {
		case 0:
			sane(rt_heap_bind_timed(&h, "never", 1000000), "bind to nothing");
			continue;
		case 1:
			r = rt_heap_create(&h, NULL, 8192, roll(w, 2) ? H_FIFO : H_SINGLE);
			break;
		case 2:
			sane(rt_heap_inquire(&w->heap, &info), "inquire");
			if (roll(w, 8) == 0)
				victim_forks(w);
			continue;
		default:
			r = rt_heap_create(&h, name, 8192, roll(w, 2) ? H_PRIO : H_SHARED);
			if (r == -EEXIST)
				r = rt_heap_bind_timed(&h, name, 500000);
		}
		if (r)
			continue;
		(void)rt_heap_alloc(&h, 0, TM_NONBLOCK, &p);
		if (roll(w, 2))
			(void)rt_heap_delete(&h);
		sane(rt_heap_unbind(&h), "unbind");
	}
	return NULL;
}

static void victim(uint64_t seed, int point, int pass)
{
	static struct worker w[4];
	pthread_t thread;

	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	kill_at = point;
	atomic_store(&passes_left, pass);
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++) {
		w[i].random = seed * 8 + i;
		w[i].survivor = SURVIVORS;
	}
	sane(rt_heap_bind(&w[0].heap, "pool"), "bind");
	for (unsigned i = 1; i < ARRAY_SIZE(w); i++)
		w[i].heap = w[0].heap;
	(void)pthread_create(&thread, NULL, victim_works, &w[1]);
	(void)pthread_create(&thread, NULL, victim_lives, &w[2]);
	(void)pthread_create(&thread, NULL, victim_uses_others, &w[3]);
	victim_works(&w[0]);
}

/* ---- a survivor ---- */

static _Atomic int playing;
static atomic_bool allowed; /* by the main thread, that looks at what the others have when it is not */

static bool may_play(void)
{
	atomic_fetch_add(&playing, 1);
	if (atomic_load(&allowed))
		return true;
	atomic_fetch_sub(&playing, 1);
	(void)usleep(200);
	return false;
}

static void *survivor_works(void *arg)
{
	for (;;)
		if (may_play()) {
			move(arg);
			atomic_fetch_sub(&playing, 1);
		}
	return NULL;
}

static struct heap *pool;

static void audit_heap(struct heap *h, void *ctx)
{
	(void)ctx;
	lock_take(&h->lock);
	if (h->named && strcmp(h->name, "pool") == 0)
		pool = h;
	must(!h->bucket.stats || hand_check(&h->hand) == 0, "the audit of a heap");
	must(waitq_check(&h->waitq) == 0 && h->waitq.n == 0, "the audit of a queue");
	lock_give(&h->lock);
}

static void audit(const struct others *o)
{
	heap_table_lock();
	heap_for_each(audit_heap, NULL);
	heap_table_unlock();
	must(blocks_check(&partition_table_[o->pt].blocks) == 0, "the audit of a partition");
	must(regions_check(&multi_heap_.regions) == 0, "the audit of regions");
}

static bool holds(const struct worker *w, size_t n, const void *p)
{
	for (size_t i = 0; i < n; i++)
		for (unsigned k = 0; k < HELD; k++)
			if (w[i].held[k] == p)
				return true;
	return false;
}

/*
 * Gifts that nobody took, or whose taker died: freed or not, that is the question. What victims sent has come to the daemon or
 * never will; what that sent us is handled before the creation of a heap, which is an event behind it.
 */
static void sweep_gifts(struct worker *w, size_t n)
{
	RT_HEAP local;

	sane(rt_heap_create(&local, NULL, 4096, H_FIFO), "create");
	sane(rt_heap_unbind(&local), "unbind");
	for (unsigned i = 0; i < GIFTS; i++) {
		size_t offset = atomic_exchange(&stage->gift[w->survivor][i], 0) & ~CLAIMED;
		bool there;
		void *p;

		if (!offset)
			continue;
		sane(rt_heap_pointer(&w->heap, offset - 1, &p), "pointer");
		lock_take(&pool->lock);
		there = bucket_size(&pool->bucket, offset - 1) != 0;
		lock_give(&pool->lock);
		if (there && !holds(w, n, p))
			sane(rt_heap_free(&w->heap, p), "free of a gift that was not taken");
	}
}

static uint64_t bytes_held(const struct worker *w, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		for (unsigned k = 0; k < HELD; k++)
			sum += w[i].held[k] ? w[i].size[k] : 0;
	return sum;
}

static void free_all(struct worker *w, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (unsigned k = 0; k < HELD; k++) {
			if (w[i].held[k])
				sane(rt_heap_free(&w->heap, w[i].held[k]), "last free");
			w[i].held[k] = NULL;
		}
}

/* Every page of the heap, and no more. */
static void take_all(RT_HEAP *h)
{
	void *page[PAGES], *p;

	for (unsigned i = 0; i < PAGES; i++) {
		int r = rt_heap_alloc(h, 4096, (RTIME)30 * NSEC_PER_SEC, &page[i]);

		must(r == 0, "every page can be had");
	}
	must(rt_heap_alloc(h, 1, TM_NONBLOCK, &p) == -EWOULDBLOCK, "no more than all");
	for (unsigned i = 0; i < PAGES; i++)
		sane(rt_heap_free(h, page[i]), "free");
}

static void survivor(unsigned which)
{
	static struct worker w[3];
	uint32_t phase, last = 0;
	struct others o;
	pthread_t thread;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned i = 0; i < ARRAY_SIZE(w); i++)
		w[i] = (struct worker){ .random = 77 + which * 10 + i, .survivor = which };
	sane(which ? rt_heap_bind(&w[0].heap, "pool") : rt_heap_create(&w[0].heap, "pool", PAGES * 4096, H_FIFO), "pool");
	w[1].heap = w[2].heap = w[0].heap;
	others_begin(&o);
	(void)pthread_create(&thread, NULL, survivor_works, &w[1]);
	(void)pthread_create(&thread, NULL, survivor_works, &w[2]);
	atomic_store(&allowed, true);
	for (;; last = phase, atomic_store(&stage->done[which], phase)) {
		while ((phase = atomic_load(&stage->phase)) == last) {
			if (phase % N_PHASES == PLAY)
				others_move(&w[0], &o);
			(void)usleep(200);
		}
		atomic_store(&allowed, phase % N_PHASES == PLAY);
		while (phase % N_PHASES != PLAY && atomic_load(&playing) > 0)
			(void)usleep(100);
		switch (phase % N_PHASES) {
		case REST:
			others_end(&o);
			audit(&o);
			sweep_gifts(w, ARRAY_SIZE(w));
			audit(&o);
			atomic_store(&stage->held[which], bytes_held(w, ARRAY_SIZE(w)));
			break;
		case EMPTY:
			free_all(w, ARRAY_SIZE(w));
			break;
		case FULL:
			if (phase / N_PHASES % SURVIVORS == which)
				take_all(&w[0].heap);
			break;
		default:
			break;
		}
	}
}

/* ---- what the daemon has ---- */

struct weight {
	uint64_t fds, arenas, maps, kib;
};

static struct weight weigh(void)
{
	struct weight w = { .fds = heapd_fds() };
	char path[64], line[512];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)heapd_pid());
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		w.maps++;
		w.arenas += strstr(line, "memfd:heapd") != NULL;
	}
	(void)fclose(f);
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)heapd_pid());
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		(void)sscanf(line, "VmRSS: %zu", &w.kib);
	(void)fclose(f);
	return w;
}

/* Bytes in use over all heaps, partitions, regions and pools. */
static uint64_t used_by_all(struct raw *r)
{
	uint64_t cursor = 0, sum = 0;

	do {
		struct frame f;
		const struct wire_list *list = (const struct wire_list *)(const void *)f.body.bytes;
		struct wire_target *t = frame_init(&f, OP_LIST, 0, 0, sizeof(*t));

		t->cursor = cursor;
		EXPECT(STATUS_OK, raw_call(r, &f));
		for (uint32_t i = 0; i < list->n; i++)
			sum += list->entry[i].used;
		cursor = list->cursor;
	} while (cursor);
	return sum;
}

/* ---- the test ---- */

static struct {
	pid_t survivor[SURVIVORS], victim[VICTIMS];
	uint64_t random;
	struct wire_stat stat;
	struct weight weight;
	uint64_t kills, at_points;
	struct raw root;
} storm;

static unsigned dice(unsigned n)
{
	storm.random = storm.random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(storm.random >> 40) % n;
}

static void expect_alive(void)
{
	int status;

	for (unsigned i = 0; i < SURVIVORS; i++)
		if (waitpid(storm.survivor[i], &status, WNOHANG) == storm.survivor[i]) {
			print_error("survivor %u ended with status %#x\n", i, status);
			fail();
		}
}

/* The next phase of that kind, done by all. */
static void to_phase(uint32_t kind)
{
	uint32_t phase = atomic_load(&stage->phase) + 1;

	while (phase % N_PHASES != kind)
		phase++;
	atomic_store(&stage->phase, phase);
	for (unsigned i = 0; i < SURVIVORS; i++)
		while (atomic_load(&stage->done[i]) != phase) {
			expect_alive();
			story_pause("a survivor does what it is told", __FILE__, __LINE__);
		}
}

static void begin_storm(void)
{
	stage = mmap(NULL, sizeof(*stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(stage != MAP_FAILED);
	assert_int_equal(0, setenv("CONFIG_HEAP_MEM_POOL_SIZE", POOL_BYTES, 1));
	storm.random = now_ns();
	storm.root = (struct raw)RAW_NULL;
	heapd_start(PATIENT);
	for (unsigned i = 0; i < SURVIVORS; i++) {
		storm.survivor[i] = fork();
		if (storm.survivor[i] == 0)
			survivor(i);
	}
	to_phase(REST);
	raw_open(&storm.root);
}

static bool is_dead(pid_t pid)
{
	siginfo_t info = { .si_pid = 0 };

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

/* Half of the victims die at a point, all of which have their turn. */
static void gust(void)
{
	for (unsigned i = 0; i < VICTIMS; i++) {
		int point = i % 2 ? (int)(storm.kills + i) % POINT_COUNT : -1, pass = (int)dice(6);
		uint64_t seed = storm.random + i;

		storm.victim[i] = fork();
		assert_true(storm.victim[i] >= 0);
		if (storm.victim[i] == 0)
			victim(seed, point, pass);
	}
	for (unsigned ms = dice(12) + dice(12); ms > 0; ms--)
		(void)usleep(1000);
	for (unsigned i = 0, ms = 0; i < VICTIMS; i++) {
		unsigned k = i < VICTIMS / 2 ? 2 * i : 2 * (i - VICTIMS / 2) + 1; /* the random ones first */
		int status;

		for (; k % 2 && ms < POINT_MS && !is_dead(storm.victim[k]); ms++)
			(void)usleep(1000);
		(void)kill(-storm.victim[k], SIGKILL);
		(void)kill(storm.victim[k], SIGKILL);
		assert_int_equal(storm.victim[k], waitpid(storm.victim[k], &status, 0));
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
			print_error("a victim ended with status %#x\n", status);
			fail();
		}
		while (waitpid(-storm.victim[k], NULL, 0) > 0) /* what it had forked */
			;
		storm.kills++;
	}
}

static void delete_what_outlived(void)
{
	for (unsigned i = 0; i < BRIEF; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "brief-%u", i);
		(void)raw_delete(&storm.root, name);
	}
}

/*
 * A survivor may be asking ahead of need, or be asked: soon that is over. (A sanitizer maps memory of its own.) What is
 * deleted gives its memory back a little later, also at the first look; so the least that was seen is the measure.
 */
static bool is_calm(void)
{
	struct wire_stat s = watch_stat();
	struct weight w = weigh();

	storm.weight.fds = min_u64(storm.weight.fds, w.fds);
	storm.weight.arenas = min_u64(storm.weight.arenas, w.arenas);
	storm.weight.maps = min_u64(storm.weight.maps, w.maps);
	return s.sessions == storm.stat.sessions && s.heaps == storm.stat.heaps && s.bytes == storm.stat.bytes &&
	       s.parked_binds == 0 && s.parked_refills == 0 && s.commits == 0 && w.fds == storm.weight.fds &&
	       w.arenas == storm.weight.arenas && (STORY_SANITIZED || w.maps <= storm.weight.maps + 4);
}

static void count_everything(void)
{
	UNTIL(watch_stat().sessions == storm.stat.sessions);
	to_phase(REST);
	UNTIL(used_by_all(&storm.root) == atomic_load(&stage->held[0]) + atomic_load(&stage->held[1]) + ALWAYS_HELD);
	delete_what_outlived();
	UNTIL(is_calm());
	assert_int_equal(0, watch_waiters("pool"));
	to_phase(EMPTY);
	to_phase(FULL);
}

static void a_storm(void)
{
	const char *text = getenv("STORY_KILLS"), *slack = getenv("STORY_RSS_KIB");
	uint64_t goal = text ? strtoull(text, NULL, 10) : 240 / STORY_FACTOR;
	uint64_t kib = slack ? strtoull(slack, NULL, 10) : STORY_SANITIZED ? UINT64_C(1) << 30 : 2048;
	struct weight after;

	begin_storm();
	storm.stat = watch_stat();
	storm.weight = weigh();
	for (uint64_t before = storm.kills; storm.kills < goal; before = storm.kills) {
		(void)alarm(60 * STORY_FACTOR); /* for each gust */
		to_phase(PLAY);
		gust();
		count_everything();
		if (before < goal / 4) /* what the first ones made the daemon take, it keeps */
			storm.weight.kib = weigh().kib;
	}
	after = weigh();
	for (int p = 0; p < POINT_COUNT; p++)
		storm.at_points += atomic_load(&stage->died_at[p]);
	print_message("%ju killed, %ju of them at a point; the daemon: %ju descriptors, %ju mappings, %ju -> %ju KiB\n",
		      (uintmax_t)storm.kills, (uintmax_t)storm.at_points, (uintmax_t)after.fds, (uintmax_t)after.maps,
		      (uintmax_t)storm.weight.kib, (uintmax_t)after.kib);
	assert_true(after.kib <= storm.weight.kib + kib);
	expect_alive();
	for (unsigned i = 0; i < SURVIVORS; i++) {
		(void)kill(storm.survivor[i], SIGKILL);
		assert_int_equal(storm.survivor[i], waitpid(storm.survivor[i], NULL, 0));
	}
	raw_close(&storm.root);
	heapd_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
