/*
 * Story: how large the pool is: what a program says, what its environment says, and what is wrong
 * with that
 */
#include <sys/stat.h>
#include <sys/wait.h>
#include "tests/story/pool_steps.h"

/* Runs a client of that way; its output and its complaints come back together. */
static const char *run_at(const char *path)
{
	static char text[4096];
	char command[512];
	size_t n;
	FILE *f;

	(void)snprintf(command, sizeof(command), "exec '%s' 2>&1", path);
	f = popen(command, "r");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	assert_int_equal(0, pclose(f));
	return text;
}

static const char *path_of(const char *way)
{
	static char path[256];
	const char *dir = getenv("KMALLOC_CLIENTS");

	if (!dir)
		story_skip("KMALLOC_CLIENTS is not set");
	(void)snprintf(path, sizeof(path), "%s/kmalloc-%s", dir, way);
	return path;
}

static const char *run(const char *way)
{
	return run_at(path_of(way));
}

/* What a client says that has a pool of n blocks of 64 bytes, and had it before main(). */
static const char *ready(int n)
{
	static char text[128];

	(void)snprintf(text, sizeof(text), "connected 1 early 1 init 0 blocks %d errno %d\n", n,
		       ENOMEM);
	return text;
}

static const char *without(int error)
{
	static char text[128];

	(void)snprintf(text, sizeof(text), "connected 0 early 0 init %d blocks 0 errno %d\n", error,
		       error);
	return text;
}

static void the_program_says_it(void)
{
	heapd_start("");
	pool_environment(NULL);
	assert_string_equal(ready(16), run("macro"));
	assert_string_equal(ready(16), run("config"));
	assert_string_equal(ready(16), run("static"));
}

/* "By default, the heap memory pool size is zero bytes": no pool, and nobody is asked for one. */
static void without_a_word_there_is_none(void)
{
	heapd_start("");
	pool_environment(NULL);
	assert_string_equal(without(ENOMEM), run("bare"));
	assert_string_equal(without(ENOMEM), run("zero"));
	pool_environment("");
	assert_string_equal(without(ENOMEM), run("bare"));
	assert_string_equal(ready(16), run("macro"));
}

static void the_environment_wins(void)
{
	static const struct {
		const char *size;
		int blocks;
	} sizes[] = {{"256", 4}, {"1024", 16}, {"4096", 64}, {"16384", 256}, {"0256", 4}};
	static const char *const ways[] = {"bare", "macro", "config", "zero", "static"};

	heapd_start("");
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		pool_environment(sizes[i].size);
		for (size_t w = 0; w < ARRAY_SIZE(ways); w++)
			assert_string_equal(ready(sizes[i].blocks), run(ways[w]));
	}
	pool_environment("0");
	for (size_t w = 0; w < ARRAY_SIZE(ways); w++)
		assert_string_equal(without(ENOMEM), run(ways[w]));
}

/* One line on stderr, whatever is called how often, and no pool. */
static void what_the_environment_may_not_say(void)
{
	static const char *const wrong[] = {
	    "1",
	    "64",
	    "255",
	    "512",
	    "2048",
	    "65536",
	    "1024 ",
	    " 1024",
	    "1k",
	    "4K",
	    "0x400",
	    "-256",
	    "+256",
	    "1e3",
	    "none",
	    "256,1024",
	    "18446744073709551872",
	    "4294967552",
	    "99999999999999999999999999999999999999999999999999999999"};
	static const char *const ways[] = {"bare", "macro", "config"};
	char expected[512];

	heapd_start("");
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		(void)snprintf(expected, sizeof(expected),
			       "heapclient: CONFIG_HEAP_MEM_POOL_SIZE=%.40s: not a size of the "
			       "heap memory pool (0, "
			       "256, 1024, 4096 or 16384); there is no pool\n%s",
			       wrong[i], without(EINVAL));
		pool_environment(wrong[i]);
		for (size_t w = 0; w < ARRAY_SIZE(ways); w++)
			assert_string_equal(expected, run(ways[w]));
	}
}

/* Whatever stands there, it is one line that a terminal can take. */
static void what_the_environment_may_not_do(void)
{
	const char *text;

	heapd_start("");
	pool_environment("25\n6\x1b[2J");
	text = run("bare");
	assert_non_null(strstr(text, "CONFIG_HEAP_MEM_POOL_SIZE=25: not a size"));
	assert_string_equal(without(EINVAL), strchr(text, '\n') + 1);
}

static void two_sizes_in_one_program(void)
{
	const char *text;

	heapd_start("");
	pool_environment(NULL);
	text = run("two");
	assert_non_null(strstr(text, "two sizes of the heap memory pool"));
	text = strchr(text, '\n') + 1; /* one line, and the client's */
	assert_true(strcmp(text, ready(16)) == 0 || strcmp(text, ready(64)) == 0);
}

static void without_heapd_the_program_starts_all_the_same(void)
{
	pool_environment(NULL);
	assert_string_equal(without(ECONNREFUSED), run("macro"));
	assert_string_equal(without(ECONNREFUSED), run("config"));
	pool_environment("4096");
	assert_string_equal(without(ECONNREFUSED), run("bare"));
}

/* A program that runs as another user than the one who started it does not look at the environment.
 */
static void set_user_id(void)
{
	char copy[256], command[600];

	story_needs_root();
	if (STORY_ASAN)
		story_skip("a program that checks for leaks may not be set-user-ID");
	heapd_start("");
	(void)snprintf(copy, sizeof(copy), "%s/client", story_dir());
	(void)snprintf(command, sizeof(command), "cp '%s' '%s'", path_of("static"), copy);
	assert_int_equal(0, system(command));
	assert_int_equal(0, chown(copy, 65001, 65001));
	assert_int_equal(0, chmod(copy, 06755));
	pool_environment("512");
	/* HEAPD_SOCKET is not looked at either, so there is no pool; but not a word on the size */
	assert_null(strstr(run_at(copy), "not a size"));
	assert_non_null(strstr(run_at(path_of("static")), "not a size"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    STORY(the_program_says_it),
	    STORY(without_a_word_there_is_none),
	    STORY(the_environment_wins),
	    STORY(what_the_environment_may_not_say),
	    STORY(what_the_environment_may_not_do),
	    STORY(two_sizes_in_one_program),
	    STORY(without_heapd_the_program_starts_all_the_same),
	    STORY(set_user_id),
	};

	return cmocka_run_group_tests_name("kmalloc_sizes", tests, NULL, NULL);
}
