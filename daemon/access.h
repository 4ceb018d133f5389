/*
 * access.h: who a client is, and what the mode bits of a heap let them do
 *
 * Credentials are the kernel's word about the process that connected, at the moment when it did;
 * nothing a client says about itself counts. The bits are those of files: the owner's if the uid
 * matches, else the group's if any of the client's groups does, else the others'; one class
 * decides. w: bind for writing; r: bind for reading. Root may everything; the daemon's own uid is
 * nobody special.
 */
#ifndef HEAPD_DAEMON_ACCESS_H
#define HEAPD_DAEMON_ACCESS_H

#include <sys/types.h>
#include "common/base.h"
#include "proto/wire.h"

struct credentials {
	pid_t pid; /* as the daemon sees it; 0: in a pid namespace that it does not see */
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* the supplementary ones */
	uint32_t n_groups;
};

#define CREDENTIALS_NULL { .uid = (uid_t)-1, .gid = (gid_t)-1 }

/*
 * Of the process at the other end of a unix socket. 0, -ENOMEM, -errno. Pre: *c is
 * CREDENTIALS_NULL.
 */
int credentials_read(struct credentials *c, int fd);
void credentials_deinit(struct credentials *c); /* safe twice */

/*
 * Its pidfd, the caller's; -ESRCH: it is gone; -errno: none to be had (another pid namespace, an
 * old kernel).
 */
int credentials_pidfd(const struct credentials *c, int fd);

bool credentials_in_group(const struct credentials *c, gid_t gid);

/* ACCESS_READ and ACCESS_WRITE, or'ed; 0: none. */
uint32_t access_granted(const struct credentials *c, uid_t uid, gid_t gid, uint32_t perm);

/* What a bind that asks so gets: ACCESS_READ, ACCESS_WRITE, or 0 (denied). */
uint32_t access_chosen(uint32_t granted, uint32_t asked);

#endif
