/*
 * test_codec.c: every message passes when good, and fails when any one thing about it is wrong
 *
 * The good frames are those of good.c. Broken ones come from them by one change: generic changes
 * (length, id, status, fds, socket, opcode) for every message, and a table of fields with a bad
 * value each.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "good.h"

static void expect_good(const struct frame *f, const char *what)
{
	const char *why = "unset";

	if (good_check(f, &why) == 0 && !why)
		return;
	fail_msg("%s (%#x), %s: refused: %s", op_text(f->header.op), f->header.op, what,
		 why ? why : "?");
}

static void expect_bad(const struct frame *f, const char *what)
{
	const char *why = NULL;

	if (good_check(f, &why) != -EPROTO || !why || !*why)
		fail_msg("%s (%#x), %s: not refused", op_text(f->header.op), f->header.op, what);
	assert_int_equal(-EPROTO, good_check(f, NULL));
}

/* ---- every message ---- */

static void test_good_passes(void **state)
{
	struct frame f;

	(void)state;
	for (size_t i = 0; i < n_good_ops; i++) {
		memset(&f, 0xff, sizeof(f)); /* no check may lean on what lies behind the body */
		good_frame(&f, good_ops[i]);
		expect_good(&f, "good");
	}
}

static bool is_known(uint16_t op)
{
	for (size_t i = 0; i < n_good_ops; i++)
		if (good_ops[i] == op)
			return true;
	return false;
}

/* Of all 65536 opcodes those that good_ops lists have a name, and no other passes any check. */
static void test_unknown_ops(void **state)
{
	struct frame f;

	(void)state;
	for (uint32_t op = 0; op <= UINT16_MAX; op++) {
		if (is_known((uint16_t)op)) {
			assert_string_not_equal("?", op_text((uint16_t)op));
			continue;
		}
		assert_string_equal("?", op_text((uint16_t)op));
		(void)frame_init(&f, (uint16_t)op, 1, 0, 0);
		for (int s = CODEC_CALL; s <= CODEC_EVENT; s++) {
			assert_int_equal(-EPROTO,
					 codec_check_request(&f, (enum codec_socket)s, NULL));
			assert_int_equal(-EPROTO,
					 codec_check_answer(&f, (enum codec_socket)s, NULL));
		}
	}
}

/* A frame passes only the check of its own socket and direction. */
static void test_wrong_socket_or_direction(void **state)
{
	struct frame f;

	(void)state;
	for (size_t i = 0; i < n_good_ops; i++) {
		enum codec_socket mine = good_socket(good_ops[i]);
		enum codec_socket other = mine == CODEC_CALL ? CODEC_EVENT : CODEC_CALL;

		good_frame(&f, good_ops[i]);
		assert_int_equal(-EPROTO, codec_check_request(&f, other, NULL));
		assert_int_equal(-EPROTO, codec_check_answer(&f, other, NULL));
		if (good_is_request(good_ops[i]))
			assert_int_equal(-EPROTO, codec_check_answer(&f, mine, NULL));
		else
			assert_int_equal(-EPROTO, codec_check_request(&f, mine, NULL));
	}
}

static void test_lengths(void **state)
{
	struct frame f;

	(void)state;
	for (size_t i = 0; i < n_good_ops; i++) {
		uint32_t good;

		memset(&f, 0, sizeof(f));
		good_frame(&f, good_ops[i]);
		good = f.header.length;
		for (uint32_t length = 0; length <= WIRE_BODY_MAX + 9; length++) {
			f.header.length = length;
			if (length != good)
				expect_bad(&f, "wrong length");
		}
		f.header.length = UINT32_MAX;
		expect_bad(&f, "huge length");
	}
}

static void test_fds(void **state)
{
	struct frame f;

	(void)state;
	for (size_t i = 0; i < n_good_ops; i++) {
		int due;

		good_frame(&f, good_ops[i]);
		due = f.n_fds;
		for (int n = 0; n <= (int)WIRE_FDS_MAX; n++) {
			f.n_fds = n;
			f.header.n_fds = (uint16_t)n;
			if (n != due)
				expect_bad(&f, "wrong number of fds");
		}
		f.n_fds = due;
		f.header.n_fds = (uint16_t)(due + 1);
		expect_bad(&f, "fds announced that did not come");
	}
}

