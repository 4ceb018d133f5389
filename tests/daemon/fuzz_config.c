/*
 * Any bytes as a heapd.conf: nothing breaks, what is accepted is in range, what is refused is told
 * with a line that exists, and leaves the defaults.
 */
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include "common/pages.h"
#include "daemon/config.h"
#include "daemon/log.h"
#include "proto/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned n_errors, n_lines;
static char path[32];

/* In place of log.c: looks at what would be logged. */
void log_line(int priority, const char *fmt, ...)
{
	char text[512];
	unsigned line;
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (priority != LOG_ERR || strncmp(text, path, strlen(path)) != 0)
		abort();
	if (sscanf(text + strlen(path), ":%u: ", &line) != 1 || line < 1 || line > n_lines)
		abort();
	n_errors++;
}

static void need(bool condition)
{
	if (!condition)
		abort();
}

static void check_defaults(const struct config *c)
{
	struct config d;

	config_init(&d);
	need(c->priority == d.priority && c->max_size == d.max_size && c->recall_ns == d.recall_ns);
	need(STAILQ_EMPTY(&c->regions) && !c->n_regions && !c->dma && !c->noncached);
	need(STAILQ_EMPTY(&c->rules) && !c->user_limits && !c->n_user_limits);
}

static void check_ranges(const struct config *c)
{
	const struct heap_rule *rule;
	const struct region *g;
	size_t n = 0;

	need(c->priority >= 0 && c->priority <= 99);
	need(c->recall_ns > 0 && c->recall_ns <= 10 * NSEC_PER_SEC);
	need(!(c->socket_mode & ~0666u) && !(c->default_mode & ~0666u));
	need(c->max_size >= HW_PAGE_SIZE && !(c->max_size % HW_PAGE_SIZE) &&
	     c->max_size / HW_PAGE_SIZE <= PAGES_MAX);
	STAILQ_FOREACH(rule, &c->rules, link)
		need(rule->glob && *rule->glob && !(rule->mode & ~0666u));
	STAILQ_FOREACH(g, &c->regions, link) {
		need(name_check(g->name) == STATUS_OK && config_region(c, g->name) == g);
		need(g->size && g->size / HW_PAGE_SIZE <= PAGES_MAX && g->attribute < WIRE_ATTRIBUTES);
		need(g->backing.kind < BACKING_OWN && !(g->backing.huge_page & (g->backing.huge_page - 1)));
		need((g->backing.kind == BACKING_DEVICE) == (g->backing.path != NULL));
		need(!g->backing.path || *g->backing.path == '/');
		n++;
	}
	need(n == c->n_regions);
	need((!c->dma || *c->dma == '/') && (!c->noncached || *c->noncached == '/'));
	for (size_t i = 0; i < c->n_user_limits; i++)
		need(config_limits(c, c->user_limits[i].uid) == &c->user_limits[i].limits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_fd_ int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct config c;
	int r;

	need(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n_errors = 0;
	n_lines = 1;
	for (size_t i = 0; i < size; i++)
		n_lines += data[i] == '\n';
	config_init(&c);
	r = config_load(&c, path);
	need(r == (n_errors ? -EINVAL : 0));
	if (r)
		check_defaults(&c);
	else
		check_ranges(&c);
	config_deinit(&c);
	return 0;
}
