/*
 * test_revive.c: whatever has happened in a world, another one that is made of what was kept is the
 * same
 *
 * A world on the stage keeps what happens in a ledger. In between a second world is made of that
 * ledger and of copies of the descriptors, as a new daemon would, and compared: heaps, names,
 * sessions, who holds each page. Then its sessions come back, tell some of their pages and keep
 * others to themselves.
 */
#include "tests/daemon/stage.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/revive.h"

#define PLAYERS 4
#define HEAPS 3
#define PAGES 64
#define ROUNDS (STAGE_SANITIZED ? 300 : 3000)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STAGE_SANITIZED 1
#else
#define STAGE_SANITIZED 0
#endif

static struct stage st;
static struct keep *keep;
static struct player *player[PLAYERS];
static uint64_t heap[HEAPS];
static uint32_t seed;

static uint32_t roll(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static void begin(void)
{
	struct ledger *l;

	seed = 7;
	memset(heap, 0, sizeof(heap));
	stage_init(&st);
	st.config.limits.parked = 1000;
	stage_open(&st);
	assert_int_equal(0, ledger_new(&l));
	assert_int_equal(0, keep_new_take(&keep, l, NULL));
	world_keep(&st.world, keep);
	for (int i = 0; i < PLAYERS; i++)
		player[i] = player_join(&st, 1000, 1000);
}

static void end(void)
{
	stage_close(&st);
	keep_free(keep);
}

/* ---- the second world ---- */

struct second {
	struct world world;
	struct peers peers;
	struct loop *loop;
	struct keep *keep;
	struct notify_fd fds[256];
	size_t n_fds;
};

static void wake_world(void *ctx, uint64_t in_ns)
{
	(void)ctx;
	(void)in_ns;
}

static void wake_peers(void *ctx)
{
	(void)ctx;
}

static void add_fd(struct second *two, const char *name, int fd)
{
	struct notify_fd *p = &two->fds[two->n_fds++];

	assert_true(two->n_fds <= ARRAY_SIZE(two->fds));
	p->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	assert_true(p->fd >= 0);
	(void)snprintf(p->name, sizeof(p->name), "%s", name);
}

static void copy_fds(struct second *two)
{
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	char name[STORE_NAME_MAX + 1];
	struct session *s;
	struct heap *h;

	add_fd(two, KEEP_LEDGER_NAME, keep->ledger->fd);
	TAILQ_FOREACH(h, &st.world.heaps.all, link) {
		keep_name(name, KEEP_HEAP, h->facts.id);
		add_fd(two, name, h->arena->job.fd);
	}
	TAILQ_FOREACH(s, &st.world.sessions, link) {
		if (s->kept.record == LEDGER_NONE)
			continue;
		keep_name(name, KEEP_SESSION, s->id);
		add_fd(two, name, s->areas.stats_fd);
		add_fd(two, name, pidfd);
		add_fd(two, name, s->areas.control_rw_fd);
	}
	close_fd(&pidfd);
}

static void second_make(struct second *two)
{
	struct config config;

	config_init(&config);
	config.lock_arenas = false;
	assert_int_equal(0, loop_new(&two->loop));
	world_init(&two->world, st.world.committer, &config, wake_world, two);
	peers_init(&two->peers, &two->world, two->loop, wake_peers, two);
	assert_int_equal(0, revive_keep(&two->keep, NULL, two->fds, two->n_fds));
	world_keep(&two->world, two->keep);
	assert_int_equal(0, revive_world(&two->world, &two->peers, two->fds, two->n_fds));
	config_deinit(&config);
}

/* The first world goes on with its ledger: nothing may be taken out of it. */
static void second_free(struct second *two)
{
	world_abandon(&two->world);
	keep_free(two->keep);
	peers_deinit(&two->peers);
	world_deinit(&two->world);
	loop_free(two->loop);
	for (size_t i = 0; i < two->n_fds; i++)
		close_fd(&two->fds[i].fd);
	free(two);
}

static void check(const struct world *w)
{
	const char *why = "";

	if (world_check(w, &why) < 0)
		fail_msg("in the second world: %s", why);
}

static uint64_t holder_id(const struct heap *h, uint32_t page)
{
	const struct binding *b = heap_holder(h, page);

	return b ? b->session->id : 0;
}

static void compare_heap(const struct heap *a, const struct heap *b)
{
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->n_pages, b->n_pages);
	assert_int_equal(a->n_bound, b->n_bound);
	assert_int_equal(a->n_writers, b->n_writers);
	/* behind the name there is padding */
	assert_memory_equal(&a->facts, &b->facts, offsetof(struct heap_facts, name) + WIRE_NAME_SIZE);
	assert_int_equal(!a->name, !b->name);
	for (uint32_t page = 0; heap_has_pages(a) && page < a->n_pages; page++)
		assert_int_equal(holder_id(a, page), holder_id(b, page));
}

