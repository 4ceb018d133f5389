/*
 * pool.c: see pool.h
 */
#include "client/pool.h"

#include <stdio.h>

#include "client/epoch.h"
#include "client/lock.h"
#include "client/mapping.h"
#include "client/private.h"
#include "client/quarters.h"

#define VARIABLE "CONFIG_HEAP_MEM_POOL_SIZE"
#define SIZES "0, 256, 1024, 4096 or 16384"

static struct {
	_Atomic uint64_t epoch; /* written under the lock */
	struct lock lock;
	struct quarters quarters;   /* under the lock */
	struct private_arena arena; /* constant while there is a pool */
	_Atomic uint32_t bad_frees; /* before there was one */
} pool;

/* What is wanted: said before main() and found out once. A child wants what its parent did. */
static struct {
	bool wished;
	size_t size;
	pthread_once_t once;
	int result; /* bytes > 0, or why there are none: -ENOMEM, -EINVAL */
} wanted = {.once = PTHREAD_ONCE_INIT};

/* ---- the size ---- */

/* Decimal digits and nothing else. -EINVAL: not so, or a size that no pool has. */
static int parse_size(const char *text)
{
	uint64_t size = 0;

	if (!*text)
		return -EINVAL;
	for (const char *c = text; *c; c++) {
		if (*c < '0' || *c > '9' || size > QUARTERS_MAX)
			return -EINVAL;
		size = size * 10 + (uint64_t)(*c - '0');
	}
	return size == 0 || quarters_size_ok(size) ? (int)size : -EINVAL;
}

/* How much of it one line of a message can show. */
static int printable(const char *text)
{
	int n = 0;

	while (n < 40 && text[n] >= ' ' && text[n] <= '~')
		n++;
	return n;
}

static void find_out(void)
{
	const char *set = secure_getenv(VARIABLE);
	int size = set && *set ? parse_size(set) : (int)wanted.size;

	if (size < 0)
		(void)dprintf(STDERR_FILENO,
			      "heapclient: " VARIABLE
			      "=%.*s: not a size of the heap memory pool (" SIZES
			      "); there is no pool\n",
			      printable(set), set);
	wanted.result = size == 0 ? -ENOMEM : size;
}

int pool_wanted(void)
{
	(void)pthread_once(&wanted.once, find_out);
	return wanted.result;
}

void pool_wish(size_t size)
{
	if (wanted.wished && wanted.size != size)
		(void)dprintf(STDERR_FILENO,
			      "heapclient: two sizes of the heap memory pool in one program: "
			      "%zu stands, %zu does not\n",
			      wanted.size, size);
	if (wanted.wished)
		return;
	wanted.wished = true;
	wanted.size = quarters_size_ok(size) ? size : 0;
}

/* ---- the pool ---- */

static bool pool_is_there(void)
{
	uint64_t epoch = atomic_load_explicit(&pool.epoch, memory_order_acquire);

	return likely(epoch != 0 && epoch == epoch_now());
}

static int make(void)
{
	struct wire_create create = {.kind = KIND_POOL};
	int r;

	assert(pool_wanted() > 0 && "the caller has asked");
	create.size = (uint64_t)pool_wanted();
	r = private_create(&pool.arena, &create);
	if (r < 0)
		return r;
	quarters_init(&pool.quarters, (uint32_t)create.size, pool.arena.stats);
	pool.arena.stats->bad_frees = atomic_load_explicit(&pool.bad_frees, memory_order_relaxed);
	atomic_store_explicit(&pool.epoch, epoch_now(), memory_order_release);
	return 0;
}

int pool_make(void)
{
	int r;

	lock_take(&pool.lock);
	r = pool_is_there() ? 0 : make();
	lock_give(&pool.lock);
	return r;
}

int pool_alloc(uint64_t bytes, void **out)
{
	uint32_t offset;
	int r;

	if (unlikely(!pool_is_there()))
		return POOL_ABSENT;
	lock_take(&pool.lock);
	r = quarters_alloc(&pool.quarters, bytes, &offset);
	lock_give(&pool.lock);
	if (likely(r == 0))
		*out = pool.arena.base + offset;
	return r;
}

void pool_free(void *block)
{
	uint64_t offset;

	if (unlikely(!pool_is_there())) {
		atomic_fetch_add_explicit(&pool.bad_frees, 1, memory_order_relaxed);
		return;
	}
	/* An address below the base is far above its end. */
	offset = (uint64_t)((uintptr_t)block - (uintptr_t)pool.arena.base);
	lock_take(&pool.lock);
	(void)quarters_free(&pool.quarters, offset);
	lock_give(&pool.lock);
}

void pool_reset(void)
{
	lock_init(&pool.lock);
	atomic_store_explicit(&pool.bad_frees, 0, memory_order_relaxed);
	atomic_store_explicit(&pool.epoch, 0, memory_order_release);
	private_forget(&pool.arena);
}

void pool_unshare(void)
{
	if (atomic_load(&pool.epoch))
		(void)mapping_populate(&pool, sizeof(pool));
}
