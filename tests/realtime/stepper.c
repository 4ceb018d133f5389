/*
 * stepper.c: see stepper.h; the only user of ptrace
 */
#include "tests/realtime/stepper.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#define RSEQ_CS 8 /* where an rseq area holds the address of a descriptor (linux/rseq.h) */

/* struct rseq_cs of linux/rseq.h */
#define CS_START 8
#define CS_LENGTH 16

static uint64_t peek(const struct stepper *s, uint64_t address)
{
	return (uint64_t)ptrace(PTRACE_PEEKDATA, s->tid, (void *)address, NULL);
}

static void poke(const struct stepper *s, uint64_t address, uint64_t value)
{
	(void)ptrace(PTRACE_POKEDATA, s->tid, (void *)address, (void *)value);
}

static uint64_t ip_of(const struct stepper *s)
{
	return (uint64_t)ptrace(PTRACE_PEEKUSER, s->tid,
				(void *)offsetof(struct user_regs_struct, rip), NULL);
}

/* It has stopped by a signal of its own, or of nobody: whether by a breakpoint instruction. */
static bool at_mark(const struct stepper *s)
{
	siginfo_t info;

	return ptrace(PTRACE_GETSIGINFO, s->tid, NULL, &info) == 0 && info.si_code == SI_KERNEL;
}

/* ---- sequences ---- */

static uint64_t *last_of(struct stepper *s, uint64_t end)
{
	size_t i = 0;

	while (i < STEPPER_SEQUENCES - 1 && s->known[i].end && s->known[i].end != end)
		i++;
	if (s->known[i].end != end) {
		s->known[i].end = end;
		s->known[i].last = 0;
	}
	return &s->known[i].last;
}

/* The thread has stopped at s->ip; before was where it had been. Takes a descriptor out, or puts it
 * back for the sequence to be aborted. */
static void watch_sequence(struct stepper *s, uint64_t before)
{
	uint64_t descriptor = peek(s, s->rseq + RSEQ_CS);
	uint64_t start, end, *last;

	if (descriptor) {
		s->descriptor = descriptor;
		poke(s, s->rseq + RSEQ_CS, 0);
	}
	if (!s->descriptor)
		return;
	start = peek(s, s->descriptor + CS_START);
	end = start + peek(s, s->descriptor + CS_LENGTH);
	last = last_of(s, end);
	if (s->ip == end)
		*last = before;
	if (s->sequences == SEQUENCES_ABORT && s->ip == *last) {
		s->aborted++;
		stepper_preempt(s);
	} else if (s->ip < start || s->ip >= end) {
		s->descriptor = 0; /* it has been left */
	}
}

void stepper_preempt(struct stepper *s)
{
	if (s->descriptor)
		poke(s, s->rseq + RSEQ_CS, s->descriptor);
	s->descriptor = 0;
}

/* ---- steps ---- */

int stepper_attach(struct stepper *s, pid_t tid)
{
	*s = (struct stepper){ .tid = tid };
	return ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0 ? -errno : 0;
}

void stepper_detach(struct stepper *s)
{
	stepper_preempt(s);
	(void)ptrace(PTRACE_DETACH, s->tid, NULL, NULL);
}

enum mark stepper_run(struct stepper *s)
{
	struct user_regs_struct regs;
	int status;

	stepper_preempt(s);
	(void)ptrace(PTRACE_CONT, s->tid, NULL, NULL); /* fails where it runs already, just attached */
	for (;;) {
		if (waitpid(s->tid, &status, __WALL) != s->tid || !WIFSTOPPED(status))
			return MARK_NONE;
		if (WSTOPSIG(status) == SIGTRAP && at_mark(s))
			break;
		(void)ptrace(PTRACE_CONT, s->tid, NULL, (void *)(uintptr_t)WSTOPSIG(status));
	}
	(void)ptrace(PTRACE_GETREGS, s->tid, NULL, &regs);
	s->ip = regs.rip;
	s->rseq = regs.rsi;
	s->value = regs.rdi;
	return (enum mark)regs.rax;
}

void stepper_start(struct stepper *s)
{
	(void)ptrace(PTRACE_SINGLESTEP, s->tid, NULL, NULL);
}

static bool finish(struct stepper *s, int flags)
{
	uint64_t before = s->ip;
	int status;

	if (waitpid(s->tid, &status, __WALL | flags) != s->tid)
		return false;
	s->ip = ip_of(s);
	if (s->rseq)
		watch_sequence(s, before);
	return true;
}

void stepper_finish(struct stepper *s)
{
	(void)finish(s, 0);
}

bool stepper_finished(struct stepper *s)
{
	return finish(s, WNOHANG);
}

bool stepper_step(struct stepper *s)
{
	stepper_start(s);
	stepper_finish(s);
	return !at_mark(s);
}

uint64_t stepper_count(struct stepper *s)
{
	uint64_t n = 0, before;

	do {
		before = s->ip;
		if (!stepper_step(s))
			return n;
		n += s->ip != before; /* the next round of a repeated one */
	} while (n < 1000000);
	return n;
}

bool stepper_at_call(struct stepper *s, uint64_t *number, uint64_t args[3])
{
	struct user_regs_struct regs;

	if ((peek(s, s->ip) & 0xffff) != 0x050f) /* syscall */
		return false;
	(void)ptrace(PTRACE_GETREGS, s->tid, NULL, &regs);
	*number = regs.rax;
	args[0] = regs.rdi;
	args[1] = regs.rsi;
	args[2] = regs.rdx;
	return true;
}
