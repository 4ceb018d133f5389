/*
 * Random operations of several players on one heap, beside a simple model.
 *
 * The model knows for each page whose it is and whether its holder uses it, and keeps the parked
 * refills in an unsorted array. It judges every event in the order in which it was emitted: a grant
 * must be of free pages, of the length asked for, to the first request in order that fits. After
 * each step nothing that fits may wait. Players are honest clients: they answer recalls and give
 * free pages back while they are pressed, but some are asleep for a while. When all are awake and
 * quiet nothing may wait that free pages, wherever they are, could serve.
 */
#include <stdio.h>
#include "tests/daemon/stage.h"

#define PLAYERS 4
#define PAGES_TOP 48u
#define PARKED_TOP 256

enum use { FREE, IDLE, USED }; /* nobody's; held, without blocks; held, with blocks */

struct wait {
	int player;
	uint32_t id, pages;
	int32_t priority;
	uint64_t since, arrival;
	bool nonblock;
};

struct recall {
	bool pending;
	uint32_t seq, want;
	bool urgent;
};

static struct model {
	struct stage stage;
	struct player *p[PLAYERS];
	bool bound[PLAYERS], writer[PLAYERS], asleep[PLAYERS];
	struct recall recall[PLAYERS];
	uint64_t heap;
	uint32_t n_pages;
	bool prio, time_is_up;
	int owner[PAGES_TOP];
	enum use use[PAGES_TOP];
	bool unread[PAGES_TOP]; /* came with a grant that its holder has not acted on yet */
	struct wait wait[PARKED_TOP];
	int n_wait;
	uint64_t arrivals;
	unsigned long granted, refused, recalls, cancelled;
} m;

static uint64_t seed;

static uint32_t rnd(uint32_t n) /* 0 .. n - 1 */
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 11) % n);
}

/* ---- the model ---- */

static uint32_t longest_free(void)
{
	uint32_t best = 0, run = 0;

	for (uint32_t i = 0; i < m.n_pages; i++) {
		run = m.use[i] == FREE ? run + 1 : 0;
		best = run > best ? run : best;
	}
	return best;
}

/*
 * The longest run of pages that are free, or could have been had from those who are there to be
 * asked.
 */
static uint32_t longest_at_hand(void)
{
	uint32_t best = 0, run = 0;

	for (uint32_t i = 0; i < m.n_pages; i++) {
		bool at_hand = m.use[i] == FREE || (m.use[i] == IDLE && !m.unread[i] &&
						    !m.asleep[m.owner[i]] &&
						    !m.recall[m.owner[i]].pending);

		run = at_hand ? run + 1 : 0;
		best = run > best ? run : best;
	}
	return best;
}

static bool goes_before(const struct wait *a, const struct wait *b)
{
	if (m.prio && a->priority != b->priority)
		return a->priority > b->priority;
	return a->since != b->since ? a->since < b->since : a->arrival < b->arrival;
}

static struct wait *find_wait(int player, uint32_t id)
{
	for (int i = 0; i < m.n_wait; i++)
		if (m.wait[i].player == player && m.wait[i].id == id)
			return &m.wait[i];
	return NULL;
}

static void drop_wait(struct wait *w)
{
	*w = m.wait[--m.n_wait];
}

static void take_run(int player, const struct wire_run *run)
{
	assert_true(run->first < m.n_pages && run->n <= m.n_pages - run->first);
	for (uint32_t i = run->first; i < run->first + run->n; i++) {
		assert_int_equal(FREE, m.use[i]);
		m.use[i] = IDLE;
		m.unread[i] = false;
		m.owner[i] = player;
	}
}

static void take_runs(int player, const struct wire_run *runs, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		take_run(player, &runs[i]);
}

static void forget_player(int player)
{
	for (uint32_t i = 0; i < m.n_pages; i++)
		if (m.use[i] != FREE && m.owner[i] == player)
			m.use[i] = FREE;
	for (int i = m.n_wait - 1; i >= 0; i--)
		if (m.wait[i].player == player)
			drop_wait(&m.wait[i]);
	m.bound[player] = false;
	m.recall[player].pending = false;
}

