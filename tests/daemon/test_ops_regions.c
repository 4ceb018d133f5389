/*
 * Regions of the configuration, devices for H_DMA and H_NONCACHED, and a process's own memory:
 * who may have them, what they are made of, and whose they are until when.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "tests/daemon/stage.h"

#define ALICE 1001
#define BOB 1002
#define STAFF 50
#define PAGE ((uint64_t)HW_PAGE_SIZE)

static struct stage st;
static char folder[32], path[64], other[64];

static int setup(_unused_ void **state)
{
	stage_init(&st);
	strcpy(folder, "/tmp/heapd-regions-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/device", folder);
	(void)snprintf(other, sizeof(other), "%s/other", folder);
	return 0;
}

static int teardown(_unused_ void **state)
{
	stage_close(&st);
	(void)unlink(path);
	(void)unlink(other);
	return rmdir(folder);
}

static void make_file(const char *at, uint64_t size)
{
	_cleanup_fd_ int fd = open(at, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(0, ftruncate(fd, (off_t)size));
}

/* ---- the configuration ---- */

static struct region *add_to(struct config *c, const char *name, uint64_t size, uint32_t kind,
			     const char *device)
{
	struct region *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	name_copy(g->name, name);
	g->size = size;
	g->backing = (struct backing){.kind = kind, .fallback = true};
	g->backing.path = device ? strdup(device) : NULL;
	STAILQ_INSERT_TAIL(&c->regions, g, link);
	c->n_regions++;
	return g;
}

static struct region *add(const char *name, uint64_t size, uint32_t kind, const char *device)
{
	return add_to(&st.config, name, size, kind, device);
}

/* ---- requests ---- */

static uint32_t ask_region(struct player *p, const char *name)
{
	struct wire_create c = {
		.size = 1, /* is not looked at */
		.kind = KIND_REGION,
		.perm = WIRE_PERM_DEFAULT,
		.gid = WIRE_GID_DEFAULT,
		.flags = WIRE_CREATE_CONFIGURED,
	};

	name_copy(c.name, name);
	return ask_create_full(p, &c);
}

/* EV_BOUND of what was asked for last, which must have this status. */
static struct wire_bound bound(struct player *p, uint32_t status)
{
	struct frame f;

	stage_commit_all(&st);
	player_take(p, EV_BOUND, &f);
	assert_int_equal(status, f.header.status);
	return status ? (struct wire_bound){.heap = 0} : *FRAME_BODY(&f, struct wire_bound);
}

static struct wire_bound attach(struct player *p, const char *name)
{
	assert_int_equal(STATUS_PARKED, ask_region(p, name));
	return bound(p, STATUS_OK);
}

static uint32_t ask_own(struct player *p, uint64_t size)
{
	const struct wire_create c = {
		.size = size,
		.kind = KIND_REGION,
		.perm = WIRE_PERM_DEFAULT,
		.gid = WIRE_GID_DEFAULT,
		.flags = WIRE_CREATE_OWN,
	};

	return ask_create_full(p, &c);
}

static uint64_t charged(uid_t uid)
{
	return accounts_used(&st.world.accounts, uid, RESOURCE_BYTES);
}

static int fd_of(struct player *p, uint64_t id)
{
	return heap_of(p, id)->arena->job.fd;
}

/* ---- ordinary memory ---- */

