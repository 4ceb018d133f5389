/*
 * One line to stderr. Each line is one write: lines never mix with another process's.
 * A pipe that polls writable takes PIPE_BUF (4096) bytes without blocking; a socket is asked not to
 * block. LINE_MAX_ stays below both.
 */
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include "daemon/log.h"

#define LINE_MAX_ 1024

static struct {
	bool debug, prefix, socket;
	unsigned long lost;
} logger;

/* Is stderr the stream that systemd made for us? It says which by device and inode. */
static bool stderr_is_journal(const struct stat *st)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;

	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 && dev == st->st_dev &&
	       ino == st->st_ino;
}

void log_init(bool debug)
{
	struct stat st;

	logger.debug = debug;
	logger.prefix = logger.socket = false;
	if (fstat(STDERR_FILENO, &st) < 0)
		return;
	logger.socket = S_ISSOCK(st.st_mode);
	logger.prefix = stderr_is_journal(&st);
}

void log_plain(void)
{
	logger.prefix = false;
}

static bool put(const char *line, size_t n)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (logger.socket)
		return send(STDERR_FILENO, line, n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)n;
	if (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT))
		return false;
	return write(STDERR_FILENO, line, n) == (ssize_t)n;
}

/* "<6>" or "heapd: " */
static size_t start(char *line, size_t size, int priority)
{
	int n = logger.prefix ? snprintf(line, size, "<%d>", priority) : snprintf(line, size, "heapd: ");

	return (size_t)n;
}

static void finish(char *line, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[n++] = '\n';
	if (!put(line, n))
		logger.lost++;
}

static void tell_lost(void)
{
	char line[LINE_MAX_];
	unsigned long lost = logger.lost;
	size_t n;

	if (!lost)
		return;
	n = start(line, sizeof(line), LOG_WARNING);
	n += (size_t)snprintf(line + n, sizeof(line) - n, "%lu log lines were lost: stderr was full", lost);
	logger.lost = 0;
	finish(line, n);
	if (logger.lost)
		logger.lost = lost;
}

void log_line(int priority, const char *fmt, ...)
{
	char line[LINE_MAX_];
	int saved = errno, r;
	size_t n, space;
	va_list args;

	if (priority > LOG_INFO && !logger.debug)
		return;
	tell_lost();
	n = start(line, sizeof(line), priority);
	space = sizeof(line) - 1 - n; /* 1: the newline takes the place of the final 0 */
	va_start(args, fmt);
	r = vsnprintf(line + n, space, fmt, args);
	va_end(args);
	if (r > 0)
		n += min_u64((uint64_t)r, space - 1);
	finish(line, n);
	errno = saved;
}

bool log_allowed(struct log_limit *l)
{
	uint64_t now = now_ns();

	if (!l->since_ns || now - l->since_ns >= NSEC_PER_SEC) {
		if (l->dropped)
			log_notice("%u lines like the next one were not logged", l->dropped);
		*l = (struct log_limit){ .since_ns = now };
	}
	if (l->n >= LOG_LIMIT_PER_SECOND) {
		l->dropped++;
		return false;
	}
	l->n++;
	return true;
}
