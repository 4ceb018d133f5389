/*
 * disturb.c: bench-disturb CPU DIRECTORY: makes a machine busy, as one has it around cyclictest,
 * until killed
 *
 * Three processes. A hog computes without end on the CPU named. One takes memory, writes it and
 * gives it back, an eighth of what is available at a time. One writes a file in DIRECTORY, drops it
 * from the page cache and reads it again. They run at the ordinary priority, and end with the
 * process that started them.
 *
 * Says "ready" on stdout once all three work.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>

#include "common/base.h"

#define CHURN_BYTES (64u << 20)
#define PIECE (1u << 20)
#define PRESSURE_MAX (UINT64_C(2) << 30)

static const char *directory;

static void fail(const char *what)
{
	(void)fprintf(stderr, "bench-disturb: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void hog(void)
{
	for (volatile uint64_t n = 0;; n++)
		;
}

static void pressure(void)
{
	struct sysinfo info;
	size_t bytes;

	if (sysinfo(&info) < 0)
		fail("sysinfo");
	bytes = (size_t)(info.freeram * info.mem_unit / 8);
	bytes = bytes > PRESSURE_MAX ? PRESSURE_MAX : bytes;
	for (;;) {
		char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			fail("memory");
		for (size_t at = 0; at < bytes; at += HW_PAGE_SIZE)
			((volatile char *)p)[at] = 1;
		(void)munmap(p, bytes);
	}
}

static void churn(void)
{
	char *piece = malloc(PIECE);
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (!piece || fd < 0)
		fail(directory);
	memset(piece, 'x', PIECE);
	for (;;) {
		for (off_t at = 0; at < CHURN_BYTES; at += PIECE) {
			if (pwrite(fd, piece, PIECE, at) < 0)
				fail("write");
		}
		(void)fdatasync(fd);
		(void)posix_fadvise(fd, 0, CHURN_BYTES, POSIX_FADV_DONTNEED);
		for (off_t at = 0; at < CHURN_BYTES; at += PIECE) {
			if (pread(fd, piece, PIECE, at) < 0)
				fail("read");
		}
	}
}

static void start(void (*run)(void), int cpu, pid_t parent)
{
	pid_t pid = fork();
	cpu_set_t set;

	if (pid < 0)
		fail("fork");
	if (pid > 0)
		return;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (cpu >= 0 && sched_setaffinity(0, sizeof(set), &set) < 0)
		fail("the hog's CPU");
	run();
}

int main(int argc, char **argv)
{
	pid_t self = getpid(), starter = getppid();
	char *end = NULL;
	long cpu = argc == 3 ? strtol(argv[1], &end, 10) : -1;

	if (argc != 3 || *end || cpu < 0 || cpu >= CPU_SETSIZE) {
		(void)fprintf(stderr, "usage: bench-disturb CPU DIRECTORY\n");
		return 2;
	}
	directory = argv[2];
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != starter)
		return 1;
	start(hog, (int)cpu, self);
	start(pressure, -1, self);
	start(churn, -1, self);
	puts("ready");
	(void)fflush(stdout);
	(void)wait(NULL); /* none ends by itself */
	return 1;
}