static void as_the_section_says(_unused_ void **state)
{
	struct player *p, *q;
	struct wire_bound b, c;

	add("fast", 2 * PAGE + 1, BACKING_MEMORY, NULL);
	st.config.max_size = PAGE; /* for others */
	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	q = player_join(&st, BOB, 100);
	b = attach(p, "fast");
	assert_string_equal("fast", b.name);
	assert_int_equal(2 * PAGE + 1, b.size);
	assert_int_equal(3 * PAGE, b.usable);
	assert_int_equal(KIND_REGION, b.kind);
	assert_int_equal(0, b.mode);
	assert_int_equal(BACKING_MEMORY, b.backing);
	assert_int_equal(ACCESS_WRITE, b.access);
	assert_int_equal(1, b.n_runs);
	assert_int_equal(3 * PAGE, charged(ALICE));

	/* each has its own, and more than one if they like */
	c = attach(q, "fast");
	assert_int_not_equal(b.heap, c.heap);
	assert_int_equal(3 * PAGE, charged(BOB));
	(void)attach(p, "fast");
	assert_int_equal(6 * PAGE, charged(ALICE));

	/* shown by name, and found by id alone */
	assert_int_equal(STATUS_MISSING, ask_target(p, OP_INSPECT, 0, "fast", 0));
	assert_int_equal(STATUS_OK, ask_target(p, OP_INSPECT, b.heap, NULL, 0));
	assert_string_equal("fast", REPLY(p, wire_entry)->name);
	assert_int_equal(p->session->id, REPLY(p, wire_entry)->session);
	assert_int_equal(p->session->who.pid, REPLY(p, wire_entry)->pid);
	assert_int_equal(3 * PAGE, REPLY(p, wire_entry)->usable);
	assert_int_equal(STATUS_MISSING, ask_target(q, OP_INSPECT, b.heap, NULL, 0));

	/* the name is free for a heap */
	assert_int_equal(STATUS_MISSING, ask_bind(p, "fast", ACCESS_WRITE, WIRE_BIND_NOWAIT));
	(void)create_heap(p, "fast", 1, 0, NULL);
	(void)attach(p, "fast");

	/* it ends with its binding */
	assert_int_equal(STATUS_OK, ask_heap(q, OP_UNBIND, c.heap));
	assert_int_equal(0, charged(BOB));
	assert_int_equal(STATUS_MISSING, ask_target(q, OP_INSPECT, c.heap, NULL, 0));
}

static void who_may(_unused_ void **state)
{
	struct player *alice, *bob, *root;
	struct region *g;

	add("all", PAGE, BACKING_MEMORY, NULL);
	g = add("staff", PAGE, BACKING_MEMORY, NULL);
	g->has_group = true;
	g->group = STAFF;
	st.config.create_all = false;
	st.config.create_group = 60;
	stage_open(&st);
	alice = player_join(&st, ALICE, 100);
	player_add_group(alice, STAFF);
	bob = player_join(&st, BOB, 100);
	player_add_group(bob, 60);
	root = player_join(&st, 0, 0);

	/* a group of its own takes the place of the right to create */
	assert_int_equal(STATUS_DENIED, ask_region(alice, "all"));
	assert_int_equal(STATUS_PARKED, ask_region(alice, "staff"));
	assert_int_equal(STATUS_PARKED, ask_region(bob, "all"));
	assert_int_equal(STATUS_DENIED, ask_region(bob, "staff"));
	assert_int_equal(STATUS_PARKED, ask_region(root, "all"));
	assert_int_equal(STATUS_PARKED, ask_region(root, "staff"));
	assert_int_equal(STATUS_MISSING, ask_region(root, "none"));
	stage_commit_all(&st);

	assert_int_equal(STATUS_OK, ask_target(alice, OP_REGIONS, 0, NULL, 0));
	assert_int_equal(1, REPLY(alice, wire_regions)->n);
	assert_string_equal("staff", REPLY(alice, wire_regions)->region[0].name);
	assert_int_equal(STATUS_OK, ask_target(bob, OP_REGIONS, 0, NULL, 0));
	assert_int_equal(1, REPLY(bob, wire_regions)->n);
	assert_string_equal("all", REPLY(bob, wire_regions)->region[0].name);
	assert_int_equal(STATUS_OK, ask_target(root, OP_REGIONS, 0, NULL, 0));
	assert_int_equal(2, REPLY(root, wire_regions)->n);
}

static void quotas_hold(_unused_ void **state)
{
	struct player *p;

	add("fast", 2 * PAGE, BACKING_MEMORY, NULL);
	st.config.limits.bytes = 3 * PAGE;
	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	(void)attach(p, "fast");
	assert_int_equal(STATUS_QUOTA, ask_region(p, "fast"));
	assert_int_equal(2 * PAGE, charged(ALICE));
}

/* ---- REGIONS ---- */

static void no_regions(_unused_ void **state)
{
	struct player *p;

	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	assert_int_equal(STATUS_OK, ask_target(p, OP_REGIONS, 0, NULL, 0));
	assert_int_equal(0, REPLY(p, wire_regions)->n);
	assert_int_equal(0, REPLY(p, wire_regions)->cursor);
}

