/*
 * Story: a peer passes descriptors that nobody asked for
 *
 * Where the kernel can refuse them (Linux 6.16) it does: EPERM, and the peer goes on. Elsewhere the peer is
 * dropped. In no case does the daemon close what came: the close of some descriptors waits for ever, and
 * the loop would with it. (test_peer.c plays the older kernel.)
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include "tests/story/healthy.h"
#include "tests/story/raw.h"

struct slow {
	int fd, reader;
};

/* A TCP socket whose last close waits for an hour: it lingers, and its reader never reads. */
static struct slow slow_new(void)
{
	static const char page[65536];
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct linger linger = { .l_onoff = 1, .l_linger = 3600 };
	struct slow s = { .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(at);

	if (bind(listening, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listening, 1) < 0 ||
	    getsockname(listening, (struct sockaddr *)&at, &size) < 0 ||
	    connect(s.fd, (struct sockaddr *)&at, size) < 0)
		story_skip("needs a loopback interface");
	s.reader = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	assert_int_equal(0, setsockopt(s.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	while (send(s.fd, page, sizeof(page), MSG_DONTWAIT) > 0)
		;
	close_fd(&listening);
	return s;
}

/* Passes them; *own is closed before the daemon sees them. Whether the kernel let them through. */
static bool pass(bool event, bool greeted, bool honest, const int *fds, unsigned n, int *own)
{
	uint8_t bytes[sizeof(struct wire_header) + 48] = { 0 };
	struct wire_header h = { .length = 48, .op = event ? OP_RETURN : OP_PING, .id = 5 };
	struct raw r = RAW_NULL;
	int e;

	EXPECT(0, raw_connect(&r));
	if (greeted)
		EXPECT(STATUS_OK, raw_hello(&r));
	h.n_fds = honest ? (uint16_t)n : 0;
	memcpy(bytes, &h, sizeof(h));
	assert_int_equal(0, kill(heapd_pid(), SIGSTOP));
	e = raw_send_bytes(event ? r.event : r.call, bytes, sizeof(bytes), fds, n);
	if (own && e == 0)
		close_fd(own);
	assert_int_equal(0, kill(heapd_pid(), SIGCONT));
	if (e == 0)
		raw_until_dropped(r.call);
	else
		assert_int_equal(-EPERM, e);
	raw_close(&r);
	return e == 0;
}

/* Many and few, announced or not, before HELLO or behind it, on either socket. */
static void all_kinds(void)
{
	int fds[RAW_FDS_MAX], kinds[] = { open("/dev/null", O_RDWR | O_CLOEXEC), memfd_create("huge", MFD_CLOEXEC),
					  epoll_create1(EPOLL_CLOEXEC), socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	static const unsigned counts[] = { 1, 2, 3, 4, 8, RAW_FDS_MAX };
	uint64_t n = 0, through = 0, dropped;

	for (unsigned i = 0; i < RAW_FDS_MAX; i++)
		fds[i] = kinds[i % ARRAY_SIZE(kinds)];
	healthy_begin();
	dropped = watch_stat().dropped;
	for (unsigned i = 0; i < ARRAY_SIZE(counts); i++)
		for (unsigned way = 0; way < 6; way++, n++)
			through += pass(way % 3 == 2, way % 3 != 0, way / 3, fds, counts[i], NULL);
	assert_true(through == 0 || through == n);
	UNTIL(watch_stat().dropped == dropped + through);
	if (through)
		story_skip("this kernel lets descriptors through: the sockets stay open");
	healthy_end();
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		close_fd(&kinds[i]);
}

/* The daemon would sleep in their close, and everyone with it. */
static void closed_slowly(void)
{
	struct slow slow[3];
	bool through = false;

	healthy_begin(); /* first: what is forked has no copies of these */
	for (unsigned i = 0; i < ARRAY_SIZE(slow); i++)
		slow[i] = slow_new();
	for (unsigned i = 0; i < ARRAY_SIZE(slow); i++) {
		const struct linger at_once = { .l_onoff = 0 };

		if (pass(i == 2, i, true, &slow[i].fd, 1, &slow[i].fd)) {
			through = true;
		} else { /* ours is the last close: it must not wait */
			assert_int_equal(0, setsockopt(slow[i].fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)));
			close_fd(&slow[i].fd);
		}
		still_healthy();
	}
	if (!through)
		healthy_end();
	for (unsigned i = 0; i < ARRAY_SIZE(slow); i++)
		close_fd(&slow[i].reader);
}

/* Sent, and the peer has gone, before its connection is even accepted: nobody ever reads them. */
static void left_unread(void)
{
	uint8_t bytes[sizeof(struct wire_header) + 40] = { 0 };
	const struct linger at_once = { .l_onoff = 0 };
	struct raw r = RAW_NULL;
	struct slow slow;
	int e;

	healthy_begin();
	slow = slow_new();
	assert_int_equal(0, kill(heapd_pid(), SIGSTOP));
	EXPECT(0, raw_connect(&r));
	EXPECT(0, raw_send_bytes(r.call, bytes, sizeof(bytes), NULL, 0)); /* this one ends the peer */
	e = raw_send_bytes(r.call, bytes, sizeof(bytes), &slow.fd, 1);
	assert_true(e == 0 || e == -EPERM);
	if (e)
		(void)setsockopt(slow.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close_fd(&slow.fd);
	raw_close(&r);
	assert_int_equal(0, kill(heapd_pid(), SIGCONT));
	still_healthy();
	if (e)
		healthy_end();
	close_fd(&slow.reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(all_kinds),
		STORY(closed_slowly),
		STORY(left_unread),
	};

	return cmocka_run_group_tests_name("passed", tests, NULL, NULL);
}
