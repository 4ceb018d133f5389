/*
 * cpucache.c: see cpucache.h
 *
 * Why an exchange of a head is safe although it was read before: versions never come back, so the head is
 * what it was, and the array is that of the serial that was looked at in between. A slot cannot have
 * changed under the same head: what is given raises the version.
 */
#include "client/cpucache.h"

static uint32_t cpus_of(const struct rseq_arrays *a)
{
	return atomic_load(&a->heads) ? atomic_load(&a->n_cpus) : 0;
}

/* ---- the gate ---- */

static void set_serial(struct rseq_arrays *a, uint64_t serial)
{
	uint64_t gate = atomic_load(&a->gate);

	while (!atomic_compare_exchange_weak(&a->gate, &gate, serial << CPUCACHE_BITS | CPUCACHE_SHUT(gate)))
		; /* a closer came or left */
}

void cpucache_begin(struct rseq_arrays *a, uint64_t serial)
{
	set_serial(a, serial);
	cpucache_reopen(a); /* a residence that the last serial left behind */
}

int cpucache_close(struct rseq_arrays *a)
{
	int r;

	if (atomic_fetch_add(&a->gate, 1) & CPUCACHE_RESIDENT)
		return 0; /* it was shut, with a barrier behind, and has been since */
	r = rseq_barrier();
	if (r < 0)
		cpucache_leave(a, false);
	return r;
}

void cpucache_leave(struct rseq_arrays *a, bool resident)
{
	uint64_t gate = atomic_load(&a->gate);

	while (!atomic_compare_exchange_weak(&a->gate, &gate, (gate - 1) | (resident ? CPUCACHE_RESIDENT : 0)))
		; /* another closer came or left */
}

void cpucache_reopen(struct rseq_arrays *a)
{
	uint64_t gate = atomic_load(&a->gate);

	if (CPUCACHE_SHUT(gate) == CPUCACHE_RESIDENT)
		(void)atomic_compare_exchange_strong(&a->gate, &gate, gate & ~CPUCACHE_RESIDENT);
}

/* ---- the arrays ---- */

static void forget_head(_Atomic uint64_t *head)
{
	uint64_t old = atomic_load(head);

	while (!atomic_compare_exchange_weak(head, &old, (old | 0xffff) + 1))
		; /* another closer took one */
}

void cpucache_end(struct rseq_arrays *a)
{
	set_serial(a, 0);
	for (uint32_t cpu = 0; cpu < cpus_of(a); cpu++)
		for (uint32_t kind = 0; kind < atomic_load(&a->n_kinds); kind++)
			forget_head(rseq_head(a, cpu, kind));
}

/* From one array. The serial is looked at between the head and its exchange. */
static bool steal_from(struct rseq_arrays *a, uint32_t cpu, uint32_t kind, uint64_t serial, uint32_t *number)
{
	_Atomic uint64_t *at = rseq_head(a, cpu, kind);
	const uint32_t *slots = rseq_slots(a, cpu, kind);
	uint64_t head = atomic_load(at);

	while (RSEQ_COUNT(head) > 0 && RSEQ_COUNT(head) <= RSEQ_SLOTS) {
		*number = __atomic_load_n(&slots[RSEQ_COUNT(head) - 1], __ATOMIC_RELAXED);
		if (CPUCACHE_SERIAL(atomic_load(&a->gate)) != serial)
			return false;
		if (atomic_compare_exchange_weak(at, &head, head + RSEQ_TAKEN))
			return true;
	}
	return false;
}

bool cpucache_steal(struct rseq_arrays *a, uint32_t kind, uint64_t serial, uint32_t *number)
{
	for (uint32_t cpu = 0; cpu < cpus_of(a); cpu++)
		if (steal_from(a, cpu, kind, serial, number))
			return true;
	return false;
}

/* Versions only rise, so a sum that is the same is of heads that are the same. */
bool cpucache_look(const struct rseq_arrays *a, uint32_t kind, uint64_t *sum)
{
	*sum = 0;
	for (uint32_t cpu = 0; cpu < cpus_of(a); cpu++) {
		uint64_t head = atomic_load(rseq_head(a, cpu, kind));

		if (RSEQ_COUNT(head) > 0)
			return false;
		*sum += head;
	}
	return true;
}

uint64_t cpucache_sum(const struct rseq_arrays *a, uint32_t kind)
{
	uint64_t sum = 0;

	for (uint32_t cpu = 0; cpu < cpus_of(a); cpu++)
		sum += RSEQ_COUNT(atomic_load(rseq_head(a, cpu, kind)));
	return sum;
}
