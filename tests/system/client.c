/*
 * client.c: a program of some user, for the test under systemd
 *
 *   client hold NAME SIZE   make a segment, fill it, say "ready", keep it bound until stdin ends
 *   client try NAME         bind without waiting; say what came of it: "write", "read", or an error's name
 *   client pool SIZE        make a private heap, take and give back a block; say "good"
 *   client delete NAME      bind and delete; say "deleted" or an error's name
 *   client work NAME SIZE   make a heap, say "ready", take and give back its blocks and ask after it until stdin ends;
 *                           say "good" or an error's name
 */
#include <errno.h>
#include <heapclient/rt_heap.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *name_of(int error)
{
	const char *name = strerrorname_np(-error);

	return name ? name : "?";
}

static int say(const char *text)
{
	puts(text);
	return fflush(stdout) == EOF;
}

static int hold(const char *name, const char *size_text)
{
	size_t size = (size_t)atol(size_text);
	void *base;
	RT_HEAP heap;
	char byte;
	int r = rt_heap_create(&heap, name, size, H_SHARED);

	if (!r)
		r = rt_heap_alloc(&heap, 0, TM_NONBLOCK, &base);
	if (r)
		return say(name_of(r)) || 1;
	memset(base, 'h', size);
	if (say("ready"))
		return 1;
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}

/* Does a write go through? Somebody else finds out: it may be the end of him. */
static int may_write(char *base)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -1;
	if (!pid) {
		((volatile char *)base)[0] = 'w';
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int try(const char *name)
{
	RT_HEAP heap;
	void *base;
	int r = rt_heap_bind_timed(&heap, name, TM_NONBLOCK);

	if (!r)
		r = rt_heap_alloc(&heap, 0, TM_NONBLOCK, &base);
	if (r)
		return say(name_of(r));
	r = may_write(base);
	if (r < 0)
		return 1;
	return say(r ? "write" : ((char *)base)[1] == 'h' ? "read" : "wrong");
}

static int pool(const char *size_text)
{
	size_t size = (size_t)atol(size_text);
	RT_HEAP heap;
	void *block;
	int r = rt_heap_create(&heap, NULL, size, H_FIFO);

	if (!r)
		r = rt_heap_alloc(&heap, size / 2, TM_NONBLOCK, &block);
	if (!r)
		r = rt_heap_free(&heap, block);
	return say(r ? name_of(r) : "good");
}

static int delete(const char *name)
{
	RT_HEAP heap;
	int r = rt_heap_bind_timed(&heap, name, TM_NONBLOCK);

	if (!r)
		r = rt_heap_delete(&heap);
	return say(r ? name_of(r) : "deleted");
}

static int work_once(RT_HEAP *heap, void *kept, size_t size)
{
	RT_HEAP_INFO info;
	void *block;
	int r = rt_heap_alloc(heap, size / 4, TM_NONBLOCK, &block);

	if (r)
		return r;
	memset(block, 'b', size / 4);
	for (size_t i = 0; i < size / 4; i++)
		if (((char *)block)[i] != 'b' || ((char *)kept)[i] != 'k')
			return -EIO;
	r = rt_heap_free(heap, block);
	if (!r)
		r = rt_heap_inquire(heap, &info);
	return r ? r : info.usedmem == size / 4 && info.nwaiters == 0 ? 0 : -EUCLEAN;
}

static int work(const char *name, const char *size_text)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	size_t size = (size_t)atol(size_text);
	RT_HEAP heap;
	void *kept;
	int r = rt_heap_create(&heap, name, size, H_FIFO);

	if (!r)
		r = rt_heap_alloc(&heap, size / 4, TM_NONBLOCK, &kept);
	if (r)
		return say(name_of(r)) || 1;
	memset(kept, 'k', size / 4);
	if (say("ready"))
		return 1;
	while (!r && poll(&in, 1, 1) == 0)
		r = work_once(&heap, kept, size);
	return say(r ? name_of(r) : "good");
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "work"))
		return work(argv[2], argv[3]);
	if (argc == 4 && !strcmp(argv[1], "hold"))
		return hold(argv[2], argv[3]);
	if (argc == 3 && !strcmp(argv[1], "try"))
		return try(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "pool"))
		return pool(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "delete"))
		return delete(argv[2]);
	fprintf(stderr, "usage: client hold NAME SIZE | try NAME | pool SIZE | delete NAME | work NAME SIZE\n");
	return 2;
}
