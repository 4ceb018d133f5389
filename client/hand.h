/*
 * hand.h: free blocks of one heap at hand, for each CPU
 *
 * Model: for each CPU and each bucket an array of free blocks (client/rseq_arrays.h), as numbers (rseq_number). A
 * request is served from the array of its CPU, a freed block goes there, and neither takes a lock. To the
 * bucket allocator blocks in an array are in use. For each 16 bytes of the heap there is one byte, the mark:
 * at the start of a block that somebody has it tells the block's bucket, elsewhere it is 0. So a free needs
 * nothing else to know what it is given, and a block that is free already is seen to be. Blocks come to an array from
 * the CPU's shelf (client/bucket.h): marks of a lot of pages have cache lines of their own, and so are one CPU's, as long as
 * blocks are freed where they were taken.
 *
 * Views: what a descriptor's sequences look at is a copy of the heap's arrays (client/views.h). Its gate has the descriptor's first word as
 * long as that is valid, and it has CPUs as long as the heap's gate is open: what is said here of the gate is said of them.
 *
 * The gate: open, everybody takes and gives as said. Whoever must see every block has it shut, under the
 * heap's lock: the gate is stored 0, rseq_barrier() ends what is under way, and all arrays are emptied into the bucket
 * allocator (hand_shut). It is shut before a request fails or waits, and stays so while anyone waits, here or elsewhere
 * (client/heap_alloc.c); while it is shut everything goes through the lock. The bucket allocator's bitmap
 * remains the record of what is free.
 *
 * A block on its way is in one thread's hands, as before a free and after an alloc: out of the array and not
 * marked yet, or claimed and not in the array yet. Batches go under the heap's lock, which
 * inherits priority: who must see them waits for their thread, and that one runs. A batch is long where an array goes
 * one way only (a thread that frees what another allocates), and short where it goes to and fro at its end: there
 * a few more calls take the lock, and none of them takes long.
 *
 * Invariants: while the gate is shut and `lost` is not set, all arrays are empty. Each block in use by the bucket
 * allocator is marked, in exactly one array, or in one thread's hands; what is marked is in use. A view's
 * word no other descriptor of this process and no earlier one has: who brings an old one finds another. A view without a
 * word has no CPUs; one with a word has none while the gate is shut, and is what the heap's arrays are.
 * hand_check() proves them.
 *
 * Bounds: take and give by sequences: constant. hand_refill: HAND_REFILL blocks; hand_spill: HAND_BATCH. hand_shut: one
 * barrier, and bucket_free() for each block at hand: HAND_ALL at most, and an eighth of the heap.
 * Not here: the lock (client/heap.h), the sequences (client/rseq_arrays.h), who waits.
 */
#ifndef HEAPD_CLIENT_HAND_H
#define HEAPD_CLIENT_HAND_H

#include "client/bucket.h"
#include "client/rseq_arrays.h"

#define HAND_UNIT_SHIFT BUCKET_MIN_SHIFT
#define HAND_KIND_MAX (64u * 1024)      /* bytes of one size that one CPU has at hand at most */
#define HAND_SHARE 8u                   /* of the heap: all CPUs and sizes together have an eighth at most */
#define HAND_HEAP_MIN (32ull * 1024)    /* bytes a CPU that a heap must have to have any: slots are 4 KiB a CPU */
#define HAND_ALL 2304u                  /* blocks that all CPUs and sizes of a heap may have together: what hand_shut moves */
#define HAND_BATCH 8u                  /* blocks, between an array and the bucket allocator, at most */
#define HAND_FEW 4u                    /* the same of an array that goes to and fro; twice that from there */
#define HAND_NOTES 8u
#define HAND_REFILL 20u                /* at most, from there, and at most HAND_REFILL_BYTES */
#define HAND_REFILL_BYTES (16u * 1024)
#define HAND_VIEWS 16u                 /* descriptors of one binding with the short way; others take the lock */
#define HAND_WORD_SAYS 16              /* from that bit on 16 of a descriptor's first word say where its view is (client/views.h) */
#define HAND_CALM 64u                   /* blocks through the lock, none of them in vain, before the gate opens again */

/* The mark of a block: its bucket's, or that of a kind that never has an array, for a block of whole pages. */
#define HAND_MARK(bucket) ((bucket) + RSEQ_MARK_MIN)
#define HAND_LARGE HAND_MARK(BUCKET_COUNT)
_Static_assert(BUCKET_COUNT < WIRE_HEADS_KINDS, "a bucket is a kind");

struct hand {
	struct rseq_arrays arrays; /* n_cpus 0: no blocks at hand, and no marks; max of a kind 0: none of that */
	uint64_t open;             /* what the gate is when it is open */

	/* under the heap's lock */
	uint32_t before;           /* the last turn of a descriptor when the heap was attached */
	struct bucket_heap *bucket;
	struct rseq_arrays *view[HAND_VIEWS]; /* that are this structure's for ever; NULL: no more */
	struct {
		uint32_t taken[BUCKET_COUNT], given[BUCKET_COUNT];
	} behind[HAND_NOTES];      /* a batch: the array's counters; of CPUs with the same number modulo HAND_NOTES */
	uint32_t calm;
	bool lost;                 /* it was to be shut, and the kernel refused the barrier: some may still run */
};

