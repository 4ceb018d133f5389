/*
 * heapd: puts the parts together and keeps systemd informed
 *
 * Order of making: limits and priority before any thread, the socket (which sets the umask) too;
 * then loop, committer, server. The other way round at the end, with one step more: the jobs under
 * way end (committer_drain) before the heaps they work on go.
 * It never forks and never changes its user: systemd does both better.
 */
#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include "config-heapd.h"
#include "daemon/commit.h"
#include "daemon/config.h"
#include "daemon/log.h"
#include "daemon/loop.h"
#include "daemon/keep.h"
#include "daemon/notify.h"
#include "daemon/revive.h"
#include "daemon/rt.h"
#include "daemon/server.h"
#include "daemon/socket.h"

#define SOCKETS_MAX 8
#define STATUS_EVERY_NS NSEC_PER_SEC
#define STATUS_SIZE 160

struct options {
	const char *config;
	const char *socket;
	bool check, debug, foreground;
};

struct daemon {
	struct options options;
	struct loop *loop;
	struct committer *committer;
	struct server *server;
	struct socket_file socket;
	int fds[SOCKETS_MAX]; /* listening, not yet the server's */
	size_t n_fds;
	struct notify_fd *stored; /* from a daemon before, not yet the server's */
	size_t n_stored;
	struct keep *keep;        /* NULL: nothing outlives us */
	struct loop_signal *term, *interrupt, *hangup;
	struct loop_timer *status_timer, *watchdog_timer;
	uint64_t watchdog_ns; /* how often we tell */
	char status[STATUS_SIZE];
	/* what only a new start changes */
	int priority;
	bool lock_memory, io_uring;
	/* what came of it */
	bool got_priority, arenas_locked;
};

/* ---- command line ---- */

enum { KEY_CHECK = 0x100, KEY_DEBUG, KEY_FOREGROUND, KEY_SOCKET };

