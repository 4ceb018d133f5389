/*
 * device.h: a file or device of the configuration that backs an arena
 *
 * Model: a path, and three steps to a descriptor that a client may map: look (which opens
 * nothing), take, open. A dma-heap is asked for a buffer: each arena has its own. Anything else, a
 * UIO device or a file, is mapped from its beginning, and one arena has it at a time: to open some
 * devices means something to them, so it is known to be free before it is opened. What is the same
 * device is decided by its number (a file's: by inode), not by its path.
 *
 * Invariant: what is on the list of those taken is on it once, by one struct device.
 * Steps block: they run off the loop. Everything else is for the loop's thread. While a step runs
 * nothing else may touch the device.
 * Not here: reading, writing or mapping it. heapd never does. It cannot keep others from shortening
 * a file that is in use; that is up to its owner.
 */
#ifndef HEAPD_DAEMON_DEVICE_H
#define HEAPD_DAEMON_DEVICE_H

#include <sys/queue.h>
#include <sys/stat.h>
#include "common/base.h"

struct devices { /* those that somebody has */
	LIST_HEAD(, device) taken;
};

struct device {
	struct devices *devices;
	LIST_ENTRY(device) link;
	bool taken;
	char *path;
	uint64_t size;    /* bytes that are wanted of it */
	bool shared;      /* a descriptor for readers is wanted too */
	struct stat stat; /* from looking */
	bool is_dma_heap; /* the same */
	int fd;           /* from opening: read and write; -1: not yet, or somebody else's by now */
	int read_fd;      /* O_RDONLY; -1: not wanted, or it cannot be had */
	const char *why;  /* why a step failed, for people, if errno does not tell; NULL. Static */
};

void devices_init(struct devices *ds);

/* 0, -ENOMEM. path is copied. size > 0. */
int device_new(struct device **out, struct devices *ds, const char *path, uint64_t size,
	       bool shared);
/*
 * One that a daemon before had open: fd stays the caller's, as after opening; read_fd is ours, also
 * on failure. 0; -EBUSY: another has it; -ENOMEM, another -errno.
 */
int device_adopt(struct device **out, struct devices *ds, int fd, int read_fd, uint64_t size);
/*
 * Closes what it still has (then it may block), and is nobody's from here. NULL is fine; returns
 * NULL.
 */
struct device *device_free(struct device *d);

/* Step 1: what is there. 0; -ENODEV (see why); another -errno of stat(). */
int device_look(struct device *d);

/* Step 2, on the loop: 0; -EBUSY: another arena has it. Walks those that are taken. */
int device_take(struct device *d);

/*
 * Step 3. 0 and fd; -ENODEV (it is too small, or not what was looked at: see why); -EBUSY (it says
 * so itself); -ENOMEM (a dma-heap has not so much); another -errno of open().
 */
int device_open(struct device *d);

#endif
