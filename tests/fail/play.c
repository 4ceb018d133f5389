/*
 * play.c: see play.h
 */
#include "tests/fail/play.h"

#include <dirent.h>
#include <heapclient/k_malloc.h>
#include <heapclient/pt.h>
#include <heapclient/shared_multi_heap.h>
#include "proto/codec.h"
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define BYTES 65536
#define LARGE ((2u << 20) + 65536) /* a huge page where the kernel gives one, and some ordinary ones */
#define SEGMENT 16384
#define WAIT SECONDS(20)
#define PATIENCE (2000 * STORY_FACTOR) /* looks at the daemon; each is 2 ms or more */

enum { POOL, LOCAL, SHARED, LATE };          /* descriptors */
enum { WHOLE, SMALL, GIVEN, TAKEN, OWN };    /* blocks */

static struct {
	struct actor *bystander;
	struct wire_stat stat;
	size_t fds, mappings;
} before;

/* ---- counting ---- */

size_t count_fds(pid_t pid)
{
	char path[64];
	size_t n = 0;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	assert_non_null(d);
	for (struct dirent *e = readdir(d); e; e = readdir(d))
		n += e->d_name[0] != '.';
	(void)closedir(d);
	return n;
}

size_t count_mappings(pid_t pid)
{
	_cleanup_free_ char *line = NULL;
	char path[64];
	size_t size = 0, n = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (getline(&line, &size, f) > 0)
		n += strstr(line, "/memfd:heapd") != NULL;
	(void)fclose(f);
	return n;
}

/* ---- the bystander ---- */

static void bystander_enters(void)
{
	struct actor *c = actor_new(2);

	EXPECT(0, do_create(&c->lane[0], 0, "bystander", SEGMENT, H_FIFO));
	EXPECT(0, do_create(&c->lane[0], 1, NULL, SEGMENT, H_FIFO));
	EXPECT(0, do_alloc(&c->lane[0], 0, WHOLE, SEGMENT, TM_NONBLOCK));
	lane_start(&c->lane[1], step_alloc(0, GIVEN, 64, TM_INFINITE));
	UNTIL(watch_waiters("bystander") == 1);
	before.bystander = c;
}

void bystander_is_well(void)
{
	struct lane *l = &before.bystander->lane[0];
	RT_HEAP_INFO info;

	EXPECT(0, check_block(l, WHOLE, WHOLE, SEGMENT));
	EXPECT(0, do_alloc(l, 1, OWN, 100, TM_NONBLOCK));
	EXPECT(0, do_free(l, 1, OWN));
	EXPECT(0, do_inquire(l, 0, &info));
	assert_int_equal(1, info.nwaiters);
	assert_false(lane_done(&before.bystander->lane[1]));
}

void bystander_leaves(void)
{
	struct actor *c = before.bystander;

	EXPECT(0, do_free(&c->lane[0], 0, WHOLE));
	EXPECT(0, lane_result(&c->lane[1]));
	EXPECT(0, do_delete(&c->lane[0], 0));
	actor_quit(c);
}

/* ---- the daemon, before and after ---- */

static bool is_as_before(bool tell)
{
	struct wire_stat now = watch_stat();
	size_t fds = heapd_fds(), mappings = count_mappings(heapd_pid());

	if (tell)
		print_error("sessions %llu, heaps %llu, bytes %llu, parked %llu + %llu, descriptors %zu, mappings %zu\n",
			    (unsigned long long)now.sessions, (unsigned long long)now.heaps,
			    (unsigned long long)now.bytes, (unsigned long long)now.parked_binds,
			    (unsigned long long)now.parked_refills, fds, mappings);
	return now.sessions == before.stat.sessions && now.heaps == before.stat.heaps &&
	       now.bytes == before.stat.bytes && now.parked_binds == before.stat.parked_binds &&
	       now.parked_refills == before.stat.parked_refills && now.commits == 0 &&
	       fds == before.fds && mappings == before.mappings;
}

void play_clean_up(void)
{
	static const char *const names[] = { "pool", "shared", "late" };
	struct raw r = RAW_NULL;

	raw_open(&r);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)raw_delete(&r, names[i]);
	raw_close(&r);
}

void daemon_is_as_before(void)
{
	play_clean_up();
	for (int looks = 0; !is_as_before(looks % PATIENCE == PATIENCE - 1); looks++) {
		if (looks == 2 * PATIENCE)
			fail_msg("the daemon has more, or less, than before");
		story_pause("the daemon is as before", __FILE__, __LINE__);
	}
}

/* ---- steps ---- */

/* What any call may say when the machine is short of something. */
static bool tells_shortage(const struct play *p, int r)
{
	switch (r) {
	case -EIDRM: /* it cost the session */
	case -EAGAIN: /* the holder of a block cannot be told of its free */
		return p->lasting;
	case -ENOMEM:
	case -EMFILE:
	case -ECONNREFUSED: /* no session could be had */
		return true;
	default:
		return false;
	}
}

