#include "tests/daemon/stage.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

/* ---- a committer that waits to be told ---- */

struct committer {
	struct commit_job *job[65536];
	unsigned n;
};

static struct committer play;

int commit_start(struct committer *c, struct commit_job *job)
{
	job->map = NULL;
	job->locked = false;
	if (c->n == ARRAY_SIZE(c->job))
		return -ENOMEM;
	c->job[c->n++] = job;
	return 0;
}

void commit_close(_unused_ struct committer *c, int fd)
{
	close_fd(&fd);
}

void commit_cancel(_unused_ struct committer *c, _unused_ struct commit_job *job)
{
}

void commit_dispose(_unused_ struct committer *c, int fd, void *map, uint64_t size)
{
	if (map)
		(void)munmap(map, size);
	close_fd(&fd);
}

struct loop *committer_loop(_unused_ const struct committer *c)
{
	return NULL; /* its jobs never fail, so nothing is tried again */
}

bool committer_uses_io_uring(_unused_ const struct committer *c)
{
	return false;
}

unsigned committer_jobs(const struct committer *c)
{
	return c->n;
}

unsigned stage_jobs(void)
{
	return play.n;
}

/* What the opener's thread does, at once. */
static int open_device(struct commit_job *job)
{
	int r = device_look(job->device);

	if (!r)
		r = device_take(job->device);
	if (!r)
		r = device_open(job->device);
	if (!r)
		job->fd = take_fd(&job->device->fd);
	return r;
}

void stage_commit(struct stage *st, int result)
{
	struct commit_job *job = play.job[0];

	assert_true(play.n > 0);
	play.n--;
	memmove(play.job, play.job + 1, play.n * sizeof(struct commit_job *));
	if (!result && job->device)
		result = open_device(job);
	job->done(job, result);
	if (!st->unchecked)
		stage_check(st);
}

void stage_commit_all(struct stage *st)
{
	while (play.n)
		stage_commit(st, 0);
}

/* ---- the stage ---- */

static void on_wake(void *ctx, uint64_t in_ns)
{
	struct stage *st = ctx;

	st->woken_in_ns = min_u64(st->woken_in_ns, in_ns);
}

void stage_init(struct stage *st)
{
	memset(st, 0, sizeof(*st));
	TAILQ_INIT(&st->players);
	st->woken_in_ns = UINT64_MAX;
	config_init(&st->config);
	st->config.lock_arenas = false;
}

void stage_open(struct stage *st)
{
	world_init(&st->world, &play, &st->config, on_wake, st);
}

void stage_check(struct stage *st)
{
	const char *why = "";

	if (world_check(&st->world, &why) < 0)
		fail_msg("%s", why);
}

void stage_work(struct stage *st)
{
	uint64_t next;

	do {
		st->woken_in_ns = UINT64_MAX;
		next = world_work(&st->world);
		if (!st->unchecked)
			stage_check(st);
	} while (next == 0);
	st->woken_in_ns = next;
}

void stage_close(struct stage *st)
{
	struct player *p;

	while ((p = TAILQ_FIRST(&st->players)))
		player_leave(p);
	stage_work(st);
	stage_check(st);
	while (play.n)
		stage_commit(st, -ECANCELED);
	world_deinit(&st->world);
	config_deinit(&st->config);
}

/* ---- players ---- */

static bool is_writable(const struct frame *f)
{
	return f->n_fds && (fcntl(f->fds[0], F_GETFL) & O_ACCMODE) == O_RDWR;
}

static void check_answer(const struct frame *f, enum codec_socket socket)
{
	const char *why = "";

	if (codec_check_answer(f, socket, &why) < 0)
		fail_msg("%s with status %u: %s", op_text(f->header.op), f->header.status, why);
	for (int i = 0; i < f->n_fds; i++)
		assert_true(fcntl(f->fds[i], F_GETFD) >= 0);
}

static int emit(void *ctx, const struct frame *f)
{
	struct player *p = ctx;
	struct event *e = malloc(sizeof(*e));

	assert_non_null(e);
	check_answer(f, CODEC_EVENT);
	e->frame.header = f->header;
	memcpy(e->frame.body.bytes, f->body.bytes, f->header.length);
	e->frame.n_fds = 0;
	e->n_fds = f->n_fds;
	e->fd_writable = is_writable(f);
	e->order = ++p->stage->order;
	TAILQ_INSERT_TAIL(&p->events, e, link);
	p->n_events++;
	return 0;
}