/* What the good replies bring, and nothing else; events and unknown ops are no requests. */
static void test_who_brings_fds(void **state)
{
	struct frame f;

	(void)state;
	for (uint32_t op = 0; op <= UINT16_MAX; op++)
		if (!is_known((uint16_t)(op | WIRE_REPLY)) || op & WIRE_REPLY)
			assert_false(codec_brings_fds((uint16_t)op));
	for (size_t i = 0; i < n_good_ops; i++) {
		if (good_socket(good_ops[i]) != CODEC_CALL || good_is_request(good_ops[i]))
			continue;
		good_frame(&f, good_ops[i]);
		assert_int_equal(f.n_fds > 0, codec_brings_fds(good_ops[i] & (uint16_t)~WIRE_REPLY));
	}
}

static void test_ids(void **state)
{
	struct frame f;

	(void)state;
	for (size_t i = 0; i < n_good_ops; i++) {
		uint16_t op = good_ops[i];

		good_frame(&f, op);
		f.header.id = f.header.id ? 0 : 1;
		if (op == OP_RETURN || op == EV_GRANT)
			expect_good(&f, "either id");
		else
			expect_bad(&f, "wrong id");
	}
}

static void test_request_status(void **state)
{
	struct frame f;

	(void)state;
	for (size_t i = 0; i < n_good_ops; i++) {
		good_frame(&f, good_ops[i]);
		f.header.status = good_is_request(f.header.op) ? STATUS_PARKED : STATUS_COUNT;
		expect_bad(&f, "status");
		f.header.status = UINT32_MAX;
		expect_bad(&f, "status");
	}
}

static bool may_be_empty_with(uint16_t op, uint32_t status)
{
	bool binds = op == (OP_CREATE | WIRE_REPLY) || op == (OP_BIND | WIRE_REPLY);

	switch (status) {
	case STATUS_OK:
		return op == (OP_UNBIND | WIRE_REPLY) || op == (OP_DELETE | WIRE_REPLY) ||
		       op == (OP_FREE | WIRE_REPLY) || op == (OP_CANCEL | WIRE_REPLY) ||
		       op == (OP_CHMOD | WIRE_REPLY) || op == (OP_RESUME | WIRE_REPLY);
	case STATUS_PARKED:
		return binds || op == (OP_REFILL | WIRE_REPLY);
	case STATUS_LATE:
		return op == (OP_CANCEL | WIRE_REPLY);
	case STATUS_BOUND:   /* has a body always */
	case STATUS_VERSION: /* as well */
		return false;
	default:
		return (op & WIRE_REPLY) || op == EV_BOUND || op == EV_GRANT;
	}
}

static void test_answers_without_body(void **state)
{
	struct frame f;

	(void)state;
	for (size_t i = 0; i < n_good_ops; i++) {
		uint16_t op = good_ops[i];

		if (good_is_request(op))
			continue;
		for (uint32_t status = 0; status <= STATUS_COUNT; status++) {
			(void)frame_init(&f, op,
					 op == EV_RECALL || op == EV_DELETED || op == EV_FREE ? 0
											      : 5,
					 status, 0);
			if (status < STATUS_COUNT && may_be_empty_with(op, status))
				expect_good(&f, status_text(status));
			else
				expect_bad(&f, status_text(status));
		}
	}
}

/* ---- fields ---- */

struct change {
	const char *what;
	uint16_t op;
	size_t at, size;
	uint64_t value;
};

#define SIZE_OF(type, field) sizeof(((struct type *)0)->field)
#define SET(op_, type, field, value_) \
	{ \
		.what = #type "." #field " = " #value_, .op = (op_), .at = offsetof(struct type, field), \
		.size = SIZE_OF(type, field), .value = (value_) \
	}
/* A byte of a text field. */
#define BYTE(op_, type, field, index, value_) \
	{ \
		.what = #type "." #field "[" #index "] = " #value_, .op = (op_), \
		.at = offsetof(struct type, field) + (index), .size = 1, .value = (value_) \
	}
/* A field of the second element of an array. */
#define ITEM(op_, type, item, field, value_) \
	{ \
		.what = #item "." #field " = " #value_, .op = (op_), \
		.at = sizeof(struct type) + sizeof(struct item) + offsetof(struct item, field), \
		.size = SIZE_OF(item, field), .value = (value_) \
	}
#define REPLY(op_) ((op_) | WIRE_REPLY)

