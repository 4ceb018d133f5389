/*
 * words.c: the protocol's numbers as words
 */
#include "heapctl/words.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>

#include "common/base.h"

const char *kind_text(uint32_t kind)
{
	static const char *const texts[KIND_LAST] = {
		[KIND_HEAP] = "heap",
		[KIND_SEGMENT] = "segment",
		[KIND_PARTITION] = "partition",
		[KIND_REGION] = "region",
		[KIND_POOL] = "pool",
	};

	return kind < KIND_LAST && texts[kind] ? texts[kind] : "?";
}

const char *state_text(uint32_t state)
{
	static const char *const texts[] = {
		[STATE_LIVE] = "live",
		[STATE_COMMITTING] = "committing",
		[STATE_DELETED] = "deleted",
	};

	return state < ARRAY_SIZE(texts) && texts[state] ? texts[state] : "?";
}

const char *backing_text(uint32_t backing)
{
	static const char *const texts[BACKING_LAST] = {
		[BACKING_MEMORY] = "memory",
		[BACKING_HUGE] = "huge",
		[BACKING_DEVICE] = "device",
		[BACKING_OWN] = "own",
	};

	return backing < BACKING_LAST && texts[backing] ? texts[backing] : "?";
}

const char *attribute_text(uint32_t attribute)
{
	static const char *const texts[WIRE_ATTRIBUTES] = {
		[WIRE_CACHEABLE] = "cacheable",
		[WIRE_NON_CACHEABLE] = "noncacheable",
	};

	return attribute < WIRE_ATTRIBUTES ? texts[attribute] : "?";
}

const char *access_text(uint32_t access)
{
	return access == ACCESS_WRITE ? "rw" : access == ACCESS_READ ? "r" : "-";
}

void mode_text(char out[WORDS_SIZE], uint32_t mode)
{
	const char *single = mode & WIRE_MODE_MAPPABLE ? ",shared" : ",single";

	(void)snprintf(out, WORDS_SIZE, "%s%s%s%s", mode & WIRE_MODE_PRIO ? "prio" : "fifo",
		       mode & WIRE_MODE_SINGLE ? single : "", mode & WIRE_MODE_DMA ? ",dma" : "",
		       mode & WIRE_MODE_NONCACHED ? ",noncached" : "");
}

/* The database is slow, and in a list the same few ids come again and again: the last one is
 * remembered. */
struct memory {
	bool known;
	uint32_t id;
	char text[WORDS_SIZE];
};

/* Whether out has been filled in from memory; if not, the caller looks up and calls remember(). */
static bool recall(const struct memory *m, uint32_t id, char out[WORDS_SIZE])
{
	if (m->known && m->id == id)
		memcpy(out, m->text, WORDS_SIZE);
	return m->known && m->id == id;
}

static void remember(struct memory *m, uint32_t id, const char *name, char out[WORDS_SIZE])
{
	*m = (struct memory){.known = true, .id = id};
	if (name)
		(void)snprintf(m->text, WORDS_SIZE, "%s", name);
	else
		(void)snprintf(m->text, WORDS_SIZE, "%u", id);
	memcpy(out, m->text, WORDS_SIZE);
}

void user_text(char out[WORDS_SIZE], uint32_t uid)
{
	static struct memory last;
	const struct passwd *pw;

	if (recall(&last, uid, out))
		return;
	pw = getpwuid(uid);
	remember(&last, uid, pw ? pw->pw_name : NULL, out);
}

void group_text(char out[WORDS_SIZE], uint32_t gid)
{
	static struct memory last;
	const struct group *gr;

	if (recall(&last, gid, out))
		return;
	gr = getgrgid(gid);
	remember(&last, gid, gr ? gr->gr_name : NULL, out);
}

void label_text(char out[WORDS_SIZE], const char *label)
{
	size_t i;

	for (i = 0; label[i] && i < WORDS_SIZE - 1; i++)
		out[i] = (unsigned char)label[i] < 0x80 ? label[i] : '?';
	out[i] = '\0';
}

/* UINT32_MAX is no id: it means "as it is" on the wire. */
static bool parse_number(const char *text, int base, uint32_t *out)
{
	unsigned long value;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoul(text, &end, base);
	*out = (uint32_t)value;
	return *end == '\0' && errno == 0 && value < UINT32_MAX;
}

bool user_parse(const char *text, uint32_t *uid)
{
	const struct passwd *pw = getpwnam(text);

	if (pw)
		*uid = pw->pw_uid;
	return pw || parse_number(text, 10, uid);
}

bool group_parse(const char *text, uint32_t *gid)
{
	const struct group *gr = getgrnam(text);

	if (gr)
		*gid = gr->gr_gid;
	return gr || parse_number(text, 10, gid);
}

bool perm_parse(const char *text, uint32_t *perm)
{
	return parse_number(text, 8, perm) && (*perm & ~UINT32_C(0666)) == 0;
}
