/*
 * name.c: what a heap may be called
 *
 * 1 to 63 bytes of printable ASCII without '/' and blanks, so that a name can stand in a path, a
 * log line or a command without quoting surprises. One namespace for the machine.
 */
#include "proto/codec.h"

int name_check(const char *name)
{
	size_t n = name ? strnlen(name, WIRE_NAME_SIZE) : 0;

	if (n > WIRE_NAME_MAX)
		return STATUS_NAME_TOO_LONG;
	for (size_t i = 0; i < n; i++)
		if (name[i] <= ' ' || name[i] >= 0x7f || name[i] == '/')
			return STATUS_INVALID;
	return n ? STATUS_OK : STATUS_INVALID;
}

void name_copy(char dst[WIRE_NAME_SIZE], const char *name)
{
	size_t n = strnlen(name, WIRE_NAME_MAX);

	memcpy(dst, name, n);
	memset(dst + n, 0, WIRE_NAME_SIZE - n);
}
