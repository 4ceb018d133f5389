/*
 * process.c: see process.h
 */
#include "client/process.h"

#include "client/multi_heap.h"
#include "client/partitions.h"
#include "client/pool.h"
#include "client/registry.h"
#include "client/views.h"

static _Atomic bool is_set_up;

/* The table must be whole in the child: its chains and the free descriptors are used there. */
static void before_fork(void)
{
	heap_table_lock();
}

/* What is not kept from the child (client/mapping.h) is copied now, not in a page fault on a hot path. */
static void after_fork_in_parent(void)
{
	heap_table_unlock();
	multi_heap_unshare();
	pool_unshare();
}

static void after_fork_in_child(void)
{
	session_forget_all();
	heap_table_init();
	registry_forget();
	views_forget();
	partitions_reset();
	multi_heap_forget();
	pool_reset();
	epoch_begin();
}

/* 0; -ENOMEM: nothing is different, and the next call tries again. */
static int set_up(void)
{
	static bool handles_forks;
	int r = epoch_init();

	if (r == 0 && !handles_forks) {
		r = -pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
		handles_forks = r == 0;
	}
	if (r < 0)
		return r;
	heap_table_init();
	registry_init();
	views_init();
	partitions_reset();
	multi_heap_forget();
	pool_reset();
	session_set_handler(&heap_session_handler);
	epoch_begin();
	return 0;
}

/*
 * Threads that come first at the same time take turns, by the pid of whoever is at it. In a child that was forked at
 * that moment that thread is not there, and neither is what it did: another one takes its place.
 */
static int enter_first(void)
{
	static _Atomic pid_t at_it;
	const struct timespec pause = { .tv_nsec = 100000 };
	pid_t me = getpid(), who = 0;
	int r;

	assert(sysconf(_SC_PAGESIZE) == (long)HW_PAGE_SIZE && "built for 4 KiB pages");
	while (!atomic_compare_exchange_strong(&at_it, &who, me)) {
		if (who != me)
			continue; /* a parent's */
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		who = 0;
	}
	r = atomic_load(&is_set_up) ? 0 : set_up();
	if (r == 0)
		atomic_store_explicit(&is_set_up, true, memory_order_release);
	atomic_store(&at_it, 0);
	return r;
}

int process_enter(void)
{
	if (unlikely(!atomic_load_explicit(&is_set_up, memory_order_acquire))) {
		int r = enter_first();

		if (r < 0)
			return r;
	}
	if (unlikely(epoch_now() == 0))
		after_fork_in_child(); /* a bare clone: one thread, no handlers ran */
	return 0;
}
