/*
 * multiheap.c: shared_multi_heap calls as steps
 *
 * The run_* functions run in the actor; what follows them runs in the test.
 */
#include "tests/story/multiheap.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define OWN 0xa5

/* ---- in the actor ---- */

static int run_pool_init(struct step *s)
{
	(void)s;
	return shared_multi_heap_pool_init();
}

static int run_own_memory(struct step *s)
{
	void *p = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	memset(p, OWN, s->size);
	self.block[s->slot] = p;
	return s->mode && mprotect(p, s->size, PROT_NONE) < 0 ? -errno : 0;
}

static int run_check_own(struct step *s)
{
	const uint8_t *p = self.block[s->slot];

	for (size_t i = 0; i < s->size; i++)
		if (p[i] != OWN)
			return -EIO;
	return 0;
}

/* The struct is as it was, but for an address that was asked for. */
static int run_add(struct step *s)
{
	uintptr_t at = s->mode ? (uintptr_t)self.block[s->slot] + s->n : 0;
	struct shared_multi_heap_region region = {
		.attr = (enum shared_multi_heap_attr)s->heap,
		.addr = at,
		.size = s->size,
	};
	int r = shared_multi_heap_add(&region, s);

	if (region.size != s->size || (unsigned)region.attr != (unsigned)s->heap ||
	    (at == 0 && r == 0 ? region.addr == 0 : region.addr != at))
		return -EPROTO;
	if (r == 0 && !at)
		self.block[s->slot] = (void *)region.addr;
	return r;
}

static int run_add_null(struct step *s)
{
	(void)s;
	return shared_multi_heap_add(NULL, NULL);
}

static int run_take(struct step *s)
{
	enum shared_multi_heap_attr attr = (enum shared_multi_heap_attr)s->heap;
	void *p;

	errno = 0;
	p = s->mode ? shared_multi_heap_aligned_alloc(attr, s->n, s->size) :
		      shared_multi_heap_alloc(attr, s->size);
	self.block[s->slot] = p;
	if (p)
		return errno;
	return errno ? -errno : -EPROTO;
}

static int run_give(struct step *s)
{
	errno = ENOTTY;
	shared_multi_heap_free(self.block[s->slot]);
	return errno == ENOTTY ? 0 : -EPROTO;
}

static int run_fill(struct step *s)
{
	for (size_t i = 0; i < s->size; i++)
		((uint8_t *)self.block[s->slot])[i] = (uint8_t)((unsigned)s->slot * 31u + i * 7u + 1u);
	return 0;
}

/* ---- in the test ---- */

static int run(struct lane *l, struct step s)
{
	return lane_run(l, s).result;
}

int do_pool_init(struct lane *l)
{
	return run(l, (struct step){ .run = run_pool_init });
}

struct lane *lane_with_pool(void)
{
	struct lane *l = lane_new();

	EXPECT(0, do_pool_init(l));
	return l;
}

void own_memory(struct lane *l, int slot, size_t size, bool inaccessible)
{
	EXPECT(0, run(l, (struct step){ .run = run_own_memory, .slot = slot, .size = size,
					.mode = inaccessible }));
}

int check_own_memory(struct lane *l, int slot, size_t size)
{
	return run(l, (struct step){ .run = run_check_own, .slot = slot, .size = size });
}

int do_add_own(struct lane *l, unsigned attr, int slot, size_t at, size_t size)
{
	return run(l, (struct step){ .run = run_add, .heap = (int)attr, .slot = slot, .n = at,
				     .size = size, .mode = 1 });
}

int do_add(struct lane *l, unsigned attr, int slot, size_t size)
{
	return run(l, (struct step){ .run = run_add, .heap = (int)attr, .slot = slot, .size = size });
}

int do_add_null(struct lane *l)
{
	return run(l, (struct step){ .run = run_add_null });
}

