/*
 * screen.c: a terminal taken over for a while
 *
 * Plain ANSI: what every terminal of the last decades knows. Signals that end the process set a
 * flag that screen_key sees, so that the terminal is never left raw by them.
 */
#include "heapctl/screen.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>

static struct termios before;
static bool is_open;
static volatile sig_atomic_t ending;

static void on_end(int signo)
{
	ending = signo;
}

static void on_resize(int signo)
{
	(void)signo; /* poll returns; that is all */
}

void screen_close(void)
{
	if (!is_open)
		return;
	is_open = false;
	(void)fputs("\033[?25h\033[?1049l", stdout); /* cursor on, ordinary screen */
	(void)fflush(stdout);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
}

void screen_open(void)
{
	const struct sigaction end = {.sa_handler = on_end};
	const struct sigaction resize = {.sa_handler = on_resize};
	static bool at_exit;
	struct termios raw;

	(void)sigaction(SIGINT, &end, NULL);
	(void)sigaction(SIGTERM, &end, NULL);
	(void)sigaction(SIGHUP, &end, NULL);
	(void)sigaction(SIGWINCH, &resize, NULL);
	if (tcgetattr(STDIN_FILENO, &before) == 0) {
		raw = before;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
	}
	if (!at_exit)
		at_exit = atexit(screen_close) == 0;
	is_open = true;
	(void)fputs("\033[?1049h\033[?25l", stdout);
}

void screen_size(unsigned *rows, unsigned *columns)
{
	struct winsize w;
	bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row && w.ws_col;

	*rows = known ? w.ws_row : 24;
	*columns = known ? w.ws_col : 80;
}

/* Prints one line up to the edge. Colour sequences take no room; a character of several bytes takes
 * one column. */
static void show_line(const char *text, size_t length, unsigned columns)
{
	unsigned at = 0;

	(void)fputs("\033[K", stdout); /* first: at the right edge it would take the last character along */
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\033') {
			size_t end = i;

			while (end < length && text[end] != 'm')
				end++;
			(void)fwrite(text + i, 1, end - i + (end < length), stdout);
			i = end;
			continue;
		}
		if ((c & 0xc0) != 0x80 && at++ >= columns)
			continue;
		if (at <= columns)
			(void)fputc(c, stdout);
	}
	(void)fputs("\033[0m", stdout);
}

void screen_show(const char *text)
{
	unsigned rows, columns, row;

	screen_size(&rows, &columns);
	(void)fputs("\033[H", stdout);
	for (row = 0; *text && row < rows; row++) {
		size_t length = strcspn(text, "\n");

		if (row)
			(void)fputc('\n', stdout);
		show_line(text, length, columns);
		text += length + (text[length] == '\n');
	}
	if (row < rows)
		(void)fputs("\n\033[J", stdout);
	(void)fflush(stdout);
}

int screen_key(uint64_t wait_ns)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	const struct timespec wait = {
		.tv_sec = (time_t)(wait_ns / NSEC_PER_SEC),
		.tv_nsec = (long)(wait_ns % NSEC_PER_SEC),
	};
	char key;
	int n = ending ? 0 : ppoll(&in, 1, &wait, NULL);

	if (ending)
		return -1;
	if (n <= 0)
		return 0;
	return read(STDIN_FILENO, &key, 1) == 1 ? key : -1;
}