/* The good name is "pool": unterminated, not zero-filled, empty, and the characters that may not
 * be. */
#define BAD_NAME(op_, type) \
	BYTE(op_, type, name, 63, 'x'), BYTE(op_, type, name, 5, 'x'), BYTE(op_, type, name, 1, '/'), \
	BYTE(op_, type, name, 1, ' '), BYTE(op_, type, name, 1, '\t'), BYTE(op_, type, name, 1, 0x7f), \
	BYTE(op_, type, name, 1, 0x80), BYTE(op_, type, name, 1, 0xff), BYTE(op_, type, name, 0, 0)

static const struct change bad[] = {
	BYTE(OP_HELLO, wire_hello, label, 31, 'x'),
	BYTE(OP_HELLO, wire_hello, label, 7, 'x'),
	BYTE(OP_HELLO, wire_hello, label, 1, '\n'),
	BYTE(OP_HELLO, wire_hello, label, 1, 0x1b),
	BYTE(OP_HELLO, wire_hello, label, 1, 0x7f),

	BAD_NAME(OP_CREATE, wire_create),
	SET(OP_CREATE, wire_create, size, 0),
	SET(OP_CREATE, wire_create, mode, 0x2),
	SET(OP_CREATE, wire_create, mode, 0x80000000),
	SET(OP_CREATE, wire_create, mode, WIRE_MODE_SINGLE), /* of KIND_HEAP */
	SET(OP_CREATE, wire_create, kind, 0),
	SET(OP_CREATE, wire_create, kind, KIND_LAST),
	SET(OP_CREATE, wire_create, kind, KIND_SEGMENT), /* without WIRE_MODE_SINGLE */
	SET(OP_CREATE, wire_create, perm, 0100),
	SET(OP_CREATE, wire_create, perm, 01000),
	SET(OP_CREATE, wire_create, flags, WIRE_CREATE_CONFIGURED), /* of a heap */
	SET(OP_CREATE, wire_create, flags, WIRE_CREATE_OWN),
	SET(OP_CREATE, wire_create, flags, WIRE_CREATE_ALL + 1),
	SET(OP_CREATE, wire_create, pad, 1),

	BAD_NAME(OP_BIND, wire_bind),
	SET(OP_BIND, wire_bind, access, 0),
	SET(OP_BIND, wire_bind, access, 4),
	SET(OP_BIND, wire_bind, flags, 2),
	SET(OP_BIND, wire_bind, priority, 101),
	SET(OP_BIND, wire_bind, priority, (uint32_t)-1),
	SET(OP_BIND, wire_bind, pad, 1),

	SET(OP_UNBIND, wire_heap, heap, 0),
	SET(OP_INQUIRE, wire_heap, heap, 0),

	BAD_NAME(OP_DELETE, wire_target),
	BAD_NAME(OP_INSPECT, wire_target),
	BAD_NAME(OP_BINDINGS, wire_target),
	BAD_NAME(OP_WAITERS, wire_target),
	BAD_NAME(OP_MAP, wire_target),
	SET(OP_DELETE, wire_target, heap, 9), /* and a name */
	SET(OP_INSPECT, wire_target, heap, 9),
	SET(OP_BINDINGS, wire_target, heap, 9),
	SET(OP_WAITERS, wire_target, heap, 9),
	SET(OP_MAP, wire_target, heap, 9),
	SET(OP_DELETE, wire_target, cursor, 1),
	SET(OP_INSPECT, wire_target, cursor, 1),
	SET(OP_LIST, wire_target, heap, 9),
	SET(OP_REGIONS, wire_target, heap, 9),
	BYTE(OP_REGIONS, wire_target, name, 0, 'p'),
	BAD_NAME(OP_DETAIL, wire_target),
	SET(OP_DETAIL, wire_target, heap, 9),
	SET(OP_DETAIL, wire_target, cursor, 1),
	BYTE(OP_LIST, wire_target, name, 0, 'p'),
	BYTE(OP_LIST, wire_target, name, 63, 'p'),

	SET(OP_CHMOD, wire_chmod, heap, 0), /* and no name */
	BYTE(OP_CHMOD, wire_chmod, name, 0, 'p'),
	SET(OP_CHMOD, wire_chmod, perm, 0700),
	SET(OP_CHMOD, wire_chmod, pad, 1),

	SET(OP_REFILL, wire_refill, heap, 0),
	SET(OP_REFILL, wire_refill, pages, 0),
	SET(OP_REFILL, wire_refill, priority, 101),
	SET(OP_REFILL, wire_refill, priority, (uint32_t)-1),
	SET(OP_REFILL, wire_refill, flags, 4),
	SET(OP_REFILL, wire_refill, pad, 1),

	SET(OP_FREE, wire_free, heap, 0),
	SET(OP_FREE, wire_free, session, 1), /* the daemon says who it was */
	SET(OP_FREE, wire_free, id, 1),
	SET(OP_FREE, wire_free, pad, 1),
	SET(EV_FREE, wire_free, pad, 1),

	SET(OP_RESUME, wire_resume, heap, 0),
	SET(OP_RESUME, wire_resume, n_runs, 1),
	SET(OP_RESUME, wire_resume, n_runs, 0x20000002),
	SET(OP_RESUME, wire_resume, flags, WIRE_RESUME_ALL), /* and runs */
	SET(OP_RESUME, wire_resume, flags, WIRE_RESUME_END), /* and a heap */
	SET(OP_RESUME, wire_resume, flags, WIRE_RESUME_MORE | WIRE_RESUME_ALL),
	SET(OP_RESUME, wire_resume, flags, 8),
	ITEM(OP_RESUME, wire_resume, wire_run, n, 0),

	SET(OP_CANCEL, wire_cancel, id, 0),
	SET(OP_CANCEL, wire_cancel, pad, 1),

	SET(OP_RETURN, wire_return, heap, 0),
	SET(OP_RETURN, wire_return, n_runs, 0),
	SET(OP_RETURN, wire_return, n_runs, 3),
	SET(OP_RETURN, wire_return, n_runs, 0x20000002), /* times 8 is 16 in 32 bits */
	SET(OP_RETURN, wire_return, more, 2),
	SET(OP_RETURN, wire_return, pad, 1),
	ITEM(OP_RETURN, wire_return, wire_run, n, 0),
	ITEM(OP_RETURN, wire_return, wire_run, n, 6),
	ITEM(OP_RETURN, wire_return, wire_run, first, UINT32_MAX),

	SET(REPLY(OP_HELLO), wire_welcome, version, 2), /* with STATUS_OK */
	SET(REPLY(OP_HELLO), wire_welcome, hw_page, 16384),
	SET(REPLY(OP_HELLO), wire_welcome, n_slots, 0),
	SET(REPLY(OP_HELLO), wire_welcome, session, 0),
	BYTE(REPLY(OP_HELLO), wire_welcome, build, 1, '\r'),
	BYTE(REPLY(OP_HELLO), wire_welcome, build, 31, 'x'),

	SET(REPLY(OP_BIND), wire_bound, heap, 0),
	SET(REPLY(OP_BIND), wire_bound, size, 0),
	SET(REPLY(OP_BIND), wire_bound, usable, 15999),
	SET(REPLY(OP_BIND), wire_bound, mode, 0x2),
	SET(REPLY(OP_BIND), wire_bound, mode, WIRE_MODE_SINGLE),
	SET(REPLY(OP_BIND), wire_bound, kind, 0),
	SET(REPLY(OP_BIND), wire_bound, kind, KIND_LAST),
	SET(REPLY(OP_BIND), wire_bound, access, 0),
	SET(REPLY(OP_BIND), wire_bound, access, ACCESS_BEST),
	SET(REPLY(OP_BIND), wire_bound, slot, UINT32_MAX), /* with pages and an fd */
	SET(REPLY(OP_BIND), wire_bound, n_runs, 1),
	SET(REPLY(OP_BIND), wire_bound, backing, BACKING_LAST),
	BYTE(REPLY(OP_BIND), wire_bound, name, 2, ' '),
	BYTE(REPLY(OP_BIND), wire_bound, name, 63, 'x'),
	ITEM(REPLY(OP_BIND), wire_bound, wire_run, n, 0),
	ITEM(REPLY(OP_BIND), wire_bound, wire_run, n, 6),
	SET(REPLY(OP_CREATE), wire_bound, heap, 0),
	ITEM(REPLY(OP_CREATE), wire_bound, wire_run, n, 0),
	SET(EV_BOUND, wire_bound, heap, 0),
	ITEM(EV_BOUND, wire_bound, wire_run, n, 0),

	SET(REPLY(OP_REFILL), wire_grant, heap, 0),
	SET(REPLY(OP_REFILL), wire_grant, pad, 1),
	SET(REPLY(OP_REFILL), wire_grant, n_runs, 1),
	ITEM(REPLY(OP_REFILL), wire_grant, wire_run, n, 0),
	SET(EV_GRANT, wire_grant, heap, 0),
	SET(EV_GRANT, wire_grant, pad, 1),
	ITEM(EV_GRANT, wire_grant, wire_run, n, 0),

	SET(EV_RECALL, wire_recall, heap, 0),
	SET(EV_RECALL, wire_recall, seq, 0),
	SET(EV_RECALL, wire_recall, urgent, 2),
	SET(EV_RECALL, wire_recall, pad, 1),
	SET(EV_DELETED, wire_deleted, heap, 0),
	SET(EV_FREE, wire_free, heap, 0),

	SET(REPLY(OP_LIST), wire_list, n, 1),
	SET(REPLY(OP_LIST), wire_list, pad, 1),
	ITEM(REPLY(OP_LIST), wire_list, wire_entry, heap, 0),
	ITEM(REPLY(OP_LIST), wire_list, wire_entry, kind, KIND_HEAP), /* its mode is a segment's */
	ITEM(REPLY(OP_LIST), wire_list, wire_entry, kind, KIND_LAST),
	ITEM(REPLY(OP_LIST), wire_list, wire_entry, mode, 0x4),
	ITEM(REPLY(OP_LIST), wire_list, wire_entry, perm, 0777),
	ITEM(REPLY(OP_LIST), wire_list, wire_entry, state, 0),
	ITEM(REPLY(OP_LIST), wire_list, wire_entry, state, STATE_DELETED + 1),
	BYTE(REPLY(OP_INSPECT), wire_entry, name, 5, 'x'),
	BYTE(REPLY(OP_INSPECT), wire_entry, name, 63, 'x'),
	SET(REPLY(OP_INSPECT), wire_entry, heap, 0),

	SET(REPLY(OP_BINDINGS), wire_bindings, n, 3),
	SET(REPLY(OP_BINDINGS), wire_bindings, pad, 1),
	ITEM(REPLY(OP_BINDINGS), wire_bindings, wire_binding, session, 0),
	ITEM(REPLY(OP_BINDINGS), wire_bindings, wire_binding, access, 0),
	ITEM(REPLY(OP_BINDINGS), wire_bindings, wire_binding, access, ACCESS_BEST),
	ITEM(REPLY(OP_BINDINGS), wire_bindings, wire_binding, label[1], 0x1b),
	ITEM(REPLY(OP_BINDINGS), wire_bindings, wire_binding, label[31], 'x'),
	SET(REPLY(OP_WAITERS), wire_waiters, n, 1),
	ITEM(REPLY(OP_WAITERS), wire_waiters, wire_waiting, parked, 2),
	SET(REPLY(OP_MAP), wire_map, n, 1),
	ITEM(REPLY(OP_MAP), wire_map, wire_extent, n, 0),
	ITEM(REPLY(OP_MAP), wire_map, wire_extent, n, UINT32_MAX),
	BYTE(REPLY(OP_STAT), wire_stat, build, 1, 0x1b),
	BYTE(REPLY(OP_STAT), wire_stat, build, 31, 'x'),
	SET(REPLY(OP_INSPECT), wire_entry, backing, BACKING_LAST),

	SET(REPLY(OP_REGIONS), wire_regions, n, 1),
	SET(REPLY(OP_REGIONS), wire_regions, pad, 1),
	ITEM(REPLY(OP_REGIONS), wire_regions, wire_region, size, 0),
	ITEM(REPLY(OP_REGIONS), wire_regions, wire_region, attribute, WIRE_ATTRIBUTES),
	ITEM(REPLY(OP_REGIONS), wire_regions, wire_region, backing, BACKING_OWN), /* of no file */
	ITEM(REPLY(OP_REGIONS), wire_regions, wire_region, name[0], 0),
	ITEM(REPLY(OP_REGIONS), wire_regions, wire_region, name[63], 'x'),
	SET(REPLY(OP_DETAIL), wire_detail, heap, 0),
	SET(REPLY(OP_DETAIL), wire_detail, kind, KIND_HEAP),
	SET(REPLY(OP_DETAIL), wire_detail, kind, KIND_SEGMENT),
	SET(REPLY(OP_DETAIL), wire_detail, kind, KIND_LAST),
	SET(REPLY(OP_DETAIL), wire_detail, kind, KIND_POOL), /* of 40 bytes */
	SET(REPLY(OP_DETAIL), wire_detail, n_used, 6),
	SET(REPLY(OP_DETAIL), wire_detail, partition.stride, 39),
};

