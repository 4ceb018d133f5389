/*
 * partitions.c: see partitions.h
 */
#include "client/partitions.h"

#include <sys/mman.h>

#include "client/lock.h"
#include "client/mapping.h"
#include "client/private.h"

#define BLOCK_ALIGN 16
#define AT_HAND_MIN 4 /* fewer numbers at a time are not worth an exchange */
#define LINKS_MIN (HW_PAGE_SIZE / sizeof(uint32_t))

struct partition partition_table_[MAX_PARTITIONS];

/* What take and give never look at. */
struct place {
	bool used;
	struct private_arena arena;
	_Atomic uint32_t *link; /* NULL, or room for capacity words; never unmapped */
	uint64_t capacity;      /* a power of two */
};

static struct {
	struct lock lock; /* used of all places, and the two below */
	struct place place[MAX_PARTITIONS];
	uint64_t last_serial;
	uint64_t last_tag; /* the largest that any closed partition had */
} table;

void partitions_reset(void)
{
	lock_init(&table.lock);
	for (int i = 0; i < MAX_PARTITIONS; i++) {
		atomic_store(&partition_table_[i].blocks.serial, 0);
		atomic_store(&partition_table_[i].blocks.at_hand, NULL);
		private_forget(&table.place[i].arena);
		table.place[i] = (struct place){.used = false}; /* a child has no links mapped */
	}
}

/* ---- places ---- */

static int place_take(void)
{
	int i;

	lock_take(&table.lock);
	for (i = 0; i < MAX_PARTITIONS && table.place[i].used; i++)
		;
	if (i < MAX_PARTITIONS)
		table.place[i].used = true;
	lock_give(&table.lock);
	return i < MAX_PARTITIONS ? i : -EAGAIN;
}

static void place_give(int ptno)
{
	lock_take(&table.lock);
	table.place[ptno].used = false;
	lock_give(&table.lock);
}

/* ---- link words ---- */

static int links_grow(struct place *p, uint64_t n)
{
	uint64_t capacity = LINKS_MIN;
	void *link;
	int r;

	while (capacity < n)
		capacity *= 2;
	r = mapping_private(&link, capacity * sizeof(*p->link));
	if (r < 0)
		return r;
	p->link = link;
	p->capacity = capacity;
	return 0;
}

/* n words with memory behind them. 0, -ENOMEM. */
static int links_reserve(struct place *p, uint64_t n)
{
	int r = p->capacity < n ? links_grow(p, n) : 0;

	return r < 0 ? r : mapping_populate(p->link, n * sizeof(*p->link));
}

/* ---- magazines ---- */

/* For a place that has none yet, and all its partitions from now on. NULL: it works without as well. */
static struct magazines *magazines_reserve(struct blocks *b)
{
	struct magazines *m = atomic_load(&b->at_hand);
	uint32_t n = m ? 0 : rseq_cpus();
	void *memory;

	if (m || magazines_rows(n) == 0 || mapping_private(&memory, magazines_size(n)) < 0)
		return m;
	if (mapping_populate(memory, magazines_size(n)) < 0) {
		mapping_free(memory, magazines_size(n));
		return NULL;
	}
	m = memory;
	magazines_init(m, n);
	atomic_store(&b->at_hand, m);
	return m;
}

/* What is at hand is found whenever it is needed, but where there are few blocks that would be often. */
static void give_magazines(struct blocks *b, const struct private_arena *arena, struct blocks_layout *l)
{
	struct magazines *m = magazines_reserve(b);
	uint32_t rows = m ? atomic_load(&m->rows.n_rows) : 0;

	if (rows == 0 || l->n / rows < AT_HAND_MIN || !rseq_row_fits(l->stride, l->n))
		return;
	if (session_heads(arena->session, arena->slot, rows / RSEQ_ROWS_EACH, &l->heads) < 0)
		return;
	l->row_max = (uint32_t)min_u64(l->n / rows, RSEQ_ROW_ENTRIES);
	arena->stats->n_cpus = rows / RSEQ_ROWS_EACH;
}

/* ---- create and destroy ---- */

/* Large blocks share no cache line, so that two threads with a block each do not slow each other down. */
static uint64_t stride_of(size_t block_size)
{
	return align_up(block_size, block_size < CACHE_LINE ? BLOCK_ALIGN : CACHE_LINE);
}

/* However it is that there is not enough. The size was checked, so the daemon's -EINVAL is its limit. */
static int shortage(int r)
{
	return r == -ENOMEM || r == -EDQUOT || r == -EINVAL ? -ENOSPC : r;
}

/* Sends the memory's request first: the daemon looks whether the machine has so much. */
static int place_fill(struct place *p, uint64_t stride, uint32_t n)
{
	struct wire_create what = {.size = stride * n, .kind = KIND_PARTITION};
	int r = private_create(&p->arena, &what);

	if (r < 0)
		return r;
	r = links_reserve(p, n);
	if (r < 0)
		private_destroy(&p->arena);
	return r;
}

static void open_at(int ptno, size_t block_size, uint64_t stride, uint32_t n)
{
	const struct place *place = &table.place[ptno];
	struct partition *p = &partition_table_[ptno];
	struct blocks_layout layout = {
		.stats = place->arena.stats,
		.link = place->link,
		.base = place->arena.base,
		.stride = stride,
		.n = n,
	};

	place->arena.stats->partition = (struct wire_partition){
		.block_size = block_size,
		.stride = stride,
		.n_blocks = n,
		.ptno = (uint32_t)ptno,
	};
	give_magazines(&p->blocks, &place->arena, &layout);
	lock_take(&table.lock);
	layout.serial = ++table.last_serial;
	layout.first_tag = table.last_tag + 1;
	lock_give(&table.lock);
	/* first, so that nobody who finds it open takes it for inherited */
	atomic_store(&p->epoch, epoch_now());
	blocks_open(&p->blocks, &layout);
}

int partition_create(size_t block_size, uint32_t n)
{
	uint64_t stride, bytes;
	int ptno, r;

	if (block_size > INT64_MAX)
		return -EINVAL;
	stride = stride_of(block_size);
	if (__builtin_mul_overflow(stride, (uint64_t)n, &bytes) || bytes > INT64_MAX)
		return -EINVAL;
	if (n > BLOCKS_MAX)
		return -ENOSPC; /* as 32 GiB would be */
	ptno = place_take();
	if (ptno < 0)
		return ptno;
	r = place_fill(&table.place[ptno], stride, n);
	if (r < 0) {
		place_give(ptno);
		return shortage(r);
	}
	open_at(ptno, block_size, stride, n);
	return ptno;
}

/* Nobody is in it any more. Its tags are remembered before the daemon can give its slot to another one. */
static int close_at(struct blocks *b)
{
	uint64_t tag;
	int r;

	lock_take(&table.lock);
	r = blocks_close(b, &tag);
	if (r == 0)
		table.last_tag = max_u64(table.last_tag, tag);
	lock_give(&table.lock);
	return r;
}

int partition_destroy(int ptno)
{
	struct blocks *b;
	int r = partition_find(ptno, &b);

	if (r < 0)
		return r;
	if (atomic_load(&b->serial) == 0) /* before any lock is touched: maybe nothing is set up */
		return -EBADF;
	r = close_at(b);
	if (r < 0)
		return r;
	atomic_store(&partition_table_[ptno].epoch, 0);
	private_destroy(&table.place[ptno].arena);
	place_give(ptno);
	return 0;
}
