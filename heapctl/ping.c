/*
 * ping.c: heapctl ping: the way to the daemon and back
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "heapctl/ask.h"
#include "heapctl/command.h"
#include "heapctl/json.h"

#define COUNT_MAX 1000000

struct pinging {
	struct options *options;
	size_t count;
};

static const struct argp_option options[] = {
	{.name = "count", .key = 'c', .arg = "N", .doc = "So many times (1000)"},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct pinging *p = state->input;
	char *end;

	switch (key) {
	case ARGP_KEY_INIT:
		options_to_children(state, p->options, 2);
		return 0;
	case 'c':
		errno = 0;
		p->count = strtoul(arg, &end, 10);
		if (errno || *end || *arg < '0' || *arg > '9' || p->count < 1 ||
		    p->count > COUNT_MAX)
			argp_error(state, "%s: not a number from 1 to %d", arg, COUNT_MAX);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "no argument is due");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_child children[] = {{.argp = &argp_style}, {.argp = &argp_socket}, {0}};
static const struct argp argp = {
	.options = options,
	.parser = parse,
	.children = children,
	.doc = "Measures the round trip of the smallest request.",
};

static uint64_t ping(struct ask *a)
{
	struct frame f;
	struct wire_ping *body = frame_init(&f, OP_PING, 0, 0, sizeof(*body));
	uint64_t start = now_ns();
	uint32_t status = ask_call(a, &f);

	if (status != STATUS_OK)
		fail("%s", status_text(status));
	return now_ns() - start;
}

static int compare(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

	return (a > b) - (a < b);
}

static void print(const uint64_t *ns, size_t n, bool as_json)
{
	static const struct {
		const char *key;
		size_t thousandths;
	} marks[] = {{"min", 0}, {"median", 500}, {"p99", 990}, {"max", 1000}};
	struct json j;

	if (as_json) {
		json_init(&j, stdout);
		json_object(&j, NULL);
		json_number(&j, "count", n);
	} else {
		(void)printf("%zu round trips", n);
	}
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		uint64_t value = ns[(n - 1) * marks[i].thousandths / 1000];

		if (as_json) {
			char key[16];

			(void)snprintf(key, sizeof(key), "%s_ns", marks[i].key);
			json_number(&j, key, value);
		} else {
			(void)printf(", %s %" PRIu64 ".%03" PRIu64 " us", marks[i].key,
				     value / 1000, value % 1000);
		}
	}
	if (as_json)
		json_end(&j);
	else
		(void)putchar('\n');
}

int command_ping(int argc, char **argv, struct options *o)
{
	struct pinging p = {.options = o, .count = 1000};
	uint64_t *ns;
	struct ask a;

	(void)argp_parse(&argp, argc, argv, 0, NULL, &p);
	ask_open(&a, o);
	ns = must_alloc(p.count, sizeof(*ns));
	for (size_t i = 0; i < p.count; i++)
		ns[i] = ping(&a);
	qsort(ns, p.count, sizeof(*ns), compare);
	print(ns, p.count, o->style.json);
	free(ns);
	ask_close(&a);
	return EXIT_SUCCESS;
}