/* Three frames of what p may have; every second section is for others. */
static void a_walk(_unused_ void **state)
{
	const unsigned n = 2 * WIRE_REGIONS_MAX + 2;
	const struct wire_regions *out;
	struct player *p;
	struct region *g;
	char name[16];
	unsigned seen = 0, frames = 0;
	uint64_t cursor = 0;

	for (unsigned i = 0; i < 2 * n; i++) {
		(void)snprintf(name, sizeof(name), "r%u", i);
		g = add(name, i + 1, i % 4 ? BACKING_HUGE : BACKING_DEVICE, i % 4 ? NULL : path);
		g->attribute = i % 4 ? WIRE_CACHEABLE : WIRE_NON_CACHEABLE;
		g->has_group = i % 2;
		g->group = STAFF;
	}
	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	out = REPLY(p, wire_regions);
	do {
		assert_int_equal(STATUS_OK, ask_target(p, OP_REGIONS, 0, NULL, cursor));
		for (unsigned i = 0; i < out->n; i++, seen++) {
			(void)snprintf(name, sizeof(name), "r%u", 2 * seen);
			assert_string_equal(name, out->region[i].name);
			assert_int_equal(2 * seen + 1, out->region[i].size);
			assert_int_equal(seen % 2 ? BACKING_HUGE : BACKING_DEVICE, out->region[i].backing);
			assert_int_equal(seen % 2 ? WIRE_CACHEABLE : WIRE_NON_CACHEABLE,
					 out->region[i].attribute);
		}
		cursor = out->cursor;
		frames++;
	} while (cursor);
	assert_int_equal(n, seen);
	assert_int_equal(3, frames);
	assert_int_equal(STATUS_OK, ask_target(p, OP_REGIONS, 0, NULL, UINT64_MAX));
	assert_int_equal(0, out->n);
	assert_int_equal(0, out->cursor);
}

/* ---- huge pages ---- */

static void huge_pages_that_there_are(_unused_ void **state)
{
	struct player *p;
	struct wire_bound b;
	struct stat stat;

	add("huge", PAGE, BACKING_HUGE, NULL);
	st.config.lock_arenas = true;
	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	assert_int_equal(STATUS_PARKED, ask_region(p, "huge"));
	if (TAILQ_FIRST(&st.world.heaps.all)->arena->backing != BACKING_HUGE) {
		print_message("skipped: this kernel has no huge pages\n");
		skip();
	}
	assert_false(TAILQ_FIRST(&st.world.heaps.all)->arena->job.lock); /* they always are */
	b = bound(p, STATUS_OK);
	assert_int_equal(BACKING_HUGE, b.backing);
	assert_int_equal(PAGE, b.size);
	assert_true(b.usable > PAGE);
	assert_int_equal(b.usable, charged(ALICE));
	assert_int_equal(0, fstat(fd_of(p, b.heap), &stat));
	assert_int_equal(b.usable, stat.st_size);
	assert_int_equal(0, b.usable % (uint64_t)stat.st_blksize);
	assert_int_equal(0600, stat.st_mode & 07777);
	assert_int_equal(F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL,
			 fcntl(fd_of(p, b.heap), F_GET_SEALS) &
				 (F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL));
}

/* The pool is empty: the commit says so. */
static void ordinary_pages_instead(_unused_ void **state)
{
	struct player *p;
	struct wire_bound b;
	struct region *g = add("huge", PAGE, BACKING_HUGE, NULL);
	struct stat stat;
	uint64_t size;

	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	assert_int_equal(STATUS_PARKED, ask_region(p, "huge"));
	if (TAILQ_FIRST(&st.world.heaps.all)->arena->backing != BACKING_HUGE)
		skip();
	size = charged(ALICE);
	stage_commit(&st, -ENOSPC);
	assert_int_equal(0, p->n_events);
	assert_int_equal(1, stage_jobs()); /* it is committed once more */
	b = bound(p, STATUS_OK);
	assert_int_equal(BACKING_MEMORY, b.backing);
	assert_int_equal(size, b.usable);
	assert_int_equal(size, charged(ALICE));
	assert_int_equal(0, fstat(fd_of(p, b.heap), &stat));
	assert_int_equal(PAGE, stat.st_blksize);
	assert_int_equal(size, stat.st_size);
	g = config_region(&st.world.config, "huge");
	assert_true(g->told);

	/* ordinary ones may be short too */
	assert_int_equal(STATUS_PARKED, ask_region(p, "huge"));
	stage_commit(&st, -ENOSPC);
	stage_commit(&st, -ENOMEM);
	(void)bound(p, STATUS_NO_MEMORY);
	/* other errors mean no such thing */
	assert_int_equal(STATUS_PARKED, ask_region(p, "huge"));
	stage_commit(&st, -EIO);
	assert_int_equal(0, stage_jobs());
	(void)bound(p, STATUS_NO_MEMORY);
	assert_int_equal(size, charged(ALICE));
}

