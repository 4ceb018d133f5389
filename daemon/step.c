/*
 * The system calls behind each step
 *
 * Why the pieces: mmap, munmap and mlock need the address space's lock for writing, page faults and
 * population for reading. Whoever holds it long delays the loop's own malloc. So a large mapping
 * goes in pieces of UNMAP_PIECE, from its end, which only ever shrinks one area of the address
 * space.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include "common/thp.h"
#include "daemon/device.h"
#include "daemon/step.h"

#define UNMAP_PIECE (UINT64_C(4) << 20) /* about 0.1 ms */

/*
 * Who may have huge pages of a memfd. Under always, within_size and force every fallocate gives
 * them; under never and deny nobody has any, and to populate with ordinary pages takes longer than
 * fallocate.
 */
#define SHMEM_ENABLED "/sys/kernel/mm/transparent_hugepage/shmem_enabled"

/* Are they for mappings that ask (MADV_HUGEPAGE)? 0; -EOPNOTSUPP: no; -errno. */
static int who_asks_gets(void)
{
	_cleanup_fd_ int fd = open(SHMEM_ENABLED, O_RDONLY | O_CLOEXEC);
	char text[128];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n < 0)
		return -errno;
	text[n] = '\0';
	return strstr(text, "[advise]") ? 0 : -EOPNOTSUPP;
}

/* Read-only: what is not there is allocated all the same, for the file is not read, but mapped. */
static int run_advise(struct step *s)
{
	void *map;
	int r = who_asks_gets();

	if (r < 0)
		return r;
	map = thp_map(s->length, PROT_READ, s->fd);
	if (map == MAP_FAILED)
		return -errno;
	if (madvise(map, s->length, MADV_HUGEPAGE) < 0) {
		r = -errno;
		(void)munmap(map, s->length);
		return r;
	}
	s->map = map;
	return 0;
}

/* Linux 5.14 */
static int run_fill(const struct step *s)
{
	return madvise((char *)s->map + s->offset, s->length, MADV_POPULATE_READ) < 0 ? -errno : 0;
}

static int run_unadvise(const struct step *s)
{
	return madvise(s->map, s->length, MADV_NOHUGEPAGE) < 0 ? -errno : 0;
}

static int run_fallocate(const struct step *s)
{
	return fallocate(s->fd, 0, (off_t)s->offset, (off_t)s->length) < 0 ? -errno : 0;
}

/* Read-only: it only keeps the pages where they are, and the daemon cannot scribble on them. */
static int run_map(struct step *s)
{
	void *map = thp_map(s->length, PROT_READ, s->fd);
	int r;

	if (map == MAP_FAILED)
		return -errno;
	if (mlock2(map, s->length, MLOCK_ONFAULT) < 0) {
		r = -errno;
		(void)munmap(map, s->length);
		return r;
	}
	s->map = map;
	return 0;
}

/*
 * Before Linux 5.14 there is no MADV_POPULATE_READ; mlock populates too, and tells errors as well.
 */
static int run_populate(const struct step *s)
{
	void *start = (char *)s->map + s->offset;

	if (!madvise(start, s->length, MADV_POPULATE_READ))
		return 0;
	if (errno != EINVAL)
		return -errno;
	return mlock(start, s->length) < 0 ? -errno : 0;
}

static void run_unmap(const struct step *s)
{
	uint64_t left = s->length;

	while (left) {
		uint64_t n = min_u64(left, UNMAP_PIECE);

		left -= n;
		(void)munmap((char *)s->map + left, n);
	}
}

int step_run(struct step *s)
{
	switch (s->kind) {
	case STEP_ADVISE:
		return run_advise(s);
	case STEP_FILL:
		return run_fill(s);
	case STEP_UNADVISE:
		return run_unadvise(s);
	case STEP_FALLOCATE:
		return run_fallocate(s);
	case STEP_MAP:
		return run_map(s);
	case STEP_POPULATE:
		return run_populate(s);
	case STEP_LOOK:
		return device_look(s->device);
	case STEP_OPEN:
		return device_open(s->device);
	case STEP_UNMAP:
	case STEP_DISPOSE:
		if (s->map)
			run_unmap(s);
		if (s->kind == STEP_DISPOSE)
			close_fd(&s->fd);
		return 0;
	}
	return -EINVAL;
}
