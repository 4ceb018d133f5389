/*
 * server.h: the daemon's world in one value: namespace, heaps, sessions, accounts
 *
 * main.c makes one from a config, a loop, a committer and listening sockets, and from then on it
 * lives in the loop's callbacks. It owns everything clients can name; it owns none of what it was
 * given but the config.
 */
#ifndef HEAPD_DAEMON_SERVER_H
#define HEAPD_DAEMON_SERVER_H

#include "daemon/commit.h"
#include "daemon/config.h"
#include "daemon/loop.h"

struct keep;
struct notify_fd;
struct server;

/* The server takes the value of *config (which is then as after config_init). 0 or -errno. */
int server_new(struct server **out, struct loop *l, struct committer *committer,
	       struct config *config);
/*
 * What happens is kept from now on, and the world is what a daemon before has left. keep stays the
 * caller's and goes before the server; the descriptors are the server's from here. Before any socket.
 * 0, -ENOMEM: nothing may be done with it any more.
 */
int server_keep(struct server *s, struct keep *keep, struct notify_fd *fds, size_t n);
/* The daemon ends, and what is kept stays: nobody is told anything any more, nothing is given back. */
void server_abandon(struct server *s);
struct server *server_free(struct server *s);

/* A listening SOCK_SEQPACKET socket; ours from here, even on failure. */
int server_listen_take(struct server *s, int fd);

/* SIGHUP: the new config's value is taken. Limits hold for what is created from now on. */
void server_reload(struct server *s, struct config *config);

/* Facts for STAT that only main knows. */
void server_set_facts(struct server *s, int priority, bool locked);

/* One line for sd_notify STATUS=: "12 heaps, 3.4 GiB, 5 clients". */
void server_status(const struct server *s, char *buf, size_t size);

#endif
