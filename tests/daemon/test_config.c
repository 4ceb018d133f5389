/* heapd.conf: what is understood, and how each kind of mistake is told, with its line. */
#include <grp.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <cmocka.h>
#include "daemon/config.h"
#include "daemon/log.h"
#include "daemon/values.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

struct world {
	struct config config;
	char path[64];
	char said[8192]; /* by the last load */
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	int fd;

	if (!w)
		return -1;
	config_init(&w->config);
	strcpy(w->path, "/tmp/heapd-test-XXXXXX");
	fd = mkstemp(w->path);
	close_fd(&fd);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	config_deinit(&w->config);
	config_deinit(&w->config);
	(void)unlink(w->path);
	free(w);
	return 0;
}

/* Runs config_load with stderr caught. */
static int load_path(struct world *w, const char *path)
{
	int before = dup(STDERR_FILENO), caught = memfd_create("stderr", MFD_CLOEXEC), r;
	ssize_t n;

	assert_true(before >= 0 && caught >= 0);
	assert_int_equal(STDERR_FILENO, dup2(caught, STDERR_FILENO));
	log_init(false);
	config_deinit(&w->config);
	r = config_load(&w->config, path);
	assert_int_equal(STDERR_FILENO, dup2(before, STDERR_FILENO));
	n = pread(caught, w->said, sizeof(w->said) - 1, 0);
	assert_true(n >= 0);
	w->said[n] = '\0';
	close_fd(&before);
	close_fd(&caught);
	return r;
}

static int load_bytes(struct world *w, const char *text, size_t n)
{
	FILE *f = fopen(w->path, "we");

	assert_non_null(f);
	assert_int_equal(n, fwrite(text, 1, n, f));
	assert_int_equal(0, fclose(f));
	return load_path(w, w->path);
}

static int load(struct world *w, const char *text)
{
	return load_bytes(w, text, strlen(text));
}

