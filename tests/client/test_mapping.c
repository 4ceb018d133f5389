/*
 * test_mapping.c: mappings and areas: what they map, that nothing faults afterwards, and how they fail
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "client/areas.h"
#include "common/thp.h"
#include "proto/heads.h"
#include "client/mapping.h"

#define PAGES 64
#define SIZE  (PAGES * HW_PAGE_SIZE)

void *__real_mmap64(void *at, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t size, int prot, int flags, int fd, off_t offset);

/* A kernel that puts large mappings where no huge page fits: some do, some do not. */
static bool places_badly;

void *__wrap_mmap64(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	const size_t room_size = size + 2 * THP_SIZE;
	char *room, *bad;

	if (!places_badly || at || size < THP_SIZE)
		return __real_mmap64(at, size, prot, flags, fd, offset);
	room = __real_mmap64(NULL, room_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(room != MAP_FAILED);
	bad = (char *)align_up((uintptr_t)room, THP_SIZE) + HW_PAGE_SIZE;
	assert_ptr_equal(__real_mmap64(bad, size, prot, flags | MAP_FIXED, fd, offset), bad);
	assert_int_equal(munmap(room, (size_t)(bad - room)), 0);
	assert_int_equal(munmap(bad + size, (size_t)(room + room_size - bad) - size), 0);
	return bad;
}

static int memfd(size_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

/* Pages of [addr, addr+size) that are in the page tables now. */
static size_t resident(void *addr, size_t size)
{
	unsigned char map[PAGES];
	size_t n = 0;

	assert_true(size <= SIZE);
	assert_int_equal(mincore(addr, size, map), 0);
	for (size_t i = 0; i < size / HW_PAGE_SIZE; i++)
		n += map[i] & 1;
	return n;
}

static long faults_of_touching(volatile char *p, size_t size, bool write)
{
	struct rusage before, after;

	(void)getrusage(RUSAGE_THREAD, &before);
	(void)getrusage(RUSAGE_THREAD, &before); /* the structures themselves are touched */
	for (size_t i = 0; i < size; i += HW_PAGE_SIZE) {
		if (write)
			p[i] = 1;
		else
			(void)p[i];
	}
	(void)getrusage(RUSAGE_THREAD, &after);
	return after.ru_minflt - before.ru_minflt;
}

static void test_arena_is_shared_and_populated(void **state)
{
	int fd = memfd(SIZE);
	char *a, *b;

	(void)state;
	assert_int_equal(mapping_arena((void **)&a, fd, SIZE, true), 0);
	assert_int_equal(mapping_arena((void **)&b, fd, SIZE, false), 0);
	assert_int_equal(resident(a, SIZE), PAGES);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	assert_true(faults_of_touching(a, SIZE, true) == 0);
	assert_true(faults_of_touching(b, SIZE, false) == 0);
#else
	(void)faults_of_touching;
	a[0] = 1;
#endif
	assert_int_equal(b[0], 1);
	mapping_free(a, SIZE);
	mapping_free(b, SIZE);
	mapping_free(NULL, SIZE);
	assert_int_equal(close(fd), 0);
}

static void test_arena_that_cannot_be(void **state)
{
	struct rlimit old, little = { .rlim_cur = 1 << 20 };
	int fd = memfd(SIZE), sealed;
	char path[64];
	void *p = NULL;

	(void)state;
	assert_int_equal(mapping_arena(&p, -1, SIZE, true), -EBADF);
	/* a descriptor for reading only gives no writable mapping */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	sealed = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(sealed >= 0);
	assert_int_equal(mapping_arena(&p, sealed, SIZE, true), -EACCES);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
	little.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_AS, &little), 0);
	assert_int_equal(mapping_arena(&p, fd, SIZE, true), -ENOMEM);
	assert_int_equal(mapping_private(&p, SIZE), -ENOMEM);
	assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
#else
	(void)old;
	(void)little;
#endif
	assert_null(p);
	assert_int_equal(close(sealed), 0);
	assert_int_equal(close(fd), 0);
}

/* Pages of this process's address space. */
static size_t pages_mapped(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	size_t n = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%zu", &n), 1);
	(void)fclose(f);
	return n;
}