static uint32_t held_by(int player, enum use use)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < m.n_pages; i++)
		n += m.use[i] == use && m.owner[i] == player;
	return n;
}

/* ---- events ---- */

/* A grant to a parked request: to the first in order that fits, and of the length it asked for. */
static void judge_grant(int player, const struct frame *f)
{
	const struct wire_grant *g = (const struct wire_grant *)(const void *)f->body.bytes;
	struct wait *w;
	uint32_t longest = longest_free();

	if (!f->header.id) { /* ahead of need: only when nobody waits */
		assert_int_equal(0, m.n_wait);
		take_runs(player, g->runs, g->n_runs);
		return;
	}
	w = find_wait(player, f->header.id);
	assert_non_null(w);
	if (f->header.status == STATUS_WOULD_BLOCK) {
		assert_true(w->nonblock && (m.time_is_up || w->pages > longest_at_hand()));
		m.refused++;
		drop_wait(w);
		return;
	}
	if (f->header.status == STATUS_CANCELLED) {
		m.cancelled++;
		drop_wait(w);
		return;
	}
	assert_int_equal(STATUS_OK, f->header.status);
	assert_int_equal(1, g->n_runs);
	assert_int_equal(w->pages, g->runs[0].n);
	for (int i = 0; i < m.n_wait; i++)
		assert_false(goes_before(&m.wait[i], w) && m.wait[i].pages <= longest);
	take_runs(player, g->runs, g->n_runs);
	/* now and then the waiter has given up meanwhile, and the grant joins what is free there */
	for (uint32_t i = 0; i < w->pages; i++) {
		if (m.arrivals % 8)
			m.use[g->runs[0].first + i] = USED;
		else
			m.unread[g->runs[0].first + i] = true;
	}
	m.granted++;
	drop_wait(w);
}

static void judge(int player, const struct frame *f)
{
	const struct wire_recall *r = (const struct wire_recall *)(const void *)f->body.bytes;

	switch (f->header.op) {
	case EV_GRANT:
		judge_grant(player, f);
		break;
	case EV_RECALL:
		assert_false(m.recall[player].pending); /* one at a time */
		m.recall[player] = (struct recall){true, r->seq, r->want, r->urgent};
		m.recalls++;
		break;
	default:
		fail_msg("%s out of place", op_text(f->header.op));
	}
}

/* The oldest event of all. */
static int next_event(void)
{
	uint64_t order = UINT64_MAX;
	int player = -1;

	for (int i = 0; i < PLAYERS; i++) {
		struct event *e = m.p[i] ? TAILQ_FIRST(&m.p[i]->events) : NULL;

		if (e && e->order < order) {
			order = e->order;
			player = i;
		}
	}
	return player;
}

static void judge_events(void)
{
	struct frame f;
	int i;

	while ((i = next_event()) >= 0) {
		player_take(m.p[i], TAILQ_FIRST(&m.p[i]->events)->frame.header.op, &f);
		judge(i, &f);
	}
}

static bool no_orphans(void)
{
	return heap_of(m.p[0], m.heap)->n_orphans == 0;
}

/* Model and daemon agree about every page, and nothing that fits waits. */
static void compare(void)
{
	const struct heap *h = heap_of(m.p[0], m.heap);

	judge_events();
	for (uint32_t i = 0; i < m.n_pages; i++) {
		struct binding *b = heap_holder(h, i);

		if (m.use[i] == FREE)
			assert_null(b);
		else
			assert_ptr_equal(b, session_binding(m.p[m.owner[i]]->session, m.heap));
	}
	assert_int_equal(m.n_wait, h->n_parked);
	if (no_orphans())
		for (int i = 0; i < m.n_wait; i++)
			assert_true(m.wait[i].pages > longest_free());
}

/* ---- what players do ---- */

static bool is_pressed(int i)
{
	return m.writer[i] && atomic_load(&control_of(m.p[i], m.heap)->pressed) > 0;
}