/* What hand_begin needs besides. All the caller's, valid until hand_end. */
struct hand_layout {
	struct wire_heads *heads; /* n_cpus of them; hand_end leaves those of a partition's rows as hand_begin found them */
	uint32_t *slots;          /* rseq_slots_size(n_cpus) bytes */
	uint8_t *marks;           /* hand_marks_size() bytes, zeroed, at an even address; of two cache lines, for speed */
	uint32_t n_cpus;
};

/* For how many CPUs a heap of so many bytes should have arrays. 0: none. May enter the kernel (rseq_cpus). */
uint32_t hand_cpus(uint64_t usable);

/* Bytes of marks. */
static inline size_t hand_marks_size(uint64_t usable)
{
	return rseq_marks_size(usable >> HAND_UNIT_SHIFT);
}

/*
 * For a heap of usable bytes that bucket serves; layout NULL: without blocks at hand. It is shut. The lock is held,
 * and nobody has the descriptor yet.
 */
void hand_begin(struct hand *hand, struct bucket_heap *bucket, uint64_t usable, const struct hand_layout *layout);

/*
 * Nothing is at hand any more, and no sequence touches what the layout had: it may be unmapped. False: the kernel
 * refuses the barrier, so it must stay. The lock is held.
 */
bool hand_end(struct hand *hand);

/*
 * One more view for this hand to have for ever: all zero, and it is never unmapped; words say it by place. False: it has HAND_VIEWS. The
 * lock is held.
 */
bool hand_lend(struct hand *hand, struct rseq_arrays *view, uint16_t place);

/*
 * A view for one more descriptor, and its turn, a number that no other descriptor of this process has had, nor one that it inherited;
 * NULL: there are no arrays, or no view is left, or no number. hand_view comes next. The lock is held.
 */
struct rseq_arrays *hand_spare(struct hand *hand, uint32_t *turn);

/* The view is the one of the descriptor that begins with that word, which is not 0. The lock is held. */
void hand_view(struct hand *hand, struct rseq_arrays *view, uint64_t word);

/* The descriptor has no view any more; it need not have had one. The lock is held. */
void hand_unview(struct hand *hand, uint64_t word);

/*
 * The control slot of the heap is another from now on, for all; a descriptor in whose view it must not stand has none any more. The lock is
 * held, or nobody has the heap yet.
 */
void hand_control(struct hand *hand, const struct wire_control *control);

/* Whether a descriptor of this structure with that turn is, or was, one of the heap as it is attached now. The lock is held. */
bool hand_was_seen(const struct hand *hand, uint32_t turn);

/* Whether the heap has arrays at all. */
static inline bool hand_is_there(const struct hand *hand)
{
	return atomic_load_explicit(&hand->arrays.n_cpus, memory_order_relaxed) > 0;
}

static inline bool hand_is_open(const struct hand *hand)
{
	return atomic_load_explicit(&hand->arrays.gate, memory_order_relaxed) != 0;
}

/* As bucket_touch: the marks of hardware pages [first, first+n). What is not in the heap: no call. */
void hand_touch(const struct hand *hand, uint32_t first_hw, uint32_t n_hw,
		void (*touch)(void *ctx, void *addr, size_t bytes), void *ctx);

/* ---- under the lock ---- */

/* bucket_alloc(), marked. 0 and *offset; BUCKET_DRY. What is at hand is not looked at. */
int hand_alloc(struct hand *hand, uint64_t size, uint64_t *offset);

/* Whether a block that somebody has starts at offset. True for all where there are no marks: the bucket allocator knows. */
bool hand_is_out(const struct hand *hand, uint64_t offset);

/* The block of a request of size at offset, which its taker could not mark, is somebody's from now on. */
void hand_mark(struct hand *hand, uint64_t size, uint64_t offset);

/*
 * Claims it for the caller, who frees it: its mark; HAND_LARGE where there are no marks. 0: it was not out.
 */
uint8_t hand_claim(struct hand *hand, uint64_t offset);

/* Blocks like those of size into the array of this CPU, at most half of what it may have. Does nothing while it is shut. */
void hand_refill(struct hand *hand, uint64_t size);

/*
 * The block at offset, which the caller claimed and whose mark that was, is for an array that was full: some of that array go back to the
 * bucket allocator, and it goes in. *pages_free: whether a whole hardware page may have become free. False: the block is the caller's
 * still. Does nothing while it is shut.
 */
bool hand_spill(struct hand *hand, uint8_t mark, uint64_t offset, bool *pages_free);

/* Shut, and nothing at hand. Whether anything was. */
bool hand_shut(struct hand *hand);

/* A block went through the lock, and nothing else stands against opening: after HAND_CALM of these it is. */
void hand_settle(struct hand *hand);

/* Somebody looked in vain: it stays shut for a while. */
static inline void hand_unsettle(struct hand *hand)
{
	hand->calm = 0;
}

/* Bytes at hand: of one moment only while it is shut (then 0, unless it is lost). */
uint64_t hand_bytes(const struct hand *hand);

/* 0, or -EUCLEAN. Walks everything, and shuts it: for tests and audits, while no thread is inside an alloc or free. */
int hand_check(struct hand *hand);

#endif
