/*
 * stepper.c: see stepper.h; the only user of ptrace
 */
#include "tests/realtime/stepper.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
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

static pid_t watched[8];

/* Puts tid where `from` is: 0, or the one that is to be forgotten. */
static void watched_replace(pid_t from, pid_t tid)
{
	for (size_t i = 0; i < ARRAY_SIZE(watched); i++) {
		if (watched[i] != from)
			continue;
		watched[i] = tid;
		return;
	}
}

int stepper_attach(struct stepper *s, pid_t tid)
{
	*s = (struct stepper){ .tid = tid, .runs = true };
	if (ptrace(PTRACE_SEIZE, tid, NULL, (void *)PTRACE_O_TRACESYSGOOD) < 0)
		return -errno;
	watched_replace(0, tid);
	return 0;
}

void stepper_detach(struct stepper *s)
{
	stepper_preempt(s);
	(void)ptrace(PTRACE_DETACH, s->tid, NULL, NULL);
	watched_replace(s->tid, 0);
}

void stepper_abandon(void)
{
	for (size_t i = ARRAY_SIZE(watched); i-- > 0;) { /* a process's first thread last: it waits for the others */
		int status;

		if (!watched[i])
			continue;
		(void)syscall(SYS_tkill, watched[i], SIGKILL);
		while (waitpid(watched[i], &status, __WALL) == watched[i] && WIFSTOPPED(status))
			;
		watched[i] = 0;
	}
}

/* It has stopped at a mark. */
static enum mark read_mark(struct stepper *s)
{
	struct user_regs_struct regs;

	(void)ptrace(PTRACE_GETREGS, s->tid, NULL, &regs);
	s->ip = regs.rip;
	s->rseq = regs.rsi;
	s->value = regs.rdi;
	return (enum mark)regs.rax;
}

void stepper_leave(struct stepper *s)
{
	stepper_preempt(s);
	(void)ptrace(PTRACE_CONT, s->tid, NULL, NULL);
	s->runs = true;
}

enum mark stepper_run(struct stepper *s)
{
	int status;

	if (!s->runs)
		stepper_leave(s);
	s->runs = false;
	for (;;) {
		if (waitpid(s->tid, &status, __WALL) != s->tid || !WIFSTOPPED(status))
			return MARK_NONE;
		if (WSTOPSIG(status) == SIGTRAP && at_mark(s))
			return read_mark(s);
		(void)ptrace(PTRACE_CONT, s->tid, NULL, (void *)(uintptr_t)WSTOPSIG(status));
	}
}

static void read_call(const struct stepper *s, struct stepper_call *call)
{
	struct user_regs_struct regs;

	(void)ptrace(PTRACE_GETREGS, s->tid, NULL, &regs);
	call->number = regs.orig_rax;
	call->args[0] = regs.rdi;
	call->args[1] = regs.rsi;
	call->args[2] = regs.rdx;
}

void stepper_depart(struct stepper *s)
{
	stepper_preempt(s);
	(void)ptrace(PTRACE_SYSCALL, s->tid, NULL, NULL);
}

enum mark stepper_arrive(struct stepper *s, struct stepper_call *call)
{
	int status;

	for (;;) {
		call->number = UINT64_MAX;
		if (waitpid(s->tid, &status, __WALL) != s->tid || !WIFSTOPPED(status))
			return MARK_NONE;
		if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
			read_call(s, call);
			return MARK_NONE;
		}
		if (WSTOPSIG(status) == SIGTRAP && at_mark(s))
			return read_mark(s);
		(void)ptrace(PTRACE_SYSCALL, s->tid, NULL, (void *)(uintptr_t)WSTOPSIG(status));
	}
}

void stepper_start(struct stepper *s)
{
	(void)ptrace(PTRACE_SINGLESTEP, s->tid, NULL, NULL);
}

void stepper_finish(struct stepper *s)
{
	uint64_t before = s->ip;
	int status;

	if (waitpid(s->tid, &status, __WALL) != s->tid)
		return;
	s->ip = ip_of(s);
	if (s->rseq)
		watch_sequence(s, before);
}

bool stepper_sleeps(const struct stepper *s)
{
	char path[64], state = '?';
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)s->tid);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	(void)fclose(f);
	return state == 'S';
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

bool stepper_at_call(const struct stepper *s, struct stepper_call *call)
{
	struct user_regs_struct regs;

	if ((peek(s, s->ip) & 0xffff) != 0x050f) /* syscall */
		return false;
	(void)ptrace(PTRACE_GETREGS, s->tid, NULL, &regs);
	read_call(s, call);
	call->number = regs.rax; /* not called yet */
	return true;
}
