/*
 * codec.h: all validation of what travels
 *
 * One table row for each opcode: which socket, which direction, exact or array-tailed body, how
 * many fds, and a check of the fields that have a fixed range (names are terminated, zero-filled
 * and of legal characters; reserved and pad fields are zero; enums and flags are known; array
 * counts equal the length; runs are non-empty and do not overflow). What passes is safe to read,
 * not yet safe to obey: rights, ids and page ownership are the daemon's business.
 *
 * A HELLO (or an answer to one) of another protocol version passes with whatever follows the
 * version, so that both sides can say which versions met: look at nothing but .version before it
 * equals WIRE_VERSION.
 */
#ifndef HEAPD_PROTO_CODEC_H
#define HEAPD_PROTO_CODEC_H

#include "proto/channel.h"
#include "proto/status.h"

enum codec_socket { CODEC_CALL, CODEC_EVENT };

/* Frames that heapd receives from a client on that socket: 0 or -EPROTO. *why (may be NULL): a
 * static text. */
int codec_check_request(const struct frame *f, enum codec_socket socket, const char **why);

/* Frames that a client receives: replies on the call socket, events on the event socket. 0 or
 * -EPROTO. STATUS_OK, STATUS_BOUND and STATUS_VERSION come with their body; every other status with
 * an empty one or with one that is good in itself. fds come with STATUS_OK only. */
int codec_check_answer(const struct frame *f, enum codec_socket socket, const char **why);

/* Whether the reply to that request may bring fds. */
bool codec_brings_fds(uint16_t op);

/* A heap's name: STATUS_OK, STATUS_INVALID (empty, '/', blank, not printable ASCII),
 * STATUS_NAME_TOO_LONG. */
int name_check(const char *name);

/* Copies a checked name into a wire field: terminated and zero-filled. */
void name_copy(char dst[WIRE_NAME_SIZE], const char *name);

const char *op_text(uint16_t op); /* "REFILL"; "?" for an unknown one. Static. */

#endif