/* Where a huge page fits, each time, and of the room for that nothing is left, before or behind. */
static void test_large_arenas_are_aligned(void **state)
{
	static const size_t sizes[] = { THP_SIZE, 2 * THP_SIZE, 2 * THP_SIZE + HW_PAGE_SIZE, 3 * THP_SIZE - HW_PAGE_SIZE };

	(void)state;
	for (size_t i = 0; i < 4 * ARRAY_SIZE(sizes); i++) {
		const size_t size = sizes[i % ARRAY_SIZE(sizes)];
		int fd = memfd(size);
		size_t before = pages_mapped(), with;
		char *p, *q;

		places_badly = i & 4;
		assert_int_equal(mapping_arena((void **)&p, fd, size, true), 0);
		assert_int_equal(mapping_arena((void **)&q, fd, size, false), 0);
		with = pages_mapped();
		assert_int_equal((uintptr_t)p % THP_SIZE, 0);
		assert_int_equal((uintptr_t)q % THP_SIZE, 0);
		p[0] = 1;
		p[size - 1] = 2;
		assert_int_equal(q[0], 1);
		assert_int_equal(q[size - 1], 2);
		mapping_free(p, size);
		mapping_free(q, size);
		places_badly = false;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
		assert_int_equal(with - before, 2 * size / HW_PAGE_SIZE);
		assert_int_equal(pages_mapped(), before);
#else
		(void)before;
		(void)with;
#endif
		assert_int_equal(close(fd), 0);
	}
}

/* It is an address as any other that they get then. */
static void test_no_room_to_align(void **state)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	struct rlimit old, limit;
	int fd = memfd(2 * THP_SIZE);
	void *p;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
	limit = (struct rlimit){ pages_mapped() * HW_PAGE_SIZE + 2 * THP_SIZE + THP_SIZE / 2, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
	assert_int_equal(mapping_arena(&p, fd, 2 * THP_SIZE, true), 0);
	assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
	memset(p, 1, 2 * THP_SIZE);
	mapping_free(p, 2 * THP_SIZE);
	assert_int_equal(close(fd), 0);
#else
	(void)state;
	skip(); /* a sanitizer's shadow memory does not fit such a limit */
#endif
}

static void test_private_gets_backing_where_asked(void **state)
{
	char *p;

	(void)state;
	assert_int_equal(mapping_private((void **)&p, SIZE), 0);
	assert_int_equal(resident(p, SIZE), 0);
	assert_int_equal(mapping_populate(p + 3 * HW_PAGE_SIZE + 100, HW_PAGE_SIZE), 0); /* parts of two pages */
	assert_int_equal(resident(p, SIZE), 2);
	assert_int_equal(resident(p + 3 * HW_PAGE_SIZE, 2 * HW_PAGE_SIZE), 2);
	assert_int_equal(p[4 * HW_PAGE_SIZE], 0);
	mapping_free(p, SIZE);
}

static void test_slots(void **state)
{
	int control = memfd(WIRE_SLOTS * sizeof(struct wire_control)), stats = memfd(WIRE_SLOTS * sizeof(struct wire_stats));
	const struct wire_control *c[3];
	struct wire_stats *s[3], written = { .used = 7 };
	struct wire_control live = { .state = STATE_LIVE };
	struct areas *a = malloc(sizeof(*a)); /* too large for a stack */

	(void)state;
	assert_non_null(a);
	assert_int_equal(pwrite(control, &live, sizeof(live), 65 * sizeof(live)), sizeof(live));
	assert_int_equal(pwrite(stats, &written, sizeof(written), 5 * sizeof(written)), sizeof(written));
	areas_init(a, control, stats, 100);
	assert_int_equal(areas_slot(a, 65, &c[0], &s[0]), 0);
	assert_int_equal(atomic_load(&c[0]->state), STATE_LIVE);
	assert_int_equal(areas_slot(a, 4, &c[1], &s[1]), 0);
	assert_int_equal(areas_slot(a, 5, &c[2], &s[2]), 0);
	assert_ptr_equal(s[2], s[1] + 1); /* one page */
	assert_int_equal(s[2]->used, 0);  /* another binding's figures are gone */
	s[1]->used = 42;
	assert_int_equal(pread(stats, &written, sizeof(written), 4 * sizeof(written)), sizeof(written));
	assert_int_equal(written.used, 42);
	assert_int_equal(areas_slot(a, 100, &c[0], &s[0]), -EINVAL);
	assert_int_equal(areas_slot(a, UINT32_MAX, &c[0], &s[0]), -EINVAL);
	areas_deinit(a);
	areas_deinit(a); /* safe twice */
	free(a);
	assert_int_equal(close(control), 0);
	assert_int_equal(close(stats), 0);
}