/* Gives a run of idle pages back: [first, first + n) must be idle and the player's. */
static void give(int i, uint32_t seq, uint32_t first, uint32_t n, bool more)
{
	for (uint32_t k = first; k < first + n; k++) {
		assert_true(m.use[k] == IDLE && m.owner[k] == i);
		m.use[k] = FREE;
	}
	assert_int_equal(0, send_return(m.p[i], m.heap, seq, first, n, more));
	compare();
}

/* The next run of idle pages of a player at or behind from; its length. */
static uint32_t idle_run(int i, uint32_t *from)
{
	uint32_t n = 0;

	while (*from < m.n_pages && !(m.use[*from] == IDLE && m.owner[*from] == i))
		(*from)++;
	while (*from + n < m.n_pages && m.use[*from + n] == IDLE && m.owner[*from + n] == i)
		n++;
	return n;
}

static void give_all(int i, uint32_t seq)
{
	uint32_t from = 0, n;

	while ((n = idle_run(i, &from)) > 0) {
		/* what a grant in answer to the first part brings is not part of the answer */
		give(i, seq, from, n, seq != 0);
		from += n;
	}
	if (seq) { /* until here it was answering, and what it had not sent yet could not be asked for */
		m.recall[i].pending = false;
		assert_int_equal(0, send_return(m.p[i], m.heap, seq, 0, 0, false));
	}
	compare();
}

static void answer(int i)
{
	struct recall r = m.recall[i];
	uint32_t from = 0, n, half = held_by(i, IDLE) / 2, max = half < r.want ? half : r.want;

	if (r.urgent) {
		while ((n = idle_run(i, &from)) > 0) {
			if (r.want && n >= r.want) {
				m.recall[i].pending = false;
				give(i, r.seq, from, r.want, false);
				return;
			}
			from += n;
		}
		give_all(i, r.seq);
		return;
	}
	m.recall[i].pending = false;
	n = idle_run(i, &from);
	n = n < max ? n : max;
	if (n)
		give(i, r.seq, from, n, false);
	else
		assert_int_equal(0, send_return(m.p[i], m.heap, r.seq, 0, 0, false));
	compare();
}

static void change_use(int i, enum use from, enum use to)
{
	uint32_t n = held_by(i, from), nth;

	if (!n)
		return;
	nth = rnd(n);
	for (uint32_t k = 0; k < m.n_pages; k++)
		if (m.use[k] == from && m.owner[k] == i && nth-- == 0) {
			m.use[k] = to;
			return;
		}
}

/* Uses n idle pages in a row, if it has them. */
static bool serve_itself(int i, uint32_t pages)
{
	uint32_t from = 0, n;

	while ((n = idle_run(i, &from)) > 0) {
		if (n >= pages) {
			for (n = 0; n < pages; n++)
				m.use[from + n] = USED;
			return true;
		}
		from += n;
	}
	return false;
}

/* Its own waiting threads take what has become free, and ask the daemon no more. */
static void serve_own(int i)
{
	for (int k = m.n_wait - 1; k >= 0; k--) {
		struct wait w = m.wait[k];

		if (w.player != i || !serve_itself(i, w.pages))
			continue;
		drop_wait(&m.wait[k]);
		assert_int_equal(STATUS_OK, ask_cancel(m.p[i], w.id));
		compare();
		k = m.n_wait;
	}
}

/* What an honest client does as soon as it can. */
static void react(int i)
{
	if (!m.p[i] || !m.bound[i] || m.asleep[i])
		return;
	for (uint32_t k = 0; k < m.n_pages; k++)
		if (m.owner[k] == i)
			m.unread[k] = false;
	serve_own(i); /* what came with a grant is theirs before a later recall is read */
	if (m.recall[i].pending)
		answer(i);
	serve_own(i);
}

/* Some of its blocks are freed: while it is pressed, everything that is free goes back at once. */
static void free_some(int i, uint32_t n)
{
	for (; n; n--)
		change_use(i, USED, IDLE);
	if (is_pressed(i))
		give_all(i, 0);
}

static void react_all(void)
{
	for (int i = 0; i < PLAYERS; i++)
		react(i);
}