static void compare(const struct second *two)
{
	const struct heap *a = TAILQ_FIRST(&st.world.heaps.all);
	const struct heap *b = TAILQ_FIRST(&two->world.heaps.all);

	for (; a && b; a = TAILQ_NEXT(a, link), b = TAILQ_NEXT(b, link))
		compare_heap(a, b);
	assert_true(!a && !b);
	assert_int_equal(st.world.heaps.last_id, two->world.heaps.last_id);
	assert_int_equal(st.world.last_session, two->world.last_session);
}

static struct second *revived(void)
{
	struct second *two = calloc(1, sizeof(*two));

	assert_non_null(two);
	copy_fds(two);
	second_make(two);
	check(&two->world);
	compare(two);
	return two;
}

/* ---- sessions come back ---- */

static int ignore(void *ctx, const struct frame *f)
{
	(void)ctx;
	(void)f;
	return 0;
}

static bool never(void *ctx)
{
	(void)ctx;
	return false;
}

static const struct session_port port = {.emit = ignore, .unread = never, .deliver = ignore};

static int resume(struct second *two, struct session *s, struct wire_resume *body, uint32_t *status)
{
	uint32_t length = (uint32_t)(sizeof(*body) + body->n_runs * sizeof(struct wire_run));
	const char *why = "";
	struct reply reply;
	struct frame f;
	int r;

	memcpy(frame_init(&f, OP_RESUME, 1, 0, length), body, length);
	if (codec_check_request(&f, CODEC_CALL, &why) < 0)
		fail_msg("RESUME: %s", why);
	do {
		r = ops_call(&two->world, s, &f, &reply);
		check(&two->world);
	} while (r == OPS_MORE);
	*status = reply.frame.header.status;
	check(&two->world);
	return r;
}

static union {
	struct wire_resume body;
	char room[WIRE_BODY_MAX];
} told;

static void add_run(uint32_t page)
{
	struct wire_run *last = told.body.n_runs ? &told.body.runs[told.body.n_runs - 1] : NULL;

	if (last && last->first + last->n == page)
		last->n++;
	else
		told.body.runs[told.body.n_runs++] = (struct wire_run){.first = page, .n = 1};
}

/* Tells some of its pages, in several frames; what it does not tell is free then. */
static void tell_heap(struct second *two, struct session *s, struct heap *h)
{
	const struct binding *b = session_binding(s, h->facts.id);
	bool keeps[PAGES] = {false};
	uint32_t status, n = 0, cut = roll(PAGES);

	told.body = (struct wire_resume){.heap = h->facts.id, .flags = WIRE_RESUME_MORE};
	for (uint32_t page = 0; heap_has_pages(h) && page < h->n_pages; page++) {
		if (page == cut) {
			assert_int_equal(0, resume(two, s, &told.body, &status));
			told.body.n_runs = 0;
		}
		keeps[page] = heap_holder(h, page) == b && roll(4) > 0;
		n += keeps[page];
		if (keeps[page])
			add_run(page);
	}
	told.body.flags = 0;
	assert_int_equal(0, resume(two, s, &told.body, &status));
	assert_int_equal(STATUS_OK, status);
	for (uint32_t page = 0; heap_has_pages(h) && page < h->n_pages; page++)
		assert_int_equal(keeps[page], heap_holder(h, page) == b);
	if (heap_has_pages(h))
		assert_int_equal(n, b->held.n_pages);
}

static void come_back(struct second *two)
{
	struct session *s;
	uint32_t status;

	TAILQ_FOREACH(s, &two->world.sessions, link) {
		struct credentials who = {.pid = s->who.pid, .uid = s->who.uid, .gid = s->who.gid};
		uint64_t left = 0;

		session_return(s, &who, &port, NULL);
		for (int i = 0; i < HEAPS; i++) {
			struct heap *h = heaps_find(&two->world.heaps, heap[i]);

			if (!h || !session_binding(s, heap[i]))
				continue;
			if (!left && roll(3) == 0)
				left = heap[i]; /* not told: it is not bound any more */
			else
				tell_heap(two, s, h);
		}
		told.body = (struct wire_resume){.flags = WIRE_RESUME_END};
		assert_int_equal(0, resume(two, s, &told.body, &status));
		assert_true(!left || !session_binding(s, left));
		assert_int_equal(-EPROTO, resume(two, s, &told.body, &status)); /* once */
	}
}

/* ---- what happens in the first world ---- */