static bool unread(void *ctx)
{
	return ((struct player *)ctx)->unread;
}

static int deliver(void *ctx, const struct frame *event)
{
	return ((struct player *)ctx)->crowded ? -EAGAIN : emit(ctx, event);
}

static const struct session_port port = {.emit = emit, .unread = unread, .deliver = deliver};

struct player *player_join(struct stage *st, uid_t uid, gid_t gid)
{
	struct player *p = calloc(1, sizeof(*p));
	struct credentials who = {
		.pid = 1000 + (pid_t)st->world.last_session, .uid = uid, .gid = gid};
	struct charge charge = CHARGE_NULL;

	assert_non_null(p);
	assert_int_equal(0, charge_take(&charge, &st->world.accounts, uid, RESOURCE_SESSIONS, 1));
	p->stage = st;
	TAILQ_INIT(&p->events);
	TAILQ_INSERT_TAIL(&st->players, p, link);
	assert_int_equal(0, world_join(&st->world, &p->session, &who, &charge, "player", &port, p));
	return p;
}

void player_add_group(struct player *p, gid_t gid)
{
	struct credentials *who = &p->session->who;

	who->groups = realloc(who->groups, (who->n_groups + 1) * sizeof(gid_t));
	assert_non_null(who->groups);
	who->groups[who->n_groups++] = gid;
}

void player_forget_events(struct player *p)
{
	struct event *e;

	while ((e = TAILQ_FIRST(&p->events))) {
		TAILQ_REMOVE(&p->events, e, link);
		free(e);
	}
	p->n_events = 0;
}

void player_leave(struct player *p)
{
	struct stage *st = p->stage;

	TAILQ_REMOVE(&st->players, p, link);
	world_leave(&st->world, p->session);
	player_forget_events(p);
	free(p);
	if (!st->unchecked)
		stage_check(st);
}

uint32_t player_ask(struct player *p, struct frame *f)
{
	struct stage *st = p->stage;
	const char *why = "";

	f->header.id = p->last_id = ++p->next_id;
	if (codec_check_request(f, CODEC_CALL, &why) < 0)
		fail_msg("%s: %s", op_text(f->header.op), why);
	assert_int_equal(0, ops_call(&st->world, p->session, f, &p->reply));
	assert_int_equal(p->reply.frame.header.id, p->last_id);
	assert_int_equal(p->reply.frame.header.op, f->header.op | WIRE_REPLY);
	check_answer(&p->reply.frame, CODEC_CALL);
	p->reply_fd_writable = is_writable(&p->reply.frame);
	close_fd(&p->reply.opened);
	if (!st->unchecked)
		stage_check(st);
	return p->reply.frame.header.status;
}

int player_send(struct player *p, struct frame *f)
{
	const char *why = "";
	int r;

	if (codec_check_request(f, CODEC_EVENT, &why) < 0)
		fail_msg("%s: %s", op_text(f->header.op), why);
	r = ops_event(&p->stage->world, p->session, f);
	if (!p->stage->unchecked)
		stage_check(p->stage);
	return r;
}

void player_take(struct player *p, uint16_t op, struct frame *f)
{
	struct event *e = TAILQ_FIRST(&p->events);

	if (!e)
		fail_msg("no event, but %s was expected", op_text(op));
	if (e->frame.header.op != op)
		fail_msg("%s, but %s was expected", op_text(e->frame.header.op), op_text(op));
	f->header = e->frame.header;
	memcpy(f->body.bytes, e->frame.body.bytes, f->header.length);
	f->n_fds = 0;
	TAILQ_REMOVE(&p->events, e, link);
	p->n_events--;
	free(e);
}

bool player_has(const struct player *p, uint16_t op)
{
	const struct event *e;

	TAILQ_FOREACH(e, &p->events, link) {
		if (e->frame.header.op == op)
			return true;
	}
	return false;
}

/* ---- requests ---- */

uint32_t ask_create_full(struct player *p, const struct wire_create *c)
{
	struct frame f;
	struct wire_create *body = frame_init(&f, OP_CREATE, 0, 0, sizeof(*body));

	*body = *c;
	return player_ask(p, &f);
}

uint32_t ask_create(struct player *p, const char *name, uint64_t size, uint32_t mode)
{
	struct wire_create c = {
		.size = size,
		.mode = mode,
		.kind = mode & WIRE_MODE_SINGLE ? KIND_SEGMENT : KIND_HEAP,
		.perm = WIRE_PERM_DEFAULT,
		.gid = WIRE_GID_DEFAULT,
	};

	if (name)
		name_copy(c.name, name);
	return ask_create_full(p, &c);
}

