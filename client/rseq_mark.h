/*
 * rseq_mark.h: the restartable sequences of heaps: a number out of or into an array, a byte for each block
 *
 * Model: arrays as in client/rseq.h, of WIRE_BUCKETS kinds; and for each block a byte, the mark, that says whether
 * somebody has it, and of which kind it is. Who takes a block marks it, who frees it claims it: reads the mark
 * and stores 0. These two are sequences as well, and so do not happen at all if the gate is not open as their caller
 * brought it, or the control slot does not say that the heap lives. That is what makes them safe beside the end
 * of a heap: who has shut the gate and called rseq_barrier() may unmap marks, slots and control slot.
 *
 * Two claims of one mark: on one CPU exactly one is believed, since the other one is sent back to its start when
 * the kernel changes from thread to thread. On two CPUs both may be, if both look before either stores, some
 * nanoseconds apart. With STRICT_FREES the store is a locked exchange and exactly one is believed.
 *
 * Why not rseq_take and rseq_give: here what is constant is constant, each is tried once, and the CPU is read inside
 * the sequence, which makes them half as long. What they do to an array is the same.
 *
 * Bound: 20 instructions at most, tried once: a caller that was interrupted goes the long way. No system call.
 * Not here: what marks mean, who shuts the gate (client/hand.h). Where there are no sequences all is refused.
 */
#ifndef HEAPD_CLIENT_RSEQ_MARK_H
#define HEAPD_CLIENT_RSEQ_MARK_H

#include "client/rseq.h"

/* The mark of what belongs into arrays of kind 0; of the next kind one more. Never 0. */
#define RSEQ_MARK_MIN 3

/* Points to the control slot whose state must be STATE_LIVE for a block to be marked or claimed. */
typedef _Atomic(const struct wire_control *) const rseq_word;

#if RSEQ_HERE && !defined(TEST_RSEQ) && defined(__x86_64__)

/* As RSEQ_BEGIN and RSEQ_END, on whatever CPU; self: where the thread's area lies from the thread pointer. */
#define RSEQ_BRIEF_BEGIN \
	RSEQ_DESCRIPTOR \
	"movq %%rax, %%fs:8(%[self])\n" \
	"1: cmpq %[open], %[gate]\n" \
	"jne %l[no]\n"
#define RSEQ_BRIEF_END RSEQ_ABORTS_TO("no")

#define RSEQ_WORD \
	"movq %[word], %%rax\n" \
	"cmpl %[live], (%%rax)\n" \
	"jne %l[no]\n"

/* The array of this CPU and mark: its head at RSEQ_HEAD, its slots behind -RSEQ_FIRST from rax on. tmp is destroyed. */
#define RSEQ_ARRAY \
	"movl %%fs:4(%[self]), %k[at]\n" /* more than any, if the thread is not registered */ \
	"cmpl %[n_cpus], %k[at]\n" \
	"jae %l[no]\n" \
	"movl %k[mark], %k[tmp]\n" \
	"imulq %[stride], %[at], %%rax\n" \
	"shll $7, %k[tmp]\n" \
	"addq %[slots], %%rax\n" \
	"shlq $7, %[at]\n" \
	"leaq (%%rax, %[tmp], 4), %%rax\n" \
	"addq %[heads], %[at]\n"
#define RSEQ_HEAD "%c[head](%[at], %[mark], 8)"
#define RSEQ_FIRST (RSEQ_MARK_MIN * RSEQ_SLOTS * sizeof(uint32_t))
_Static_assert(sizeof(struct wire_heads) == 128 && RSEQ_SLOTS == 128, "the sequences shift");

#define RSEQ_ARRAY_IN(a, self, mark) \
	[self] "r"(self), [gate] "m"((a)->gate), [n_cpus] "m"((a)->n_cpus), [heads] "m"((a)->heads), [slots] "m"((a)->slots), \
		[stride] "i"(WIRE_BUCKETS * RSEQ_SLOTS * sizeof(uint32_t)), [mark] "r"(mark), \
		[head] "i"(-(int)(RSEQ_MARK_MIN * sizeof(uint64_t)))

/* What all sequences of a thread need: where its area is. */
static inline int64_t rseq_where(void)
{
	return __rseq_offset;
}

/* As rseq_take, tried once, of kind mark - RSEQ_MARK_MIN. a has WIRE_BUCKETS kinds. */
static inline __attribute__((always_inline)) bool rseq_pop(struct rseq_arrays *a, int64_t self,
							   uint64_t mark, uint64_t open, uint64_t *number)
{
	uint64_t at, tmp;

	__asm__ goto volatile(
		RSEQ_BRIEF_BEGIN RSEQ_ARRAY
		"movzwl " RSEQ_HEAD ", %k[tmp]\n"
		"testl %k[tmp], %k[tmp]\n"
		"jz %l[no]\n"
		"movl %c[last](%%rax, %[tmp], 4), %k[tmp]\n"
		"addq $0xffff, " RSEQ_HEAD "\n"
		RSEQ_BRIEF_END
		: [at] "=&r"(at), [tmp] "=&r"(tmp)
		: RSEQ_ARRAY_IN(a, self, mark), [open] "r"(open),
		  [last] "i"(-(int)(RSEQ_FIRST + sizeof(uint32_t)))
		: "rax", "memory", "cc"
		: no);
	*number = tmp;
	return true;
no:
	return false;
}

