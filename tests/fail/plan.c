/*
 * plan.c: the page that says what fails
 */
#include "tests/fail/fail.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PLAN_VARIABLE "HEAPD_FAIL_PLAN"
#define ANY (-1)

struct plan {
	_Atomic pid_t pid; /* 0: none; ANY: who begins next */
	_Atomic bool lasting;
	_Atomic int error;
	_Atomic uint64_t nth, count, failed;
	char name[64]; /* constant while pid is set */
};

static struct plan *plan;

#define ROW(name, error) { #name, error },
const struct fail_row fail_rows[] = { FAIL_COMMON(ROW) FAIL_DAEMON(ROW) };
const size_t fail_n_rows = sizeof(fail_rows) / sizeof(fail_rows[0]);

int fail_open(void)
{
	char number[16];
	int fd = memfd_create("fail-plan", 0); /* inherited by those that are started */

	if (fd < 0 || ftruncate(fd, sizeof(*plan)) < 0)
		return -errno;
	plan = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (plan == MAP_FAILED) {
		plan = NULL;
		return -errno;
	}
	(void)snprintf(number, sizeof(number), "%d", fd);
	return setenv(PLAN_VARIABLE, number, 1) < 0 ? -errno : 0;
}

void fail_begin(void)
{
	const char *number = getenv(PLAN_VARIABLE);
	void *p;

	if (!number)
		return;
	p = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, atoi(number), 0);
	(void)close(atoi(number));
	if (p == MAP_FAILED)
		return;
	plan = p;
	if (atomic_load(&plan->pid) == ANY)
		atomic_store(&plan->pid, getpid());
}

void fail_arm(pid_t pid, const struct fail_row *row, uint64_t nth, bool lasting)
{
	(void)snprintf(plan->name, sizeof(plan->name), "%s", row->name);
	atomic_store(&plan->error, row->error);
	atomic_store(&plan->nth, nth);
	atomic_store(&plan->lasting, lasting);
	atomic_store(&plan->count, 0);
	atomic_store(&plan->failed, 0);
	atomic_store(&plan->pid, pid);
}

void fail_arm_next(const struct fail_row *row, uint64_t nth, bool lasting)
{
	fail_arm(ANY, row, nth, lasting);
}

uint64_t fail_disarm(void)
{
	atomic_store(&plan->pid, 0);
	return atomic_load(&plan->failed);
}

uint64_t fail_calls(const struct fail_row *row)
{
	return strcmp(row->name, "poll") && strcmp(row->name, "epoll_wait") ? FAIL_CALLS_MAX : 50;
}

uint64_t fail_stride(uint64_t usual)
{
	const char *number = getenv("FAIL_STRIDE");
	long n = number ? atol(number) : 0;

	return n > 0 ? (uint64_t)n : usual;
}

bool fail_now(const char *name)
{
	uint64_t n;

	if (!plan || atomic_load(&plan->pid) != getpid() || strcmp(plan->name, name) != 0)
		return false;
	n = atomic_fetch_add(&plan->count, 1) + 1;
	if (n != atomic_load(&plan->nth) && !(n > atomic_load(&plan->nth) && atomic_load(&plan->lasting)))
		return false;
	atomic_fetch_add(&plan->failed, 1);
	errno = atomic_load(&plan->error);
	return true;
}