static unsigned count_lines(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void test_defaults(void **state)
{
	struct world *w = *state;
	const struct config *c = &w->config;

	assert_int_equal(0, load(w, ""));
	assert_string_equal("", w->said);
	assert_int_equal(0, c->priority);
	assert_false(c->lock_memory);
	assert_true(c->lock_arenas);
	assert_true(c->transparent_huge_pages);
	assert_true(c->io_uring);
	assert_int_equal(5000000, c->recall_ns);
	assert_int_equal(0666, c->socket_mode);
	assert_int_equal(0600, c->default_mode);
	assert_true(c->max_size >= HW_PAGE_SIZE && c->max_size % HW_PAGE_SIZE == 0);
	assert_true(c->create_all);
	assert_true(STAILQ_EMPTY(&c->rules));
	assert_true(STAILQ_EMPTY(&c->regions));
	assert_int_equal(0, c->n_regions);
	assert_null(c->dma);
	assert_null(c->noncached);
	assert_true(c->limits.sessions && c->limits.heaps && c->limits.bytes && c->limits.parked);
	assert_ptr_equal(&c->limits, config_limits(c, 1000));
}

static void test_everything(void **state)
{
	static const char text[] = "# a comment\n"
				   "; another\n"
				   "\n"
				   "[daemon]\n"
				   "priority = 80\n"
				   "lock_memory=yes\n"
				   "lock_arenas = off ; why not\n"
				   "transparent_huge_pages = 0\n"
				   "io_uring = FALSE\n"
				   "  recall = 250us\n"
				   "\tsocket_mode: 0660\r\n"
				   "[heaps]\n"
				   "mode = 640\n"
				   "max_size = 2G\n"
				   "create = root\n"
				   "[limits]\n"
				   "sessions = 10\n"
				   "heaps = 20\n"
				   "bytes = 30M\n"
				   "parked = infinity";
	struct world *w = *state;
	const struct config *c = &w->config;

	assert_int_equal(0, load(w, text));
	assert_string_equal("", w->said);
	assert_int_equal(80, c->priority);
	assert_true(c->lock_memory);
	assert_false(c->lock_arenas);
	assert_false(c->transparent_huge_pages);
	assert_false(c->io_uring);
	assert_int_equal(250000, c->recall_ns);
	assert_int_equal(0660, c->socket_mode);
	assert_int_equal(0640, c->default_mode);
	assert_int_equal(2 * GIB, c->max_size);
	assert_false(c->create_all);
	assert_int_equal(0, c->create_group);
	assert_int_equal(10, c->limits.sessions);
	assert_int_equal(20, c->limits.heaps);
	assert_int_equal(30 * MIB, c->limits.bytes);
	assert_int_equal(UINT64_MAX, c->limits.parked);
}

/*
 * What a user's section leaves out is as in [limits], also if that comes later; two sections add
 * up.
 */
static void test_user_limits(void **state)
{
	struct world *w = *state;
	const struct limits *l;

	assert_int_equal(0, load(w, "[limits \"1000\"]\nheaps = 1\n"
				    "[limits nobody]\nbytes = 1T\n"
				    "[limits]\nheaps = 7\nsessions = 8\n"
				    "[limits 1000]\nparked = 3\n"));
	assert_int_equal(2, w->config.n_user_limits);
	l = config_limits(&w->config, 1000);
	assert_int_equal(1, l->heaps);
	assert_int_equal(8, l->sessions);
	assert_int_equal(3, l->parked);
	assert_int_equal(w->config.limits.bytes, l->bytes);
	l = config_limits(&w->config, getpwnam("nobody")->pw_uid);
	assert_int_equal(7, l->heaps);
	assert_int_equal(TIB, l->bytes);
	assert_int_equal(7, config_limits(&w->config, 1001)->heaps);
	l = config_limits(&w->config, 0);
	assert_true(l->sessions == UINT64_MAX && l->heaps == UINT64_MAX && l->bytes == UINT64_MAX &&
		    l->parked == UINT64_MAX);
}

static void test_heap_rules(void **state)
{
	static const char long_glob[] = "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-0123456789*";
	struct world *w = *state;
	const struct heap_rule *r;
	char text[512];

	(void)snprintf(text, sizeof(text),
		       "[heap \"video-[0-9]*\"] ; ours\nmode = 0660\ngroup = root\n[heap x;y*]\n"
		       "[heap \"%s\"]\nmode = 0\n[heap  \"video-[0-9]*\" ]\ngroup = 5\n",
		       long_glob);
	assert_int_equal(0, load(w, text));
	r = STAILQ_FIRST(&w->config.rules);
	assert_string_equal("video-[0-9]*", r->glob);
	assert_true(r->has_mode && r->has_group);
	assert_int_equal(0660, r->mode);
	assert_int_equal(0, r->group);
	r = STAILQ_NEXT(r, link);
	assert_string_equal("x;y*", r->glob);
	assert_false(r->has_mode || r->has_group);
	r = STAILQ_NEXT(r, link);
	assert_string_equal(long_glob, r->glob); /* inih alone would cut it at 50 bytes */
	assert_true(r->has_mode && !r->has_group);
	r = STAILQ_NEXT(r, link);
	assert_string_equal("video-[0-9]*", r->glob);
	assert_false(r->has_mode);
	assert_int_equal(5, r->group);
	assert_null(STAILQ_NEXT(r, link));
}

static void test_regions(void **state)
{
	struct world *w = *state;
	const struct config *c = &w->config;
	const struct region *g;

	assert_int_equal(0, load(w, "[region \"fast\"]\n"
				    "size = 64K\n"
				    "[heaps]\n"
				    "dma = /dev/none\n"
				    "dma = /dev/dma_heap/system\n" /* the last one holds */
				    "noncached = /dev/uio0\n"
				    "[region big]\n"
				    "fallback = no\n"
				    "huge_page = 1G\n"
				    "backing = huge\n"
				    "size = 3G\n"
				    "group = 5\n"
				    "[region \"dma.0\"] ; the other one\n"
				    "attribute = noncacheable\n"
				    "backing = huge\n"
				    "backing = /dev/uio0\n"
				    "size = 1\n"
				    "[region last]\n"
				    "size = 4T\n"
				    "backing = memory\n"
				    "attribute = cacheable"));
	assert_string_equal("", w->said);
	assert_string_equal("/dev/dma_heap/system", c->dma);
	assert_string_equal("/dev/uio0", c->noncached);
	assert_int_equal(4, c->n_regions);
	g = STAILQ_FIRST(&c->regions);
	assert_string_equal("fast", g->name);
	assert_int_equal(65536, g->size);
	assert_int_equal(WIRE_CACHEABLE, g->attribute);
	assert_int_equal(BACKING_MEMORY, g->backing.kind);
	assert_false(g->has_group);
	g = STAILQ_NEXT(g, link);
	assert_string_equal("big", g->name);
	assert_int_equal(BACKING_HUGE, g->backing.kind);
	assert_int_equal(GIB, g->backing.huge_page);
	assert_false(g->backing.fallback);
	assert_true(g->has_group);
	assert_int_equal(5, g->group);
	g = STAILQ_NEXT(g, link);
	assert_string_equal("dma.0", g->name);
	assert_int_equal(WIRE_NON_CACHEABLE, g->attribute);
	assert_int_equal(BACKING_DEVICE, g->backing.kind);
	assert_string_equal("/dev/uio0", g->backing.path);
	assert_ptr_equal(g, config_region(c, "dma.0"));
	g = STAILQ_NEXT(g, link);
	assert_int_equal(4 * TIB, g->size);
	assert_null(STAILQ_NEXT(g, link));
	assert_null(config_region(c, "dma"));

	assert_int_equal(0, load(w, "[region x]\nsize = 1M\nbacking = huge\n"));
	g = config_region(c, "x");
	assert_true(g->backing.fallback); /* unless told otherwise */
	assert_int_equal(0, g->backing.huge_page);
}

static void test_move(void **state)
{
	struct world *w = *state;
	struct config other;

	assert_int_equal(0, load(w, "[heap a]\n[heap b]\n[limits 1000]\nheaps = 1\n[daemon]\npriority = 7\n"
				    "[region r]\nsize = 1\nbacking = /x\n[region s]\nsize = 2\n[heaps]\ndma = /d\n"));
	config_move(&other, &w->config);
	assert_string_equal("/x", config_region(&other, "r")->backing.path);
	assert_int_equal(2, config_region(&other, "s")->size);
	assert_string_equal("/d", other.dma);
	assert_null(w->config.dma);
	assert_null(config_region(&w->config, "r"));
	assert_int_equal(7, other.priority);
	assert_int_equal(1, config_limits(&other, 1000)->heaps);
	assert_string_equal("b", STAILQ_NEXT(STAILQ_FIRST(&other.rules), link)->glob);
	assert_int_equal(0, w->config.priority);
	assert_true(STAILQ_EMPTY(&w->config.rules));
	assert_null(w->config.user_limits);
	config_move(&w->config, &other); /* and with no rules */
	config_deinit(&w->config);
	config_move(&other, &w->config);
	assert_true(STAILQ_EMPTY(&other.rules));
	assert_true(STAILQ_EMPTY(&other.regions));
	config_deinit(&other);
}

/* Each text has exactly one mistake; the log must be one line: "PATH:LINE: ... what". */
static void test_each_mistake(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *what;
	} mistakes[] = {
		{ "[deamon]\n", 1, "unknown section [deamon]; there are [daemon]" },
		{ "\n[deamon]\npriority = x\n", 2, "unknown section" }, /* its keys are not complained of */
		{ "[daemon]\n\nprio = 1\n", 3, "unknown key prio in [daemon]" },
		{ "[heaps]\npriority = 1\n", 2, "unknown key priority in [heaps]" },
		{ "[limits \"1000\"]\nmode = 0\n", 2, "unknown key mode in [limits \"1000\"]" },
		{ "priority = 1\n", 1, "before the first [section]" },
		{ "[daemon]\npriority\n", 2, "expected [section], key = value, or a comment" },
		{ "[daemon]\npriority = 1\n  junk\n", 3, "expected [section]" }, /* no continuation */
		{ "[daemon]\njunk", 2, "expected [section]" },
		{ "[daemon\n", 1, "must end with ]" },
		{ "[daemon] x\n", 1, "must end with ]" },
		{ "[daemon 5]\n", 1, "[daemon] takes no argument" },
		{ "[heap]\n", 1, "[heap] needs an argument" },
		{ "[heap \"\"]\n", 1, "[heap] needs an argument" },
		{ "[heap \"x]\n", 1, "closing quote" },
		{ "[heap x\"]\n", 1, "closing quote" },
		{ "[limits \"nobody-of-that-name\"]\nheaps = 1\n", 1, "no such user: nobody-of-that-name" },
		{ "[limits root]\n", 1, "root has no limits" },
		{ "[daemon]\npriority = 100\n", 2, "priority = 100: expected a real-time priority from 1 to 99" },
		{ "[daemon]\npriority = -1\n", 2, "expected a real-time priority" },
		{ "[daemon]\npriority = \n", 2, "expected a real-time priority" },
		{ "[daemon]\nlock_memory = maybe\n", 2, "expected yes or no" },
		{ "[daemon]\nlock_arenas = 2\n", 2, "expected yes or no" },
		{ "[daemon]\ntransparent_huge_pages = advise\n", 2, "expected yes or no" },
		{ "[daemon]\nio_uring = \n", 2, "expected yes or no" },
		{ "[daemon]\nrecall = 5\n", 2, "expected a time" },
		{ "[daemon]\nrecall = 11s\n", 2, "expected a time" },
		{ "[daemon]\nrecall = 0\n", 2, "expected a time" },
		{ "[daemon]\nsocket_mode = 0777\n", 2, "expected octal permissions" },
		{ "[daemon]\nsocket_mode = 0668\n", 2, "expected octal permissions" },
		{ "[heaps]\nmode = rw\n", 2, "expected octal permissions" },
		{ "[heaps]\nmax_size = 4095\n", 2, "expected a size from 4K to 4T" },
		{ "[heaps]\nmax_size = 5T\n", 2, "expected a size from 4K to 4T" },
		{ "[heaps]\nmax_size = 1X\n", 2, "expected a size" },
		{ "[heaps]\ncreate = no-group-of-that-name\n", 2, "expected all, or a group that exists" },
		{ "[heap x]\ngroup = no-group-of-that-name\n", 2, "expected a group that exists" },
		{ "[heap x]\nmode = 0700\n", 2, "expected octal permissions" },
		{ "[heaps]\ndma = uio0\n", 2, "dma = uio0: expected an absolute path" },
		{ "[heaps]\nnoncached =\n", 2, "expected an absolute path" },
		{ "[region]\nsize = 1\n", 1, "[region] needs an argument, as in [region \"video\"]" },
		{ "[region a/b]\nsize = 1\n", 1, "a region's name has" },
		{ "[region \"a b\"]\nsize = 1\n", 1, "a region's name has" },
		{ "[region a]\nsize = 1\n[region b]\nsize = 1\n[region a]\nsize = 2\n", 5,
		  "there is a [region \"a\"] already" },
		{ "\n[region a]\nbacking = memory\n\n", 2, "[region \"a\"] has no size" },
		{ "[region a]\n[region b]\nsize = 1\n", 1, "[region \"a\"] has no size" },
		{ "[region a]\nsize = 0\n", 2, "expected a size up to 4T" },
		{ "[region a]\nsize = 5T\n", 2, "expected a size up to 4T" },
		{ "[region a]\nsize = infinity\n", 2, "expected a size up to 4T" },
		{ "[region a]\nsize = 1\nattribute = cached\n", 3, "expected cacheable or noncacheable" },
		{ "[region a]\nsize = 1\nbacking = dev/uio0\n", 3, "expected memory, huge, or" },
		{ "[region a]\nsize = 1\nbacking =\n", 3, "expected memory, huge, or" },
		{ "[region a]\nsize = 1\nbacking = huge\nhuge_page = 3M\n", 4, "expected the size of huge" },
		{ "[region a]\nsize = 1\nbacking = huge\nhuge_page = 4K\n", 4, "expected the size of huge" },
		{ "[region a]\nsize = 1\nbacking = huge\nhuge_page = 32G\n", 4, "expected the size of huge" },
		{ "[region a]\nsize = 1\nbacking = huge\nfallback = 2\n", 4, "expected yes or no" },
		{ "\n[region a]\nsize = 1\nfallback = yes\n", 2, "go with backing = huge" },
		{ "[region a]\nsize = 1\nhuge_page = 2M\nbacking = /dev/x\n", 1, "go with backing = huge" },
		{ "[region a]\nsize = 1\ngroup = no-group-of-that-name\n", 3, "expected a group that exists" },
		{ "[region a]\nsize = 1\nmode = 0600\n", 3, "unknown key mode in [region a]" },
		{ "[limits]\nsessions = 1K\n", 2, "expected a number, or infinity" },
		{ "[limits]\nheaps = 99999999999999999999\n", 2, "expected a number" },
		{ "[limits]\nbytes = 99999999T\n", 2, "expected a size" },
		{ "[limits]\nparked = -5\n", 2, "expected a number" },
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
		char start[128];

		assert_int_equal(-EINVAL, load(w, mistakes[i].text));
		(void)snprintf(start, sizeof(start), "heapd: %s:%u: ", w->path, mistakes[i].line);
		if (strncmp(start, w->said, strlen(start)) != 0 || !strstr(w->said, mistakes[i].what) ||
		    count_lines(w->said) != 1)
			fail_msg("%s\nsaid: %swant: %s... %s", mistakes[i].text, w->said, start, mistakes[i].what);
		assert_int_equal(0, w->config.priority); /* nothing is left of it */
		assert_true(STAILQ_EMPTY(&w->config.rules));
		assert_null(w->config.user_limits);
		assert_true(STAILQ_EMPTY(&w->config.regions));
	}
}

