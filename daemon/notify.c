/*
 * notify.c: see notify.h
 */
#include "daemon/notify.h"
#include "config-heapd.h"

#if HAVE_SYSTEMD
#include <fcntl.h>
#include <inttypes.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

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

int notify_sockets(int *fds, size_t max)
{
	int n = sd_listen_fds(1), r;

	if (n > 0 && (size_t)n > max)
		return -E2BIG;
	for (int i = 0; i < n; i++) {
		fds[i] = SD_LISTEN_FDS_START + i;
		r = check_socket(fds[i]);
		if (r < 0)
			return r;
	}
	return n;
}

/* What systemd does not take is not our trouble: it will tell, by not believing us ready. */
void notify_ready(void)
{
	(void)sd_notify(0, "READY=1");
}

void notify_reloading(void)
{
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now_ns() / 1000);
}

void notify_stopping(void)
{
	(void)sd_notify(0, "STOPPING=1");
}

void notify_status(const char *text)
{
	(void)sd_notifyf(0, "STATUS=%s", text);
}

uint64_t notify_watchdog_ns(void)
{
	uint64_t usec = 0;

	return sd_watchdog_enabled(0, &usec) > 0 && usec < UINT64_MAX / 1000 ? usec * 1000 : 0;
}

void notify_watchdog(void)
{
	(void)sd_notify(0, "WATCHDOG=1");
}

#else

int notify_sockets(_unused_ int *fds, _unused_ size_t max)
{
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
