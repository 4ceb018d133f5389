/*
 * notify.c: see notify.h
 */
#include "daemon/notify.h"
#include "config-heapd.h"

#if HAVE_SYSTEMD
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include "daemon/socket.h"

static int check_socket(int fd)
{
	int r = sd_is_socket_unix(fd, SOCK_SEQPACKET, 1, NULL, 0);
	int flags = fcntl(fd, F_GETFL);

	if (r < 0)
		return r;
	if (!r)
		return -EPROTOTYPE;
	return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

static void free_names(char ***names)
{
	for (char **name = *names; name && *name; name++)
		free(*name);
	free(*names);
}

static void add_stored(struct notify_fd *to, int fd, const char *name)
{
	to->fd = fd;
	memcpy(to->name, name, strnlen(name, sizeof(to->name) - 1));
}

int notify_sockets(int *fds, size_t max, bool (*is_stored)(const char *name),
		   struct notify_fd **stored, size_t *n_stored)
{
	_cleanup_(free_names) char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names), n_sockets = 0, r;

	*stored = NULL;
	*n_stored = 0;
	if (n <= 0)
		return n;
	*stored = calloc((size_t)n, sizeof(**stored));
	if (!*stored)
		return -ENOMEM;
	for (int i = 0; i < n; i++) {
		int fd = SD_LISTEN_FDS_START + i;

		if (is_stored(names[i])) {
			add_stored(&(*stored)[(*n_stored)++], fd, names[i]);
			continue;
		}
		if ((size_t)n_sockets == max)
			return -E2BIG;
		fds[n_sockets++] = fd;
		r = check_socket(fd);
		if (r < 0)
			return r;
	}
	return n_sockets;
}

/*
 * sd_notify() waits while systemd's queue is full; the loop must not. What is not taken now is said again (a status, the watchdog)
 * or can be done without.
 */
static void tell(const char *text)
{
	static int fd = -1; /* as long as the process */
	const char *path = getenv("NOTIFY_SOCKET");

	if (fd < 0 && (!path || socket_connect(&fd, path) < 0))
		return;
	(void)send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Before the loop runs, and at the end of a reload, which must not be lost: this one may wait for systemd. */
void notify_ready(void)
{
	(void)sd_notify(0, "READY=1");
}

void notify_reloading(void)
{
	char text[80];

	(void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now_ns() / 1000);
	tell(text);
}

void notify_stopping(void)
{
	tell("STOPPING=1");
}

void notify_status(const char *text)
{
	char line[256];

	(void)snprintf(line, sizeof(line), "STATUS=%s", text);
	tell(line);
}

uint64_t notify_watchdog_ns(void)
{
	uint64_t usec = 0;

	return sd_watchdog_enabled(0, &usec) > 0 && usec < UINT64_MAX / 1000 ? usec * 1000 : 0;
}

void notify_watchdog(void)
{
	tell("WATCHDOG=1");
}

#else

int notify_sockets(_unused_ int *fds, _unused_ size_t max,
		   _unused_ bool (*is_stored)(const char *name), struct notify_fd **stored,
		   size_t *n_stored)
{
	*stored = NULL;
	*n_stored = 0;
	return 0;
}

void notify_ready(void) {}
void notify_reloading(void) {}
void notify_stopping(void) {}
void notify_status(_unused_ const char *text) {}

uint64_t notify_watchdog_ns(void)
{
	return 0;
}

void notify_watchdog(void) {}

#endif
