/*
 * log.h: one line to stderr, with sd-daemon's priority prefix when the journal reads it
 *
 * At run time a line above LOG_INFO means a client misbehaved or the machine is short of something.
 * A hostile client cannot flood the journal: log_limited() passes at most so many lines a second
 * for each call site. Nor can a reader who does not read block us: lines that stderr will not take
 * at once are lost, and the next line that gets through is preceded by how many.
 * For the loop's thread only.
 */
#ifndef HEAPD_DAEMON_LOG_H
#define HEAPD_DAEMON_LOG_H

#include <syslog.h>
#include "common/base.h"

/*
 * Prefixes are used when stderr is the journal's stream ($JOURNAL_STREAM). debug: LOG_DEBUG lines
 * too.
 */
void log_init(bool debug);
void log_plain(void); /* never prefixes (--foreground) */

/*
 * One line, without the newline. Control characters become '?', more than about 1000 bytes are cut.
 */
void log_line(int priority, const char *fmt, ...) _printf_(2, 3);

#define LOG_LIMIT_PER_SECOND 10

struct log_limit {
	uint64_t since_ns;
	unsigned n;
	unsigned dropped;
};
bool log_allowed(struct log_limit *l); /* false: this line is one too many in this second */

#define log_error(...) log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
#define log_limited(priority, ...) \
	do { \
		static struct log_limit limit_; \
		if (log_allowed(&limit_)) \
			log_line((priority), __VA_ARGS__); \
	} while (0)

#endif
