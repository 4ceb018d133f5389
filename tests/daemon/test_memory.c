/* Is there enough memory? Against a /proc/meminfo and a cgroup tree of our own making. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <cmocka.h>
#include "daemon/memory.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

struct world {
	struct memory memory;
	char root[64];
};

static void write_meminfo(struct world *w, uint64_t total, uint64_t available)
{
	char text[256];
	int n = snprintf(text, sizeof(text),
			 "MemTotal:       %8llu kB\nMemFree:          100 kB\nMemAvailable:   %8llu kB\n",
			 (unsigned long long)total / 1024, (unsigned long long)available / 1024);

	assert_int_equal(0, ftruncate(w->memory.meminfo_fd, 0));
	assert_int_equal(n, pwrite(w->memory.meminfo_fd, text, (size_t)n, 0));
}

static void write_file(const struct world *w, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s%s", w->root, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(0, fclose(f));
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	char path[128];

	if (!w)
		return -1;
	memory_init(&w->memory);
	strcpy(w->root, "/tmp/heapd-test-XXXXXX");
	if (!mkdtemp(w->root))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/a", w->root);
	(void)mkdir(path, 0700);
	(void)snprintf(path, sizeof(path), "%s/a/b", w->root);
	(void)mkdir(path, 0700);
	memory_deinit(&w->memory);
	w->memory.meminfo_fd = memfd_create("meminfo", MFD_CLOEXEC);
	w->memory.cgroup_root = w->root;
	w->memory.cgroup = strdup("/a/b");
	write_meminfo(w, 64 * GIB, 10 * GIB);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	static const char *const files[] = { "/a/b/memory.max", "/a/b/memory.current", "/a/b/memory.stat",
					     "/a/memory.max",   "/a/memory.current",   "/a/b", "/a", "" };
	struct world *w = *state;
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", w->root, files[i]);
		(void)remove(path);
	}
	memory_deinit(&w->memory);
	memory_deinit(&w->memory);
	free(w);
	return 0;
}

/* 10 GiB available; 256 MiB stay with the machine; each claim costs a 128th more. */
static void test_machine(void **state)
{
	struct world *w = *state;

	assert_int_equal(-ENOMEM, memory_claim(&w->memory, 10 * GIB));
	assert_int_equal(-ENOMEM, memory_claim(&w->memory, UINT64_MAX));
	assert_int_equal(-ENOMEM, memory_claim(&w->memory, INT64_MAX));
	assert_int_equal(0, memory_claim(&w->memory, 6 * GIB));
	assert_int_equal(-ENOMEM, memory_claim(&w->memory, 4 * GIB));
	assert_int_equal(0, memory_claim(&w->memory, 3 * GIB));
}

/* What is claimed and not allocated counts, also after a fresh look; what was given up does not. */
static void test_claims_outlive_a_fresh_look(void **state)
{
	struct world *w = *state;

	assert_int_equal(0, memory_claim(&w->memory, 6 * GIB));
	w->memory.read_ns = 1; /* stale */
	assert_int_equal(-ENOMEM, memory_claim(&w->memory, 4 * GIB));
	memory_settle(&w->memory, 6 * GIB);
	assert_int_equal(0, memory_claim(&w->memory, 4 * GIB)); /* looks again before it says no */
}

static void test_allocation_shows(void **state)
{
	struct world *w = *state;

	assert_int_equal(0, memory_claim(&w->memory, 6 * GIB));
	memory_settle(&w->memory, 6 * GIB); /* allocated, and the kernel says so: */
	write_meminfo(w, 64 * GIB, 4 * GIB);
	assert_int_equal(-ENOMEM, memory_claim(&w->memory, 4 * GIB));
	assert_int_equal(0, memory_claim(&w->memory, 3 * GIB));
}

