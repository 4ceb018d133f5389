/*
 * trap.c: see trap.h
 */
#include "tests/realtime/trap.h"

#include <errno.h>
#include <link.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "common/base.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

#define PAGE ((uintptr_t)4096)
#define STACK ((size_t)64 << 10)

int forbid_system_calls(void)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = { .len = ARRAY_SIZE(rules), .filter = rules };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return -errno;
	return 0;
}

uint64_t count_faults(void)
{
	struct rusage now;

	(void)getrusage(RUSAGE_THREAD, &now);
	return (uint64_t)(now.ru_minflt + now.ru_majflt);
}

/* The writable parts of a segment may be partly read-only by now (relro): then reading must do. */
static int bring_object(struct dl_phdr_info *object, size_t size, void *ctx)
{
	const bool *forked = ctx;

	(void)size;
	if (*forked && strstr(object->dlpi_name, "libheapclient"))
		return 0;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &object->dlpi_phdr[i];
		uintptr_t begin = (object->dlpi_addr + h->p_vaddr) & ~(PAGE - 1);
		uintptr_t end = object->dlpi_addr + h->p_vaddr + h->p_memsz;

		if (h->p_type != PT_LOAD)
			continue;
		for (uintptr_t at = begin; at < end; at += PAGE)
			if (!(h->p_flags & PF_W) || madvise((void *)at, PAGE, MADV_POPULATE_WRITE) < 0)
				(void)madvise((void *)at, PAGE, MADV_POPULATE_READ);
	}
	return 0;
}

static __attribute__((__noinline__)) void bring_stack(void)
{
	volatile char stack[STACK];

	for (size_t at = 0; at < sizeof(stack); at += PAGE / 2)
		stack[at] = 0;
}

void bring_program(bool forked)
{
	(void)dl_iterate_phdr(bring_object, &forked);
	bring_stack();
}
