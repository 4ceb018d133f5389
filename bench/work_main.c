/*
 * work_main.c: bench-STORE WORK [NAME=VALUE...]: does one work and prints one line of JSON
 *
 * The values are those of struct plan (plan.h). Exit status: 0; 1, it failed; 2, usage; 77, the
 * store has no such blocks.
 */
#include <dlfcn.h>

#include "bench/store.h"
#include "bench/team.h"

enum { EXIT_USAGE = 2, EXIT_SKIP = 77 };

static const struct {
	const char *name;
	int (*run)(const struct plan *plan, struct outcome *out);
} works[] = {
	{ "pair", work_pair },
	{ "replace", work_replace },
	{ "queue", work_queue },
	{ "latency", work_latency },
};

static const struct {
	const char *name;
	size_t offset;
	uint64_t min, max;
} values[] = {
	{ "size", offsetof(struct plan, size), 8, 1 << 20 },
	{ "size_max", offsetof(struct plan, size_max), 0, 1 << 20 },
	{ "live", offsetof(struct plan, live), 0, 1 << 24 },
	{ "threads", offsetof(struct plan, threads), 1, THREADS_MAX },
	{ "heap", offsetof(struct plan, heap), 0, UINT64_C(1) << 40 },
	{ "heaps", offsetof(struct plan, heaps), 1, 1 << 16 },
	{ "ms", offsetof(struct plan, ms), 1, 600000 },
	{ "pairs", offsetof(struct plan, pairs), 0, UINT64_C(1) << 40 },
	{ "rt", offsetof(struct plan, rt), 0, 1 },
};

static uint64_t *value_of(struct plan *plan, size_t i)
{
	return (uint64_t *)(void *)((char *)plan + values[i].offset);
}

/* 0, or -EINVAL for a name that is none, a value that is no number or out of its range. */
static int parse(struct plan *plan, const char *arg)
{
	const char *equals = strchr(arg, '=');
	char *end;
	uint64_t v;

	if (!equals || equals[1] < '0' || equals[1] > '9')
		return -EINVAL;
	errno = 0;
	v = strtoull(equals + 1, &end, 10);
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		if (strlen(values[i].name) != (size_t)(equals - arg) ||
		    strncmp(values[i].name, arg, (size_t)(equals - arg)) != 0)
			continue;
		if (errno || *end || v < values[i].min || v > values[i].max)
			return -EINVAL;
		*value_of(plan, i) = v;
		return 0;
	}
	return -EINVAL;
}

static void usage(void)
{
	(void)fprintf(stderr, "usage: bench-" STORE_NAME " WORK [NAME=VALUE...]\nworks:");
	for (size_t i = 0; i < ARRAY_SIZE(works); i++)
		(void)fprintf(stderr, " %s", works[i].name);
	(void)fprintf(stderr, "\nvalues:\n");
	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		(void)fprintf(stderr, "  %-8s %llu to %llu\n", values[i].name,
			      (unsigned long long)values[i].min, (unsigned long long)values[i].max);
	exit(EXIT_USAGE);
}

/*
 * Prints which library answers. That it is the one this program is named after is looked at, not
 * believed: a linker that left it out would have us measure glibc under another name.
 */
static void print_library(void)
{
	const void *symbol = store_symbol();
	const char *library = "inline", *slash;
	Dl_info info;

	if (symbol) {
		plan_must(dladdr(symbol, &info) && info.dli_fname ? 0 : -ENOENT, "its library");
		slash = strrchr(info.dli_fname, '/');
		library = slash ? slash + 1 : info.dli_fname;
		if (strncmp(library, STORE_LIBRARY, strlen(STORE_LIBRARY)) != 0) {
			(void)fprintf(stderr, "bench-" STORE_NAME ": %s answers\n", library);
			exit(1);
		}
	}
	printf(", \"library\": \"%s\"", library);
}

static int (*work_of(const char *name))(const struct plan *, struct outcome *)
{
	for (size_t i = 0; i < ARRAY_SIZE(works); i++) {
		if (strcmp(name, works[i].name) == 0)
			return works[i].run;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct plan plan = { .size = 64, .threads = 1, .heaps = 1, .ms = 100 };
	int (*work)(const struct plan *, struct outcome *);
	struct outcome out;
	int r;

	work = argc > 1 ? work_of(argv[1]) : NULL;
	if (!work)
		usage();
	plan.work = argv[1];
	for (int i = 2; i < argc; i++) {
		if (parse(&plan, argv[i]) < 0) {
			(void)fprintf(stderr, "bench-" STORE_NAME ": not understood: %s\n",
				      argv[i]);
			usage();
		}
	}
	if (plan.size_max && plan.size_max < plan.size)
		usage();
	team_begin();
	r = store_begin(&plan);
	if (r == -EOPNOTSUPP)
		return EXIT_SKIP;
	plan_must(r, "the store");
	printf("{\"store\": \"" STORE_NAME "\", \"work\": \"%s\"", plan.work);
	print_library();
	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		printf(", \"%s\": %llu", values[i].name, (unsigned long long)*value_of(&plan, i));
	plan_must(work(&plan, &out), plan.work);
	printf(", \"ns\": %.3f, \"done\": %llu, \"faults\": %llu, \"preempted\": %llu, \"cpus\": %llu}\n", out.ns,
	       (unsigned long long)out.pairs, (unsigned long long)out.faults,
	       (unsigned long long)out.preempted, (unsigned long long)out.cpus);
	return 0;
}
