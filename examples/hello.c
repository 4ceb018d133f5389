/*
 * hello.c: one process leaves a message, another one finds it
 *
 * Run it twice. The first run creates a shared segment and writes into it; the segment stays when
 * the process has gone (see it with: heapctl inspect hello). The second run reads the message and
 * deletes the segment.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <heapclient/rt_heap.h>

int main(void)
{
	RT_HEAP heap;
	void *text;
	int r = rt_heap_create(&heap, "hello", 4096, H_SHARED);
	int first = r == 0;

	if (r == -EEXIST)
		r = rt_heap_bind(&heap, "hello");
	if (r == 0)
		r = rt_heap_alloc(&heap, 0, TM_NONBLOCK, &text); /* the address of the whole segment */
	if (r < 0) {
		fprintf(stderr, "hello: %s\n", strerror(-r));
		return 1;
	}
	if (first) {
		snprintf(text, 4096, "hello from process %d", (int)getpid());
		puts("left a message; run me again");
		return 0;
	}
	printf("found: %s\n", (char *)text);
	return rt_heap_delete(&heap) < 0;
}
