/*
 * work_latency.c: the loop of work_replace.c, each get and each put timed by itself
 *
 * The clock is the processor's counter, fenced so that the call is between the two readings. What
 * two readings with nothing between cost is printed beside ("clock_ns") and not taken off. Under
 * plan->rt the loop runs in stretches shorter than the kernel's throttling period, with a rest
 * between them, and what the change of the scheduling class costs is outside of what is timed.
 *
 * Not here: the disturbance (disturb.c), which is another process.
 */
#include "bench/histogram.h"
#include "bench/store.h"
#include "bench/team.h"

#define STRETCH_NS (300 * NSEC_PER_MSEC)
#define REST_US 200000

struct timed {
	void **block;
	uint64_t n, random, clock;
	bool rt; /* SCHED_FIFO was permitted */
	struct histogram get, put;
};

static inline uint64_t ticks(void)
{
#if defined(__x86_64__)
	uint64_t t;

	__asm__ volatile("lfence\n\trdtsc\n\tshl $32, %%rdx\n\tor %%rdx, %%rax\n\tlfence"
			 : "=a"(t) : : "rdx", "memory");
	return t;
#elif defined(__aarch64__)
	uint64_t t;

	__asm__ volatile("isb\n\tmrs %0, cntvct_el0\n\tisb" : "=r"(t) : : "memory");
	return t;
#else
	return now_ns();
#endif
}

/* Nanoseconds of a tick, against the clock of the kernel over 50 ms. */
static double tick_ns(void)
{
	uint64_t n = now_ns(), t = ticks(), end = n + 50 * NSEC_PER_MSEC, m;

	do {
		m = now_ns();
	} while (m < end);
	return (double)(m - n) / (double)(ticks() - t);
}

static void *timed_get(struct timed *w, const struct plan *plan, bool count)
{
	size_t size = plan->size;
	uint64_t t;
	void *block;

	if (plan->size_max)
		size += random_below(&w->random, plan->size_max - plan->size + 1);
	t = ticks();
	block = store_get(size);
	t = ticks() - t;
	if (unlikely(!block))
		plan_must(-ENOMEM, "a block");
	*(volatile uint64_t *)block = t;
	if (count)
		histogram_add(&w->get, t);
	return block;
}

static void timed_put(struct timed *w, void *block)
{
	uint64_t t = ticks();

	store_put(block);
	histogram_add(&w->put, ticks() - t);
}

static void fill(struct player *p)
{
	struct timed *w = p->work;

	w->n = p->plan->live / p->plan->threads;
	w->random = 88172645463325252u + p->index;
	w->block = calloc(w->n, sizeof(*w->block));
	plan_must(w->block && w->n ? 0 : -ENOMEM, "the table of blocks");
	for (uint64_t i = 0; i < w->n; i++)
		w->block[i] = timed_get(w, p->plan, false);
	w->clock = UINT64_MAX;
	for (int i = 0; i < BATCH; i++) {
		uint64_t t = ticks();

		t = ticks() - t;
		w->clock = t < w->clock ? t : w->clock;
	}
}

static void rest(struct timed *w, uint64_t *stretch)
{
	if (!w->rt || now_ns() - *stretch < STRETCH_NS)
		return;
	(void)team_rt(false);
	(void)usleep(REST_US);
	(void)team_rt(true);
	*stretch = now_ns();
}

static void loop(struct player *p)
{
	struct timed *w = p->work;
	uint64_t stretch = now_ns(), batch;

	w->rt = p->plan->rt && team_rt(true);
	do {
		batch = meter_batch(&p->meter);
		for (uint64_t i = 0; i < batch; i++) {
			void **slot = &w->block[random_below(&w->random, w->n)];

			timed_put(w, *slot);
			*slot = timed_get(w, p->plan, true);
		}
		rest(w, &stretch);
	} while (meter_more(&p->meter, batch));
	if (w->rt)
		(void)team_rt(false);
}

static void add(struct histogram *sum, const struct histogram *h)
{
	sum->count += h->count;
	sum->max = h->max > sum->max ? h->max : sum->max;
	for (unsigned int i = 0; i < BINS; i++)
		sum->bin[i] += h->bin[i];
}

static void print(const char *name, const struct histogram *h, double ns)
{
	const char *comma = "";

	printf(", \"%s\": {\"count\": %llu, \"max_ns\": %.1f, \"bins\": [", name,
	       (unsigned long long)h->count,
	       (double)h->max * ns);
	for (unsigned int i = 0; i < BINS; i++) {
		uint64_t top = histogram_top(i) < h->max ? histogram_top(i) : h->max;

		if (!h->bin[i])
			continue;
		printf("%s[%.1f, %llu]", comma, (double)top * ns, (unsigned long long)h->bin[i]);
		comma = ", ";
	}
	printf("]}");
}

int work_latency(const struct plan *plan, struct outcome *out)
{
	struct timed *timed = calloc(plan->threads, sizeof(*timed));
	struct player play[THREADS_MAX] = { 0 };
	double ns = tick_ns();

	if (!timed)
		return -ENOMEM;
	memset(timed, 0, plan->threads * sizeof(*timed)); /* (touched: no fault while it counts) */
	for (unsigned int i = 0; i < plan->threads; i++)
		play[i] = (struct player){
			.index = i, .work = &timed[i], .prepare = fill, .loop = loop,
		};
	team_run(plan, play, out);
	for (unsigned int i = 1; i < plan->threads; i++) {
		add(&timed[0].get, &timed[i].get);
		add(&timed[0].put, &timed[i].put);
	}
	printf(", \"clock_ns\": %.1f, \"rt\": %s", (double)timed[0].clock * ns,
	       timed[0].rt ? "true" : "false");
	print("get", &timed[0].get, ns);
	print("put", &timed[0].put, ns);
	free(timed);
	return 0;
}
