/*
 * parked.c: see parked.h
 */
#include "daemon/parked.h"

#include "daemon/session.h"

int parked_new(struct parked **out, enum parked_kind kind, struct session *s, uint32_t id,
	       struct accounts *as)
{
	struct parked *p = calloc(1, sizeof(*p));
	int r = 0;

	if (!p)
		return -ENOMEM;
	p->kind = kind;
	p->id = id;
	p->session = s;
	if (kind != PARKED_CREATE)
		r = charge_take(&p->charge, as, s->who.uid, RESOURCE_PARKED, 1);
	if (r) {
		free(p);
		return r;
	}
	TAILQ_INSERT_TAIL(&s->parked, p, of_session);
	s->n_parked++;
	*out = p;
	return 0;
}

struct parked *parked_free(struct parked *p)
{
	TAILQ_REMOVE(&p->session->parked, p, of_session);
	p->session->n_parked--;
	charge_deinit(&p->charge);
	free(p);
	return NULL;
}

struct parked *parked_find(const struct session *s, uint32_t id)
{
	struct parked *p;

	TAILQ_FOREACH(p, &s->parked, of_session) {
		if (p->id == id)
			break;
	}
	return p;
}