static void nothing_instead(_unused_ void **state)
{
	struct player *p;

	add("huge", PAGE, BACKING_HUGE, NULL)->backing.fallback = false;
	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	if (ask_region(p, "huge") == STATUS_PARKED) {
		stage_commit(&st, -ENOSPC);
		assert_int_equal(0, stage_jobs());
		(void)bound(p, STATUS_NO_MEMORY);
	}
	assert_int_equal(0, charged(ALICE));
	assert_int_equal(0, st.world.heaps.n);
}

/* No machine has pages of 64 GiB. */
static void no_such_pages(_unused_ void **state)
{
	struct player *p;
	struct wire_bound b;

	add("any", PAGE, BACKING_HUGE, NULL)->backing.huge_page = UINT64_C(1) << 36;
	add("none", PAGE, BACKING_HUGE, NULL)->backing =
		(struct backing){.kind = BACKING_HUGE, .huge_page = UINT64_C(1) << 36};
	st.config.limits.bytes = UINT64_MAX;
	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	assert_int_equal(STATUS_NO_MEMORY, ask_region(p, "none"));
	assert_int_equal(0, st.world.heaps.n);
	assert_int_equal(0, charged(ALICE));
	b = attach(p, "any");
	assert_int_equal(BACKING_MEMORY, b.backing);
	assert_int_equal(PAGE, b.usable);
	assert_true(config_region(&st.world.config, "any")->told);
}

/* Its creator dies while it is committed for the second time. */
static void death_in_between(_unused_ void **state)
{
	struct player *p;

	add("huge", PAGE, BACKING_HUGE, NULL);
	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	assert_int_equal(STATUS_PARKED, ask_region(p, "huge"));
	player_leave(p);
	stage_commit(&st, -ENOSPC); /* nobody wants it any more: no second time */
	assert_int_equal(0, stage_jobs());
	assert_int_equal(0, charged(ALICE));
	p = player_join(&st, ALICE, 100);
	assert_int_equal(STATUS_PARKED, ask_region(p, "huge"));
	stage_commit(&st, -ENOSPC);
	player_leave(p);
	stage_commit_all(&st);
	assert_int_equal(0, charged(ALICE));
}

/* ---- devices ---- */

static void one_process_has_a_device(_unused_ void **state)
{
	struct player *p, *q;
	struct wire_bound b;
	struct stat x, y;

	make_file(path, 2 * PAGE);
	add("dev", 2 * PAGE - 7, BACKING_DEVICE, path);
	st.config.lock_arenas = true;
	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	q = player_join(&st, BOB, 100);
	b = attach(p, "dev");
	assert_int_equal(BACKING_DEVICE, b.backing);
	assert_int_equal(2 * PAGE - 7, b.size);
	assert_int_equal(2 * PAGE, b.usable);
	assert_int_equal(0, fstat(fd_of(p, b.heap), &x));
	assert_int_equal(0, stat(path, &y));
	assert_int_equal(y.st_ino, x.st_ino);
	assert_null(heap_of(p, b.heap)->arena->job.map);

	assert_int_equal(STATUS_PARKED, ask_region(q, "dev"));
	(void)bound(q, STATUS_BUSY);
	assert_int_equal(0, charged(BOB));
	assert_int_equal(STATUS_PARKED, ask_region(p, "dev")); /* nor twice for one */
	(void)bound(p, STATUS_BUSY);

	/* until it is given back, */
	assert_int_equal(STATUS_OK, ask_heap(p, OP_UNBIND, b.heap));
	(void)attach(q, "dev");
	assert_int_equal(STATUS_PARKED, ask_region(p, "dev"));
	(void)bound(p, STATUS_BUSY);
	/* or who has it dies */
	player_leave(q);
	b = attach(p, "dev");
	/* or deletes and unbinds it; the first is not enough, since it is mapped still */
	q = player_join(&st, BOB, 100);
	assert_int_equal(STATUS_OK, ask_target(p, OP_DELETE, b.heap, NULL, 0));
	assert_int_equal(STATUS_PARKED, ask_region(q, "dev"));
	(void)bound(q, STATUS_BUSY);
	assert_int_equal(STATUS_OK, ask_heap(p, OP_UNBIND, b.heap));
	(void)attach(q, "dev");
}

