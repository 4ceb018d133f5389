/*
 * status.c: the one table behind status.h
 *
 * A row for each value of the enum: the errno the interfaces turn it into and the words people
 * read. Not here: which status an operation may end with (codec.c for the wire, docs/protocol.md
 * for people).
 */
#include "proto/status.h"

#include "common/base.h"

static const struct {
	int err;
	const char *text;
} answers[] = {
	[STATUS_OK] = {.err = 0, .text = "done"},
	[STATUS_PARKED] = {.err = EINPROGRESS, .text = "answered later"},
	[STATUS_EXISTS] = {.err = EEXIST, .text = "name exists"},
	[STATUS_MISSING] = {.err = ENOENT, .text = "no such heap"},
	[STATUS_DENIED] = {.err = EACCES, .text = "access denied"},
	[STATUS_NOT_OWNER] = {.err = EPERM, .text = "only the owner or root may"},
	[STATUS_QUOTA] = {.err = EDQUOT, .text = "a quota of this user is reached"},
	[STATUS_NO_MEMORY] = {.err = ENOMEM, .text = "not enough memory"},
	[STATUS_INVALID] = {.err = EINVAL, .text = "invalid argument"},
	[STATUS_NAME_TOO_LONG] = {.err = ENAMETOOLONG, .text = "name too long"},
	[STATUS_REMOVED] = {.err = EIDRM, .text = "heap was deleted"},
	[STATUS_WOULD_BLOCK] = {.err = EWOULDBLOCK, .text = "nothing free now"},
	[STATUS_TIMED_OUT] = {.err = ETIMEDOUT, .text = "timed out"},
	[STATUS_UNSUPPORTED] = {.err = EOPNOTSUPP, .text = "no device is configured to back it"},
	[STATUS_BOUND] = {.err = EISCONN, .text = "bound already"},
	[STATUS_CANCELLED] = {.err = ECANCELED, .text = "cancelled"},
	[STATUS_LATE] = {.err = EALREADY, .text = "too late to cancel"},
	[STATUS_VERSION] = {.err = EPROTONOSUPPORT, .text = "protocol versions differ"},
	[STATUS_NO_FILES] = {.err = EMFILE, .text = "the daemon is out of file descriptors"},
	[STATUS_BUSY] = {.err = EAGAIN, .text = "a queue is full, try later"},
};
_Static_assert(ARRAY_SIZE(answers) == STATUS_COUNT, "a row for each status");

int status_errno(uint32_t status)
{
	return status < STATUS_COUNT ? -answers[status].err : -EPROTO;
}

const char *status_text(uint32_t status)
{
	return status < STATUS_COUNT ? answers[status].text : "unknown status";
}
