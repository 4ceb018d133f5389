/*
 * Story: arenas of 2 MiB and more lie in transparent huge pages, where the kernel gives them
 *
 * It gives them or not, as its settings and its memory have it. So each test tries first, in a
 * memfd of its own.
 */
#include <dirent.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "common/thp.h"
#include "tests/story/steps.h"

#define MIB ((size_t)1 << 20)
#define SIZE (8 * MIB)

/* Of mappings whose line in smaps has this word: bytes that are mapped by huge pages. */
static uint64_t huge_bytes(pid_t pid, const char *word)
{
	char path[64], line[512];
	unsigned long long sum = 0, begin, end, kb;
	bool here = false;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx-%llx ", &begin, &end) == 2)
			here = strstr(line, word);
		else if (here && sscanf(line, "ShmemPmdMapped: %llu kB", &kb) == 1)
			sum += kb * 1024;
	}
	(void)fclose(f);
	return sum;
}

/* Bytes that the file of that name, which heapd has open, takes up. */
static uint64_t committed(const char *name)
{
	uint64_t n = 0;
	char path[320];
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)heapd_pid());
	d = opendir(path);
	assert_non_null(d);
	for (struct dirent *e = readdir(d); e; e = readdir(d)) {
		char target[128] = "";
		struct stat st;

		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)heapd_pid(), e->d_name);
		if (readlink(path, target, sizeof(target) - 1) > 0 && strstr(target, name) && !stat(path, &st))
			n += (uint64_t)st.st_blocks * 512;
	}
	(void)closedir(d);
	return n;
}

static bool gives(bool to_who_asks)
{
	_cleanup_fd_ int fd = memfd_create("trial", MFD_CLOEXEC);
	void *map;
	uint64_t n;

	assert_true(fd >= 0);
	assert_int_equal(0, ftruncate(fd, (off_t)SIZE));
	map = thp_map(SIZE, PROT_READ, fd);
	assert_true(map != MAP_FAILED);
	if (to_who_asks && madvise(map, SIZE, MADV_HUGEPAGE) < 0)
		story_skip("this kernel has no transparent huge pages");
	assert_int_equal(0, madvise(map, SIZE, MADV_POPULATE_READ));
	n = huge_bytes(getpid(), "/memfd:trial ");
	(void)munmap(map, SIZE);
	return n == SIZE;
}

static void needs_huge_pages(void)
{
	if (!gives(true))
		story_skip("this kernel gives no transparent huge pages to memfds that ask (shmem_enabled)");
}

/* Creator, binder, and who binds again: each maps whole huge pages. */
static void a_large_heap_lies_in_huge_pages(void)
{
	struct lane *a = lane_new(), *b = lane_new();

	needs_huge_pages();
	heapd_start("");
	EXPECT(0, do_create(a, 0, "large", SIZE, H_FIFO));
	EXPECT(0, do_create(a, 1, "shared", SIZE + 4096, H_SHARED));
	EXPECT(0, do_create(a, 2, NULL, SIZE, H_PRIO));
	EXPECT(0, do_bind(b, 0, "large"));
	EXPECT(0, do_bind(b, 1, "shared"));
	assert_int_equal(3 * SIZE, huge_bytes(a->actor->pid, "/memfd:heapd:"));
	assert_int_equal(2 * SIZE, huge_bytes(b->actor->pid, "/memfd:heapd:"));

	EXPECT(0, do_alloc(a, 0, 0, MIB, TM_NONBLOCK));
	EXPECT(0, do_alloc(a, 1, 1, SIZE + 4096, TM_NONBLOCK)); /* and fills it */
	EXPECT(0, do_alloc(b, 1, 2, 0, TM_NONBLOCK));
	EXPECT(0, check_block(b, 2, 1, SIZE + 4096));
	EXPECT(0, check_block(a, 0, 0, MIB));
	EXPECT(0, do_unbind(b, 0));
	assert_int_equal(SIZE, huge_bytes(b->actor->pid, "/memfd:heapd:"));
	EXPECT(0, do_bind(b, 0, "large"));
	assert_int_equal(2 * SIZE, huge_bytes(b->actor->pid, "/memfd:heapd:"));
}

/* What is committed is what was asked for, to the page: no huge page at the end stands out. */
static void no_byte_more(void)
{
	struct lane *l = lane_new();

	heapd_start("");
	EXPECT(0, do_create(l, 0, "large", 5 * MIB + 4096, H_FIFO));
	assert_int_equal(5 * MIB + 4096, committed("heapd:large"));
	EXPECT(0, do_delete(l, 0));
}

static void the_administrator_says_no(void)
{
	struct lane *l = lane_new();

	needs_huge_pages();
	if (gives(false))
		story_skip("this kernel gives huge pages to all memfds");
	heapd_start("[daemon]\ntransparent_huge_pages = no\n");
	EXPECT(0, do_create(l, 0, "large", SIZE, H_FIFO));
	assert_int_equal(0, huge_bytes(l->actor->pid, "/memfd:heapd:"));
	EXPECT(0, do_alloc(l, 0, 0, 4 * MIB, TM_NONBLOCK));
	EXPECT(0, check_block(l, 0, 0, 4 * MIB));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(a_large_heap_lies_in_huge_pages),
		STORY(no_byte_more),
		STORY(the_administrator_says_no),
	};

	return cmocka_run_group_tests_name("huge_pages", tests, NULL, NULL);
}
