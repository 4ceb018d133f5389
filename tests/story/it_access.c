/*
 * Story: users who may, and users who may not
 *
 * Actors become users of numbers that need not exist. A reader is a process that was let in with an
 * O_RDONLY descriptor of the memory: the story tries every way it knows to write nevertheless.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "tests/story/raw.h"
#include "tests/story/steps.h"

#define BYTES 16384
#define OWNER 65001
#define FRIEND 65002
#define STRANGER 65003
#define GROUP 65100

static struct lane *owner, *friend, *stranger;

static void begin(const char *config)
{
	story_needs_root();
	heapd_start(config);
	owner = lane_new_as(OWNER, GROUP);
	friend = lane_new_as(FRIEND, GROUP);
	stranger = lane_new_as(STRANGER, STRANGER);
}

static void private_by_default(void)
{
	struct lane *root = lane_new(), *self_again;
	struct wire_entry entry;

	begin(PATIENT);
	self_again = lane_new_as(OWNER, STRANGER);
	EXPECT(0, do_create(owner, 0, "mine", BYTES, H_FIFO));
	EXPECT(STATUS_OK, watch_heap("mine", &entry));
	assert_int_equal(0600, entry.perm);
	assert_int_equal(OWNER, entry.uid);
	assert_int_equal(GROUP, entry.gid);
	EXPECT(-EACCES, do_bind(friend, 0, "mine"));
	EXPECT(-EACCES, do_bind_timed(friend, 0, "mine", TM_NONBLOCK));
	EXPECT(-EACCES, do_bind_timed(stranger, 0, "mine", SECONDS(1000)));
	EXPECT(-EEXIST, do_create(stranger, 0, "mine", BYTES, H_FIFO));
	EXPECT(0, do_bind(self_again, 0, "mine"));
	EXPECT(0, do_bind(root, 0, "mine"));
	EXPECT(0, do_alloc(root, 0, 0, 4096, TM_NONBLOCK));
}

/* Who waits for a name that turns out not to be for him is told so. */
static void a_waiting_bind_is_denied(void)
{
	begin("");
	lane_start(stranger, step_bind(0, "mine"));
	lane_start(friend, step_bind_timed(0, "mine", SECONDS(1000)));
	UNTIL(watch_stat().parked_binds == 2);
	EXPECT(0, do_create(owner, 0, "mine", BYTES, H_FIFO));
	EXPECT(-EACCES, lane_result(stranger));
	EXPECT(-EACCES, lane_result(friend));
	assert_int_equal(1, watch_bound("mine"));
}

static void a_group_that_may_write(void)
{
	begin(PATIENT "[heaps]\nmode = 0660\n");
	EXPECT(0, do_create(owner, 0, "ours", BYTES, H_FIFO));
	EXPECT(-EACCES, do_bind(stranger, 0, "ours"));
	EXPECT(0, do_bind(friend, 0, "ours"));
	EXPECT(0, do_alloc(friend, 0, 0, 8192, TM_NONBLOCK));
	EXPECT(0, do_alloc(owner, 0, 0, 8192, TM_NONBLOCK));
	EXPECT(-EPERM, do_delete(friend, 0));
	EXPECT(0, do_free(friend, 0, 0));
	EXPECT(0, do_delete(owner, 0));
	EXPECT(-EIDRM, do_alloc(friend, 0, 0, 64, TM_NONBLOCK));
}

static void root_may_delete(void)
{
	struct lane *root = lane_new();

	begin("");
	EXPECT(0, do_create(owner, 0, "mine", BYTES, H_FIFO));
	EXPECT(0, do_bind(root, 0, "mine"));
	EXPECT(0, do_delete(root, 0));
	EXPECT(-EIDRM, do_alloc(owner, 0, 0, 64, TM_NONBLOCK));
}

/* ---- readers ---- */

static int run_store(struct step *s)
{
	(void)signal(SIGSEGV, SIG_DFL); /* not the sanitizer's */
	*(volatile char *)self.block[s->slot] = 1;
	return 0;
}

