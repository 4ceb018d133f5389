/*
 * native.c: a pool of message buffers, as a source for Xenomai 2's native skin has it
 *
 * A server task owns a heap of four buffers; a client task takes buffers, fills them, and queues
 * them to the server, which gives them back to the heap. The client is faster: it waits for
 * memory, not for the queue. Tasks are threads here, and the queue is a pipe of pointers.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <native/heap.h>

#define POOL_NAME "messages"
#define BUFFER_SIZE 4096
#define N_BUFFERS 4
#define N_MESSAGES 100
#define ONE_MS 1000000ULL

static RT_HEAP pool;
static int queue[2];

static void check(int err, const char *what)
{
	if (err) {
		fprintf(stderr, "%s: %s\n", what, strerror(-err));
		exit(1);
	}
}

static void *client(void *cookie)
{
	void *block;

	(void)cookie;
	for (int i = 0; i < N_MESSAGES; i++) {
		check(rt_heap_alloc(&pool, BUFFER_SIZE, TM_INFINITE, &block), "rt_heap_alloc");
		snprintf(block, BUFFER_SIZE, "message %d", i);
		if (write(queue[1], &block, sizeof(block)) != sizeof(block))
			exit(1);
	}
	return NULL;
}

/* All buffers are in the queue, and the client waits for one. */
static void await_shortage(void)
{
	RT_HEAP_INFO info;

	do {
		check(rt_heap_inquire(&pool, &info), "rt_heap_inquire");
	} while (info.nwaiters == 0);
	printf("%zu of %zu bytes used, %d task waits for memory\n", info.usedmem, info.usablemem,
	       info.nwaiters);
}

static void server(void)
{
	char expected[32];
	int good = 0;
	void *block;

	for (int i = 0; i < N_MESSAGES; i++) {
		if (read(queue[0], &block, sizeof(block)) != sizeof(block))
			exit(1);
		snprintf(expected, sizeof(expected), "message %d", i);
		good += strcmp(block, expected) == 0;
		check(rt_heap_free(&pool, block), "rt_heap_free");
	}
	printf("%d messages came, as they were sent\n", good);
}

static void bind_and_wait(void)
{
	RT_HEAP second;

	printf("a heap that is not there, without waiting: %s\n",
	       rt_heap_bind(&second, "nowhere", TM_NONBLOCK) == -EWOULDBLOCK ? "EWOULDBLOCK"
									     : "bound");
	printf("for a millisecond: %s\n",
	       rt_heap_bind(&second, "nowhere", ONE_MS) == -ETIMEDOUT ? "ETIMEDOUT" : "bound");
	check(rt_heap_bind(&second, POOL_NAME, TM_INFINITE), "rt_heap_bind");
	check(rt_heap_unbind(&second), "rt_heap_unbind");
	printf("one that is there: bound, and unbound again\n");
}

int main(void)
{
	const struct timespec past = {1, 0};
	void *blocks[N_BUFFERS], *block;
	pthread_t task;

	check(rt_heap_create(&pool, POOL_NAME, N_BUFFERS * BUFFER_SIZE, H_PRIO | H_MAPPABLE),
	      "rt_heap_create");
	bind_and_wait();
	for (int i = 0; i < N_BUFFERS; i++)
		check(rt_heap_alloc(&pool, BUFFER_SIZE, RT_TIME_NONBLOCK, &blocks[i]),
		      "rt_heap_alloc");
	printf("%d buffers taken; one more: %s\n", N_BUFFERS,
	       rt_heap_alloc(&pool, BUFFER_SIZE, ONE_MS, &block) == -ETIMEDOUT ? "ETIMEDOUT"
									       : "given");
	printf("until a time that has passed: %s\n",
	       rt_heap_alloc_timed(&pool, BUFFER_SIZE, &past, &block) == -ETIMEDOUT ? "ETIMEDOUT"
										    : "given");
	for (int i = 0; i < N_BUFFERS; i++)
		check(rt_heap_free(&pool, blocks[i]), "rt_heap_free");
	if (pipe(queue) < 0 || pthread_create(&task, NULL, client, NULL) != 0)
		return 1;
	await_shortage();
	server();
	pthread_join(task, NULL);
	check(rt_heap_delete(&pool), "rt_heap_delete");
	return 0;
}
