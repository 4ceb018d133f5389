/*
 * test_registry.c: descriptors and epochs, on heaps that no daemon knows
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/wait.h>

#include "client/process.h"
#include "client/registry.h"

static struct heap heap; /* enough of one: a lock and counts */

static int set_up(void **state)
{
	(void)state;
	assert_int_equal(process_enter(), 0);
	lock_init(&heap.lock);
	return 0;
}

static RT_HEAP add(void)
{
	RT_HEAP d;

	heap_table_lock();
	assert_int_equal(registry_add(&heap, &d), 0);
	heap_table_unlock();
	return d;
}

/* Keeps one descriptor so that removing another is not the heap's end. */
static void test_valid_until_removed(void **state)
{
	RT_HEAP keep = add(), d = add(), copy = d;
	struct heap *h = NULL, *last = NULL;

	(void)state;
	assert_int_equal(registry_lock(&copy, &h), 0);
	assert_ptr_equal(h, &heap);
	lock_give(&h->lock);
	assert_int_equal(registry_remove(&d, &last), 0);
	assert_null(last);
	assert_int_equal(registry_lock(&copy, &h), -EINVAL);
	assert_int_equal(registry_remove(&d, &last), -EINVAL);
	/* the entry is used again, the old descriptor stays stale */
	d = add();
	assert_int_equal(registry_index(d.serial_), registry_index(copy.serial_));
	assert_int_equal(registry_check(&copy), -EINVAL);
	assert_int_equal(registry_check(&d), 0);
	assert_int_equal(registry_remove(&d, &last), 0);
	heap.n_descriptors++; /* so that the last one is not the heap's last */
	assert_int_equal(registry_remove(&keep, &last), 0);
	heap.n_descriptors--;
}

static void test_garbage(void **state)
{
	RT_HEAP d = add(), g;
	struct heap *last = NULL;
	unsigned seed = 3;

	(void)state;
	assert_int_equal(registry_check(NULL), -EINVAL);
	for (int i = 0; i < 100000; i++) {
		uint8_t *bytes = (uint8_t *)&g;

		for (size_t j = 0; j < sizeof(g); j++) {
			seed = seed * 1664525u + 1013904223u;
			bytes[j] = (uint8_t)(seed >> 24);
		}
		if (i % 2)
			g.magic_ = RT_HEAP_MAGIC;
		if (i % 4 == 3)
			g.serial_ = (g.serial_ & ~(uint64_t)UINT32_MAX) | registry_index(d.serial_);
		assert_int_equal(registry_check(&g), -EINVAL);
	}
	memset(&g, 0, sizeof(g));
	assert_int_equal(registry_check(&g), -EINVAL);
	g = d;
	g.serial_ = 0;
	assert_int_equal(registry_check(&g), -EINVAL);
	heap.n_descriptors++;
	assert_int_equal(registry_remove(&d, &last), 0);
	heap.n_descriptors--;
}

static void test_busy(void **state)
{
	RT_HEAP d = add();
	struct heap *last = NULL;

	(void)state;
	atomic_store(&heap.n_busy, 1);
	assert_int_equal(registry_remove(&d, &last), -EBUSY);
	assert_int_equal(registry_check(&d), 0);
	atomic_store(&heap.n_busy, 0);
	heap.n_descriptors++;
	assert_int_equal(registry_remove(&d, &last), 0);
	heap.n_descriptors--;
}

static void test_full(void **state)
{
	RT_HEAP *d = calloc(MAX_DESCRIPTORS, sizeof(*d)), more;
	struct heap *last = NULL;
	size_t n = 0;

	(void)state;
	heap_table_lock();
	while (n < MAX_DESCRIPTORS && registry_add(&heap, &d[n]) == 0)
		n++;
	assert_int_equal(n, MAX_DESCRIPTORS);
	assert_int_equal(registry_add(&heap, &more), -ENOMEM);
	heap_table_unlock();
	heap.n_descriptors++;
	for (size_t i = 0; i < n; i++)
		assert_int_equal(registry_remove(&d[i], &last), 0);
	heap.n_descriptors--;
	assert_int_equal(heap.n_descriptors, 0);
	free(d);
}

static void test_child_is_told(void **state)
{
	RT_HEAP d = add(), gone = add();
	struct heap *last = NULL;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(registry_remove(&gone, &last), 0);
	pid = fork();
	if (pid == 0) {
		RT_HEAP own;
		int ok = registry_check(&d) == -EPERM && registry_remove(&d, &last) == -EPERM;

		own = add(); /* where the one was that is gone */
		ok = ok && registry_index(own.serial_) == registry_index(gone.serial_) && registry_check(&gone) == -EINVAL;
		ok = ok && registry_check(&own) == 0 && registry_check(&d) == -EPERM && registry_index(own.serial_) != registry_index(d.serial_);
		_exit(ok ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(registry_check(&d), 0);
	heap.n_descriptors++;
	assert_int_equal(registry_remove(&d, &last), 0);
	heap.n_descriptors--;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid_until_removed),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_child_is_told),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
