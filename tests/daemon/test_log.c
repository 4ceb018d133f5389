/* The log: whole lines, nothing that a client can put into it, no flood. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <cmocka.h>
#include "daemon/log.h"

static int before = -1, caught = -1;

static int setup(void **state)
{
	(void)state;
	before = dup(STDERR_FILENO);
	caught = memfd_create("stderr", MFD_CLOEXEC);
	return before < 0 || caught < 0 || dup2(caught, STDERR_FILENO) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)dup2(before, STDERR_FILENO);
	close_fd(&before);
	close_fd(&caught);
	return 0;
}

/* What has been logged since the last call. */
static const char *said(void)
{
	static char text[65536];
	ssize_t n = pread(caught, text, sizeof(text) - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	assert_int_equal(0, ftruncate(caught, 0));
	(void)lseek(caught, 0, SEEK_SET);
	return text;
}

static unsigned count(const char *text, char c)
{
	unsigned n = 0;

	for (; *text; text++)
		n += *text == c;
	return n;
}

static void test_line(void **state)
{
	(void)state;
	log_init(false);
	errno = EXDEV;
	log_info("%d of %s", 3, "them");
	assert_int_equal(EXDEV, errno);
	assert_string_equal("heapd: 3 of them\n", said());
	log_debug("not this");
	assert_string_equal("", said());
	log_init(true);
	log_debug("but this");
	assert_string_equal("heapd: but this\n", said());
}

/* A name with a newline must not make a second line, with a priority of its choice. */
static void test_control_characters(void **state)
{
	(void)state;
	log_init(false);
	log_warning("label %s", "a\n<0>b\x1b[31m\x7f\tc");
	assert_string_equal("heapd: label a?<0>b?[31m??c\n", said());
}

static void test_long_line_is_cut(void **state)
{
	char text[5000];
	const char *got;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	log_init(false);
	log_error("%s", text);
	got = said();
	assert_int_equal(1, count(got, '\n'));
	assert_true(strlen(got) > 900 && strlen(got) <= 1024);
	assert_int_equal('\n', got[strlen(got) - 1]);
}

static void test_prefix(void **state)
{
	char stream[64];
	struct stat st;

	(void)state;
	assert_int_equal(0, fstat(STDERR_FILENO, &st));
	(void)snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	(void)setenv("JOURNAL_STREAM", stream, 1);
	log_init(false);
	(void)unsetenv("JOURNAL_STREAM");
	log_error("a");
	log_notice("b");
	assert_string_equal("<3>a\n<5>b\n", said());
	log_plain();
	log_error("a");
	assert_string_equal("heapd: a\n", said());
}

static void flood(unsigned n)
{
	while (n--)
		log_limited(LOG_WARNING, "again");
}

static void test_limit(void **state)
{
	const struct timespec second = { 1, 50 * 1000 * 1000 };
	unsigned n;

	(void)state;
	log_init(false);
	flood(1000);
	n = count(said(), '\n');
	assert_true(n >= LOG_LIMIT_PER_SECOND && n <= 2 * LOG_LIMIT_PER_SECOND + 1); /* a second may end in between */
	(void)nanosleep(&second, NULL);
	flood(1);
	assert_non_null(strstr(said(), "lines like the next one were not logged\nheapd: again\n"));
}

/*
 * A socket that nobody reads: lines are lost, not waited for, and the first that gets through says
 * how many.
 */
static void test_lost_lines(void **state)
{
	char text[900], got[4096];
	const char *lost = NULL;
	int s[2];
	unsigned long sent = 0;
	ssize_t n;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, s));
	assert_int_equal(STDERR_FILENO, dup2(s[0], STDERR_FILENO));
	log_init(false);
	for (int i = 0; i < 5000; i++)
		log_info("%s", text);
	while ((n = recv(s[1], got, sizeof(got), MSG_DONTWAIT)) > 0)
		sent++;
	assert_true(sent > 0 && sent < 5000);
	log_info("now");
	n = recv(s[1], got, sizeof(got) - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	got[n] = '\0';
	lost = strstr(got, "heapd: ");
	assert_non_null(lost);
	assert_int_equal(5000 - sent, strtoul(lost + 7, NULL, 10));
	n = recv(s[1], got, sizeof(got) - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	got[n] = '\0';
	assert_string_equal("heapd: now\n", got);
	close_fd(&s[0]);
	close_fd(&s[1]);
}

#define LOG_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(test_line),
		LOG_TEST(test_control_characters),
		LOG_TEST(test_long_line_is_cut),
		LOG_TEST(test_prefix),
		LOG_TEST(test_limit),
		LOG_TEST(test_lost_lines),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
