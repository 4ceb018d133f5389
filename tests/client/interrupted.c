/*
 * interrupted.c: see interrupted.h
 */
#include "tests/client/interrupted.h"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#if RSEQ_HERE

static volatile sig_atomic_t fired;
static uint32_t cpu_after;

bool can_pretend(void)
{
	return __rseq_size == 0;
}

void pretend_cpu(uint32_t cpu)
{
	struct rseq *self = rseq_self();

	*(volatile uint32_t *)&self->cpu_id_start = cpu;
	*(volatile uint32_t *)&self->cpu_id = cpu;
}

static uint64_t descriptor_at(void)
{
	uint64_t at;

	memcpy(&at, (const char *)rseq_self() + offsetof(struct rseq, rseq_cs), sizeof(at));
	return at;
}

static void descriptor_clear(void)
{
	memset((char *)rseq_self() + offsetof(struct rseq, rseq_cs), 0, sizeof(uint64_t));
}

/* What the kernel does with a thread that it found in that sequence. Where it goes on. */
static uint64_t aborted(const struct rseq_cs *cs)
{
	fired = 1;
	pretend_cpu(cpu_after);
	descriptor_clear();
	return cs->abort_ip;
}

#if defined(__x86_64__)
#define TRAP_FLAG 0x100
static volatile uint32_t left; /* instructions of sequences to run */

static void on_trap(int signo, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	const struct rseq_cs *cs = (const struct rseq_cs *)descriptor_at();
	uint64_t ip = (uint64_t)u->uc_mcontext.gregs[REG_RIP];

	(void)signo, (void)info;
	if (!cs || ip - cs->start_ip >= cs->post_commit_offset || left-- > 0)
		return;
	u->uc_mcontext.gregs[REG_RIP] = (greg_t)aborted(cs);
	u->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
}

static void run(uint32_t n, void (*prepare)(void), void (*call)(void))
{
	prepare();
	left = n;
	descriptor_clear();
	__asm__ volatile("pushfq; orq %0, (%%rsp); popfq" : : "i"(TRAP_FLAG) : "memory", "cc");
	call();
	__asm__ volatile("pushfq; andq %0, (%%rsp); popfq" : : "i"(~TRAP_FLAG) : "memory", "cc");
}

#elif defined(__aarch64__)
#define BREAK 0xd4200000u /* brk #0 */

static uint32_t *broken; /* the instruction, and what it was */
static uint32_t was;

static void write_text(uint32_t *at, uint32_t instruction)
{
	*(volatile uint32_t *)at = instruction;
	__builtin___clear_cache((char *)at, (char *)(at + 1));
}

static void on_trap(int signo, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	const struct rseq_cs *cs = (const struct rseq_cs *)descriptor_at();

	(void)signo, (void)info;
	if (u->uc_mcontext.pc != (uint64_t)broken)
		abort(); /* no breakpoint of ours */
	write_text(broken, was);
	u->uc_mcontext.pc = aborted(cs);
}

static void run(uint32_t n, void (*prepare)(void), void (*call)(void))
{
	const struct rseq_cs *cs;
	uint64_t page;

	prepare();
	call();
	cs = (const struct rseq_cs *)descriptor_at();
	prepare();
	if (!cs || n >= cs->post_commit_offset / sizeof(*broken))
		return;
	broken = (uint32_t *)cs->start_ip + n;
	page = (uint64_t)broken & ~(HW_PAGE_SIZE - 1);
	if (mprotect((void *)page, HW_PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC) < 0)
		abort();
	was = *broken;
	write_text(broken, BREAK);
	call();
	write_text(broken, was);
}
#endif

bool interrupted_at(uint32_t n, uint32_t moved, void (*prepare)(void), void (*call)(void))
{
	struct sigaction sa = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO}, old;

	fired = 0;
	cpu_after = moved;
	if (sigaction(SIGTRAP, &sa, &old) < 0)
		abort();
	run(n, prepare, call);
	(void)sigaction(SIGTRAP, &old, NULL);
	return fired;
}

#else

bool can_pretend(void)
{
	return false;
}

void pretend_cpu(uint32_t cpu)
{
	(void)cpu;
}

bool interrupted_at(uint32_t n, uint32_t moved, void (*prepare)(void), void (*call)(void))
{
	(void)n, (void)moved, (void)prepare, (void)call;
	return false;
}
#endif