int do_take(struct lane *l, int slot, unsigned attr, size_t size)
{
	return run(l, (struct step){ .run = run_take, .heap = (int)attr, .slot = slot,
				     .size = size });
}

int do_take_aligned(struct lane *l, int slot, unsigned attr, size_t align, size_t size)
{
	return run(l, (struct step){ .run = run_take, .heap = (int)attr, .slot = slot, .n = align,
				     .size = size, .mode = 1 });
}

int do_give(struct lane *l, int slot)
{
	return run(l, (struct step){ .run = run_give, .slot = slot });
}

int fill_block(struct lane *l, int slot, size_t size)
{
	return run(l, (struct step){ .run = run_fill, .slot = slot, .size = size });
}

bool lies_in(struct lane *l, int slot, int of, size_t size)
{
	uint64_t addr = block_address(l, slot), base = block_address(l, of);

	return addr >= base && addr - base < size;
}

/* ---- what regions are made of ---- */

const char *device_new(const char *name, size_t size)
{
	static char path[160];
	char bytes[DEVICE_MAX];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", story_dir(), name);
	memset(bytes, 0x5a, sizeof(bytes));
	assert_true(size <= sizeof(bytes));
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(size, write(fd, bytes, size));
	assert_int_equal(0, close(fd));
	return path;
}

size_t device_changed(const char *path)
{
	char bytes[DEVICE_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, bytes, sizeof(bytes));
	size_t changed = 0;

	assert_true(n > 0);
	(void)close(fd);
	for (ssize_t i = 0; i < n; i++)
		changed += bytes[i] != 0x5a;
	return changed;
}

#define POOL "/proc/sys/vm/nr_hugepages"

long huge_pages_now(void)
{
	FILE *f = fopen(POOL, "re");
	long n = -1;

	if (f && fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f)
		(void)fclose(f);
	return n;
}

void huge_pages_set(long n)
{
	FILE *f = fopen(POOL, "we");

	if (f)
		(void)fprintf(f, "%ld\n", n);
	if (f)
		(void)fclose(f);
}

/* ---- what heapd shows ---- */

static struct raw watch = RAW_NULL;

size_t watch_regions(struct wire_entry seen[REGIONS_SEEN])
{
	uint64_t cursor = 0;
	size_t n = 0;

	raw_close(&watch);
	raw_open(&watch);
	do {
		struct frame f;
		struct wire_target *body = frame_init(&f, OP_LIST, 0, 0, sizeof(*body));
		const struct wire_list *list = FRAME_BODY(&f, const struct wire_list);

		body->cursor = cursor;
		EXPECT(STATUS_OK, raw_call(&watch, &f));
		for (uint32_t i = 0; i < list->n; i++) {
			if (list->entry[i].kind != KIND_REGION)
				continue;
			assert_true(n < REGIONS_SEEN);
			seen[n++] = list->entry[i];
		}
		cursor = list->cursor;
	} while (cursor);
	for (size_t i = 1; i < n; i++) /* by id: few, and nearly sorted */
		for (size_t k = i; k > 0 && seen[k - 1].heap > seen[k].heap; k--) {
			struct wire_entry entry = seen[k];

			seen[k] = seen[k - 1];
			seen[k - 1] = entry;
		}
	raw_close(&watch);
	return n;
}

struct wire_entry watch_region(size_t i)
{
	struct wire_entry seen[REGIONS_SEEN];

	assert_true(i < watch_regions(seen));
	return seen[i];
}

struct wire_place watch_place(size_t i)
{
	struct frame f;
	struct wire_target *body = frame_init(&f, OP_DETAIL, 0, 0, sizeof(*body));

	body->heap = watch_region(i).heap;
	raw_open(&watch);
	EXPECT(STATUS_OK, raw_call(&watch, &f));
	raw_close(&watch);
	assert_int_equal(KIND_REGION, FRAME_BODY(&f, struct wire_detail)->kind);
	return FRAME_BODY(&f, struct wire_detail)->region;
}
