/*
 * rseq_mark.h: a byte for each block that says whether somebody has it, changed by restartable sequences
 *
 * Model: who takes a block marks it (a byte that is not 0), who frees it claims it: reads the mark and
 * stores 0. Both are sequences (client/rseq.h) that end with that store, and so do not happen at all if the gate
 * is not open as their caller brought it, or if a second word, the word of others, is not what it should
 * be. That is what makes them safe beside an end of all: who shuts the gate and calls rseq_barrier() may unmap the
 * bytes and that word.
 *
 * Two claims of one mark: on one CPU exactly one is believed, since the other one is sent back to its start when
 * the kernel changes from thread to thread. On two CPUs both may be, if both look before either stores, some
 * nanoseconds apart. With STRICT_FREES the store is a locked exchange and exactly one is believed.
 *
 * Bound: 9 instructions, RSEQ_TRIES times. Safe in signal handlers.
 * Not here: where there are no sequences nothing is marked (client/hand.h).
 */
#ifndef HEAPD_CLIENT_RSEQ_MARK_H
#define HEAPD_CLIENT_RSEQ_MARK_H

#include "client/rseq.h"

/* What must hold when a sequence ends: the gate has the value open, and the state of *word is STATE_LIVE. */
struct rseq_if {
	const _Atomic uint64_t *gate;
	uint64_t open;
	_Atomic(const struct wire_control *) const *word;
};

/* The mark of what belongs into arrays of kind 0; of the next kind one more. Never 0. */
#define RSEQ_MARK_MIN 3

#if RSEQ_HERE && !defined(TEST_RSEQ)

/*
 * As RSEQ_BEGIN, but that the thread's area is not computed, and whatever the CPU is: who needs it reads it inside the
 * sequence. (An interrupted one goes to `no`, too: for the caller that is a reason like the others to take the long way.)
 */
#define RSEQ_BRIEF_BEGIN \
	".pushsection __rseq_cs, \"aw\"\n" \
	".balign 32\n" \
	"3: .long 0, 0\n" \
	".quad 1f, 2f - 1f, 4f\n" \
	".popsection\n" \
	"leaq 3b(%%rip), %%rax\n" \
	"movq %%rax, %%fs:8(%[self])\n" \
	"1: cmpq %[open], %[gate]\n" \
	"jne %l[no]\n"
#define RSEQ_BRIEF_END \
	"2:\n" \
	".pushsection __rseq_failure, \"ax\"\n" \
	".byte 0x0f, 0xb9, 0x3d\n" \
	".long 0x53053053\n" \
	"4: jmp %l[no]\n" \
	".popsection\n"

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
static inline __attribute__((always_inline)) bool rseq_mark(const struct rseq_if *when, int64_t self, uint8_t *byte,
							    uint8_t mark)
{
	__asm__ goto volatile(
		RSEQ_BRIEF_BEGIN RSEQ_WORD
		"movb %[mark], %[byte]\n"
		RSEQ_BRIEF_END
		: /* no outputs */
		: [self] "r"(self), [gate] "m"(*when->gate), [open] "r"(when->open), [word] "m"(*when->word),
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
static inline __attribute__((always_inline)) bool rseq_claim(const struct rseq_if *when, int64_t self, uint8_t *byte,
							     uint64_t *mark)
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
		: [self] "r"(self), [gate] "m"(*when->gate), [open] "r"(when->open), [word] "m"(*when->word),
		  [live] "i"(STATE_LIVE), [byte] "m"(*byte) RSEQ_ZERO
		: "rax", "memory", "cc"
		: no);
	*mark = found;
	return true;
no:
	return false;
}

/* a != b, but that the compiler does not know it, and so does not take the one for the other where they are equal. */
static inline bool rseq_differ(uint64_t a, uint64_t b)
{
	bool differ;

	__asm__("cmpq %[b], %[a]" : "=@ccne"(differ) : [a] "r"(a), [b] "r"(b));
	return differ;
}

#else
static inline bool rseq_differ(uint64_t a, uint64_t b)
{
	return a != b;
}

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

static inline bool rseq_mark(const struct rseq_if *when, int64_t self, uint8_t *byte, uint8_t mark)
{
	(void)when, (void)self, (void)byte, (void)mark;
	return false;
}

static inline bool rseq_claim(const struct rseq_if *when, int64_t self, uint8_t *byte, uint64_t *mark)
{
	(void)when, (void)self, (void)byte, (void)mark;
	return false;
}
#endif

#endif
