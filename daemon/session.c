/*
 * session.c: see session.h
 */
#include "daemon/session.h"

#include "daemon/binding.h"

static struct session *make(uint64_t id, const char *label)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->id = id;
	s->areas = (struct areas)AREAS_NULL;
	s->pidfd = -1;
	s->kept = (struct kept_session)KEPT_SESSION_NULL;
	TAILQ_INIT(&s->bound);
	TAILQ_INIT(&s->parked);
	memcpy(s->label, label, strnlen(label, WIRE_LABEL_SIZE - 1));
	return s;
}

static void take_person(struct session *s, struct credentials *who, struct charge *charge)
{
	s->who = *who;
	*who = (struct credentials)CREDENTIALS_NULL;
	s->charge = *charge;
	*charge = (struct charge)CHARGE_NULL;
}

int session_new(struct session **out, uint64_t id, struct credentials *who, struct charge *charge,
		const char *label, const struct session_port *port, void *ctx)
{
	struct session *s = make(id, label);
	int r;

	if (!s)
		return -ENOMEM;
	r = areas_init(&s->areas);
	if (r < 0) {
		free(s);
		return r;
	}
	s->port = port;
	s->port_ctx = ctx;
	take_person(s, who, charge);
	*out = s;
	return 0;
}

int session_revive_take(struct session **out, uint64_t id, struct credentials *who,
			struct charge *charge, const char *label, int control_rw_fd, int stats_fd)
{
	struct session *s = make(id, label);
	int r;

	if (!s) {
		close_fd(&control_rw_fd);
		close_fd(&stats_fd);
		return -ENOMEM;
	}
	r = areas_adopt(&s->areas, control_rw_fd, stats_fd);
	if (r < 0) {
		free(s);
		return r;
	}
	take_person(s, who, charge);
	*out = s;
	return 0;
}

void session_return(struct session *s, struct credentials *who, const struct session_port *port,
		    void *ctx)
{
	credentials_deinit(&s->who);
	s->who = *who;
	*who = (struct credentials)CREDENTIALS_NULL;
	s->port = port;
	s->port_ctx = ctx;
	s->is_resuming = true;
}

void session_away(struct session *s)
{
	struct binding *b;

	s->port = NULL;
	s->is_resuming = false;
	s->settled = NULL;
	TAILQ_FOREACH(b, &s->bound, of_session) {
		b->is_resumed = false;
		b->told = b->n_told = 0;
	}
}

struct session *session_free(struct session *s)
{
	if (!s)
		return NULL;
	assert(TAILQ_EMPTY(&s->bound) && TAILQ_EMPTY(&s->parked) && "what it had is undone first");
	table_deinit(&s->bindings);
	areas_deinit(&s->areas);
	credentials_deinit(&s->who);
	charge_deinit(&s->charge);
	free(s);
	return NULL;
}

void session_end(struct session *s)
{
	s->port = NULL;
}

int session_emit(struct session *s, const struct frame *event)
{
	return s->port ? s->port->emit(s->port_ctx, event) : 0;
}

bool session_unread(const struct session *s)
{
	return s->port && s->port->unread(s->port_ctx);
}

int session_deliver(struct session *s, const struct frame *event)
{
	return s->port ? s->port->deliver(s->port_ctx, event) : -EAGAIN;
}

struct binding *session_binding(const struct session *s, uint64_t heap)
{
	struct table_node *node = table_find(&s->bindings, hash_number(heap));

	for (; node; node = table_next(node)) {
		struct binding *b = container_of(node, struct binding, by_heap);

		if (b->heap_id == heap)
			return b;
	}
	return NULL;
}
