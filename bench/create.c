/*
 * create.c: a heap is created and deleted, beside the same memory had from the kernel without a
 * daemon
 *
 * Both commit and map 1 MiB: what differs is the names, the accounts, the queues and the two
 * processes.
 */
#include "bench/bench.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "heapclient/rt_heap.h"

#define CREATIONS 300
#define BYTES (1 << 20)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static uint64_t ours(void)
{
	uint64_t t = now_ns();
	RT_HEAP h;

	must(rt_heap_create(&h, "bench-create", BYTES, H_FIFO), "create");
	t = now_ns() - t;
	must(rt_heap_delete(&h), "delete");
	must(rt_heap_unbind(&h), "unbind");
	return t;
}

static uint64_t peer(void)
{
	uint64_t t = now_ns();
	int fd = memfd_create("peer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *p;

	must(fd < 0 ? -errno : 0, "memfd");
	must(ftruncate(fd, BYTES) < 0 ? -errno : 0, "its size");
	must(-posix_fallocate(fd, 0, BYTES), "its memory");
	p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(p == MAP_FAILED ? -errno : 0, "map");
	must(madvise(p, BYTES, MADV_POPULATE_WRITE) < 0 ? -errno : 0, "populate");
	t = now_ns() - t;
	(void)munmap(p, BYTES);
	(void)close(fd);
	return t;
}

void bench_create(int argc, char **argv)
{
	struct figure f = { .n = rounds };

	(void)argc;
	(void)argv;
	for (int i = 0; i < rounds; i++) {
		uint64_t v[CREATIONS], w[CREATIONS];

		for (int j = 0; j < CREATIONS; j++) {
			v[j] = ours();
			w[j] = peer();
		}
		f.ours[i] = (double)percentile(v, CREATIONS, 50);
		f.peer[i] = (double)percentile(w, CREATIONS, 50);
	}
	report("create a heap of 1 MiB", "ns", &f, "bare memfd, committed and mapped");
}
