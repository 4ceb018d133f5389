/*
 * rtai.c: a producer and a consumer with a shared segment, as an RTAI source has it
 *
 * The consumer binds the segment by its name before it exists and waits. Of RTAI only the heap is
 * here: a task is a process of its own, and "there is something to read" is a POSIX semaphore.
 */
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <rtai/heap.h>

#define SEGMENT_NAME "samples"
#define SEGMENT_SIZE 16384
#define N_SAMPLES 1000

struct samples {
	int n;
	int value[N_SAMPLES];
};

static void check(int err, const char *what)
{
	if (err) {
		fprintf(stderr, "%s: %s\n", what, strerror(-err));
		exit(1);
	}
}

static int consumer(sem_t *ready)
{
	struct samples *s;
	RT_HEAP heap;
	void *p;
	long sum = 0;

	check(rt_heap_bind(&heap, SEGMENT_NAME), "rt_heap_bind"); /* until somebody creates it */
	check(rt_heap_alloc(&heap, 0, TM_NONBLOCK, &p), "rt_heap_alloc");
	s = p;
	while (sem_wait(ready) < 0)
		;
	for (int i = 0; i < s->n; i++)
		sum += s->value[i];
	printf("consumer: %d samples, their sum is %ld\n", s->n, sum);
	check(rt_heap_unbind(&heap), "rt_heap_unbind");
	return 0;
}

static void producer(sem_t *ready)
{
	RT_HEAP_INFO info;
	struct samples *s;
	RT_HEAP heap;
	void *p, *again;

	check(rt_heap_create(&heap, SEGMENT_NAME, SEGMENT_SIZE, H_SHARED), "rt_heap_create");
	check(rt_heap_inquire(&heap, &info), "rt_heap_inquire");
	printf("producer: segment %s of %zu bytes\n", info.name, info.heapsize);
	check(rt_heap_alloc(&heap, 0, TM_NONBLOCK, &p), "rt_heap_alloc");
	check(rt_heap_alloc(&heap, SEGMENT_SIZE, TM_INFINITE, &again), "rt_heap_alloc");
	printf("producer: every request gives the same block: %s\n", p == again ? "yes" : "no");
	check(rt_heap_free(&heap, again), "rt_heap_free"); /* leads to a null effect */
	s = p;
	for (s->n = 0; s->n < N_SAMPLES; s->n++)
		s->value[s->n] = s->n;
	printf("producer: wrote %d samples\n", s->n);
	fflush(stdout);
	sem_post(ready);
	wait(NULL);
	check(rt_heap_delete(&heap), "rt_heap_delete");
	printf("producer: deleted; a request now is %s\n",
	       rt_heap_alloc(&heap, 0, TM_NONBLOCK, &p) == -EIDRM ? "EIDRM" : "not refused");
}

/* A heap of blocks that was made mappable for user space needs no such thing here, and may say so
 * all the same. */
static void mappable_heap(void)
{
	RT_HEAP heap;
	void *a, *b, *c;

	check(rt_heap_create(&heap, "buffers", 16384, H_PRIO | H_MAPPABLE), "rt_heap_create");
	check(rt_heap_alloc(&heap, 8192, TM_NONBLOCK, &a), "rt_heap_alloc");
	check(rt_heap_alloc(&heap, 8192, TM_NONBLOCK, &b), "rt_heap_alloc");
	printf("16384 bytes are two blocks of 8192; a third: %s\n",
	       rt_heap_alloc(&heap, 8192, TM_NONBLOCK, &c) == -EWOULDBLOCK ? "EWOULDBLOCK"
									   : "given");
	check(rt_heap_free(&heap, b), "rt_heap_free");
	printf("a block that is free already: %s\n",
	       rt_heap_free(&heap, b) == -EINVAL ? "EINVAL" : "taken");
	check(rt_heap_free(&heap, a), "rt_heap_free");
	check(rt_heap_delete(&heap), "rt_heap_delete");
}

int main(void)
{
	sem_t *ready =
	    mmap(NULL, sizeof(*ready), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (ready == MAP_FAILED || sem_init(ready, 1, 0) < 0)
		return 1;
	switch (fork()) {
	case -1:
		return 1;
	case 0:
		return consumer(ready);
	default:
		producer(ready);
		mappable_heap();
		return 0;
	}
}
