/*
 * process.c: see process.h
 */
#include "client/process.h"

#include "client/multi_heap.h"
#include "client/partitions.h"
#include "client/pool.h"
#include "client/registry.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_result;

/* The table must be whole in the child: its chains and the free descriptors are used there. */
static void before_fork(void)
{
	heap_table_lock();
}

static void after_fork_in_parent(void)
{
	heap_table_unlock();
}

static void after_fork_in_child(void)
{
	session_forget_all();
	heap_table_init();
	registry_forget();
	partitions_reset();
	multi_heap_forget();
	pool_reset();
	epoch_begin();
}

static void set_up(void)
{
	assert(sysconf(_SC_PAGESIZE) == (long)HW_PAGE_SIZE && "built for 4 KiB pages");
	heap_table_init();
	registry_init();
	partitions_reset();
	multi_heap_forget();
	pool_reset();
	session_set_handler(&heap_session_handler);
	once_result = epoch_init();
	if (once_result == 0)
		once_result = -pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
	if (once_result == 0)
		epoch_begin();
}

int process_enter(void)
{
	(void)pthread_once(&once, set_up);
	if (once_result == 0 && unlikely(epoch_now() == 0))
		after_fork_in_child(); /* a bare clone: one thread, no handlers ran */
	return once_result;
}