static void devices_that_cannot_be_had(_unused_ void **state)
{
	struct player *p;

	make_file(path, 2 * PAGE - 1);
	add("small", 2 * PAGE, BACKING_DEVICE, path);
	add("missing", PAGE, BACKING_DEVICE, other);
	add("folder", PAGE, BACKING_DEVICE, folder);
	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	assert_int_equal(STATUS_PARKED, ask_region(p, "small"));
	(void)bound(p, STATUS_UNSUPPORTED);
	assert_int_equal(STATUS_PARKED, ask_region(p, "missing"));
	(void)bound(p, STATUS_UNSUPPORTED);
	assert_int_equal(STATUS_PARKED, ask_region(p, "folder"));
	(void)bound(p, STATUS_UNSUPPORTED);
	assert_int_equal(0, charged(ALICE));
	assert_int_equal(0, st.world.heaps.n);
	make_file(path, 2 * PAGE);
	make_file(other, PAGE); /* what was not there may come */
	(void)attach(p, "small"); /* and who could not have it does not hold it */
	(void)attach(p, "missing");
}

/* Cancelled, or its creator dead, before it is open. */
static void a_device_that_nobody_waits_for(_unused_ void **state)
{
	struct player *p, *q;

	make_file(path, PAGE);
	add("dev", PAGE, BACKING_DEVICE, path);
	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	q = player_join(&st, ALICE, 100);
	assert_int_equal(STATUS_PARKED, ask_region(p, "dev"));
	assert_int_equal(STATUS_OK, ask_cancel(p, p->last_id));
	stage_commit_all(&st);
	assert_int_equal(0, p->n_events);
	assert_int_equal(STATUS_PARKED, ask_region(p, "dev"));
	player_leave(p);
	stage_commit_all(&st);
	(void)attach(q, "dev");
}

static void reload_with_regions_in_use(_unused_ void **state)
{
	struct player *p, *q;
	struct wire_bound b;
	struct config c;

	make_file(path, PAGE);
	add("dev", PAGE, BACKING_DEVICE, path);
	add("fast", PAGE, BACKING_MEMORY, NULL);
	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	q = player_join(&st, BOB, 100);
	b = attach(p, "dev");
	assert_int_equal(STATUS_PARKED, ask_region(p, "fast")); /* not committed yet */
	config_init(&c);
	add_to(&c, "fast", 3 * PAGE, BACKING_MEMORY, NULL);
	add_to(&c, "new", PAGE, BACKING_DEVICE, path);
	world_reload(&st.world, &c);
	config_deinit(&c);

	/* what exists stays, also what is being made */
	assert_int_equal(PAGE, bound(p, STATUS_OK).size);
	assert_int_equal(STATUS_OK, ask_target(p, OP_INSPECT, b.heap, NULL, 0));
	assert_string_equal("dev", REPLY(p, wire_entry)->name);
	assert_int_equal(BACKING_DEVICE, REPLY(p, wire_entry)->backing);
	/* new ones are as the new file says */
	assert_int_equal(3 * PAGE, attach(q, "fast").size);
	assert_int_equal(STATUS_MISSING, ask_region(q, "dev"));
	/* and the device is taken, whatever it is called now */
	assert_int_equal(STATUS_PARKED, ask_region(q, "new"));
	(void)bound(q, STATUS_BUSY);
	player_leave(p);
	(void)attach(q, "new");
}

/* ---- H_DMA, H_NONCACHED ---- */

