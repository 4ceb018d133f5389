/*
 * rseq_arrays_x86_64.h: the sequences of client/rseq_arrays.h on x86-64
 *
 * Orders: this processor does loads in order, and stores in order; more is not needed.
 *
 * rseq_alloc and rseq_free store twice before they end: the head and the mark, or the mark and the head. After an abort flags and
 * registers are what they were when it was interrupted, and tell whether the first store was done.
 * In rseq_alloc it is an addition of -RSEQ_STEP: it leaves a carry or, to a count below that, a negative sum. The last before it that
 * changed flags is the sum of an address and a place, which leaves neither; and whatever flags were before that, the register
 * of the gate's value did not yet have the address of the marks.
 * In rseq_free it is a shift that moves the mark's bit RSEQ_MARK_OUT out of the byte: it leaves zero and carry both set, which
 * nothing before it in the sequence does: a comparison or subtraction never sets both, rotations leave zero as it was after one, and
 * sums of addresses are not 0. (Before its first instruction flags are the compiler's; then rax still has the descriptor's
 * address.) With STRICT_FREES it is an exchange, and a register that was 0 since before the sequence no longer is.
 *
 * Only client/rseq_arrays.h includes this.
 */
#ifndef HEAPD_CLIENT_RSEQ_ARRAYS_X86_64_H
#define HEAPD_CLIENT_RSEQ_ARRAYS_X86_64_H

/* at: where the thread's area lies from the thread pointer; then the CPU. */
#define RSEQ_ARRAYS_BEGIN \
	"movq %[where], %[at]\n" \
	RSEQ_DESCRIPTOR \
	"movq %%rax, %%fs:8(%[at])\n" \
	"1: cmpq %[open], %c[gate](%[a])\n" \
	"jne %l[no]\n" \
	"movl %%fs:4(%[at]), %k[at]\n" /* more than any, if the thread is not registered */ \
	"cmpl %c[n_cpus](%[a]), %k[at]\n" \
	"jae %l[no]\n"
#define RSEQ_ARRAYS_FIELDS(arrays) \
	[where] "m"(rseq_where_), [a] "r"(arrays), RSEQ_FIELD(gate), RSEQ_FIELD(heads), RSEQ_FIELD(slots), RSEQ_FIELD(n_cpus), \
		[first] "i"(-(int)(RSEQ_MARK_MIN * sizeof(uint64_t)))
#define RSEQ_ARRAYS_END RSEQ_ABORTS_TO("no")

/* The gate had what the caller brought. */
#define RSEQ_LIVES \
	"movq %c[control](%[a]), %%rax\n" \
	"cmpb %b[open], (%%rax)\n" \
	"jne %l[no]\n"

/*
 * The array of this CPU and mark: its head at rax; `at` is its number, counted from the one that mark 0 would have. Heads and arrays are
 * counted alike, WIRE_HEADS_KINDS to a CPU.
 */
#define RSEQ_ARRAY \
	"leaq (%[at], %[at]), %[at]\n" \
	"leaq (%[mark], %[at], 8), %[at]\n" \
	"movq %c[heads](%[a]), %%rax\n" \
	"leaq %c[first](%%rax, %[at], 8), %%rax\n"
_Static_assert(WIRE_HEADS_KINDS == 2 * 8, "the sequences multiply");

/* From that number its slots, in `at`. The one for what n says was given or taken is at RSEQ_SLOT. */
#define RSEQ_ARRAY_SLOTS \
	"shlq $8, %[at]\n" \
	"addq %c[slots](%[a]), %[at]\n"
#define RSEQ_SLOT_OF(count) "movzbl " count ", %k[n]\n"
#define RSEQ_SLOT "%c[behind](%[at], %[n])"
#define RSEQ_BEHIND [behind] "i"(-(int)(RSEQ_MARK_MIN * RSEQ_SLOTS * sizeof(uint32_t))), [step] "i"(RSEQ_STEP)
_Static_assert(RSEQ_SLOTS * sizeof(uint32_t) == 1 << 8, "the sequences shift");