static void do_refill(int i)
{
	struct wire_refill r = {
		.heap = m.heap,
		.pages = rnd(3) ? 1 + rnd(4) : 1 + rnd(m.n_pages + 2),
		.ahead = rnd(2) ? rnd(20) : 0,
		.priority = (int32_t)rnd(4),
		.since_ns = rnd(3) ? now_ns() : rnd(4) ? 1 + rnd(3) : UINT64_MAX,
		.flags = rnd(4) ? 0 : WIRE_REFILL_NONBLOCK,
	};
	uint64_t before = now_ns();
	bool ahead = rnd(5) == 0;
	const struct wire_grant *g = REPLY(m.p[i], wire_grant);
	uint32_t status, longest = longest_free();

	if (ahead)
		r.flags = WIRE_REFILL_AHEAD;
	else if (serve_itself(i, r.pages))
		return;
	status = ask_refill_full(m.p[i], &r);
	if (status == STATUS_OK) {
		assert_true(ahead || (g->n_runs >= 1 && g->runs[0].n == r.pages));
		assert_true(!ahead || m.n_wait == 0 || g->n_runs == 0);
		take_runs(i, g->runs, g->n_runs);
		for (uint32_t k = 0; !ahead && k < r.pages; k++)
			m.use[g->runs[0].first + k] = USED;
	} else if (status == STATUS_PARKED) {
		assert_true(!ahead && (r.pages > longest || !no_orphans()) &&
			    m.n_wait < PARKED_TOP);
		m.wait[m.n_wait++] = (struct wait){
			.player = i,
			.id = m.p[i]->last_id,
			.pages = r.pages,
			.priority = r.priority,
			.since = r.since_ns,
			.arrival = ++m.arrivals,
			.nonblock = r.flags & WIRE_REFILL_NONBLOCK,
		};
		/* what lies in the future counts as now, which only the daemon knows exactly */
		if (r.since_ns >= before && parked_find(m.p[i]->session, m.p[i]->last_id))
			m.wait[m.n_wait - 1].since =
				parked_find(m.p[i]->session, m.p[i]->last_id)->since_ns;
	} else {
		assert_int_equal(STATUS_NO_MEMORY, status);
		assert_true(r.pages > m.n_pages);
	}
	compare();
}

static void do_bind(int i)
{
	uint32_t access = rnd(5) ? ACCESS_WRITE : ACCESS_READ;
	const struct wire_bound *b;

	assert_int_equal(STATUS_OK, ask_bind(m.p[i], "pool", access, 0));
	b = REPLY(m.p[i], wire_bound);
	assert_true(access == ACCESS_WRITE || !b->n_runs);
	assert_true(!m.n_wait || !b->n_runs);
	m.bound[i] = true;
	m.writer[i] = access == ACCESS_WRITE;
	take_runs(i, b->runs, b->n_runs);
	compare();
}

static void do_unbind(int i)
{
	/* first the events: they are about what it had */
	assert_int_equal(STATUS_OK, ask_heap(m.p[i], OP_UNBIND, m.heap));
	forget_player(i);
	player_forget_events(m.p[i]);
	compare();
}

static void do_leave(int i)
{
	player_leave(m.p[i]);
	m.p[i] = NULL;
	forget_player(i);
	m.p[i] = player_join(&m.stage, 0, 0);
	m.asleep[i] = false;
	compare();
}

static void do_cancel(int i)
{
	uint32_t id = 1 + rnd(m.p[i]->next_id);
	struct wait *w = find_wait(i, id);

	assert_int_equal(w ? STATUS_OK : STATUS_LATE, ask_cancel(m.p[i], id));
	if (w)
		drop_wait(w);
	compare();
}

static void let_deadlines_pass(void)
{
	struct parked *p;

	TAILQ_FOREACH(p, &m.stage.world.heaps.deadlines, by_deadline)
		p->deadline_ns = 1;
	m.time_is_up = true;
	stage_work(&m.stage);
	compare();
	m.time_is_up = false;
	for (int i = 0; i < m.n_wait; i++)
		assert_false(m.wait[i].nonblock);
}

/*
 * Everybody awake, until nobody has anything to say. Then nothing waits that free pages could
 * serve.
 */