static void heaps_on_a_device(_unused_ void **state)
{
	struct player *p, *q;
	uint64_t id;

	make_file(path, 8 * PAGE);
	make_file(other, 8 * PAGE);
	st.config.dma = strdup(path);
	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	q = player_join(&st, ALICE, 100);
	assert_int_equal(STATUS_UNSUPPORTED, ask_create(p, "x", PAGE, WIRE_MODE_NONCACHED));
	assert_int_equal(STATUS_UNSUPPORTED,
			 ask_create(p, "x", PAGE, WIRE_MODE_DMA | WIRE_MODE_NONCACHED));
	id = create_heap(p, "dma", 8, WIRE_MODE_DMA, NULL);
	assert_int_equal(BACKING_DEVICE, heap_of(p, id)->arena->backing);
	/* shared as any heap */
	assert_int_equal(STATUS_OK, ask_bind(q, "dma", ACCESS_WRITE, WIRE_BIND_NOWAIT));
	assert_int_equal(BACKING_DEVICE, REPLY(q, wire_bound)->backing);
	assert_true(q->reply_fd_writable);
	/* one heap has it, local ones and segments too */
	assert_int_equal(STATUS_PARKED, ask_create(q, "two", PAGE, WIRE_MODE_DMA));
	(void)bound(q, STATUS_BUSY);
	assert_int_equal(STATUS_PARKED, ask_create(q, NULL, PAGE, WIRE_MODE_DMA));
	(void)bound(q, STATUS_BUSY);
	assert_int_equal(STATUS_OK, ask_target(p, OP_DELETE, id, NULL, 0));
	assert_int_equal(STATUS_OK, ask_heap(p, OP_UNBIND, id));
	assert_int_equal(STATUS_OK, ask_heap(q, OP_UNBIND, id));
	player_forget_events(q);
	(void)create_heap(q, "seg", 1, WIRE_MODE_DMA | WIRE_MODE_SINGLE | WIRE_MODE_MAPPABLE, NULL);
}

static void readers_of_a_device(_unused_ void **state)
{
	struct player *p, *q;
	struct wire_create c = {
		.name = "dma",
		.size = PAGE,
		.mode = WIRE_MODE_DMA | WIRE_MODE_SINGLE,
		.kind = KIND_SEGMENT,
		.perm = 0644,
		.gid = WIRE_GID_DEFAULT,
	};

	make_file(path, PAGE);
	st.config.dma = strdup(path);
	st.config.noncached = strdup("/dev/null");
	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	q = player_join(&st, BOB, 100);
	assert_int_equal(STATUS_PARKED, ask_create_full(p, &c));
	(void)bound(p, STATUS_OK);
	assert_int_equal(STATUS_OK, ask_bind(q, "dma", ACCESS_BEST, WIRE_BIND_NOWAIT));
	assert_int_equal(ACCESS_READ, REPLY(q, wire_bound)->access);
	assert_false(q->reply_fd_writable);
	/* what cannot be opened for reading alone is not given to readers */
	name_copy(c.name, "null");
	c.mode = WIRE_MODE_NONCACHED | WIRE_MODE_SINGLE;
	assert_int_equal(STATUS_PARKED, ask_create_full(p, &c));
	(void)bound(p, STATUS_OK);
	assert_int_equal(STATUS_DENIED, ask_bind(q, "null", ACCESS_BEST, WIRE_BIND_NOWAIT));
	assert_int_equal(0, q->session->n_bound - 1);
}

/* Memory that is both must come from one device that is both. */
static void both_at_once(_unused_ void **state)
{
	struct player *p;
	struct config c;

	make_file(path, PAGE);
	st.config.dma = strdup(path);
	st.config.noncached = strdup(other);
	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	assert_int_equal(STATUS_UNSUPPORTED,
			 ask_create(p, "x", PAGE, WIRE_MODE_DMA | WIRE_MODE_NONCACHED));
	config_init(&c);
	c.lock_arenas = false;
	c.dma = strdup(path);
	c.noncached = strdup(path);
	world_reload(&st.world, &c);
	config_deinit(&c);
	(void)create_heap(p, "x", 1, WIRE_MODE_DMA | WIRE_MODE_NONCACHED, NULL);
}

static void parts_are_of_no_device(_unused_ void **state)
{
	struct player *p;
	struct wire_create c = {
		.size = PAGE, .mode = WIRE_MODE_DMA, .perm = 0600, .gid = WIRE_GID_DEFAULT};

	st.config.dma = strdup(path);
	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	for (c.kind = KIND_PARTITION; c.kind < KIND_LAST; c.kind++)
		assert_int_equal(STATUS_INVALID, ask_create_full(p, &c));
}

/* ---- a process's own memory ---- */