RSEQ_INLINE bool rseq_pop(struct rseq_arrays *a, uint64_t mark, uint64_t open, uint64_t *number)
{
	uint64_t at, n;

	__asm__ goto volatile(
		RSEQ_ARRAYS_BEGIN
		RSEQ_ARRAY
		"movl (%%rax), %k[n]\n"
		"cmpl 4(%%rax), %k[n]\n"
		"je %l[no]\n"
		RSEQ_ARRAY_SLOTS
		RSEQ_SLOT_OF("%b[n]")
		"movl " RSEQ_SLOT ", %k[n]\n"
		"subl %[step], (%%rax)\n"
		RSEQ_ARRAYS_END
		: [at] "=&r"(at), [n] "=&r"(n)
		: RSEQ_ARRAYS_FIELDS(a), RSEQ_BEHIND, [open] "r"(open), [mark] "r"(mark)
		: "rax", "memory", "cc"
		: no);
	*number = n;
	return true;
no:
	return false;
}

RSEQ_INLINE bool rseq_push(struct rseq_arrays *a, uint64_t mark, uint64_t open, uint64_t number)
{
	const _Atomic uint32_t *max = &a->max[mark - RSEQ_MARK_MIN];
	uint64_t at, n;

	__asm__ goto volatile(
		RSEQ_ARRAYS_BEGIN
		RSEQ_ARRAY
		"movl (%%rax), %k[n]\n"
		"subl 4(%%rax), %k[n]\n"
		"cmpl %[max], %k[n]\n"
		"jae %l[no]\n"
		RSEQ_ARRAY_SLOTS
		RSEQ_SLOT_OF("4(%%rax)")
		"movl %k[number], " RSEQ_SLOT "\n"
		"subl %[step], 4(%%rax)\n"
		RSEQ_ARRAYS_END
		: [at] "=&r"(at), [n] "=&r"(n)
		: RSEQ_ARRAYS_FIELDS(a), RSEQ_BEHIND, [open] "r"(open), [mark] "r"(mark), [max] "m"(*max), [number] "r"(number)
		: "rax", "memory", "cc"
		: no);
	return true;
no:
	return false;
}

/*
 * The number of a block in hand is stored by the abort: not every compiler believes an output at a label. From the slots on open's
 * register has the marks' address.
 */
RSEQ_INLINE enum rseq_result rseq_alloc(struct rseq_arrays *a, uint64_t open, uint64_t mark, void **block)
{
	uint64_t at, n;

	__asm__ goto volatile(
		RSEQ_ARRAYS_BEGIN
		RSEQ_LIVES
		RSEQ_ARRAY
		"movl (%%rax), %k[n]\n"
		"cmpl 4(%%rax), %k[n]\n"
		"je %l[no]\n"
		RSEQ_ARRAY_SLOTS
		"movq %c[marks](%[a]), %[open]\n"
		RSEQ_SLOT_OF("%b[n]")
		"movl " RSEQ_SLOT ", %k[n]\n"
		"addl $-%c[step], (%%rax)\n"
		"movq %c[base](%[a]), %[at]\n"
		"movb %b[mark], (%[open], %[n])\n"
		"2:\n"
		RSEQ_ABORT(
			"jc 4f\n"
			"jns %l[no]\n"
			"4: cmpq %c[marks](%[a]), %[open]\n"
			"jne %l[no]\n"
			"movq %[n], %[block]\n"
			"jmp %l[held]\n")
		: [at] "=&r"(at), [n] "=&r"(n), [open] "+&r"(open)
		: RSEQ_ARRAYS_FIELDS(a), RSEQ_BEHIND, RSEQ_FIELD(control), RSEQ_FIELD(marks), RSEQ_FIELD(base), [mark] "q"(mark),
		  [block] "m"(*block)
		: "rax", "memory", "cc"
		: no, held);
	__asm__("rolw %[turn], %w0" : "+r"(n) : [turn] "i"(RSEQ_TURN) : "cc");
	*block = (void *)(uintptr_t)(at + (n << 4));
	return RSEQ_DONE;
no:
	return RSEQ_NOT;
held:
	return RSEQ_HELD;
}