/* All mistakes of a file are told, in order. */
static void test_all_mistakes(void **state)
{
	struct world *w = *state;
	const char *at = w->said;

	assert_int_equal(-EINVAL, load(w, "[daemon]\npriority = x\njunk\nmore junk\n[what]\na = b\n"
					  "[heaps]\nmode = 9\nmax_size = 1G\nunknown = 1\n[limits"));
	assert_int_equal(7, count_lines(w->said));
	for (unsigned i = 0; i < 7; i++) {
		static const unsigned line[] = { 2, 3, 4, 5, 8, 10, 11 };
		char want[128];

		(void)snprintf(want, sizeof(want), "%s:%u: ", w->path, line[i]);
		at = strstr(at, want);
		if (!at)
			fail_msg("line %u is missing in:\n%s", line[i], w->said);
	}
}

static void test_odd_files(void **state)
{
	struct world *w = *state;
	char text[1024];

	assert_int_equal(0, load(w, "\xef\xbb\xbf[daemon]\r\npriority = 3\r\n"));
	assert_int_equal(3, w->config.priority);

	assert_int_equal(-EINVAL, load_bytes(w, "[daemon]\npri\0ority = 3\n", 23));
	assert_non_null(strstr(w->said, ":2: a zero byte"));

	memset(text, 'x', sizeof(text));
	memcpy(text, "[daemon]\nrecall = 1ms", 21);
	text[sizeof(text) - 1] = '\n';
	assert_int_equal(-EINVAL, load_bytes(w, text, sizeof(text)));
	assert_non_null(strstr(w->said, ":2: the line is too long"));
	assert_int_equal(1, count_lines(w->said));

	memcpy(text, "[heap aaaaaaaaa", 15);
	text[sizeof(text) - 2] = ']';
	assert_int_equal(-EINVAL, load_bytes(w, text, sizeof(text)));
	assert_non_null(strstr(w->said, ":1: the section's name is too long"));
	assert_int_equal(1, count_lines(w->said));

	text[0] = '#'; /* a comment may be as long as it likes */
	assert_int_equal(0, load_bytes(w, text, sizeof(text)));
}