static void calm_down(void)
{
	uint32_t run = 0;

	memset(m.asleep, 0, sizeof(m.asleep));
	for (unsigned long before = 0; before != m.recalls + m.granted + m.refused + 1;) {
		before = m.recalls + m.granted + m.refused + 1;
		react_all();
	}
	for (int i = 0; i < PLAYERS; i++)
		assert_false(m.recall[i].pending);
	for (uint32_t k = 0; k < m.n_pages; k++) {
		run = m.use[k] != USED ? run + 1 : 0;
		for (int i = 0; i < m.n_wait; i++) {
			assert_false(m.wait[i].nonblock);
			assert_true(m.wait[i].pages > run);
		}
	}
}

static void step(void)
{
	int i = (int)rnd(PLAYERS);
	uint32_t what = rnd(100), n;

	if (m.asleep[i] && what < 91) { /* a process that is stopped does nothing */
		m.asleep[i] = rnd(4) != 0;
	} else if (!m.bound[i] || (!m.writer[i] && what < 80)) {
		if (!m.bound[i])
			do_bind(i);
		else
			do_unbind(i);
	} else if (what < 25) {
		do_refill(i);
	} else if (what < 50) {
		for (n = rnd(8); n; n--)
			change_use(i, IDLE, USED);
	} else if (what < 75) {
		free_some(i, rnd(12));
	} else if (what < 80) {
		do_cancel(i);
	} else if (what < 84) {
		m.asleep[i] = true;
	} else if (what < 87) {
		give_all(i, 0);
	} else if (what < 89) {
		do_unbind(i);
	} else if (what < 91) {
		do_leave(i);
	} else if (what < 94) {
		let_deadlines_pass();
	} else if (what < 97) {
		calm_down();
	} else {
		assert_int_equal(m.bound[i] ? STATUS_OK : STATUS_MISSING,
				 ask_heap(m.p[i], OP_INQUIRE, m.heap));
	}
	react(i);
	if (rnd(3) == 0)
		react((int)rnd(PLAYERS));
}

static void play(uint64_t with_seed, uint32_t n_pages, bool prio, int steps)
{
	struct player *creator;

	seed = with_seed;
	memset(&m, 0, sizeof(m));
	m.n_pages = n_pages;
	m.prio = prio;
	stage_init(&m.stage);
	m.stage.config.recall_ns = 1; /* whoever has not answered when deadlines pass is late */
	stage_open(&m.stage);
	creator = player_join(&m.stage, 0, 0);
	m.heap = create_heap(creator, "pool", n_pages, prio ? WIRE_MODE_PRIO : 0, NULL);
	player_leave(creator);
	for (int i = 0; i < PLAYERS; i++)
		m.p[i] = player_join(&m.stage, 0, 0);
	for (int i = 0; i < steps; i++)
		step();
	calm_down();
	for (int i = 0; i < PLAYERS; i++) {
		player_leave(m.p[i]);
		m.p[i] = NULL;
		forget_player(i);
		if (i < PLAYERS - 1)
			judge_events();
	}
	stage_close(&m.stage);
}

static void many(int games, int steps, bool prio)
{
	const char *given = getenv("HEAPD_TEST_SEED");
	uint64_t first = given ? strtoull(given, NULL, 0) : 1;

	for (uint64_t i = 0; i < (uint64_t)games; i++) {
		uint64_t s = (first + i) * 0x9e3779b97f4a7c15ull | 1;

		play(s, 1 + (uint32_t)(i * 7 % PAGES_TOP), prio, steps);
	}
	print_message("%d games of %d steps; the last one: %lu grants, %lu recalls, %lu refusals, "
		      "%lu cancelled\n",
		      games, steps, m.granted, m.recalls, m.refused, m.cancelled);
}

static void fifo(_unused_ void **state)
{
	many(1000, 500, false);
}

static void priority(_unused_ void **state)
{
	many(1000, 500, true);
}

static void long_games(_unused_ void **state)
{
	many(6, 50000, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fifo),
		cmocka_unit_test(priority),
		cmocka_unit_test(long_games),
	};

	return cmocka_run_group_tests_name("heap-random", tests, NULL, NULL);
}