/* The result of a step, judged. Whether it is the wanted one. */
static bool step_ends(struct play *p, int wanted, int got, const char *what, int line)
{
	size_t used = strlen(p->errors);

	if (got == wanted)
		return true;
	p->n_errors++;
	(void)snprintf(p->errors + used, sizeof(p->errors) - used, " %s=%s;", what,
		       got < 0 ? strerrorname_np(-got) : "?");
	if (!p->loose || !tells_shortage(p, got)) {
		print_error("%s:%d: %s gave %d (%s), not %d\n", __FILE__, line, what, got,
			    got < 0 ? strerrorname_np(-got) : "?", wanted);
		fail();
	}
	return false;
}
#define STEP(wanted, call) step_ends(p, wanted, call, #call, __LINE__)

/* ---- the other interfaces, in the actor ---- */

/* Too little memory is ENOSPC here, and never anything else. */
static int run_partition(struct step *s)
{
	int ptno = pt_create(64, 100);
	void *block;

	(void)s;
	if (ptno < 0)
		return errno == ENOSPC ? -ENOMEM : errno == ENOMEM ? -EPROTO : -errno;
	block = pt_getblock(ptno);
	if (!block)
		return -EPROTO;
	pt_freeblock(ptno, block);
	return pt_destroy(ptno) < 0 ? -errno : 0;
}

/* A process has one for ever: -EALREADY is as good as 0. */
static int run_multi_heap(struct step *s)
{
	struct shared_multi_heap_region region = { .attr = SMH_REG_ATTR_CACHEABLE, .size = 8192 };
	int r = shared_multi_heap_pool_init();
	void *block;

	if (r < 0 && r != -EALREADY)
		return r;
	r = shared_multi_heap_add(&region, NULL);
	if (r < 0)
		return r;
	s->value = 1;
	block = shared_multi_heap_aligned_alloc(SMH_REG_ATTR_CACHEABLE, 64, 1000);
	if (!block)
		return -EPROTO;
	memset(block, 1, 1000);
	shared_multi_heap_free(block);
	return 0;
}

static int run_pool(struct step *s)
{
	void *block;
	int r;

	(void)s;
	k_heap_mem_pool_size_(1024);
	r = k_heap_mem_pool_init();
	if (r < 0)
		return r;
	block = k_malloc(100);
	if (!block)
		return -EPROTO;
	memset(block, 1, 100);
	k_free(block);
	return 0;
}

static int do_other(struct lane *l, int (*run)(struct step *s))
{
	return lane_run(l, (struct step){ .run = run }).result;
}

static int do_multi_heap(struct play *p, struct lane *l)
{
	struct step s = lane_run(l, (struct step){ .run = run_multi_heap });

	p->n_added += (unsigned)s.value;
	return s.result;
}

/* ---- the scene ---- */

/* B waits for A's memory, and gets it. */
static void wait_for_memory(struct play *p, struct lane *a, struct lane *b)
{
	bool freed;

	if (!STEP(0, do_alloc(a, POOL, WHOLE, BYTES, WAIT)))
		return;
	lane_start(b, step_alloc(POOL, SMALL, 4096, WAIT));
	freed = STEP(0, do_free(a, POOL, WHOLE));
	if (STEP(0, lane_result(b)))
		(void)STEP(0, check_block(b, SMALL, SMALL, 4096));
	else
		(void)forget_block(b, SMALL);
	if (!freed)
		(void)forget_block(a, WHOLE);
}

/* A frees a block of B's. */
static void free_across(struct play *p, struct lane *a, struct lane *b)
{
	size_t offset;
	int r;

	if (!STEP(0, do_alloc(b, POOL, GIVEN, 100, WAIT)) || !STEP(0, do_offset(b, POOL, GIVEN, &offset)) ||
	    !STEP(0, do_pointer(a, POOL, GIVEN, offset)))
		return;
	r = do_free(a, POOL, GIVEN);
	if (p->loose && r == -EAGAIN)
		r = do_free(a, POOL, GIVEN); /* nothing was freed: later it works */
	(void)STEP(0, r);
}

/* B finds what is free in A's hands, without waiting for memory. */
static void recall(struct play *p, struct lane *b)
{
	if (STEP(0, do_alloc(b, POOL, TAKEN, BYTES / 2, TM_NONBLOCK)))
		(void)STEP(0, do_free(b, POOL, TAKEN));
}

static void use_pool(struct play *p, struct lane *a, struct lane *b)
{
	RT_HEAP_INFO info;

	wait_for_memory(p, a, b);
	free_across(p, a, b);
	recall(p, b);
	(void)STEP(0, do_inquire(a, POOL, &info));
}