static void test_not_readable(void **state)
{
	struct world *w = *state;

	assert_int_equal(-ENOENT, load_path(w, "/nonexistent/heapd.conf"));
	assert_non_null(strstr(w->said, "/nonexistent/heapd.conf: No such file"));
	assert_int_equal(-EISDIR, load_path(w, "/"));
	assert_int_equal(1, count_lines(w->said));
}

/* ---- values ---- */

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		int result;
		uint64_t value;
	} sizes[] = {
		{ "0", 0, 0 }, { "4096", 0, 4096 }, { "1K", 0, 1024 }, { "3M", 0, 3 * MIB }, { "2g", 0, 2 * GIB },
		{ "1T", 0, TIB }, { "5KiB", 0, 5120 }, { "5 KB", 0, 5120 }, { "7B", 0, 7 }, { "infinity", 0, UINT64_MAX },
		{ "18446744073709551615", 0, UINT64_MAX }, { "18446744073709551616", -ERANGE, 0 },
		{ "16777216T", -ERANGE, 0 }, { "", -EINVAL, 0 }, { "K", -EINVAL, 0 }, { "-1", -EINVAL, 0 },
		{ "+1", -EINVAL, 0 }, { " 1", -EINVAL, 0 }, { "1.5G", -EINVAL, 0 }, { "1KK", -EINVAL, 0 },
		{ "0x10", -EINVAL, 0 }, { "1P", -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t n = 42;

		assert_int_equal(sizes[i].result, value_size(sizes[i].text, &n));
		assert_int_equal(sizes[i].result ? 42 : sizes[i].value, n);
	}
}

