/*
 * work_queue.c: producer and consumer: one thread takes blocks, the other one gives them back
 *
 * Between them is a ring of pointers for one writer and one reader, each of whom looks at the
 * other's index only when its copy of it says full or empty. The ring is the same for all stores
 * and part of every figure.
 */
#include "bench/store.h"
#include "bench/team.h"

#include <sched.h>
#include <stdatomic.h>

#define RING 1024 /* blocks in flight at most: plan_blocks has room for them */
#define SPINS 1000 /* looks before the CPU is given away, should both threads share it */

struct ring {
	_Alignas(64) _Atomic uint64_t head; /* written by the producer */
	_Alignas(64) _Atomic uint64_t tail; /* written by the consumer */
	_Alignas(64) void *block[RING];
};

static void wait_a_little(unsigned int *spins)
{
	if (++*spins < SPINS)
		__asm__ volatile("" : : : "memory");
	else
		(void)sched_yield();
}

/* NULL is the end. */
static void push(struct ring *r, uint64_t *head, uint64_t *tail, void *block)
{
	unsigned int spins = 0;

	while (*head - *tail == RING) {
		*tail = atomic_load_explicit(&r->tail, memory_order_acquire);
		if (*head - *tail == RING)
			wait_a_little(&spins);
	}
	r->block[*head % RING] = block;
	atomic_store_explicit(&r->head, ++*head, memory_order_release);
}

static void *pop(struct ring *r, uint64_t *head, uint64_t *tail)
{
	unsigned int spins = 0;
	void *block;

	while (*head == *tail) {
		*head = atomic_load_explicit(&r->head, memory_order_acquire);
		if (*head == *tail)
			wait_a_little(&spins);
	}
	block = r->block[*tail % RING];
	atomic_store_explicit(&r->tail, ++*tail, memory_order_release);
	return block;
}

static void produce(struct player *p)
{
	struct ring *r = p->work;
	uint64_t head = 0, tail = 0, batch;

	do {
		batch = meter_batch(&p->meter);
		for (uint64_t i = 0; i < batch; i++) {
			void *block = store_get(p->plan->size);

			if (unlikely(!block))
				plan_must(-ENOMEM, "a block");
			*(volatile uint64_t *)block = i;
			push(r, &head, &tail, block);
		}
	} while (meter_more(&p->meter, batch));
	push(r, &head, &tail, NULL);
}

static void consume(struct player *p)
{
	struct ring *r = p->work;
	uint64_t head = 0, tail = 0;
	void *block;

	while ((block = pop(r, &head, &tail)) != NULL) {
		store_put(block);
		p->meter.pairs++;
	}
}

int work_queue(const struct plan *plan, struct outcome *out)
{
	static struct ring ring;
	struct player play[THREADS_MAX] = { 0 };

	if (plan->threads != 2)
		return -EINVAL;
	play[0] = (struct player){ .index = 0, .work = &ring, .loop = produce };
	play[1] = (struct player){ .index = 1, .work = &ring, .loop = consume };
	team_run(plan, play, out);
	return 0;
}
