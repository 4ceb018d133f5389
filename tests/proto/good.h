/*
 * good.h: a good frame of every kind, to be broken by tests and mutated by the fuzzer
 *
 * The fds in them are numbers, not open files: these frames are for the codec, not for a socket.
 */
#ifndef HEAPD_TESTS_PROTO_GOOD_H
#define HEAPD_TESTS_PROTO_GOOD_H

#include "proto/codec.h"

/* Every op that exists, as it stands in a header: requests, replies, RETURN, events. */
extern const uint16_t good_ops[];
extern const size_t n_good_ops;

/* Fills in a good frame; op is one of good_ops. Arrays have two elements. */
void good_frame(struct frame *f, uint16_t op);

/* The socket it belongs to, and whether it is for the daemon or for the client. */
enum codec_socket good_socket(uint16_t op);
bool good_is_request(uint16_t op);

/* The check that is due. */
int good_check(const struct frame *f, const char **why);

#endif