static const struct change fine[] = {
	SET(OP_HELLO, wire_hello, version, 0),
	SET(OP_HELLO, wire_hello, version, UINT32_MAX),
	SET(OP_HELLO, wire_hello, features, UINT32_MAX),
	SET(OP_CREATE, wire_create, mode, 0),
	SET(OP_CREATE, wire_create, mode, WIRE_MODE_DMA | WIRE_MODE_NONCACHED),
	SET(OP_CREATE, wire_create, kind, KIND_POOL),
	SET(OP_CREATE, wire_create, perm, WIRE_PERM_DEFAULT),
	SET(OP_CREATE, wire_create, perm, 0666),
	SET(OP_CREATE, wire_create, perm, 0),
	SET(OP_CREATE, wire_create, size, UINT64_MAX),
	SET(OP_CREATE, wire_create, flags, WIRE_CREATE_UNBOUND),
	SET(OP_CREATE, wire_create, gid, 0),
	SET(OP_BIND, wire_bind, access, ACCESS_READ),
	SET(OP_BIND, wire_bind, flags, 0),
	SET(OP_BIND, wire_bind, priority, 100),
	BYTE(OP_BIND, wire_bind, name, 0, '!'),
	BYTE(OP_BIND, wire_bind, name, 0, '~'),
	BYTE(OP_BIND, wire_bind, name, 4, 's'),
	SET(OP_CHMOD, wire_chmod, perm, WIRE_PERM_DEFAULT),
	SET(OP_CHMOD, wire_chmod, uid, 0),
	SET(OP_REFILL, wire_refill, priority, 0),
	SET(OP_REFILL, wire_refill, flags, WIRE_REFILL_AHEAD | WIRE_REFILL_NONBLOCK),
	SET(OP_LIST, wire_target, cursor, UINT64_MAX),
	SET(OP_HELLO, wire_hello, resume, UINT64_MAX),
	SET(OP_CREATE, wire_create, flags, WIRE_CREATE_AGAIN),
	SET(OP_CREATE, wire_create, flags, WIRE_CREATE_AGAIN | WIRE_CREATE_UNBOUND),
	SET(OP_RESUME, wire_resume, flags, 0),
	SET(OP_RETURN, wire_return, seq, 0),
	SET(OP_RETURN, wire_return, more, 0),
	ITEM(OP_RETURN, wire_return, wire_run, n, 4),
	SET(REPLY(OP_BIND), wire_bound, access, ACCESS_READ),
	SET(EV_RECALL, wire_recall, urgent, 0),
	SET(EV_RECALL, wire_recall, want, 0),
	BYTE(REPLY(OP_STAT), wire_stat, build, 1, 0xc3),
	SET(REPLY(OP_BIND), wire_bound, backing, BACKING_OWN),
	SET(OP_REGIONS, wire_target, cursor, UINT64_MAX),
	ITEM(REPLY(OP_REGIONS), wire_regions, wire_region, backing, BACKING_HUGE),
	SET(REPLY(OP_DETAIL), wire_detail, n_used, 0),
};