/* The claim; what there is at first; and the abort that tells whether it was done. */
#if STRICT_FREES
#define RSEQ_CLAIM_NOT "xorl %k[zero], %k[zero]\n"
#define RSEQ_CLAIM \
	"xchgb %b[zero], (%[open], %[number])\n" \
	"testb %b[zero], %b[zero]\n" \
	"jz %l[no]\n"
#define RSEQ_IF_CLAIMED(label) \
	"testb %b[zero], %b[zero]\n" \
	"jnz %l[" label "]\n"
#else
#define RSEQ_CLAIM_NOT
#define RSEQ_CLAIM "shrb $7, (%[open], %[number])\n"
#define RSEQ_IF_CLAIMED(label) \
	"jnc %l[no]\n" \
	"jnz %l[no]\n" \
	"leaq 3b(%%rip), %[n]\n" \
	"cmpq %[n], %%rax\n" \
	"jne %l[" label "]\n"
#endif
_Static_assert(RSEQ_MARK_OUT == 1 << 6, "the sequences shift");

/*
 * The number is turned by four bits: what is no multiple of 16 becomes one far above all. From the gate on open's
 * register has the marks' address.
 */
RSEQ_INLINE enum rseq_result rseq_free(struct rseq_arrays *a, uint64_t open, const void *block)
{
	uint64_t at, n, mark, number;
#if STRICT_FREES
	uint64_t zero;
#endif

	__asm__ goto volatile(
		RSEQ_CLAIM_NOT
		RSEQ_ARRAYS_BEGIN
		RSEQ_LIVES
		"movq %[block], %[number]\n"
		"subq %c[base](%[a]), %[number]\n"
		"rorq $4, %[number]\n"
		"cmpq %c[n_units](%[a]), %[number]\n"
		"jae %l[no]\n"
		"rorw %[turn], %w[number]\n"
		"movq %c[marks](%[a]), %[open]\n"
		"movzbl (%[open], %[number]), %k[mark]\n"
		"testl %k[mark], %k[mark]\n"
		"jz %l[no]\n"
		RSEQ_ARRAY
		"movl (%%rax), %k[n]\n"
		"subl 4(%%rax), %k[n]\n"
		"cmpl %c[max](%[a], %[mark], 4), %k[n]\n"
		"jae %l[full]\n"
		RSEQ_ARRAY_SLOTS
		RSEQ_SLOT_OF("4(%%rax)")
		"movl %k[number], " RSEQ_SLOT "\n"
		RSEQ_CLAIM
		"subl %[step], 4(%%rax)\n"
		"2:\n"
		RSEQ_ABORT(RSEQ_IF_CLAIMED("held") "jmp %l[no]\n")
		: [at] "=&r"(at), [n] "=&r"(n), [mark] "=&r"(mark), [number] "=&r"(number), [open] "+&r"(open)
#if STRICT_FREES
		  , [zero] "=&q"(zero)
#endif
		: RSEQ_ARRAYS_FIELDS(a), RSEQ_BEHIND, RSEQ_FIELD(control), RSEQ_FIELD(marks), RSEQ_FIELD(n_units),
		  [max] "i"((int)offsetof(struct rseq_arrays, max) - (int)(RSEQ_MARK_MIN * sizeof(uint32_t))), RSEQ_FIELD(base),
		  [block] "r"(block), [turn] "i"(RSEQ_TURN)
		: "rax", "memory", "cc"
		: no, full, held);
	return RSEQ_DONE;
no:
	return RSEQ_NOT;
full:
	return RSEQ_FULL;
held:
	return RSEQ_HELD;
}

#endif
