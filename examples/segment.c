/*
 * segment.c: two processes exchange a megabyte through a shared segment
 *
 *     segment receive NAME   binds the segment, waiting until somebody creates it; checks what
 *                            comes and answers
 *     segment send NAME      creates it, writes a megabyte with its checksum, checks the answer and
 *                            deletes it
 *
 * Start them in either order. A segment is plain shared memory: what is in it, and whose turn it is,
 * is the programs' own business. Here one word says whose turn it is, and a futex waits for it to
 * change. A new segment reads as zeros, so the word is 0 before either side has run.
 */
#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <heapclient/heapclient.h>
#include <heapclient/rt_heap.h>

#define MEGABYTE (1024u * 1024u)
#define PATIENCE 20 /* seconds that one side waits for the other: it may have died */

enum turn { NOBODY, SENT, ANSWERED };

struct segment {
	_Atomic uint32_t turn; /* enum turn */
	uint32_t sender;       /* the process that sent */
	uint64_t checksum;     /* of data, set before turn changes */
	uint8_t data[MEGABYTE];
};

static void die(const char *what, int error)
{
	const char *why = error == -ECONNREFUSED ? heapclient_problem() : strerror(-error);

	fprintf(stderr, "segment: %s: %s\n", what, why);
	exit(1);
}

/* FNV-1a, 64 bits. */
static uint64_t checksum(const uint8_t *data, size_t length)
{
	uint64_t sum = 0xcbf29ce484222325u;

	for (size_t i = 0; i < length; i++)
		sum = (sum ^ data[i]) * 0x100000001b3u;
	return sum;
}

/* A megabyte that looks like nothing in particular, the same for the same seed. */
static void fill(uint8_t *data, size_t length, uint32_t seed)
{
	uint32_t x = seed | 1;

	for (size_t i = 0; i < length; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		data[i] = (uint8_t)x;
	}
}

static void invert(uint8_t *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
		data[i] = (uint8_t)~data[i];
}

/* Lets the other side go on; all that was written before is seen by it. */
static void pass_turn(struct segment *s, uint32_t turn)
{
	atomic_store(&s->turn, turn);
	syscall(SYS_futex, &s->turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Waits until it is turn's turn. 0; -ETIMEDOUT. */
static int await_turn(struct segment *s, uint32_t turn)
{
	struct timespec patience = { .tv_sec = PATIENCE };
	uint32_t now;

	while ((now = atomic_load(&s->turn)) != turn) {
		if (syscall(SYS_futex, &s->turn, FUTEX_WAIT, now, &patience, NULL, 0) < 0 &&
		    errno == ETIMEDOUT)
			return -ETIMEDOUT;
	}
	return 0;
}

static struct segment *address(RT_HEAP *heap)
{
	void *base;
	int r = rt_heap_alloc(heap, sizeof(struct segment), TM_NONBLOCK, &base);

	if (r < 0)
		die("rt_heap_alloc", r);
	return base;
}

static int receive(const char *name)
{
	RT_HEAP heap;
	struct segment *s;
	int r;

	printf("binding %s; it may not exist yet\n", name);
	r = rt_heap_bind(&heap, name);
	if (r < 0)
		die("rt_heap_bind", r);
	s = address(&heap);
	printf("bound %s\n", name);

	r = await_turn(s, SENT);
	if (r < 0)
		die("nothing was sent", r);
	if (checksum(s->data, MEGABYTE) != s->checksum) {
		fprintf(stderr, "segment: what came has another checksum\n");
		return 1;
	}
	printf("received %u bytes, checksum %016llx as announced\n", MEGABYTE,
	       (unsigned long long)s->checksum);

	invert(s->data, MEGABYTE);
	s->checksum = checksum(s->data, MEGABYTE);
	printf("answered, checksum %016llx\n", (unsigned long long)s->checksum);
	pass_turn(s, ANSWERED);
	r = rt_heap_unbind(&heap);
	if (r < 0)
		die("rt_heap_unbind", r);
	return 0;
}

static int send_and_check(struct segment *s)
{
	static uint8_t expected[MEGABYTE];
	int r;

	s->sender = (uint32_t)getpid();
	fill(s->data, MEGABYTE, s->sender);
	memcpy(expected, s->data, MEGABYTE);
	invert(expected, MEGABYTE);
	s->checksum = checksum(s->data, MEGABYTE);
	printf("sent %u bytes, checksum %016llx\n", MEGABYTE, (unsigned long long)s->checksum);
	pass_turn(s, SENT);

	r = await_turn(s, ANSWERED);
	if (r < 0)
		die("no answer", r);
	if (memcmp(s->data, expected, MEGABYTE) != 0 || s->checksum != checksum(expected, MEGABYTE)) {
		fprintf(stderr, "segment: the answer is not what was sent, inverted\n");
		return 1;
	}
	printf("the answer is right: checksum %016llx\n", (unsigned long long)s->checksum);
	return 0;
}

static int create_and_send(const char *name)
{
	RT_HEAP heap;
	int failed;
	int r = rt_heap_create(&heap, name, sizeof(struct segment), H_SHARED);

	if (r < 0)
		die("rt_heap_create", r);
	printf("created %s, %zu bytes\n", name, sizeof(struct segment));
	failed = send_and_check(address(&heap));
	r = rt_heap_delete(&heap);
	if (r < 0)
		die("rt_heap_delete", r);
	return failed;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && strcmp(argv[1], "receive") == 0)
		return receive(argv[2]);
	if (argc == 3 && strcmp(argv[1], "send") == 0)
		return create_and_send(argv[2]);
	fprintf(stderr, "usage: segment send|receive NAME\n");
	return 2;
}
