/*
 * words.h: the protocol's numbers as words: kinds, modes, states, users
 *
 * Texts are static, or written into the caller's storage. Users and groups come from the system's
 * database, which may block.
 */
#ifndef HEAPD_HEAPCTL_WORDS_H
#define HEAPD_HEAPCTL_WORDS_H

#include <stdbool.h>
#include "proto/wire.h"

#define WORDS_SIZE 64

const char *kind_text(uint32_t kind);     /* "heap", "segment", ... "?" */
const char *state_text(uint32_t state);   /* "live", "committing", "deleted", "?" */
const char *backing_text(uint32_t backing); /* "memory", "huge", "device", "own", "?" */
const char *attribute_text(uint32_t attribute); /* "cacheable", "noncacheable", "?" */
const char *access_text(uint32_t access); /* "r", "rw", "-" */

/* The H_* bits: "fifo", "prio,shared", "fifo,single,dma". */
void mode_text(char out[WORDS_SIZE], uint32_t mode);

/* The name of a user or a group; the number where it has none. */
void user_text(char out[WORDS_SIZE], uint32_t uid);
void group_text(char out[WORDS_SIZE], uint32_t gid);

/* What a process calls itself, for a terminal. A label may hold any bytes above ASCII, and to a
 * terminal some of them are commands: each becomes a '?'. */
void label_text(char out[WORDS_SIZE], const char *label);

/* A name or a number. false: no such user or group. */
bool user_parse(const char *text, uint32_t *uid);
bool group_parse(const char *text, uint32_t *gid);

/* Mode bits in octal, rw only: 0 .. 0666. */
bool perm_parse(const char *text, uint32_t *perm);

#endif