static void store(uint8_t *at, size_t size, uint64_t value)
{
	uint32_t word = (uint32_t)value;

	if (size == 1)
		*at = (uint8_t)value;
	else if (size == sizeof(word))
		memcpy(at, &word, sizeof(word));
	else
		memcpy(at, &value, sizeof(value));
}

static void apply(struct frame *f, const struct change *c)
{
	good_frame(f, c->op);
	assert_true(c->at + c->size <= f->header.length);
	store(f->body.bytes + c->at, c->size, c->value);
}

static void test_fields(void **state)
{
	struct frame f;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		apply(&f, &bad[i]);
		expect_bad(&f, bad[i].what);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fine); i++) {
		apply(&f, &fine[i]);
		expect_good(&f, fine[i].what);
	}
}

/* ---- what one change does not reach ---- */

static void test_empty_arrays(void **state)
{
	static const struct {
		uint16_t op;
		size_t body, counter;
	} rows[] = {
		{OP_RETURN, sizeof(struct wire_return), offsetof(struct wire_return, n_runs)},
		{REPLY(OP_BIND), sizeof(struct wire_bound), offsetof(struct wire_bound, n_runs)},
		{REPLY(OP_REFILL), sizeof(struct wire_grant), offsetof(struct wire_grant, n_runs)},
		{EV_GRANT, sizeof(struct wire_grant), offsetof(struct wire_grant, n_runs)},
	};
	struct frame f;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		good_frame(&f, rows[i].op);
		f.header.length = (uint32_t)rows[i].body;
		expect_bad(&f, "array gone, count kept");
		memset(f.body.bytes + rows[i].counter, 0, sizeof(uint32_t));
		expect_good(&f, "empty array");
	}
}