static void give_some(struct player *p, uint64_t id)
{
	struct heap *h = heaps_find(&st.world.heaps, id);
	const struct binding *b = session_binding(p->session, id);
	uint32_t first = roll(PAGES), n = 1;

	if (!h || !b || heap_holder(h, first) != b)
		return;
	while (first + n < PAGES && n < 7 && heap_holder(h, first + n) == b)
		n++;
	assert_int_equal(0, send_return(p, id, 0, first, n, false));
}

static void step(void)
{
	struct player **p = &player[roll(PLAYERS)];
	uint32_t which = roll(HEAPS);
	char name[] = "pool0";
	struct heap *h = heaps_find(&st.world.heaps, heap[which]);
	const struct binding *b = session_binding((*p)->session, heap[which]);

	name[4] = (char)('0' + which);
	switch (roll(12)) {
	case 0:
		if (!h)
			heap[which] = create_heap(*p, name, PAGES, 0, NULL);
		break;
	case 1:
		if (h && roll(8) == 0)
			(void)ask_target(*p, OP_DELETE, heap[which], "", 0);
		break;
	case 2:
		if (b && roll(3) == 0)
			(void)ask_heap(*p, OP_UNBIND, heap[which]);
		break;
	case 3:
		if (roll(10) == 0) {
			player_leave(*p);
			*p = player_join(&st, 1000, 1000);
		}
		break;
	case 4:
	case 5:
		if (h && !b && h->state == STATE_LIVE)
			(void)ask_bind(*p, name, ACCESS_BEST, WIRE_BIND_NOWAIT);
		break;
	case 6:
	case 7:
		if (b && h->state == STATE_LIVE)
			(void)ask_refill(*p, heap[which], 1 + roll(5), WIRE_REFILL_AHEAD);
		break;
	default:
		give_some(*p, heap[which]);
	}
	stage_work(&st);
	player_forget_events(*p);
}

static void the_same_world_again(void **state)
{
	struct second *two;

	(void)state;
	begin();
	for (int round = 0; round < ROUNDS; round++) {
		step();
		if (round % 20)
			continue;
		two = revived();
		second_free(two);
	}
	end();
}

/* On a ledger of its own, since it changes: the first world ends there. */
static void sessions_tell_what_they_hold(void **state)
{
	(void)state;
	for (int round = 0; round < (STAGE_SANITIZED ? 3 : 20); round++) {
		struct second *two;

		begin();
		seed = (uint32_t)round;
		for (int i = 0; i < 200; i++)
			step();
		two = revived();
		come_back(two);
		second_free(two);
		two = calloc(1, sizeof(*two));
		assert_non_null(two);
		copy_fds(two);
		second_make(two); /* and what that one has kept is good again */
		check(&two->world);
		second_free(two);
		world_abandon(&st.world);
		st.unchecked = true; /* the second one has written its control slots */
		end();
	}
}

/* A record without its descriptors, and descriptors without a record. */
static void what_does_not_fit_is_dropped(void **state)
{
	struct second *two = calloc(1, sizeof(*two));
	uint64_t lost, kept;

	(void)state;
	assert_non_null(two);
	begin();
	lost = create_heap(player[0], "lost", 8, 0, NULL);
	kept = create_heap(player[1], "kept", 8, 0, NULL);
	(void)bind_heap(player[0], "kept", ACCESS_WRITE);
	add_fd(two, KEEP_LEDGER_NAME, keep->ledger->fd);
	add_fd(two, "h2", heap_of(player[1], kept)->arena->job.fd);
	add_fd(two, "h77", keep->ledger->fd);
	assert_int_equal(2, kept);
	second_make(two);
	check(&two->world);
	assert_null(heaps_find(&two->world.heaps, lost));
	assert_non_null(heaps_find(&two->world.heaps, kept));
	assert_int_equal(0, two->world.n_sessions); /* theirs have not come either */
	assert_int_equal(0, heaps_find(&two->world.heaps, kept)->holders.n_held);
	assert_int_equal(-1, two->fds[2].fd);
	second_free(two);
	world_abandon(&st.world);
	end();
}

/* What is no ledger is dropped, and a new one begins. */
static void no_ledger(void **state)
{
	struct second *two = calloc(1, sizeof(*two));

	(void)state;
	assert_non_null(two);
	begin();
	(void)create_heap(player[0], "pool", 8, 0, NULL);
	keep->ledger->header->magic = 1;
	copy_fds(two);
	second_make(two);
	check(&two->world);
	assert_int_equal(0, two->world.heaps.n);
	second_free(two);
	world_abandon(&st.world);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_world_again),
		cmocka_unit_test(sessions_tell_what_they_hold),
		cmocka_unit_test(what_does_not_fit_is_dropped),
		cmocka_unit_test(no_ledger),
	};

	log_init(false);
	return cmocka_run_group_tests_name("revive", tests, NULL, NULL);
}
