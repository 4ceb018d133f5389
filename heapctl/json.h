/*
 * json.h: writes one JSON document
 *
 * Objects and arrays nest; the writer puts the commas and the indentation. What comes out is valid
 * JSON and UTF-8 whatever the texts hold: bytes that are no UTF-8 become U+FFFD. Writes to a stream
 * and keeps nothing.
 */
#ifndef HEAPD_HEAPCTL_JSON_H
#define HEAPD_HEAPCTL_JSON_H

#include <stdio.h>
#include "common/base.h"

#define JSON_DEPTH_MAX 16

struct json {
	FILE *out;
	unsigned depth;
	char close[JSON_DEPTH_MAX];
	bool some[JSON_DEPTH_MAX + 1]; /* something stands at this depth already */
};

void json_init(struct json *j, FILE *out);

/* key: NULL in an array and for the document itself. */
void json_object(struct json *j, const char *key);
void json_array(struct json *j, const char *key);
void json_end(struct json *j); /* the innermost object or array; of the outermost one: and a newline */

void json_text(struct json *j, const char *key, const char *text); /* NULL: null */
void json_number(struct json *j, const char *key, uint64_t value);
void json_digits(struct json *j, const char *key, const char *number); /* a number in its text form */

#endif