static void test_walk_must_advance(void **state)
{
	struct frame f;
	struct wire_list *l = frame_init(&f, REPLY(OP_LIST), 1, 0, sizeof(*l));

	(void)state;
	expect_good(&f, "an empty list");
	l->cursor = 5;
	expect_bad(&f, "goes on with nothing");
}

static void test_full_arrays(void **state)
{
	struct frame f;
	struct wire_grant *g = frame_init(&f, EV_GRANT, 0, 0, WIRE_BODY_MAX);

	(void)state;
	assert_int_equal(WIRE_BODY_MAX, sizeof(*g) + WIRE_GRANT_RUNS_MAX * sizeof(struct wire_run));
	*g = (struct wire_grant){.heap = 1, .n_runs = WIRE_GRANT_RUNS_MAX};
	for (size_t i = 0; i < WIRE_GRANT_RUNS_MAX; i++)
		g->runs[i] = (struct wire_run){.first = (uint32_t)i * 2, .n = 1};
	expect_good(&f, "full");
	g->runs[WIRE_GRANT_RUNS_MAX - 1].n = 0;
	expect_bad(&f, "last run empty");
	g->runs[WIRE_GRANT_RUNS_MAX - 1].n = 1;
	g->n_runs++;
	f.header.length += (uint32_t)sizeof(struct wire_run);
	expect_bad(&f, "one more than a frame holds");
}

