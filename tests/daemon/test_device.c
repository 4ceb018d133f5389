/*
 * Devices: what may back an arena, whose it is, and what is refused before anybody can fault on it.
 *
 * readlink and ioctl are wrapped (--wrap), so that a dma-heap can be played on machines without one.
 */
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <cmocka.h>
#include "daemon/device.h"

#define SIZE ((uint64_t)(4 * HW_PAGE_SIZE))

static struct {
	const char *class; /* that /sys tells of every character device; NULL: as it is */
	int error;         /* of the allocation */
	uint64_t asked;    /* bytes, by the last one */
	unsigned n;
} kernel;

static struct devices devices;
static char folder[] = "/tmp/heapd-device-XXXXXX";
static char path[64], other[64];

ssize_t __real_readlink(const char *p, char *buf, size_t size);
ssize_t __wrap_readlink(const char *p, char *buf, size_t size);
int __wrap_ioctl(int fd, unsigned long op, ...);

ssize_t __wrap_readlink(const char *p, char *buf, size_t size)
{
	if (!kernel.class || strncmp(p, "/sys/dev/char/", 14) != 0)
		return __real_readlink(p, buf, size);
	return snprintf(buf, size, "../../class/%s", kernel.class);
}

int __wrap_ioctl(int fd, unsigned long op, ...)
{
	struct dma_heap_allocation_data *data;
	va_list args;

	va_start(args, op);
	data = va_arg(args, struct dma_heap_allocation_data *);
	va_end(args);
	assert_int_equal(DMA_HEAP_IOCTL_ALLOC, op);
	assert_int_equal(O_RDONLY, fcntl(fd, F_GETFL) & O_ACCMODE);
	kernel.asked = data->len;
	kernel.n++;
	if (kernel.error) {
		errno = -kernel.error;
		return -1;
	}
	assert_int_equal(O_RDWR | O_CLOEXEC, data->fd_flags);
	assert_int_equal(0, data->fd);
	data->fd = (uint32_t)memfd_create("dma-buf", MFD_CLOEXEC);
	return 0;
}

static int setup(_unused_ void **state)
{
	memset(&kernel, 0, sizeof(kernel));
	devices_init(&devices);
	strcpy(folder, "/tmp/heapd-device-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/device", folder);
	(void)snprintf(other, sizeof(other), "%s/other", folder);
	return 0;
}

static int teardown(_unused_ void **state)
{
	(void)unlink(path);
	(void)unlink(other);
	return rmdir(folder);
}

static void make_file(const char *at, uint64_t size)
{
	_cleanup_fd_ int fd = open(at, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(0, ftruncate(fd, (off_t)size));
}

static struct device *new(const char *at, bool shared)
{
	struct device *d = NULL;

	assert_int_equal(0, device_new(&d, &devices, at, SIZE, shared));
	return d;
}

/* All three steps. */
static int have(struct device *d)
{
	int r = device_look(d);

	if (!r)
		r = device_take(d);
	return r ? r : device_open(d);
}

static void a_file(_unused_ void **state)
{
	struct device *d = new(path, false);
	void *p;

	make_file(path, SIZE);
	assert_int_equal(0, have(d));
	assert_int_equal(O_RDWR, fcntl(d->fd, F_GETFL) & O_ACCMODE);
	assert_int_equal(FD_CLOEXEC, fcntl(d->fd, F_GETFD));
	assert_int_equal(-1, d->read_fd); /* nobody asked for it */
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, d->fd, 0);
	assert_ptr_not_equal(MAP_FAILED, p);
	memset(p, 0x5a, SIZE);
	assert_int_equal(0, munmap(p, SIZE));
	device_free(d);
}

/* Its contents are nobody's business here. */
static void nothing_is_written(_unused_ void **state)
{
	_cleanup_fd_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct device *d = new(path, true);
	struct stat before, after;
	char text[6] = "";

	assert_int_equal(0, ftruncate(fd, (off_t)SIZE + 1));
	assert_int_equal(5, pwrite(fd, "hello", 5, 0));
	assert_int_equal(0, fstat(fd, &before));
	assert_int_equal(0, have(d));
	device_free(d);
	assert_int_equal(0, fstat(fd, &after));
	assert_int_equal(before.st_blocks, after.st_blocks); /* nor was it committed */
	assert_int_equal(before.st_size, after.st_size);
	assert_int_equal(5, pread(fd, text, 5, 0));
	assert_string_equal("hello", text);
}

