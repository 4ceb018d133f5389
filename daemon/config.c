/*
 * heapd.conf: lines
 *
 * inih tells neither line numbers (Debian builds it without) nor all errors, cuts sections at 50
 * bytes and ends them at the first ']', which globs contain. So we hand it the lines ourselves:
 * next_line() knows where we are, reads section lines, and sees a line that inih passed over in
 * silence. What sections and keys mean is draft.c's.
 */
#include "daemon/config.h"

#include <ctype.h>
#include <ini.h>
#include <stdio.h>
#include "config-heapd.h"
#include "daemon/draft.h"
#include "daemon/log.h"
#include "daemon/values.h"

static const struct limits no_limits = { UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX };

struct reader {
	struct draft draft;
	const char *path;
	FILE *file;
	char *line; /* getline's */
	size_t line_space;
	unsigned line_no;
	unsigned section_line_no; /* of the section we are in */
	int n_errors;   /* mistakes in the file */
	int failure;    /* -errno of reading it */
	bool unclaimed; /* the last line is a "key = value" that inih has not given us */
};

static void wrong(void *ctx, const char *text)
{
	struct reader *r = ctx;

	log_error("%s:%u: %s", r->path, r->line_no, text);
	r->n_errors++;
}

static int on_key(void *ctx, _unused_ const char *section, const char *name, const char *value)
{
	struct reader *r = ctx;

	r->unclaimed = false;
	draft_key(&r->draft, name, value);
	return 1;
}

/* What is wrong with a section as a whole is told with its own line. */
static void end_section(struct reader *r)
{
	unsigned here = r->line_no;

	r->line_no = r->section_line_no;
	draft_section_end(&r->draft);
	r->line_no = here;
}

/* "[...]", perhaps with a comment behind. text is ours to cut. */
static void section_line(struct reader *r, char *text)
{
	char *end = strrchr(text, ']'), *comment = strstr(text, "];");

	if (!comment)
		comment = strstr(text, "] ;");
	if (comment)
		end = comment;
	end_section(r);
	r->section_line_no = r->line_no;
	draft_section_unknown(&r->draft);
	if (!end || (!comment && end[1 + strspn(end + 1, " \t")])) {
		wrong(r, "a section's line must end with ]");
		return;
	}
	*end = '\0';
	if (end - text - 1 > DRAFT_SECTION_MAX) {
		wrong(r, "the section's name is too long");
		return;
	}
	draft_section(&r->draft, text + 1);
}

static void check_claimed(struct reader *r)
{
	if (r->unclaimed)
		wrong(r, "expected [section], key = value, or a comment");
	r->unclaimed = false;
}

/* fgets for inih: the next line without its indentation (which inih takes for a continuation). */
static char *next_line(char *buf, int size, void *stream)
{
	struct reader *r = stream;
	ssize_t n;
	char *text;

	check_claimed(r);
	errno = 0;
	n = getline(&r->line, &r->line_space, r->file);
	if (n < 0) {
		r->failure = -errno; /* 0: the end */
		return NULL;
	}
	r->line_no++;
	buf[0] = '\n';
	buf[1] = '\0';
	if (strlen(r->line) != (size_t)n) {
		wrong(r, "a zero byte; is this a text file?");
		return buf;
	}
	while (n && isspace((unsigned char)r->line[n - 1]))
		r->line[--n] = '\0';
	text = r->line;
	if (r->line_no == 1 && !strncmp(text, "\xef\xbb\xbf", 3))
		text += 3;
	text += strspn(text, " \t\r\v\f");
	if (!*text || *text == ';' || *text == '#')
		return buf;
	if (*text == '[') {
		section_line(r, text);
		return buf; /* inih need not know */
	}
	if (strlen(text) + 2 > (size_t)size) {
		wrong(r, "the line is too long");
		return buf;
	}
	r->unclaimed = true;
	(void)snprintf(buf, (size_t)size, "%s\n", text);
	return buf;
}

static int parse(struct config *c, const char *path, FILE *file)
{
	struct reader r = { .path = path, .file = file };
	int e;

	draft_init(&r.draft, c, wrong, &r);
	e = ini_parse_stream(next_line, &r, on_key, &r);
	check_claimed(&r);
	end_section(&r);
	if (e < -1)
		e = -ENOMEM; /* inih: -2 */
	else if (r.failure)
		e = r.failure;
	else
		e = r.n_errors ? -EINVAL : draft_finish(&r.draft);
	if (e < 0 && e != -EINVAL)
		log_error("%s: %s", path, strerror(-e));
	draft_deinit(&r.draft);
	free(r.line);
	return e;
}

int config_load(struct config *c, const char *path)
{
	const char *name = path ? path : HEAPD_CONFIG_PATH;
	FILE *file = fopen(name, "re");
	int r;

	if (!file) {
		r = -errno;
		if (!path && r == -ENOENT)
			return 0;
		log_error("%s: %s", name, strerror(-r));
		return r;
	}
	r = parse(c, name, file);
	if (r < 0)
		config_deinit(c);
	(void)fclose(file);
	return r;
}

static uint64_t built_in_size(const char *text)
{
	uint64_t n = 0;
	int r = value_size(text, &n);

	assert(!r && "meson_options.txt: limit_bytes and default_max_heap are sizes");
	(void)r;
	return n;
}

void config_init(struct config *c)
{
	*c = (struct config){
		.lock_arenas = true,
		.transparent_huge_pages = true,
		.io_uring = true,
		.recall_ns = 5 * NSEC_PER_MSEC,
		.socket_mode = 0666,
		.default_mode = 0600,
		.max_size = built_in_size(DEFAULT_MAX_HEAP) & ~(uint64_t)(HW_PAGE_SIZE - 1),
		.create_all = true,
		.limits = {
			.sessions = LIMIT_SESSIONS,
			.heaps = LIMIT_HEAPS,
			.bytes = built_in_size(LIMIT_BYTES),
			.parked = LIMIT_PARKED,
		},
	};
	STAILQ_INIT(&c->rules);
	STAILQ_INIT(&c->regions);
}

void config_deinit(struct config *c)
{
	struct heap_rule *rule;
	struct region *region;

	while ((rule = STAILQ_FIRST(&c->rules))) {
		STAILQ_REMOVE_HEAD(&c->rules, link);
		free(rule->glob);
		free(rule);
	}
	while ((region = STAILQ_FIRST(&c->regions))) {
		STAILQ_REMOVE_HEAD(&c->regions, link);
		free(region->backing.path);
		free(region);
	}
	free(c->dma);
	free(c->noncached);
	free(c->user_limits);
	config_init(c);
}

void config_move(struct config *to, struct config *from)
{
	*to = *from;
	STAILQ_INIT(&to->rules);
	STAILQ_CONCAT(&to->rules, &from->rules);
	STAILQ_INIT(&to->regions);
	STAILQ_CONCAT(&to->regions, &from->regions);
	config_init(from);
}

struct region *config_region(const struct config *c, const char *name)
{
	struct region *region;

	STAILQ_FOREACH(region, &c->regions, link) {
		if (!strcmp(region->name, name))
			break;
	}
	return region;
}

const struct limits *config_limits(const struct config *c, uid_t uid)
{
	if (!uid)
		return &no_limits;
	for (size_t i = 0; i < c->n_user_limits; i++)
		if (c->user_limits[i].uid == uid)
			return &c->user_limits[i].limits;
	return &c->limits;
}