static void test_other_versions(void **state)
{
	struct frame f;
	uint32_t *version = frame_init(&f, OP_HELLO, 1, 0, sizeof(*version));

	(void)state;
	*version = WIRE_VERSION + 1;
	expect_good(&f, "HELLO of the future, shorter");
	f.header.length = WIRE_BODY_MAX;
	memset(version + 1, 0xff, WIRE_BODY_MAX - sizeof(*version));
	expect_good(&f, "HELLO of the future, longer, anything in it");
	f.header.length = WIRE_BODY_MAX + 1;
	expect_bad(&f, "HELLO of the future, more than a frame");
	f.header.length = WIRE_BODY_MAX;
	*version = WIRE_VERSION;
	expect_bad(&f, "our version, not our layout");
	f.header.length = 3;
	expect_bad(&f, "HELLO without a version");
	*version = 9;
	f.header.length = sizeof(*version);
	frame_add_fd(&f, 100);
	expect_bad(&f, "HELLO with an fd");

	version = frame_init(&f, REPLY(OP_HELLO), 1, STATUS_VERSION, sizeof(*version));
	*version = 2;
	expect_good(&f, "STATUS_VERSION of another layout");
	f.header.length = 2;
	expect_bad(&f, "STATUS_VERSION without a version");
}

static void test_bound_without_fd(void **state)
{
	struct frame f;
	struct wire_bound *b;

	(void)state;
	good_frame(&f, EV_BOUND);
	b = FRAME_BODY(&f, struct wire_bound);
	f.header.length = sizeof(*b);
	f.header.n_fds = 0;
	f.n_fds = 0;
	b->n_runs = 0;
	expect_bad(&f, "bound, no fd");
	b->slot = UINT32_MAX;
	expect_good(&f, "created unbound");
	b->n_runs = 1;
	b->runs[0] = (struct wire_run){.first = 1, .n = 1};
	f.header.length += (uint32_t)sizeof(struct wire_run);
	expect_bad(&f, "created unbound, with pages");

	b = frame_init(&f, REPLY(OP_BIND), 1, STATUS_BOUND, sizeof(*b));
	b->heap = 9;
	expect_good(&f, "bound already, only the id");
	b->heap = 0;
	expect_bad(&f, "bound already, to what?");
	b->heap = 9;
	b->n_runs = 1;
	b->runs[0] = (struct wire_run){.first = 1, .n = 1};
	f.header.length += (uint32_t)sizeof(struct wire_run);
	expect_bad(&f, "bound already, with pages");
	b->n_runs = 0;
	f.header.length = sizeof(*b);
	frame_add_fd(&f, 100);
	expect_bad(&f, "bound already, an fd");
}

