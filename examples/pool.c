/*
 * pool.c: draw blocks from a named heap, by hand or from a script
 *
 *     pool create NAME BYTES   creates the heap
 *     pool bind NAME           binds it, waiting until it exists
 *
 * It then obeys one command a line on its standard input, and answers each with one line:
 *
 *     fill SIZE [MAX]    take blocks of SIZE bytes until none is free (or MAX are taken)
 *     take SIZE MS       take one more, waiting up to MS milliseconds; says "waiting" first
 *     give N             give the last N blocks back
 *     send TEXT          put TEXT into a block for another process; answers with its offset
 *     receive OFFSET     read such a block and free it here
 *     info               what rt_heap_inquire says
 *     delete             delete the heap
 *
 * Every block is filled with a pattern of its own and checked when it is given back: had another
 * process been given the same bytes, this one would say so and exit with 1. At the end of its input
 * it gives everything back.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <heapclient/heapclient.h>
#include <heapclient/rt_heap.h>

#define BLOCKS_MAX 65536
#define MILLISECOND 1000000ull

struct block {
	uint64_t *words; /* each holds pattern */
	size_t n_words;
	uint64_t pattern;
};

static RT_HEAP heap;
static struct block blocks[BLOCKS_MAX]; /* a stack: the last one taken is given first */
static size_t n_blocks;

static void die(const char *what, int error)
{
	const char *why = error == -ECONNREFUSED ? heapclient_problem() : strerror(-error);

	fprintf(stderr, "pool: %s: %s\n", what, why);
	exit(1);
}

static uint64_t microseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/* Remembers a block as ours and marks all of it. */
static void keep(void *address, size_t size)
{
	static uint64_t serial;
	struct block *b = &blocks[n_blocks++];

	b->words = address;
	b->n_words = size / sizeof(uint64_t);
	b->pattern = (uint64_t)getpid() << 32 | ++serial;
	for (size_t i = 0; i < b->n_words; i++)
		b->words[i] = b->pattern;
}

/* Gives the last block back; what we wrote must still be there. */
static void give(void)
{
	const struct block *b = &blocks[--n_blocks];
	int r;

	for (size_t i = 0; i < b->n_words; i++) {
		if (b->words[i] != b->pattern) {
			fprintf(stderr, "pool: somebody else wrote into a block of ours\n");
			exit(1);
		}
	}
	r = rt_heap_free(&heap, b->words);
	if (r < 0)
		die("rt_heap_free", r);
}

static void do_fill(size_t size, size_t max)
{
	size_t n = 0;
	int r = 0;

	while (n < max && n_blocks < BLOCKS_MAX) {
		void *block;

		r = rt_heap_alloc(&heap, size, TM_NONBLOCK, &block);
		if (r < 0)
			break;
		keep(block, size);
		n++;
	}
	if (r < 0 && r != -EWOULDBLOCK)
		die("rt_heap_alloc", r);
	printf("took %zu blocks of %zu bytes%s\n", n, size, r < 0 ? ", then there was none left" : "");
}

static void do_take(size_t size, uint64_t milliseconds)
{
	uint64_t began = microseconds();
	void *block;
	int r;

	if (n_blocks == BLOCKS_MAX) {
		printf("got nothing: this program keeps no more than %d blocks\n", BLOCKS_MAX);
		return;
	}
	printf("waiting for %zu bytes\n", size);
	r = rt_heap_alloc(&heap, size, milliseconds * MILLISECOND, &block);
	if (r < 0) {
		printf("got nothing: %s\n", strerror(-r));
		return;
	}
	keep(block, size);
	printf("took 1 block of %zu bytes after %llu microseconds\n", size,
	       (unsigned long long)(microseconds() - began));
}

static void do_give(size_t n)
{
	size_t left = n < n_blocks ? n : n_blocks;

	printf("giving %zu blocks back\n", left);
	while (left-- > 0)
		give();
}

static void do_send(const char *text)
{
	size_t length = strlen(text) + 1;
	void *block;
	size_t offset;
	int r = rt_heap_alloc(&heap, length, TM_NONBLOCK, &block);

	if (r < 0) {
		printf("got nothing: %s\n", strerror(-r));
		return;
	}
	memcpy(block, text, length);
	r = rt_heap_offset(&heap, block, &offset);
	if (r < 0)
		die("rt_heap_offset", r);
	printf("sent %zu\n", offset);
}

static void do_receive(size_t offset)
{
	void *block;
	int r = rt_heap_pointer(&heap, offset, &block);

	if (r < 0) {
		printf("got nothing: %s\n", strerror(-r));
		return;
	}
	printf("received %s\n", (char *)block);
	r = rt_heap_free(&heap, block); /* goes to the process that took it */
	if (r < 0)
		die("rt_heap_free", r);
}

static void do_info(void)
{
	RT_HEAP_INFO info;
	int r = rt_heap_inquire(&heap, &info);

	if (r < 0)
		die("rt_heap_inquire", r);
	printf("used %zu of %zu bytes, %d waiting\n", info.usedmem, info.usablemem, info.nwaiters);
}

static void do_delete(void)
{
	int r = rt_heap_delete(&heap);

	n_blocks = 0; /* they went with it */
	if (r < 0)
		die("rt_heap_delete", r);
	printf("deleted\n");
}

static void obey(char *line)
{
	unsigned long long a = 0, b = 0;

	line[strcspn(line, "\n")] = 0;
	if (sscanf(line, "fill %llu %llu", &a, &b) == 2)
		do_fill(a, b);
	else if (sscanf(line, "fill %llu", &a) == 1)
		do_fill(a, SIZE_MAX);
	else if (sscanf(line, "take %llu %llu", &a, &b) == 2)
		do_take(a, b);
	else if (sscanf(line, "give %llu", &a) == 1)
		do_give(a);
	else if (strncmp(line, "send ", 5) == 0)
		do_send(line + 5);
	else if (sscanf(line, "receive %llu", &a) == 1)
		do_receive(a);
	else if (strcmp(line, "info") == 0)
		do_info();
	else if (strcmp(line, "delete") == 0)
		do_delete();
	else
		printf("unknown command: %s\n", line);
}

int main(int argc, char **argv)
{
	char line[256];
	int r;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 4 && strcmp(argv[1], "create") == 0) {
		r = rt_heap_create(&heap, argv[2], strtoull(argv[3], NULL, 0), H_PRIO);
	} else if (argc == 3 && strcmp(argv[1], "bind") == 0) {
		r = rt_heap_bind(&heap, argv[2]);
	} else {
		fprintf(stderr, "usage: pool create NAME BYTES | pool bind NAME\n");
		return 2;
	}
	if (r < 0)
		die(argv[1], r);
	printf("process %d is bound to %s\n", (int)getpid(), argv[2]);

	while (fgets(line, sizeof(line), stdin))
		obey(line);

	while (n_blocks > 0)
		give();
	r = rt_heap_unbind(&heap);
	if (r < 0)
		die("rt_heap_unbind", r);
	return 0;
}