static void use_segment(struct play *p, struct lane *a, struct lane *b)
{
	if (!STEP(0, do_bind_timed(b, SHARED, "shared", TM_NONBLOCK)))
		return;
	if (STEP(0, do_alloc(a, SHARED, OWN, 0, TM_NONBLOCK)) && STEP(0, do_alloc(b, SHARED, OWN, 0, TM_NONBLOCK)))
		(void)STEP(0, put_text(a, OWN, 0, "hello"));
	(void)STEP(0, do_unbind(b, SHARED));
}

/* B is there first and waits for what A creates. Once more if A's creation is what fails. */
static void bind_early(struct play *p, struct lane *a, struct lane *b)
{
	bool made = false;

	lane_start(b, step_bind_timed(LATE, "late", WAIT));
	for (int i = 0; i < 3 && !made; i++)
		made = STEP(0, do_create(a, LATE, "late", SEGMENT, H_FIFO));
	if (STEP(0, lane_result(b)))
		(void)STEP(0, do_unbind(b, LATE));
	if (made) {
		(void)STEP(0, do_delete(a, LATE));
		(void)STEP(0, do_unbind(a, LATE));
	}
}

/* What heapctl asks, from the test itself. A status above 0 is an answer too. */
static int look(void)
{
	static const struct {
		uint16_t op, size;
	} ask[] = {
		{ OP_STAT, 0 }, { OP_LIST, sizeof(struct wire_target) }, { OP_INSPECT, sizeof(struct wire_target) },
		{ OP_BINDINGS, sizeof(struct wire_target) }, { OP_WAITERS, sizeof(struct wire_target) },
		{ OP_MAP, sizeof(struct wire_target) }, { OP_REGIONS, sizeof(struct wire_target) },
	};
	struct raw r = RAW_NULL;
	int e = raw_connect(&r);

	if (e == 0)
		e = raw_hello(&r);
	for (size_t i = 0; e == STATUS_OK && i < ARRAY_SIZE(ask); i++) {
		struct frame f;
		struct wire_target *t = frame_init(&f, ask[i].op, 0, 0, ask[i].size);

		if (ask[i].op >= OP_INSPECT && ask[i].op <= OP_MAP)
			name_copy(t->name, "bystander");
		e = raw_call(&r, &f);
		if (e == STATUS_MISSING && !before.bystander)
			e = STATUS_OK;
	}
	raw_close(&r);
	return e > 0 ? status_errno((uint32_t)e) : e == -ECONNRESET || e == -EPIPE ? -ECONNREFUSED : e;
}

void play_scene(struct play *p)
{
	struct lane *a = &p->a->lane[0], *b = &p->b->lane[0];
	bool pool, shared, local;

	pool = STEP(0, do_create(a, POOL, "pool", BYTES, H_FIFO));
	local = STEP(0, do_create(a, LOCAL, NULL, LARGE, H_PRIO));
	shared = STEP(0, do_create(a, SHARED, "shared", SEGMENT, H_SHARED));
	if (local && STEP(0, do_alloc(a, LOCAL, OWN, 5000, TM_NONBLOCK)))
		(void)STEP(0, do_free(a, LOCAL, OWN));
	if (shared)
		use_segment(p, a, b);
	if (pool && STEP(0, do_bind_timed(b, POOL, "pool", TM_NONBLOCK))) {
		use_pool(p, a, b);
		if (STEP(0, do_delete(a, POOL)))
			(void)STEP(-EIDRM, do_alloc(b, POOL, TAKEN, 64, WAIT));
		(void)STEP(0, do_unbind(b, POOL));
	} else if (pool) {
		(void)STEP(0, do_delete(a, POOL));
	}
	if (!p->lasting)
		bind_early(p, a, b);
	(void)STEP(0, do_other(a, run_partition));
	(void)STEP(0, do_multi_heap(p, a));
	(void)STEP(0, do_other(a, run_pool));
	(void)STEP(0, look());
	if (pool)
		(void)STEP(0, do_unbind(a, POOL));
	if (local)
		(void)STEP(0, do_unbind(a, LOCAL));
	if (shared) {
		(void)STEP(0, do_delete(a, SHARED));
		(void)STEP(0, do_unbind(a, SHARED));
	}
}

void play_begin(struct play *p, bool loose)
{
	*p = (struct play){ .a = actor_new(2), .b = actor_new(1), .loose = loose };
}

void play_end(struct play *p)
{
	actor_quit(p->a);
	actor_quit(p->b);
}

void play_strictly(void)
{
	struct play p;

	play_begin(&p, false);
	play_scene(&p);
	play_end(&p);
}

void stage_set(void)
{
	bystander_enters();
	before.stat = watch_stat();
	before.fds = heapd_fds();
	before.mappings = count_mappings(heapd_pid());
	play_strictly();
	daemon_is_as_before();
}

uint64_t heaps_before(void)
{
	return before.stat.heaps;
}
