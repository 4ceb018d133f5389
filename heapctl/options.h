/*
 * options.h: what every subcommand is given
 *
 * The options that several subcommands share, as argp parsers that theirs name as children, and the
 * one way for a command to end badly. Plain values; nothing here talks to the daemon.
 */
#ifndef HEAPD_HEAPCTL_OPTIONS_H
#define HEAPD_HEAPCTL_OPTIONS_H

#include <argp.h>
#include "common/base.h"

/* How tables are written. */
struct style {
	bool json;
	bool bytes;         /* sizes in bytes, not in units people like */
	bool noheadings;
	bool colors;        /* stdout is a terminal and nobody said no */
	const char *output; /* columns by name, "a,b"; "+a,b" adds to the usual ones; NULL: the usual ones */
};

struct options {
	const char *socket; /* NULL: where the library looks */
	struct style style;
};

/* Children for a subcommand's argp; their input is the struct options. */
extern const struct argp argp_socket; /* --socket */
extern const struct argp argp_style;  /* --json, --bytes, --noheadings */
extern const struct argp argp_output; /* --output */

/* For a parser's ARGP_KEY_INIT: all its children get o. */
void options_to_children(struct argp_state *state, struct options *o, size_t n);

enum { EXIT_USAGE = 2 };

/* One line on stderr, "heapctl COMMAND: ...", and exit status 1. */
_Noreturn void fail(const char *fmt, ...) _printf_(1, 2);

/* As malloc's family, but they fail() when there is no memory. */
void *must_alloc(size_t n, size_t size); /* zeroed */
void *must_grow(void *p, size_t n, size_t size);

#endif