/* Does any way to write to the mapping at .slot exist? 0: no; -EIO with the way in .text. */
static int run_try_to_write(struct step *s)
{
	char *base = self.block[s->slot], path[300], line[512];
	unsigned long long ino = 0;
	struct dirent *e;
	FILE *maps;
	DIR *d;

	(void)snprintf(s->text, sizeof(s->text), "mprotect");
	if (mprotect(base, 4096, PROT_READ | PROT_WRITE) == 0)
		return -EIO;

	/* which file is it? */
	maps = fopen("/proc/self/maps", "re");
	while (maps && fgets(line, sizeof(line), maps)) {
		unsigned long from, to;
		unsigned long long inode;

		if (sscanf(line, "%lx-%lx %*s %*s %*s %llu", &from, &to, &inode) == 3 &&
		    (uintptr_t)base >= from && (uintptr_t)base < to) {
			ino = inode;
			(void)snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", from,
				       to);
		}
	}
	if (maps)
		(void)fclose(maps);
	if (!ino)
		return -ENOENT;
	(void)snprintf(s->text, sizeof(s->text), "map_files");
	if (open(path, O_RDWR | O_CLOEXEC) >= 0)
		return -EIO;

	/* descriptors of it that the library keeps */
	d = opendir("/proc/self/fd");
	for (e = d ? readdir(d) : NULL; e; e = readdir(d)) {
		struct stat st;
		int fd = atoi(e->d_name);

		if (e->d_name[0] == '.' || fstat(fd, &st) < 0 || st.st_ino != ino)
			continue;
		(void)snprintf(s->text, sizeof(s->text), "fd %d", fd);
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if ((fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY ||
		    open(path, O_RDWR | O_CLOEXEC) >= 0 || fchmod(fd, 0666) == 0)
			return -EIO;
	}
	if (d)
		(void)closedir(d);
	s->text[0] = '\0';
	return 0;
}

static void readers_cannot_write(void)
{
	struct actor *reader;
	struct lane *l;
	struct step s;
	RT_HEAP_INFO info;
	size_t offset;
	int status;

	begin(PATIENT "[heaps]\nmode = 0640\n");
	EXPECT(0, do_create(owner, 0, "ours", BYTES, H_FIFO));
	EXPECT(0, do_alloc(owner, 0, 4, 1000, TM_NONBLOCK));
	EXPECT(0, do_offset(owner, 0, 4, &offset));
	EXPECT(-EACCES, do_bind(stranger, 0, "ours"));

	reader = actor_new_as(1, FRIEND, GROUP);
	l = &reader->lane[0];
	EXPECT(0, do_bind(l, 0, "ours"));
	EXPECT(0, do_pointer(l, 0, 0, offset));
	EXPECT(0, check_block(l, 0, 4, 1000));
	EXPECT(0, do_inquire(l, 0, &info));
	assert_int_equal(1024, info.usedmem);
	EXPECT(-EACCES, do_alloc(l, 0, 1, 64, TM_NONBLOCK));
	EXPECT(-EACCES, do_alloc(l, 0, 1, 64, TM_INFINITE));
	EXPECT(-EACCES, do_free(l, 0, 0));
	EXPECT(-EPERM, do_delete(l, 0));
	EXPECT(0, check_block(owner, 4, 4, 1000));

	s = lane_run(l, (struct step){ .run = run_try_to_write });
	if (s.result)
		print_error("a reader can write by %s\n", s.text);
	EXPECT(0, s.result);
	lane_start(l, (struct step){ .run = run_store });
	status = actor_wait(reader);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	UNTIL(watch_bound("ours") == 1);
}

static void readers_of_a_segment(void)
{
	begin("[heaps]\nmode = 0644\n");
	EXPECT(0, do_create(owner, 0, "news", BYTES, H_SHARED));
	EXPECT(0, do_alloc(owner, 0, 4, BYTES, TM_NONBLOCK));
	EXPECT(0, do_bind(stranger, 0, "news"));
	EXPECT(0, do_alloc(stranger, 0, 0, 0, TM_NONBLOCK)); /* everyone's is the whole segment */
	EXPECT(0, check_block(stranger, 0, 4, BYTES));
	EXPECT(0, put_text(owner, 4, 100, "today"));
	assert_string_equal("today", get_text(stranger, 0, 100).text);
	EXPECT(0, lane_run(stranger, (struct step){ .run = run_try_to_write }).result);
}

/* The same by hand, on the descriptor that the daemon gives a reader; one for a writer cannot be
 * shrunk either. */
static int run_raw_reader(struct step *s)
{
	struct wire_bound bound;
	struct raw r = RAW_NULL;
	char path[64];
	int fd, status;

	if (raw_connect(&r) < 0 || raw_hello(&r) != STATUS_OK)
		return -ENOTCONN;
	if (raw_bind(&r, "ours", ACCESS_WRITE, &bound, &fd) != STATUS_DENIED)
		return -EBADE;
	status = raw_bind(&r, "ours", ACCESS_BEST, &bound, &fd);
	if (status != STATUS_OK || bound.access != ACCESS_READ || bound.n_runs != 0 || fd < 0)
		return -EBADMSG;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	s->value = 1;
	if ((fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY)
		return -EIO;
	s->value = 2;
	if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED)
		return -EIO;
	s->value = 3;
	if (open(path, O_RDWR | O_CLOEXEC) >= 0 || open(path, O_WRONLY | O_TRUNC | O_CLOEXEC) >= 0)
		return -EIO;
	s->value = 4;
	if (fchmod(fd, 0666) == 0 || ftruncate(fd, 0) == 0 ||
	    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) == 0)
		return -EIO;
	s->value = 5;
	if (mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
		return -EIO;
	/* and the control area is the daemon's alone */
	s->value = 6;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", r.control);
	if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, r.control, 0) != MAP_FAILED ||
	    open(path, O_RDWR | O_CLOEXEC) >= 0 || ftruncate(r.control, 0) == 0 ||
	    fchmod(r.control, 0666) == 0)
		return -EIO;
	s->value = 7;
	if (ftruncate(r.stats, 0) == 0)
		return -EIO;
	raw_close(&r);
	return 0;
}