/* Places of a page or more (n_cpus 33 and above), or several in a page. */
static void check_heads(uint32_t n_cpus)
{
	uint64_t place = heads_place(n_cpus), head;
	int control = memfd(WIRE_SLOTS * sizeof(struct wire_control)), stats = memfd(heads_file(place));
	struct areas *a = malloc(sizeof(*a));
	struct wire_heads *h, *other;
	uint32_t last = n_cpus - 1;

	assert_non_null(a);
	areas_init(a, control, stats, 100);
	assert_int_equal(areas_heads(a, 100, n_cpus, &h), -EINVAL);
	assert_int_equal(areas_heads(a, 4, 0, &h), -EINVAL);
	assert_int_equal(areas_heads(a, 4, (uint32_t)(place / sizeof(*h)) + 1, &h), -ENOTSUP);
	assert_int_equal(areas_heads(a, 4, n_cpus, &h), 0);
	assert_int_equal(areas_heads(a, 5, n_cpus, &other), 0);
	if (place < HW_PAGE_SIZE)
		assert_ptr_equal((char *)h + place, other); /* one page */
	else
		assert_int_equal(resident(h, place), place / HW_PAGE_SIZE);
	assert_int_equal(WIRE_HEAD_COUNT(atomic_load(&h[last].head[15])), 0);
	head = atomic_load(&h[last].head[15]);
	atomic_store(&h[last].head[15], head + 0x10000 + 3);
	assert_int_equal(pread(stats, &head, 8, (off_t)(heads_at(place, 4) + last * 128 + 15 * 8)), 8);
	assert_int_equal(WIRE_HEAD_COUNT(head), 3);
	assert_int_equal(areas_heads(a, 4, n_cpus, &other), 0); /* its next user's: empty, and no version comes back */
	assert_ptr_equal(h, other);
	assert_int_equal(WIRE_HEAD_COUNT(atomic_load(&h[last].head[15])), 0);
	assert_true(atomic_load(&h[last].head[15]) > head);
	areas_deinit(a);
	free(a);
	assert_int_equal(close(control) | close(stats), 0);
}

static void test_heads(void **state)
{
	int stats = memfd(WIRE_HEADS_BEGIN);
	struct areas *a = malloc(sizeof(*a));
	struct wire_heads *h;

	(void)state;
	check_heads(1);
	check_heads(5);
	check_heads(33);
	check_heads(WIRE_HEADS_CPUS);
	assert_non_null(a);
	areas_init(a, stats, stats, 100); /* a daemon that knows nothing of them */
	assert_int_equal(areas_heads(a, 4, 1, &h), -ENOTSUP);
	areas_deinit(a);
	free(a);
	assert_int_equal(close(stats), 0);
}

/* The length alone says how large a place is. */
static void test_places(void **state)
{
	(void)state;
	assert_int_equal(heads_place(1), 512);
	assert_int_equal(heads_place(4), 512);
	assert_int_equal(heads_place(5), 1024);
	assert_int_equal(heads_place(WIRE_HEADS_CPUS), 32768);
	assert_int_equal(heads_place(WIRE_HEADS_CPUS + 1), 512);
	for (uint64_t place = 512; place <= 32768; place *= 2) {
		assert_int_equal(heads_place_of(heads_file(place)), place);
		assert_int_equal(heads_place_of(heads_file(place) + 1), 0);
	}
	assert_int_equal(heads_place_of(WIRE_HEADS_BEGIN), 0);
	assert_int_equal(heads_place_of(0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arena_is_shared_and_populated),
		cmocka_unit_test(test_arena_that_cannot_be),
		cmocka_unit_test(test_large_arenas_are_aligned),
		cmocka_unit_test(test_no_room_to_align),
		cmocka_unit_test(test_private_gets_backing_where_asked),
		cmocka_unit_test(test_slots),
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
