/*
 * memory.c: see memory.h
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include "daemon/memory.h"

#define FRESH_NS (100 * NSEC_PER_MSEC)
#define FILE_MAX_ 8192

/*
 * The machine keeps a 64th of its memory, at most 256 MiB; a cgroup keeps enough for the daemon
 * itself.
 */
#define HOST_RESERVE_MAX (UINT64_C(256) << 20)
#define CGROUP_RESERVE (UINT64_C(8) << 20)

/*
 * Page tables of our own mapping and of one client's (8 bytes for 4096, twice) and the kernel's
 * own.
 */
static uint64_t with_overhead(uint64_t size)
{
	return size + size / 128;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* Reads all of a small file, terminated. 0 or -errno. */
static int read_all(int fd, char *buf, size_t size)
{
	ssize_t n = pread(fd, buf, size - 1, 0);

	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return 0;
}

/* The number behind "key" at the start of a line. */
static int field(const char *text, const char *key, uint64_t *out)
{
	size_t n = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		if (line != text)
			line++;
		if (!strncmp(line, key, n))
			return sscanf(line + n, " %" SCNu64, out) == 1 ? 0 : -EINVAL;
	}
	return -EINVAL;
}

int memory_parse_meminfo(const char *text, uint64_t *total, uint64_t *available)
{
	uint64_t t, a;

	if (field(text, "MemTotal:", &t) < 0 || field(text, "MemAvailable:", &a) < 0 ||
	    t > UINT64_MAX / 1024 || a > UINT64_MAX / 1024)
		return -EINVAL;
	*total = t * 1024;
	*available = a * 1024;
	return 0;
}

static uint64_t host_available(const struct memory *m)
{
	char text[FILE_MAX_];
	uint64_t total, available;

	if (m->meminfo_fd < 0 || read_all(m->meminfo_fd, text, sizeof(text)) < 0 ||
	    memory_parse_meminfo(text, &total, &available) < 0)
		return UINT64_MAX;
	return less(available, min_u64(total / 64, HOST_RESERVE_MAX));
}

/* A file of a cgroup. 0 or -errno. */
static int cgroup_read(const struct memory *m, const char *cgroup, const char *name, char *buf, size_t size)
{
	char path[512];
	_cleanup_fd_ int fd = -1;

	if (snprintf(path, sizeof(path), "%s%s/%s", m->cgroup_root, cgroup, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : read_all(fd, buf, size);
}

/*
 * What memory.max of one cgroup leaves; its page cache (not shmem, which arenas are) can be
 * reclaimed.
 */
static uint64_t cgroup_available(const struct memory *m, const char *cgroup)
{
	char text[FILE_MAX_];
	uint64_t max, current, file = 0, shmem = 0;

	if (cgroup_read(m, cgroup, "memory.max", text, sizeof(text)) < 0 || sscanf(text, "%" SCNu64, &max) != 1)
		return UINT64_MAX; /* "max", or no such controller */
	if (cgroup_read(m, cgroup, "memory.current", text, sizeof(text)) < 0 ||
	    sscanf(text, "%" SCNu64, &current) != 1)
		return UINT64_MAX;
	if (!cgroup_read(m, cgroup, "memory.stat", text, sizeof(text))) {
		(void)field(text, "file ", &file);
		(void)field(text, "shmem ", &shmem);
	}
	return less(max, less(current, less(file, shmem)) + CGROUP_RESERVE);
}

/* The least of our cgroup and those above it: at most as many as the path has parts. */
static uint64_t cgroups_available(const struct memory *m)
{
	uint64_t least = UINT64_MAX;
	char path[256];
	char *slash;

	if (!m->cgroup || strlen(m->cgroup) >= sizeof(path))
		return least;
	strcpy(path, m->cgroup);
	for (;;) {
		least = min_u64(least, cgroup_available(m, path));
		slash = strrchr(path, '/');
		if (!slash)
			return least;
		*slash = '\0';
	}
}

static void refresh(struct memory *m)
{
	m->available = less(min_u64(host_available(m), cgroups_available(m)), with_overhead(m->claimed));
	m->since = 0;
	m->read_ns = now_ns();
}

int memory_claim(struct memory *m, uint64_t size)
{
	uint64_t need = with_overhead(size);

	if (size > UINT64_MAX / 2)
		return -ENOMEM;
	if (!m->read_ns || now_ns() - m->read_ns > FRESH_NS || need > less(m->available, m->since))
		refresh(m);
	if (need > less(m->available, m->since))
		return -ENOMEM;
	m->since += need;
	m->claimed += size;
	return 0;
}

void memory_settle(struct memory *m, uint64_t size)
{
	assert(size <= m->claimed && "no more is settled than was claimed");
	m->claimed -= size;
}

/* "0::/system.slice/heapd.service" in /proc/self/cgroup is where cgroup v2 has us. */
static char *cgroup_self(void)
{
	char text[FILE_MAX_];
	_cleanup_fd_ int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	const char *line;

	if (fd < 0 || read_all(fd, text, sizeof(text)) < 0)
		return NULL;
	line = !strncmp(text, "0::/", 4) ? text : strstr(text, "\n0::/");
	if (!line)
		return NULL;
	line = strchr(line, '/');
	return strndup(line, strcspn(line, "\n"));
}

void memory_init(struct memory *m)
{
	*m = (struct memory)MEMORY_NULL;
	m->meminfo_fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	m->cgroup = cgroup_self();
}

void memory_deinit(struct memory *m)
{
	close_fd(&m->meminfo_fd);
	free(m->cgroup);
	m->cgroup = NULL;
}
