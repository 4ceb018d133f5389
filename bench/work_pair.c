/*
 * work_pair.c: a block is taken and given back, again and again
 *
 * plan->live blocks are out besides and stay: they make the store a used one.
 */
#include "bench/store.h"
#include "bench/team.h"

static void hold(struct player *p)
{
	uint64_t n = p->plan->live / p->plan->threads;

	for (uint64_t i = 0; i < n; i++) {
		void *block = store_get(p->plan->size);

		plan_must(block ? 0 : -ENOMEM, "a block that stays");
		used(block);
	}
	/* what a first use costs is not what we ask */
	for (int i = 0; i < BATCH; i++) {
		void *block = store_get(p->plan->size);

		plan_must(block ? 0 : -ENOMEM, "a block");
		store_put(block);
	}
}

static void loop(struct player *p)
{
	size_t size = p->plan->size;
	uint64_t batch;

	do {
		batch = meter_batch(&p->meter);
		for (uint64_t i = 0; i < batch; i++) {
			void *block = store_get(size);

			if (unlikely(!block))
				plan_must(-ENOMEM, "a block");
			used(block);
			store_put(block);
		}
	} while (meter_more(&p->meter, batch));
}

int work_pair(const struct plan *plan, struct outcome *out)
{
	struct player play[THREADS_MAX] = { 0 };

	for (unsigned int i = 0; i < plan->threads; i++)
		play[i] = (struct player){ .index = i, .prepare = hold, .loop = loop };
	team_run(plan, play, out);
	return 0;
}
