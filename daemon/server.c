/*
 * server.c: the world between a loop and its sockets; see server.h
 *
 * One timer does what the world wants done later: each time it runs one bounded piece, and comes
 * back at once while there is more, after a poll, so that work never keeps a request waiting for
 * long.
 */
#include "daemon/server.h"

#include <stdio.h>
#include "daemon/listener.h"
#include "daemon/point.h"
#include "daemon/revive.h"

#define LISTENERS_MAX 16

struct server {
	struct world world;
	struct peers peers;
	struct loop *loop;
	struct loop_timer *work;
	uint64_t work_at_ns; /* when it will run; UINT64_MAX: not armed */
	struct listener *listener[LISTENERS_MAX];
	size_t n_listeners;
	bool closing;
};

static void wake_in(void *ctx, uint64_t in_ns)
{
	struct server *s = ctx;
	uint64_t now = now_ns(), at = in_ns > UINT64_MAX - now ? UINT64_MAX : now + in_ns;

	if (s->closing || at >= s->work_at_ns)
		return;
	s->work_at_ns = loop_timer_set(s->work, in_ns) < 0 ? UINT64_MAX : at;
}

static void wake_now(void *ctx)
{
	wake_in(ctx, 0);
}

static void on_work(void *ctx)
{
	struct server *s = ctx;
	uint64_t next;
	bool more;

	s->work_at_ns = UINT64_MAX;
	more = peers_work(&s->peers);
	next = world_work(&s->world);
	POINT_AUDIT(&s->world);
	if (more || next != UINT64_MAX)
		wake_in(s, more ? 0 : next);
}

int server_new(struct server **out, struct loop *l, struct committer *committer,
	       struct config *config)
{
	struct server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->loop = l;
	s->work_at_ns = UINT64_MAX;
	r = loop_timer_new(&s->work, l, on_work, s);
	if (r < 0) {
		free(s);
		return r;
	}
	world_init(&s->world, committer, config, wake_in, s);
	peers_init(&s->peers, &s->world, l, wake_now, s);
	*out = s;
	return 0;
}

int server_keep(struct server *s, struct keep *keep, struct notify_fd *fds, size_t n)
{
	world_keep(&s->world, keep);
	return revive_world(&s->world, &s->peers, fds, n);
}

void server_abandon(struct server *s)
{
	s->closing = true;
	world_abandon(&s->world);
}

struct server *server_free(struct server *s)
{
	if (!s)
		return NULL;
	s->closing = true;
	while (s->n_listeners)
		listener_free(s->listener[--s->n_listeners]);
	peers_deinit(&s->peers);
	world_deinit(&s->world);
	loop_timer_free(s->work);
	free(s);
	return NULL;
}

int server_listen_take(struct server *s, int fd)
{
	int r;

	if (s->n_listeners == LISTENERS_MAX) {
		close_fd(&fd);
		return -ENOSPC;
	}
	r = listener_new_take(&s->listener[s->n_listeners], &s->peers, fd);
	if (!r)
		s->n_listeners++;
	return r;
}

void server_reload(struct server *s, struct config *config)
{
	world_reload(&s->world, config);
}

void server_set_facts(struct server *s, int priority, bool locked)
{
	s->world.priority = priority;
	s->world.locked = locked;
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

void server_status(const struct server *s, char *buf, size_t size)
{
	static const char units[] = "KMGTPE";
	uint64_t bytes = s->world.heaps.bytes, heaps = s->world.heaps.n,
		 clients = s->world.n_sessions;
	double amount = (double)bytes / 1024;
	size_t unit = 0;

	while (amount >= 1024 && units[unit + 1]) {
		amount /= 1024;
		unit++;
	}
	(void)snprintf(buf, size, "%llu heap%s, %.*f %ciB, %llu client%s",
		       (unsigned long long)heaps, plural(heaps), amount < 10 && bytes ? 1 : 0,
		       amount, units[unit], (unsigned long long)clients, plural(clients));
}