static void test_small_machine_keeps_a_64th(void **state)
{
	struct world *w = *state;

	write_meminfo(w, 640 * MIB, 100 * MIB);
	assert_int_equal(-ENOMEM, memory_claim(&w->memory, 92 * MIB));
	assert_int_equal(0, memory_claim(&w->memory, 88 * MIB));
}

static void test_own_cgroup(void **state)
{
	struct world *w = *state;

	write_file(w, "/a/b/memory.max", "1073741824\n");
	write_file(w, "/a/b/memory.current", "536870912\n");
	assert_int_equal(-ENOMEM, memory_claim(&w->memory, 512 * MIB));
	write_file(w, "/a/b/memory.stat", "anon 4096\nfile 209715200\nkernel 0\nshmem 104857600\n");
	assert_int_equal(-ENOMEM, memory_claim(&w->memory, 600 * MIB)); /* 512 + 100 of page cache - 8 */
	assert_int_equal(0, memory_claim(&w->memory, 590 * MIB));
}

static void test_cgroup_above(void **state)
{
	struct world *w = *state;

	write_file(w, "/a/b/memory.max", "max\n");
	write_file(w, "/a/b/memory.current", "0\n");
	write_file(w, "/a/memory.max", "104857600\n");
	write_file(w, "/a/memory.current", "0\n");
	assert_int_equal(-ENOMEM, memory_claim(&w->memory, 100 * MIB));
	assert_int_equal(0, memory_claim(&w->memory, 90 * MIB));
}

static void test_cgroup_overdrawn(void **state)
{
	struct world *w = *state;

	write_file(w, "/a/b/memory.max", "4096\n");
	write_file(w, "/a/b/memory.current", "104857600\n");
	assert_int_equal(-ENOMEM, memory_claim(&w->memory, 4096));
}

/* What cannot be read does not limit. */
static void test_nothing_known(void **state)
{
	struct world *w = *state;

	close_fd(&w->memory.meminfo_fd);
	assert_int_equal(0, memory_claim(&w->memory, 1 << 30));
	free(w->memory.cgroup);
	w->memory.cgroup = NULL;
	assert_int_equal(0, memory_claim(&w->memory, UINT64_C(1) << 40));
}

static void test_parse(void **state)
{
	uint64_t total = 1, available = 2;

	(void)state;
	assert_int_equal(-EINVAL, memory_parse_meminfo("", &total, &available));
	assert_int_equal(-EINVAL, memory_parse_meminfo("MemTotal: 5 kB\n", &total, &available));
	assert_int_equal(-EINVAL, memory_parse_meminfo("MemTotal: x\nMemAvailable: 5 kB\n", &total, &available));
	assert_int_equal(-EINVAL, memory_parse_meminfo("MemTotal: 5 kB\nMemAvailable: 99999999999999999999 kB\n",
						       &total, &available));
	assert_int_equal(1, total);
	assert_int_equal(0, memory_parse_meminfo("XMemTotal: 9 kB\nMemTotal: 5 kB\nMemAvailable:3 kB", &total,
						 &available));
	assert_int_equal(5 * 1024, total);
	assert_int_equal(3 * 1024, available);
}

/* The real files: this test needs a little memory itself, so there is some. */
static void test_this_machine(void **state)
{
	struct memory m;

	(void)state;
	memory_init(&m);
	assert_true(m.meminfo_fd >= 0);
	assert_int_equal(0, memory_claim(&m, 1 << 20));
	assert_int_equal(-ENOMEM, memory_claim(&m, UINT64_C(1) << 50));
	memory_deinit(&m);
}

#define MEMORY_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MEMORY_TEST(test_machine),
		MEMORY_TEST(test_claims_outlive_a_fresh_look),
		MEMORY_TEST(test_allocation_shows),
		MEMORY_TEST(test_small_machine_keeps_a_64th),
		MEMORY_TEST(test_own_cgroup),
		MEMORY_TEST(test_cgroup_above),
		MEMORY_TEST(test_cgroup_overdrawn),
		MEMORY_TEST(test_nothing_known),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_this_machine),
	};

	return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