static void test_error_with_body(void **state)
{
	struct frame f;
	struct wire_grant *g;

	(void)state;
	good_frame(&f, EV_GRANT);
	g = FRAME_BODY(&f, struct wire_grant);
	f.header.status = STATUS_WOULD_BLOCK;
	expect_bad(&f, "pages with an error");
	f.header.length = sizeof(*g);
	g->n_runs = 0;
	expect_good(&f, "an error that names its heap");
}

static void test_regions_are_created(void **state)
{
	struct frame f;
	struct wire_create *c;

	(void)state;
	good_frame(&f, OP_CREATE);
	c = FRAME_BODY(&f, struct wire_create);
	c->kind = KIND_REGION;
	c->mode = 0;
	c->flags = WIRE_CREATE_CONFIGURED;
	expect_good(&f, "a configured region");
	c->mode = WIRE_MODE_PRIO;
	expect_bad(&f, "a configured region with a mode");
	c->mode = 0;
	c->flags |= WIRE_CREATE_OWN;
	expect_bad(&f, "a configured region of its own memory");
	c->flags = WIRE_CREATE_OWN;
	expect_bad(&f, "own memory with a name");
	memset(c->name, 0, sizeof(c->name));
	expect_good(&f, "own memory");
	c->flags = WIRE_CREATE_OWN | WIRE_CREATE_UNBOUND;
	expect_bad(&f, "own memory, unbound");
	c->flags = WIRE_CREATE_CONFIGURED;
	expect_bad(&f, "a configured region without a name");
}

static void test_details(void **state)
{
	struct frame f;
	struct wire_detail *d;

	(void)state;
	good_frame(&f, REPLY(OP_DETAIL));
	d = FRAME_BODY(&f, struct wire_detail);
	*d = (struct wire_detail){.heap = 9, .kind = KIND_REGION, .region = {.size = 64}};
	expect_good(&f, "a region");
	d->region.attribute = WIRE_ATTRIBUTES;
	expect_bad(&f, "a region of an unknown attribute");
	*d = (struct wire_detail){.heap = 9, .kind = KIND_POOL, .pool = {.size = 16384}};
	expect_good(&f, "a pool");
	d->pool.quarter[WIRE_QUARTERS - 1] = QUARTER_USED;
	expect_good(&f, "a used quarter");
	d->pool.quarter[WIRE_QUARTERS - 1] = QUARTER_USED + 1;
	expect_bad(&f, "an unknown quarter");
	d->pool.quarter[WIRE_QUARTERS - 1] = QUARTER_NONE;
	d->pool.size = 512;
	expect_bad(&f, "a pool of 512 bytes");
	d->pool.size = 256;
	d->pool.pad[2] = 1;
	expect_bad(&f, "padding");
}

static void test_label_holds_31(void **state)
{
	struct frame f;

	(void)state;
	good_frame(&f, OP_HELLO);
	memset(FRAME_BODY(&f, struct wire_hello)->label, 'x', WIRE_LABEL_SIZE - 1);
	expect_good(&f, "31 bytes");
	memset(FRAME_BODY(&f, struct wire_hello)->label, 0, WIRE_LABEL_SIZE);
	expect_good(&f, "none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_passes),
		cmocka_unit_test(test_unknown_ops),
		cmocka_unit_test(test_wrong_socket_or_direction),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_fds),
		cmocka_unit_test(test_who_brings_fds),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_request_status),
		cmocka_unit_test(test_answers_without_body),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_empty_arrays),
		cmocka_unit_test(test_walk_must_advance),
		cmocka_unit_test(test_full_arrays),
		cmocka_unit_test(test_other_versions),
		cmocka_unit_test(test_bound_without_fd),
		cmocka_unit_test(test_error_with_body),
		cmocka_unit_test(test_regions_are_created),
		cmocka_unit_test(test_details),
		cmocka_unit_test(test_label_holds_31),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