static void test_times(void **state)
{
	uint64_t ns = 42;

	(void)state;
	assert_int_equal(0, value_time("17us", &ns));
	assert_int_equal(17000, ns);
	assert_int_equal(0, value_time("3 s", &ns));
	assert_int_equal(3 * NSEC_PER_SEC, ns);
	assert_int_equal(0, value_time("9ns", &ns));
	assert_int_equal(9, ns);
	assert_int_equal(0, value_time("0", &ns));
	assert_int_equal(0, ns);
	assert_int_equal(-EINVAL, value_time("5", &ns));
	assert_int_equal(-EINVAL, value_time("5min", &ns));
	assert_int_equal(-ERANGE, value_time("99999999999s", &ns));
	assert_int_equal(0, ns);
}

static void test_modes(void **state)
{
	mode_t mode = 42;

	(void)state;
	assert_int_equal(0, value_mode("0", &mode));
	assert_int_equal(0, mode);
	assert_int_equal(0, value_mode("0646", &mode));
	assert_int_equal(0646, mode);
	assert_int_equal(-EINVAL, value_mode("", &mode));
	assert_int_equal(-EINVAL, value_mode("00666", &mode));
	assert_int_equal(-EINVAL, value_mode("0610", &mode));
	assert_int_equal(-EINVAL, value_mode("1600", &mode));
	assert_int_equal(-EINVAL, value_mode("0o60", &mode));
	assert_int_equal(0646, mode);
}