/* As rseq_give, tried once. max: of the first kind, behind it those of the others. */
static inline __attribute__((always_inline)) bool rseq_push(struct rseq_arrays *a, int64_t self,
							    uint64_t mark, uint64_t open, const _Atomic uint32_t *max,
							    uint64_t number)
{
	uint64_t at, tmp;

	__asm__ goto volatile(
		RSEQ_BRIEF_BEGIN RSEQ_ARRAY
		"movzwl " RSEQ_HEAD ", %k[tmp]\n"
		"cmpl %[max], %k[tmp]\n"
		"jae %l[no]\n"
		"movl %k[number], %c[next](%%rax, %[tmp], 4)\n"
		"addq $0x10001, " RSEQ_HEAD "\n"
		RSEQ_BRIEF_END
		: [at] "=&r"(at), [tmp] "=&r"(tmp)
		: RSEQ_ARRAY_IN(a, self, mark), [open] "r"(open), [max] "m"(max[mark - RSEQ_MARK_MIN]),
		  [number] "r"(number), [next] "i"(-(int)RSEQ_FIRST)
		: "rax", "memory", "cc"
		: no);
	return true;
no:
	return false;
}

/* False: the gate is not open, the word not as wanted, or it was interrupted; the byte is as it was. */
static inline __attribute__((always_inline)) bool rseq_mark(const struct rseq_arrays *a, rseq_word *word,
							    int64_t self, uint64_t open, uint8_t *byte, uint64_t mark)
{
	__asm__ goto volatile(
		RSEQ_BRIEF_BEGIN RSEQ_WORD
		"movb %b[mark], %[byte]\n"
		RSEQ_BRIEF_END
		: /* no outputs */
		: [self] "r"(self), [gate] "m"(a->gate), [open] "r"(open), [word] "m"(*word),
		  [live] "i"(STATE_LIVE), [byte] "m"(*byte), [mark] "q"(mark)
		: "rax", "memory", "cc"
		: no);
	return true;
no:
	return false;
}

#if STRICT_FREES
#define RSEQ_ZERO , [zero] "q"(0)
#else
#define RSEQ_ZERO
#endif

/* *mark, and the byte is 0. False: it was 0, or as rseq_mark. */
static inline __attribute__((always_inline)) bool rseq_claim(const struct rseq_arrays *a, rseq_word *word,
							     int64_t self, uint64_t open, uint8_t *byte, uint64_t *mark)
{
	uint64_t found;

	__asm__ goto volatile(
		RSEQ_BRIEF_BEGIN RSEQ_WORD
		"movzbl %[byte], %k[found]\n"
		"testl %k[found], %k[found]\n"
		"jz %l[no]\n"
#if STRICT_FREES
		"movl %k[found], %%eax\n"
		"lock cmpxchgb %b[zero], %[byte]\n"
		RSEQ_BRIEF_END
		"jne %l[no]\n"
#else
		"movb $0, %[byte]\n"
		RSEQ_BRIEF_END
#endif
		: [found] "=&r"(found)
		: [self] "r"(self), [gate] "m"(a->gate), [open] "r"(open), [word] "m"(*word),
		  [live] "i"(STATE_LIVE), [byte] "m"(*byte) RSEQ_ZERO
		: "rax", "memory", "cc"
		: no);
	*mark = found;
	return true;
no:
	return false;
}

#else
static inline int64_t rseq_where(void)
{
	return 0;
}

static inline bool rseq_pop(struct rseq_arrays *a, int64_t self, uint64_t mark, uint64_t open,
			    uint64_t *number)
{
	(void)a, (void)self, (void)mark, (void)open, (void)number;
	return false;
}

static inline bool rseq_push(struct rseq_arrays *a, int64_t self, uint64_t mark, uint64_t open,
			     const _Atomic uint32_t *max, uint64_t number)
{
	(void)a, (void)self, (void)mark, (void)open, (void)max, (void)number;
	return false;
}

static inline bool rseq_mark(const struct rseq_arrays *a, rseq_word *word, int64_t self, uint64_t open, uint8_t *byte,
			     uint64_t mark)
{
	(void)a, (void)word, (void)self, (void)open, (void)byte, (void)mark;
	return false;
}

static inline bool rseq_claim(const struct rseq_arrays *a, rseq_word *word, int64_t self, uint64_t open, uint8_t *byte,
			      uint64_t *mark)
{
	(void)a, (void)word, (void)self, (void)open, (void)byte, (void)mark;
	return false;
}
#endif

#endif
