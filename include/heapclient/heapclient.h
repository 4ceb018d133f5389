/*
 * heapclient.h: what all interfaces of libheapclient share
 *
 * A process talks to heapd once it uses any interface; nothing has to be initialised. The daemon is
 * looked for at $HEAPD_SOCKET if that is set and not empty; else at /run/heapd/heapd.sock, then at
 * $XDG_RUNTIME_DIR/heapd/heapd.sock. (A program that runs set-user-ID or with capabilities uses
 * /run/heapd/heapd.sock only.)
 *
 * fork: the child is a new client. Descriptors it inherited give -EPERM; segments it inherited stay mapped.
 */
#ifndef HEAPCLIENT_HEAPCLIENT_H
#define HEAPCLIENT_HEAPCLIENT_H

#define HEAPCLIENT_VERSION_MAJOR 0
#define HEAPCLIENT_VERSION_MINOR 1
#define HEAPCLIENT_VERSION_MICRO 0
#define HEAPCLIENT_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The version of the library that is loaded, "0.1.0". Static; never NULL.
 * Does not block; may be called from a signal handler.
 */
const char *heapclient_version(void);

/*
 * Why this process last failed to reach heapd, as one line for people, for example
 * "/run/heapd/heapd.sock: heapd 2.0 speaks protocol 3, this library speaks 1"; or which regions of the configuration
 * shared_multi_heap_pool_init left out, or failed at, and why. Never NULL; "" if nothing failed.
 * The text belongs to the calling thread and holds until its next call. Does not block on the daemon;
 * not for signal handlers.
 */
const char *heapclient_problem(void);

#ifdef __cplusplus
}
#endif

#endif
