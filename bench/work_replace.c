/*
 * work_replace.c: random replacement: one of plan->live blocks is given back, and one of random
 * size taken for it
 *
 * The standard loop for allocators: every size is alive at once, and lifetimes have nothing to do
 * with order. Each thread has its part of the blocks. The first word of a block is written, as
 * whoever takes one does.
 */
#include "bench/store.h"
#include "bench/team.h"

struct table {
	void **block;
	uint64_t n;
	uint64_t random;
};

static size_t size_next(const struct plan *plan, uint64_t *random)
{
	if (!plan->size_max)
		return plan->size;
	return plan->size + random_below(random, plan->size_max - plan->size + 1);
}

static void *take_new(const struct plan *plan, uint64_t *random)
{
	void *block = store_get(size_next(plan, random));

	if (unlikely(!block))
		plan_must(-ENOMEM, "a block");
	*(volatile uint64_t *)block = *random;
	return block;
}

static void fill(struct player *p)
{
	struct table *t = p->work;

	t->n = p->plan->live / p->plan->threads;
	t->random = 88172645463325252u + p->index;
	t->block = calloc(t->n, sizeof(*t->block));
	plan_must(t->block && t->n ? 0 : -ENOMEM, "the table of blocks");
	for (uint64_t i = 0; i < t->n; i++)
		t->block[i] = take_new(p->plan, &t->random);
	/* mix once, so that the order of the filling is gone */
	for (uint64_t i = 0; i < t->n; i++) {
		void **slot = &t->block[random_below(&t->random, t->n)];

		store_put(*slot);
		*slot = take_new(p->plan, &t->random);
	}
}

static void loop(struct player *p)
{
	struct table t = *(struct table *)p->work;
	uint64_t batch;

	do {
		batch = meter_batch(&p->meter);
		for (uint64_t i = 0; i < batch; i++) {
			void **slot = &t.block[random_below(&t.random, t.n)];

			store_put(*slot);
			*slot = take_new(p->plan, &t.random);
		}
	} while (meter_more(&p->meter, batch));
}

int work_replace(const struct plan *plan, struct outcome *out)
{
	struct player play[THREADS_MAX] = { 0 };
	struct table tables[THREADS_MAX] = { 0 };

	for (unsigned int i = 0; i < plan->threads; i++)
		play[i] = (struct player){
			.index = i, .work = &tables[i], .prepare = fill, .loop = loop,
		};
	team_run(plan, play, out);
	return 0;
}
