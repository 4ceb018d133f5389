/*
 * kmalloc_client.c: a program with a pool, for it_kmalloc_sizes.c
 *
 * Compiled once for each way to say the size. Says on one line: whether it was connected to heapd
 * when main() began, what a constructor of its own got, what k_heap_mem_pool_init says, and how
 * many blocks of 48 bytes there are. With an argument it does not use the pool at all.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#ifdef CONFIG_HEAP_MEM_POOL_SIZE
#include <zephyr/kernel.h>
#else
#include <heapclient/k_malloc.h>
#endif

#ifdef WAY_MACRO
K_HEAP_MEM_POOL_SIZE(1024);
#endif

static void *early;

/* Runs after the one that tells the size, whichever of the two the linker puts first. */
static void __attribute__((constructor)) take_early(void)
{
	early = k_malloc(200);
}

static int connected(void)
{
	struct stat st;

	for (int fd = 3; fd < 64; fd++)
		if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode))
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	int was_connected = connected(), had = early != NULL, n = 0, r;

	(void)argv;
	if (argc > 1)
		return 0;
	k_free(early);
	r = k_heap_mem_pool_init();
	errno = 0;
	while (k_malloc(48))
		n++;
	printf("connected %d early %d init %d blocks %d errno %d\n", was_connected, had, -r, n,
	       errno);
	return 0;
}