static int run_raw_writer(struct step *s)
{
	struct wire_bound bound;
	struct raw r = RAW_NULL;
	int fd;

	if (raw_connect(&r) < 0 || raw_hello(&r) != STATUS_OK)
		return -ENOTCONN;
	if (raw_bind(&r, "ours", ACCESS_WRITE, &bound, &fd) != STATUS_OK || fd < 0)
		return -EBADMSG;
	s->value = 1;
	if (ftruncate(fd, 0) == 0 || ftruncate(fd, 1 << 20) == 0)
		return -EIO;
	s->value = 2;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0)
		return -EIO;
	raw_close(&r);
	return 0;
}

static void descriptors_by_hand(void)
{
	struct step s;

	begin("[heaps]\nmode = 0640\n");
	EXPECT(0, do_create(owner, 0, "ours", BYTES, H_FIFO));
	s = lane_run(friend, (struct step){ .run = run_raw_reader });
	if (s.result)
		print_error("at check %d\n", (int)s.value);
	EXPECT(0, s.result);
	s = lane_run(owner, (struct step){ .run = run_raw_writer });
	if (s.result)
		print_error("at check %d\n", (int)s.value);
	EXPECT(0, s.result);
	EXPECT(0, do_alloc(owner, 0, 0, 4096, TM_NONBLOCK));
}

/* ---- who decides ---- */

static void rights_can_be_changed(void)
{
	struct raw root = RAW_NULL;

	begin(PATIENT);
	raw_open(&root);
	EXPECT(0, do_create(owner, 0, "mine", BYTES, H_SHARED));
	EXPECT(-EACCES, do_bind(stranger, 0, "mine"));
	EXPECT(STATUS_OK, raw_chmod(&root, "mine", 0604, UINT32_MAX));
	EXPECT(0, do_bind(stranger, 0, "mine"));
	EXPECT(-EACCES, do_bind(friend, 0, "mine")); /* the group's bits, not the others' */
	EXPECT(STATUS_OK, raw_chmod(&root, "mine", 0660, UINT32_MAX));
	EXPECT(0, do_bind(friend, 0, "mine"));
	EXPECT(STATUS_OK, raw_chmod(&root, "mine", 0660, STRANGER));
	EXPECT(-EACCES, do_bind(lane_new_as(FRIEND, GROUP), 0, "mine"));
	EXPECT(0, do_bind(lane_new_as(STRANGER, STRANGER), 0, "mine"));
	raw_close(&root);
}

static void rules_for_names(void)
{
	struct wire_entry entry;

	begin("[heap \"video-*\"]\nmode = 0644\ngroup = 65003\n[heap *]\nmode = 0640\n");
	EXPECT(0, do_create(owner, 0, "video-1", BYTES, H_FIFO));
	EXPECT(STATUS_OK, watch_heap("video-1", &entry));
	assert_int_equal(0644, entry.perm);
	EXPECT(0, do_create(owner, 1, "audio-1", BYTES, H_FIFO));
	EXPECT(STATUS_OK, watch_heap("audio-1", &entry));
	assert_int_equal(0640, entry.perm);
	EXPECT(0, do_bind(stranger, 0, "video-1"));
	EXPECT(-EACCES, do_bind(stranger, 1, "audio-1"));
	EXPECT(0, do_bind(friend, 1, "audio-1"));
}

static void not_everyone_may_create(void)
{
	struct lane *root = lane_new();

	begin(PATIENT "[heaps]\ncreate = 65100\nmode = 0666\n");
	EXPECT(-EACCES, do_create(stranger, 0, "mine", BYTES, H_FIFO));
	EXPECT(-EACCES, do_create(stranger, 0, NULL, BYTES, H_FIFO));
	EXPECT(0, do_create(owner, 0, "ours", BYTES, H_FIFO));
	EXPECT(0, do_create(root, 0, "root", BYTES, H_FIFO));
	EXPECT(0, do_bind(stranger, 0, "ours"));
	EXPECT(0, do_alloc(stranger, 0, 0, 4096, TM_NONBLOCK));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(private_by_default),
		STORY(a_waiting_bind_is_denied),
		STORY(a_group_that_may_write),
		STORY(root_may_delete),
		STORY(readers_cannot_write),
		STORY(readers_of_a_segment),
		STORY(descriptors_by_hand),
		STORY(rights_can_be_changed),
		STORY(rules_for_names),
		STORY(not_everyone_may_create),
	};

	return cmocka_run_group_tests_name("access", tests, NULL, NULL);
}