static void test_names(void **state)
{
	uid_t uid = 42;
	gid_t gid = 42;

	(void)state;
	assert_int_equal(0, value_user("root", &uid));
	assert_int_equal(0, uid);
	assert_int_equal(0, value_user("4294967294", &uid));
	assert_int_equal(4294967294u, uid);
	assert_int_equal(-ERANGE, value_user("4294967295", &uid)); /* "nobody asked" */
	assert_int_equal(-EINVAL, value_user("12x", &uid));
	assert_int_equal(-ENOENT, value_user("no such user", &uid));
	assert_int_equal(-ENOENT, value_user("", &uid));
	assert_int_equal(0, value_group("root", &gid));
	assert_int_equal(0, gid);
	assert_int_equal(-ENOENT, value_group("infinity", &gid));
}

#define CONFIG_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONFIG_TEST(test_defaults),
		CONFIG_TEST(test_everything),
		CONFIG_TEST(test_user_limits),
		CONFIG_TEST(test_heap_rules),
		CONFIG_TEST(test_regions),
		CONFIG_TEST(test_move),
		CONFIG_TEST(test_each_mistake),
		CONFIG_TEST(test_all_mistakes),
		CONFIG_TEST(test_odd_files),
		CONFIG_TEST(test_not_readable),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