static void own_memory(_unused_ void **state)
{
	struct player *p;
	struct wire_bound b;
	struct stat stat;
	const struct wire_entry *e;

	st.config.max_size = PAGE;
	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	e = REPLY(p, wire_entry);
	assert_int_equal(STATUS_PARKED, ask_own(p, 100 * PAGE + 1)); /* no limit of heaps */
	b = bound(p, STATUS_OK);
	assert_int_equal(BACKING_OWN, b.backing);
	assert_int_equal(100 * PAGE + 1, b.size);
	assert_int_equal(101 * PAGE, b.usable);
	assert_int_equal(0, b.n_runs);
	assert_int_equal(PAGE, charged(ALICE));
	assert_int_equal(0, fstat(fd_of(p, b.heap), &stat));
	assert_int_equal(PAGE, stat.st_size);
	assert_int_equal(PAGE, st.world.heaps.bytes);

	/* nothing of it is the daemon's to give */
	assert_int_equal(STATUS_INVALID, ask_refill(p, b.heap, 1, 0));
	assert_int_equal(STATUS_INVALID, ask_free(p, b.heap, 0));
	assert_int_equal(-EPROTO, send_return(p, b.heap, 0, 0, 1, false));
	assert_int_equal(STATUS_OK, ask_target(p, OP_MAP, b.heap, NULL, 0));
	assert_int_equal(0, REPLY(p, wire_map)->n);
	assert_int_equal(STATUS_OK, ask_target(p, OP_INSPECT, b.heap, NULL, 0));
	assert_int_equal(101 * PAGE, e->usable);
	assert_int_equal(0, e->granted);
	assert_int_equal(BACKING_OWN, e->backing);
	assert_string_equal("", e->name);

	assert_int_equal(STATUS_PARKED, ask_own(p, UINT64_C(1) << 56));
	(void)bound(p, STATUS_OK);
	assert_int_equal(STATUS_INVALID, ask_own(p, (UINT64_C(1) << 56) + 1));
	assert_int_equal(STATUS_INVALID, ask_own(p, UINT64_MAX));
}

/* ---- whose they are ---- */

static void only_their_process_ends_them(_unused_ void **state)
{
	struct player *p, *q, *root;
	struct wire_create c = {.size = PAGE, .perm = 0666, .gid = WIRE_GID_DEFAULT};
	uint64_t id;

	stage_open(&st);
	p = player_join(&st, ALICE, 100);
	q = player_join(&st, ALICE, 100);
	root = player_join(&st, 0, 0);
	for (c.kind = KIND_PARTITION; c.kind < KIND_LAST; c.kind++) {
		assert_int_equal(STATUS_PARKED, ask_create_full(p, &c));
		id = st.world.heaps.last_id;
		assert_int_equal(STATUS_INVALID, ask_target(root, OP_DELETE, id, NULL, 0));
		assert_int_equal(id, bound(p, STATUS_OK).heap);
		assert_int_equal(STATUS_INVALID, ask_target(q, OP_DELETE, id, NULL, 0));
		assert_int_equal(STATUS_INVALID, ask_target(root, OP_DELETE, id, NULL, 0));
		assert_int_equal(STATE_LIVE, atomic_load(&control_of(p, id)->state));
		/* as who has created it and then found no room for the descriptor does */
		assert_int_equal(STATUS_OK, ask_target(p, OP_DELETE, id, NULL, 0));
		assert_int_equal(STATUS_OK, ask_heap(p, OP_UNBIND, id));
		assert_int_equal(STATUS_MISSING, ask_target(p, OP_INSPECT, id, NULL, 0));
		/* and as it is otherwise */
		player_forget_events(p);
		assert_int_equal(STATUS_PARKED, ask_create_full(p, &c));
		id = bound(p, STATUS_OK).heap;
		assert_int_equal(STATUS_OK, ask_heap(p, OP_UNBIND, id));
		assert_int_equal(STATUS_MISSING, ask_target(p, OP_INSPECT, id, NULL, 0));
	}
	assert_int_equal(0, charged(ALICE));
	assert_int_equal(0, st.world.heaps.n);
	/* a local heap is a heap, and root may delete it */
	id = create_heap(p, NULL, 1, 0, NULL);
	assert_int_equal(STATUS_OK, ask_target(root, OP_DELETE, id, NULL, 0));
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(as_the_section_says),
		TEST(who_may),
		TEST(quotas_hold),
		TEST(no_regions),
		TEST(a_walk),
		TEST(huge_pages_that_there_are),
		TEST(ordinary_pages_instead),
		TEST(nothing_instead),
		TEST(no_such_pages),
		TEST(death_in_between),
		TEST(one_process_has_a_device),
		TEST(devices_that_cannot_be_had),
		TEST(a_device_that_nobody_waits_for),
		TEST(reload_with_regions_in_use),
		TEST(heaps_on_a_device),
		TEST(readers_of_a_device),
		TEST(both_at_once),
		TEST(parts_are_of_no_device),
		TEST(own_memory),
		TEST(only_their_process_ends_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
