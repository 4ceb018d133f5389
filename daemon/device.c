/*
 * device.c: see device.h
 */
#include "daemon/device.h"

#include <fcntl.h>
#include <linux/dma-heap.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include "daemon/memfd.h"

void devices_init(struct devices *ds)
{
	LIST_INIT(&ds->taken);
}

int device_new(struct device **out, struct devices *ds, const char *path, uint64_t size,
	       bool shared)
{
	struct device *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->devices = ds;
	d->size = size;
	d->shared = shared;
	d->fd = d->read_fd = -1;
	d->path = strdup(path);
	if (!d->path) {
		free(d);
		return -ENOMEM;
	}
	*out = d;
	return 0;
}

struct device *device_free(struct device *d)
{
	if (!d)
		return NULL;
	if (d->taken)
		LIST_REMOVE(d, link);
	close_fd(&d->fd);
	close_fd(&d->read_fd);
	free(d->path);
	free(d);
	return NULL;
}

static int fail(struct device *d, int r, const char *why)
{
	d->why = why;
	return r;
}

/* ---- looking ---- */

/* Its class, as /sys says: nothing is opened for it. */
static bool is_dma_heap(const struct stat *stat)
{
	char path[64], target[256];
	const char *class;
	ssize_t n;

	if (!S_ISCHR(stat->st_mode))
		return false;
	(void)snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/subsystem", major(stat->st_rdev),
		       minor(stat->st_rdev));
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	class = strrchr(target, '/');
	return class && !strcmp(class, "/dma_heap");
}

int device_look(struct device *d)
{
	d->why = NULL;
	if (stat(d->path, &d->stat) < 0)
		return -errno;
	if (!S_ISREG(d->stat.st_mode) && !S_ISCHR(d->stat.st_mode) && !S_ISBLK(d->stat.st_mode))
		return fail(d, -ENODEV, "neither a file nor a device");
	d->is_dma_heap = is_dma_heap(&d->stat);
	return 0;
}

/* ---- taking ---- */

static bool is_device(const struct stat *stat)
{
	return S_ISCHR(stat->st_mode) || S_ISBLK(stat->st_mode);
}

/* One device may have several files, in several file systems. */
static bool is_same(const struct stat *a, const struct stat *b)
{
	if ((a->st_mode & S_IFMT) != (b->st_mode & S_IFMT))
		return false;
	if (is_device(a))
		return a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

int device_take(struct device *d)
{
	const struct device *other;

	assert(!d->taken && "a device is taken once");
	if (d->is_dma_heap)
		return 0;
	LIST_FOREACH(other, &d->devices->taken, link) {
		if (is_same(&other->stat, &d->stat))
			return -EBUSY;
	}
	LIST_INSERT_HEAD(&d->devices->taken, d, link);
	d->taken = true;
	return 0;
}

/* ---- opening ---- */

/* A buffer of it. The heap itself need not stay open. */
static int allocate(struct device *d, int heap)
{
	struct dma_heap_allocation_data data = {.len = d->size, .fd_flags = O_RDWR | O_CLOEXEC};

	if (ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data) < 0)
		return -errno;
	d->fd = (int)data.fd;
	return 0;
}

/* How much there is to map, of what tells: an access behind it would be a SIGBUS. */
static int check_size(struct device *d, int fd)
{
	off_t end;

	if (S_ISCHR(d->stat.st_mode))
		return 0; /* mmap() fails if it is too much */
	end = lseek(fd, 0, SEEK_END);
	if (end < 0)
		return -errno;
	return (uint64_t)end < d->size ? fail(d, -ENODEV, "smaller than the memory it is to be") : 0;
}

/* Not of a character device: to open it once more may mean something to it. */
static void open_reader(struct device *d, int fd)
{
	int reader;

	if (d->shared && !S_ISCHR(d->stat.st_mode) && memfd_reopen_read(&reader, fd) == 0)
		d->read_fd = reader;
}

int device_open(struct device *d)
{
	const int how = d->is_dma_heap ? O_RDONLY : O_RDWR;
	_cleanup_fd_ int fd = open(d->path, how | O_CLOEXEC | O_NOCTTY);
	struct stat stat;
	int r;

	d->why = NULL;
	if (fd < 0 || fstat(fd, &stat) < 0)
		return -errno;
	if (!is_same(&stat, &d->stat))
		return fail(d, -ENODEV, "replaced by another in this moment");
	if (d->is_dma_heap)
		return allocate(d, fd);
	r = check_size(d, fd);
	if (r < 0)
		return r;
	open_reader(d, fd);
	d->fd = take_fd(&fd);
	return 0;
}

/* ---- from before ---- */

/* A dma-heap's buffer is a file of its own, so nobody else can have it. */
int device_adopt(struct device **out, struct devices *ds, int fd, int read_fd, uint64_t size)
{
	struct device *d;
	int r = device_new(&d, ds, "(from before)", size, read_fd >= 0);

	if (r < 0) {
		close_fd(&read_fd);
		return r;
	}
	d->read_fd = read_fd;
	r = fstat(fd, &d->stat) < 0 ? -errno : device_take(d);
	if (r < 0) {
		device_free(d);
		return r;
	}
	*out = d;
	return 0;
}