uint32_t ask_bind(struct player *p, const char *name, uint32_t access, uint32_t flags)
{
	struct frame f;
	struct wire_bind *body = frame_init(&f, OP_BIND, 0, 0, sizeof(*body));

	name_copy(body->name, name);
	body->access = access;
	body->flags = flags;
	return player_ask(p, &f);
}

uint32_t ask_heap(struct player *p, uint16_t op, uint64_t heap)
{
	struct frame f;
	struct wire_heap *body = frame_init(&f, op, 0, 0, sizeof(*body));

	body->heap = heap;
	return player_ask(p, &f);
}

uint32_t ask_target(struct player *p, uint16_t op, uint64_t heap, const char *name, uint64_t cursor)
{
	struct frame f;
	struct wire_target *body = frame_init(&f, op, 0, 0, sizeof(*body));

	body->heap = heap;
	body->cursor = cursor;
	if (name)
		name_copy(body->name, name);
	return player_ask(p, &f);
}

uint32_t ask_refill_full(struct player *p, const struct wire_refill *r)
{
	struct frame f;
	struct wire_refill *body = frame_init(&f, OP_REFILL, 0, 0, sizeof(*body));

	*body = *r;
	return player_ask(p, &f);
}

uint32_t ask_refill(struct player *p, uint64_t heap, uint32_t pages, uint32_t flags)
{
	const struct wire_refill r = {
		.heap = heap, .pages = pages, .flags = flags, .since_ns = now_ns()};

	return ask_refill_full(p, &r);
}

uint32_t ask_free(struct player *p, uint64_t heap, uint64_t offset)
{
	struct frame f;
	struct wire_free *body = frame_init(&f, OP_FREE, 0, 0, sizeof(*body));

	body->heap = heap;
	body->offset = offset;
	return player_ask(p, &f);
}

uint32_t ask_cancel(struct player *p, uint32_t id)
{
	struct frame f;
	struct wire_cancel *body = frame_init(&f, OP_CANCEL, 0, 0, sizeof(*body));

	body->id = id;
	return player_ask(p, &f);
}

uint32_t ask_chmod(struct player *p, const struct wire_chmod *c)
{
	struct frame f;
	struct wire_chmod *body = frame_init(&f, OP_CHMOD, 0, 0, sizeof(*body));

	*body = *c;
	return player_ask(p, &f);
}

int send_return(struct player *p, uint64_t heap, uint32_t seq, uint32_t first, uint32_t n,
		bool more)
{
	struct frame f;
	struct wire_return *body =
		frame_init(&f, OP_RETURN, 0, 0, sizeof(*body) + (n ? sizeof(struct wire_run) : 0));

	body->heap = heap;
	body->seq = seq;
	body->more = more;
	body->n_runs = n > 0;
	if (n)
		body->runs[0] = (struct wire_run){.first = first, .n = n};
	return player_send(p, &f);
}

uint64_t create_heap(struct player *p, const char *name, uint64_t pages, uint32_t mode,
		     struct frame *bound)
{
	struct frame f;
	uint32_t id;

	assert_int_equal(STATUS_PARKED, ask_create(p, name, pages * HW_PAGE_SIZE, mode));
	id = p->last_id;
	while (stage_jobs())
		stage_commit(p->stage, 0);
	if (p->stage->world.heaps.keep)
		stage_work(p->stage); /* it is stored first */
	player_take(p, EV_BOUND, &f);
	assert_int_equal(STATUS_OK, f.header.status);
	assert_int_equal(id, f.header.id);
	if (bound)
		memcpy(bound, &f, offsetof(struct frame, body) + f.header.length);
	return FRAME_BODY(&f, struct wire_bound)->heap;
}

uint64_t bind_heap(struct player *p, const char *name, uint32_t access)
{
	assert_int_equal(STATUS_OK, ask_bind(p, name, access, WIRE_BIND_NOWAIT));
	return REPLY(p, wire_bound)->heap;
}

struct heap *heap_of(struct player *p, uint64_t id)
{
	struct heap *h = heaps_find(&p->stage->world.heaps, id);

	assert_non_null(h);
	return h;
}

struct wire_control *control_of(struct player *p, uint64_t id)
{
	struct binding *b = session_binding(p->session, id);

	assert_non_null(b);
	return binding_control(b);
}