static const struct argp_option argp_options[] = {
	{ "config", 'c', "FILE", 0, "Read FILE instead of " HEAPD_CONFIG_PATH, 0 },
	{ "socket", KEY_SOCKET, "PATH", 0, "Listen on PATH, unless systemd passes a socket", 0 },
	{ "foreground", KEY_FOREGROUND, NULL, 0, "Plain log lines on stderr, for people (it never forks anyway)", 0 },
	{ "check-config", KEY_CHECK, NULL, 0, "Check the configuration and exit", 0 },
	{ "debug", KEY_DEBUG, NULL, 0, "Log more", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'c':
		o->config = arg;
		return 0;
	case KEY_SOCKET:
		o->socket = arg;
		return 0;
	case KEY_FOREGROUND:
		o->foreground = true;
		return 0;
	case KEY_CHECK:
		o->check = true;
		return 0;
	case KEY_DEBUG:
		o->debug = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void print_version(FILE *stream, _unused_ struct argp_state *state)
{
	fprintf(stream, "heapd %s\n", HEAPD_VERSION);
}

static int parse_options(struct options *o, int argc, char **argv)
{
	static const struct argp argp = {
		.options = argp_options,
		.parser = parse_option,
		.doc = "heapd keeps the memory that real-time programs share.\vSee heapd(8) and heapd.conf(5).",
	};

	argp_program_version_hook = print_version;
	argp_err_exit_status = 2;
	return argp_parse(&argp, argc, argv, 0, NULL, o);
}

/* ---- in the loop ---- */

static void on_stop(void *ctx)
{
	struct daemon *d = ctx;

	log_info("ends");
	loop_stop(d->loop);
}

static void status_changed(void *ctx);

static void tell_status(void *ctx)
{
	struct daemon *d = ctx;
	char status[STATUS_SIZE];

	server_status(d->server, status, sizeof(status));
	if (strcmp(status, d->status) != 0) {
		notify_status(status);
		memcpy(d->status, status, sizeof(status));
	}
	loop_on_activity(d->loop, status_changed, d);
}

/* Something happened: the status may be another. An idle daemon does not wake up to look. */
static void status_changed(void *ctx)
{
	struct daemon *d = ctx;

	if (loop_timer_set(d->status_timer, STATUS_EVERY_NS) < 0)
		loop_on_activity(d->loop, status_changed, d);
}

/* On the loop's own timer: what it proves is that the loop turns. */
static void on_watchdog(void *ctx)
{
	struct daemon *d = ctx;

	notify_watchdog();
	(void)loop_timer_set(d->watchdog_timer, d->watchdog_ns);
}

static void tell_unchanged(const struct daemon *d, const struct config *c)
{
	if (c->priority != d->priority || c->lock_memory != d->lock_memory || c->io_uring != d->io_uring)
		log_notice("priority, lock_memory and io_uring change with the next start only");
}

static void on_hangup(void *ctx)
{
	struct daemon *d = ctx;
	struct config c;

	notify_reloading();
	config_init(&c);
	if (config_load(&c, d->options.config) < 0) {
		log_error("the configuration stays as it was");
	} else {
		tell_unchanged(d, &c);
		server_reload(d->server, &c);
		log_info("configuration reloaded");
	}
	config_deinit(&c);
	notify_ready();
}

/* ---- making and unmaking ---- */

static int failed(const char *what, int r)
{
	log_error("%s: %s", what, strerror(-r));
	return r;
}

static int daemon_watch(struct daemon *d)
{
	int r = loop_signal_new(&d->term, d->loop, SIGTERM, on_stop, d);

	if (!r)
		r = loop_signal_new(&d->interrupt, d->loop, SIGINT, on_stop, d);
	if (!r)
		r = loop_signal_new(&d->hangup, d->loop, SIGHUP, on_hangup, d);
	if (!r)
		r = loop_timer_new(&d->status_timer, d->loop, tell_status, d);
	if (!r)
		r = loop_timer_new(&d->watchdog_timer, d->loop, on_watchdog, d);
	return r < 0 ? failed("signals and timers", r) : 0;
}

/* Sockets from systemd, else one of our own. */
static int daemon_listen(struct daemon *d, mode_t mode)
{
	_cleanup_free_ char *path = NULL;
	int r = notify_sockets(d->fds, SOCKETS_MAX, revive_knows, &d->stored, &d->n_stored);

	if (r < 0)
		return failed("what systemd passed is not a listening SOCK_SEQPACKET socket", r);
	d->n_fds = (size_t)r;
	if (r)
		return 0;
	if (!d->options.socket) {
		r = socket_default_path(&path);
		if (r < 0)
			return r;
	}
	r = socket_file_listen(&d->socket, path ? path : d->options.socket, mode, &d->fds[0]);
	if (r < 0)
		return r;
	d->n_fds = 1;
	log_info("listens on %s", d->socket.path);
	return 0;
}

/* What must come before there are threads. */
static void daemon_prepare(struct daemon *d, const struct config *c)
{
	d->lock_memory = c->lock_memory;
	d->io_uring = c->io_uring;
	d->priority = c->priority;
	d->arenas_locked = c->lock_arenas && rt_may_lock();
	rt_raise_files();
	if (c->lock_arenas && !d->arenas_locked)
		log_notice("arenas will not be locked into RAM: it takes CAP_IPC_LOCK or "
			   "LimitMEMLOCK=infinity");
	if (c->lock_memory)
		(void)rt_lock_memory();
	if (c->priority)
		d->got_priority = !rt_set_priority(c->priority);
}

static void close_stored(struct daemon *d)
{
	while (d->n_stored)
		close_fd(&d->stored[--d->n_stored].fd);
	free(take(d->stored));
}

/* What a daemon before has left, if there is a place where it could. */
static int daemon_revive(struct daemon *d)
{
	struct store *store;
	int r = store_new(&store, d->loop);

	if (!r && !store) {
		log_info("what there is ends with this daemon: systemd keeps nothing for it");
		return 0;
	}
	if (!r)
		r = revive_keep(&d->keep, store, d->stored, d->n_stored);
	if (r < 0) { /* a limit of file sizes, say: better a daemon whose heaps end with it than none */
		log_warning("nothing can be kept for the next daemon: %s", strerror(-r));
		return 0;
	}
	return server_keep(d->server, d->keep, d->stored, d->n_stored);
}

/* The config's value is taken. */
static int daemon_serve(struct daemon *d, struct config *c)
{
	int r = loop_new(&d->loop);

	if (!r)
		r = committer_new(&d->committer, d->loop, c->io_uring);
	if (!r)
		r = server_new(&d->server, d->loop, d->committer, c);
	if (!r)
		r = daemon_revive(d);
	close_stored(d);
	while (!r && d->n_fds)
		r = server_listen_take(d->server, d->fds[--d->n_fds]);
	if (!r)
		r = daemon_watch(d);
	if (r < 0)
		return failed("cannot start", r);
	server_set_facts(d->server, d->got_priority ? d->priority : 0, d->arenas_locked);
	return 0;
}

/* Half the time systemd gives us, so that one late beat does no harm. */
static int daemon_run(struct daemon *d)
{
	int r = 0;

	d->watchdog_ns = notify_watchdog_ns() / 2;
	if (d->watchdog_ns)
		r = loop_timer_set(d->watchdog_timer, d->watchdog_ns);
	if (!r) {
		tell_status(d);
		notify_ready();
		log_info("ready: version %s, %s, arenas %s", HEAPD_VERSION,
			 committer_uses_io_uring(d->committer) ? "io_uring" : "no io_uring",
			 d->arenas_locked ? "locked into RAM" : "not locked");
		r = loop_run(d->loop);
	}
	notify_stopping();
	return r < 0 ? failed("loop", r) : 0;
}

static void daemon_deinit(struct daemon *d)
{
	while (d->n_fds)
		close_fd(&d->fds[--d->n_fds]);
	if (d->server && d->keep)
		server_abandon(d->server); /* it is for the next one, or for systemd to drop */
	keep_free(d->keep);
	close_stored(d);
	if (d->committer)
		committer_drain(d->committer);
	server_free(d->server);
	committer_free(d->committer);
	loop_signal_free(d->term);
	loop_signal_free(d->interrupt);
	loop_signal_free(d->hangup);
	loop_timer_free(d->status_timer);
	loop_timer_free(d->watchdog_timer);
	loop_free(d->loop);
	socket_file_deinit(&d->socket);
}

static int run(const struct options *o, struct config *c)
{
	struct daemon d = { .options = *o, .socket = SOCKET_FILE_NULL };
	int r = daemon_listen(&d, c->socket_mode);

	if (!r) {
		daemon_prepare(&d, c);
		r = daemon_serve(&d, c);
	}
	if (!r)
		r = daemon_run(&d);
	daemon_deinit(&d);
	return r;
}

/* Everything counts in pages of 4096 bytes, on both sides of the socket. */
static int check_page_size(void)
{
	long size = sysconf(_SC_PAGESIZE);

	if (size == (long)HW_PAGE_SIZE)
		return 0;
	log_error("this machine's pages are %ld bytes; heapd needs %zu", size, HW_PAGE_SIZE);
	return -EOPNOTSUPP;
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	struct config c;
	int r = parse_options(&o, argc, argv);

	if (r)
		return 2;
	log_init(o.debug);
	if (o.foreground || o.check)
		log_plain();
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN); /* RLIMIT_FSIZE is for memfds too: EFBIG will do */
	config_init(&c);
	r = config_load(&c, o.config);
	if (!r && o.check)
		printf("%s: good\n", o.config ? o.config : HEAPD_CONFIG_PATH);
	else if (!r)
		r = check_page_size();
	if (!r && !o.check)
		r = run(&o, &c);
	config_deinit(&c);
	return r < 0 ? 1 : 0;
}
