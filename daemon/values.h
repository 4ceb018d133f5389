/*
 * values.h: what may stand to the right of '=' in heapd.conf
 *
 * Each parser takes the whole text or fails with -EINVAL and leaves *out alone; -ERANGE if the text
 * is well-formed but too large for the type. No parser logs. "infinity" is UINT64_MAX where said.
 */
#ifndef HEAPD_DAEMON_VALUES_H
#define HEAPD_DAEMON_VALUES_H

#include <sys/types.h>
#include "common/base.h"

int value_bool(const char *text, bool *out);        /* yes no true false on off 1 0, any case */
int value_count(const char *text, uint64_t *out);   /* decimal digits, or infinity */
int value_size(const char *text, uint64_t *out);    /* digits and K, M, G or T (1024s, "KiB", "KB" too), or infinity */
int value_time(const char *text, uint64_t *out_ns); /* digits and ns, us, ms or s; the unit is needed but for 0 */
int value_mode(const char *text, mode_t *out);      /* octal digits, rw bits only: 0 .. 0666 */
int value_user(const char *text, uid_t *out);       /* a name or a number; -ENOENT: no such user. May block (NSS) */
int value_group(const char *text, gid_t *out);      /* likewise */

#endif