static void readers(_unused_ void **state)
{
	struct device *d = new(path, true), *e = new("/dev/null", true);

	make_file(path, SIZE);
	assert_int_equal(0, have(d));
	assert_int_equal(O_RDONLY, fcntl(d->read_fd, F_GETFL) & O_ACCMODE);
	assert_int_equal(FD_CLOEXEC, fcntl(d->read_fd, F_GETFD));
	assert_ptr_equal(MAP_FAILED,
			 mmap(NULL, SIZE, PROT_WRITE, MAP_SHARED, d->read_fd, 0));
	/* a device is opened once */
	assert_int_equal(0, have(e));
	assert_true(e->fd >= 0);
	assert_int_equal(-1, e->read_fd);
	device_free(d);
	device_free(e);
}

static void refused(_unused_ void **state)
{
	struct device *d = new(path, false);

	assert_int_equal(-ENOENT, have(d));
	assert_null(d->why);
	make_file(path, SIZE - 1);
	assert_int_equal(-ENODEV, have(d));
	assert_non_null(strstr(d->why, "smaller"));
	assert_int_equal(-1, d->fd);
	device_free(d);

	d = new(folder, false);
	assert_int_equal(-ENODEV, have(d));
	assert_non_null(strstr(d->why, "neither a file nor a device"));
	device_free(d);

	assert_int_equal(0, mkfifo(other, 0600));
	d = new(other, false);
	assert_int_equal(-ENODEV, have(d)); /* and did not wait for a writer */
	device_free(d);
}

static void what_was_looked_at_is_what_is_opened(_unused_ void **state)
{
	struct device *d = new(path, false);

	make_file(path, SIZE);
	make_file(other, SIZE);
	assert_int_equal(0, device_look(d));
	assert_int_equal(0, device_take(d));
	assert_int_equal(0, rename(other, path));
	assert_int_equal(-ENODEV, device_open(d));
	assert_non_null(strstr(d->why, "replaced"));
	assert_int_equal(-1, d->fd);
	device_free(d);
}

static void one_has_it(_unused_ void **state)
{
	struct device *a = new(path, false), *b = new(path, false), *c = new(other, false);

	make_file(path, SIZE);
	assert_int_equal(0, symlink(path, other));
	assert_int_equal(0, have(a));
	assert_int_equal(-EBUSY, have(b));
	assert_int_equal(-EBUSY, have(c)); /* another path to it */
	assert_int_equal(-1, c->fd);
	device_free(b); /* who had none gives none back */
	assert_int_equal(-EBUSY, have(c));
	device_free(a);
	assert_int_equal(0, have(c));
	device_free(c);
}

static void devices_are_told_apart_by_number(_unused_ void **state)
{
	struct device *a = new("/dev/null", false), *b = new("/dev/zero", false), *c;

	assert_int_equal(0, have(a));
	assert_int_equal(0, have(b)); /* on the same file system, another device */
	assert_int_equal(0, symlink("/dev/null", path));
	c = new(path, false);
	assert_int_equal(-EBUSY, have(c));
	device_free(a);
	device_free(b);
	device_free(c);
}

static void a_dma_heap_gives_each_its_own(_unused_ void **state)
{
	struct device *a = new("/dev/null", true), *b = new("/dev/null", false);
	struct stat x, y;

	kernel.class = "dma_heap";
	assert_int_equal(0, have(a));
	assert_int_equal(0, have(b));
	assert_int_equal(2, kernel.n);
	assert_int_equal(SIZE, kernel.asked);
	assert_int_equal(0, fstat(a->fd, &x));
	assert_int_equal(0, fstat(b->fd, &y));
	assert_int_not_equal(x.st_ino, y.st_ino);
	assert_int_equal(-1, a->read_fd);
	device_free(a);
	device_free(b);
}

static void a_dma_heap_may_be_short(_unused_ void **state)
{
	struct device *d = new("/dev/null", false);

	kernel.class = "dma_heap";
	kernel.error = -ENOMEM;
	assert_int_equal(-ENOMEM, have(d));
	assert_int_equal(-1, d->fd);
	device_free(d);
}

/* No ioctl is tried on what is something else. */
static void other_classes(_unused_ void **state)
{
	struct device *d = new("/dev/null", false);

	kernel.class = "not_dma_heap";
	assert_int_equal(0, have(d));
	assert_int_equal(0, kernel.n);
	assert_true(d->taken);
	device_free(d);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_file),
		TEST(nothing_is_written),
		TEST(readers),
		TEST(refused),
		TEST(what_was_looked_at_is_what_is_opened),
		TEST(one_has_it),
		TEST(devices_are_told_apart_by_number),
		TEST(a_dma_heap_gives_each_its_own),
		TEST(a_dma_heap_may_be_short),
		TEST(other_classes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
